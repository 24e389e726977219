"""Faults that a soak asks for reach a function's SDK as AWS's own would: refused, cut off, not heard."""

import json
from collections import Counter
from typing import Any, cast

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local import LocalAws
from local.additions.weather import BROKEN, THROTTLED

CALLS = {
    "autoscaling": "describe_auto_scaling_groups",
    "cloudformation": "describe_stacks",
    "dynamodb": "list_tables",
    "ec2": "describe_instances",
    "s3": "list_buckets",
    "sqs": "list_queues",
    "ssm": "describe_parameters",
}
ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=2)


@pytest.fixture
def session(aws: LocalAws, name: str) -> boto3.Session:
    """What a function has: keys of a role."""
    trust = '{"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}'
    arn = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    allow = '{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
    aws.client("iam").put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=allow)
    keys = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return boto3.Session(
        *(keys[n] for n in ("AccessKeyId", "SecretAccessKey", "SessionToken")), region_name="us-east-1"
    )


def outcome(client: Any) -> str:
    try:
        getattr(client, CALLS[client.meta.service_model.service_name])()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except BotoCoreError as error:
        return type(error).__name__
    return "answered"


def test_every_service_is_faulted_in_its_own_words(aws: LocalAws, session: boto3.Session) -> None:
    before = aws.weather()
    aws.set(faults=1.0)
    for service in CALLS:
        client = session.client(cast("Any", service), endpoint_url=aws.endpoint, config=ONCE)
        seen = Counter(outcome(client) for _ in range(30))
        codes = {THROTTLED.get(service, ("Throttling",))[0], BROKEN.get(service, ("InternalError",))[0]}
        assert codes <= seen.keys(), (service, seen)
        assert seen.keys() <= {*codes, "ResponseStreamingError", "ReadTimeoutError", "ConnectionClosedError"}, seen
    made = aws.weather() - before
    # A call that broke off before the server had read it counts for nobody.
    assert made["calls"] == made.total() - made["calls"] <= 30 * len(CALLS)
    assert made["cut"] > 0
    assert made["unheard"] > 0


def test_some_faults_outlast_the_tries_of_the_sdk_and_some_do_not(aws: LocalAws, session: boto3.Session) -> None:
    aws.set(faults=1.0)
    tried = Config(retries={"mode": "standard", "total_max_attempts": 2}, read_timeout=2)
    client = session.client("sqs", endpoint_url=aws.endpoint, config=tried)
    seen = Counter(outcome(client) == "answered" for _ in range(16))
    assert 0 < seen[True] < 16


def test_without_the_setting_and_for_the_administrator_nothing_fails(aws: LocalAws, session: boto3.Session) -> None:
    client = session.client("sqs", endpoint_url=aws.endpoint, config=ONCE)
    assert {outcome(client) for _ in range(20)} == {"answered"}
    aws.set(faults=1.0)
    administrator = aws.client("sqs", config=ONCE)
    assert {outcome(administrator) for _ in range(20)} == {"answered"}


def test_a_queue_loses_each_nth_message_that_is_sent_or_delivered(aws: LocalAws, name: str) -> None:
    sqs, sns = aws.client("sqs"), aws.client("sns")
    lossy, sound = (sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"] for kind in ("lossy", "sound"))
    topic = sns.create_topic(Name=name)["TopicArn"]
    for url in (lossy, sound):
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [policy]})})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    before = aws.weather()
    aws.set(lost_messages={f"{name}-lossy": 3})
    for n in range(4):
        sns.publish(TopicArn=topic, Message=f"delivered {n}")
        sqs.send_message(QueueUrl=lossy, MessageBody=f"sent {n}")
    received = sqs.receive_message(QueueUrl=lossy, MaxNumberOfMessages=10)["Messages"]
    texts = [json.loads(body)["Message"] if "{" in (body := each["Body"]) else body for each in received]
    assert sorted(texts) == ["delivered 0", "delivered 2", "delivered 3", "sent 0", "sent 1", "sent 3"]
    assert len(sqs.receive_message(QueueUrl=sound, MaxNumberOfMessages=10)["Messages"]) == 4
    assert (aws.weather() - before)["lost"] == 2
