"""Pass after pass in a world that moves: from wherever a cluster starts, it gets somewhere and stays there."""

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.actions import Forget
from reconciler.facts import Actual
from reconciler.plan import Desired, Plan, plan
from reconciler.record import Record
from reconciler.statuses import CHANGE_SET, EXECUTION, STACK
from tests.unit.factories import NOW, WANTED, condition, desired, message, new_record
from tests.unit.plan.strategies import nearly_sound, situations, stacks, updates
from tests.unit.plan.world import World

Situation = tuple[Desired, Actual, Record]
PASSES = 120
START = situations(there=st.none() | stacks(statuses=tuple(STACK))) | updates() | nearly_sound()
# Whether the next thing that can fail goes well; when the list has ended, all does.
FATE = st.lists(st.sampled_from([True, False]), max_size=8)
# In which passes the operator is killed after the first of its actions, before it could write what it did.
KILLS = st.sets(st.integers(0, 20), max_size=6)


@dataclass
class End:
    """How a cluster ended: `gone`, `ready`, `stalled`, `paused`, or `lost` after too many passes."""

    how: str
    plan: Plan
    passes: int


def run(start: Situation, fate: list[bool], kills: set[int] = frozenset()) -> End:  # type: ignore[assignment]
    """Passes and ticks in turn, until a pass has nothing to do in a world that rests."""
    wanted, there, memory = start
    queues = {wanted.rendered.hash: names(wanted)} if wanted.rendered else {}
    world, now = World.of(there, queues, iter(fate)), NOW
    for number in range(PASSES):
        made = plan(wanted, world.facts(memory.change_set), memory, now)
        memory = carry_out(world, made, killed=number in kills)
        if world.forgotten:
            return End("gone", made, number)
        rests = world.resting and not made.steps and number not in kills
        tries = [f.retry_at for f in (memory.failure, memory.trouble) if f and f.retry_at and f.retry_at > now]
        end = how(made)
        if rests and end and not tries:
            return End(end, made, number)
        world.tick()
        # The looks before the next try find the same; to leave them out spares passes.
        now = max([now + 60, *(tries if rests else [made.next_look or now] if world.resting else [])])
    return End("lost", made, PASSES)


def names(wanted: Desired) -> tuple[str, ...]:
    return tuple(queue.name for queue in wanted.cluster.spec.queues) if wanted.cluster else ()


def carry_out(world: World, made: Plan, *, killed: bool) -> Record:
    """The record that the next pass reads."""
    memory = made.before
    for step in made.steps:
        world.do(step.action)
        if killed:
            return memory
        memory = step.after
    return made.record


def how(made: Plan) -> str:
    """How a pass leaves a cluster, if it leaves it at rest."""
    if condition(made, "Ready")[0]:
        return "ready"
    if condition(made, "Stalled")[0]:
        return "stalled"
    return "paused" if condition(made, "Reconciling") == (False, "Paused") else ""


@given(START, FATE, KILLS)
def test_every_cluster_gets_somewhere(start: Situation, fate: list[bool], kills: set[int]) -> None:
    end = run(known(start), fate, kills)
    assert end.how in ("gone", "ready", "stalled", "paused"), (end.plan.phase, end.plan.conditions)
    assert end.how != "stalled" or message(end.plan, "Stalled")


def known(start: Situation) -> Situation:
    """Without statuses that nobody knows: those stop a cluster for good, which other tests show."""
    wanted, there, memory = start
    seen = there.change_set
    if seen and (seen.status not in CHANGE_SET or seen.execution_status not in EXECUTION):
        there = replace(there, change_set=None)
    return wanted, there, memory


@given(FATE, KILLS)
def test_a_new_cluster_gets_ready_unless_fate_is_against_it(fate: list[bool], kills: set[int]) -> None:
    end = run((desired(), Actual(), new_record()), fate, kills)
    if end.how != "ready":
        assert condition(end.plan, "Stalled") == (True, "CreateFailed")
        assert fate.count(False) >= 3


@given(situations(there=st.none() | stacks(owned=True, statuses=tuple(STACK))), FATE, KILLS)
def test_a_cluster_whose_spec_goes_is_gone_in_the_end(start: Situation, fate: list[bool], kills: set[int]) -> None:
    """Unless it is protected, or a call was found wrong in itself."""
    wanted, there, memory = known(start)
    wanted = replace(wanted, present=False, errors=())
    end = run((wanted, there, memory), fate, kills)
    kept = wanted.cluster is None or wanted.cluster.spec.deletion_protection
    allowed = {"gone", "stalled"} | ({"ready", "paused"} if kept else set())
    assert end.how in allowed
    if not kept and end.how == "stalled":
        assert condition(end.plan, "Stalled")[1] == "CallFailed"


@given(nearly_sound(), FATE)
def test_what_is_ready_stays_so_and_writes_nothing(start: Situation, fate: list[bool]) -> None:
    wanted, there, memory = known(start)
    end = run((wanted, there, memory), fate)
    if end.how != "ready":
        return
    assert end.plan.next_look is None
    assert not any(isinstance(action, Forget) for action in end.plan.actions)


def test_the_world_is_a_true_one() -> None:
    """A test of the test: a world in which creation fails twice, and the cluster is there in the end."""
    end = run((desired(), Actual(), new_record()), [False, True, True, False, True, True])
    assert end.how == "ready"
    stack = end.plan.record.status["stack"]
    assert (stack["id"], stack["hash"]) == ("life-5", WANTED) or stack["hash"] == WANTED
    assert end.passes > 10
