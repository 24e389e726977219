"""Passes over a cluster, from its spec to its end: tables, queues, groups and instances on moto, stacks on the fake."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from reconciler import agent, loop
from reconciler.batch import BatchFacts
from reconciler.cluster import Cluster, Invalid, parse, to_item
from reconciler.facts import Actual
from reconciler.loop import stack_spec_hash
from reconciler.pins import Pins
from reconciler.record import LONGEST_FLIGHT, Pending
from reconciler.render.batch.images import builds
from reconciler.store import Refused
from tests.unit import batch_factories
from tests.unit.factories import NAME, NOW, Record
from tests.unit.plane import Plane, client
from tests.unit.render import support

READY_READS = {"BatchGetItem": 1, "DescribeStacks": 1, "DescribeAutoScalingGroups": 1, "DescribeInstances": 1}
WRITES = ("UpdateItem", "TransactWriteItems", "SendMessage", "PutObject")


def queue(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "compute", "instanceTypes": ["c7i.large"], **fields}]


def settle(plane: Plane, name: str = NAME) -> None:
    """Passes until one finds nothing to do."""
    for _ in range(8):
        plane.now += 1
        if plane.go(name).result == "unchanged":
            plane.quiet()
            return
    raise AssertionError(f"{name} does not come to rest: {plane.status()}")


@pytest.fixture
def ready(plane: Plane) -> Plane:
    """A cluster that stands as specified."""
    plane.put()
    plane.go()
    plane.cloudformation.end("CREATE_COMPLETE")
    settle(plane)
    assert plane.condition("Ready") == ("True", "AsSpecified")
    return plane


def stored(plane: Plane) -> Record:
    found = plane.store.load(NAME)[1]
    assert found is not None
    return found


def writes(plane: Plane) -> int:
    return sum(plane.calls.get(operation, 0) for operation in WRITES)


# Creation


def test_a_spec_becomes_a_cluster(plane: Plane) -> None:
    plane.put()
    first = plane.go()
    assert (first.result, first.phase, first.actions) == ("acted", "Creating", ("CreateStack stack muster-demo",))
    assert plane.timers() == [120]
    assert plane.status()["observedGeneration"] == 1

    plane.cloudformation.end("CREATE_COMPLETE")
    plane.now += 60
    second = plane.go()
    assert second.actions == ("ResizeGroup Auto Scaling group muster-demo.compute",)
    group = plane.group()
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (2, 2, 2)

    plane.now += 1
    third = plane.go()
    assert (third.result, third.phase) == ("reported", "Ready")
    assert plane.condition("Ready") == ("True", "AsSpecified")
    assert plane.status()["headNode"]["instanceId"] == plane.head
    assert sorted(plane.reasons()) == ["AsSpecified", "SizesApplied", "StackCreating"]
    assert not any(row.get("leaseOwner") for row in plane.rows())


def test_a_cluster_that_nobody_wants_and_nobody_knows_is_absent(plane: Plane) -> None:
    assert plane.go().result == "absent"
    assert plane.calls == {"BatchGetItem": 1}


def test_a_pass_over_a_cluster_as_it_should_be_reads_four_times_and_writes_nothing(ready: Plane) -> None:
    assert ready.go().result == "unchanged"
    assert ready.calls == READY_READS


def test_the_call_is_announced_before_it_is_made(plane: Plane) -> None:
    plane.put()
    seen: list[Record] = []
    plane.cloudformation.before = lambda name: seen.append(stored(plane)) if name == "CreateStack" else None
    plane.go()
    (record,) = seen
    assert record.lease.held(plane.now)
    assert record.pending == Pending("CreateStack", "stack muster-demo", record.pending.token, NOW)  # type: ignore[union-attr]
    assert record.pending.token == plane.cloudformation.requests[-1][1]["ClientRequestToken"]
    assert stored(plane).pending is None


# Updates


def test_an_edit_of_the_template_goes_through_a_change_set(ready: Plane) -> None:
    ready.put(tags={"team": "physics"})
    assert [action.split()[0] for action in ready.go().actions] == ["CreateChangeSet"]
    ready.cloudformation.compute({"Action": "Modify", "LogicalResourceId": "Queue", "ResourceType": "AWS::SQS::Queue"})
    ready.now += 5
    assert [action.split()[0] for action in ready.go().actions] == ["ExecuteChangeSet"]
    ready.cloudformation.end("UPDATE_COMPLETE")
    settle(ready)
    assert ready.condition("Ready") == ("True", "AsSpecified")
    assert ready.status()["observedGeneration"] == 2
    assert ready.cloudformation.stacks[-1].tags["team"] == "physics"


def test_an_edit_of_a_size_leaves_the_stack_alone(ready: Plane) -> None:
    ready.put(queues=queue(size=3))
    assert ready.go().actions == ("ResizeGroup Auto Scaling group muster-demo.compute",)
    assert ready.group()["DesiredCapacity"] == 3


HEAD = {
    "Action": "Modify",
    "LogicalResourceId": "HeadNode",
    "ResourceType": "AWS::EC2::Instance",
    "Replacement": "True",
    "Details": [{"Target": {"Name": "ImageId", "RequiresRecreation": "Always"}}],
}


def test_a_replacement_of_the_head_node_is_held_until_it_is_consented_to(ready: Plane) -> None:
    edit = {"headNode": {"instanceType": "t3.medium"}}
    ready.put(**edit)
    ready.go()
    ready.cloudformation.compute(HEAD)
    settle(ready)
    assert ready.cloudformation.stacks[-1].status == "CREATE_COMPLETE"
    assert ready.condition("Stalled") == ("True", "ConsentRequired")
    assert "'headNode'" in ready.message("StackReady")
    assert ready.status()["phase"] == "Held"

    ready.put(**edit, consent=["headNode"])
    for _ in range(2):
        ready.go()
        if ready.cloudformation.stacks[-1].change_sets:
            ready.cloudformation.compute(HEAD)
    ready.go()
    assert ready.cloudformation.stacks[-1].status == "UPDATE_IN_PROGRESS"


def test_a_change_set_without_changes_is_not_asked_for_again(ready: Plane) -> None:
    ready.put(tags={"team": "physics"})
    ready.go()
    ready.cloudformation.compute(reason="The submitted information didn't contain changes.")
    settle(ready)
    ready.go()
    assert ready.calls == READY_READS
    assert ready.condition("Ready") == ("True", "AsSpecified")


# Repairs


def resize(low: int, high: int, want: int) -> None:
    client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName="muster-demo.compute", MinSize=low, MaxSize=high, DesiredCapacity=want
    )


def test_a_group_resized_by_hand_is_put_back(ready: Plane) -> None:
    resize(0, 9, 5)
    ready.go()
    group = ready.group()
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (2, 2, 2)
    assert "GroupResized" in ready.reasons()


def test_suspended_processes_are_resumed(ready: Plane) -> None:
    client("autoscaling").suspend_processes(AutoScalingGroupName="muster-demo.compute", ScalingProcesses=["Launch"])
    ready.go()
    assert ready.group()["SuspendedProcesses"] == []
    assert "ProcessesResumed" in ready.reasons()


def test_a_stack_deleted_by_hand_is_made_again(ready: Plane) -> None:
    ready.cloudformation.end("DELETE_COMPLETE")
    ready.go()
    assert ready.cloudformation.stacks[-1].status == "CREATE_IN_PROGRESS"
    assert len(ready.cloudformation.stacks) == 2
    assert "StackMissing" in ready.reasons()


def test_a_dead_head_node_is_told_and_not_rebuilt(ready: Plane) -> None:
    client("ec2").stop_instances(InstanceIds=[ready.head])
    settle(ready)
    assert ready.condition("HeadNodeReady") == ("False", "HeadNodeDown")
    assert ready.condition("Stalled") == ("True", "HeadNodeDown")


def test_a_failed_creation_is_made_again_after_a_while(plane: Plane) -> None:
    plane.put()
    plane.go()
    plane.cloudformation.end("ROLLBACK_COMPLETE", "HeadNode: no capacity")
    assert plane.go().result == "reported"
    assert "no capacity" in plane.message("StackReady")
    plane.now += 60
    assert [action.split()[0] for action in plane.go().actions] == ["DeleteStack"]
    plane.cloudformation.end("DELETE_COMPLETE")
    plane.now += 60
    assert [action.split()[0] for action in plane.go().actions] == ["CreateStack"]
    tokens = [sent["ClientRequestToken"] for name, sent in plane.cloudformation.requests if name == "CreateStack"]
    assert len(set(tokens)) == 2


# What users write


def item(plane: Plane, **spec: Any) -> dict[str, Any]:
    return to_item(plane.document(**spec))


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no-spec", {"name": {"S": NAME}}, "spec"),
    ("not-a-map", {"name": {"S": NAME}, "spec": {"S": "a cluster, please"}}, "spec"),
    ("empty", {"name": {"S": NAME}, "spec": {"M": {}}}, "spec.network"),
    ("binary", {"name": {"S": NAME}, "spec": {"B": b"\x00"}}, "spec"),
    ("huge", {"name": {"S": NAME}, "spec": {"M": {"x": {"S": "x" * 350_000}}}}, "spec"),
    ("unknown", {"name": {"S": NAME}, "spec": {"M": {"colour": {"S": "red"}}}}, "spec.colour"),
    ("attribute", {"name": {"S": NAME}, "spec": {"M": {}}, "colour": {"S": "red"}}, "colour"),
]


@pytest.mark.parametrize(("wrong", "field"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_spec_is_told_by_its_field_and_nothing_is_asked_of_aws(
    plane: Plane, wrong: dict[str, Any], field: str
) -> None:
    plane.put_raw(wrong)
    assert plane.go().phase == "Invalid"
    assert plane.condition("SpecAccepted") == ("False", "InvalidSpec")
    assert plane.condition("Stalled") == ("True", "InvalidSpec")
    assert field in plane.message("SpecAccepted")
    assert plane.reasons() == ["InvalidSpec"]
    assert set(plane.calls) == {"BatchGetItem", "UpdateItem", "TransactWriteItems"}
    plane.quiet()
    assert plane.go().result == "unchanged"
    assert plane.calls == {"BatchGetItem": 1}


@pytest.mark.parametrize("wrong", [case[1] for case in WRONG[:3]], ids=[case[0] for case in WRONG[:3]])
def test_a_wrong_spec_changes_nothing_that_runs(ready: Plane, wrong: dict[str, Any]) -> None:
    ready.put_raw(wrong)
    ready.go()
    assert ready.condition("SpecAccepted") == ("False", "InvalidSpec")
    assert "Generation 1 stays in force" in ready.message("SpecAccepted")
    assert not {"CreateChangeSet", "DeleteStack", "UpdateAutoScalingGroup"} & ready.calls.keys()
    resize(2, 2, 1)
    ready.go()
    assert ready.group()["DesiredCapacity"] == 2, "what was accepted is kept true"
    ready.put()
    settle(ready)
    assert ready.condition("Ready") == ("True", "AsSpecified")


def test_a_reference_that_does_not_exist_is_told_and_looked_for_again(plane: Plane) -> None:
    away = "vpc-0123456789abcdef0"
    plane.put(network={"vpcId": away, "subnetIds": [plane.subnet]})
    assert plane.go().phase == "Invalid"
    assert plane.condition("SpecAccepted") == ("False", "InvalidReference")
    assert "spec.network.vpcId" in plane.message("SpecAccepted")
    assert plane.timers() == [300]
    assert plane.cloudformation.stacks == []


def test_a_reference_that_comes_to_exist_is_found_without_an_edit(plane: Plane) -> None:
    missing = "subnet-0123456789abcdef0"
    plane.put(network={"vpcId": plane.vpc, "subnetIds": [missing]})
    plane.go()
    real, plane.subnet = plane.subnet, missing
    found = {"SubnetId": missing, "VpcId": plane.vpc, "AvailabilityZone": "us-east-1a"}
    page = [{"Subnets": [found]}]
    paginator = plane.clients.ec2.get_paginator

    class Found:
        def paginate(self, **_: Any) -> Any:
            return page

    def patched(name: str) -> Any:
        return Found() if name == "describe_subnets" else paginator(name)

    plane.clients.ec2.get_paginator = patched  # type: ignore[method-assign]
    try:
        plane.now += 300
        assert plane.go().actions == ("CreateStack stack muster-demo",)
    finally:
        plane.clients.ec2.get_paginator = paginator  # type: ignore[method-assign]
        plane.subnet = real


def forget_pins(plane: Plane) -> None:
    """As if the record were of a version of the operator that needed none."""
    record = plane.store.take(stored(plane), "test", 60, plane.now)
    plane.store.report(record.remember(pins=Pins()), [], plane.now)


def test_what_a_newer_version_needs_is_asked_for_of_a_spec_that_is_accepted(ready: Plane) -> None:
    pins = stored(ready).pins
    forget_pins(ready)
    ready.go()
    assert stored(ready).pins == pins
    assert ready.condition("Ready") == ("True", "AsSpecified")


def test_what_slurm_has_to_know_of_instance_types_is_asked_for_and_kept(plane: Plane) -> None:
    slurm: dict[str, Any] = {"scheduler": "slurm", "image": {"os": "ubuntu2404", "ami": support.AMI}}
    plane.put(**slurm, queues=queue(maxSize=4))
    plane.go()
    shapes = {"c7i.large": (2, 1, 4096, 0)}
    assert stored(plane).pins.shapes == shapes
    assert [key for key in plane.objects() if "/agent/" in key] == [f"clusters/demo/agent/{agent.digest()}.pyz"]
    record = plane.store.take(stored(plane), "test", 60, plane.now)
    plane.store.report(record.remember(pins=replace(record.pins, shapes={})), [], plane.now)
    plane.go()
    assert stored(plane).pins.shapes == shapes


def test_a_scheduler_that_cannot_be_changed_leaves_the_cluster_as_it_is(ready: Plane) -> None:
    ready.put(scheduler="slurm", image={"os": "ubuntu2404", "ami": support.AMI})
    ready.go()
    assert ready.condition("SpecAccepted") == ("False", "InvalidSpec")
    assert stored(ready).pins.shapes == {}
    assert ready.condition("StackReady") == ("True", "UpToDate")


def test_and_of_one_that_is_refused_it_is_told(ready: Plane) -> None:
    forget_pins(ready)
    ready.put_raw({"name": {"S": NAME}})
    ready.go()
    assert ready.condition("StackReady") == ("False", "NotRendered")
    assert ready.cloudformation.stacks[-1].status == "CREATE_COMPLETE"


def test_every_change_of_the_content_is_a_generation(ready: Plane) -> None:
    assert stored(ready).generation == 1
    ready.put(annotations={"note": "seen"})
    ready.go()
    assert stored(ready).generation == 2
    ready.put(annotations={"note": "seen"})
    ready.go()
    assert stored(ready).generation == 2
    ready.put_raw({"name": {"S": NAME}})
    ready.go()
    assert (stored(ready).generation, stored(ready).accepted.generation) == (3, 2)  # type: ignore[union-attr]


def test_the_users_item_is_never_written(ready: Plane) -> None:
    before = ready.store.load(NAME)[0]
    resize(2, 2, 1)
    ready.go()
    assert ready.store.load(NAME)[0] == before


def test_a_paused_cluster_is_watched(ready: Plane) -> None:
    ready.put(paused=True)
    settle(ready)
    resize(2, 2, 1)
    ready.go()
    assert ready.group()["DesiredCapacity"] == 1
    assert ready.status()["phase"] == "Paused"
    assert [words.split()[0] for words in ready.status()["withheld"]] == ["ResizeGroup"]


def test_an_upgrade_is_asked_for_by_an_annotation(ready: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "VERSION", "9.9.9")
    rendered = loop.rendered

    def another(*args: Any) -> Any:
        made = rendered(*args)
        return replace(made, hash="e" * 64, body="{}", tags={**made.tags, "muster:hash": "e" * 64})

    monkeypatch.setattr(loop, "rendered", another)
    settle(ready)
    assert ready.condition("RenderingCurrent") == ("False", "OlderVersion")
    assert ready.condition("Ready") == ("True", "AsSpecified")
    ready.put(annotations={"muster/upgrade": "9.9.8"})
    settle(ready)
    ready.put(annotations={"muster/upgrade": "9.9.9"})
    assert [action.split()[0] for action in ready.go().actions] == ["CreateChangeSet"]


def parsed(plane: Plane, **spec: Any) -> Cluster:
    made = parse(plane.document(**spec))
    assert not isinstance(made, Invalid), str(made)
    return made


def test_what_no_template_depends_on_is_not_in_the_stacks_hash(plane: Plane) -> None:
    base = stack_spec_hash(parsed(plane), Pins())
    same = [
        {"consent": ["headNode"]},
        {"paused": True},
        {"deletionProtection": True},
        {"deletionPolicy": "Retain"},
        {"queues": queue(size=9)},
        {"queues": queue(minSize=1, maxSize=4)},
    ]
    slurm = {"scheduler": "slurm", "image": {"os": "ubuntu2404"}}
    moving = [{}, {"idleTime": 10}, {"fleet": "stopped"}, {"queues": queue(maxSize=4)}]
    assert len({stack_spec_hash(parsed(plane, **slurm, **spec), Pins()) for spec in moving}) == 1
    assert {stack_spec_hash(parsed(plane, **spec), Pins()) for spec in same} == {base}
    other = [{"tags": {"a": "b"}}, {"queues": queue(efa=False, capacityType="spot")}, {"logs": {"retentionDays": 30}}]
    assert len({base, *(stack_spec_hash(parsed(plane, **spec), Pins()) for spec in other)}) == 1 + len(other)
    assert stack_spec_hash(parsed(plane, logs={"retentionDays": 14}), Pins()) == base, "a default that is written out"


def test_of_batch_what_moves_is_not_in_the_stacks_hash() -> None:
    def hashed(environment: dict[str, Any] | None = None, **batch: Any) -> str:
        environments = [{"name": "any", **(environment or {})}]
        return stack_spec_hash(batch_factories.cluster({"computeEnvironments": environments, **batch}), Pins())

    same = [{"minVcpus": 2}, {"maxVcpus": 99}, {"desiredVcpus": 3}, {"type": "EC2"}]
    assert {hashed(each) for each in same} | {hashed(onDelete="WaitForJobs")} == {hashed()}
    queues = [{"name": "main", "computeEnvironments": ["any"], "priority": 7}]
    other = [hashed({"type": "SPOT"}), hashed({"ami": "ami-0123456789abcdef0"}), hashed(queues=queues)]
    assert len({hashed(), *other}) == 1 + len(other)


# The images that serve


def imaged(dockerfile: str, serving: dict[str, str] | None = None) -> tuple[Record, str]:
    """The record of a cluster that was accepted with this image, and the image's tag."""
    of = batch_factories.cluster({"images": [{"name": "app", "dockerfile": dockerfile}]})
    memory = Record(NAME, "uid", pins=replace(support.pins(of), serving=serving or {}))
    memory = memory.remember(accepted=loop.accepted(memory, of, "hash"))
    return memory, builds(of.spec.batch)[0].tag  # type: ignore[arg-type]


def seeing(plane: Plane, memory: Record, *tags: str) -> tuple[dict[str, str], str, str]:
    """What serves once these tags are seen in the repository; the template then, and what the update goes by."""
    of = loop.accepted_cluster(memory)
    assert of is not None
    assert of.spec.batch is not None
    there = Actual(batch=BatchFacts(images=dict.fromkeys(tags, "sha256:d")))
    pins = loop.serving(memory.pins, builds(of.spec.batch), there)
    return dict(pins.serving), loop.rendered(plane.settings, of, pins).body, stack_spec_hash(of, pins)


def test_a_first_image_serves_from_when_it_is_there_and_the_template_is_the_same(plane: Plane) -> None:
    memory, tag = imaged("FROM a\n")
    before, made, _ = seeing(plane, memory)
    after, then, _ = seeing(plane, memory, tag)
    assert (before, after) == ({}, {"app": tag})
    assert f"/muster/demo:{tag}" in made.replace('"', "")
    assert made == then


def test_the_old_image_serves_until_the_new_one_is_there_and_then_the_template_turns(plane: Plane) -> None:
    _, old = imaged("FROM a\n")
    memory, new = imaged("FROM b\n", {"app": old})
    before, made, asked = seeing(plane, memory, old)
    assert before == {"app": old}
    assert f"muster/demo:{old}" in made
    assert new not in made
    after, then, asked_then = seeing(plane, memory, new)
    assert after == {"app": new}
    assert f"muster/demo:{new}" in then
    assert old not in then
    assert asked != asked_then, "so that the next pass updates the stack"


def test_an_image_that_was_deleted_goes_on_serving_and_changes_no_template(plane: Plane) -> None:
    memory, tag = imaged("FROM a\n")
    serving, *there = seeing(plane, memory, tag)
    memory = memory.remember(pins=replace(memory.pins, serving=serving))
    assert seeing(plane, memory) == (serving, *there)


def test_an_image_that_the_spec_lost_is_forgotten(plane: Plane) -> None:
    memory, tag = imaged("FROM a\n", {"app": "app-before", "other": "other-1"})
    assert seeing(plane, memory)[0] == {"app": "app-before"}
    assert seeing(plane, memory, tag)[0] == {"app": tag}


def test_what_serves_is_remembered_while_the_accepted_spec_cannot_be_read(plane: Plane) -> None:
    """By an older version of the operator: the newer one, put back, would else name an image that is not built."""
    memory, _ = imaged("FROM a\n", {"app": "app-before"})
    assert memory.accepted is not None
    unreadable = memory.remember(accepted=replace(memory.accepted, document="{}"), spec_hash="old")
    considered = loop.consider(plane.tools, unreadable, None, plane.now)
    assert considered.desired.cluster is None
    assert considered.plan.record.pins.serving == {"app": "app-before"}


def test_a_definition_that_is_registered_anew_is_another_template(plane: Plane) -> None:
    memory, _ = imaged("FROM a\n")
    again = memory.remember(pins=replace(memory.pins, registrations={"run": 1}))
    (_, first, asked), (_, second, asked_then) = seeing(plane, memory), seeing(plane, again)
    assert asked != asked_then
    made = [json.loads(body)["Resources"]["JobDefinitionRun"] for body in (first, second)]
    assert made[0] != made[1], "CloudFormation would find that nothing changed"


# Trouble


def test_a_throttled_look_leaves_the_status_and_comes_back(ready: Plane) -> None:
    before = ready.status()
    ready.clients.faults["DescribeInstances"] = ("RequestLimitExceeded", "Request limit exceeded.")
    report = ready.go()
    assert report.result == "retry"
    assert "DescribeInstances" in report.error
    assert ready.status() == before
    (delay,) = ready.timers()
    assert 30 <= delay <= 45
    ready.clients.faults.clear()
    ready.now += delay
    ready.go()
    assert ready.status() == before
    assert stored(ready).trouble is None


def test_throttling_that_lasts_is_told_and_never_given_up(ready: Plane) -> None:
    ready.cloudformation.faults["DescribeStacks"] = ("Throttling", "Rate exceeded")
    for _ in range(12):
        ready.quiet()
        ready.go()
        (delay,) = ready.timers()
        ready.now += delay
    assert ready.condition("Reconciling") == ("True", "Throttling")
    assert ready.condition("Stalled")[0] == "False"
    assert ready.condition("Ready")[0] == "True"
    assert delay == 900, "the longest delay of a message; the rest of the wait takes more of them"


def test_an_action_without_the_right_to_it_stalls_with_code_and_resource(plane: Plane) -> None:
    plane.put()
    plane.cloudformation.faults["CreateStack"] = (
        "AccessDenied",
        "not authorized to perform cloudformation:CreateStack",
    )
    report = plane.go()
    assert report.result == "blocked"
    assert plane.condition("Stalled") == ("True", "AccessDenied")
    assert "stack muster-demo" in plane.message("Stalled")
    assert plane.condition("Ready")[0] == "False"
    assert plane.status()["phase"] == "Failed"
    assert "CallFailed" in plane.reasons()
    assert plane.timers()
    plane.now += 1
    plane.go()
    assert plane.condition("Stalled") == ("True", "AccessDenied"), "until its next try"
    plane.cloudformation.faults.clear()
    plane.now += 3600
    plane.go()
    assert plane.cloudformation.stacks[-1].status == "CREATE_IN_PROGRESS"


def test_a_look_without_the_right_to_it_stalls(ready: Plane) -> None:
    ready.clients.faults["DescribeAutoScalingGroups"] = ("AccessDenied", "no right to look")
    assert ready.go().result == "blocked"
    assert ready.condition("Stalled") == ("True", "AccessDenied")
    assert "cluster demo" in ready.message("Stalled")
    assert ready.timers()


def test_what_is_wrong_in_itself_is_not_repeated_until_the_spec_changes(plane: Plane) -> None:
    plane.put()
    plane.cloudformation.faults["CreateStack"] = ("ValidationError", "Template format error")
    assert plane.go().result == "terminal"
    assert plane.condition("Stalled") == ("True", "ValidationError")
    assert plane.timers() == []
    for _ in range(5):
        plane.now += 7200
        plane.go()
    assert plane.cloudformation.calls["CreateStack"] == 1
    assert plane.condition("Stalled")[0] == "True"
    plane.quiet()
    assert plane.go().result == "unchanged"

    plane.cloudformation.faults.clear()
    plane.put(annotations={"try": "again"})
    plane.go()
    assert plane.cloudformation.stacks[-1].status == "CREATE_IN_PROGRESS"


def test_what_was_done_before_a_failure_is_remembered(ready: Plane) -> None:
    resize(0, 9, 5)
    client("autoscaling").suspend_processes(AutoScalingGroupName="muster-demo.compute", ScalingProcesses=["Launch"])
    ready.clients.faults["ResumeProcesses"] = ("Throttling", "Rate exceeded")
    report = ready.go()
    assert [action.split()[0] for action in report.actions] == ["ResizeGroup"]
    assert {"GroupResized", "CallFailed"} <= set(ready.reasons())


def test_events_of_a_pass_whose_action_fails_are_told(ready: Plane) -> None:
    client("ec2").stop_instances(InstanceIds=[ready.head])
    resize(0, 9, 5)
    ready.clients.faults["UpdateAutoScalingGroup"] = ("Throttling", "Rate exceeded")
    ready.go()
    assert "HeadNodeDown" in ready.reasons()


def test_a_pass_that_runs_out_of_time_leaves_the_rest_to_the_next(ready: Plane) -> None:
    resize(0, 9, 5)
    ready.left = 9.0
    assert ready.go().result == "out of time"
    assert ready.group()["DesiredCapacity"] == 5
    assert ready.timers() == [1]
    ready.left, ready.now = 60.0, ready.now + 1
    assert ready.go().result == "acted"
    assert ready.group()["DesiredCapacity"] == 2


# Lease


def test_a_pass_over_a_cluster_that_is_anothers_is_refused(ready: Plane) -> None:
    ready.store.take(stored(ready), "other", 30, ready.now)
    ready.quiet()
    with pytest.raises(Refused) as caught:
        ready.go()
    assert caught.value.seconds == pytest.approx(30)
    assert ready.calls == {"BatchGetItem": 1}
    ready.now += 31
    assert ready.go().result == "unchanged", "a lease that has expired is in nobody's way"


def test_of_two_passes_at_once_one_is_refused_and_acts_on_nothing(plane: Plane) -> None:
    """The second takes the lease between the first one's look and its own try."""
    plane.put()
    first = True

    def overtaken(operation: str) -> None:
        nonlocal first
        if operation == "UpdateItem" and first:
            first = False
            plane.go(owner="other")

    plane.clients.before = overtaken
    with pytest.raises(Refused):
        plane.go()
    assert len(plane.cloudformation.stacks) == 1
    assert plane.cloudformation.calls["CreateStack"] == 1


def test_a_zombie_makes_no_further_call(ready: Plane) -> None:
    """It looks at the fence before each call: here it loses its lease during the first of two."""
    resize(0, 9, 5)
    client("autoscaling").suspend_processes(AutoScalingGroupName="muster-demo.compute", ScalingProcesses=["Launch"])

    def overtaken(operation: str) -> None:
        if operation == "UpdateAutoScalingGroup":
            ready.store.take(stored(ready), "heir", 60, ready.now + 3600)

    ready.clients.before = overtaken
    with pytest.raises(Refused):
        ready.go()
    assert ready.calls.get("ResumeProcesses", 0) == 0
    assert stored(ready).lease.owner == "heir"


class Killed(BaseException):
    """The end of a process, which nothing catches."""


# The mutating calls on the way to a cluster, by operation and number; after a write is before the next one.
WRITTEN = [
    *(("UpdateItem", place) for place in (1, 2, 3)),
    *(("TransactWriteItems", place) for place in (1, 2, 3, 4, 5)),
]
ASKED = [("PutObject", 1), ("CreateStack", 1), ("SendMessage", 1), ("UpdateAutoScalingGroup", 1)]
KILLS = [(*call, "before") for call in WRITTEN + ASKED] + [(*call, "after") for call in ASKED]


@pytest.mark.parametrize(("operation", "place", "when"), KILLS)
def test_a_kill_at_any_call_is_repaired_by_the_next_passes(plane: Plane, operation: str, place: int, when: str) -> None:
    """Before the call, or after it took effect: the cluster ends the same, with one stack."""
    plane.put()
    calls = []

    def hook(name: str) -> None:
        calls.append(name)
        if name == operation and calls.count(name) == place:
            raise Killed

    for each in (plane.clients, plane.cloudformation):
        setattr(each, when, hook)
    last = ""
    while last != "unchanged":
        with suppress(Killed, Refused):
            last = plane.go().result
        stacks = plane.cloudformation.stacks
        if stacks and stacks[-1].status == "CREATE_IN_PROGRESS":
            plane.cloudformation.end("CREATE_COMPLETE")
        plane.now += 70
        assert plane.now < NOW + 1000, plane.status()
    assert calls.count(operation) >= place, "nobody was killed"
    assert plane.condition("Ready") == ("True", "AsSpecified")
    assert len(plane.cloudformation.stacks) == 1
    assert plane.group()["DesiredCapacity"] == 2
    assert stored(plane).pending is None


def test_a_creation_that_lands_after_its_cluster_is_gone_is_found(plane: Plane) -> None:
    """A pass stalls before its call; its heir sees neither spec nor stack, and must not forget the cluster yet."""
    plane.put()
    request = {}

    def stall(name: str) -> None:
        if name == "CreateStack":
            request.update(plane.cloudformation.requests[-1][1])
            raise Killed

    plane.cloudformation.before = stall
    with suppress(Killed):
        plane.go("demo", "zombie")
    plane.cloudformation.before = lambda name: None
    plane.delete()
    plane.now += 70
    plane.go()
    assert stored(plane).unsettled == NOW
    plane.cloudformation.tokens.clear()
    plane.cloudformation.create_stack(**request)
    plane.go()
    plane.cloudformation.end("DELETE_COMPLETE")
    plane.now = NOW + LONGEST_FLIGHT
    assert plane.go().result == "forgotten"
    assert plane.objects() == []


@pytest.mark.parametrize(("code", "waits"), [("InternalFailure", True), ("AccessDenied", False), ("Throttling", False)])
def test_a_call_that_aws_refused_outright_does_not_land_later(plane: Plane, code: str, waits: bool) -> None:
    plane.put()
    plane.cloudformation.faults["CreateStack"] = (code, "no")
    plane.go()
    assert (stored(plane).unsettled == NOW) is waits


# Timers


def test_there_is_one_timer_however_many_passes(plane: Plane) -> None:
    plane.put()
    plane.go()
    for _ in range(5):
        plane.now += 10
        plane.go()
    assert plane.timers() == [120]
    plane.now = NOW + 121
    plane.go()
    assert plane.timers() == [120, 120]


def test_a_sooner_look_gets_a_sooner_timer(ready: Plane) -> None:
    ready.put(tags={"team": "physics"})
    ready.go()
    assert ready.timers() == [5]


def test_no_timer_stays_when_nothing_is_to_come(ready: Plane) -> None:
    assert stored(ready).timer is None


def test_the_record_knows_of_a_timer_whose_message_was_lost(plane: Plane) -> None:
    plane.put()
    plane.clients.faults["SendMessage"] = ("InternalError", "no")
    with pytest.raises(ClientError):
        plane.go()
    assert stored(plane).timer == pytest.approx(NOW + 120, abs=1)
    assert not stored(plane).lease.owner


# The end


def test_a_cluster_goes_in_order_and_leaves_nothing(ready: Plane) -> None:
    ready.delete()
    nodes = "demo/nodes"
    client("dynamodb").put_item(TableName="state", Item={"cluster": {"S": nodes}, "row": {"S": "FACTS"}})
    assert ready.objects()
    actions = [ready.go().actions]
    assert ready.group()["DesiredCapacity"] == 0
    assert ready.status()["phase"] == "Deleting"
    ready.now += 30
    actions.append(ready.go().actions)
    assert ready.cloudformation.stacks[-1].status == "DELETE_IN_PROGRESS"
    assert ready.objects() == []
    ready.now += 120
    assert ready.go().actions == ()
    ready.cloudformation.end("DELETE_COMPLETE")
    client("s3").put_object(Bucket="artifacts", Key="clusters/demo/nodes/late", Body=b"x")
    ready.now += 1
    last = ready.go()
    assert last.result == "forgotten"
    words = [action.split()[0] for actions_ in (*actions, last.actions) for action in actions_]
    assert words == ["ResizeGroup", "DeleteArtifacts", "DeleteStack", "DeleteArtifacts", "Forget"]
    assert ready.objects() == []
    assert ready.rows(nodes) == []
    assert [row["row"] for row in ready.rows() if not row["row"].startswith("EVENT#")] == []
    assert "Deleted" in ready.reasons()
    assert ready.go().result == "absent"


def test_what_the_stack_left_behind_goes_by_its_tags(ready: Plane) -> None:
    """Somebody deleted the stack, and had CloudFormation keep the group and the head node."""
    ready.delete()
    ready.cloudformation.raze = lambda: None
    ready.cloudformation.end("DELETE_COMPLETE")
    assert [action.split()[0] for action in ready.go().actions] == ["ResizeGroup", "TerminateInstances"]
    assert "LeftoversTerminated" in ready.reasons()
    ready.now += 30
    assert ready.go().result == "forgotten"
    assert ready.group()["DesiredCapacity"] == 0


def test_a_stack_that_somebody_protects_is_deleted_once_they_no_longer_do(ready: Plane) -> None:
    said = "Stack [muster-demo] cannot be deleted while TerminationProtection is enabled"
    ready.cloudformation.faults["DeleteStack"] = ("ValidationError", said)
    ready.delete()
    ready.go()
    ready.now += 60
    assert ready.go().result == "terminal"
    assert ready.condition("Stalled") == ("True", "ValidationError")
    assert "TerminationProtection" in ready.message("Stalled")
    ready.cloudformation.faults.clear()
    ready.now += 3600
    ready.go()
    assert ready.cloudformation.stacks[-1].status == "DELETE_IN_PROGRESS"


def test_protection_is_remembered_when_the_spec_is_gone(ready: Plane) -> None:
    ready.put(deletionProtection=True)
    settle(ready)
    ready.delete()
    settle(ready)
    assert ready.cloudformation.stacks[-1].status == "CREATE_COMPLETE"
    assert ready.condition("Stalled") == ("True", "DeletionProtected")
    resize(2, 2, 1)
    ready.go()
    assert ready.group()["DesiredCapacity"] == 2
    ready.put()
    settle(ready)
    assert ready.condition("Ready") == ("True", "AsSpecified")


def test_retain_leaves_the_stack_and_forgets_it(ready: Plane) -> None:
    ready.put(deletionPolicy="Retain")
    settle(ready)
    ready.delete()
    assert ready.go().result == "forgotten"
    assert ready.cloudformation.stacks[-1].status == "CREATE_COMPLETE"
    assert ready.group()["DesiredCapacity"] == 2
    assert "Retained" in ready.reasons()


def test_a_failed_deletion_names_what_blocks_it(ready: Plane) -> None:
    ready.delete()
    ready.go()
    ready.now += 60
    ready.go()
    ready.cloudformation.stacks[-1].resources = [
        {
            "LogicalResourceId": "HeadSecurityGroup",
            "PhysicalResourceId": "sg-1",
            "ResourceType": "AWS::EC2::SecurityGroup",
            "ResourceStatus": "DELETE_FAILED",
            "ResourceStatusReason": "resource sg-1 has a dependent object",
        }
    ]
    for _ in range(3):
        ready.cloudformation.end("DELETE_FAILED")
        ready.go()
        assert "sg-1 has a dependent object" in ready.message("StackReady")
        ready.now += 3600
    assert ready.condition("Stalled") == ("True", "DeletionBlocked")
    assert ready.cloudformation.calls["DeleteStack"] == 4
    assert (
        len({sent["ClientRequestToken"] for name, sent in ready.cloudformation.requests if name == "DeleteStack"}) == 4
    )


ODD = ["a/nodes", "demo", "x" * 2000, "x" * 2048, "with space", "UPPER", "demo/", "*", "äöü", "demo.compute"]


@pytest.mark.parametrize("name", ODD, ids=lambda name: name[:12])
def test_a_spec_that_was_never_accepted_goes_without_a_call_but_to_the_tables(plane: Plane, name: str) -> None:
    """Also objects below its name stay: they may be what a cluster that was let go has kept."""
    for key in ("clusters/a/nodes/x", "clusters/demo/x", "clusters/x", "clusters/demo/sources/x.zip"):
        client("s3").put_object(Bucket="artifacts", Key=key, Body=b"x")
    client("dynamodb").put_item(TableName="state", Item={"cluster": {"S": "a/nodes"}, "row": {"S": "FACTS"}})
    plane.put_raw({"name": {"S": name}, "spec": {"M": {}}})
    assert plane.go(name).phase == "Invalid"
    settle(plane, name) if name != "demo" else None
    plane.delete(name)
    assert plane.go(name).result == "forgotten"
    assert set(plane.calls) <= {"BatchGetItem", "UpdateItem", "TransactWriteItems", "Query"}
    assert plane.store.load(name) == (None, None)
    assert len(plane.objects()) == 4
    assert len(plane.rows("a/nodes")) == 1


def test_a_zombie_at_the_very_end_takes_nothing_of_the_next_life(ready: Plane) -> None:
    """It is about to forget the cluster when its lease goes, and the next life's nodes write their rows."""
    ready.delete()
    ready.cloudformation.end("DELETE_COMPLETE")

    def overtaken(operation: str) -> None:
        if operation == "ListObjectVersions":
            ready.store.take(stored(ready), "heir", 60, ready.now + 3600)
            client("dynamodb").put_item(TableName="state", Item={"cluster": {"S": "demo/nodes"}, "row": {"S": "FACTS"}})

    ready.clients.before = overtaken
    with pytest.raises(Refused):
        ready.go()
    assert len(ready.rows("demo/nodes")) == 1
    assert ready.store.load(NAME)[1] is not None


def test_a_spec_put_back_during_its_deletion_makes_the_cluster_again(ready: Plane) -> None:
    ready.delete()
    ready.go()
    ready.now += 60
    ready.go()
    ready.put()
    ready.go()
    ready.cloudformation.end("DELETE_COMPLETE")
    ready.now += 60
    ready.go()
    ready.cloudformation.end("CREATE_COMPLETE")
    settle(ready)
    assert ready.condition("Ready") == ("True", "AsSpecified")
    assert len(ready.cloudformation.stacks) == 2


def test_no_secret_of_a_spec_is_shown(plane: Plane) -> None:
    secret = {"bootstrap": {"preInstall": {"url": "https://user:hunter2@example.com/x?token=hunter2"}}}
    plane.put(**secret)
    plane.go()
    assert "hunter2" not in json.dumps(plane.rows(), default=str)
