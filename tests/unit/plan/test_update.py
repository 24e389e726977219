"""Updates: a change set is made, read, and carried out if it takes nothing from the user unasked."""

from dataclasses import replace

import pytest

from reconciler.actions import CreateChangeSet, DeleteChangeSet, ExecuteChangeSet
from reconciler.facts import Actual, Change
from reconciler.plan import Plan, plan
from reconciler.record import Accepted, Record
from reconciler.statuses import CHANGE_SET, EXECUTION, ChangeSetStep, Execution
from tests.unit.factories import (
    BEFORE,
    NAMES,
    NOW,
    RETAINED,
    WANTED,
    actual,
    change,
    change_set,
    condition,
    desired,
    group,
    kinds,
    message,
    planned,
    record,
    rendered,
    rendering,
    stack,
)

STACK = "muster-demo"
OLD = rendering(BEFORE, spec_hash="old-spec")
GROUP = change("GroupCompute", "AWS::AutoScaling::AutoScalingGroup", "Remove", "")
OTHER = "c" * 64


def outdated(**fields: object) -> Record:
    """A record of a cluster whose spec was edited since its stack was made."""
    return record(**{"rendering": OLD, **fields})


def asked() -> Plan:
    return planned(there=actual(template=BEFORE), memory=outdated())


def answered(*changes: Change, status: str = "CREATE_COMPLETE", of: str = "CREATE_COMPLETE", **fields: object) -> Plan:
    """The plan once CloudFormation has computed the change set that was asked for."""
    memory = asked().record
    seen = change_set(*changes, name=memory.change_set, status=status, **fields)
    return planned(there=actual(of, BEFORE, change_set=seen), memory=memory)


def test_an_update_begins_with_a_change_set() -> None:
    plan_ = asked()
    (action,) = plan_.actions
    assert isinstance(action, CreateChangeSet)
    assert (action.stack, action.hash) == (STACK, WANTED)
    assert plan_.record.change_set == action.name
    assert plan_.record.rendering == OLD, "nothing is changed yet"


def test_a_harmless_change_set_is_carried_out() -> None:
    plan_ = answered(change())
    (action,) = plan_.actions
    assert isinstance(action, ExecuteChangeSet)
    assert action.name == asked().record.change_set
    assert condition(plan_, "Reconciling") == (True, "Updating")
    assert plan_.next_look is not None
    assert plan_.record.rendering is not None
    assert plan_.record.rendering.hash == WANTED


EXECUTABLE = {
    Execution.READY: ["ExecuteChangeSet"],
    Execution.RUNNING: [],
    Execution.SPENT: ["DeleteChangeSet"],
    Execution.BARRED: ["DeleteChangeSet"],
}


@pytest.mark.parametrize("execution", EXECUTION)
def test_each_execution_status_of_a_change_set_that_was_made(execution: str) -> None:
    plan_ = answered(change(), execution_status=execution)
    assert kinds(plan_) == EXECUTABLE[EXECUTION[execution]]
    assert condition(plan_, "Reconciling")[0] is True
    assert plan_.next_look is not None


MADE = {
    ChangeSetStep.WAIT: [],
    ChangeSetStep.READ: ["ExecuteChangeSet"],
    ChangeSetStep.FAILED: ["DeleteChangeSet"],
    ChangeSetStep.DISCARD: ["DeleteChangeSet"],
}


@pytest.mark.parametrize("status", CHANGE_SET)
def test_each_status_of_a_change_set(status: str) -> None:
    plan_ = answered(change(), status=status)
    assert kinds(plan_) == MADE[CHANGE_SET[status]]
    assert condition(plan_, "Reconciling")[0] is True
    assert plan_.next_look is not None


@pytest.mark.parametrize(
    ("status", "execution"), [("CREATE_PONDERED", "AVAILABLE"), ("CREATE_COMPLETE", "PERHAPS"), ("CREATE_COMPLETE", "")]
)
def test_an_unknown_status_of_a_change_set_stops_and_says_so(status: str, execution: str) -> None:
    plan_ = answered(change(), status=status, execution_status=execution)
    assert plan_.steps == ()
    assert condition(plan_, "StackReady") == (False, "UnknownStatus")
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert status in message(plan_, "StackReady")
    assert execution in message(plan_, "StackReady")


@pytest.mark.parametrize(
    "said",
    [
        "The submitted information didn't contain changes. Submit different information to create a change set.",
        "No updates are to be performed.",
    ],
)
def test_a_change_set_without_changes_is_remembered_and_not_asked_for_again(said: str) -> None:
    first = answered(status="FAILED", execution_status="UNAVAILABLE", reason=said)
    assert kinds(first) == ["DeleteChangeSet"]
    assert first.record.unchanged == f"{BEFORE}/{WANTED}"
    assert first.record.failure is None
    assert condition(first, "Reconciling") == (True, "Updating")
    assert first.next_look is not None
    second = planned(there=actual(template=BEFORE), memory=first.record)
    assert second.steps == ()
    assert condition(second, "Ready") == (True, "AsSpecified")


def test_a_template_that_changes_nothing_is_not_current_any_more_once_another_was_carried_out() -> None:
    """Else a spec that goes back to it would be taken for fulfilled."""
    unchanged = outdated(unchanged=f"{BEFORE}/{WANTED}", rendering=rendering())
    there = actual(template=BEFORE)
    made = plan(desired(template=OTHER, stack_spec_hash="third"), there, unchanged, NOW)
    seen = change_set(change(), name=made.record.change_set)
    done = plan(desired(template=OTHER, stack_spec_hash="third"), replace(there, change_set=seen), made.record, NOW)
    assert kinds(done) == ["ExecuteChangeSet"]
    back = plan(desired(), actual("UPDATE_COMPLETE", OTHER), done.record, NOW)
    assert kinds(back)[-1] == "CreateChangeSet"


def test_a_change_set_that_could_not_be_made_is_told_with_its_own_reason() -> None:
    """And not with that of an update that failed before it."""
    there = stack("UPDATE_ROLLBACK_COMPLETE", BEFORE, failure="an old story")
    memory = asked().record
    seen = change_set(name=memory.change_set, status="FAILED", reason="Template error: no such parameter")
    plan_ = planned(there=actual(stack=there, change_set=seen), memory=memory)
    assert kinds(plan_) == ["DeleteChangeSet"]
    assert "no such parameter" in message(plan_, "StackReady")


def roll_back(memory: Record, now: float, cause: str = "HeadNode (AWS::EC2::Instance): no") -> tuple[Plan, float]:
    """One more try of an update that CloudFormation rolls back; the plan that finds it so, and the next try's time."""
    there = actual(stack=stack("UPDATE_ROLLBACK_COMPLETE", BEFORE, failure=cause))
    made = planned(there=there, memory=memory, now=now)
    assert kinds(made) == ["CreateChangeSet"]
    seen = change_set(change(), name=made.record.change_set)
    executed = planned(there=replace(there, change_set=seen), memory=made.record, now=now)
    assert kinds(executed) == ["ExecuteChangeSet"]
    found = planned(there=there, memory=executed.record, now=now)
    assert found.record.failure is not None
    return found, found.record.failure.retry_at or now


def test_an_update_that_was_rolled_back_is_tried_three_times() -> None:
    memory, now, waits = outdated(), NOW, []
    for number in (1, 2, 3):
        found, at = roll_back(memory, now)
        assert found.steps == ()
        assert condition(found, "StackReady") == (False, "UpdateFailed")
        assert "HeadNode" in message(found, "StackReady")
        assert found.record.failure is not None
        assert found.record.failure.count == number
        waits.append(at - now)
        memory, now = found.record, at
    assert waits[1] > waits[0] > 0
    assert condition(found, "Stalled") == (True, "UpdateFailed")
    later = planned(there=actual("UPDATE_ROLLBACK_COMPLETE", BEFORE), memory=memory, now=now + 1e6)
    assert later.steps == ()
    assert later.next_look is None


def test_an_edit_gets_new_tries_and_a_change_set_of_another_name() -> None:
    memory, now = outdated(), NOW
    for _ in range(3):
        found, now = roll_back(memory, now)
        memory = found.record
    edited = memory.remember(accepted=Accepted(2, "content", "{}"))
    plan_ = planned(there=actual("UPDATE_ROLLBACK_COMPLETE", BEFORE), memory=edited, now=now)
    assert kinds(plan_) == ["CreateChangeSet"]
    assert plan_.record.change_set != asked().record.change_set


def test_an_update_rolled_back_for_a_quota_is_tried_for_ever() -> None:
    memory, now = outdated(), NOW
    for _ in range(5):
        found, at = roll_back(memory, now, "Subnet (AWS::EC2::Subnet): the maximum number of subnets: quota reached")
        assert condition(found, "Stalled")[0] is (at == now)
        memory, now = found.record, at


def test_going_back_to_what_runs_ends_the_matter() -> None:
    memory, now = outdated(), NOW
    found, now = roll_back(memory, now)
    plan_ = plan(desired(template=BEFORE), actual("UPDATE_ROLLBACK_COMPLETE", BEFORE), found.record, now)
    assert plan_.steps == ()
    assert plan_.record.failure is None
    assert condition(plan_, "Ready") == (True, "AsSpecified")


def test_another_change_set_of_the_same_name_has_another_execution_token() -> None:
    """CloudFormation takes a repeated token for a repeated call, and would not carry out the later one."""
    first, again, later = (answered(change(), id=identifier).actions[0] for identifier in ("one", "one", "two"))
    assert isinstance(first, ExecuteChangeSet)
    assert isinstance(later, ExecuteChangeSet)
    assert first == again
    assert first.token != later.token


def test_a_change_set_that_the_spec_overtook_is_dropped_for_another() -> None:
    memory = asked().record
    seen = change_set(change(), name=memory.change_set)
    there = actual(template=BEFORE, change_set=seen)
    plan_ = plan(desired(template=OTHER, stack_spec_hash="third"), there, memory, NOW)
    assert kinds(plan_) == ["DeleteChangeSet", "CreateChangeSet"]
    assert plan_.actions[0] == DeleteChangeSet(STACK, seen.name)
    assert plan_.record.change_set != seen.name


@pytest.mark.parametrize("execution", EXECUTION)
def test_a_change_set_that_nobody_wants_is_dropped_unless_it_was_carried_out(execution: str) -> None:
    seen = change_set(name="muster-old", execution_status=execution)
    plan_ = planned(there=actual(change_set=seen), memory=record(change_set="muster-old"))
    spent = EXECUTION[execution] in (Execution.RUNNING, Execution.SPENT)
    assert kinds(plan_) == ([] if spent else ["DeleteChangeSet"])
    assert plan_.record.change_set == ""
    assert condition(plan_, "Ready")[0] is True


def test_a_change_set_that_vanished_is_made_again() -> None:
    memory = asked().record
    plan_ = planned(there=actual(template=BEFORE), memory=memory)
    assert plan_.actions == asked().actions


# What needs consent: change, and the name by which it is given (None: no consent needed).
PRECIOUS = [
    ("AWS::EC2::Instance", "HeadNode", "headNode"),
    ("AWS::EC2::Volume", "StorageHome", "sharedStorage/home"),
    ("AWS::EFS::FileSystem", "StorageHome", "sharedStorage/home"),
    ("AWS::FSx::FileSystem", "StorageHome", "sharedStorage/home"),
    ("AWS::AutoScaling::AutoScalingGroup", "GroupCompute", "queues/compute"),
]
LOSSES = [
    (*thing, *loss)
    for thing in PRECIOUS
    for loss in [("Remove", ""), ("Modify", "True"), ("Modify", "Conditional"), ("Dynamic", "")]
    if not (thing[1] == "GroupCompute" and loss[1] == "Conditional")
]


@pytest.mark.parametrize(("kind", "logical", "name", "action", "replacement"), LOSSES)
def test_a_loss_waits_for_consent_by_name(kind: str, logical: str, name: str, action: str, replacement: str) -> None:
    lost = change(logical, kind, action, replacement, causes=["ImageId"])
    plan_ = answered(change(), lost)
    assert plan_.steps == ()
    assert plan_.phase == "Held"
    assert condition(plan_, "Stalled") == (True, "ConsentRequired")
    assert condition(plan_, "Ready") == (False, "ConsentRequired")
    for part in (logical, kind, name, "ImageId", f"[{'Replacement=' + replacement if replacement else action}]"):
        assert part in message(plan_, "StackReady")


@pytest.mark.parametrize(("kind", "logical", "name", "action", "replacement"), LOSSES)
def test_a_loss_that_is_consented_to_is_carried_out(
    kind: str, logical: str, name: str, action: str, replacement: str
) -> None:
    memory = asked().record
    lost = change(logical, kind, action, replacement)
    there = actual(template=BEFORE, change_set=change_set(lost, name=memory.change_set))
    consented = plan(desired(spec={"consent": [name]}), there, memory, NOW)
    assert kinds(consented) == ["ExecuteChangeSet"]
    another = plan(desired(spec={"consent": ["queues/other", "sharedStorage/other"]}), there, memory, NOW)
    assert kinds(another) == []


@pytest.mark.parametrize(("action", "replacement"), [("Add", ""), ("Modify", "False"), ("Modify", ""), ("Import", "")])
@pytest.mark.parametrize(("kind", "logical", "name"), PRECIOUS)
def test_what_loses_nothing_needs_no_consent(kind: str, logical: str, name: str, action: str, replacement: str) -> None:
    assert kinds(answered(change(logical, kind, action, replacement))) == ["ExecuteChangeSet"]


def test_a_group_without_an_update_policy_is_not_replaced_on_a_condition() -> None:
    conditional = change("GroupCompute", "AWS::AutoScaling::AutoScalingGroup", "Modify", "Conditional")
    assert kinds(answered(conditional)) == ["ExecuteChangeSet"]


@pytest.mark.parametrize(
    ("bought", "members", "consent", "held"),
    [
        ("onDemand", True, [], False),
        ("spot", True, [], True),
        ("spot", True, ["queues/compute"], False),
        ("spot", False, [], False),
        ("", True, [], False),
    ],
)
def test_nodes_that_are_bought_another_way_wait_for_consent(
    bought: str, members: bool, consent: list[str], held: bool
) -> None:
    memory = asked().record
    there = replace(group() if members else group(size=0), capacity_type=bought)
    seen = change_set(change(), name=memory.change_set)
    plan_ = plan(
        desired(spec={"consent": consent}), actual(template=BEFORE, change_set=seen, groups=(there,)), memory, NOW
    )
    assert ("ExecuteChangeSet" in kinds(plan_)) is not held
    if held:
        assert "queues/compute" in message(plan_, "StackReady")


@pytest.mark.parametrize("kind", ["AWS::IAM::Role", "AWS::EC2::LaunchTemplate", "AWS::SQS::Queue"])
def test_what_holds_nothing_of_the_users_may_be_replaced(kind: str) -> None:
    assert kinds(answered(change("Thing", kind, "Modify", "True"), change("Other", kind, "Remove"))) == [
        "ExecuteChangeSet"
    ]


@pytest.mark.parametrize(
    ("there", "held"),
    [
        (group(size=0), False),
        (group(size=2), True),
        (group(size=0, desired=1, max=1), True),
        (group(size=0, members=group().members), True),
        (None, False),
    ],
    ids=["empty", "running", "launching", "leaving", "missing"],
)
def test_a_queue_is_only_kept_for_its_nodes(there: object, held: bool) -> None:
    memory = asked().record
    seen = change_set(GROUP, name=memory.change_set)
    facts = actual(template=BEFORE, change_set=seen, groups=(there,) if there else ())
    two = {"queues": [{"name": "other", "instanceTypes": ["c7i.large"]}]}
    plan_ = plan(desired(spec=two), facts, memory, NOW)
    assert ("ExecuteChangeSet" in kinds(plan_)) is not held


def test_a_held_update_goes_on_when_the_queue_has_emptied() -> None:
    memory = asked().record
    seen = change_set(GROUP, name=memory.change_set)
    spec = {"queues": [{"name": "other", "instanceTypes": ["c7i.large"]}]}

    def at(size: int) -> Plan:
        there = actual(template=BEFORE, change_set=seen, groups=(group(size=size),))
        return plan(desired(spec=spec), there, memory, NOW)

    assert kinds(at(1)) == []
    assert kinds(at(0)) == ["ExecuteChangeSet"]


def new_names() -> Actual:
    """A change set that removes what only the old spec had."""
    lost = change("StorageOld", "AWS::EC2::Volume", "Remove", "")
    return actual(template=BEFORE, change_set=change_set(lost, GROUP, name=asked().record.change_set))


def test_names_of_the_old_spec_are_remembered_until_the_update_has_ended_well() -> None:
    """A second try, after a rollback, removes the same resources; by then the new spec no longer has names for them."""
    names, retained = {"StorageOld": "sharedStorage/old", **NAMES}, {"StorageOld": "Retain", **RETAINED}
    memory = asked().record.remember(rendering=replace(OLD, names=names, retained=retained))
    consent = ["sharedStorage/old", "queues/compute"]
    wanted = desired(spec={"consent": consent}, rendered=rendered(names={}, retained={}))
    done = plan(wanted, new_names(), memory, NOW)
    assert kinds(done) == ["ExecuteChangeSet"]
    assert done.record.rendering is not None
    assert (done.record.rendering.names, done.record.rendering.retained) == (names, retained)

    unasked = desired(rendered=rendered(names={}, retained={}))
    again = plan(unasked, new_names(), done.record, NOW)
    assert kinds(again) == []
    assert "sharedStorage/old" in message(again, "StackReady")

    settled = plan(wanted, actual("UPDATE_COMPLETE"), done.record, NOW)
    assert settled.record.rendering is not None
    assert settled.record.rendering.names == {}


def test_a_group_without_a_name_is_not_taken_for_empty() -> None:
    """The record may have been lost, and the names of what the old spec had with it."""
    memory = asked().record.remember(rendering=None)
    plan_ = plan(desired(rendered=rendered(names={})), new_names(), memory, NOW)
    assert plan_.steps == ()
    assert "GroupCompute" in message(plan_, "StackReady")
    assert "put it back" in message(plan_, "StackReady")
    assert "because of" not in message(plan_, "StackReady")


def test_a_new_version_of_the_operator_updates_nothing_by_itself() -> None:
    memory = record(rendering=rendering(BEFORE, version="0.0.9"))
    there = actual(template=BEFORE)
    plan_ = planned(there=there, memory=memory)
    assert plan_.steps == ()
    assert condition(plan_, "Ready")[0] is True
    assert condition(plan_, "RenderingCurrent") == (False, "OlderVersion")
    assert plan_.record.rendering == memory.rendering

    asked_for = planned(desired(upgrade=True), there, memory)
    assert kinds(asked_for) == ["CreateChangeSet"]


def test_nor_when_its_last_template_changed_nothing() -> None:
    memory = record(rendering=rendering(OTHER, version="0.0.9"), unchanged=f"{BEFORE}/{OTHER}")
    plan_ = planned(there=actual(template=BEFORE), memory=memory)
    assert plan_.steps == ()
    assert condition(plan_, "RenderingCurrent") == (False, "OlderVersion")


def test_an_edit_brings_the_new_rendering_with_it() -> None:
    memory = record(rendering=rendering(BEFORE, version="0.0.9", spec_hash="old-spec"))
    assert kinds(planned(there=actual(template=BEFORE), memory=memory)) == ["CreateChangeSet"]


def test_a_stack_that_was_updated_by_hand_is_put_back() -> None:
    plan_ = planned(there=actual("UPDATE_COMPLETE", OTHER))
    assert kinds(plan_) == ["CreateChangeSet"]


def test_an_update_of_a_stack_whose_rendering_was_lost() -> None:
    memory = asked().record.remember(rendering=None)
    there = actual(template=BEFORE, change_set=change_set(change(), name=memory.change_set))
    plan_ = planned(there=there, memory=memory)
    assert kinds(plan_) == ["ExecuteChangeSet"]
    assert plan_.record.rendering == rendering()
