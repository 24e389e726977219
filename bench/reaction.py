"""How soon a spec that was put is being made: the loop's own part in it, against one hop of the local AWS.

Both start when PutItem is sent, for the local AWS is often there before its own answer. Ours ends when CreateStack
arrives; the hop ends when a function that does nothing, on the stream of a table that is nobody's, is entered.
"""

import io
import json
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from bench.figure import Figure
from local.aws import LocalAws, local_aws
from local.deploy import ControlPlane, build, deploy
from local.fixtures import network
from reconciler.facts import stack_name
from reconciler.store import encode

RUNS, WARM_UP = 15, 3
PATIENCE, POLL = 60.0, 0.02  # seconds
HOP = "hop"
FUNCTION = """\
import time
def handler(event, context):
    now = time.time()
    for record in event["Records"]:
        print("hop", record["dynamodb"]["Keys"]["name"]["S"], now)
"""
T = TypeVar("T")
Client = Callable[[str], Any]  # maker of boto3 clients, by service


def measure() -> Iterator[Figure]:
    """Medians of puts taken in turns, each when all is quiet again."""
    build()
    with local_aws() as aws:
        client: Client = aws.client
        plane = deploy(aws, SweepMinutes="1440")
        spec = _spec(aws)
        make_hop(client)
        turns = [(time_of_hop(client, f"h{n}"), _creation(client, plane, f"c{n}", spec)) for n in range(WARM_UP + RUNS)]
    hops, creations = zip(*turns[WARM_UP:], strict=True)
    ratio = statistics.median(creations) / statistics.median(hops)
    yield Figure("put_to_create_ratio", round(ratio, 2), "times the local AWS's own hop from a stream to a function")
    yield Figure("put_to_create_ms", round(statistics.median(creations) * 1000, 1), "ms from PutItem to CreateStack")
    yield Figure("put_to_create_hop_ms", round(statistics.median(hops) * 1000, 1), "ms of that hop")


def _creation(client: Client, plane: ControlPlane, name: str, spec: dict[str, Any]) -> float:
    """Seconds from a spec to CreateStack. Leaves when the cluster is made and nothing is under way."""
    put = _put(client, plane.outputs["SpecsTable"], {"name": name, "spec": spec})
    cloudformation = client("cloudformation")

    def made() -> float | None:
        stacks = (each for each in cloudformation.describe_stacks()["Stacks"] if each["StackName"] == stack_name(name))
        complete = (each["CreationTime"].timestamp() for each in stacks if each["StackStatus"] == "CREATE_COMPLETE")
        return next(complete, None) if _quiet(client, plane) else None

    return until(made) - put


def time_of_hop(client: Client, name: str) -> float:
    """Seconds from PutItem to the function that does nothing."""
    put = _put(client, HOP, {"name": name})
    logs = client("logs")

    def entered() -> float | None:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{HOP}")
        lines = [event["message"].split() for page in pages for event in page["events"]]
        return next((float(line[2]) for line in lines if line[:2] == [HOP, name]), None)

    return until(entered) - put


def _put(client: Client, table: str, item: dict[str, Any]) -> float:
    sent = time.time()
    client("dynamodb").put_item(TableName=table, Item=encode(item))
    return sent


def _quiet(client: Client, plane: ControlPlane) -> bool:
    """Whether no message is waiting or worked on. Delayed ones do not count."""
    kinds = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    urls = [plane.outputs[f"{queue}QueueUrl"] for queue in ("Inbox", "Wakes", "Background")]
    answers = [client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=kinds) for url in urls]
    return not any(int(answer["Attributes"][kind]) for answer in answers for kind in kinds)


def until(seen: Callable[[], T | None]) -> T:
    """What `seen` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE
    while (found := seen()) is None:
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(POLL)
    return found


def _spec(aws: LocalAws) -> dict[str, Any]:
    net = network(aws)
    return {
        "headNode": {"instanceType": "c6i.large"},
        "queues": [{"name": "compute", "instanceTypes": ["c6i.large"], "size": 2}],
        "network": {"vpcId": net.vpc_id, "subnetIds": list(net.subnet_ids)},
    }


def make_hop(client: Client) -> None:
    """The table, and the function on its stream, in the runtime of the control plane's own."""
    key = {"AttributeName": "name"}
    table = client("dynamodb").create_table(
        TableName=HOP,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[key | {"AttributeType": "S"}],
        KeySchema=[key | {"KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = client("iam").create_role(RoleName=HOP, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    rights = {"Effect": "Allow", "Action": ["dynamodb:*", "logs:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    client("iam").put_role_policy(RoleName=HOP, PolicyName=HOP, PolicyDocument=policy)
    functions, code = client("lambda"), io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("hop.py", FUNCTION)
    runtime = functions.list_functions()["Functions"][0]["Runtime"]
    functions.create_function(
        FunctionName=HOP, Runtime=runtime, Role=role, Handler="hop.handler", Code={"ZipFile": code.getvalue()}
    )
    stream = table["TableDescription"]["LatestStreamArn"]
    client("logs").create_log_group(logGroupName=f"/aws/lambda/{HOP}")
    functions.create_event_source_mapping(EventSourceArn=stream, FunctionName=HOP, StartingPosition="TRIM_HORIZON")
