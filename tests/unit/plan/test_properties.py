"""What holds of every plan, whatever is wanted, there and remembered."""

import re
from collections import Counter

from hypothesis import event, given

from reconciler.actions import (
    CreateChangeSet,
    DeleteArtifacts,
    DeleteStack,
    DeleteVolumes,
    ExecuteChangeSet,
    Forget,
    ResizeGroup,
    ResumeProcesses,
    TerminateInstances,
)
from reconciler.facts import Actual, Change
from reconciler.plan import Condition, Desired, Plan, plan
from reconciler.plan.consent import PRECIOUS
from reconciler.plan.draft import NODE_PARTS, words
from reconciler.record import Record
from reconciler.statuses import STACK, Step
from tests.unit.factories import NAMES, NOW, OWNER
from tests.unit.plan import batch_strategies
from tests.unit.plan.strategies import UNKNOWN, desires, nearly_sound, situations, stacks, updates

Situation = tuple[Desired, Actual, Record]
ANYTHING = situations() | updates() | nearly_sound() | batch_strategies.situations() | batch_strategies.nearly_sound()
ENDS = (DeleteVolumes, TerminateInstances, DeleteArtifacts, Forget)


def made(situation: Situation) -> Plan:
    return plan(*situation, NOW)


def condition(of: Plan, kind: str) -> Condition | None:
    return next((each for each in of.conditions if each.type == kind), None)


@given(ANYTHING)
def test_the_same_facts_give_the_same_plan(situation: Situation) -> None:
    assert made(situation) == made(situation)


@given(ANYTHING)
def test_a_plan_without_actions_is_a_fixpoint(situation: Situation) -> None:
    """Else a cluster that nothing happens to would be written at each pass."""
    wanted, there, _ = situation
    first = made(situation)
    # Whether the record is what it was before its actions or after, the next pass sees the same facts with it.
    after = plan(wanted, there, first.record, NOW)
    quiet = first if not first.steps else after
    if quiet.steps:
        return
    event("quiet")
    again = plan(wanted, there, quiet.record, NOW)
    assert again.steps == ()
    assert again.events == ()
    assert again.record.status == quiet.record.status
    assert again.record == quiet.record


@given(situations(desires(present=True, accepted=True, paused=True)))
def test_a_paused_cluster_is_not_touched(situation: Situation) -> None:
    assert made(situation).steps == ()


@given(situations(desires(deletionProtection=False, deletionPolicy="Delete"), stacks(owned=False)))
def test_nothing_that_another_made_is_touched(situation: Situation) -> None:
    wanted, there, _ = situation
    actions = made(situation).actions
    # Groups are seen by our own tags, so those that are seen are ours.
    assert all(isinstance(action, (*ENDS, ResizeGroup, ResumeProcesses)) for action in actions)
    assert not (wanted.present and actions)
    strangers = {instance.id for instance in there.instances if instance.owner == OWNER}
    for action in actions:
        assert not isinstance(action, TerminateInstances) or set(action.ids) <= strangers


@given(situations(desires(present=True)))
def test_while_the_spec_is_there_nothing_ends(situation: Situation) -> None:
    there = situation[1]
    actions = made(situation).actions
    assert not any(isinstance(action, ENDS) for action in actions)
    if any(isinstance(action, DeleteStack) for action in actions):
        assert there.stack is not None
        assert STACK[there.stack.status] in (Step.RECREATE, Step.DELETE_AGAIN)


@given(situations(desires(present=False, accepted=True, deletionProtection=True)))
def test_a_protected_cluster_is_not_taken_down(situation: Situation) -> None:
    actions = made(situation).actions
    assert not any(isinstance(action, ENDS) for action in actions)


@given(situations(desires(accepted=True, deletionPolicy="Delete"), stacks(owned=True, statuses=(UNKNOWN,))))
def test_an_unknown_status_of_the_stack_stops_and_says_so(situation: Situation) -> None:
    plan_ = made(situation)
    assert plan_.steps == ()
    told = condition(plan_, "StackReady")
    assert told is not None
    assert not told.status
    assert UNKNOWN in told.message


def lost(change: Change, there: Actual) -> bool:
    """Written apart from the code it checks: whether a change takes something from its user."""
    if change.resource_type not in PRECIOUS or change.action in ("Add", "Import"):
        return False
    conditional = change.replacement == "Conditional" and change.resource_type != "AWS::AutoScaling::AutoScalingGroup"
    if change.action == "Modify" and change.replacement != "True" and not conditional:
        return False
    name = NAMES.get(change.logical_id, "")
    if change.resource_type == "AWS::AutoScaling::AutoScalingGroup" and name:
        queue = [group for group in there.groups if f"queues/{group.queue}" == name]
        return any(group.desired or group.members for group in queue)
    return True


@given(updates())
def test_nothing_precious_goes_without_consent(situation: Situation) -> None:
    wanted, there, _ = situation
    if not any(isinstance(action, ExecuteChangeSet) for action in made(situation).actions):
        return
    event("executed")
    seen = there.change_set
    assert seen is not None
    assert (seen.status, seen.execution_status) == ("CREATE_COMPLETE", "AVAILABLE")
    assert wanted.cluster is not None
    losses = [NAMES.get(change.logical_id, "") for change in seen.changes if lost(change, there)]
    assert set(losses) <= set(wanted.cluster.spec.consent)


@given(nearly_sound() | situations(desires(present=False)))
def test_sizes_are_sound_and_no_edit_takes_nodes_without_consent(situation: Situation) -> None:
    wanted, there, memory = situation
    sizes = [action for action in made(situation).actions if isinstance(action, ResizeGroup)]
    for action in sizes:
        (group,) = [group for group in there.groups if group.name == action.group]
        assert action.desired is not None
        assert 0 <= action.min <= action.desired <= action.max <= 5000
        if not wanted.present and not (wanted.cluster and wanted.cluster.spec.deletion_protection):
            assert (action.min, action.max, action.desired) == (0, 0, 0)
        elif action.desired < group.desired:
            assert wanted.cluster is not None
            (queue,) = [queue for queue in wanted.cluster.spec.queues if queue.name == group.queue]
            in_force = memory.sizes.get(group.queue) == queue.bounds
            assert in_force or f"queues/{group.queue}" in wanted.cluster.spec.consent


@given(ANYTHING)
def test_conditions_are_well_formed(situation: Situation) -> None:
    plan_ = made(situation)
    types = [each.type for each in plan_.conditions]
    assert len(types) == len(set(types))
    assert {"Ready", "Reconciling", "Stalled"} <= set(types)
    for each in plan_.conditions:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", each.type)
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", each.reason)
        assert each.message
    wire = plan_.record.status["conditions"]
    assert [(each["type"], each["status"]) for each in wire] == [(c.type, str(c.status)) for c in plan_.conditions]
    assert plan_.record.status["observedGeneration"] == situation[2].generation
    assert plan_.record.status["phase"] == plan_.phase


@given(nearly_sound())
def test_ready_means_that_all_parts_are_and_that_nothing_is_left_to_do(situation: Situation) -> None:
    plan_ = made(situation)
    ready = condition(plan_, "Ready")
    assert ready is not None
    if not ready.status:
        return
    event("ready")
    for kind in NODE_PARTS:
        part = condition(plan_, kind)
        assert part is not None
        assert part.status
    for kind in ("Stalled", "Reconciling"):
        other = condition(plan_, kind)
        assert other is not None
        assert not other.status
    assert plan_.withheld == ()


@given(ANYTHING)
def test_not_ready_is_explained(situation: Situation) -> None:
    """Under way, stalled, or paused: never simply not."""
    plan_ = made(situation)
    ready, reconciling, stalled = (condition(plan_, kind) for kind in ("Ready", "Reconciling", "Stalled"))
    assert ready is not None
    assert reconciling is not None
    assert stalled is not None
    assert ready.status or reconciling.status or stalled.status or reconciling.reason == "Paused"


@given(ANYTHING)
def test_what_is_under_way_is_looked_at_again(situation: Situation) -> None:
    plan_ = made(situation)
    reconciling = condition(plan_, "Reconciling")
    assert reconciling is not None
    forgets = any(isinstance(action, Forget) for action in plan_.actions)
    assert plan_.next_look is not None or forgets or not reconciling.status


@given(ANYTHING)
def test_no_look_lies_in_the_past(situation: Situation) -> None:
    at = made(situation).next_look
    assert at is None or at >= NOW


@given(ANYTHING)
def test_a_call_that_failed_is_not_repeated_before_its_time(situation: Situation) -> None:
    memory = situation[2]
    trouble = memory.trouble
    if trouble and trouble.source == str(memory.generation) and (trouble.retry_at is None or trouble.retry_at > NOW):
        event("in trouble")
        assert trouble.subject not in [words(action) for action in made(situation).actions]


@given(ANYTHING)
def test_events_of_one_pass_differ(situation: Situation) -> None:
    """They are written in one transaction, each to a row of its own."""
    plan_ = made(situation)
    told = Counter((event.reason, event.subject, event.message) for event in plan_.events)
    told.update((step.event.reason, step.event.subject, step.event.message) for step in plan_.steps)
    assert set(told.values()) <= {1}


@given(ANYTHING)
def test_tokens_and_names_are_such_as_cloudformation_takes(situation: Situation) -> None:
    for action in made(situation).actions:
        token = getattr(action, "token", None)
        assert token is None or re.fullmatch(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}", token)
        if isinstance(action, CreateChangeSet):
            assert re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", action.name)
