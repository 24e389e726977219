"""Pass after pass over clusters of AWS Batch in a world that moves: they get somewhere, and lose no job on the way."""

import hashlib
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.batch import BatchFacts
from reconciler.facts import HASH_TAG, Actual
from reconciler.outcomes import AwsError
from reconciler.pins import Pins
from reconciler.plan import Desired, Plan, plan
from reconciler.plan.draft import words
from reconciler.plan.trouble import setback
from reconciler.record import Record
from reconciler.statuses import BUILD, STACK
from tests.unit.batch_factories import Scene, batch_of, facts, scene
from tests.unit.factories import NOW, condition, new_record
from tests.unit.plan import batch_strategies
from tests.unit.plan.batch_world import BatchWorld
from tests.unit.plan.test_simulation import FATE, KILLS, PASSES, End, Situation, how, known

START = batch_strategies.situations(unknown=False) | batch_strategies.nearly_sound(unknown=False)


def run(start: Situation, fate: list[bool], kills: set[int] = frozenset()) -> tuple[End, BatchWorld]:  # type: ignore[assignment]
    """Passes and ticks in turn, until a pass has nothing to do in a world that rests."""
    wanted, there, memory = start
    world, now = BatchWorld.holding(there, iter(fate), wanted), NOW
    made = plan(wanted, there, memory, now)
    for number in range(PASSES):
        seen = world.facts(memory.change_set)
        memory = serving(wanted, seen, memory)
        made = plan(rendered(wanted, memory, world), seen, memory, now)
        memory = carry_out(world, made, now, killed=number in kills)
        if world.forgotten:
            return End("gone", made, number), world
        rests = world.resting and not made.steps and number not in kills
        tries = [f.retry_at for f in (memory.failure, memory.trouble) if f and f.retry_at and f.retry_at > now]
        end = how(made)
        if rests and end and not tries:
            return End(end, made, number), world
        world.tick()
        # The looks before the next try find the same; to leave them out spares passes.
        now = max([now + 60, *(tries if rests else [made.next_look or now] if world.resting else [])])
    return End("lost", made, PASSES), world


def serving(wanted: Desired, seen: Actual, memory: Record) -> Record:
    """What a pass makes of the images that it sees."""
    before = memory.pins.serving
    told = {i.name: i.tag if i.tag in seen.batch.images else before.get(i.name, "") for i in batch_of(wanted).images}
    return memory.remember(pins=replace(memory.pins, serving={name: tag for name, tag in told.items() if tag}))


def rendered(wanted: Desired, memory: Record, world: BatchWorld) -> Desired:
    """What is wanted, as it is rendered with these pins: another image, or a definition that is registered again."""
    assert wanted.rendered is not None
    tags = {image.tag for image in batch_of(wanted).images}
    moved = [sorted({*memory.pins.serving.values()} - tags), sorted(memory.pins.registrations.items())]
    mark = hashlib.sha256(f"{wanted.rendered.hash}{moved}".encode()).hexdigest() if moved != [[], []] else ""
    found = replace(
        wanted,
        rendered=replace(wanted.rendered, hash=mark or wanted.rendered.hash),
        stack_spec_hash=f"{wanted.stack_spec_hash}{mark}",
    )
    assert found.rendered is not None
    world.known[found.rendered.hash] = found
    return found


def carry_out(world: BatchWorld, made: Plan, now: float, *, killed: bool) -> Record:
    """The record that the next pass reads."""
    memory = made.before
    for step in made.steps:
        try:
            world.do(step.action)
        except AwsError as error:
            return setback(memory, made.record.status, error, words(step.action), now).record
        if killed:
            return memory
        memory = step.after
    return made.record


def sound(start: Situation) -> Situation:
    """Such as there can be: a stack as rendered holds what it was rendered with, and its queues use what it holds.

    And without statuses that nobody knows: those stop a cluster for good, which other tests show.
    """
    wanted, there, memory = known(start)
    assert wanted.rendered is not None
    if there.stack and there.stack.status not in STACK:
        there = replace(there, stack=None)
    # A stack that is deleted holds nothing; its environments outlive it.
    holds = there.stack and there.stack.status != "DELETE_COMPLETE"
    seen = there.batch if holds else BatchFacts(environments=there.batch.environments)
    as_rendered = there.stack and there.stack.tags[HASH_TAG] == wanted.rendered.hash
    current = frozenset(batch_of(wanted).environments) if as_rendered else seen.current
    held = [(queue, tuple(each for each in queue.environments if each in current)) for queue in seen.queues]
    queues = tuple(replace(queue, environments=order) for queue, order in held if order)
    kinds = {each.name: each.kind for each in facts(wanted).environments}
    environments = tuple(replace(each, kind=kinds.get(each.name, each.kind)) for each in seen.environments)
    builds = tuple(build for build in seen.builds if build.status in BUILD)
    return (
        wanted,
        replace(there, batch=replace(seen, environments=environments, current=current, queues=queues, builds=builds)),
        memory,
    )


@given(START, FATE, KILLS)
def test_every_cluster_gets_somewhere(start: Situation, fate: list[bool], kills: set[int]) -> None:
    end, _ = run(sound(start), fate, kills)
    assert end.how in ("gone", "ready", "stalled", "paused"), (end.plan.phase, end.plan.conditions)


def new(batch: dict[str, Any] | None = None) -> Situation:
    return scene(batch).wanted, Actual(), new_record(pins=Pins())


@given(st.sampled_from(batch_strategies.PARTS), FATE, KILLS)
def test_a_new_cluster_gets_ready_unless_fate_is_against_it(
    batch: dict[str, Any], fate: list[bool], kills: set[int]
) -> None:
    end, world = run(new(batch), fate, kills)
    assert world.refused == []
    if end.how != "ready":
        assert condition(end.plan, "Stalled") in ((True, "CreateFailed"), (True, "BuildFailed"))
        assert fate.count(False) >= 3
        return
    wanted = scene(batch)
    assert world.environments.keys() == batch_of(wanted.wanted).environments.keys()
    assert {name: (e.min, e.max) for name, e in world.environments.items()} == {
        name: sizes[:2] for name, sizes in wanted.memory.sizes.items()
    }


@given(START, FATE, KILLS)
def test_a_cluster_whose_spec_goes_is_gone_in_the_end(start: Situation, fate: list[bool], kills: set[int]) -> None:
    wanted, there, memory = sound(start)
    assert wanted.cluster is not None
    spec = wanted.cluster.spec
    end, world = run((replace(wanted, present=False), there, memory), fate, kills)
    if spec.deletion_protection:
        assert end.how in ("ready", "paused", "stalled")
        return
    if end.how == "stalled":
        assert condition(end.plan, "Stalled")[1] in ("CallFailed", "Throttling")
        return
    assert end.how == "gone", (end.plan.phase, end.plan.conditions)
    if spec.deletion_policy == "Delete":
        assert world.environments == {}
        assert world.job_queues == {}


BEFORE, AFTER = scene(), scene({"computeEnvironments": [{"name": "any", "type": "SPOT"}]})

# How an update ends that fate is against.
FAILED = ("UpdateFailed", "RollbackStuck")


def edited(old: Scene, new_: Scene) -> Situation:
    """The first cluster, whose spec has just become that of the second."""
    assert new_.wanted.rendered is not None
    template = replace(new_.wanted.rendered, hash="e" * 64)
    return replace(new_.wanted, rendered=template, stack_spec_hash="edited"), old.there, old.memory


@given(st.integers(0, 4), st.integers(0, 9), FATE, KILLS)
def test_an_environment_that_is_replaced_is_drained_and_nothing_is_refused(
    tasks: int, jobs: int, fate: list[bool], kills: set[int]
) -> None:
    busy = BEFORE.environment(tasks=tasks).queue(jobs={"RUNNING": jobs})
    end, world = run(edited(busy, AFTER), fate, kills)
    assert world.refused == []
    if end.how == "stalled":
        assert condition(end.plan, "Stalled")[1] in FAILED
        return
    assert end.how == "ready"
    assert [each.environments for each in world.job_queues.values()] == [(AFTER.name(),)]
    assert world.environments.keys() == {AFTER.name()}


@given(st.integers(1, 4), FATE, KILLS)
def test_and_comes_back_only_once_it_is_gone(tasks: int, fate: list[bool], kills: set[int]) -> None:
    """The spec is put back while the old environment is still on its way out."""
    there = AFTER.beside(BEFORE.environment(state="DISABLED", tasks=tasks).there.batch.environments[0])
    end, world = run(edited(there, BEFORE), fate, kills)
    assert world.refused == []
    if end.how == "ready":
        assert [each.environments for each in world.job_queues.values()] == [(BEFORE.name(),)]
    else:
        assert condition(end.plan, "Stalled")[1] in FAILED
