"""A world around the control plane: a clock, triggers, queues that deliver again, and a cloud that ends its work.

It is a simulation of events in the order of their time. Nothing runs at once: what happens is a pass, a trigger, the
end of a stack operation, or a user's edit, and a test decides what is lost, doubled, late, failed or killed.
"""

import heapq
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from moto.dynamodb.models import dynamodb_backends

from reconciler.cluster import Cluster, parse, to_item
from reconciler.cluster.document import from_item
from reconciler.facts import HASH_TAG
from reconciler.loop import LONGEST_TIMER, Report, accepted_cluster, rendered
from reconciler.plan.agent import LOOK_AT_AGENT
from reconciler.record import Record
from reconciler.store import Refused, content_hash
from reconciler.sweep import sweep
from tests.proof.agent import Agent
from tests.unit.factories import NAME
from tests.unit.fake_batch import FakeBatch, answered, order_of, tag_of
from tests.unit.fakes import FakeCloudFormation, FakeStack, Pages, client_error
from tests.unit.plane import ACCOUNT, BUCKET, Plane, client, control_plane, is_group, launch, read_template

# Seconds, and tries: as the queues and the schedule of template.yaml have them.
VISIBILITY, TRIES, SWEEP_EVERY, PASS_SECONDS = 360, 100, 300, 60
# What ends a stack operation, and after how many seconds.
ENDS = {
    "CREATE_IN_PROGRESS": ("CREATE_COMPLETE", 40),
    "UPDATE_IN_PROGRESS": ("UPDATE_COMPLETE", 30),
    "DELETE_IN_PROGRESS": ("DELETE_COMPLETE", 30),
}
# Of Ubuntu, whose own the emulator does not know.
AMI = "ami-0123456789abcdef0"
COMPUTING = 3  # seconds that a change set takes
# What the head node's agent sees of the operator's doing.
MOVING = ("UpdateAutoScalingGroup", "TerminateInstanceInAutoScalingGroup", "PutItem", "UpdateItem")
TRIGGERS = ("stream", "stack", "group", "instance", "build", "image", "demand", "timer")
GROUP = f"muster-{NAME}.compute"


# The least cluster of AWS Batch.
LEAST = {
    "images": [{"name": "app", "dockerfile": "FROM public.ecr.aws/amazonlinux/amazonlinux:2023\n"}],
    "computeEnvironments": [{"name": "any"}],
    "queues": [{"name": "main", "computeEnvironments": ["any"]}],
    "jobDefinitions": [{"name": "run", "image": "app"}],
}


class Killed(BaseException):
    """The end of a process, which nothing catches."""


def at_once(kind: str) -> Sequence[float]:
    """Each trigger comes once, a second after its cause."""
    return (1.0,)


class Cloud(FakeCloudFormation):
    """A CloudFormation that ends what it began, by the world's clock, and tells after each call that it took effect."""

    def __init__(self, read: Callable[[str], str]) -> None:
        super().__init__(read)
        self.moved: Callable[[FakeStack, str], None] = lambda stack, status: None
        self.computing: Callable[[FakeStack, str], None] = lambda stack, name: None
        self.targets: dict[tuple[str, str], tuple[dict[str, Any], dict[str, str]]] = {}

    def _move(self, stack: FakeStack, status: str) -> None:
        super()._move(stack, status)
        self.moved(stack, status)

    def get_paginator(self, operation: str) -> "WatchedPages":
        return WatchedPages(self, operation)

    def create_change_set(self, **request: Any) -> dict[str, Any]:
        answer = super().create_change_set(**request)
        stack, name = self.find(request["StackName"]), request["ChangeSetName"]
        self.targets[stack.id, name] = stack.target, stack.target_tags
        self.computing(stack, name)
        return answer

    def execute_change_set(self, **request: Any) -> dict[str, Any]:
        stack = self.find(request["StackName"])
        known = self.targets.get((stack.id, request["ChangeSetName"]))
        if known:
            stack.target, stack.target_tags = known
        return super().execute_change_set(**request)

    def delete_stack(self, **request: Any) -> dict[str, Any]:
        """Of a stack that is gone or on its way out, nothing more is to be done."""
        if self.find(request["StackName"]).status in ("DELETE_IN_PROGRESS", "DELETE_COMPLETE"):
            self._called("DeleteStack", request)
            return {}
        return super().delete_stack(**request)

    def finish_change_set(self, stack: FakeStack, name: str) -> None:
        """Say what a change set would change: by comparison of the templates."""
        change_set = stack.change_sets.get(name)
        if change_set is None:
            return
        target, tags = self.targets[stack.id, name]
        changes = differences(stack.template["Resources"], target["Resources"])
        if not changes and tags != stack.tags:
            changes = [{"Action": "Modify", "LogicalResourceId": "Queue", "ResourceType": "AWS::SQS::Queue"}]
        change_set["Changes"] = [{"Type": "Resource", "ResourceChange": change} for change in changes]
        change_set["Status"] = "CREATE_COMPLETE" if changes else "FAILED"
        change_set["ExecutionStatus"] = "AVAILABLE" if changes else "UNAVAILABLE"
        change_set["StatusReason"] = "" if changes else "The submitted information didn't contain changes."


class WatchedPages(Pages):
    """Each page is a call, and `after` is told of it."""

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        for page in super().paginate(**request):
            if self.operation == "list_stack_resources":
                self.of.after("ListStackResources")
            yield page


def _told(operation: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Cloud, **request: Any) -> Any:
        try:
            return method(self, **request)
        finally:
            # A refusal is an answer too. The world's hook knows which calls never left.
            self.after(operation)

    return call


# CreateStack tells of itself.
for _operation in (
    "DescribeStacks",
    "DescribeStackEvents",
    "DescribeChangeSet",
    "CreateChangeSet",
    "ExecuteChangeSet",
    "DeleteChangeSet",
    "DeleteStack",
):
    _name = re.sub(r"(?<!^)(?=[A-Z])", "_", _operation).lower()
    setattr(Cloud, _name, _told(_operation, getattr(Cloud, _name)))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The resource changes from one template to another; a head node that changes is replaced."""
    return [_difference(key, old.get(key), new.get(key)) for key in sorted(old | new) if old.get(key) != new.get(key)]


def _difference(key: str, was: Mapping[str, Any] | None, becomes: Mapping[str, Any] | None) -> dict[str, Any]:
    kind = (becomes or was or {})["Type"]
    change = {"LogicalResourceId": key, "ResourceType": kind}
    if was is None or becomes is None:
        return {**change, "Action": "Add" if was is None else "Remove"}
    return {**change, "Action": "Modify", "Replacement": "True" if kind == "AWS::EC2::Instance" else "False"}


@dataclass
class Message:
    """A wake-up in a queue: when it can be received, and how often it was."""

    visible: float
    tries: int = 0


@dataclass
class World:
    """A control plane and all that happens to it. `before` and `after` are called around each AWS call of a pass."""

    plane: Plane
    cloud: Cloud
    triggers: Callable[[str], Sequence[float]] = at_once
    before: Callable[[str], None] = lambda operation: None
    after: Callable[[str], None] = lambda operation: None
    most_passes: int = 60
    broken: dict[str, str] = field(default_factory=dict[str, str])
    agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    idle: set[int] = field(default_factory=set[int])
    queues: dict[str, list[Message]] = field(default_factory=lambda: {"wakes": [], "background": []})
    history: list[str] = field(default_factory=list[str])
    passes: int = 0
    sweeps: int = 0
    dead: int = 0
    _number: int = 0
    _in_pass: bool = False
    _failed: bool = False
    _written: Any = None
    batch: bool = False
    slurm: bool = False
    least: int = 0
    agent: Agent = field(init=False)
    services: FakeBatch = field(init=False)
    _erased: bool = False
    _delay: float = 0
    _due: float = 0

    def __post_init__(self) -> None:
        self.services = FakeBatch(lambda: self.plane.now, self.at, self.trigger, _has_object)
        self.agent = Agent(lambda: self.plane.now, self.at, partial(self.trigger, "demand"))

    # What a user does.

    def write(self, **spec: Any) -> None:
        """Write the spec."""
        self._write(self.plane.document(**spec))

    def write_batch(self, batch: Mapping[str, Any] | None = None, **spec: Any) -> None:
        """Write the spec of a cluster of AWS Batch: the least one, with these parts instead."""
        self.batch = True
        document = self.plane.document(scheduler="awsbatch", batch={**LEAST, **(batch or {})}, **spec)
        del document["spec"]["headNode"], document["spec"]["queues"]
        self._write(document)

    def write_slurm(self, **spec: Any) -> None:
        """Write the spec of a cluster with Slurm: one queue, which may have three nodes, but for what is given."""
        self.slurm = True
        queues = [{"name": "compute", "instanceTypes": ["c7i.large"], "maxSize": 3}]
        self.least = (spec.get("queues") or queues)[0].get("size", 0)
        given = {"scheduler": "slurm", "image": {"os": "ubuntu2404", "ami": AMI}, "queues": queues}
        self._write(self.plane.document(**{**given, **spec}))

    def _write(self, document: Mapping[str, Any]) -> None:
        self._written = to_item(document)
        self.plane.put_raw(self._written)
        self.trigger("stream")

    def erase(self) -> None:
        """Delete the spec."""
        self._written, self._erased = None, True
        self.plane.delete()
        self.trigger("stream")

    # What happens.

    def at(self, seconds: float, what: Callable[[], None]) -> None:
        """Let something happen in so many seconds."""
        self._number += 1
        heapq.heappush(self.agenda, (self.plane.now + seconds, self._number, what))

    def trigger(self, kind: str, seconds: float = 0) -> None:
        """Something that wakes the cluster, as often and as late as the world lets it come."""
        for delay in self.triggers(kind):
            self.at(seconds + delay, self._wake)
            if kind == "timer" and seconds >= self._longest:
                self.idle.add(self._number)

    @property
    def _longest(self) -> float:
        """Seconds to the look that a cluster gets as long as it lives."""
        return LOOK_AT_AGENT if self.slurm else LONGEST_TIMER

    def _wake(self, queue: str = "wakes") -> None:
        self.queues[queue].append(Message(self.plane.now))

    def rest(self) -> None:
        """Until nothing is left to happen, but that a cluster which waits for nothing is looked at in a while."""
        self.until(self._idle)

    def _idle(self) -> bool:
        """Whether only looks are left that a cluster gets as long as it lives."""
        looks = all(number in self.idle and when > self.plane.now for when, number, _ in self.agenda)
        if not looks or any(self.queues.values()):
            return False
        if not self._erased and len(self.agent.idle) > self.least:
            return False  # nodes go yet, at a look that may have been set for something else
        _, record = self.plane.store.load(NAME)
        if record is None or record.deleting_since is not None:
            return not self.agenda
        tried = [each.retry_at for each in (record.failure, record.trouble) if each]
        return not any(tried)

    def until(self, stop: Callable[[], bool]) -> None:
        """Until something is so, or nothing is left to happen."""
        while not stop() and self._step():
            assert self.passes <= self.most_passes, f"no rest after {self.passes} passes: {self._shown()}"

    def go_on(self, seconds: float) -> None:
        """Let happen what is due within so many seconds, and let them pass."""
        end = self.plane.now + seconds
        while self._next() <= end and self._step():
            assert self.passes <= self.most_passes, f"no rest after {self.passes} passes: {self._shown()}"
        self.plane.now = max(self.plane.now, end)

    def _heads(self) -> list[tuple[float, list[Message]]]:
        return [(max(queue[0].visible, self.plane.now), queue) for queue in self.queues.values() if queue]

    def _next(self) -> float:
        """When the next thing happens."""
        return min([due for due, _ in self._heads()] + [when for when, _, _ in self.agenda[:1]], default=math.inf)

    def _step(self) -> bool:
        due, queue = min(self._heads(), key=lambda head: head[0], default=(None, None))
        if self.agenda and (due is None or self.agenda[0][0] <= due):
            when, _, what = heapq.heappop(self.agenda)
            self.plane.now = max(self.plane.now, when)
            what()
            return True
        if queue is None or due is None:
            return False
        self.plane.now = due
        self._receive(queue)
        return True

    def _receive(self, queue: list[Message]) -> None:
        message = queue[0]
        message.tries += 1
        if message.tries > TRIES:
            queue.remove(message)
            self.dead += 1
            return
        self.passes += 1
        wait = min(2 ** (message.tries - 1), 300)
        try:
            report = self._pass()
        except Refused as refused:
            message.visible = self.plane.now + max(1, min(refused.seconds, wait))
        except Killed:
            message.visible = self.plane.now + VISIBILITY
        except Exception:  # noqa: BLE001 - as the queue does it, whatever it is
            message.visible = self.plane.now + wait
        else:
            self._acknowledge(queue, message)
            self.check(report)
        finally:
            self.plane.now += 1

    @staticmethod
    def _acknowledge(queue: list[Message], message: Message) -> None:
        """If another has not yet: the message may have become visible under the pass."""
        queue[:] = [each for each in queue if each is not message]

    def _pass(self) -> Report:
        self.agent.sign()
        outer, self._in_pass = self._in_pass, True
        self.plane.left = PASS_SECONDS
        try:
            return self.plane.go(owner=f"pass-{self.passes}")
        finally:
            self._in_pass = outer

    def sweep(self) -> dict[str, str]:
        """One sweep, at its time; what it found. A cluster with Slurm is looked at more often than that."""
        if self.slurm:
            self.go_on(SWEEP_EVERY)
        else:
            self.plane.now += SWEEP_EVERY
        self.sweeps += 1
        found = sweep(self.plane.clients, self.plane.settings, self.plane.now)
        for name in found:
            assert name == NAME
            self._wake("background")
        return found

    def settle(self, most: int) -> int:
        """Rest, and sweep until a sweep finds nothing; how many found something."""
        useful = 0
        while useful <= most:
            self.rest()
            if self.sweep():
                useful += 1
            elif not self._awaited():
                self.rest()  # a timer that came while the sweep looked has its pass
                return useful
        raise AssertionError(f"{most} sweeps do not do: {self._shown()}")

    def _awaited(self) -> bool:
        """Whether the record says that it is looked at, and nothing will wake it for that: its timer is lost.

        A look that every cluster gets as long as it lives may be lost, if its message has left.
        """
        _, record = self.plane.store.load(NAME)
        if record is None or record.timer is None or any(number not in self.idle for _, number, _ in self.agenda):
            return False
        left = abs(record.timer - self._due) < 1
        return not left or self._delay < self._longest

    # Calls.

    def called(self, operation: str) -> None:
        if not self._in_pass:
            return
        self._failed = True  # until it is known to have left
        if operation in self.broken:
            raise client_error(operation, self.broken[operation])
        self.before(operation)
        self._failed = False

    def answer(self, service: str, operation: str, request: Any) -> Any:
        """What the emulator is not asked for."""
        if operation == "BatchGetItem":
            return answered(_items(request))
        return self.services.answer(service, operation, request)

    def answered(self, operation: str) -> None:
        if not self._in_pass or self._failed:
            return
        if operation == "SendMessage":
            self._delay = self.plane.clients.sent[-1]["DelaySeconds"]
            self._due = self.plane.now + self._delay
            self.trigger("timer", self._delay)
        if operation == "UpdateAutoScalingGroup":
            self.trigger("group")
        if operation == "TerminateInstances":
            self.trigger("instance")
        if operation == "TerminateInstanceInAutoScalingGroup":
            self.trigger("group")
        if self.slurm and operation in MOVING:
            self.agent.kick()
        self.after(operation)

    def moved(self, stack: FakeStack, status: str) -> None:
        self.history.append(status)
        self.trigger("stack")
        if status in ENDS:
            end, seconds = ENDS[status]
            self.at(seconds / 2, partial(self._prepare, stack, status))
            self.at(seconds, partial(self._end, stack, status, end))

    def _prepare(self, stack: FakeStack, status: str) -> None:
        """What an operation makes first is there long before it has ended."""
        making = {"CREATE_IN_PROGRESS": stack.template, "UPDATE_IN_PROGRESS": stack.target}
        if stack.status == status and status in making:
            self.services.prepare(making[status])

    def _end(self, stack: FakeStack, status: str, end: str) -> None:
        if stack.status == status:
            self.cloud.end(end, stack=stack)

    # What must hold.

    def check(self, report: Report) -> None:
        """After each acknowledged pass: the item is as the user wrote it, and a status that says Ready is true."""
        item, record = self.plane.store.load(NAME)
        assert item == self._written, "the user's item is not what the user wrote"
        living = [stack for stack in self.cloud.stacks if stack.status != "DELETE_COMPLETE"]
        assert len(living) <= 1, "two stacks"
        assert self._erased or not self.services.lost, "the operator ended a job"
        assert self._erased or not self.agent.lost, "the operator ended a job"
        if item is None or report.result not in ("acted", "reported", "unchanged"):
            return
        assert record is not None
        conditions = {each["type"]: each["status"] for each in record.status["conditions"]}
        if conditions.get("Ready") == "True":
            self._check_ready(item, record)

    def _check_ready(self, item: Mapping[str, Any], record: Record) -> None:
        if record.spec_hash != content_hash(item):
            return  # it was edited under the pass, and observedGeneration says which one Ready speaks of
        wanted = parse(from_item(item))
        assert isinstance(wanted, Cluster)
        assert record.status["observedGeneration"] == record.generation
        assert wanted == accepted_cluster(record), "Ready, but of another spec"
        stack = self.cloud.stacks[-1]
        assert stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), f"Ready, and the stack is {stack.status}"
        assert stack.tags[HASH_TAG] == rendered(self.plane.settings, wanted, record.pins).hash
        if wanted.spec.batch:
            self._check_batch(wanted, record)
        for queue in wanted.spec.queues:
            group = self.plane.group(queue.name)
            if self.slurm:
                low, high, _ = queue.bounds
                assert group["MinSize"] == 0
                assert low <= group["DesiredCapacity"] <= high or wanted.spec.fleet == "stopped"
                continue
            assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == queue.bounds
            assert not group["SuspendedProcesses"]

    def _check_batch(self, wanted: Cluster, record: Record) -> None:
        batch, made = self.services, rendered(self.plane.settings, wanted, record.pins).batch
        assert made is not None
        assert wanted.spec.batch is not None
        sizes = {each.name: (each.min_vcpus or 0, each.max_vcpus) for each in wanted.spec.batch.compute_environments}
        for name, of in made.environments.items():
            seen = batch.environments[name]
            assert (seen["state"], seen["status"]) == ("ENABLED", "VALID")
            assert (seen["computeResources"]["minvCpus"], seen["computeResources"]["maxvCpus"]) == sizes[of]
        for name, order in made.orders.items():
            seen = batch.queues[name]
            assert (seen["state"], seen["status"]) == ("ENABLED", "VALID")
            assert [each.rpartition("/")[2] for each in order_of(seen)] == list(order)
        assert {each.tag for each in made.images} <= batch.images.keys()
        active = [each for each in batch.definitions.values() if each["status"] == "ACTIVE"]
        assert len(active) == len(wanted.spec.batch.job_definitions)
        assert {image_of(each) for each in active} <= batch.images.keys()

    def end(self) -> dict[str, Any]:
        """All that is there, without times, fences, tokens and ids."""
        rows = [row for partition in (NAME, f"{NAME}/nodes") for row in self.plane.rows(partition)]
        living = [stack for stack in self.cloud.stacks if stack.status != "DELETE_COMPLETE"]
        return {
            "item": self.plane.store.load(NAME)[0],
            "stacks": [[stack.status, stack.tags, stack.template, sorted(stack.change_sets)] for stack in living],
            "history": self.history,
            "groups": _groups(),
            "heads": len(_heads()),
            **_batch(self.services),
            "objects": sorted(set(self.plane.objects())),
            "record": [_bare(row) for row in rows if not row["row"].startswith("EVENT#")],
            "events": sorted({row["reason"] for row in rows if row["row"].startswith("EVENT#")}),
        }

    def _shown(self) -> str:
        return json.dumps([_bare(row) for row in self.plane.rows() if row["row"] == "STATE"], default=str)[:2000]

    # The cloud.

    def build(self, template: Mapping[str, Any]) -> Mapping[str, str]:
        resources = template["Resources"].values()
        wanted = {r["Properties"]["AutoScalingGroupName"]: r["Properties"] for r in resources if is_group(r)}
        found = {name for name in _groups() if name.startswith(f"muster-{NAME}.")}
        scaling = client("autoscaling")
        for name in sorted(wanted.keys() - found):
            protected = wanted[name]["NewInstancesProtectedFromScaleIn"]
            make_group(name, self.plane.subnet, wanted[name]["Tags"], protected=protected)
        for name in sorted(found - wanted.keys()):
            scaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        heads = [r["Properties"]["Tags"] for r in resources if r["Type"] == "AWS::EC2::Instance"]
        if heads and not _heads():
            launch(self.plane.subnet, TagSpecifications=[{"ResourceType": "instance", "Tags": heads[0]}])
        return self.services.build(template)

    def raze(self) -> None:
        for name in _groups():
            if name.startswith(f"muster-{NAME}."):
                client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        if _heads():
            client("ec2").terminate_instances(InstanceIds=_heads())
        self.services.raze()


def make_group(name: str, subnet: str, tags: Sequence[Mapping[str, Any]] = (), *, protected: bool = False) -> None:
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=5000,
        LaunchTemplate={"LaunchTemplateName": "any", "Version": "1"},
        VPCZoneIdentifier=subnet,
        NewInstancesProtectedFromScaleIn=protected,
        Tags=[{**tag, "ResourceId": name, "ResourceType": "auto-scaling-group"} for tag in tags],
    )


def _groups() -> dict[str, Any]:
    found = client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return {
        group["AutoScalingGroupName"]: [
            group["MinSize"],
            group["MaxSize"],
            group["DesiredCapacity"],
            len(group["Instances"]),
            sorted(process["ProcessName"] for process in group["SuspendedProcesses"]),
        ]
        for group in found
    }


def _batch(batch: FakeBatch) -> dict[str, Any]:
    definitions = batch.definitions.values()
    return {
        "environments": [
            [each["computeEnvironmentName"], each["state"], each["status"], each["computeResources"]]
            for each in batch.environments.values()
        ],
        "job queues": [
            [each["jobQueueName"], each["state"], each["status"], order_of(each)] for each in batch.queues.values()
        ],
        "definitions": [image_of(each) for each in definitions if each["status"] == "ACTIVE"],
        "images": sorted(batch.images),
        "jobs": [[job.id, job.status] for job in batch.jobs],
        "builds": [[tag_of(build), build["buildStatus"]] for build in batch.builds.values()],
        "building": [name for name, build in batch.builds.items() if build["buildStatus"] == "IN_PROGRESS"],
    }


def image_of(definition: Mapping[str, Any]) -> str:
    """The tag of the image that a job definition runs."""
    return definition["_made"][1]["ContainerProperties"]["Image"].rpartition(":")[2]


def _heads() -> list[str]:
    filters = [
        {"Name": "tag:muster:node", "Values": ["head"]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]},
    ]
    found = client("ec2").describe_instances(Filters=filters)["Reservations"]
    return [instance["InstanceId"] for each in found for instance in each["Instances"]]


# Times, fences, tokens and ids; and what a killed pass cannot have told (`lastPlan`).
PASSING = {
    *("uid", "fence", "leaseOwner", "leaseExpires", "created", "timer", "digest", "stackId"),
    *("deletingSince", "unsettled"),
}
PASSING_STATUS = {"lastPlan", "headNode", "stack"}
# Of rows of nodes, when things were so.
PASSING |= {"at", "since", "document", "reason"}


def _bare(row: Mapping[str, Any]) -> dict[str, Any]:
    status = {key: value for key, value in row.get("status", {}).items() if key not in PASSING_STATUS}
    status["conditions"] = [
        {key: value for key, value in condition.items() if key != "lastTransitionTime"}
        for condition in status.get("conditions", ())
    ]
    bare = {key: value for key, value in row.items() if key not in PASSING} | {"status": status}
    if "served" in row:
        bare.pop("name")
    return json.loads(re.sub(r"\bi-[0-9a-f]+", "i-", json.dumps(bare, default=str, sort_keys=True)))


def _has_object(location: str) -> bool:
    bucket, _, key = location.partition("/")
    return bool(client("s3").list_objects_v2(Bucket=bucket, Prefix=key).get("Contents"))


def _items(request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to BatchGetItem. moto has it too, and took half of all the time to write it down."""
    tables = dynamodb_backends[ACCOUNT]["us-east-1"]
    found = {
        name: [tables.get_item(name, key) for key in wanted["Keys"]] for name, wanted in request["RequestItems"].items()
    }
    return {
        "Responses": {name: [item.to_json()["Attributes"] for item in items if item] for name, items in found.items()},
        "UnprocessedKeys": {},
    }


@contextmanager
def world() -> Iterator[World]:
    """A control plane and, beside it, things of somebody else's that look like Muster's."""
    with control_plane() as plane:
        cloud = Cloud(read_template)
        made = World(plane, cloud)
        plane.cloudformation = plane.clients.cloudformation = cloud
        cloud.moved, cloud.build, cloud.raze = made.moved, made.build, made.raze
        plane.clients.stand_in = made.answer
        cloud.computing = lambda stack, name: made.at(COMPUTING, partial(cloud.finish_change_set, stack, name))
        for each in (plane.clients, cloud):
            each.before, each.after = made.called, made.answered
        make_group("muster-other.compute", plane.subnet)
        for key in (f"clusters/{NAME}-2/templates/x.json", f"clusters/{NAME}.json"):
            client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"somebody else's")
        yield made
