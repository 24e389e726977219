"""The end of a cluster: in what order it goes, what holds it, what stays and is told."""

from typing import Any

import pytest

from reconciler.actions import (
    DeleteArtifacts,
    DeleteStack,
    DeleteVolumes,
    Forget,
    ResizeGroup,
    ResumeProcesses,
    TerminateInstances,
)
from reconciler.facts import Actual
from reconciler.plan import Plan, plan
from reconciler.plan.deletion import FLEET_PATIENCE
from reconciler.plan.draft import words
from reconciler.record import LONGEST_FLIGHT, Failure, Record
from reconciler.statuses import TEARDOWN, Teardown
from tests.unit.factories import (
    BEFORE,
    NAME,
    NOW,
    STACK_ID,
    actual,
    condition,
    desired,
    gone,
    group,
    head,
    kinds,
    members,
    message,
    node,
    planned,
    record,
    rendering,
    resource,
    stack,
    volume,
)

EMPTY = group(size=0)
NOTHING = Actual()


def torn(there: Actual, memory: Record | None = None, now: float = NOW, **spec: Any) -> Plan:
    return planned(gone(spec=spec), there, memory or record(), now)


def test_the_fleet_goes_first() -> None:
    plan_ = torn(actual(groups=(group(), group("other", 3))))
    assert plan_.actions == (ResizeGroup("muster-demo.compute", 0, 0, 0), ResizeGroup("muster-demo.other", 0, 0, 0))
    assert plan_.phase == "Deleting"
    assert condition(plan_, "Reconciling") == (True, "Deleting")
    assert plan_.next_look is not None


def test_and_is_waited_for() -> None:
    going = group(size=0, members=members(2, "Terminating"))
    plan_ = torn(actual(groups=(going,)))
    assert plan_.steps == ()
    assert "2 nodes" in message(plan_, "StackReady")
    assert plan_.next_look is not None


def test_but_not_for_ever() -> None:
    first = torn(actual(groups=(group(size=0, members=members(2, "Terminating:Wait")),)))
    late = torn(actual(groups=(group(size=0, members=members(2, "Terminating:Wait")),)), first.record, NOW + 599)
    assert late.steps == ()
    later = torn(actual(groups=(group(size=0, members=members(2)),)), first.record, NOW + FLEET_PATIENCE)
    assert kinds(later) == ["DeleteArtifacts", "DeleteStack"]


def test_then_the_objects_and_the_stack() -> None:
    plan_ = torn(actual(groups=(EMPTY,)))
    objects, delete = plan_.actions
    assert objects == DeleteArtifacts("clusters/demo/")
    assert isinstance(delete, DeleteStack)
    assert delete.stack_id == STACK_ID
    assert condition(plan_, "StackReady") == (False, "Deleting")
    assert plan_.next_look is not None


DELETED = {Teardown.DELETE, Teardown.RETRY}


@pytest.mark.parametrize("template", [BEFORE, None], ids=["outdated", "current"])
@pytest.mark.parametrize("status", TEARDOWN)
def test_each_status_of_a_stack_that_is_to_go(status: str, template: str | None) -> None:
    """Whatever the stack was made from."""
    there = stack(status, template) if template else stack(status)
    plan_ = torn(actual(stack=there, groups=(EMPTY,), instances=()))
    assert ("DeleteStack" in kinds(plan_)) is (TEARDOWN[status] in DELETED)
    assert ("Forget" in kinds(plan_)) is (TEARDOWN[status] is Teardown.GONE)
    assert set(kinds(plan_)) <= {"DeleteStack", "DeleteArtifacts", "Forget"}
    assert plan_.phase == "Deleting"


def test_an_unknown_status_stops_and_says_so() -> None:
    plan_ = torn(actual("DELETE_PONDERED"))
    assert plan_.steps == ()
    assert condition(plan_, "StackReady") == (False, "UnknownStatus")
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert plan_.next_look is not None
    assert "DELETE_PONDERED" in message(plan_, "StackReady")


def test_when_the_stack_is_gone_what_it_left_behind_goes() -> None:
    there = Actual(instances=(head(), node(1), node(2, "shutting-down"), node(3, "terminated")), volumes=(volume(),))
    plan_ = torn(there)
    assert plan_.actions == (TerminateInstances(("i-head", node(1).id)), DeleteVolumes(("vol-1",)))
    assert plan_.next_look is not None
    assert all(step.event.warning for step in plan_.steps)


def test_but_not_what_another_operator_made() -> None:
    plan_ = torn(Actual(instances=(head(owner="another"), node(owner=""))))
    assert kinds(plan_) == ["DeleteArtifacts", "Forget"]


def test_a_volume_that_is_to_be_kept_is_listed_and_left() -> None:
    plan_ = torn(Actual(volumes=(volume("vol-1", "Retain"), volume("vol-2", "Snapshot"))))
    assert kinds(plan_) == ["DeleteArtifacts", "Forget"]
    assert [item["id"] for item in plan_.record.status["retained"]] == ["vol-1", "vol-2"]
    assert "vol-1 (Retain)" in plan_.steps[-1].event.message


def test_and_last_the_objects_and_the_record() -> None:
    plan_ = torn(NOTHING)
    assert plan_.actions == (DeleteArtifacts("clusters/demo/"), Forget(NAME))
    assert plan_.steps[-1].event.reason == "Deleted"
    assert "Nothing of it is left" in plan_.steps[-1].event.message


def test_nothing_is_forgotten_while_a_call_may_still_land() -> None:
    waits = torn(NOTHING, record(unsettled=NOW - 60))
    assert waits.actions == ()
    assert waits.next_look == NOW - 60 + LONGEST_FLIGHT
    assert "may still come about" in message(waits, "StackReady")
    assert kinds(torn(NOTHING, record(unsettled=NOW - LONGEST_FLIGHT))) == ["DeleteArtifacts", "Forget"]


def test_a_stack_of_another_with_that_name_stays() -> None:
    there = Actual(stack=stack(tags={}), groups=(), instances=(head(),))
    assert kinds(torn(there)) == ["TerminateInstances"]
    assert kinds(torn(Actual(stack=stack(tags={})))) == ["DeleteArtifacts", "Forget"]


def test_a_spec_that_was_never_accepted_leaves_only_a_record() -> None:
    never = Record(NAME, "uid", generation=1)
    plan_ = planned(desired(present=False, cluster=None, rendered=None), NOTHING, never)
    assert plan_.actions == (Forget(NAME),)


def test_a_failed_deletion_is_tried_again_and_what_blocks_it_is_named() -> None:
    blocked = resource("StorageHome", "DELETE_FAILED", physical_id="vol-9", reason="volume vol-9 is in use")
    there = actual("DELETE_FAILED", groups=(), instances=(), resources=(resource("HeadNode"), blocked))
    memory, now, tokens = record(), NOW, []
    for count in (1, 2, 3):
        plan_ = torn(there, memory, now)
        (action,) = plan_.actions
        assert isinstance(action, DeleteStack)
        tokens.append(action.token)
        assert condition(plan_, "Stalled")[0] is (count == 3)
        memory = plan_.record
        assert memory.failure is not None
        assert memory.failure.retry_at is not None
        assert torn(there, memory, memory.failure.retry_at - 1).steps == ()
        now = memory.failure.retry_at
    assert len(set(tokens)) == 3
    assert condition(plan_, "StackReady") == (False, "DeletionBlocked")
    assert condition(plan_, "Stalled") == (True, "DeletionBlocked")
    for part in ("StorageHome", "vol-9", "volume vol-9 is in use"):
        assert part in message(plan_, "Stalled")
    assert "HeadNode" not in message(plan_, "Stalled")
    assert plan_.next_look is not None
    assert kinds(torn(there, memory, now)) == ["DeleteStack"], "it never gives up"


def test_a_blocker_in_an_unknown_status_is_told() -> None:
    odd = resource("StorageHome", "DELETE_PONDERING", physical_id="vol-9")
    there = actual("DELETE_FAILED", groups=(), instances=(), resources=(resource("HeadNode"), odd))
    plan_ = torn(there)
    assert "StorageHome (AWS::EC2::Volume vol-9): the status DELETE_PONDERING" in message(plan_, "StackReady")
    assert "HeadNode" not in message(plan_, "StackReady")


def test_deletion_protection_keeps_the_cluster_as_it_was() -> None:
    plan_ = torn(actual(groups=(group(desired=1),)), deletionProtection=True)
    assert kinds(plan_) == ["ResizeGroup"]
    assert plan_.actions[0] == ResizeGroup("muster-demo.compute", 2, 2, 2)
    assert condition(plan_, "SpecAccepted") == (False, "DeletionProtected")
    assert condition(plan_, "Stalled") == (True, "DeletionProtected")
    assert plan_.phase == "Held"
    assert plan_.record.deleting_since is None


def test_a_paused_and_protected_cluster_stays_paused() -> None:
    plan_ = torn(actual(groups=(group(desired=1),)), deletionProtection=True, paused=True)
    assert plan_.steps == ()
    assert len(plan_.withheld) == 1


def test_a_paused_cluster_is_deleted_all_the_same() -> None:
    assert kinds(torn(actual(groups=(EMPTY,)), paused=True)) == ["DeleteArtifacts", "DeleteStack"]


def test_what_the_accepted_spec_protected_is_not_guessed() -> None:
    """Another version of the operator accepted it, and this one cannot read it."""
    plan_ = planned(desired(present=False, cluster=None, rendered=None), actual())
    assert plan_.steps == ()
    assert condition(plan_, "SpecAccepted") == (False, "UnreadableSpec")
    assert condition(plan_, "Stalled") == (True, "UnreadableSpec")


def test_retain_leaves_everything_and_forgets_it() -> None:
    plan_ = torn(actual(), deletionPolicy="Retain")
    assert plan_.actions == (Forget(NAME),)
    assert plan_.steps[0].event.reason == "Retained"
    assert "muster-demo" in plan_.steps[0].event.message


def test_what_may_still_land_is_waited_for_and_then_retained_too() -> None:
    waits = torn(NOTHING, record(unsettled=NOW - 60), deletionPolicy="Retain")
    assert waits.actions == ()
    assert waits.next_look == NOW - 60 + LONGEST_FLIGHT
    assert kinds(torn(actual(), record(unsettled=NOW - LONGEST_FLIGHT), deletionPolicy="Retain")) == ["Forget"]


def test_protection_comes_before_retain() -> None:
    assert torn(actual(), deletionPolicy="Retain", deletionProtection=True).steps == ()


def test_what_outlives_the_stack_is_listed_to_the_end() -> None:
    kept = {"id": "vol-7", "type": "AWS::EC2::Volume", "policy": "Retain"}
    memory = record(rendering=rendering(retained={"StorageHome": "Retain", "StorageNever": "Snapshot"}))
    resources = (resource("StorageHome", physical_id="vol-7"), resource("StorageNever", physical_id=""))
    first = torn(actual(groups=(EMPTY,), resources=(*resources, resource("Role"))), memory)
    assert first.record.status["retained"] == [kept]
    last = torn(NOTHING, first.record)
    assert last.record.status["retained"] == [kept]
    assert "vol-7" in last.steps[-1].event.message


def test_what_a_lost_rendering_retained_is_not_known() -> None:
    there = actual(groups=(EMPTY,), resources=(resource("StorageHome", physical_id="vol-7"),))
    assert kinds(torn(there, record(rendering=None))) == ["DeleteArtifacts", "DeleteStack"]


def test_a_deletion_ends_when_the_spec_is_back() -> None:
    begun = torn(actual(groups=(EMPTY,)))
    assert begun.record.deleting_since == NOW
    back = planned(there=actual("DELETE_IN_PROGRESS"), memory=begun.record)
    assert back.steps == ()
    assert back.record.deleting_since is None
    again = planned(there=NOTHING, memory=back.record)
    assert kinds(again) == ["CreateStack"]


def test_the_deletion_of_another_life_has_another_token() -> None:
    first, second = (
        torn(actual(stack=stack(id=identifier), groups=(EMPTY,))).actions[-1] for identifier in ("one", "two")
    )
    assert isinstance(first, DeleteStack)
    assert isinstance(second, DeleteStack)
    assert first.token != second.token


def test_the_record_stays_while_objects_may_be_left() -> None:
    """Their deletion failed, and its next time has not come."""
    trouble = Failure(words(DeleteArtifacts("clusters/demo/")), "no more time", "1", 1, NOW + 60)
    plan_ = torn(NOTHING, record(trouble=trouble))
    assert plan_.steps == ()
    assert plan_.next_look == NOW + 60
    assert kinds(plan(gone(), NOTHING, plan_.record, NOW + 60)) == ["DeleteArtifacts", "Forget"]


def test_while_the_stacks_deletion_is_barred_nothing_else_is_done_over_and_over() -> None:
    there = actual(groups=(EMPTY,))
    trouble = Failure(words(DeleteStack(STACK_ID, "")), "protected", "1", 1, NOW + 60, "ValidationError", stalled=True)
    plan_ = torn(there, record(trouble=trouble))
    assert plan_.steps == ()
    assert condition(plan_, "Stalled") == (True, "ValidationError")
    assert kinds(torn(there, plan_.record, NOW + 60)) == ["DeleteArtifacts", "DeleteStack"]


def test_a_fleet_that_cannot_terminate_is_let_go() -> None:
    """A suspended Terminate would hold the nodes, and the deletion of the group after them."""
    plan_ = torn(actual(groups=(group(suspended=("Launch", "Terminate")),)))
    assert plan_.actions[1:] == (ResumeProcesses("muster-demo.compute", ("Terminate",)),)
