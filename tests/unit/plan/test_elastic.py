"""Queues that follow the jobs: nodes come when jobs wait, and go one by one when they have none."""

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.actions import Action, DrainNodes, EndNodes, PutFacts, ResizeGroup
from reconciler.demand import Room, Shape
from reconciler.facts import Group, Launch
from reconciler.nodes import NodeFacts, QueueDemand
from reconciler.plan import Desired, Plan, plan
from reconciler.plan.told import MOST_TOLD
from reconciler.record import Bootstraps, Failure, Record
from reconciler.slurm import keeping
from tests.unit import factories
from tests.unit import slurm_factories as make
from tests.unit.factories import NOW, bare_group, condition, head, kinds, message
from tests.unit.slurm_factories import (
    BOOTING,
    DRAINED,
    DRAINING,
    FAILED,
    NODE,
    READY,
    SMALL,
    demand,
    desired,
    group,
    jobs,
    members,
    name,
    nodes,
    planned,
    record,
    row,
    rows,
)

NAME = "muster-demo.compute"
AFTER_IDLE = "idle and not needed"
OLD_TEMPLATE = "its launch template has a newer version"


def resize(size: int, most: int = 10) -> ResizeGroup:
    return ResizeGroup(NAME, 0, most, size)


def drain(*numbers: int, reason: str = AFTER_IDLE) -> DrainNodes:
    return DrainNodes("demo", tuple(name(number) for number in numbers), reason, NOW)


def end(*numbers: int, replace: bool = False) -> EndNodes:
    return EndNodes(NAME, tuple(name(number) for number in numbers), replace)


def queue(of: Plan) -> dict[str, Any]:
    (found,) = of.record.status["queues"]
    return found


MOVES: dict[str, tuple[dict[str, Any], Group, NodeFacts, list[Action]]] = {
    "at rest": ({}, members(0), nodes(), []),
    "sizes are put in force": ({}, bare_group(), nodes(), [resize(0)]),
    "a job brings a node": ({}, members(0), nodes((), demand(jobs())), [resize(1)]),
    "small jobs share": ({}, members(0), nodes((), demand(jobs(4, SMALL))), [resize(2)]),
    "jobs bring no more than may be": ({}, members(0), nodes((), demand(jobs(40))), [resize(10)]),
    "a job of several nodes": ({}, members(0), nodes((), demand(jobs(1, nodes=3))), [resize(3)]),
    "what was asked for is waited for": ({}, members(0, desired=1), nodes((), demand(jobs())), []),
    "what has no row yet comes": ({}, group("Pending"), nodes((), demand(jobs())), []),
    "what boots comes": ({}, members(1), nodes(rows(BOOTING), demand(jobs())), []),
    "what the scheduler has not spoken of comes": (
        {},
        members(1),
        nodes(rows(READY, since=NOW - 1), demand(jobs())),
        [],
    ),
    "what is idle is used": ({}, members(1), nodes(rows(READY), demand(jobs(), idle=[0])), []),
    "room on a busy node is used": (
        {},
        members(1),
        nodes(rows(READY), demand(jobs(1, SMALL), rooms=(Room(Shape(1, 500)),))),
        [],
    ),
    "a busy node has no room": ({}, members(1), nodes(rows(READY), demand(jobs())), [resize(2)]),
    "one that drains takes no job": ({}, members(1), nodes(rows(DRAINING), demand(jobs())), [resize(2)]),
    "one that drains is in the way": (
        {"minSize": 0, "maxSize": 1},
        members(1, max=1),
        nodes(rows(DRAINING), demand(jobs())),
        [],
    ),
    "idle for long": ({}, members(1), nodes(rows(READY), demand(idle=[0])), [drain(0)]),
    "a stream of jobs brings nodes ahead": (
        {},
        members(3),
        nodes(rows(BOOTING, BOOTING, BOOTING, since=NOW - 30), demand(jobs(4))),
        [resize(6)],
    ),
    "no more than may be": (
        {"minSize": 0, "maxSize": 5},
        members(3, max=5),
        nodes(rows(BOOTING, BOOTING, BOOTING, since=NOW - 30), demand(jobs(4))),
        [resize(5, 5)],
    ),
    "not while nodes are to stay for long": (
        {"idleTime": 10},
        members(3),
        nodes(rows(BOOTING, BOOTING, BOOTING, since=NOW - 30), demand(jobs(4))),
        [resize(4)],
    ),
    "and not for jobs that need none": (
        {},
        members(3),
        nodes(rows(BOOTING, BOOTING, BOOTING, since=NOW - 30), demand(jobs(3))),
        [],
    ),
    "idle for a moment": ({}, members(1), nodes(rows(READY), demand(idle=[0], since=NOW - 29)), []),
    "several are idle for a moment": (
        {},
        members(3),
        nodes(rows(READY, READY, READY), demand(idle=[0, 1, 2], since=NOW - 10)),
        [drain(0)],
    ),
    "but where the spec says how long": (
        {"idleTime": 1},
        members(3),
        nodes(rows(READY, READY, READY), demand(idle=[0, 1, 2], since=NOW - 59)),
        [],
    ),
    "it is said": (
        {"idleTime": 1},
        members(2),
        nodes(rows(READY, READY), demand(idle=[0, 1], since=NOW - 60)),
        [drain(0, 1, reason="idle for 1 minutes")],
    ),
    "the minimum stays": (
        {"minSize": 1, "maxSize": 10},
        members(2),
        nodes(rows(READY, READY), demand(idle=[0, 1])),
        [drain(0)],
    ),
    "a busy node is of the minimum": (
        {"minSize": 1, "maxSize": 10},
        members(2),
        nodes(rows(READY, READY), demand(idle=[1])),
        [drain(1)],
    ),
    "the minimum comes": ({"minSize": 2, "maxSize": 10}, members(0), nodes(), [resize(2)]),
    "a fixed size comes": ({"size": 2}, members(0, max=2), nodes(), [resize(2, 2)]),
    "drained and not needed": ({}, members(1), nodes(rows(DRAINED)), [end(0)]),
    "drained and needed again": ({}, members(1), nodes(rows(DRAINED), demand(jobs())), [end(0, replace=True)]),
    "failed and not needed": ({}, members(1), nodes(rows(FAILED)), [end(0)]),
    "failed in a queue of a fixed size": (
        {"size": 2},
        members(2, max=2),
        nodes(rows(FAILED, READY)),
        [end(0, replace=True)],
    ),
    "one is replaced, one ended": (
        {},
        members(2),
        nodes(rows(DRAINED, FAILED), demand(jobs())),
        [end(0, replace=True), end(1)],
    ),
    "one is replaced, one added": (
        {},
        members(1),
        nodes(rows(FAILED), demand(jobs(2))),
        [resize(2), end(0, replace=True)],
    ),
    "one that goes already is let go": ({}, group("Terminating:Wait", desired=0), nodes(rows(DRAINED)), []),
    "one that is no member is nobody's": ({}, members(0), nodes(rows(FAILED)), []),
    "a larger minimum by hand": ({}, members(1, min=1), nodes(rows(READY)), [resize(1)]),
    "a smaller capacity by hand": ({}, members(2, desired=1), nodes(rows(READY, READY)), [resize(2)]),
    "a larger capacity by hand": ({}, members(0, desired=12, max=20), nodes(), [resize(10)]),
    "a smaller maximum, idle first": (
        {"maxSize": 1},
        members(3, max=3),
        nodes(rows(READY, READY, READY), demand(idle=[1], since=NOW)),
        [drain(1, 0, reason="the queue may have 1 nodes")],
    ),
    "a smaller maximum follows those that go": (
        {"maxSize": 1},
        members(2, max=3),
        nodes(rows(READY, DRAINING)),
        [resize(2, 2)],
    ),
    "stopped": (
        {"fleet": "stopped", "minSize": 2, "maxSize": 10},
        members(4, desired=5),
        nodes(rows(READY, READY, BOOTING, DRAINED), demand(jobs(9), idle=[1], since=NOW)),
        [resize(4), drain(1, 2, 0, reason="the fleet is stopped"), end(3)],
    ),
    "stopped and empty": ({"fleet": "stopped", "size": 2}, members(0, max=2), nodes((), demand(jobs())), []),
}


@pytest.mark.parametrize(("fields", "there", "said", "actions"), MOVES.values(), ids=list(MOVES))
def test_what_is_done(fields: dict[str, Any], there: Group, said: NodeFacts, actions: list[Action]) -> None:
    more = {key: fields[key] for key in ("fleet", "idleTime") if key in fields}
    sizes = {key: value for key, value in fields.items() if key not in more} or make.BOUNDS
    assert list(planned(there, said, desired(sizes, **more)).actions) == actions


def versions(there: Group, *old: int) -> Group:
    """The members of a group that has a newer template, of which these are of the older one."""
    each = enumerate(there.members)
    made = tuple(replace(member, template_version="1" if place in old else "2") for place, member in each)
    return replace(there, members=made, template_version="2")


REPLACED: dict[str, tuple[dict[str, Any], Group, NodeFacts, list[Action]]] = {
    "idle": ({}, versions(members(1), 0), nodes(rows(READY), demand(idle=[0], since=NOW)), [drain(0)]),
    "busy": ({}, versions(members(1), 0), nodes(rows(READY)), [drain(0)]),
    "half of a fixed size": (
        {"size": 4},
        versions(members(4, max=4), 0, 1, 2, 3),
        nodes(rows(*[READY] * 4), demand(idle=[2])),
        [drain(2, 0)],
    ),
    "no more than half at a time": (
        {"size": 4},
        versions(members(4, max=4), 1, 2, 3),
        nodes(rows(BOOTING, DRAINING, READY, READY), demand()),
        [],
    ),
    "the new ones stay": ({"size": 2}, versions(members(2, max=2)), nodes(rows(READY, READY)), []),
}


@pytest.mark.parametrize(("fields", "there", "said", "actions"), REPLACED.values(), ids=list(REPLACED))
def test_nodes_of_an_older_template_are_replaced_by_turns(
    fields: dict[str, Any], there: Group, said: NodeFacts, actions: list[DrainNodes]
) -> None:
    done = planned(there, said, desired(fields or make.BOUNDS)).actions
    assert list(done) == [replace(each, reason=OLD_TEMPLATE) for each in actions]


# ------------------------------------------------------------------ the head node


def test_the_head_node_is_told_of_its_queues() -> None:
    done = planned(members(0), nodes(told="{}")).actions
    assert done == (PutFacts("demo", desired().facts),)


def test_nodes_have_what_they_had_until_the_stack_is_as_the_spec_has_it() -> None:
    former = json.loads(desired().facts)
    former["queues"][0] |= {"cpus": 64, "memory": 256_000, "gpus": 8}
    told = json.dumps(former, sort_keys=True, separators=(",", ":"))
    wanted = desired({**make.BOUNDS, "maxSize": 11})
    memory = record(rendering=factories.rendering(factories.BEFORE, spec_hash="old-spec"))
    before = factories.actual(template=factories.BEFORE, groups=(members(0),), nodes=nodes(told=told))
    action = next(each for each in plan(wanted, before, memory, NOW).actions if isinstance(each, PutFacts))
    assert json.loads(action.document)["queues"] == [{**former["queues"][0], "max": 11}]
    after = planned(members(0), nodes(told=told), wanted)
    assert PutFacts("demo", wanted.facts) in after.actions


def test_before_the_head_node_speaks_nothing_is_moved() -> None:
    said = NodeFacts()
    plan_ = planned(members(0), said, desired({"size": 2}))
    assert kinds(plan_) == ["PutFacts"]
    assert condition(plan_, "HeadNodeReady") == (False, "Waiting")
    assert condition(plan_, "Reconciling") == (True, "Waiting")
    assert plan_.next_look == NOW + 60


@pytest.mark.parametrize(("seconds", "silent"), [(1799, False), (1801, True)])
def test_a_head_node_that_never_speaks_is_not_waited_for_without_end(seconds: float, silent: bool) -> None:
    plan_ = planned(members(0), NodeFacts(), desired({"size": 2}), instances=(head(launched=NOW - seconds),))
    assert condition(plan_, "HeadNodeReady") == (False, "AgentSilent" if silent else "Waiting")
    assert condition(plan_, "Stalled")[0] is silent
    assert ("since it was started at" in message(plan_, "HeadNodeReady")) is silent
    assert plan_.next_look == NOW + 60
    assert kinds(plan_) == ["PutFacts"]


@pytest.mark.parametrize(("seconds", "silent"), [(299, False), (301, True)])
def test_when_the_head_node_falls_silent_nothing_is_taken_and_nothing_added(seconds: float, silent: bool) -> None:
    said = nodes(rows(READY, DRAINED), demand(jobs(4), idle=[0]), agent_at=NOW - seconds)
    plan_ = planned(members(2), said)
    assert (plan_.actions == ()) is silent
    assert condition(plan_, "HeadNodeReady") == ((False, "AgentSilent") if silent else (True, "Running"))
    assert condition(plan_, "Stalled")[0] is silent
    assert plan_.next_look is not None


def test_while_the_scheduler_does_not_serve_only_what_has_no_job_goes() -> None:
    """A group that has no name left for a node says so too, and only the end of others gives one back."""
    said = nodes(rows(READY, DRAINED, FAILED), demand(jobs(4), idle=[0]), agent_reason="slurmctld does not answer")
    plan_ = planned(members(3, desired=4), said)
    assert plan_.actions == (end(1, 2),)
    assert condition(plan_, "HeadNodeReady") == (False, "SchedulerFailing")
    assert "slurmctld does not answer" in message(plan_, "HeadNodeReady")


def test_what_a_failing_scheduler_signs_is_no_word_of_its_jobs() -> None:
    said = nodes([row(0, since=NOW - 60)], demand(), demand_at=NOW - 90)
    assert queue(planned(members(1), said))["idle"] == 0
    assert planned(members(1), replace(said, agent_reason="broken")).actions == ()


@pytest.mark.parametrize("state", ["pending", "stopped", "terminated"])
def test_while_the_head_node_is_down_nothing_is_moved(state: str) -> None:
    plan_ = planned(members(1), nodes(rows(DRAINED)), instances=(head(state),))
    assert plan_.actions == ()


def test_a_cluster_at_rest_is_looked_at_again() -> None:
    plan_ = planned(members(0), nodes())
    assert condition(plan_, "Ready") == (True, "AsSpecified")
    assert plan_.next_look == NOW + 300


def test_the_end_of_an_idle_time_is_waited_for() -> None:
    plan_ = planned(members(1), nodes(rows(READY), demand(idle=[0], since=NOW - 20)))
    assert plan_.next_look == NOW + 10
    assert condition(plan_, "Ready")[0] is True
    two = planned(members(2), nodes(rows(READY, READY), demand(idle=[0, 1], since=NOW - 10)))
    assert two.next_look == NOW + 5, "they share it"
    beside = demand(idle=[0], since=NOW - 10, rooms=(Room(NODE),))
    both = planned(members(2), nodes(rows(READY, READY), beside))
    assert both.next_look == NOW + 5, "with what is free on others"


# ------------------------------------------------------------------ what cannot be launched


def failing(*ages: float, status: str = "Failed", said: str = "InsufficientInstanceCapacity - none left") -> Group:
    """A group that lacks a node, its launches having failed so many seconds ago."""
    tries = tuple(Launch(f"launch-{age:g}", status, said, NOW - age) for age in ages)
    return members(1, desired=3, launches=tries)


WANTS = nodes(rows(READY), demand(jobs(2)))


def test_auto_scaling_tries_other_zones_first() -> None:
    plan_ = planned(failing(5, 10), WANTS)
    assert plan_.actions == ()
    assert plan_.next_look is not None
    assert plan_.next_look <= NOW + 15


def test_after_a_failed_launch_the_group_is_set_back_and_tried_later() -> None:
    first = planned(failing(5, 40), WANTS)
    assert first.actions == (resize(1),)
    assert condition(first, "FleetReady") == (False, "LaunchFailed")
    assert "InsufficientInstanceCapacity - none left" in message(first, "FleetReady")
    assert first.phase == "Degraded"
    known = first.record.launches["compute"]
    assert (known.count, known.code, known.source) == (1, "InsufficientInstanceCapacity", "launch-5")
    assert known.retry_at is not None

    waits = planned(members(1), WANTS, memory=first.record)
    assert waits.actions == ()
    assert waits.next_look is not None
    assert waits.next_look <= known.retry_at

    later = known.retry_at + 1
    alive = replace(WANTS, agent_at=later)
    again = planned(members(1), alive, memory=first.record, now=later)
    assert again.actions == (resize(3),)
    tried = planned(failing(5, 40), alive, memory=again.record, now=later)
    assert tried.actions == (), "that failure is known"
    newer = replace(failing(5), launches=(Launch("new", "Failed", "why", later - 40), *failing(5).launches))
    second = planned(newer, alive, memory=again.record, now=later)
    assert second.actions == (resize(1),)
    assert second.record.launches["compute"].count == 2
    assert second.record.launches["compute"].retry_at > later + 60


def test_what_came_after_all_ends_the_failure() -> None:
    memory = record(launches={"compute": Failure("compute", "none", "launch-5", 3, NOW - 1)})
    assert planned(members(1, desired=3), WANTS, memory=memory).record.launches != {}
    assert planned(members(3), nodes(rows(READY, READY, READY)), memory=memory).record.launches == {}


def test_a_launch_that_goes_on_is_no_failure() -> None:
    assert planned(failing(40, status="InProgress"), WANTS).record.launches == {}


def test_while_nothing_can_be_launched_what_failed_is_ended_for_good() -> None:
    memory = record(launches={"compute": Failure("compute", "none", "launch-5", 3, NOW + 100)})
    said = nodes(rows(FAILED), demand(jobs(2)))
    assert planned(members(1), said, memory=memory).actions == (end(0),)


@pytest.mark.parametrize(
    ("asked", "actions"), [(False, []), (True, [drain(0)])], ids=["it waits for the rest", "it does not"]
)
def test_a_node_that_came_alone_for_a_job_of_three(asked: bool, actions: list[Action]) -> None:
    memory = record(launches={"compute": Failure("compute", "none", "launch-5", 3, NOW + 100)})
    said = nodes(rows(READY), demand(jobs(1, nodes=3), idle=[0]))
    plan_ = planned(members(1), said, desired({**make.BOUNDS, "allOrNothing": asked}), memory)
    assert list(plan_.actions) == actions
    smaller = nodes(rows(READY), demand(jobs(1), idle=[0]))
    assert planned(members(1), smaller, desired({**make.BOUNDS, "allOrNothing": asked}), memory).actions == ()


# ------------------------------------------------------------------ jobs of several queues

OTHER: dict[str, Any] = {"name": "other", "minSize": 0, "maxSize": 4}


def side_by_side(wanted: Desired, said: NodeFacts, there: Group, memory: Record | None = None) -> Plan:
    """The plan for a cluster that has a group of the queue `other`, too, without nodes."""
    other = replace(make.members(0, max=4), name="muster-demo.other", queue="other")
    sizes = {"compute": (0, there.max, None), "other": (0, 4, None)}
    facts = factories.actual(groups=(there, other), nodes=said)
    return plan(wanted, facts, replace(memory or record(), sizes=sizes), NOW)


@pytest.mark.parametrize(
    ("failures", "grown"),
    [({}, resize(2)), ({"compute": Failure("compute", "none", "launch-5", 3, NOW + 100)}, ResizeGroup(
        "muster-demo.other", 0, 4, 2))],
    ids=["the first may launch", "the first may not"],
)  # fmt: skip
def test_what_one_queue_cannot_launch_the_next_one_does(failures: dict[str, Failure], grown: ResizeGroup) -> None:
    wanted = desired(make.BOUNDS, OTHER)
    wants = {"compute": demand(replace(jobs(2), others=("other",))), "other": demand()}
    said = nodes((), told=wanted.facts, demand=wants)
    plan_ = side_by_side(wanted, said, members(0), record(launches=failures))
    assert plan_.actions == (grown,)
    shown = {each["name"]: each["pending"] for each in plan_.record.status["queues"]}
    assert shown == {"compute": 0 if failures else 2, "other": 2 if failures else 0}


def test_the_next_queue_does_it_at_once_and_not_when_something_else_happens() -> None:
    """What the first has asked for in vain is not on its way any more."""
    wanted = desired(make.BOUNDS, OTHER)
    wants = {"compute": demand(replace(jobs(2), others=("other",))), "other": demand()}
    said = nodes((), told=wanted.facts, demand=wants)
    failed = record(launches={"compute": Failure("compute", "none", "launch-5", 3, NOW + 100)})
    assert set(side_by_side(wanted, said, members(0, desired=2), failed).actions) == {
        resize(0),
        ResizeGroup("muster-demo.other", 0, 4, 2),
    }


# ------------------------------------------------------------------ queues that the spec has no more

LEAVING = "the queue is no longer in the spec"


def left(there: Group, said: NodeFacts, *consent: str) -> Plan:
    """The plan for a spec that has lost the queue `compute`, and has `other`."""
    wanted = desired(OTHER, consent=list(consent))
    told = keeping(wanted.facts, desired().facts, {"compute"})
    return side_by_side(wanted, replace(said, facts_document=told), there)


def test_the_head_node_knows_a_queue_while_its_group_is_there() -> None:
    wanted = desired(OTHER)
    both = keeping(wanted.facts, desired().facts, {"compute"})
    before = nodes(rows(READY), told=desired().facts)
    assert side_by_side(wanted, before, members(1)).actions == (PutFacts("demo", both),)
    assert side_by_side(wanted, replace(before, facts_document=both), members(1)).actions == ()
    gone = factories.actual(groups=(replace(members(0, max=4), name="muster-demo.other", queue="other"),))
    after = plan(wanted, replace(gone, nodes=nodes(told=both)), record(sizes={"other": (0, 4, None)}), NOW)
    assert after.actions == (PutFacts("demo", wanted.facts),)


@pytest.mark.parametrize(
    ("said", "consent", "actions"),
    [
        (nodes(rows(READY), demand(jobs(4))), (), []),
        (nodes(rows(READY), demand(idle=[0])), (), [drain(0)]),
        (nodes(rows(READY), demand(idle=[0], since=NOW - 29)), (), []),
        (nodes(rows(READY), demand(jobs(4), idle=[0], since=NOW)), ("queues/compute",), [drain(0, reason=LEAVING)]),
        (nodes(rows(READY), demand(jobs(4))), ("queues/compute",), [drain(0, reason=LEAVING)]),
        (nodes(rows(BOOTING)), ("queues/compute",), [drain(0, reason=LEAVING)]),
        (nodes(rows(DRAINED)), ("queues/compute",), [end(0)]),
        (nodes(rows(DRAINED)), (), [end(0)]),
    ],
)
def test_its_nodes_go_when_their_jobs_have_ended(
    said: NodeFacts, consent: tuple[str, ...], actions: list[Action]
) -> None:
    assert list(left(members(1), said, *consent).actions) == actions


def test_and_that_is_said() -> None:
    busy = left(members(1), nodes(rows(READY)), "queues/compute")
    assert condition(busy, "FleetReady") == (False, "Scaling")
    assert [each["name"] for each in busy.record.status["queues"]] == ["other", "compute"]
    assert condition(left(members(1), nodes(rows(READY))), "FleetReady") == (True, "AtSize")
    assert condition(left(members(0), nodes(), "queues/compute"), "FleetReady") == (True, "AtSize")


@pytest.mark.parametrize(("size", "kinds_"), [(1, []), (0, ["ExecuteChangeSet"])], ids=["nodes", "none"])
def test_its_group_is_removed_when_it_has_no_node(size: int, kinds_: list[str]) -> None:
    wanted = desired(OTHER, consent=["queues/compute"])
    told = keeping(wanted.facts, desired().facts, {"compute"})
    memory = factories.record(
        rendering=factories.rendering(factories.BEFORE, spec_hash="old-spec"), sizes={"other": (0, 4, None)}
    )
    said = nodes([row(0, DRAINING)][:size], told=told)
    other = replace(make.members(0, max=4), name="muster-demo.other", queue="other")
    there = factories.actual(template=factories.BEFORE, groups=(members(size), other), nodes=said)
    asked = plan(wanted, there, memory, NOW)
    seen = factories.change_set(
        factories.change("GroupCompute", "AWS::AutoScaling::AutoScalingGroup", "Remove", ""),
        name=asked.record.change_set,
    )
    plan_ = plan(wanted, replace(there, change_set=seen), asked.record, NOW)
    assert kinds(plan_) == kinds_
    assert ("1 nodes of muster-demo.compute to go" in message(plan_, "StackReady")) is bool(size)


# ------------------------------------------------------------------ what never serves


def broken(count: int, **fields: Any) -> NodeFacts:
    failed = [row(number, FAILED, NOW - 100 + number, reason=f"exit {number}", **fields) for number in range(count)]
    return nodes(failed, demand(jobs(9)))


def test_after_five_nodes_that_never_served_no_more_are_launched() -> None:
    fine = planned(members(4), broken(4))
    assert fine.actions[0] == resize(9)
    assert fine.record.bootstraps["compute"].count == 4
    plan_ = planned(members(5), broken(5))
    assert plan_.actions == (end(0, 1, 2, 3, 4),)
    assert condition(plan_, "FleetReady") == (False, "BootstrapFailing")
    assert condition(plan_, "Stalled") == (True, "BootstrapFailing")
    assert plan_.phase == "Degraded"
    assert "exit 4" in message(plan_, "FleetReady")


def test_a_node_is_counted_once() -> None:
    first = planned(members(3), broken(3))
    again = planned(members(3), broken(3), memory=first.record)
    assert again.record.bootstraps == first.record.bootstraps
    gone = planned(members(0), nodes((), demand(jobs())), memory=again.record)
    assert gone.record.bootstraps["compute"].count == 3
    assert gone.record.bootstraps["compute"].counted == ()


def test_nodes_that_served_before_they_failed_are_not_counted() -> None:
    assert planned(members(5), broken(5, served=True)).record.bootstraps == {}


def test_nodes_that_ec2_takes_back_while_they_boot_are_not_counted() -> None:
    taken = [row(number, FAILED, reason="Spot interruption at 10:00: terminate") for number in range(5)]
    plan_ = planned(members(5), nodes(taken, demand(jobs(5))))
    assert plan_.record.bootstraps == {}
    assert plan_.actions == (end(0, 1, 2, 3, 4, replace=True),)


KNOWN = Bootstraps(5, "exit 1", "1/", NOW - 100)


def test_a_node_that_serves_begins_the_count_anew() -> None:
    memory = record(bootstraps={"compute": KNOWN})
    old = nodes([row(0, READY, NOW - 200)], demand(jobs()))
    assert condition(planned(members(1), old, memory=memory), "FleetReady") == (False, "BootstrapFailing")
    new = nodes([row(0, READY, NOW - 50)], demand(jobs()))
    plan_ = planned(members(1), new, memory=memory)
    assert plan_.actions == (resize(2),)
    assert plan_.record.bootstraps == {}


@pytest.mark.parametrize("source", ["0/", "1/7"])
def test_another_spec_and_another_template_are_tried(source: str) -> None:
    memory = record(bootstraps={"compute": replace(KNOWN, source=source)})
    assert planned(members(0), nodes((), demand(jobs())), memory=memory).actions == (resize(1),)


def test_what_is_on_its_way_is_not_waited_for_by_a_queue_that_launches_no_more() -> None:
    memory = record(bootstraps={"compute": KNOWN})
    assert planned(members(0, desired=4), nodes((), demand(jobs(4))), memory=memory).actions == (resize(0),)


# ------------------------------------------------------------------ what is said


def test_the_status_tells_of_nodes_and_jobs() -> None:
    said = nodes(
        rows(READY, READY, BOOTING, DRAINING, DRAINED, FAILED),
        demand(jobs(3), idle=[0], waiting={"Dependency": 2}),
    )
    shown = queue(planned(members(6), said, desired({"minSize": 0, "maxSize": 5})))
    assert shown == {
        "name": "compute",
        "min": 0,
        "max": 5,
        "desired": 6,
        "inService": 6,
        "total": 6,
        "ready": 2,
        "idle": 1,
        "booting": 1,
        "draining": 2,
        "failed": 1,
        "pending": 3,
        "waiting": {"Dependency": 2},
    }


def test_jobs_that_wait_for_room_are_told() -> None:
    said = nodes((), demand(jobs(12)))
    assert queue(planned(members(0), said))["waiting"] == {"QueueFull": 2}


def test_jobs_that_fit_nowhere_are_told_once() -> None:
    said = nodes((), demand(jobs(2, Shape(64, 100)), never={"PartitionConfig": 1}))
    first = planned(members(0), said)
    assert first.actions == ()
    assert queue(first)["unfit"] == [{"cpus": 64, "memory": 100, "gpus": 0, "nodes": 1, "count": 2}]
    assert [event.reason for event in first.events if event.subject == "queue compute"] == ["JobsUnfit"] * 2
    again = planned(members(0), said, memory=first.record)
    assert [event for event in again.events if event.reason == "JobsUnfit"] == []


def test_of_many_kinds_of_jobs_that_fit_nowhere_some_are_told_at_a_time() -> None:
    unfit = [jobs(1, Shape(64, memory)) for memory in range(300)]
    waiting = {f"Reason{number}": number for number in range(300)}
    plan_ = planned(members(0), nodes((), demand(*unfit, waiting=waiting, never=waiting)))
    shown = queue(plan_)
    assert [len(shown[name]) for name in ("unfit", "waiting", "never")] == [MOST_TOLD] * 3
    assert "Reason299" in shown["waiting"], "those that count most"
    assert len([event for event in plan_.events if event.reason == "JobsUnfit"]) == 2 * MOST_TOLD


def test_nodes_that_come_for_jobs_leave_the_cluster_ready() -> None:
    plan_ = planned(members(1), nodes(rows(BOOTING), demand(jobs())))
    assert condition(plan_, "Ready") == (True, "AsSpecified")
    assert plan_.phase == "Scaling"


def test_nodes_that_the_spec_asks_for_do_not() -> None:
    plan_ = planned(members(1, max=1), nodes(rows(BOOTING)), desired({"size": 1}))
    assert condition(plan_, "FleetReady") == (False, "Scaling")
    assert condition(plan_, "Ready")[0] is False


def test_a_stopped_fleet_is_said_to_be() -> None:
    wanted = desired(fleet="stopped")
    assert condition(planned(members(0), nodes(), wanted), "FleetReady") == (True, "Stopped")
    assert condition(planned(members(1), nodes(rows(DRAINING)), wanted), "FleetReady") == (False, "Scaling")


def test_rows_that_cannot_be_read_are_told_once() -> None:
    said = nodes(unread=("NODE#x",))
    first = planned(members(0), said)
    assert [event.reason for event in first.events] == ["RowsUnreadable", "AsSpecified"]
    assert first.record.status["unreadable"] == [{"row": "NODE#x"}]
    assert planned(members(0), said, memory=first.record).events == ()


def test_a_paused_cluster_is_left_as_it_is() -> None:
    plan_ = planned(members(1), nodes(rows(DRAINED), demand(jobs(4))), desired(paused=True))
    assert plan_.actions == ()
    assert len(plan_.withheld) == 2
    assert condition(plan_, "FleetReady") == (False, "Withheld")


def test_a_queue_of_which_nothing_is_said_keeps_its_nodes() -> None:
    said = nodes(rows(READY), demand=dict[str, QueueDemand]())
    assert planned(members(1), said).actions == ()


def test_what_the_group_lost_or_never_had_is_told_as_of_any_group() -> None:
    assert condition(planned(None, nodes()), "FleetReady") == (False, "GroupMissing")
    assert condition(planned(group("Dreaming"), nodes()), "FleetReady") == (False, "UnknownStatus")
    assert kinds(planned(members(0, suspended=("Launch",)), nodes())) == ["ResumeProcesses"]
    aside = planned(group("Standby", desired=0, max=1), nodes(), desired({"size": 1}))
    assert condition(aside, "FleetReady") == (False, "NodesSetAside")
