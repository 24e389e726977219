"""What holds of every plan of a cluster of AWS Batch, beside what holds of every plan."""

from typing import Any

from hypothesis import assume, event, given

from reconciler.actions import (
    Action,
    DeleteComputeEnvironment,
    DeleteJobQueue,
    DeleteStack,
    StartBuild,
    StopBuild,
    UpdateComputeEnvironment,
    UpdateJobQueue,
)
from reconciler.cluster.batch import FARGATE
from reconciler.facts import Actual
from reconciler.plan import Desired, Plan, plan
from reconciler.plan.draft import BATCH_PARTS
from reconciler.record import Record
from reconciler.statuses import BUILD, ENABLED, STACK, STANDING, BuildStep, Standing, Step
from tests.unit.factories import NOW
from tests.unit.plan.batch_strategies import desires, nearly_sound, situations

Situation = tuple[Desired, Actual, Record]
OF_BATCH = (
    *(UpdateComputeEnvironment, DeleteComputeEnvironment, UpdateJobQueue, DeleteJobQueue),
    *(StartBuild, StopBuild),
)


def made(situation: Situation) -> Plan:
    return plan(*situation, NOW)


def of(kind: Any, situation: Situation) -> list[Any]:
    found = [action for action in made(situation).actions if isinstance(action, kind)]
    if found:
        event(f"has {kind}")
    return found


def kept(situation: Situation) -> bool:
    """Whether no deletion had begun before the spec came back: one that has gone too far is ended first."""
    return situation[2].deleting_since is None


def target(action: Action) -> str:
    return getattr(action, "environment", "") or getattr(action, "queue", "")


@given(situations(desires(present=True)) | nearly_sound())
def test_while_the_spec_is_there_nothing_that_the_stack_holds_is_taken_away(situation: Situation) -> None:
    assume(kept(situation))
    held = situation[1].batch.current
    for action in of(UpdateComputeEnvironment, situation):
        assert action.environment not in held or action.state in (None, "ENABLED")
    assert not held & {action.environment for action in of(DeleteComputeEnvironment, situation)}
    assert all(action.state in (None, "ENABLED") for action in of(UpdateJobQueue, situation))
    assert of((DeleteJobQueue, StopBuild), situation) == []


@given(situations(desires(present=True)) | nearly_sound())
def test_while_the_spec_is_there_no_environment_goes_in_which_jobs_run(situation: Situation) -> None:
    assume(kept(situation))
    there = situation[1].batch
    for action in of(DeleteComputeEnvironment, situation):
        seen = there.environment(action.environment)
        assert seen is not None
        assert not seen.tasks


@given(situations(desires(present=False, deletionProtection=False)))
def test_no_environment_goes_before_the_queues(situation: Situation) -> None:
    ends = of(DeleteComputeEnvironment, situation)
    assert not (ends and situation[1].batch.queues)


@given(situations(desires(present=False, deletionProtection=False, deletionPolicy="Delete")))
def test_no_stack_goes_before_what_batch_has(situation: Situation) -> None:
    """Unless it is still being made, which CloudFormation unmakes in its own order."""
    _, there, _ = situation
    ends = of(DeleteStack, situation)
    assert there.stack is not None or not ends
    if there.stack and STACK.get(there.stack.status) is not Step.WAIT:
        assert not (ends and (there.batch.queues or there.batch.environments))


@given(situations(desires(present=False, deletionProtection=False)))
def test_jobs_that_are_to_be_waited_for_are_not_ended(situation: Situation) -> None:
    wanted, there, _ = situation
    assert wanted.cluster is not None
    assert wanted.cluster.spec.batch is not None
    for action in of(DeleteJobQueue, situation):
        seen = there.batch.job_queue(action.queue)
        assert seen is not None
        assert wanted.cluster.spec.batch.on_delete == "CancelJobs" or not seen.jobs


@given(situations() | nearly_sound())
def test_what_nobody_knows_or_batch_is_working_on_is_not_touched(situation: Situation) -> None:
    there = situation[1].batch
    things = {each.name: each for each in (*there.environments, *there.queues)}
    for action in of(OF_BATCH[:4], situation):
        seen = things[target(action)]
        assert seen.status in STANDING
        assert seen.state in ENABLED
        assert STANDING[seen.status] not in (Standing.MOVING, Standing.GOING)
    for action in of(StopBuild, situation):
        assert [BUILD[build.status] for build in there.builds if build.id == action.id] == [BuildStep.RUNNING]


@given(situations() | nearly_sound())
def test_batch_is_asked_for_nothing_that_it_would_refuse(situation: Situation) -> None:
    """Each thing once a pass; the end of a thing only when it takes no work; no sizes of Fargate but the most."""
    there = situation[1].batch
    asked = [target(action) for action in of(OF_BATCH[:4], situation)]
    assert len(asked) == len(set(asked))
    for action in of(UpdateComputeEnvironment, situation):
        seen = there.environment(action.environment)
        assert seen is not None
        assert action != UpdateComputeEnvironment(action.environment), "says nothing"
        assert action.desired is None or action.desired > seen.desired, "Batch lowers it alone"
        if seen.name not in there.current and seen.kind in FARGATE:
            assert (action.min, action.desired) == (None, None)
        if STANDING[seen.status] is Standing.BROKEN:
            assert (action.min, action.max, action.desired) == (None, None, None)
    for action in of((DeleteComputeEnvironment, DeleteJobQueue), situation):
        seen = there.environment(target(action)) or there.job_queue(target(action))
        assert seen is not None
        assert not seen.enabled


@given(situations() | nearly_sound())
def test_an_image_is_built_once_and_only_when_it_lacks(situation: Situation) -> None:
    there = situation[1].batch
    tags = [action.tag for action in of(StartBuild, situation)]
    assert len(tags) == len(set(tags))
    assert not set(tags) & there.images.keys()
    for tag in tags:
        newest = next((build for build in there.builds if build.tag == tag), None)
        assert newest is None or BUILD.get(newest.status) in (BuildStep.DONE, BuildStep.FAILED)


@given(situations(desires(present=True, paused=True)))
def test_a_paused_cluster_is_not_touched(situation: Situation) -> None:
    plan_ = made(situation)
    assert plan_.steps == ()
    assert plan_.record.pins == situation[2].pins


@given(situations(desires(present=False, deletionProtection=True), deregistered=True))
def test_a_protected_cluster_keeps_its_queues(situation: Situation) -> None:
    assert of((DeleteJobQueue, StopBuild), situation) == []


@given(situations(desires(present=False, deletionProtection=False, deletionPolicy="Retain")))
def test_what_is_retained_is_left_as_it_is(situation: Situation) -> None:
    assert of(OF_BATCH, situation) == []


@given(nearly_sound())
def test_ready_means_that_all_parts_are_and_that_nothing_is_left_to_do(situation: Situation) -> None:
    plan_ = made(situation)
    found = {each.type: each for each in plan_.conditions}
    if not found["Ready"].status:
        return
    event("ready")
    assert {kind: found[kind].status for kind in BATCH_PARTS} == dict.fromkeys(BATCH_PARTS, True)
    assert not found["Stalled"].status
    assert not found["Reconciling"].status
    assert plan_.withheld == ()
    batch, held = situation[1].batch, situation[1].batch.current
    assert all(STANDING[e.status] is Standing.SOUND and e.enabled for e in batch.environments if e.name in held)
    assert all(STANDING[q.status] is Standing.SOUND and q.enabled for q in batch.queues)


@given(situations(deregistered=True))
def test_a_definition_is_registered_anew_once_a_pass(situation: Situation) -> None:
    before, after = situation[2].pins.registrations, made(situation).record.pins.registrations
    for name, count in after.items():
        assert count - before.get(name, 0) in (0, 1)


@given(situations() | nearly_sound())
def test_what_may_still_be_there_is_not_forgotten(situation: Situation) -> None:
    """An environment that is seen is remembered, for the stack's outputs may not name it the next time."""
    seen = {each.name for each in situation[1].batch.environments}
    plan_ = made(situation)
    if not any(type(action).__name__ == "Forget" for action in plan_.actions):
        assert seen <= set(plan_.record.environments)
