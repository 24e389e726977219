"""A control plane on moto: its tables, queues and bucket, a network, and the fake CloudFormation's effects on them."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws

from reconciler.cluster import to_item
from reconciler.loop import Report, Tools, reconcile
from reconciler.settings import Settings
from reconciler.store import Store, decode
from tests.unit import factories as make
from tests.unit.fakes import CountingClients, FakeCloudFormation

ACCOUNT = "123456789012"
BUCKET = "artifacts"


@cache
def client(service: Any) -> Any:
    """A client of the test's own, whose calls are not counted. Kept, for to make one takes long; moto answers all."""
    return boto3.client(service, region_name="us-east-1")


@dataclass
class Context:
    """What Lambda tells a function of its invocation."""

    function_name: str = "reconcile"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:reconcile"
    aws_request_id: str = "request-1"
    left: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left


@dataclass
class Plane:
    """A control plane, a clock that a test moves, and what a test asks and does."""

    clients: CountingClients
    settings: Settings
    vpc: str
    subnet: str
    cloudformation: FakeCloudFormation
    now: float = make.NOW
    left: float = 60.0
    owner: str = "pass"
    _ids: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(self.clients.dynamodb, self.settings.specs_table, self.settings.state_table)

    @property
    def tools(self) -> Tools:
        return Tools(self.clients, self.settings, self.store, lambda: self.now, lambda: self.left)

    @property
    def environment(self) -> dict[str, str]:
        """What its functions find in their environment."""
        settings = self.settings
        return {
            "MUSTER_OWNER": settings.owner,
            "MUSTER_SPECS_TABLE": settings.specs_table,
            "MUSTER_STATE_TABLE": settings.state_table,
            "MUSTER_STATE_TABLE_ARN": settings.state_table_arn,
            "MUSTER_WAKES_QUEUE_URL": settings.wakes_queue_url,
            "MUSTER_BACKGROUND_QUEUE_URL": settings.background_queue_url,
            "MUSTER_INBOX_QUEUE_URL": settings.inbox_queue_url,
            "MUSTER_ARTIFACTS_BUCKET": settings.artifacts_bucket,
            "MUSTER_CLEANUP_FUNCTION_ARN": settings.cleanup_function_arn,
            "MUSTER_STACK_ROLE_ARN": settings.stack_role_arn,
        }

    def go(self, name: str = make.NAME, owner: str = "pass") -> Report:
        """One pass."""
        return reconcile(self.tools, name, owner)

    def document(self, name: str = make.NAME, **spec: Any) -> dict[str, Any]:
        network = {"vpcId": self.vpc, "subnetIds": [self.subnet]}
        return make.document(name, **{"network": network, **spec})

    def put(self, name: str = make.NAME, *, annotations: Mapping[str, str] | None = None, **spec: Any) -> None:
        """Write a spec, as a user does."""
        document = self.document(name, **spec)
        document["metadata"]["annotations"] = dict(annotations or {})
        self.put_raw(to_item(document))

    def put_raw(self, item: Mapping[str, Any]) -> None:
        client("dynamodb").put_item(TableName=self.settings.specs_table, Item=item)

    def delete(self, name: str = make.NAME) -> None:
        """Delete a spec, as a user does."""
        client("dynamodb").delete_item(TableName=self.settings.specs_table, Key={"name": {"S": name}})

    def rows(self, partition: str = make.NAME) -> list[dict[str, Any]]:
        """All rows of a partition of the state table."""
        answer = client("dynamodb").query(
            TableName=self.settings.state_table,
            KeyConditionExpression="#c = :c",
            ExpressionAttributeNames={"#c": "cluster"},
            ExpressionAttributeValues={":c": {"S": partition}},
        )
        return [decode(item) for item in answer["Items"]]

    def status(self, partition: str = make.NAME) -> dict[str, Any]:
        (found,) = [row["status"] for row in self.rows(partition) if row["row"] == "STATE"]
        return found

    def condition(self, kind: str, partition: str = make.NAME) -> tuple[str, str]:
        (found,) = [c for c in self.status(partition)["conditions"] if c["type"] == kind]
        return found["status"], found["reason"]

    def message(self, kind: str) -> str:
        (found,) = [c for c in self.status()["conditions"] if c["type"] == kind]
        return str(found["message"])

    def reasons(self, partition: str = make.NAME) -> list[str]:
        """The reasons of all events."""
        return [row["reason"] for row in self.rows(partition) if row["row"].startswith("EVENT#")]

    def timers(self) -> list[int]:
        """The delays (seconds) of the timers of the cluster that were set since the last `quiet`."""
        sent = [each for each in self.clients.sent if each["QueueUrl"] == self.settings.inbox_queue_url]
        assert all(json.loads(each["MessageBody"]) == {"timer": {"cluster": make.NAME}} for each in sent)
        return [each["DelaySeconds"] for each in sent]

    def objects(self) -> list[str]:
        found = client("s3").list_object_versions(Bucket=BUCKET)
        return [each["Key"] for kind in ("Versions", "DeleteMarkers") for each in found.get(kind, ())]

    def group(self, queue: str = "compute", name: str = make.NAME) -> dict[str, Any]:
        wanted = f"muster-{name}.{queue}"
        (found,) = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[wanted])[
            "AutoScalingGroups"
        ]
        return found

    def quiet(self) -> None:
        """Forget the calls counted so far."""
        self.clients.calls.clear()
        self.clients.sent.clear()
        self.cloudformation.calls.clear()

    @property
    def calls(self) -> dict[str, int]:
        return dict(self.clients.calls + self.cloudformation.calls)

    def _build(self, template: Mapping[str, Any]) -> Mapping[str, str]:
        resources = template["Resources"].values()
        wanted = {r["Properties"]["AutoScalingGroupName"]: r["Properties"] for r in resources if is_group(r)}
        scaling = client("autoscaling")
        found = {group["AutoScalingGroupName"] for group in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]}
        for name in wanted.keys() - found:
            scaling.create_auto_scaling_group(
                AutoScalingGroupName=name,
                MinSize=int(wanted[name]["MinSize"]),
                MaxSize=int(wanted[name]["MaxSize"]),
                LaunchTemplate={"LaunchTemplateName": "any", "Version": "1"},
                VPCZoneIdentifier=self.subnet,
                Tags=[tag | {"ResourceId": name, "ResourceType": "auto-scaling-group"} for tag in wanted[name]["Tags"]],
            )
        for name in found - wanted.keys():
            scaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        heads = [r["Properties"] for r in resources if r["Type"] == "AWS::EC2::Instance"]
        if heads and not self._ids:
            tags = heads[0]["Tags"]
            specification = [{"ResourceType": "instance", "Tags": tags}]
            launched = launch(self.subnet, TagSpecifications=specification)
            self._ids = [launched[0]]
        return {}

    def _raze(self) -> None:
        scaling = client("autoscaling")
        for group in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
            scaling.delete_auto_scaling_group(AutoScalingGroupName=group["AutoScalingGroupName"], ForceDelete=True)
        if self._ids:
            client("ec2").terminate_instances(InstanceIds=self._ids)
            self._ids = []

    @property
    def head(self) -> str:
        """The head node's instance id."""
        return self._ids[0]


def image() -> str:
    """The id of the emulator's only image."""
    found = client("ec2").describe_images()["Images"] or [client("ec2").register_image(Name="any")]
    return str(found[0]["ImageId"])


def launch(subnet: str, count: int = 1, **more: Any) -> list[str]:
    """Start instances; their ids."""
    answer = client("ec2").run_instances(ImageId=image(), MinCount=count, MaxCount=count, SubnetId=subnet, **more)
    return [instance["InstanceId"] for instance in answer["Instances"]]


def is_group(resource: Mapping[str, Any]) -> bool:
    return resource["Type"] == "AWS::AutoScaling::AutoScalingGroup"


def make_tables() -> None:
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName="specs",
        AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.create_table(
        TableName="state",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("cluster", "row", "kind")],
        KeySchema=[{"AttributeName": "cluster", "KeyType": "HASH"}, {"AttributeName": "row", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "clusters",
                "KeySchema": [
                    {"AttributeName": "kind", "KeyType": "HASH"},
                    {"AttributeName": "cluster", "KeyType": "RANGE"},
                ],
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": ["generation", "specHash", "digest", "timer", "phase"],
                },
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def make_queues() -> dict[str, str]:
    sqs, fifo = client("sqs"), {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    queues = {"wakes.fifo": fifo, "background.fifo": fifo, "inbox": {}}
    return {name: sqs.create_queue(QueueName=name, Attributes=kind)["QueueUrl"] for name, kind in queues.items()}


def read_template(url: str) -> str:
    key = url.partition(f"/{BUCKET}/")[2]
    assert key, f"{url} names no object of the bucket"
    return client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


@contextmanager
def control_plane() -> Iterator[Plane]:
    """A control plane with nothing in it."""
    # moto's own 1300 images take most of a test's time.
    with patch.dict(os.environ, MOTO_EC2_LOAD_DEFAULT_AMIS="false"), mock_aws():
        make_tables()
        urls = make_queues()
        client("s3").create_bucket(Bucket=BUCKET)
        client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        ec2 = client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        ec2.create_launch_template(LaunchTemplateName="any", LaunchTemplateData={"ImageId": image()})
        settings = Settings(
            owner=make.OWNER,
            region="us-east-1",
            account=ACCOUNT,
            specs_table="specs",
            state_table="state",
            state_table_arn=f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/state",
            wakes_queue_url=urls["wakes.fifo"],
            background_queue_url=urls["background.fifo"],
            inbox_queue_url=urls["inbox"],
            artifacts_bucket=BUCKET,
            cleanup_function_arn=f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:cleanup",
            stack_role_arn=f"arn:aws:iam::{ACCOUNT}:role/stacks",
        )
        fake = FakeCloudFormation(read_template)
        plane = Plane(CountingClients(fake), settings, vpc, subnet, fake)
        fake.build, fake.raze = plane._build, plane._raze
        yield plane
