"""Taking away what Batch has: environments that another has replaced, and all of it when the cluster goes."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.actions import (
    DeleteComputeEnvironment,
    DeleteJobQueue,
    StopBuild,
    UpdateComputeEnvironment,
    UpdateJobQueue,
)
from reconciler.batch import BatchFacts, Environment
from reconciler.facts import Actual
from reconciler.plan import Plan
from reconciler.plan.batch import LOOK_AT_BATCH, LOOK_AT_JOBS
from reconciler.record import Failure
from reconciler.statuses import BUILD, STACK, STANDING, TEARDOWN, BuildStep, Standing, Step, Teardown
from tests.unit.batch_factories import Scene, batch_of, build, environment, gone, old, queue, scene, shown, told
from tests.unit.factories import BEFORE, NOW, condition, kinds, message, rendering

Json = dict[str, Any]
OLD = old().name
MAIN = "muster-demo_main"
MOVING = [status for status, step in STANDING.items() if step in (Standing.MOVING, Standing.GOING)]


# Environments that another has replaced


def beside(*others: Environment, **spec: Any) -> Scene:
    return scene(**spec).beside(*others)


def ready(plan_: Plan) -> bool:
    return condition(plan_, "Ready") == (True, "AsSpecified")


CLOSED = [
    ("ec2", old(), UpdateComputeEnvironment(OLD, "DISABLED", 0)),
    ("spot", old(kind="SPOT", min=4), UpdateComputeEnvironment(OLD, "DISABLED", 0)),
    ("fargate", old(kind="FARGATE"), UpdateComputeEnvironment(OLD, "DISABLED", None)),
    ("fargate-spot", old(kind="FARGATE_SPOT"), UpdateComputeEnvironment(OLD, "DISABLED", None)),
    ("broken", old(status="INVALID"), UpdateComputeEnvironment(OLD, "DISABLED", None)),
]


@pytest.mark.parametrize(("there", "action"), [row[1:] for row in CLOSED], ids=[row[0] for row in CLOSED])
def test_a_replaced_environment_takes_no_more_jobs(there: Environment, action: UpdateComputeEnvironment) -> None:
    """Nor does it keep idle instances. Fargate has none, and of a broken one Batch changes the state alone."""
    plan_ = beside(there).plan()
    assert plan_.actions == (action,)
    assert plan_.steps[0].event.reason == "EnvironmentClosed"
    assert plan_.next_look == NOW + LOOK_AT_BATCH
    assert ready(plan_), "the cluster does not stand on it"


def test_jobs_that_run_there_are_waited_for() -> None:
    plan_ = beside(old(state="DISABLED", tasks=3)).plan()
    assert plan_.steps == ()
    assert plan_.next_look == NOW + LOOK_AT_JOBS
    assert shown(plan_, "environments")[0]["draining"] is True
    assert ready(plan_)


@pytest.mark.parametrize("tasks", [0, None], ids=["none", "no-ecs-cluster"])
@pytest.mark.parametrize("status", ["VALID", "INVALID"])
def test_then_it_is_deleted(tasks: int | None, status: str) -> None:
    plan_ = beside(old(state="DISABLED", status=status, tasks=tasks)).plan()
    assert plan_.actions == (DeleteComputeEnvironment(OLD),)
    assert plan_.steps[0].event.reason == "EnvironmentDeleted"
    assert plan_.next_look == NOW + LOOK_AT_BATCH


@pytest.mark.parametrize("status", MOVING)
def test_what_batch_moves_is_waited_for(status: str) -> None:
    for state in ("ENABLED", "DISABLED"):
        plan_ = beside(old(status=status, state=state)).plan()
        assert plan_.steps == ()
        assert plan_.next_look == NOW + LOOK_AT_BATCH
        assert condition(plan_, "Stalled")[0] is False


STRANGE = [{"status": "PONDERING", "state": "DISABLED"}, {"state": "PONDERING"}]


@pytest.mark.parametrize("words", STRANGE, ids=["status", "state"])
def test_a_word_that_nobody_knows_stops_and_says_so(words: Json) -> None:
    plan_ = beside(old(**words)).plan()
    assert plan_.steps == ()
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert "PONDERING" in message(plan_, "Stalled")
    assert plan_.next_look is not None


def test_it_is_remembered_until_it_is_gone_and_then_forgotten() -> None:
    of = beside(old(state="DISABLED"))
    first = of.plan().record
    assert set(first.environments) == {OLD, scene().name()}
    after = replace(scene(), memory=first).plan()
    assert after.record.environments == (scene().name(),)


def test_each_of_several_goes_at_its_own_pace() -> None:
    others = old("aaaaaaaa"), old("bbbbbbbb", state="DISABLED", tasks=1), old("cccccccc", state="DISABLED")
    plan_ = beside(*others).plan()
    assert plan_.actions == (
        UpdateComputeEnvironment("muster-demo_any_aaaaaaaa", "DISABLED", 0),
        DeleteComputeEnvironment("muster-demo_any_cccccccc"),
    )
    assert [each["name"] for each in shown(plan_, "environments")] == ["any"] * 4


def test_an_environment_whose_name_is_odd_is_shown_by_it() -> None:
    odd = environment("muster-demo_odd", tasks=1, state="DISABLED")
    assert shown(beside(odd).plan(), "environments")[0]["name"] == "muster-demo_odd"


def test_a_paused_cluster_closes_none_and_does_not_look_again_and_again() -> None:
    plan_ = beside(old(), paused=True).plan()
    assert plan_.steps == ()
    assert plan_.withheld == (UpdateComputeEnvironment(OLD, "DISABLED", 0),)
    assert plan_.next_look != NOW + LOOK_AT_BATCH


MOVES = [status for status, step in STACK.items() if step not in (Step.CREATE, Step.RECREATE, Step.STEADY)]


@pytest.mark.parametrize("status", MOVES)
def test_while_the_stack_is_not_at_rest_none_is_taken_for_replaced(status: str) -> None:
    """Its outputs are then of before or of after, and the environments that it is making are in neither."""
    of = beside(old(), old("bbbbbbbb", state="DISABLED")).on(status)
    plan_ = of.plan()
    assert not {"UpdateComputeEnvironment", "DeleteComputeEnvironment"} & set(kinds(plan_))
    assert plan_.record.environments == of.memory.environments


# What the stack is to make, and stands already


def wanted_again(state: str = "DISABLED", **fields: Any) -> Scene:
    """A spec that goes back to what it was: the environment that it wants is the one that is on its way out."""
    of = scene(template=BEFORE).remembering(rendering=rendering(BEFORE, spec_hash="before"))
    back = environment(of.name(), state=state, tasks=0)
    now = environment("muster-demo_any_bbbbbbbb")
    seen = (now, replace(back, **fields))
    current = frozenset({now.name})
    return of.seeing(environments=seen, current=current).queue(environments=(now.name,)).remembering(environments=())


@pytest.mark.parametrize(
    ("fields", "actions"),
    [
        ({"state": "ENABLED"}, ["UpdateComputeEnvironment"]),
        ({"tasks": 2}, []),
        ({}, ["DeleteComputeEnvironment"]),
        ({"status": "DELETING"}, []),
    ],
    ids=["open", "with-jobs", "empty", "going"],
)
def test_an_update_waits_for_what_it_would_make_and_is_not_gone_yet(fields: Json, actions: list[str]) -> None:
    plan_ = wanted_again(**fields).plan()
    assert kinds(plan_) == actions
    assert condition(plan_, "StackReady") == (False, "Updating")
    assert condition(plan_, "Reconciling") == (True, "Updating")
    assert scene().name() in message(plan_, "StackReady")
    assert plan_.next_look is not None
    assert plan_.phase == "Updating"


def test_and_begins_once_it_is_gone() -> None:
    of = wanted_again()
    assert kinds(of.seeing(environments=of.there.batch.environments[:1]).plan()) == ["CreateChangeSet"]


def test_a_change_set_that_was_made_waits_too() -> None:
    of = wanted_again()
    made = of.seeing(environments=of.there.batch.environments[:1]).plan().record
    plan_ = replace(of, memory=made).plan()
    assert kinds(plan_) == ["DeleteComputeEnvironment"]


def stackless(*environments: Environment) -> Scene:
    """The stack was deleted by hand; what it had CloudFormation retain is still there."""
    of = scene()
    return replace(of, there=Actual(batch=BatchFacts(environments=environments)))


def test_a_creation_waits_as_well() -> None:
    """The jobs that run there are not lost, though their stack is."""
    name = scene().name()
    assert kinds(stackless(environment(name)).plan()) == ["UpdateComputeEnvironment"]
    waits = stackless(environment(name, state="DISABLED", tasks=1)).plan()
    assert waits.steps == ()
    assert condition(waits, "StackReady") == (False, "Updating")
    assert waits.next_look is not None
    assert kinds(stackless(environment(name, state="DISABLED")).plan()) == ["DeleteComputeEnvironment"]
    assert kinds(stackless().plan()) == ["CreateStack"]


def test_what_is_not_wanted_again_is_in_nobodys_way() -> None:
    assert kinds(stackless(old(state="DISABLED", tasks=1)).plan()) == ["CreateStack"]


def test_a_creation_remembers_the_environments_that_it_makes_beside_those_that_are_left() -> None:
    (step,) = stackless(old(state="DISABLED", tasks=1)).plan().steps
    assert set(step.after.environments) == {OLD, *batch_of(scene().wanted).environments}
    assert step.after.sizes == {}


# The end of a cluster


def torn(of: Scene, **memory: Any) -> Plan:
    return gone(of).remembering(**memory).plan()


DELETE: Json = {"onDelete": "CancelJobs"}
WAIT: Json = {"onDelete": "WaitForJobs"}


@pytest.mark.parametrize("batch", [DELETE, WAIT], ids=["cancel", "wait"])
def test_first_no_queue_takes_jobs(batch: Json) -> None:
    plan_ = torn(scene(batch).queue(jobs={"RUNNING": 1}))
    assert plan_.actions == (UpdateJobQueue(MAIN, "DISABLED"),)
    assert plan_.steps[0].event.reason == "QueueClosed"
    assert plan_.phase == "Deleting"
    assert condition(plan_, "StackReady") == (False, "Deleting")
    assert condition(plan_, "Reconciling") == (True, "Deleting")
    assert plan_.next_look == NOW + LOOK_AT_BATCH
    assert shown(plan_, "queues")[0]["jobs"] == {"RUNNING": 1}
    assert shown(plan_, "environments")[0]["draining"] is True


def test_then_the_queues_go_with_their_jobs() -> None:
    plan_ = torn(scene(DELETE).queue(state="DISABLED", jobs={"RUNNING": 1, "RUNNABLE": 2}))
    assert plan_.actions == (DeleteJobQueue(MAIN),)
    assert plan_.steps[0].event.reason == "QueueDeleted"
    assert "3 jobs" in plan_.steps[0].event.message
    assert plan_.next_look == NOW + LOOK_AT_BATCH


def test_unless_the_spec_has_them_waited_for() -> None:
    plan_ = torn(scene(WAIT).queue(state="DISABLED", jobs={"RUNNING": 1, "RUNNABLE": 2}))
    assert plan_.steps == ()
    assert "3 jobs" in message(plan_, "StackReady")
    assert "spec.batch.onDelete" in message(plan_, "StackReady")
    assert plan_.next_look == NOW + LOOK_AT_JOBS
    assert torn(scene(WAIT).queue(state="DISABLED")).actions == (DeleteJobQueue(MAIN),)


def test_while_a_queue_is_there_no_environment_is_touched() -> None:
    """Its jobs would be left without a place, and Batch refuses it."""
    for state, status in (("ENABLED", "VALID"), ("DISABLED", "UPDATING"), ("DISABLED", "DELETING")):
        of = scene().beside(old(state="DISABLED")).environment(state="DISABLED").queue(state=state, status=status)
        assert not [action for action in torn(of).actions if "Environment" in type(action).__name__]


def test_each_queue_goes_at_its_own_pace() -> None:
    queues = (queue("a"), queue("b", state="DISABLED"), queue("c", state="DISABLED", status="DELETING"))
    plan_ = torn(scene().seeing(queues=queues))
    assert plan_.actions == (UpdateJobQueue("muster-demo_a", "DISABLED"), DeleteJobQueue("muster-demo_b"))
    assert "muster-demo_c is DELETING" in message(plan_, "StackReady")


def test_then_no_environment_takes_jobs() -> None:
    of = scene().seeing(queues=())
    plan_ = torn(of)
    assert plan_.actions == (UpdateComputeEnvironment(of.name(), "DISABLED", 0),)
    assert plan_.next_look == NOW + LOOK_AT_BATCH


@pytest.mark.parametrize("tasks", [0, None, 7])
def test_then_the_environments_go_whatever_still_runs_there(tasks: int | None) -> None:
    """Batch ended the jobs with their queues."""
    of = scene().beside(old(state="DISABLED", tasks=tasks)).environment(state="DISABLED").seeing(queues=())
    plan_ = torn(of)
    assert plan_.actions == (DeleteComputeEnvironment(of.name()), DeleteComputeEnvironment(OLD))
    assert set(plan_.record.environments) == {OLD, of.name()}


BARE = BatchFacts()


def test_then_the_stack() -> None:
    of = scene()
    plan_ = torn(replace(of, there=replace(of.there, batch=BARE)))
    assert kinds(plan_) == ["DeleteArtifacts", "DeleteStack"]
    assert plan_.record.environments == ()


def test_then_what_the_stack_left() -> None:
    of = scene()
    left = replace(of, there=Actual(batch=BatchFacts(environments=(old(),))))
    assert torn(left).actions == (UpdateComputeEnvironment(OLD, "DISABLED", 0),)
    closed = replace(of, there=Actual(batch=BatchFacts(environments=(old(state="DISABLED", tasks=1),))))
    assert torn(closed).actions == (DeleteComputeEnvironment(OLD),)


def test_and_at_last_the_cluster_is_forgotten() -> None:
    plan_ = torn(replace(scene(), there=Actual()))
    assert kinds(plan_) == ["DeleteArtifacts", "Forget"]


@pytest.mark.parametrize("status", MOVING)
def test_what_batch_deletes_is_waited_for(status: str) -> None:
    of = scene().seeing(queues=()).environment(status=status, state="DISABLED")
    plan_ = torn(of)
    assert plan_.steps == ()
    assert status in message(plan_, "StackReady")
    assert plan_.next_look == NOW + LOOK_AT_BATCH


@pytest.mark.parametrize("words", STRANGE, ids=["status", "state"])
@pytest.mark.parametrize("of", ["environment", "queue"])
def test_a_word_that_nobody_knows_holds_the_deletion_and_says_so(of: str, words: Json) -> None:
    sick = {"environment": scene().seeing(queues=()).environment(**words), "queue": scene().queue(**words)}[of]
    plan_ = torn(sick)
    assert plan_.steps == ()
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert "PONDERING" in message(plan_, "StackReady")
    assert plan_.next_look is not None


def test_a_broken_environment_is_closed_and_deleted_like_another() -> None:
    of = scene().seeing(queues=()).environment(status="INVALID")
    assert torn(of).actions == (UpdateComputeEnvironment(of.name(), "DISABLED", None),)
    assert torn(of.environment(state="DISABLED")).actions == (DeleteComputeEnvironment(of.name()),)


def test_a_broken_queue_is_closed_and_deleted_like_another() -> None:
    of = scene().queue(status="INVALID")
    assert torn(of).actions == (UpdateJobQueue(MAIN, "DISABLED"),)
    assert torn(of.queue(state="DISABLED")).actions == (DeleteJobQueue(MAIN),)


@pytest.mark.parametrize("status", [*BUILD, "PONDERING"])
def test_builds_that_run_are_stopped(status: str) -> None:
    plan_ = torn(scene().seeing(builds=(build("app-1", status, 4),)))
    stopped = [action for action in plan_.actions if isinstance(action, StopBuild)]
    assert stopped == ([StopBuild("muster-demo:4")] if BUILD.get(status) is BuildStep.RUNNING else [])
    assert ("BuildStopped" in told(plan_)) is bool(stopped)


def test_a_stack_that_is_being_made_is_deleted_as_it_is() -> None:
    """CloudFormation unmakes what it is making; what it leaves is removed once the stack is gone."""
    of = scene().on("CREATE_IN_PROGRESS", outputs={}).seeing(queues=(), current=frozenset(), definitions={})
    plan_ = torn(of)
    assert kinds(plan_) == ["DeleteArtifacts", "DeleteStack"]
    assert plan_.record.environments == scene().memory.environments


@pytest.mark.parametrize("status", [status for status, step in TEARDOWN.items() if step is Teardown.WAIT])
def test_while_cloudformation_works_nothing_is_taken_away(status: str) -> None:
    plan_ = torn(scene().on(status))
    assert plan_.steps == ()
    assert plan_.record.environments == scene().memory.environments


def test_a_stack_whose_deletion_failed_is_emptied_before_it_is_tried_again() -> None:
    of = scene().on("DELETE_FAILED")
    assert torn(of).actions == (UpdateJobQueue(MAIN, "DISABLED"),)
    empty = replace(of, there=replace(of.there, batch=BARE))
    assert kinds(torn(empty)) == ["DeleteStack"]


def test_a_call_that_failed_is_waited_for_and_not_repeated_before_its_time() -> None:
    held = Failure(f"DeleteJobQueue job queue {MAIN}", "x answered y", "1", 1, NOW + 40)
    plan_ = torn(scene().queue(state="DISABLED"), trouble=held)
    assert plan_.steps == ()
    assert plan_.next_look == NOW + 40
    assert "is to be deleted" in message(plan_, "StackReady")


def test_a_protected_cluster_is_kept_as_it_is() -> None:
    plan_ = torn(scene(deletionProtection=True).environment(max=99).beside(old()))
    assert plan_.actions == (
        UpdateComputeEnvironment(OLD, "DISABLED", 0),
        UpdateComputeEnvironment(scene().name(), None, None, 20, None),
    )
    assert condition(plan_, "Stalled") == (True, "DeletionProtected")


def test_what_is_to_be_retained_is_let_go_untouched() -> None:
    plan_ = torn(scene(deletionPolicy="Retain").seeing(builds=(build("app-1", "IN_PROGRESS"),)))
    assert kinds(plan_) == ["Forget"]


def test_a_pause_does_not_hold_a_deletion() -> None:
    assert torn(scene(paused=True)).actions == (UpdateJobQueue(MAIN, "DISABLED"),)


# A spec that comes back while its cluster is deleted


def back(of: Scene) -> Plan:
    return of.remembering(deleting_since=NOW - 60).plan()


@pytest.mark.parametrize("queues", [(), (queue("main", status="DELETING", state="DISABLED"),)], ids=["gone", "going"])
def test_a_spec_that_comes_back_too_late_has_its_deletion_ended_first(queues: tuple[Any, ...]) -> None:
    plan_ = back(scene().seeing(queues=queues))
    assert plan_.phase == "Deleting"
    assert condition(plan_, "SpecAccepted") == (True, "Accepted")
    assert condition(plan_, "Ready")[0] is False
    closed = UpdateComputeEnvironment(scene().name(), "DISABLED", 0)
    assert plan_.actions == (() if queues else (closed,))
    assert plan_.record.deleting_since == NOW - 60, "or the next pass would find something missing"


def test_one_that_comes_back_in_time_keeps_its_cluster() -> None:
    plan_ = back(scene().queue(state="DISABLED"))
    assert plan_.actions == (UpdateJobQueue(MAIN, "ENABLED"),)
    assert plan_.record.deleting_since is None


def test_a_queue_that_is_gone_is_no_reason_to_delete_a_cluster_that_nobody_deleted() -> None:
    plan_ = scene().seeing(queues=()).plan()
    assert plan_.actions == ()
    assert condition(plan_, "QueuesReady") == (False, "Missing")


@pytest.mark.parametrize("kept", [{"deletionProtection": True}, {"deletionPolicy": "Retain"}], ids=str)
def test_one_that_comes_back_protected_or_retained_is_not_deleted_to_the_end(kept: Json) -> None:
    plan_ = back(scene(**kept).seeing(queues=()))
    assert plan_.actions == ()
    assert condition(plan_, "QueuesReady") == (False, "Missing")
