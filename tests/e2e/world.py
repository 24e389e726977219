"""What a scenario works with: a user's hands on the tables, an administrator's on AWS, and eyes on all of it."""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from typing import Any, TypeVar

import boto3
from botocore.exceptions import ClientError

from local.aws import REGION, LocalAws
from local.deploy import ControlPlane
from local.fixtures import Network
from reconciler.facts import artifacts_prefix, group_name, stack_name
from reconciler.store import NAMES, decode, encode, partition, state_key

Json = dict[str, Any]
T = TypeVar("T")

# Seconds. A scenario that has not come about by then has failed; each is over in a fraction of it.
PATIENCE = 120.0
POLL = 0.1


class World:
    """One AWS with one control plane in it, shared by all scenarios of a session."""

    def __init__(self, aws: LocalAws, plane: ControlPlane, net: Network) -> None:
        self.aws, self.plane, self.net = aws, plane, net
        self.client: Callable[[str], Any] = aws.client

    def out(self, name: str) -> str:
        """An output of the control plane's stack."""
        return self.plane.outputs[name]

    @cache  # noqa: B019 - one world lives as long as the session
    def physical(self, logical_id: str) -> str:
        """The physical id of a resource of the control plane's stack."""
        found = self.client("cloudformation").describe_stack_resource(
            StackName=self.plane.stack, LogicalResourceId=logical_id
        )
        return found["StackResourceDetail"]["PhysicalResourceId"]

    def spec(self, **changes: Any) -> Json:
        """A small cluster's spec: a head node and a queue of two."""
        return {
            "headNode": {"instanceType": "t3.medium"},
            "queues": [queue()],
            "network": {"vpcId": self.net.vpc_id, "subnetIds": list(self.net.subnet_ids)},
        } | changes

    @contextlib.contextmanager
    def behaving(self, **settings: Any) -> Iterator[None]:
        """Let AWS behave so (`local.additions.settings`) for the time of the block."""
        before = self.aws.set()
        self.aws.set(**settings)
        try:
            yield
        finally:
            self.aws.set(**{name: before[name] for name in settings})

    @contextlib.contextmanager
    def denied(self, role: str, *actions: str) -> Iterator[None]:
        """Deny a role of the control plane these actions for the time of the block."""
        iam, name = self.client("iam"), self.physical(role)
        statement = {"Effect": "Deny", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName="denied", PolicyDocument=document)
        try:
            yield
        finally:
            iam.delete_role_policy(RoleName=name, PolicyName="denied")

    def as_role(self, name: str) -> Callable[[str], Any]:
        """A maker of clients that act with a role's rights and no others.

        The local STS does not look at trust policies, so that the administrator can take any role.
        """
        arn = self.client("iam").get_role(RoleName=name)["Role"]["Arn"]
        keys = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="scenario")["Credentials"]
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        session = boto3.Session(*(keys[name] for name in names), region_name=REGION)
        return cache(lambda service: session.client(service, endpoint_url=self.aws.endpoint))

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Lose the events of all services for the time of the block."""
        events, rules = self.client("events"), [self.physical(rule) for rule in RULES]
        for rule in rules:
            events.disable_rule(Name=rule)
        try:
            yield
        finally:
            for rule in rules:
                events.enable_rule(Name=rule)

    def under_way(self) -> int:
        """How many messages wait or are worked on; those that are still delayed are not counted."""
        kinds = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        urls = [self.out(f"{queue}QueueUrl") for queue in ("Inbox", "Wakes", "Background")]
        answers = [self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=kinds) for url in urls]
        return sum(int(answer["Attributes"][kind]) for answer in answers for kind in kinds)

    def sweep(self) -> dict[str, str]:
        """Run the sweep now; returns the clusters that it woke, and why."""
        answer = self.client("lambda").invoke(FunctionName=self.physical("SweepFunction"))
        said = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, said
        return said

    def logs(self, function: str, since: float = 0.0) -> list[Json]:
        """What a function (wake, reconcile, sweep, cleanup) itself logged since a time."""
        return [json.loads(line) for line in self._lines(function, since) if line.startswith("{")]

    def _lines(self, function: str, since: float) -> list[str]:
        group = f"/muster-operator/{self.plane.stack}/{function}"
        pages = self.client("logs").get_paginator("filter_log_events")
        found = pages.paginate(logGroupName=group, startTime=int(since * 1000))
        return [event["message"] for page in found for event in page["events"]]

    def state(self, key: Json) -> Json | None:
        """A row of the state table."""
        found = self.client("dynamodb").get_item(TableName=self.out("StateTable"), Key=key, ConsistentRead=True)
        return decode(found["Item"]) if "Item" in found else None

    def breakdowns(self) -> list[str]:
        """What the functions logged as an error of their own: a pass that met an error of AWS's is not one."""
        signs = ('"level":"ERROR"', "Traceback", "Task timed out")
        lines = (line for function in FUNCTIONS for line in self._lines(function, 0.0))
        return [line for line in lines if any(sign in line for sign in signs)]

    def dead_letters(self) -> dict[str, int]:
        """The queues of messages that were given up, and how many each has; empty ones are left out."""
        sqs, kind = self.client("sqs"), "ApproximateNumberOfMessages"
        urls = {name: self.physical(name) for name in DEAD_LETTERS}
        counts = {
            name: int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[kind])["Attributes"][kind])
            for name, url in urls.items()
        }
        return {name: count for name, count in counts.items() if count}

    def tagged(self, cluster: str) -> list[str]:
        """The ARNs of everything that bears a cluster's tag, whatever the service."""
        pages = self.client("resourcegroupstaggingapi").get_paginator("get_resources")
        found = pages.paginate(TagFilters=[{"Key": "muster:cluster", "Values": [cluster]}])
        return sorted(each["ResourceARN"] for page in found for each in page["ResourceTagMappingList"])

    def objects(self, prefix: str) -> list[str]:
        """Keys of all versions and delete markers below a prefix of the artifacts bucket."""
        pages = self.client("s3").get_paginator("list_object_versions")
        found = pages.paginate(Bucket=self.out("ArtifactsBucket"), Prefix=prefix)
        return [each["Key"] for page in found for kind in ("Versions", "DeleteMarkers") for each in page.get(kind, ())]


RULES = ("StackRule", "GroupRule", "BuildRule", "ImageRule", "SpotRule", "InstanceRule")
FUNCTIONS = ("wake", "reconcile", "sweep", "cleanup")
DEAD_LETTERS = ("WakesDeadLetters", "BackgroundDeadLetters", "InboxDeadLetters", "StreamFailures")


def queue(name: str = "compute", **changes: Any) -> Json:
    """A queue of two nodes."""
    fields = {"name": name, "instanceTypes": ["c6i.large", "c5.large"], "size": 2}
    return {key: value for key, value in (fields | changes).items() if value is not None}


def conditions(status: Mapping[str, Any]) -> dict[str, Json]:
    """A status's conditions by type."""
    return {each["type"]: each for each in status.get("conditions", ())}


class Cluster:
    """A cluster of a scenario's own: its spec, its record, and what there is of it in AWS."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.born = time.time()
        self.spec: Json = {}

    # --- what its user does

    def put(self, spec: Any = None, **attributes: Any) -> None:
        """Put the item, as `aws dynamodb put-item` does; no spec is the small one."""
        self.spec = self.world.spec() if spec is None else spec
        self.put_item({"spec": self.spec, **attributes})

    def edit(self, **changes: Any) -> None:
        """Put the spec with these fields changed."""
        self.put({**self.spec, **changes})

    def put_item(self, attributes: Json) -> None:
        """Put an item of any content under the cluster's name."""
        item = encode({"name": self.name, **attributes})
        self.world.client("dynamodb").put_item(TableName=self.world.out("SpecsTable"), Item=item)

    def delete(self) -> None:
        """Delete the item."""
        key = encode({"name": self.name})
        self.world.client("dynamodb").delete_item(TableName=self.world.out("SpecsTable"), Key=key)

    # --- what there is to see

    @property
    def record(self) -> Json | None:
        """The operator's record."""
        return self.world.state(state_key(self.name))

    @property
    def status(self) -> Json:
        """The status as its user reads it."""
        return (self.record or {}).get("status", {})

    def condition(self, kind: str) -> Json:
        """A condition, empty if there is none."""
        return conditions(self.status).get(kind, {})

    @property
    def events(self) -> list[Json]:
        """The events, the oldest first."""
        answer = self.world.client("dynamodb").query(
            TableName=self.world.out("StateTable"),
            KeyConditionExpression="#cluster = :name AND begins_with(#row, :event)",
            ExpressionAttributeNames=NAMES,
            ExpressionAttributeValues=encode({":name": partition(self.name), ":event": "EVENT#"}),
        )
        return sorted(map(decode, answer["Items"]), key=lambda event: event["firstTimestamp"])

    def event(self, reason: str) -> Json | None:
        """The newest event of a reason."""
        found = [event for event in self.events if event["reason"] == reason]
        return max(found, key=lambda event: event["lastTimestamp"], default=None)

    @property
    def stack_name(self) -> str:
        return stack_name(self.name)

    @property
    def stack(self) -> Json | None:
        """The stack as DescribeStacks shows it."""
        try:
            return self.world.client("cloudformation").describe_stacks(StackName=self.stack_name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    @property
    def resources(self) -> dict[str, Json]:
        """The stack's resources by logical id."""
        pages = self.world.client("cloudformation").get_paginator("list_stack_resources")
        found = pages.paginate(StackName=self.stack_name)
        return {each["LogicalResourceId"]: each for page in found for each in page["StackResourceSummaries"]}

    def made(self, kind: str) -> list[str]:
        """The physical ids of the stack's resources of a type."""
        return sorted(each["PhysicalResourceId"] for each in self.resources.values() if each["ResourceType"] == kind)

    def group(self, queue: str = "compute") -> Json | None:
        """A queue's Auto Scaling group."""
        name = self.group_name(queue)
        answer = self.world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return next(iter(answer["AutoScalingGroups"]), None)

    def group_name(self, queue: str = "compute") -> str:
        return group_name(self.name, queue)

    def sizes(self, queue: str = "compute") -> tuple[int, int, int, int] | None:
        """Minimum, maximum, desired and in-service size of a queue's group."""
        found = self.group(queue)
        if found is None:
            return None
        there = sum(member["LifecycleState"] == "InService" for member in found.get("Instances", ()))
        return found["MinSize"], found["MaxSize"], found["DesiredCapacity"], there

    @property
    def instances(self) -> list[Json]:
        """The instances that bear the cluster's tag and are not terminated."""
        ours = [{"Name": "tag:muster:cluster", "Values": [self.name]}]
        pages = self.world.client("ec2").get_paginator("describe_instances").paginate(Filters=ours)
        found = [each for page in pages for some in page["Reservations"] for each in some["Instances"]]
        return [each for each in found if each["State"]["Name"] != "terminated"]

    def nodes(self, queue: str = "compute") -> set[str]:
        """The ids of a queue's instances, as the group has them."""
        return {member["InstanceId"] for member in (self.group(queue) or {}).get("Instances", ())}

    @property
    def head(self) -> str:
        """The head node's instance id, as the status tells it."""
        return self.status["headNode"]["instanceId"]

    @property
    def picture(self) -> Json:
        """All that must not change while nothing is to be done: stack, groups and instances."""
        stack = self.stack or {}
        return {
            "stack": [stack.get(key) for key in ("StackId", "StackStatus", "LastUpdatedTime", "Tags")],
            "groups": [(name, self.sizes(name), sorted(self.nodes(name))) for name in self.queues],
            "instances": sorted((each["InstanceId"], each["State"]["Name"]) for each in self.instances),
        }

    @property
    def queues(self) -> list[str]:
        """The names of the queues that the stack has groups for."""
        groups = self.made("AWS::AutoScaling::AutoScalingGroup") if self.stack else []
        return [name.rpartition(".")[2] for name in groups]

    def wakes(self, source: str) -> int:
        """How many wake-ups for the cluster were made of such triggers since the scenario began."""
        lines = self.world.logs("wake", self.born)
        return sum((each.get("cluster"), each.get("source")) == (self.name, source) for each in lines)

    def passes(self, source: str) -> int:
        """How many passes over the cluster such wake-ups made since the scenario began."""
        lines = self.world.logs("reconcile", self.born)
        told = [each for each in lines if each.get("message") == "pass" and each.get("cluster") == self.name]
        return sum(each.get("wake") == source for each in told)

    # --- waiting

    def until(self, what: str, seen: Callable[[], T | None]) -> T:
        """Look again and again until `seen` finds something; its finding. A failure tells all there is to know."""
        started = time.monotonic()
        while not (found := seen()):
            if time.monotonic() - started > PATIENCE:
                raise AssertionError(f"cluster {self.name}: not within {PATIENCE:.0f} s: {what}\n{self.story()}")
            time.sleep(POLL)
        return found

    def until_condition(self, kind: str, status: bool, reason: str = "", generation: int | None = None) -> Json:
        """Wait for a condition with this status, reason and observed generation (where given); the condition."""

        def seen() -> Json | None:
            now = self.condition(kind)
            fits = now.get("status") == str(status) and reason in ("", now.get("reason"))
            return now if fits and generation in (None, now.get("observedGeneration")) else None

        of = f" of generation {generation}" if generation else ""
        return self.until(f"condition {kind}={status} {reason}{of}", seen)

    def until_ready(self, generation: int | None = None) -> Json:
        """Wait until the operator calls this generation of the spec ready; the status."""
        self.until_condition("Ready", True, generation=generation)
        return self.status

    def until_event(self, reason: str) -> Json:
        """Wait for an event of this reason; the event."""
        return self.until(f"an event {reason}", lambda: self.event(reason))

    def until_gone(self) -> None:
        """Wait until the operator has forgotten the cluster."""
        self.until("the end of the record", lambda: self.record is None)

    def wake(self) -> None:
        """Send the cluster's own timer message, so that a pass comes now."""
        body = json.dumps({"timer": {"cluster": self.name}})
        self.world.client("sqs").send_message(QueueUrl=self.world.out("InboxQueueUrl"), MessageBody=body)

    def until_quiet(self) -> None:
        """Wait until no event, wake-up or pass is under way, of whatever cluster."""
        self.until("quiet", lambda: not self.world.under_way())

    def pass_time(self) -> None:
        """Make due now what the operator put off to a later time after a failure, and let it look.

        A retry comes after half a minute at the soonest. The record is the one place where that time is kept, and
        it is written here as by a pass: only if none has written since it was read, and none that reads now can.
        """
        self.until("the record's times", self.make_due)

    def make_due(self) -> bool:
        """The same, if it can be done now; whether it could."""
        made = self._made_due()
        if made:
            self.wake()
        return made

    def _made_due(self) -> bool:
        record = self.record
        late = [name for name in ("failure", "trouble") if record and (record.get(name) or {}).get("retry_at")]
        if record is None or not late or record.get("leaseOwner"):
            return False
        sets = ", ".join(f"{name}.retry_at = :due" for name in late)
        table = self.world.client("dynamodb")
        try:
            table.update_item(
                TableName=self.world.out("StateTable"),
                Key=state_key(self.name),
                UpdateExpression=f"SET {sets}, fence = fence + :one REMOVE #timer",
                ConditionExpression="fence = :fence AND attribute_not_exists(leaseOwner)",
                ExpressionAttributeNames={"#timer": "timer"},
                ExpressionAttributeValues=encode({":due": 1, ":one": 1, ":fence": record["fence"]}),
            )
        except table.exceptions.ConditionalCheckFailedException:
            return False
        return True

    # --- for whoever reads a failure

    def story(self) -> str:
        """All that a person would look at: status, events, stack events, the last passes."""
        record = self.record or {}
        memory = {key: record.get(key) for key in ("failure", "trouble", "pending", "timer", "changeSet", "leaseOwner")}
        parts: Iterable[tuple[str, Iterable[Any]]] = (
            ("record", [json.dumps({**memory, "status": record.get("status")}, indent=1, default=str)]),
            ("events", (f"{e['lastTimestamp']} {e['reason']} x{e['count']}: {e['message']}" for e in self.events)),
            ("stack events", self._stack_events()),
            ("wakes", self._last("wake", ("timestamp", "message", "source"))),
            ("passes", self._last("reconcile", ("timestamp", "message", "wake", "result", "actions", "exception"))),
        )
        return "\n".join(f"--- {title}\n" + "\n".join(map(str, lines)) for title, lines in parts)

    def _stack_events(self) -> list[str]:
        try:
            found = self.world.client("cloudformation").describe_stack_events(StackName=self.stack_name)["StackEvents"]
        except ClientError as error:
            return [str(error)]
        failed = [event for event in found if "FAILED" in event["ResourceStatus"] or "ResourceStatusReason" in event]
        return [
            f"{e['LogicalResourceId']} {e['ResourceStatus']} {e.get('ResourceStatusReason', '')}" for e in failed[:20]
        ]

    def _last(self, function: str, keys: tuple[str, ...]) -> list[str]:
        lines = [line for line in self.world.logs(function, self.born) if line.get("cluster") == self.name]
        return [json.dumps({key: line[key] for key in keys if line.get(key)}) for line in lines[-15:]]

    @cached_property
    def prefix(self) -> str:
        """Where its objects lie in the artifacts bucket."""
        return artifacts_prefix(self.name)
