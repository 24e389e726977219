"""Whatever jobs come, and whatever fails: they run, no job is lost to the operator, and all comes to rest."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from reconciler.actions import DrainNodes, EndNodes, ResizeGroup
from reconciler.facts import Actual
from reconciler.plan import Desired, Plan, plan
from reconciler.record import Record
from reconciler.statuses import MemberStep
from tests.unit import factories as make
from tests.unit.plan.slurm_world import TICK, Job, World
from tests.unit.slurm_factories import NODE, SMALL, desired, record

# Ticks: all jobs one after the other, the longest that a node is asked for again and again, idle and ended.
PATIENCE = 1500


def world(fate: list[bool] | None = None, boots: list[bool] | None = None) -> World:
    return World(iter(fate or []), iter(boots or []))


class Operator:
    """Makes a pass at each tick, and checks each plan."""

    def __init__(self, world: World, wanted: Desired) -> None:
        self.world, self.wanted = world, wanted
        self.memory: Record = record(sizes={})

    def look(self) -> Plan:
        there = make.actual(groups=(self.world.group,), nodes=self.world.facts())
        made = plan(self.wanted, there, self.memory, self.world.now)
        self.check(made, there)
        for action in made.actions:
            self.world.do(action)
        again = plan(self.wanted, self.seen(), made.record, self.world.now)
        for action in again.actions:
            follows = isinstance(action, ResizeGroup) and action.desired == self.world.group.desired
            assert follows, f"the same facts after the actions give {action}; only a maximum follows the size"
        self.memory = made.record
        return made

    def seen(self) -> Actual:
        return make.actual(groups=(self.world.group,), nodes=self.world.facts())

    def check(self, made: Plan, there: Actual) -> None:
        (group,) = there.groups
        kinds = {type(action) for action in made.actions}
        for action in made.actions:
            if isinstance(action, ResizeGroup):
                assert action.desired is not None
                living = sum(1 for member in group.members if member.step is not MemberStep.GOING)
                assert action.desired >= living, "Auto Scaling would choose who goes"
                grows = action.desired > max(group.desired, living)
                assert not (grows and DrainNodes in kinds), "up and down at once"
            if isinstance(action, EndNodes):
                assert not [job for each in action.ids for job in self.world.running_on(each)], "a job was ended"

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.world.tick()
            self.look()

    def rest(self) -> int:
        """Until nothing moves for longer than anything waits; how many ticks it took."""
        quiet = 0
        for passed in range(PATIENCE):
            self.world.tick()
            made = self.look()
            moving = made.actions or self.world.jobs or self.world.group.desired != len(self.world.group.members)
            quiet = 0 if moving else quiet + 1
            if quiet > 40:
                return passed
        raise AssertionError(f"no rest: {self.world.group} {self.memory.status['queues']}")


JOBS = st.builds(
    Job,
    st.sampled_from([SMALL, NODE]),
    st.integers(1, 4),
    st.sampled_from([10.0, 100.0, 1000.0]),
)
COMING = st.lists(st.tuples(st.integers(0, 60), JOBS), max_size=12)
LIMITS = st.sampled_from(
    [{"minSize": 0, "maxSize": 10}, {"minSize": 2, "maxSize": 6}, {"size": 4}, {"minSize": 0, "maxSize": 4}]
)
# A life is long, and to make it shorter takes longer than to read it.
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
SOME = st.lists(st.booleans(), max_size=6)


@settings(max_examples=40, deadline=None, phases=QUICK)
@given(COMING, LIMITS, SOME, st.lists(st.booleans(), max_size=4))
def test_jobs_run_none_is_lost_and_all_comes_to_rest(
    coming: list[tuple[int, Job]], limits: dict[str, Any], fate: list[bool], boots: list[bool]
) -> None:
    there = world(fate, boots)
    operator = Operator(there, desired(limits))
    for tick in range(61):
        there.jobs += [replace(job) for at, job in coming if at == tick]
        operator.run(1)
    operator.rest()
    low = limits.get("size", limits.get("minSize"))
    assert there.jobs == []
    assert there.lost == 0
    assert (there.group.desired, len(there.group.members)) == (low, low)
    assert {row.state.value for row in there.rows.values()} <= {"ready"}


def test_a_node_serves_jobs_soon_and_goes_after_its_idle_time() -> None:
    there = world()
    operator = Operator(there, desired())
    operator.run(2)
    there.jobs = [Job(NODE, seconds=100.0)]
    operator.run(1)
    assert there.group.desired == 1, "asked for at once"
    operator.run(5)
    assert there.jobs[0].on, "it runs"
    operator.run(6)
    assert there.jobs == []
    assert there.group.desired == 1, "idle for a moment"
    operator.run(10)
    assert there.group.desired == 0


def test_constant_demand_has_a_constant_fleet() -> None:
    there = world()
    operator = Operator(there, desired())
    there.jobs = [Job(NODE, seconds=1e9) for _ in range(30)]
    operator.run(30)
    assert there.group.desired == 10
    done = [len(operator.look().actions) for _ in range(40) if there.tick() is None]
    assert set(done) == {0}


def test_a_stopped_fleet_lets_its_jobs_end_takes_no_more_and_starts_again() -> None:
    there = world()
    operator = Operator(there, desired({"size": 2}))
    there.jobs = [Job(NODE, seconds=600.0), Job(NODE, seconds=600.0)]
    operator.run(8)
    operator.wanted = desired({"size": 2}, fleet="stopped")
    operator.run(2)
    there.jobs.append(Job(NODE))
    operator.run(60)
    assert there.lost == 0
    assert len(there.jobs) == 1, "the third waits"
    assert (there.group.desired, there.group.members) == (0, ())
    operator.wanted = desired({"size": 2})
    operator.run(20)
    assert there.jobs == []
    assert there.group.desired == 2


@pytest.mark.parametrize("busy", [False, True])
def test_a_new_template_reaches_every_node_and_the_queue_goes_on_to_serve(busy: bool) -> None:
    there = world()
    operator = Operator(there, desired({"size": 4}))
    operator.run(10)
    there.jobs = [Job(NODE, seconds=200.0) for _ in range(12)] if busy else []
    operator.run(2)
    there.template = "2"
    serving: list[int] = []
    for _ in range(150):
        operator.run(1)
        serving.append(operator.memory.status["queues"][0]["ready"])
    assert {member.template_version for member in there.group.members} == {"2"}
    assert min(serving) >= 2
    assert there.lost == 0
    assert there.jobs == []


def test_a_smaller_queue_waits_for_its_jobs() -> None:
    there = world()
    operator = Operator(there, desired())
    there.jobs = [Job(NODE, seconds=500.0) for _ in range(6)]
    operator.run(8)
    assert there.group.desired == 6
    operator.wanted = desired({"minSize": 0, "maxSize": 2})
    operator.run(120)
    assert there.lost == 0
    assert there.jobs == []
    assert (there.group.desired, there.group.max) == (0, 2)


def no_capacity() -> Iterator[bool]:
    return chain(repeat(False, 50), repeat(True))


def test_where_there_is_no_capacity_auto_scaling_is_asked_less_and_less() -> None:
    there = World(no_capacity(), iter(()))
    operator = Operator(there, desired())
    there.jobs = [Job(NODE, seconds=100.0)]
    operator.run(30 * 60 // int(TICK))
    assert operator.memory.status["phase"] == "Degraded"
    assert there.launched < 20, "the waits are twice as long each time"
    there.fate = iter(())
    operator.run(3600 // int(TICK))
    assert there.jobs == []


def test_nodes_that_never_serve_are_launched_five_times() -> None:
    there = World(iter(()), repeat(False))
    operator = Operator(there, desired())
    there.jobs = [Job(NODE, seconds=100.0)]
    operator.run(200)
    assert there.launched == 5
    assert operator.memory.status["phase"] == "Degraded"
    there.boots = iter(())
    operator.memory = operator.memory.remember(accepted=replace(operator.memory.accepted, generation=2))
    operator.run(30)
    assert there.jobs == []
