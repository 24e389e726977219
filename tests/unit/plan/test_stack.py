"""What the plan does with the stack, status by status."""

import pytest

from reconciler.actions import ContinueUpdateRollback, CreateStack, DeleteStack, RollbackStack
from reconciler.plan import Plan, plan
from reconciler.plan.draft import backoff
from reconciler.record import Accepted, Failure, Record
from reconciler.statuses import STACK, STACK_FAILED, Step
from tests.unit.factories import (
    BEFORE,
    NAME,
    NOW,
    STACK_ID,
    WANTED,
    actual,
    condition,
    desired,
    group,
    head,
    kinds,
    message,
    new_record,
    planned,
    record,
    stack,
)

STEADY = [status for status, step in STACK.items() if step is Step.STEADY]
WAITING = [status for status, step in STACK.items() if step is Step.WAIT]
# Status: the action for a stack as wanted, and for one that was made from another template.
REPAIRS = {
    "CREATE_FAILED": DeleteStack,
    "ROLLBACK_FAILED": DeleteStack,
    "ROLLBACK_COMPLETE": DeleteStack,
    "REVIEW_IN_PROGRESS": DeleteStack,
    "DELETE_FAILED": DeleteStack,
    "DELETE_COMPLETE": CreateStack,
    "UPDATE_FAILED": RollbackStack,
    "UPDATE_ROLLBACK_FAILED": ContinueUpdateRollback,
}


def test_each_status_is_in_one_of_the_tables_here() -> None:
    assert {*STEADY, *WAITING, *REPAIRS, "IMPORT_ROLLBACK_FAILED"} == set(STACK)


def test_a_new_cluster_gets_a_stack() -> None:
    plan_ = planned(there=actual(stack=None, groups=(), instances=()), memory=new_record())
    (step,) = plan_.steps
    assert isinstance(step.action, CreateStack)
    assert (step.action.stack, step.action.hash) == ("muster-demo", WANTED)
    assert (step.event.reason, step.event.warning) == ("StackCreating", False)
    assert plan_.phase == "Creating"
    assert condition(plan_, "Ready") == (False, "Creating")
    assert condition(plan_, "Reconciling") == (True, "Creating")
    assert plan_.next_look is not None
    assert plan_.record.rendering is not None
    assert plan_.record.rendering.hash == WANTED


@pytest.mark.parametrize("status", WAITING)
def test_what_moves_is_waited_for(status: str) -> None:
    plan_ = planned(there=actual(status))
    assert plan_.steps == ()
    assert condition(plan_, "StackReady")[0] is False
    assert condition(plan_, "Reconciling")[0] is True
    assert status in message(plan_, "Reconciling")
    assert plan_.next_look is not None


@pytest.mark.parametrize("status", STEADY)
def test_what_stands_as_wanted_is_left_alone(status: str) -> None:
    plan_ = planned(there=actual(status))
    assert plan_.steps == ()
    assert condition(plan_, "StackReady") == (True, "UpToDate")
    assert condition(plan_, "Ready") == (True, "AsSpecified")
    assert plan_.phase == "Ready"
    assert plan_.next_look is None


@pytest.mark.parametrize("status", STEADY)
def test_what_stands_otherwise_gets_a_change_set(status: str) -> None:
    plan_ = planned(there=actual(status, BEFORE))
    assert kinds(plan_) == ["CreateChangeSet"]
    assert plan_.phase == "Updating"
    assert plan_.next_look is not None


@pytest.mark.parametrize("status", REPAIRS)
def test_what_failed_is_repaired(status: str) -> None:
    """By the first action that helps; for a stack of the wanted template after a while, see below."""
    plan_ = planned(there=actual(status, BEFORE))
    (step,) = plan_.steps
    assert type(step.action) is REPAIRS[status]
    assert step.event.warning is (REPAIRS[status] is not ContinueUpdateRollback)
    assert condition(plan_, "Reconciling")[0] is True
    assert condition(plan_, "Ready")[0] is False
    assert plan_.next_look is not None


def test_what_the_operator_never_does_it_does_not_touch() -> None:
    plan_ = planned(there=actual("IMPORT_ROLLBACK_FAILED"))
    assert plan_.steps == ()
    assert condition(plan_, "StackReady") == (False, "StackStopped")
    assert condition(plan_, "Stalled") == (True, "StackStopped")
    assert plan_.next_look is not None


@pytest.mark.parametrize("status", ["UPDATE_PONDERING", "", "create_complete"])
def test_an_unknown_status_stops_and_says_so(status: str) -> None:
    plan_ = planned(there=actual(status, BEFORE))
    assert plan_.steps == ()
    assert condition(plan_, "StackReady") == (False, "UnknownStatus")
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert plan_.next_look is not None
    assert f"status {status}," in message(plan_, "StackReady")


@pytest.mark.parametrize(
    "tags",
    [{}, {"muster:owner": "another", "muster:cluster": NAME}, {"muster:owner": "muster", "muster:cluster": "other"}],
    ids=["no-tags", "another-owner", "another-cluster"],
)
@pytest.mark.parametrize("status", STACK)
def test_a_stack_of_another_is_reported_and_left_alone(tags: dict[str, str], status: str) -> None:
    taken = actual(stack=stack(status, tags=tags), groups=(), instances=())
    plan_ = planned(there=taken, memory=new_record())
    assert plan_.steps == ()
    assert condition(plan_, "StackReady") == (False, "StackNotOwned")
    assert condition(plan_, "Stalled") == (True, "StackNotOwned")
    assert "muster-demo" in message(plan_, "Stalled")


def test_a_stack_deleted_by_hand_is_made_again_and_told_once() -> None:
    there = actual(stack=None, groups=(), instances=())
    plan_ = planned(there=there)
    (step,) = plan_.steps
    assert isinstance(step.action, CreateStack)
    assert (step.event.reason, step.event.warning) == ("StackMissing", True)
    assert plan_.record.sizes == {}


def test_the_new_life_of_a_stack_has_a_token_of_its_own() -> None:
    """CloudFormation takes a repeated token for a repeated call: the first life's would make it do nothing."""
    there = actual(stack=None, groups=(), instances=())
    tokens = {
        token_of(planned(there=there, memory=memory))
        for memory in (new_record(), record(), record(stack_id="second"), record(uid="another-life"))
    }
    assert len(tokens) == 4


def token_of(plan_: Plan) -> str:
    (action,) = plan_.actions
    return str(getattr(action, "token", ""))


def test_the_same_call_has_the_same_token() -> None:
    there = actual(stack=None, groups=(), instances=())
    first, again = (planned(there=there, now=now).actions[0] for now in (NOW, NOW + 3600))
    assert first == again


def test_a_failed_creation_is_taken_down_and_made_again_after_a_while() -> None:
    there = actual(stack=stack("ROLLBACK_COMPLETE", failure="HeadNode (AWS::EC2::Instance): no capacity"))
    first = planned(there=there)
    assert first.steps == ()
    assert condition(first, "StackReady") == (False, "CreateFailed")
    assert "no capacity" in message(first, "StackReady")
    assert condition(first, "Stalled")[0] is False
    assert first.next_look is not None
    assert first.next_look > NOW

    second = planned(there=there, memory=first.record, now=first.next_look)
    assert kinds(second) == ["DeleteStack"]

    gone = actual(stack=None, groups=(), instances=())
    third = planned(there=gone, memory=second.record, now=first.next_look)
    assert kinds(third) == ["CreateStack"]
    assert third.steps[0].event.reason == "StackCreating", "the operator took it down itself"


def fail_to_create(tries: int, reason: str) -> tuple[Record, float]:
    """The record after so many failed creations, and the time."""
    memory, now = new_record(), NOW
    for number in range(tries):
        there = actual(stack=stack("ROLLBACK_COMPLETE", id=f"life-{number}", failure=reason), groups=(), instances=())
        memory = planned(there=there, memory=memory, now=now).record
        assert memory.failure is not None
        if memory.failure.retry_at is None:
            break
        now = memory.failure.retry_at
    return memory, now


def test_a_failed_creation_seen_twice_counts_once() -> None:
    there = actual(stack=stack("ROLLBACK_COMPLETE", failure="no capacity"))
    first = planned(there=there)
    second = planned(there=there, memory=first.record, now=NOW + 1)
    assert first.record.failure == second.record.failure
    assert first.record.failure is not None
    assert first.record.failure.count == 1


def test_the_wait_grows_with_each_failure() -> None:
    waits = []
    memory, now = new_record(), NOW
    for number in range(6):
        there = actual(stack=stack("ROLLBACK_COMPLETE", id=f"life-{number}", failure="vCPU limit exceeded"))
        memory = planned(there=there, memory=memory, now=now).record
        assert memory.failure is not None
        assert memory.failure.retry_at is not None
        waits.append(memory.failure.retry_at - now)
        now = memory.failure.retry_at
    assert waits == sorted(waits)
    assert waits[-1] > 10 * waits[0]


def test_after_three_tries_a_creation_waits_for_the_spec_to_change() -> None:
    memory, now = fail_to_create(3, "Subnet is wrong")
    there = actual(stack=stack("ROLLBACK_COMPLETE", id="life-2", failure="Subnet is wrong"))
    plan_ = plan(desired(), there, memory, now + 1e6)
    assert plan_.steps == ()
    assert condition(plan_, "Stalled") == (True, "CreateFailed")
    assert "Subnet is wrong" in message(plan_, "Stalled")
    assert plan_.next_look is None
    assert plan_.phase == "Failed"


def test_another_template_is_tried_at_once() -> None:
    memory, now = fail_to_create(3, "Subnet is wrong")
    there = actual(stack=stack("ROLLBACK_COMPLETE", id="life-2", failure="Subnet is wrong"))
    plan_ = plan(desired(template=BEFORE), there, memory, now)
    assert kinds(plan_) == ["DeleteStack"]


def test_an_edit_that_leaves_the_template_as_it_is_gets_new_tries() -> None:
    """The message promises a try when the spec changes, and a size or an annotation is such a change."""
    memory, now = fail_to_create(3, "Subnet is wrong")
    edited = memory.remember(accepted=Accepted(2, "content", "{}"))
    there = actual(stack=stack("ROLLBACK_COMPLETE", id="life-2", failure="Subnet is wrong"))
    plan_ = plan(desired(), there, edited, now)
    assert condition(plan_, "Stalled")[0] is False
    assert plan_.next_look is not None
    assert kinds(plan(desired(), there, plan_.record, plan_.next_look)) == ["DeleteStack"]


@pytest.mark.parametrize(
    "reason",
    [
        "You have exceeded the number of VPCs",
        "Fleet quota reached",
        "vCPU limit exceeded for this account",
        "User is not authorized to perform iam:CreateRole",
        "AccessDenied on kms",
    ],
)
def test_quotas_and_rights_are_tried_for_ever(reason: str) -> None:
    memory, _ = fail_to_create(8, reason)
    assert memory.failure is not None
    assert memory.failure.count == 8
    assert memory.failure.retry_at is not None


def test_a_failed_deletion_is_tried_again_at_growing_intervals_and_then_named() -> None:
    """With the spec there: it was put back while the stack was being deleted, or somebody deleted it by hand."""
    there = actual(stack=stack("DELETE_FAILED", failure="StorageHome (AWS::EC2::Volume): in use"))
    memory, now, tokens = record(), NOW, []
    for _ in range(3):
        plan_ = planned(there=there, memory=memory, now=now)
        (action,) = plan_.actions
        assert isinstance(action, DeleteStack)
        tokens.append(action.token)
        memory = plan_.record
        assert memory.failure is not None
        assert memory.failure.retry_at is not None
        early = planned(there=there, memory=memory, now=memory.failure.retry_at - 1)
        assert early.steps == ()
        now = memory.failure.retry_at
    assert len(set(tokens)) == 3, "a repeated token would make CloudFormation do nothing"
    last = planned(there=there, memory=memory, now=now - 1)
    assert condition(last, "StackReady") == (False, "DeletionBlocked")
    assert condition(last, "Stalled") == (True, "DeletionBlocked")
    assert "StorageHome" in message(last, "Stalled")


def test_a_stuck_rollback_is_continued_three_times_and_then_told() -> None:
    there = actual(stack=stack("UPDATE_ROLLBACK_FAILED", failure="StorageHome (AWS::EC2::Volume): gone"))
    memory, now, tokens = record(), NOW, []
    for _ in range(3):
        plan_ = planned(there=there, memory=memory, now=now)
        (action,) = plan_.actions
        assert isinstance(action, ContinueUpdateRollback)
        tokens.append(action.token)
        memory = plan_.record
        assert memory.failure is not None
        now = memory.failure.retry_at or now
    assert len(set(tokens)) == 3
    last = planned(there=there, memory=memory, now=now + 1e6)
    assert last.steps == ()
    assert condition(last, "Stalled") == (True, "RollbackStuck")
    assert "StorageHome" in message(last, "Stalled")


def test_a_rollback_that_ended_is_forgotten() -> None:
    memory = record(failure=Failure(f"continue rollback of {STACK_ID}", "gone", "t", 3, None))
    assert planned(there=actual("UPDATE_ROLLBACK_COMPLETE"), memory=memory).record.failure is None


def test_a_failed_stack_is_not_looked_into_for_its_parts() -> None:
    """Groups of a stack that is to go are not resized, nor is its head node mourned."""
    there = actual("ROLLBACK_COMPLETE", BEFORE, groups=(group(size=9),), instances=(head("terminated"),))
    assert kinds(planned(there=there)) == ["DeleteStack"]


@pytest.mark.parametrize("status", sorted(STACK_FAILED - {"UPDATE_ROLLBACK_COMPLETE"}))
def test_a_failure_is_told_with_its_cause(status: str) -> None:
    plan_ = planned(there=actual(stack=stack(status, failure="HeadNode (AWS::EC2::Instance): no such key pair")))
    told = [each.message for each in plan_.conditions] + [step.event.message for step in plan_.steps]
    assert any("no such key pair" in text for text in told)


def test_the_stack_that_was_seen_is_remembered() -> None:
    assert planned(there=actual("CREATE_IN_PROGRESS"), memory=new_record()).record.stack_id == STACK_ID


def test_ready_gives_the_reason_of_the_part_that_is_not() -> None:
    plan_ = planned(there=actual("UPDATE_ROLLBACK_FAILED"))
    assert condition(plan_, "Reconciling") == (True, "RollingBack")
    assert condition(plan_, "Ready") == condition(plan_, "StackReady") == (False, "RollbackFailed")


def test_the_backoff_doubles_from_half_a_minute_to_an_hour_with_jitter() -> None:
    for count in range(1, 30):
        plain = min(30.0 * 2 ** (count - 1), 3600.0)
        waits = {backoff(count, f"cluster-{number}") for number in range(20)}
        assert plain <= min(waits) < max(waits) <= 1.5 * plain
        assert len(waits) == 20
