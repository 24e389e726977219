"""An AWS account in memory: as much of each service as passes, sweeps and wake-ups ask of it, and fast.

Page sizes are AWS's: DescribeAutoScalingGroups gives at most 100 groups, DescribeInstances at most 1,000 instances,
Scan and Query 1 MB of items. DescribeStacks is documented as 1 MB of answer; its pages are taken to end at 100
stacks as well, which is less. What takes time in AWS (`STACK`, `LAUNCH`) takes it by the clock; a call takes none.
"""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

from botocore.exceptions import ClientError
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.dynamo_type import Item as MotoItem

from reconciler.clients import RETRIES, Clients
from reconciler.facts import CLUSTER_TAG, NODE_TAG, STACK_PREFIX
from reconciler.observe import tags_of
from reconciler.settings import Settings
from reconciler.store import ROW, STATE

STACK, LAUNCH = 180.0, 60.0  # seconds: assumed
MEGABYTE = 2**20
BUCKET, VPC = "artifacts", "vpc-00000001"
INDEXED = ("cluster", ROW, "kind", "generation", "specHash", "digest", "timer", "phase")
SETTINGS = Settings(
    owner="muster",
    region="us-east-1",
    account="123456789012",
    specs_table="specs",
    state_table="state",
    state_table_arn="arn:aws:dynamodb:us-east-1:123456789012:table/state",
    wakes_queue_url="WakesQueue",
    background_queue_url="BackgroundQueue",
    inbox_queue_url="InboxQueue",
    artifacts_bucket=BUCKET,
    cleanup_function_arn="arn:aws:lambda:us-east-1:123456789012:function:cleanup",
    stack_role_arn="arn:aws:iam::123456789012:role/stacks",
)
Item = dict[str, Any]


class Account:
    """What is there, by cluster. `calls` counts by operation.

    `before` is called with each operation, and how often its client makes it again, before it is answered. `later` lets
    something happen after so many seconds, `tell` takes an event of EventBridge's, `deliver` a message to a queue: its
    URL, body, group and delay (seconds).
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str, int], None] = lambda _, __: None
        self.later: Callable[[float, Callable[[], object]], None] = lambda _, __: None
        self.tell: Callable[[Item], None] = lambda _: None
        self.deliver: Callable[[str, str, str, float], None] = lambda _, __, ___, ____: None
        self.specs: dict[str, Item] = {}
        self.records: dict[str, Item] = {}
        self.events: Counter[str] = Counter()
        self.stacks: dict[str, Item] = {}
        self.groups: defaultdict[str, list[Item]] = defaultdict(list)
        self.instances: defaultdict[str, dict[str, Item]] = defaultdict(dict)
        self.objects: dict[str, str] = {}
        self.numbers = itertools.count(1)
        self._services = {
            "dynamodb": DynamoDb(self),
            "cloudformation": CloudFormation(self),
            "autoscaling": AutoScaling(self),
            "ec2": Ec2(self),
            "s3": S3(self),
            "sqs": Sqs(self),
            "ssm": Ssm(),
            "batch": Batch(),
        }

    def clients(self, retries: int = RETRIES) -> Clients:
        """Clients that make a call again so often."""
        made = {name: Client(self, service, retries) for name, service in self._services.items()}
        return cast("Clients", SimpleNamespace(**made))

    def called(self, operation: str, retries: int) -> None:
        """Count a call; `before` may raise."""
        self.calls[operation] += 1
        self.before(operation, retries)


class Client:
    """A client as boto3 makes it: each operation, and each page of one, is counted before it is answered."""

    def __init__(self, account: Account, service: Any, retries: int) -> None:
        self._account, self._service, self._retries = account, service, retries
        self.meta = SimpleNamespace(endpoint_url="https://s3.us-east-1.amazonaws.com")

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        answer = getattr(self._service, operation)

        def call(**asked: Any) -> Any:
            self._account.called(operation, self._retries)
            return answer(**asked)

        return call

    def get_paginator(self, operation: str) -> Any:
        """A paginator; what it gives out is what is there when the first page is asked for."""

        def paginate(**asked: Any) -> Iterator[Item]:
            for page in getattr(self._service, f"{operation}_pages")(asked):
                self._account.called(operation, self._retries)
                yield page

        return SimpleNamespace(paginate=paginate)


class Batch:
    """AWS Batch of an account that has nothing in it."""

    def describe_compute_environments_pages(self, _: Item) -> Iterator[Item]:
        """One, and nothing on it."""
        yield {"computeEnvironments": []}


class DynamoDb:
    """The two tables; of the state table the records alone: events are counted."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def batch_get_item(self, RequestItems: Item) -> Item:  # noqa: N803, D102 - AWS's names
        (name,), (row,) = (RequestItems[table]["Keys"] for table in ("specs", "state"))
        found = {"specs": self._account.specs.get(name["name"]["S"]), "state": self._account.records.get(_of(row))}
        return {"Responses": {table: [item] if item else [] for table, item in found.items()}}

    def update_item(self, **asked: Any) -> Item:  # noqa: D102
        given = asked["ExpressionAttributeValues"]
        if not self._holds(asked):
            raise client_error("UpdateItem", "ConditionalCheckFailedException")
        sets = asked["UpdateExpression"].removeprefix("SET ").split(", ")
        changes = {name: given[value] for name, value in (each.split(" = ") for each in sets)}
        row = self._account.records.get(_of(asked["Key"]), {})
        self._account.records[_of(asked["Key"])] = {**asked["Key"], **row, **changes}
        return {}

    def transact_write_items(self, TransactItems: list[Item]) -> Item:  # noqa: N803, D102
        if not all(self._holds(write) for each in TransactItems for write in each.values()):
            raise client_error("TransactWriteItems", "TransactionCanceledException", ["ConditionalCheckFailed"])
        for kind, write in (pair for each in TransactItems for pair in each.items()):
            match kind:
                case "Put":
                    self._account.records[_of(write["Item"])] = write["Item"]
                case "Delete":
                    del self._account.records[_of(write["Key"])]
                case _:
                    self._account.events[write["ExpressionAttributeValues"][":reason"]["S"]] += 1
        return {}

    def _holds(self, write: Item) -> bool:
        if "ConditionExpression" not in write:
            return True
        row = self._account.records.get(_of(write.get("Key") or write["Item"]), {})
        condition = get_filter_expression(write["ConditionExpression"], {}, write["ExpressionAttributeValues"])
        item: Any = MotoItem(hash_key=DynamoType({"S": "any"}), range_key=None, attrs=row)
        return bool(condition.expr(item))

    def scan_pages(self, asked: Item) -> Iterator[Item]:  # noqa: ARG002, D102
        return ({"Items": page} for page in _pages(self._account.specs.values()))

    def query_pages(self, asked: Item) -> Iterator[Item]:
        """The index of the records, or the rows of nodes, of which there are none."""
        indexed = self._account.records.values() if "IndexName" in asked else ()
        items = ({key: value for key, value in row.items() if key in INDEXED} for row in indexed)
        return ({"Items": page} for page in _pages(items))


class CloudFormation:
    """Stacks that are made in their time and then have what their template names."""

    def __init__(self, account: Account) -> None:
        self._account, self._tokens = account, set[str]()

    def describe_stacks(self, StackName: str) -> Item:  # noqa: N803, D102
        found = self._account.stacks.get(StackName.removeprefix(STACK_PREFIX))
        if found is None:
            raise client_error("DescribeStacks", "ValidationError", message=f"Stack {StackName} does not exist")
        return {"Stacks": [found]}

    def describe_stacks_pages(self, asked: Item) -> Iterator[Item]:  # noqa: ARG002, D102
        return ({"Stacks": page} for page in _pages(self._account.stacks.values(), 100))

    def create_stack(self, **asked: Any) -> Item:  # noqa: D102
        name, key = asked["StackName"], asked["TemplateURL"].partition(f"/{BUCKET}/")[2]
        if asked["ClientRequestToken"] in self._tokens:
            return {}
        self._tokens.add(asked["ClientRequestToken"])
        stack = {"StackName": name, "StackId": f"arn:aws:cloudformation:::stack/{name}/1", "Tags": asked["Tags"]}
        self._account.stacks[name.removeprefix(STACK_PREFIX)] = stack
        self._move(stack, "CREATE_IN_PROGRESS")
        template = json.loads(self._account.objects[key])
        self._account.later(STACK, partial(self._build, stack, template["Resources"].values()))
        return {}

    def _build(self, stack: Item, resources: Iterable[Item]) -> None:
        cluster = stack["StackName"].removeprefix(STACK_PREFIX)
        for resource in resources:
            properties = resource.get("Properties", {})
            match resource["Type"]:
                case "AWS::AutoScaling::AutoScalingGroup":
                    self._account.groups[cluster].append(_group(properties))
                case "AWS::EC2::Instance":
                    start(self._account, cluster, properties["Tags"])
        self._move(stack, "CREATE_COMPLETE")

    def _move(self, stack: Item, status: str) -> None:
        stack["StackStatus"] = status
        detail = {"stack-id": stack["StackId"]}
        self._account.tell(_event("cloudformation", "CloudFormation Stack Status Change", detail))


class AutoScaling:
    """Groups that launch what they lack, and terminate what they have too many of, in their time."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def describe_auto_scaling_groups_pages(self, asked: Item) -> Iterator[Item]:  # noqa: D102
        size = asked.get("PaginationConfig", {}).get("PageSize", 50)
        found = [group for groups in _asked(asked, self._account.groups) for group in groups]
        return ({"AutoScalingGroups": page} for page in _pages(found, min(size, 100), 0))

    def describe_scaling_activities(self, **_: Any) -> Item:  # noqa: D102
        return {"Activities": []}

    def update_auto_scaling_group(self, **asked: Any) -> Item:  # noqa: D102
        cluster = asked["AutoScalingGroupName"].removeprefix(STACK_PREFIX).partition(".")[0]
        named = {group["AutoScalingGroupName"]: group for group in self._account.groups[cluster]}
        group = named[asked["AutoScalingGroupName"]]
        group.update(asked)
        for _ in range(len(group["Instances"]), group["DesiredCapacity"]):
            instance = start(self._account, cluster, group["Tags"])
            member = {"InstanceId": instance, "LifecycleState": "Pending", "HealthStatus": "Healthy"}
            group["Instances"].append(member)
            self._account.later(LAUNCH, partial(self._launched, group, member))
        while len(group["Instances"]) > group["DesiredCapacity"]:
            del self._account.instances[cluster][group["Instances"].pop()["InstanceId"]]
            self._tell(group, "EC2 Instance Terminate Successful")
        return {}

    def _launched(self, group: Item, member: Item) -> None:
        member["LifecycleState"] = "InService"
        self._tell(group, "EC2 Instance Launch Successful")

    def _tell(self, group: Item, kind: str) -> None:
        self._account.tell(_event("autoscaling", kind, {"AutoScalingGroupName": group["AutoScalingGroupName"]}))


def start(account: Account, cluster: str, tags: list[Item]) -> str:
    """Start an instance, which then runs; its id."""
    there = account.instances[cluster]
    identifier = f"i-{next(account.numbers):017x}"
    there[identifier] = {"InstanceId": identifier, "State": {"Name": "pending"}, "Tags": tags}
    account.later(LAUNCH / 2, partial(_run, account, there[identifier]))
    return identifier


def _run(account: Account, instance: Item) -> None:
    instance["State"] = {"Name": "running"}
    detail = {"instance-id": instance["InstanceId"], "state": "running"}
    account.tell(_event("ec2", "EC2 Instance State-change Notification", detail))


class Ec2:
    """Instances, and a network and instance types that are always what is asked for."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def describe_instances_pages(self, asked: Item) -> Iterator[Item]:  # noqa: D102
        size = asked.get("PaginationConfig", {}).get("PageSize", 1000)
        found: Iterable[Item] = (each for there in _asked(asked, self._account.instances) for each in there.values())
        if ids := _filter(asked, "instance-id"):
            found = [each for each in found if each["InstanceId"] in ids]
        if kinds := _filter(asked, f"tag:{NODE_TAG}"):
            found = [each for each in found if tags_of(each).get(NODE_TAG) in kinds]
        return ({"Reservations": [{"Instances": page}]} for page in _pages(found, min(size, 1000), 0))

    def describe_subnets_pages(self, asked: Item) -> Iterator[Item]:  # noqa: D102
        subnets = _filter(asked, "subnet-id")
        zone = {"VpcId": VPC, "AvailabilityZone": "us-east-1a"}
        yield {"Subnets": [{"SubnetId": subnet, **zone} for subnet in subnets]}

    def describe_instance_types_pages(self, asked: Item) -> Iterator[Item]:  # noqa: D102
        yield {"InstanceTypes": [{"InstanceType": kind} for kind in _filter(asked, "instance-type")]}

    def describe_vpcs(self, **asked: Any) -> Item:  # noqa: D102
        return {"Vpcs": [{"VpcId": vpc} for vpc in _filter(asked, "vpc-id")]}


class S3:
    """The bucket of templates."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def put_object(self, Key: str, Body: bytes, **_: Any) -> Item:  # noqa: N803, D102
        self._account.objects[Key] = Body.decode()
        return {}


class Sqs:
    """Hands every message on."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def send_message(self, QueueUrl: str, MessageBody: str, DelaySeconds: float = 0) -> Item:  # noqa: N803, D102
        self._account.deliver(QueueUrl, MessageBody, "", DelaySeconds)
        return {}

    def send_message_batch(self, QueueUrl: str, Entries: list[Item]) -> Item:  # noqa: N803, D102
        for entry in Entries:
            self._account.deliver(QueueUrl, entry["MessageBody"], entry["MessageGroupId"], 0.0)
        return {}


class Ssm:
    """Public parameters of images."""

    def get_parameter(self, **_: Any) -> Item:  # noqa: D102
        return {"Parameter": {"Value": "ami-00000001"}}


def client_error(operation: str, code: str, reasons: Iterable[str] = (), message: str = "because") -> ClientError:
    """An error as botocore raises it."""
    response: Any = {"Error": {"Code": code, "Message": message}}
    response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return ClientError(response, operation)


def _of(row: Item) -> str:
    assert row[ROW]["S"] == STATE, row
    return row["cluster"]["S"]


def _group(properties: Item) -> Item:
    sizes = {"MinSize": int(properties["MinSize"]), "MaxSize": int(properties["MaxSize"])}
    named = {"AutoScalingGroupName": properties["AutoScalingGroupName"], "Tags": properties["Tags"]}
    return {**named, **sizes, "DesiredCapacity": sizes["MinSize"], "Instances": [], "SuspendedProcesses": []}


def _event(service: str, kind: str, detail: Item) -> Item:
    return {"source": f"aws.{service}", "detail-type": kind, "detail": detail}


def _filter(asked: Mapping[str, Any], name: str) -> list[str]:
    return next((each["Values"] for each in asked.get("Filters", ()) if each["Name"] == name), [])


def _asked(asked: Mapping[str, Any], there: Mapping[str, Any]) -> list[Any]:
    """What is there of the cluster that a filter names, or of all."""
    names = _filter(asked, f"tag:{CLUSTER_TAG}")
    return [there[name] for name in names if name in there] if names else [*there.values()]


def _pages(items: Iterable[Item], most: int = 0, most_bytes: int = MEGABYTE) -> Iterator[list[Item]]:
    """Pages of so many items, and of so many bytes (0: any). There is always one page."""
    page, filled = list[Item](), 0
    for item in [*items]:
        size = len(json.dumps(item)) if most_bytes else 0
        if page and (len(page) == most or filled + size > most_bytes > 0):
            yield page
            page, filled = [], 0
        page.append(item)
        filled += size
    yield page
