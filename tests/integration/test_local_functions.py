"""Functions and the queues that they read."""

import io
import json
import sys
import zipfile
from collections.abc import Callable
from typing import Any

from local import LocalAws

# Each invocation shows itself and waits until another is there too.
HANDLER = """
import boto3, json, os, time
def handler(event, context):
    sqs, names = boto3.client("sqs"), json.loads(event["Records"][0]["body"])
    sqs.send_message(QueueUrl=names["here"], MessageBody="x")
    ends, kind = time.monotonic() + 15, "ApproximateNumberOfMessages"
    there = 0
    while there < 2 and time.monotonic() < ends:
        answer = sqs.get_queue_attributes(QueueUrl=names["here"], AttributeNames=[kind])
        there = int(answer["Attributes"][kind])
    sqs.send_message(QueueUrl=names["said"], MessageBody=str(there))
"""


def test_message_groups_of_a_fifo_queue_are_worked_on_at_once_when_a_test_says_so(
    aws: LocalAws, name: str, eventually: Callable[..., Any]
) -> None:
    aws.set(groups_at_once=2)
    sqs = aws.client("sqs")
    urls = {kind: sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"] for kind in ("here", "said")}
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "60"}
    work = sqs.create_queue(QueueName=f"{name}.fifo", Attributes=fifo)["QueueUrl"]
    _function(aws, name)
    aws.client("lambda").create_event_source_mapping(
        FunctionName=name, EventSourceArn=f"arn:aws:sqs:us-east-1:123456789012:{name}.fifo", BatchSize=1
    )
    for group in ("one", "other"):
        sqs.send_message(QueueUrl=work, MessageBody=json.dumps({**urls, "group": group}), MessageGroupId=group)
    said = eventually(lambda: sqs.receive_message(QueueUrl=urls["said"], WaitTimeSeconds=1).get("Messages"))
    assert said[0]["Body"] == "2"


def _function(aws: LocalAws, name: str) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allow = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
    iam = aws.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps({"Statement": [allow]}))
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", HANDLER)
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    aws.client("lambda").create_function(
        FunctionName=name,
        Runtime=runtime,
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=30,
    )
