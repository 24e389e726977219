"""The deployed control plane, its AWS calls spoiled over HTTP: its clusters' lives are those of undisturbed ones.

In each life a cluster is made, changed and deleted, and in each of the three steps one call meets a fault. By default
every other call of each step meets one of the faults in turn; MUSTER_PROOF=full has each meet all of them.
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle, zip_longest
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws import local_aws
from local.deploy import deploy
from local.faults import LOST, MALFORMED, RESET, Proxy, error, faults
from local.fixtures import network
from reconciler.store import encode, state_key
from tests.e2e.world import POLL, Cluster, Json, World, queue

# What the functions call in each step of a life.
ALWAYS = (
    "sqs SendMessageBatch",
    "sqs SendMessage",
    "dynamodb BatchGetItem",
    "dynamodb UpdateItem",
    "dynamodb TransactWriteItems",
    "cloudformation DescribeStacks",
    "autoscaling DescribeAutoScalingGroups",
    "autoscaling UpdateAutoScalingGroup",
    "ec2 DescribeInstances",
)
RESOLVED = ("ec2 DescribeSubnets", "ec2 DescribeInstanceTypes", "s3 PutObject")
CALLS = {
    "create": (*ALWAYS, *RESOLVED, "ssm GetParameter", "cloudformation CreateStack"),
    "update": (
        *ALWAYS,
        *RESOLVED,
        "cloudformation CreateChangeSet",
        "cloudformation DescribeChangeSet",
        "cloudformation ExecuteChangeSet",
    ),
    "delete": (
        *ALWAYS,
        "cloudformation ListStackResources",
        "cloudformation DeleteStack",
        "dynamodb Query",
        "ec2 DescribeVolumes",
        "s3 DeleteObjects",
        "s3 ListObjectVersions",
    ),
}
# A pass that meets another's lease is of no life in particular.
GIVEN_BACK = {"sqs ChangeMessageVisibility"}
THROTTLED = {"ec2": "RequestLimitExceeded", "s3": "SlowDown", "sqs": "RequestThrottled"}
DENIED = {"ec2": "UnauthorizedOperation", "dynamodb": "AccessDeniedException", "ssm": "AccessDeniedException"}
# A rule by service. The SDK tries four times, so that two faults outlast it and the others are met by it or at once.
FAULTS: dict[str, Callable[[str], Json]] = {
    "throttled": lambda service: {"times": 4, **error(THROTTLED.get(service, "Throttling"))},
    "5xx": lambda _: {"times": 1, **error("InternalFailure", 500)},
    "reset": lambda _: {"times": 1, **RESET},
    "lost": lambda _: {"times": 1, **LOST},
    "denied": lambda service: {"times": 1, **error(DENIED.get(service, "AccessDenied"), 403)},
    "malformed": lambda _: {"times": 1, **MALFORMED},
}
# Its answer has no body that could be lost.
BARE = {("s3 PutObject", "lost"), ("s3 PutObject", "malformed")}
SEEN: Json = {"service": "*"}  # does nothing; the call is told
# Seconds without a change after which a lease is no living pass's, and after which the sweep is due.
DEAD_AFTER, SWEEP_AFTER = 2.0, 5.0
PATIENCE = 120.0

Case = tuple[str, str]


def cases(step: str) -> list[Case]:
    """Calls of a step with the faults that they meet."""
    names = list(FAULTS)
    if os.environ.get("MUSTER_PROOF") == "full":
        return [(call, name) for call in CALLS[step] for name in names if (call, name) not in BARE]
    turn = list(CALLS).index(step) * 2
    return [
        (call, "reset" if (call, name) in BARE else name)
        for call, name in zip(CALLS[step][::2], cycle(names[turn:] + names[:turn]))
    ]


LIVES = list(zip_longest(*map(cases, CALLS)))


@dataclass
class Life:
    """One cluster, driven through its steps; `told` is what its status said of calls that failed."""

    world: World
    cluster: Cluster
    told: set[str] = field(default_factory=set)
    swept: bool = False

    def create(self) -> None:
        self.cluster.put()
        self._until(lambda: self._ready(1))

    def update(self) -> None:
        self.cluster.edit(tags={"team": "physics"}, queues=[queue(size=3), queue("more", size=1)])
        self._until(lambda: self._ready(2))

    def delete(self) -> None:
        self.cluster.delete()
        self._until(lambda: self.cluster.record is None)

    def _ready(self, generation: int) -> bool:
        ready = self.cluster.condition("Ready")
        return (ready.get("status"), ready.get("observedGeneration")) == ("True", generation)

    def _until(self, done: Callable[[], bool]) -> None:
        """Wait, and let the time pass that a failed call costs: its backoff, a dead pass's lease, the next sweep."""
        started = moved = time.monotonic()
        before: Any = None
        self.swept = False
        while not done():
            if time.monotonic() - started > PATIENCE:
                raise AssertionError(f"not within {PATIENCE:.0f} s\n{self.cluster.story()}")
            record = self.cluster.record or {}
            now = [record.get(name) for name in ("fence", "leaseOwner", "pending", "trouble", "timer")]
            moved, before = (moved, before) if now == before else (time.monotonic(), now)
            self._hurry(record, time.monotonic() - moved)
            time.sleep(POLL)

    def _hurry(self, record: Json, unchanged: float) -> None:
        if trouble := record.get("trouble"):
            self.told.add(trouble["reason"])
            if (trouble.get("retry_at") or 0) > time.time():
                self.cluster.make_due()
        if record.get("leaseOwner") and unchanged > DEAD_AFTER:
            self._change(record, "SET leaseExpires = :past", "leaseOwner = :owner", {":owner": record["leaseOwner"]})
        elif (record.get("unsettled") or 1) > 1 and unchanged > DEAD_AFTER:
            # What a pass had begun without a word has landed by then.
            change = "SET unsettled = :past, fence = fence + :one"
            self._change(record, change, "attribute_not_exists(leaseOwner)", {":one": 1})
            self.cluster.wake()
        if unchanged > SWEEP_AFTER and not self.swept:
            self.swept = True
            self.world.sweep()

    def _change(self, record: Json, change: str, condition: str, values: Json) -> None:
        """Change the record, if it is still the one that was read."""
        table = self.world.client("dynamodb")
        with contextlib.suppress(table.exceptions.ConditionalCheckFailedException):
            table.update_item(
                TableName=self.world.out("StateTable"),
                Key=state_key(self.cluster.name),
                UpdateExpression=change,
                ConditionExpression=f"{condition} AND fence = :fence",
                ExpressionAttributeValues=encode({":past": 1, ":fence": record["fence"], **values}),
            )

    def end(self) -> Json:
        """All that the disturbed and the undisturbed have to have in common."""
        cluster, stack = self.cluster, self.cluster.stack
        found = {
            "item": self._item(),
            "stack": (stack or {}).get("StackStatus"),
            "tags": sorted(tag["Key"] for tag in (stack or {}).get("Tags", ())),
            "resources": sorted(cluster.resources) if stack else [],
            "groups": [(name, cluster.sizes(name)) for name in cluster.queues],
            "living": sorted(self._kind(each) for each in cluster.instances),
            "launched": self._launched(),
            "operations": self._operations(),
            "conditions": [
                {key: value for key, value in each.items() if key != "lastTransitionTime"}
                for each in cluster.status.get("conditions", ())
            ],
            "phase": cluster.status.get("phase"),
            "objects": len(set(self.world.objects(cluster.prefix))),
            "tagged": [] if stack else self.world.tagged(cluster.name),
        }
        text = json.dumps(found, default=str).replace(cluster.name, "NAME")
        return json.loads(re.sub(r"\bi-[0-9a-f]+|\b\d+\.\d+\.\d+\.\d+", "ID", text))

    def _item(self) -> Any:
        answer = self.world.client("dynamodb").get_item(
            TableName=self.world.out("SpecsTable"), Key=encode({"name": self.cluster.name}), ConsistentRead=True
        )
        assert answer.get("Item") in (None, encode({"name": self.cluster.name, "spec": self.cluster.spec}))
        return "Item" in answer

    def _launched(self) -> int:
        """Instances ever launched: terminated ones are shown for a minute."""
        ours = [{"Name": "tag:muster:cluster", "Values": [self.cluster.name]}]
        found = self.world.client("ec2").describe_instances(Filters=ours)["Reservations"]
        return sum(len(each["Instances"]) for each in found)

    @staticmethod
    def _kind(instance: Json) -> str:
        return {tag["Key"]: tag["Value"] for tag in instance["Tags"]}.get("muster:node", "")

    def _operations(self) -> list[str]:
        """What was begun with the stack, in order."""
        try:
            events = self.world.client("cloudformation").describe_stack_events(StackName=self.cluster.stack_name)
        except ClientError:
            return []
        return [
            event["ResourceStatus"]
            for event in reversed(events["StackEvents"])
            if event["LogicalResourceId"] == self.cluster.stack_name and event["ResourceStatus"] in BEGUN
        ]


BEGUN = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
STEPS: dict[str, Callable[[Life], None]] = {"create": Life.create, "update": Life.update, "delete": Life.delete}


@pytest.fixture(scope="module")
def spoiled(built: None) -> Iterator[tuple[World, Proxy]]:
    """A world of its own: here passes break, and elsewhere none may."""
    with local_aws() as aws:
        world = World(aws, deploy(aws, SweepMinutes="1440"), network(aws))
        functions = [world.physical(f"{name}Function") for name in ("Wake", "Reconcile")]
        with faults(aws) as proxy, proxy.before(aws, *functions):
            yield world, proxy
            proxy.set()
        assert world.dead_letters() == {}


@pytest.fixture(scope="module")
def undisturbed(spoiled: tuple[World, Proxy]) -> dict[str, Json]:
    """The end of each step of a life in peace, and the calls made in it."""
    world, proxy = spoiled
    life, ends = Life(world, Cluster(world, "in-peace")), {}
    for step, drive in STEPS.items():
        proxy.set(SEEN)
        drive(life)
        calls = {f"{each['service']} {each['operation']}" for each in proxy.fired()}
        ends[step] = {"calls": calls, "end": life.end()}
    assert not life.told
    return ends


def test_every_call_of_a_life_is_one_that_is_disturbed(undisturbed: dict[str, Json]) -> None:
    others = {step: (found["calls"] ^ set(CALLS[step])) - GIVEN_BACK for step, found in undisturbed.items()}
    assert others == {step: set() for step in CALLS}


@pytest.mark.parametrize("number", range(len(LIVES)))
def test_a_spoiled_call_changes_nothing_of_the_end(
    spoiled: tuple[World, Proxy], undisturbed: dict[str, Json], number: int
) -> None:
    world, proxy = spoiled
    life = Life(world, Cluster(world, f"spoiled-{number}"))
    for step, case in zip(STEPS, LIVES[number], strict=True):
        rules: list[Json] = []
        if case:
            service, operation = case[0].split()
            rules = [{"service": service, "operation": operation, **FAULTS[case[1]](service)}]
        proxy.set(*rules)
        STEPS[step](life)
        met = proxy.fired()
        proxy.set()
        assert bool(met) is bool(case), f"{step}: {case} never came to pass"
        end, wanted = life.end(), undisturbed[step]["end"]
        assert {key: end[key] for key in end if end[key] != wanted[key]} == {}, f"{step}: {case}"
