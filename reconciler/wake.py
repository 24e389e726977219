"""Turn whatever happened into the names of clusters, and send each name on.

Nothing is decided here: a wake-up says "look at this cluster", never what to do. So one too many is harmless,
and what names no cluster is dropped; the sweep finds what an event should have told.

The models stay out, the pattern of a name too: loading them would cost every cold start on an edit's way.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from reconciler.names import CLUSTER_NAME

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_sqs import SQSClient

MARK = "muster-"  # begins the names of a cluster's stack, groups and project
REPOSITORY_MARK = "muster/"
# How the partition of a cluster's nodes ends, and the row that says what its jobs want; as `nodes` has them.
NODES, DEMAND = "/nodes", "DEMAND"
INSTANCE = re.compile(r"i-[0-9a-z]{1,40}")
BATCH = 10  # messages in one SendMessageBatch, the most that SQS takes


@dataclass(frozen=True, slots=True)
class Found:
    """An event that names its cluster."""

    source: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Instance:
    """An event that names an EC2 instance only; the instance's tags say whose it is."""

    source: str
    id: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that wakes nobody.

    `unreadable`: not a message that we know, in whatever way. `foreign`: well formed, but names no cluster.
    """

    reason: Literal["unreadable", "foreign"]


Origin = Found | Instance | Ignored


@dataclass(frozen=True, slots=True)
class Wake:
    """One message to the queue of wake-ups.

    `source` is the kind of thing that happened, `id` unique to it. For five minutes the queue drops a second
    message of equal body: right for one event delivered twice, and impossible for two events.
    """

    cluster: str
    source: str
    id: str

    @property
    def body(self) -> str:
        """The message's body, JSON."""
        return json.dumps({"cluster": self.cluster, "source": self.source, "id": self.id})

    @property
    def group(self) -> str:
        """The message group: the cluster's name, or a hash of what somebody wrote in place of one.

        SQS takes up to 128 printable ASCII characters, DynamoDB any string as the key of a spec. Such a spec
        gets its pass too: that is where its user is told.
        """
        if CLUSTER_NAME.fullmatch(self.cluster):
            return self.cluster
        return hashlib.sha256(self.cluster.encode()).hexdigest()


def wake_of_record(record: Mapping[str, Any]) -> Wake | Ignored:
    """The wake-up for one record of a table's stream: an insertion, a change or a removal. Never raises.

    The keys tell the tables apart: the specs' has a name, the states' a partition and a row.
    """
    try:
        keys, event = record["dynamodb"]["Keys"], record["eventID"]
        return _of_row(keys, event) if "row" in keys else Wake(keys["name"]["S"].encode().decode(), "spec", event)
    except (ValueError, LookupError, TypeError, AttributeError):
        return Ignored("unreadable")


def _of_row(keys: Mapping[str, Any], event: str) -> Wake | Ignored:
    """Of the state table only what the jobs want wakes anybody: the operator would else wake itself for ever."""
    cluster, found, rest = keys["cluster"]["S"].partition(NODES)
    ours = found and not rest and keys["row"]["S"] == DEMAND and CLUSTER_NAME.fullmatch(cluster)
    return Wake(cluster, "demand", event) if ours else Ignored("foreign")


def origin_of(body: str) -> Origin:
    """What a message of the inbox is about: an EventBridge event, or the reconciler's timer. Never raises."""
    try:
        message = json.loads(body)
        if "timer" in message:
            return _cluster("timer", message["timer"]["cluster"])
        return _READERS[message["source"], message["detail-type"]](message["detail"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Ignored("unreadable")


def find_clusters(ec2: "EC2Client", owner: str, instances: Collection[str]) -> dict[str, str]:
    """The cluster of each instance that the control plane `owner` made, by instance id.

    Instances that are gone, or others', are left out. A filter takes ids that no longer exist, where a list
    of ids would fail for all; it takes 200 values.
    """
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": "instance-id", "Values": sorted(instances)},
            {"Name": "tag:muster:owner", "Values": [owner]},
            {"Name": "tag-key", "Values": ["muster:cluster"]},
        ]
    )
    found = [each for page in pages for group in page["Reservations"] for each in group.get("Instances", [])]
    return {
        each.get("InstanceId", ""): tag.get("Value", "")
        for each in found
        for tag in each.get("Tags", [])
        if tag.get("Key") == "muster:cluster"
    }


def send(sqs: "SQSClient", queue_url: str, wakes: Iterable[Wake]) -> set[str]:
    """Send wake-ups, one a cluster, and return the clusters whose message the queue did not take.

    Of several for one cluster the last is sent: one pass sees all that has happened before it.
    """
    last = list({wake.cluster: wake for wake in wakes}.values())
    refused: set[str] = set()
    for start in range(0, len(last), BATCH):
        chunk = last[start : start + BATCH]
        answer = sqs.send_message_batch(
            QueueUrl=queue_url,
            Entries=[
                {"Id": str(place), "MessageBody": wake.body, "MessageGroupId": wake.group}
                for place, wake in enumerate(chunk)
            ],
        )
        refused |= {chunk[int(failed["Id"])].cluster for failed in answer.get("Failed", [])}
    return refused


def _of_stack(detail: Mapping[str, str]) -> Origin:
    """`stack-id` is arn:PARTITION:cloudformation:REGION:ACCOUNT:stack/NAME/UUID."""
    return _marked("stack", detail["stack-id"].split("/")[1])


def _of_group(detail: Mapping[str, str]) -> Origin:
    """`AutoScalingGroupName` is muster-CLUSTER.QUEUE; neither part has a dot."""
    return _marked("group", detail["AutoScalingGroupName"].partition(".")[0])


def _of_build(detail: Mapping[str, str]) -> Origin:
    """`project-name` is muster-CLUSTER."""
    return _marked("build", detail["project-name"])


def _of_image(detail: Mapping[str, str]) -> Origin:
    """`repository-name` is muster/CLUSTER."""
    return _marked("image", detail["repository-name"], REPOSITORY_MARK)


def _of_spot(detail: Mapping[str, str]) -> Origin:
    return _instance("spot", detail["instance-id"])


def _of_instance(detail: Mapping[str, str]) -> Origin:
    return _instance("instance", detail["instance-id"])


def _marked(source: str, name: str, mark: str = MARK) -> Origin:
    return _cluster(source, name.removeprefix(mark)) if name.startswith(mark) else Ignored("foreign")


def _instance(source: str, name: str) -> Origin:
    """One that is none would spoil the look-up of all instances of its batch."""
    return Instance(source, name) if INSTANCE.fullmatch(name) else Ignored("foreign")


def _cluster(source: str, name: str) -> Origin:
    return Found(source, name) if CLUSTER_NAME.fullmatch(name) else Ignored("foreign")


# What the rules of template.yaml let in, and how each is read.
_READERS: dict[tuple[str, str], Callable[[Mapping[str, str]], Origin]] = {
    ("aws.cloudformation", "CloudFormation Stack Status Change"): _of_stack,
    ("aws.autoscaling", "EC2 Instance Launch Successful"): _of_group,
    ("aws.autoscaling", "EC2 Instance Launch Unsuccessful"): _of_group,
    ("aws.autoscaling", "EC2 Instance Terminate Successful"): _of_group,
    ("aws.autoscaling", "EC2 Instance Terminate Unsuccessful"): _of_group,
    ("aws.codebuild", "CodeBuild Build State Change"): _of_build,
    ("aws.ecr", "ECR Image Action"): _of_image,
    ("aws.ec2", "EC2 Spot Instance Interruption Warning"): _of_spot,
    ("aws.ec2", "EC2 Instance Rebalance Recommendation"): _of_spot,
    ("aws.ec2", "EC2 Instance State-change Notification"): _of_instance,
}
