"""The sweep: it reads everything in pages, and wakes whom nobody else woke."""

import io
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

import handlers.sweep
from reconciler.clients import Clients
from reconciler.facts import Actual, digest
from reconciler.outcomes import AwsError
from reconciler.record import ABSENT, Record
from reconciler.store import content_hash, encode, partition
from reconciler.sweep import TIMER_PATIENCE, Known, _facts, due, sweep
from tests.unit.factories import NOW, OWNER, actual, group
from tests.unit.plane import Plane, client
from tests.unit.test_loop import settle

THERE = actual()
QUIET = Known("hash", digest(THERE), None)
FAR = NOW + 900

# The spec's hash, what the record knows, what there is, and why the cluster is woken.
DUE = [
    ("as-it-was", "hash", QUIET, THERE, ""),
    ("new", "hash", None, Actual(), "new"),
    ("edited", "other", QUIET, THERE, "spec"),
    ("deleted", ABSENT, QUIET, THERE, "spec"),
    ("deleting", ABSENT, Known(ABSENT, digest(THERE), FAR), THERE, ""),
    ("deleting-done", ABSENT, Known(ABSENT, digest(THERE), FAR), Actual(), "facts"),
    ("resized", "hash", QUIET, actual(groups=(group(desired=1),)), "facts"),
    ("gone", "hash", QUIET, Actual(), "facts"),
    ("timer-to-come", "hash", Known("hash", digest(THERE), FAR), THERE, ""),
    ("timer-just-over", "hash", Known("hash", digest(THERE), NOW - TIMER_PATIENCE + 1), THERE, ""),
    ("timer-lost", "hash", Known("hash", digest(THERE), NOW - TIMER_PATIENCE - 1), THERE, "timer"),
    ("invalid", "hash", Known("hash", "", None), Actual(), ""),
    ("invalid-beside-a-stack", "hash", Known("hash", "", None), THERE, ""),
]


@pytest.mark.parametrize(("spec", "known", "there", "why"), [row[1:] for row in DUE], ids=[row[0] for row in DUE])
def test_who_is_due(spec: str, known: Known | None, there: Actual, why: str) -> None:
    specs = {} if spec == ABSENT else {"demo": spec}
    found = due(specs, {"demo": known} if known else {}, {"demo": there}, NOW)
    assert found == ({"demo": why} if why else {})


def test_facts_of_a_cluster_that_nobody_knows_wake_nobody() -> None:
    assert due({}, {}, {"stranger": THERE}, NOW) == {}


@pytest.mark.parametrize("name", ["a/nodes", "With Capitals", "x" * 2000])
def test_an_odd_name_meets_its_record(name: str) -> None:
    key = partition(name)
    assert due({name: "hash"}, {key: Known("hash", "", None)}, {}, NOW) == {}
    assert due({name: "other"}, {key: Known("hash", "", None)}, {}, NOW) == {name: "spec"}
    (left,) = due({}, {key: Known("hash", "", None)}, {}, NOW)
    assert partition(left) == key, "a pass over that name finds the record"


def run(plane: Plane) -> dict[str, str]:
    return sweep(plane.clients, plane.settings, plane.now)


def woken(plane: Plane) -> list[str]:
    """The clusters of the messages in the background's queue."""
    answer = client("sqs").receive_message(
        QueueUrl=plane.settings.background_queue_url, MaxNumberOfMessages=10, AttributeNames=["MessageGroupId"]
    )
    messages = [(json.loads(each["Body"]), each["Attributes"]["MessageGroupId"]) for each in answer.get("Messages", ())]
    assert all(body["source"] == "sweep" and body["id"] for body, _ in messages)
    assert all(body["cluster"] == group for body, group in messages)
    return [body["cluster"] for body, _ in messages]


@pytest.fixture
def ready(plane: Plane) -> Plane:
    plane.put()
    plane.go()
    plane.cloudformation.end("CREATE_COMPLETE")
    settle(plane)
    return plane


def test_a_cluster_as_it_should_be_is_left_alone(ready: Plane) -> None:
    """The pass and the sweep see the same, though they ask in different ways."""
    assert run(ready) == {}
    assert woken(ready) == []


def test_a_lost_edit_is_found(ready: Plane) -> None:
    ready.put(tags={"a": "b"})
    assert run(ready) == {"demo": "spec"}
    assert woken(ready) == ["demo"]


def test_a_lost_deletion_is_found(ready: Plane) -> None:
    ready.delete()
    assert run(ready) == {"demo": "spec"}


def test_a_spec_that_nobody_saw_is_found(ready: Plane) -> None:
    ready.put("second")
    assert run(ready) == {"second": "new"}
    assert woken(ready) == ["second"]


def test_drift_is_found(ready: Plane) -> None:
    client("autoscaling").suspend_processes(AutoScalingGroupName="muster-demo.compute", ScalingProcesses=["Launch"])
    assert run(ready) == {"demo": "facts"}


def test_a_dead_head_node_is_found(ready: Plane) -> None:
    client("ec2").stop_instances(InstanceIds=[ready.head])
    assert run(ready) == {"demo": "facts"}


def test_a_lost_stack_event_is_found(plane: Plane) -> None:
    plane.put()
    plane.go()
    plane.now += 1
    plane.go()
    assert run(plane) == {}
    plane.cloudformation.end("CREATE_COMPLETE")
    assert run(plane) == {"demo": "facts"}


def test_a_lost_timer_is_found(plane: Plane) -> None:
    plane.put()
    plane.go()
    plane.now += 1
    plane.go()
    plane.now += 120 + TIMER_PATIENCE
    assert run(plane) == {"demo": "timer"}


def test_a_wrong_spec_is_not_looked_at_again_and_again(plane: Plane) -> None:
    plane.put_raw({"name": {"S": "demo"}, "spec": {"M": {}}})
    plane.put_raw({"name": {"S": "a/nodes"}, "spec": {"M": {}}})
    plane.go()
    plane.go("a/nodes")
    assert run(plane) == {}


def test_a_cluster_beside_anothers_stack_is_not_looked_at_again_and_again(plane: Plane) -> None:
    """A pass sees the stack that bears the name, whoever made it; so the sweep has to."""
    client("s3").put_object(Bucket="artifacts", Key="any.json", Body=b'{"Resources": {}}')
    plane.cloudformation.create_stack(StackName="muster-demo", TemplateURL="/artifacts/any.json", Tags=[])
    plane.put()
    plane.go()
    plane.go()
    assert plane.condition("Stalled") == ("True", "StackNotOwned")
    assert run(plane) == {}


def test_stacks_of_others_are_in_nobodys_way(ready: Plane) -> None:
    client("s3").put_object(Bucket="artifacts", Key="any.json", Body=b'{"Resources": {}}')
    for name, tags in {"muster-plane": [{"Key": "muster:owner", "Value": OWNER}], "web": []}.items():
        ready.cloudformation.create_stack(StackName=name, TemplateURL="/artifacts/any.json", Tags=tags)
    assert run(ready) == {}


def test_rows_that_nodes_wrote_are_no_records(plane: Plane) -> None:
    """Their own partition is theirs to write: a forged record in it wakes nobody and breaks nothing."""
    forged = {"cluster": "demo/nodes", "row": "STATE", "kind": "cluster", "timer": "soon", "specHash": 7}
    client("dynamodb").put_item(TableName="state", Item=encode(forged))
    assert run(plane) == {}


class Pages:
    """A paginator with so many things, and its count of pages."""

    def __init__(self, key: str, things: list[dict[str, Any]]) -> None:
        self._key, self._things = key, things
        self.pages = 0
        self.request: dict[str, Any] = {}

    def get_paginator(self, _: str) -> "Pages":
        return self

    def paginate(self, **request: Any) -> Any:
        self.request = request
        size = request.get("PaginationConfig", {}).get("PageSize", 100)
        for start in range(0, len(self._things), size):
            self.pages += 1
            yield {self._key: self._things[start : start + size]}


def tags(name: str, **more: str) -> list[dict[str, str]]:
    found = {"muster:cluster": name, "muster:owner": OWNER, **{f"muster:{key}": value for key, value in more.items()}}
    return [{"Key": key, "Value": value} for key, value in found.items()]


def many(names: list[str]) -> tuple[Pages, Pages, Pages]:
    """Stacks, groups and instances of clusters with one queue of two nodes each."""
    stacks = [
        {"StackId": f"arn:{n}", "StackName": f"muster-{n}", "StackStatus": "CREATE_COMPLETE", "Tags": tags(n, hash="h")}
        for n in names
    ]
    groups = [
        {
            "AutoScalingGroupName": f"muster-{name}.compute",
            "MinSize": 2,
            "MaxSize": 2,
            "DesiredCapacity": 2,
            "Tags": tags(name, queue="compute"),
            "Instances": [{"InstanceId": f"i-{name}-{n}", "LifecycleState": "InService"} for n in (1, 2)],
        }
        for name in names
    ]
    instances = [
        {"Instances": [{"InstanceId": f"i-{name}-{n}", "State": {"Name": "running"}, "Tags": tags(name, node=node)}]}
        for name in names
        for n, node in enumerate(("head", "compute", "compute"))
    ]
    return Pages("Stacks", stacks), Pages("AutoScalingGroups", groups), Pages("Reservations", instances)


def write(plane: Plane, names: list[str], known: dict[str, str]) -> None:
    """Specs of these clusters, and records that know these digests."""
    dynamodb = client("dynamodb")
    spec = {"M": {"x": {"S": "x" * 100}}}
    items = {"specs": [{"name": {"S": name}, "spec": spec} for name in names]}
    records = [
        Record(name, "uid", spec_hash=content_hash({"spec": spec}), digest=known.get(name, "")).to_item()
        for name in names
    ]
    items["state"] = [encode({**record, "row": "STATE", "kind": "cluster"}) for record in records]
    for table, rows in items.items():
        for start in range(0, len(rows), 25):
            requests = [{"PutRequest": {"Item": row}} for row in rows[start : start + 25]]
            dynamodb.batch_write_item(RequestItems={table: requests})


def test_250_clusters_take_a_handful_of_calls(plane: Plane) -> None:
    names = [f"c{number:03}" for number in range(250)]
    stacks, groups, instances = many(names)
    plane.clients.cloudformation = stacks
    plane.clients.__dict__["autoscaling"] = groups
    plane.clients.__dict__["ec2"] = instances
    write(plane, names, {})
    assert run(plane) == {}, "nothing was looked at of any of them"

    known = {name: digest(there) for name, there in _facts(plane.clients, OWNER).items()}
    assert len(set(known.values())) == 250
    write(plane, names, known | {"c007": "was-other"})
    for pages in (stacks, groups, instances):
        pages.pages = 0
    plane.quiet()
    assert run(plane) == {"c007": "facts"}
    calls = sum(plane.clients.calls.values()) + stacks.pages + groups.pages + instances.pages
    assert plane.clients.calls == {"Scan": 1, "Query": 1, "DescribeComputeEnvironments": 1, "SendMessageBatch": 1}
    assert (stacks.pages, groups.pages, instances.pages) == (3, 3, 1)
    assert calls == 11
    ours = [{"Name": "tag:muster:owner", "Values": [OWNER]}]
    assert groups.request["Filters"] == ours
    assert instances.request["Filters"] == [*ours, {"Name": "tag:muster:node", "Values": ["head"]}]


def test_all_pages_of_the_tables_are_read(plane: Plane) -> None:
    """A page of DynamoDB has a megabyte."""
    for number in range(4):
        plane.put_raw({"name": {"S": f"c{number}"}, "spec": {"M": {"x": {"S": "x" * 390_000}}}})
    assert run(plane) == {f"c{number}": "new" for number in range(4)}
    assert plane.clients.calls["Scan"] > 1


@pytest.mark.parametrize("operation", ["Scan", "Query", "DescribeAutoScalingGroups", "DescribeInstances"])
def test_what_cannot_be_read_wakes_nobody_and_says_so(ready: Plane, operation: str) -> None:
    """Half the facts would look like drift of everything."""
    ready.clients.faults[operation] = ("Throttling", "Rate exceeded")
    with pytest.raises(AwsError) as caught:
        run(ready)
    assert caught.value.operation == operation
    ready.clients.faults.clear()
    assert woken(ready) == []


def test_a_pass_is_not_lost_on_the_way(ready: Plane) -> None:
    """The message's body is another each time: the queue would drop an equal one for five minutes."""
    ready.put(tags={"a": "b"})
    run(ready)
    run(ready)
    assert woken(ready) == ["demo", "demo"]


class Refusal(io.BytesIO):
    """The body of an answer, as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def tries_against_throttling(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a call is made that is throttled for ever."""
    tried: list[str] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)

    def refuse(request: Any, **_: Any) -> AWSResponse:
        tried.append(request.url)
        error = b"<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>"
        return AWSResponse(request.url, 503, {}, cast("Any", Refusal(error)))

    clients.ec2.meta.events.register("before-send", refuse)
    with pytest.raises(ClientError):
        clients.ec2.describe_vpcs()
    return len(tried)


def test_a_sweep_outlasts_throttling_that_a_pass_leaves_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DEFAULT_REGION": "us-east-1", "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert tries_against_throttling(handlers.sweep._clients(), monkeypatch) == 10
    assert tries_against_throttling(Clients(), monkeypatch) == 4
