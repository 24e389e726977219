"""What the plan does with the queues' groups: sizes, suspended processes, and what it says of their nodes."""

from typing import Any

import pytest

from reconciler.actions import ResizeGroup, ResumeProcesses
from reconciler.facts import Group, Member
from reconciler.plan import Plan
from reconciler.record import Record
from reconciler.statuses import ACTIVITY, LIFECYCLE, Activity, MemberStep
from tests.unit.factories import (
    BEFORE,
    actual,
    bare_group,
    condition,
    desired,
    group,
    members,
    message,
    planned,
    queue_spec,
    record,
)

FIXED: dict[str, Any] = {"size": 2}
BOUNDS: dict[str, Any] = {"minSize": 1, "maxSize": 4}
SIZES: dict[str, tuple[int, int, int | None]] = {"fixed": (2, 2, 2), "bounds": (1, 4, None)}


def sized(spec: dict[str, Any], there: Group | None, memory: Record | None = None, **more: Any) -> Plan:
    """The plan for a cluster whose one queue has these sizes, and that group."""
    wanted = desired(spec={"queues": [queue_spec(**spec)], **more})
    return planned(wanted, actual(groups=(there,) if there else ()), memory)


def applied(spec: dict[str, Any]) -> Record:
    """The memory of a cluster whose sizes were put in force."""
    return record(sizes={"compute": SIZES["fixed" if "size" in spec else "bounds"]})


def shape(low: int, high: int, want: int, count: int | None = None) -> Group:
    return group(min=low, max=high, desired=want, members=members(want if count is None else count))


# Spec, group, and the sizes that the group gets (None: it is left as it is).
FIRST = [
    (FIXED, bare_group(), (2, 2, 2)),
    (FIXED, shape(0, 5000, 2), (2, 2, 2)),
    (FIXED, shape(2, 2, 2), None),
    ({"size": 0}, bare_group(), (0, 0, 0)),
    (BOUNDS, bare_group(), (1, 4, 1)),
    (BOUNDS, shape(0, 5000, 3), (1, 4, 3)),
    (BOUNDS, shape(1, 4, 3), None),
    ({}, bare_group(), (2, 2, 2)),
    ({"minSize": 0}, bare_group(), (0, 10, 0)),
]


@pytest.mark.parametrize(("spec", "there", "sizes"), FIRST)
def test_sizes_are_put_in_force(spec: dict[str, Any], there: Group, sizes: tuple[int, int, int] | None) -> None:
    plan_ = sized(spec, there, record(sizes={}))
    assert plan_.actions == (() if sizes is None else (ResizeGroup("muster-demo.compute", *sizes),))
    assert [step.event.reason for step in plan_.steps] == ["SizesApplied"] * len(plan_.steps)


# Spec whose sizes were in force, group as it was found, and what it is put back to.
DRIFT = [
    (FIXED, shape(2, 2, 1), (2, 2, 2), True),
    (FIXED, shape(2, 9, 2), (2, 2, 2), True),
    (FIXED, shape(0, 9, 7), (2, 2, 2), True),
    (FIXED, shape(0, 0, 0), (2, 2, 2), True),
    (FIXED, shape(0, 5000, 2), (2, 2, 2), False),
    (BOUNDS, shape(0, 5000, 3), (1, 4, 3), False),
    (BOUNDS, shape(0, 9, 9), (1, 4, 4), True),
    (BOUNDS, shape(0, 0, 0), (1, 4, 1), True),
    (BOUNDS, shape(1, 4, 2), None, False),
    (BOUNDS, shape(1, 4, 4), None, False),
]


@pytest.mark.parametrize(("spec", "there", "sizes", "by_hand"), DRIFT)
def test_drift_is_put_back_without_asking(
    spec: dict[str, Any], there: Group, sizes: tuple[int, int, int] | None, by_hand: bool
) -> None:
    """What CloudFormation reset is no drift by hand; and within bounds the desired size is the user's."""
    plan_ = sized(spec, there, applied(spec))
    assert plan_.actions == (() if sizes is None else (ResizeGroup("muster-demo.compute", *sizes),))
    for step in plan_.steps:
        assert step.event.reason == ("GroupResized" if by_hand else "SizesApplied")
        assert step.event.warning is by_hand


EDITS = [
    ("grows", {"size": 3}, shape(2, 2, 2), (3, 3, 3)),
    ("to-bounds-around", {"minSize": 0, "maxSize": 9}, shape(2, 2, 2), (0, 9, 2)),
    ("to-bounds-above", {"minSize": 4, "maxSize": 9}, shape(2, 2, 2), (4, 9, 4)),
    ("shrinks-an-empty-group", {"size": 1}, shape(2, 2, 0), (1, 1, 1)),
]


@pytest.mark.parametrize(("spec", "there", "sizes"), [edit[1:] for edit in EDITS], ids=[edit[0] for edit in EDITS])
def test_an_edit_that_takes_no_node_is_put_in_force(
    spec: dict[str, Any], there: Group, sizes: tuple[int, int, int]
) -> None:
    assert sized(spec, there).actions == (ResizeGroup("muster-demo.compute", *sizes),)


SHRINKS = [
    ("fixed", {"size": 1}, (1, 1, 1)),
    ("to-none", {"size": 0}, (0, 0, 0)),
    ("bounds", {"minSize": 0, "maxSize": 1}, (0, 1, 1)),
]


@pytest.mark.parametrize(("spec", "sizes"), [shrink[1:] for shrink in SHRINKS], ids=[shrink[0] for shrink in SHRINKS])
def test_an_edit_that_takes_nodes_waits_for_consent(spec: dict[str, Any], sizes: tuple[int, int, int]) -> None:
    held = sized(spec, group())
    assert held.steps == ()
    assert condition(held, "FleetReady") == (False, "ConsentRequired")
    assert condition(held, "Stalled") == (True, "ConsentRequired")
    assert held.phase == "Held"
    assert "queues/compute" in message(held, "FleetReady")
    assert sized(spec, group(), held.record).steps == (), "and it goes on to wait"

    given = sized(spec, group(), held.record, consent=["queues/compute"])
    assert given.actions == (ResizeGroup("muster-demo.compute", *sizes),)
    assert sized(spec, group(), consent=["queues/other"]).steps == ()


def test_sizes_are_remembered_when_they_are_in_force() -> None:
    resized = sized({"size": 3}, group())
    assert resized.record.sizes == {"compute": (3, 3, 3)}
    assert sized({"size": 3}, group(size=3)).record.sizes == {"compute": (3, 3, 3)}
    assert sized({"size": 1}, group()).record.sizes == {"compute": (2, 2, 2)}, "held"


def test_sizes_of_a_queue_that_is_gone_are_forgotten() -> None:
    memory = record(sizes={"compute": (2, 2, 2), "old": (1, 1, 1)})
    assert planned(memory=memory).record.sizes == {"compute": (2, 2, 2)}


def test_each_queue_is_looked_after() -> None:
    spec = {"queues": [queue_spec("a", size=1), queue_spec("b", size=2), queue_spec("c", size=3)]}
    there = actual(groups=(group("a", 1), group("b", 5), group("c", 3, desired=1)))
    plan_ = planned(desired(spec=spec), there, record(sizes={"a": (1, 1, 1), "b": (2, 2, 2), "c": (3, 3, 3)}))
    assert plan_.actions == (ResizeGroup("muster-demo.b", 2, 2, 2), ResizeGroup("muster-demo.c", 3, 3, 3))
    assert [queue["name"] for queue in plan_.record.status["queues"]] == ["a", "b", "c"]


def test_suspended_processes_are_resumed() -> None:
    plan_ = planned(there=actual(groups=(group(suspended=("Launch", "Terminate")),)))
    (step,) = plan_.steps
    assert step.action == ResumeProcesses("muster-demo.compute", ("Launch", "Terminate"))
    assert (step.event.reason, step.event.warning) == ("ProcessesResumed", True)
    assert "Launch, Terminate" in step.event.message


def test_a_group_that_is_gone_is_told_with_the_way_out() -> None:
    plan_ = planned(there=actual(groups=()))
    assert plan_.steps == ()
    assert condition(plan_, "FleetReady") == (False, "GroupMissing")
    assert condition(plan_, "Stalled") == (True, "GroupMissing")
    assert plan_.phase == "Degraded"
    assert "muster-demo.compute" in message(plan_, "FleetReady")


def test_a_group_that_an_update_is_to_bring_is_not_missed() -> None:
    plan_ = planned(there=actual(template=BEFORE, groups=()))
    assert condition(plan_, "FleetReady") == (False, "Scaling")
    assert condition(plan_, "Stalled")[0] is False


def test_a_group_of_another_queue_is_nobodys() -> None:
    there = actual(groups=(group(), group("old", 7)))
    assert planned(there=there).steps == ()


SAID = {
    MemberStep.USABLE: (True, "AtSize"),
    MemberStep.COMING: (False, "Scaling"),
    MemberStep.GOING: (False, "Scaling"),
    MemberStep.PARKED: (False, "NodesSetAside"),
}


@pytest.mark.parametrize("lifecycle", LIFECYCLE)
def test_each_state_of_a_member(lifecycle: str) -> None:
    plan_ = planned(there=actual(groups=(group(members=(*members(1), Member("i-odd", lifecycle))),)))
    assert plan_.steps == ()
    assert condition(plan_, "FleetReady") == SAID[LIFECYCLE[lifecycle]]
    under_way = LIFECYCLE[lifecycle] in (MemberStep.COMING, MemberStep.GOING)
    assert condition(plan_, "Reconciling")[0] is under_way
    assert (plan_.next_look is not None) is under_way
    assert condition(plan_, "Stalled")[0] is (LIFECYCLE[lifecycle] is MemberStep.PARKED)
    assert plan_.record.status["queues"][0]["inService"] == (2 if lifecycle == "InService" else 1)


def test_an_unknown_state_of_a_member_stops_and_says_so() -> None:
    plan_ = planned(there=actual(groups=(group(members=(*members(1), Member("i-odd", "Dreaming"))),)))
    assert plan_.steps == ()
    assert condition(plan_, "FleetReady") == (False, "UnknownStatus")
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert "Dreaming" in message(plan_, "FleetReady")


NO_CAPACITY = {"activity": "Failed", "activity_message": "InsufficientInstanceCapacity"}


@pytest.mark.parametrize("activity", ACTIVITY)
def test_each_status_of_the_newest_activity(activity: str) -> None:
    lacking = group(members=members(1), activity=activity, activity_message="in these words")
    plan_ = planned(there=actual(groups=(lacking,)))
    failed = ACTIVITY[activity] is Activity.FAILED
    assert plan_.steps == ()
    assert condition(plan_, "FleetReady") == (False, "LaunchFailed" if failed else "Scaling")
    assert ("in these words" in message(plan_, "FleetReady")) is failed
    assert condition(plan_, "Stalled")[0] is False
    assert plan_.next_look is not None


def test_an_unknown_status_of_an_activity_stops_and_says_so() -> None:
    plan_ = planned(there=actual(groups=(group(members=members(1), activity="Pondering"),)))
    assert plan_.steps == ()
    assert condition(plan_, "FleetReady") == (False, "UnknownStatus")
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert "an activity in Pondering" in message(plan_, "FleetReady")


def test_a_failed_launch_is_told_and_looked_at_again() -> None:
    plan_ = planned(there=actual(groups=(group(members=members(1), **NO_CAPACITY),)))
    assert condition(plan_, "FleetReady") == (False, "LaunchFailed")
    assert "InsufficientInstanceCapacity" in message(plan_, "FleetReady")
    assert condition(plan_, "Reconciling") == (True, "LaunchFailed")
    assert plan_.phase == "Degraded"
    assert plan_.next_look is not None


def test_an_old_launch_error_of_a_full_group_is_nobodys_business() -> None:
    plan_ = planned(there=actual(groups=(group(**NO_CAPACITY),)))
    assert condition(plan_, "Ready")[0] is True


def test_a_launch_error_of_a_group_whose_nodes_are_on_their_way_is_nobodys_business() -> None:
    coming = group(members=members(2, "Pending"), **NO_CAPACITY)
    assert condition(planned(there=actual(groups=(coming,))), "FleetReady") == (False, "Scaling")


def test_the_status_shows_each_queue() -> None:
    shown = {"name": "compute", "min": 1, "max": 4, "desired": 3, "inService": 3, "total": 3}
    assert sized(BOUNDS, shape(1, 4, 3), applied(BOUNDS)).record.status["queues"] == [shown]
    missing = {"name": "compute", "min": 1, "max": 4, "desired": None, "inService": 0}
    assert sized(BOUNDS, None, applied(BOUNDS)).record.status["queues"] == [missing]


WORST = [
    ("Scaling", group("b", members=members(1))),
    ("LaunchFailed", group("b", members=members(1), activity="Failed", activity_message="none left")),
    ("NodesSetAside", group("b", members=(*members(1), *members(1, "Standby", first=1)))),
    ("GroupMissing", None),
    ("UnknownStatus", group("b", members=members(2, "Dreaming"))),
    ("ConsentRequired", group("b", 5)),
]


@pytest.mark.parametrize(("reason", "there"), WORST, ids=[reason for reason, _ in WORST])
def test_of_several_troubles_the_worst_names_the_reason_and_all_are_told(reason: str, there: Group | None) -> None:
    spec = {"queues": [queue_spec("a"), queue_spec("b")]}
    first = group("a", members=members(1))
    plan_ = planned(desired(spec=spec), actual(groups=(first, there) if there else (first,)), record(sizes={}))
    assert condition(plan_, "FleetReady") == (False, reason)
    assert "muster-demo.a" in message(plan_, "FleetReady")
    assert "muster-demo.b" in message(plan_, "FleetReady")


def test_nodes_of_an_older_launch_template_are_counted() -> None:
    there = group(
        template_version="3", members=(Member("i-1", "InService", "", "3"), Member("i-2", "InService", "", "2"))
    )
    plan_ = planned(there=actual(groups=(there,)))
    assert plan_.record.status["queues"][0]["outdated"] == 1
    assert condition(plan_, "Ready")[0] is True
    assert "outdated" not in planned().record.status["queues"][0]
