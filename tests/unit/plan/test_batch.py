"""Compute environments, queues and job definitions: kept as the spec has them, and what is the matter with them."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.actions import CreateChangeSet, ExecuteChangeSet, UpdateComputeEnvironment, UpdateJobQueue
from reconciler.pins import Pins
from reconciler.plan import Plan
from reconciler.plan.batch import LOOK_AT_BATCH, LOOK_AT_JOBS
from reconciler.statuses import ENABLED, STANDING, Standing
from tests.unit.batch_factories import Scene, batch_of, definition_arn, old, scene, shown, told
from tests.unit.factories import BEFORE, NOW, change, change_set, condition, head, message, rendering

Json = dict[str, Any]
MOVING = [status for status, step in STANDING.items() if step in (Standing.MOVING, Standing.GOING)]
BROKEN = [status for status, step in STANDING.items() if step is Standing.BROKEN]
MAIN = "muster-demo_main"


def sized(environment: Json) -> Scene:
    """A cluster whose one environment has these fields."""
    kind = "FARGATE" if environment.get("type", "EC2").startswith("FARGATE") else "EC2"
    job = {"name": "run", "image": "app", "platform": kind}
    return scene({"computeEnvironments": [{"name": "any", **environment}], "jobDefinitions": [job]})


def sets(of: Scene) -> UpdateComputeEnvironment:
    (action,) = of.plan().actions
    assert isinstance(action, UpdateComputeEnvironment)
    assert action.environment == of.name()
    return action


def settled(plan_: Plan) -> None:
    """All is as specified: nothing to do, and nothing to tell."""
    assert plan_.steps == ()
    for kind in ("ComputeReady", "QueuesReady"):
        assert condition(plan_, kind) == (True, "AsSpecified")
    assert condition(plan_, "Ready") == (True, "AsSpecified")


def test_a_cluster_as_specified_is_left_alone() -> None:
    plan_ = scene().plan()
    settled(plan_)
    (environment,) = shown(plan_, "environments")
    assert environment == {
        "name": "any",
        "environment": scene().name(),
        "type": "EC2",
        "state": "ENABLED",
        "status": "VALID",
        "min": 0,
        "max": 20,
        "desired": 0,
    }
    assert shown(plan_, "queues") == [
        {"name": "main", "queue": MAIN, "state": "ENABLED", "status": "VALID", "jobs": {}}
    ]


# Sizes


FRESH = {"min": 0, "max": 1, "desired": 0}
# The spec, and what the environment that the stack made is set to: min, max, desired.
FIRST: list[tuple[Json, tuple[int | None, int | None, int | None]]] = [
    ({}, (None, 20, None)),
    ({"maxVcpus": 8, "minVcpus": 2}, (2, 8, None)),
    ({"maxVcpus": 8, "minVcpus": 2, "desiredVcpus": 4}, (2, 8, 4)),
    ({"maxVcpus": 8, "desiredVcpus": 0}, (None, 8, None)),
    ({"type": "SPOT", "maxVcpus": 8, "minVcpus": 1}, (1, 8, None)),
    ({"type": "FARGATE", "maxVcpus": 8}, (None, 8, None)),
    ({"type": "FARGATE_SPOT", "maxVcpus": 8}, (None, 8, None)),
]


@pytest.mark.parametrize(("spec", "expected"), FIRST, ids=[str(row[0]) for row in FIRST])
def test_an_environment_that_the_stack_made_gets_its_sizes(
    spec: Json, expected: tuple[int | None, int | None, int | None]
) -> None:
    of = sized(spec).environment(**FRESH).remembering(sizes={})
    plan_ = of.plan()
    assert plan_.actions == (UpdateComputeEnvironment(of.name(), None, *expected),)
    assert plan_.steps[0].event.reason == "SizesApplied"
    assert not plan_.steps[0].event.warning
    assert plan_.record.sizes == sized(spec).memory.sizes
    assert condition(plan_, "ComputeReady") == (False, "Changing")
    assert condition(plan_, "Reconciling") == (True, "Changing")
    assert plan_.phase == "Updating"
    assert plan_.next_look == NOW + LOOK_AT_BATCH, "Batch sends no event when it is done"


def test_an_environment_that_was_made_as_the_spec_has_it_is_not_changed() -> None:
    of = sized({"maxVcpus": 1}).environment(**FRESH).remembering(sizes={})
    plan_ = of.plan()
    settled(plan_)
    assert plan_.record.sizes == {of.name(): (0, 1, None)}


def test_fargate_keeps_no_minimum_and_is_asked_for_none() -> None:
    """Batch refuses minvCpus and desiredvCpus of such an environment."""
    settled(sized({"type": "FARGATE"}).environment(min=7, desired=0).plan())


def test_an_edit_of_a_size_is_put_in_force_and_is_no_repair() -> None:
    of = sized({"maxVcpus": 30}).environment(max=20)
    of = of.remembering(sizes={of.name(): (0, 20, None)})
    plan_ = of.plan()
    assert plan_.actions == (UpdateComputeEnvironment(of.name(), None, None, 30, None),)
    assert plan_.steps[0].event.reason == "SizesApplied"
    assert "max 20" in plan_.steps[0].event.message
    assert "max 30" in plan_.steps[0].event.message
    assert plan_.record.sizes == {of.name(): (0, 30, None)}


@pytest.mark.parametrize("drift", [{"max": 99}, {"min": 3}, {"max": 1, "min": 1}, {"state": "DISABLED"}])
def test_what_somebody_changed_is_put_back_and_told(drift: Json) -> None:
    of = scene().environment(**drift)
    plan_ = of.plan()
    wanted = {"state": None, "min": None, "max": None} | {
        field: {"state": "ENABLED", "min": 0, "max": 20}[field] for field in drift
    }
    assert plan_.actions == (UpdateComputeEnvironment(of.name(), **wanted),)
    assert plan_.steps[0].event.reason == "EnvironmentRestored"
    assert plan_.steps[0].event.warning
    assert condition(plan_, "ComputeReady") == (False, "Changing")


def test_an_environment_disabled_while_it_is_resized_is_told_as_restored() -> None:
    of = sized({"maxVcpus": 30}).environment(max=20, state="DISABLED")
    of = of.remembering(sizes={of.name(): (0, 20, None)})
    assert sets(of) == UpdateComputeEnvironment(of.name(), "ENABLED", None, 30, None)
    assert of.plan().steps[0].event.reason == "EnvironmentRestored"


def test_once_set_the_desired_vcpus_are_left_to_batch() -> None:
    asked = sized({"desiredVcpus": 4})
    for moved in (0, 3, 20):
        settled(asked.environment(desired=moved).plan())


@pytest.mark.parametrize(("there", "expected"), [(3, 4), (4, None), (9, None)])
def test_the_desired_vcpus_are_raised_when_the_user_asks_and_never_lowered(there: int, expected: int | None) -> None:
    of = sized({"desiredVcpus": 4}).environment(desired=there)
    of = of.remembering(sizes={of.name(): (0, 20, None)})
    plan_ = of.plan()
    asked = [action.desired for action in plan_.actions if isinstance(action, UpdateComputeEnvironment)]
    assert asked == ([expected] if expected else [])
    assert plan_.record.sizes == {of.name(): (0, 20, 4)}


def test_an_edit_of_another_size_does_not_ask_for_them_again() -> None:
    of = sized({"desiredVcpus": 4, "maxVcpus": 30}).environment(desired=1, max=20)
    of = of.remembering(sizes={of.name(): (0, 20, 4)})
    assert sets(of) == UpdateComputeEnvironment(of.name(), None, None, 30, None)


def test_sizes_of_environments_that_the_stack_no_longer_holds_are_forgotten() -> None:
    of = scene()
    of = of.remembering(sizes={**of.memory.sizes, old().name: (0, 1, None)})
    assert of.plan().record.sizes == scene().memory.sizes


def test_a_paused_cluster_is_shown_as_it_is_and_not_set() -> None:
    of = scene(paused=True).environment(max=99, state="DISABLED").queue(state="DISABLED")
    plan_ = of.plan()
    assert plan_.steps == ()
    names = [type(action).__name__ for action in plan_.withheld]
    assert names == ["UpdateComputeEnvironment", "UpdateJobQueue"]
    assert condition(plan_, "ComputeReady") == (False, "Withheld")
    assert condition(plan_, "QueuesReady") == (False, "Withheld")
    assert "max 99" in message(plan_, "ComputeReady")
    assert "DISABLED" in message(plan_, "QueuesReady")


def test_a_paused_cluster_remembers_no_sizes_as_put_in_force() -> None:
    of = scene(paused=True).remembering(sizes={})
    assert of.plan().record.sizes == {}


def test_each_environment_gets_its_own() -> None:
    two = [{"name": "any"}, {"name": "big", "maxVcpus": 300}, {"name": "small", "type": "FARGATE"}]
    of = scene({"computeEnvironments": two}).environment("big", max=1).environment("small", state="DISABLED")
    assert of.plan().actions == (
        UpdateComputeEnvironment(of.name("big"), None, None, 300, None),
        UpdateComputeEnvironment(of.name("small"), "ENABLED", None, None, None),
    )
    assert [each["name"] for each in shown(of.plan(), "environments")] == ["any", "big", "small"]


# How Batch says that things stand


@pytest.mark.parametrize("status", BROKEN)
def test_a_broken_environment_says_why(status: str) -> None:
    of = scene().environment(status=status, reason="CLIENT_ERROR - no such role", state="DISABLED", max=1)
    plan_ = of.plan()
    assert plan_.steps == ()
    assert condition(plan_, "ComputeReady") == (False, "Invalid")
    assert condition(plan_, "Stalled") == (True, "Invalid")
    assert "CLIENT_ERROR - no such role" in message(plan_, "Stalled")
    assert shown(plan_, "environments")[0]["reason"] == "CLIENT_ERROR - no such role"
    assert plan_.phase == "Degraded"
    assert "Batch gives no reason" in message(scene().environment(status=status).plan(), "ComputeReady")


@pytest.mark.parametrize("status", MOVING)
@pytest.mark.parametrize("of", ["environment", "queue"])
def test_what_batch_moves_is_waited_for(of: str, status: str) -> None:
    changed = {"environment": scene().environment, "queue": scene().queue}[of]
    plan_ = changed(status=status, state="DISABLED").plan()
    assert plan_.steps == ()
    kind = {"environment": "ComputeReady", "queue": "QueuesReady"}[of]
    assert condition(plan_, kind) == (False, "Changing")
    assert status in message(plan_, kind)
    assert condition(plan_, "Reconciling") == (True, "Changing")
    assert condition(plan_, "Stalled")[0] is False
    assert plan_.next_look == NOW + LOOK_AT_BATCH
    assert "Changing" not in told(plan_)


@pytest.mark.parametrize("strange", [{"status": "PONDERING"}, {"state": "DORMANT"}])
@pytest.mark.parametrize("of", ["environment", "queue"])
def test_a_word_that_nobody_knows_stops_and_says_so(of: str, strange: Json) -> None:
    (word,) = strange.values()
    assert word not in STANDING
    assert word not in ENABLED
    sick = {"environment": scene().environment(max=1, **strange), "queue": scene().queue(environments=(), **strange)}[
        of
    ]
    plan_ = sick.plan()
    assert plan_.steps == ()
    kind = {"environment": "ComputeReady", "queue": "QueuesReady"}[of]
    assert condition(plan_, kind) == (False, "UnknownStatus")
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert word in message(plan_, "Stalled")
    assert plan_.phase == "Degraded"
    assert plan_.next_look is not None


def test_an_environment_that_is_gone_is_told_with_the_way_out() -> None:
    plan_ = scene().seeing(environments=()).plan()
    assert plan_.steps == ()
    assert condition(plan_, "ComputeReady") == (False, "Missing")
    assert condition(plan_, "Stalled") == (True, "Missing")
    assert "Remove it from the spec" in message(plan_, "Stalled")
    assert plan_.phase == "Degraded"


def test_the_worst_is_told_with_all_that_is_the_matter() -> None:
    two = [{"name": "any"}, {"name": "big"}]
    of = scene({"computeEnvironments": two}).environment("any", status="UPDATING")
    plan_ = of.environment("big", status="INVALID", reason="no role").plan()
    assert condition(plan_, "ComputeReady") == (False, "Invalid")
    assert "UPDATING" in message(plan_, "ComputeReady")
    assert "no role" in message(plan_, "ComputeReady")


# Queues


def test_a_queue_that_was_disabled_is_put_back() -> None:
    plan_ = scene().queue(state="DISABLED").plan()
    assert plan_.actions == (UpdateJobQueue(MAIN, "ENABLED", None, None),)
    assert plan_.steps[0].event.reason == "QueueRestored"
    assert plan_.steps[0].event.warning
    assert condition(plan_, "QueuesReady") == (False, "Changing")
    assert plan_.next_look == NOW + LOOK_AT_BATCH


TWO = {
    "computeEnvironments": [{"name": "any"}, {"name": "big"}],
    "queues": [{"name": "main", "computeEnvironments": ["big", "any"]}],
}


def test_a_queue_whose_order_was_changed_is_put_back() -> None:
    of = scene(TWO)
    first, second = of.name("big"), of.name("any")
    settled(of.plan())
    for drift in ((second, first), (first,), ("muster-other", first)):
        assert of.queue(environments=drift).plan().actions == (UpdateJobQueue(MAIN, None, None, (first, second)),)


@pytest.mark.parametrize("status", ["INVALID", "CREATING", "PONDERING", ""])
def test_an_order_waits_until_its_environments_are_valid(status: str) -> None:
    """Batch would refuse it. What is the matter with the environment is told by itself."""
    of = scene(TWO).queue(environments=(scene(TWO).name("any"),))
    of = of.environment("big", status=status) if status else of.seeing(environments=of.there.batch.environments[:1])
    plan_ = of.plan()
    assert plan_.steps == ()
    assert condition(plan_, "QueuesReady") == (False, "Withheld")
    assert condition(plan_, "ComputeReady")[0] is False


def test_a_queue_whose_priority_was_changed_is_put_back() -> None:
    plan_ = scene().queue(priority=7).plan()
    assert plan_.actions == (UpdateJobQueue(MAIN, None, 1, None),)
    assert "priority 7" in plan_.steps[0].event.message
    assert condition(plan_, "QueuesReady") == (False, "Changing")


def test_a_broken_queue_says_why() -> None:
    plan_ = scene().queue(status="INVALID", reason="no such environment", state="DISABLED").plan()
    assert plan_.steps == ()
    assert condition(plan_, "QueuesReady") == (False, "Invalid")
    assert condition(plan_, "Stalled") == (True, "Invalid")
    assert "no such environment" in message(plan_, "Stalled")
    assert shown(plan_, "queues")[0]["reason"] == "no such environment"


def test_a_queue_that_is_gone_is_told_with_the_way_out() -> None:
    plan_ = scene().seeing(queues=()).plan()
    assert plan_.steps == ()
    assert condition(plan_, "QueuesReady") == (False, "Missing")
    assert "Remove it from the spec" in message(plan_, "Stalled")


def test_jobs_are_counted_and_looked_at_again() -> None:
    jobs = {"RUNNABLE": 1000, "RUNNING": 2}
    plan_ = scene().queue(jobs=jobs, more=True).plan()
    settled(plan_)
    (queue,) = shown(plan_, "queues")
    assert queue["jobs"] == jobs
    assert queue["more"] is True
    assert plan_.next_look == NOW + LOOK_AT_JOBS
    assert "more" not in shown(scene().queue(jobs=jobs).plan(), "queues")[0]


# Job definitions


def test_a_definition_that_was_deregistered_is_registered_anew_by_an_update() -> None:
    of = scene().seeing(definitions={definition_arn("run"): False})
    plan_ = of.plan()
    assert plan_.steps == ()
    assert plan_.record.pins.registrations == {"run": 1}
    assert plan_.record.pins.serving == of.memory.pins.serving
    assert told(plan_)[0] == "DefinitionDeregistered"
    assert plan_.events[0].warning
    assert condition(plan_, "QueuesReady") == (False, "Deregistered")
    assert condition(plan_, "Reconciling") == (True, "Deregistered")
    assert plan_.next_look == NOW + 1


def test_and_only_once() -> None:
    """The next pass renders with the count, so the stack is no longer as rendered, and nothing is counted twice."""
    of = scene().seeing(definitions={definition_arn("run"): False})
    memory = of.plan().record
    again = replace(of.asking(stack_spec_hash="with the count"), memory=memory)
    again = again.asking(rendered=make_other(again)).plan()
    assert again.record.pins.registrations == {"run": 1}
    assert [type(action) for action in again.actions] == [CreateChangeSet]
    assert "DefinitionDeregistered" not in told(again)


def make_other(of: Scene) -> Any:
    """What is wanted of the stack, with another hash."""
    assert of.wanted.rendered is not None
    return replace(of.wanted.rendered, hash="c" * 64)


def test_the_third_time_counts_three() -> None:
    of = scene().seeing(definitions={}).remembering(pins=Pins(registrations={"run": 2, "other": 1}))
    assert of.plan().record.pins.registrations == {"run": 3, "other": 1}


def test_a_paused_cluster_registers_nothing_anew() -> None:
    plan_ = scene(paused=True).seeing(definitions={}).plan()
    assert plan_.record.pins.registrations == {}
    assert condition(plan_, "QueuesReady") == (False, "Deregistered")
    assert "DefinitionDeregistered" not in told(plan_)


def test_a_definition_that_the_stack_does_not_name_is_missing() -> None:
    of = scene()
    assert of.there.stack is not None
    left = {key: value for key, value in of.there.stack.outputs.items() if not key.startswith("JobDefinition")}
    plan_ = of.on(outputs=left).plan()
    assert condition(plan_, "QueuesReady") == (False, "Missing")
    assert "muster-demo_run" in message(plan_, "Stalled")
    assert plan_.record.pins.registrations == {}


# An update that is not done yet, and a rendering of before


def outdated(batch: Json | None = None, **fields: Any) -> Scene:
    """A cluster that stands as another version of Muster rendered it, with no update asked for."""
    of = scene(batch, template=BEFORE)
    return of.remembering(rendering=rendering(BEFORE, **fields))


def test_an_older_rendering_is_kept_as_it_is() -> None:
    of = outdated().environment(max=99)
    plan_ = of.plan()
    assert plan_.actions == (UpdateComputeEnvironment(of.name(), None, None, 20, None),)
    assert condition(plan_, "RenderingCurrent") == (False, "OlderVersion")


def test_of_an_older_rendering_neither_order_nor_definitions_are_judged() -> None:
    plan_ = outdated().queue(environments=(old().name,), priority=7).seeing(definitions={}).plan()
    settled(plan_)
    assert plan_.record.pins.registrations == {}


def test_of_an_older_rendering_an_environment_that_it_does_not_hold_is_none_of_ours() -> None:
    plan_ = outdated().seeing(environments=(), current=frozenset()).remembering(environments=()).plan()
    assert plan_.steps == ()
    assert condition(plan_, "ComputeReady") == (True, "AsSpecified")


def test_a_queue_that_an_update_is_to_bring_is_not_there_yet() -> None:
    plan_ = outdated(spec_hash="before").seeing(queues=()).plan()
    assert condition(plan_, "QueuesReady") == (False, "Withheld")
    assert condition(plan_, "Stalled")[0] is False
    assert condition(plan_, "Reconciling") == (True, "Updating")


def test_while_an_update_is_computed_nothing_but_states_and_sizes_is_judged() -> None:
    of = outdated(spec_hash="before").queue(environments=(old().name,)).seeing(definitions={})
    plan_ = of.plan()
    assert [type(action) for action in plan_.actions] == [CreateChangeSet]
    assert plan_.record.pins.registrations == {}


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"])
def test_while_cloudformation_works_nothing_is_touched(status: str) -> None:
    plan_ = scene().environment(max=99).queue(state="DISABLED").on(status).plan()
    assert plan_.steps == ()
    assert "ComputeReady" not in {each.type for each in plan_.conditions}
    assert condition(plan_, "Ready")[0] is False


# Consent


def removing(resource: str = "JobQueueMain", **jobs: int) -> Scene:
    """An update that takes a queue with these jobs, or with none, out of the stack."""
    of = outdated(spec_hash="before").queue(jobs=jobs)
    memory = of.plan().record
    gone = change(resource, "AWS::Batch::JobQueue", "Remove", "")
    seen = change_set(gone, name=memory.change_set)
    return replace(of, memory=memory, there=replace(of.there, change_set=seen))


def test_a_queue_with_jobs_goes_only_with_consent() -> None:
    plan_ = removing(RUNNING=1).plan()
    assert plan_.steps == ()
    assert condition(plan_, "Stalled") == (True, "ConsentRequired")
    assert "the jobs in the queue would be ended" in message(plan_, "Stalled")
    assert "'queues/main'" in message(plan_, "Stalled")


def test_a_queue_without_jobs_goes_without() -> None:
    assert [type(action).__name__ for action in removing().plan().actions] == ["ExecuteChangeSet"]


def test_a_queue_whose_name_is_not_known_any_more_is_kept() -> None:
    plan_ = removing("JobQueueForgotten").plan()
    assert condition(plan_, "Stalled") == (True, "ConsentRequired")


def test_a_queue_with_jobs_goes_once_its_user_says_so() -> None:
    held = removing(RUNNING=1)
    wanted = scene(consent=["queues/main"]).wanted
    assert [type(a).__name__ for a in replace(held, wanted=wanted).plan().actions] == ["ExecuteChangeSet"]


def test_the_environments_that_an_update_may_make_are_remembered_before_it_begins() -> None:
    plan_ = removing().beside(old(tasks=1)).plan()
    step = plan_.steps[-1]
    assert isinstance(step.action, ExecuteChangeSet)
    assert set(step.after.environments) == {old().name, *batch_of(scene().wanted).environments}


# What Batch cannot change


FAIR = {"name": "main", "computeEnvironments": ["any"], "fairShare": {}}
PLAIN = {"name": "main", "computeEnvironments": ["any"]}


@pytest.mark.parametrize(
    ("wanted", "made_fair", "value", "has", "fix"),
    [(FAIR, False, "set", "not set", "remove it"), (PLAIN, True, "(missing)", "set", "put it back")],
)
def test_a_queue_keeps_the_way_of_scheduling_that_it_was_made_with(
    wanted: Json, made_fair: bool, value: str, has: str, fix: str
) -> None:
    """Batch would refuse the update, so none is begun; what is there is kept as it should be."""
    of = scene({"queues": [wanted]}, template=BEFORE).remembering(rendering=rendering(BEFORE, spec_hash="another"))
    assert [type(action) for action in of.plan().actions] == [CreateChangeSet]
    plan_ = of.queue(fair_share=made_fair, state="DISABLED").plan()
    assert plan_.actions == (UpdateJobQueue(MAIN, "ENABLED", None, None),)
    assert condition(plan_, "StackReady") == (False, "CannotChange")
    assert condition(plan_, "Stalled") == (True, "CannotChange")
    assert plan_.phase == "Invalid"
    assert message(plan_, "Stalled") == (
        f"spec.batch.queues[0].fairShare: {value}: it was {has} when job queue {MAIN} was made, and AWS Batch cannot "
        f"change that; {fix}, or give the queue another name."
    )


@pytest.mark.parametrize("queue", [FAIR, PLAIN])
def test_a_queue_that_is_as_it_was_made_is_no_trouble(queue: Json) -> None:
    settled(scene({"queues": [queue]}).plan())


# The head node


def test_ready_stands_on_the_head_node_where_there_is_one() -> None:
    of = scene(headNode={"instanceType": "m7i.large"})
    plan_ = of.plan()
    assert condition(plan_, "HeadNodeReady") == (False, "HeadNodeMissing")
    assert condition(plan_, "Ready") == (False, "HeadNodeMissing")
    there = replace(of, there=replace(of.there, instances=(head(),)))
    settled(there.plan())
    assert condition(there.plan(), "HeadNodeReady") == (True, "Running")


def test_without_one_nothing_is_said_of_it() -> None:
    assert "HeadNodeReady" not in {each.type for each in scene().plan().conditions}
