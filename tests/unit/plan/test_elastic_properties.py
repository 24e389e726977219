"""What holds for any queue, whatever its nodes write and whatever its group shows."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.actions import DrainNodes, EndNodes, ResizeGroup
from reconciler.demand import Pending, Room, Shape
from reconciler.facts import Group, Member
from reconciler.nodes import NodeFacts, NodeRow, NodeState, QueueDemand
from reconciler.plan import Plan
from reconciler.plan.tally import THERE
from reconciler.record import Bootstraps, Failure, Record
from reconciler.slurm import keeping
from reconciler.statuses import LIFECYCLE
from tests.unit.factories import NOW
from tests.unit.slurm_factories import NODE, SMALL, desired, group, name, planned, record

TIMES = st.sampled_from([NOW - 4000, NOW - 200, NOW - 60, NOW - 1, NOW, NOW + 50])
NUMBERS = st.integers(0, 7)


@st.composite
def groups(draw: st.DrawFn) -> Group:
    states = draw(st.lists(st.sampled_from(["InService"] * 6 + sorted(LIFECYCLE)), max_size=8))
    versions = st.sampled_from(["1", "2", ""])
    there = tuple(Member(name(place), state, template_version=draw(versions)) for place, state in enumerate(states))
    low, high = draw(st.sampled_from([(0, 10), (0, 5000), (2, 2), (1, 4)]))
    return group(desired=draw(st.integers(low, min(high, 9))), min=low, max=high, members=there, template_version="2")


ROWS = st.builds(
    NodeRow,
    NUMBERS.map(name),
    st.sampled_from(["compute", "other"]),
    st.just("compute-1"),
    st.sampled_from(list(NodeState)),
    TIMES,
    st.sampled_from(["", "broken", "Spot interruption at 10:00: terminate"]),
    st.booleans(),
)
SHAPES = st.sampled_from([SMALL, NODE, Shape(64, 1), Shape(0, 1, 1)])
DEMANDS = st.builds(
    QueueDemand,
    st.lists(
        st.builds(
            Pending,
            SHAPES,
            st.integers(1, 12),
            st.integers(1, 9),
            st.booleans(),
            st.sampled_from([(), (), ("other",), ("compute", "gone", "other")]),
        ),
        max_size=3,
    ).map(tuple),
    st.lists(st.builds(Room, SHAPES, st.integers(1, 3)), max_size=2).map(tuple),
    st.dictionaries(NUMBERS.map(name), TIMES, max_size=5),
    st.dictionaries(st.just("Dependency"), st.integers(1, 3)),
    st.dictionaries(st.just("PartitionConfig"), st.integers(1, 3)),
)
FACTS = st.builds(
    NodeFacts,
    st.lists(ROWS, max_size=9, unique_by=lambda row: row.id).map(tuple),
    st.dictionaries(st.sampled_from(["compute", "other"]), DEMANDS),
    st.none() | TIMES,
    st.none() | TIMES,
    st.sampled_from(["", "", "down"]),
    st.just(""),
    st.sampled_from(["", desired().facts]),
)
LIMITS = st.sampled_from(
    [{"size": 0}, {"size": 3}, {"minSize": 1, "maxSize": 4}, {"minSize": 0, "maxSize": 10, "allOrNothing": True}]
)
MEMORIES = st.builds(
    record,
    launches=st.just({}) | st.builds(lambda at: {"compute": Failure("compute", "none", "x", 2, at)}, TIMES),
    bootstraps=st.just({})
    | st.builds(lambda count, at: {"compute": Bootstraps(count, "why", "1/2", at)}, st.integers(1, 6), TIMES),
)


@given(groups(), st.none() | FACTS, LIMITS, MEMORIES, st.sampled_from(["running", "stopped"]))
def test_what_holds_for_any_queue(
    there: Group, said: NodeFacts | None, limits: dict[str, int], memory: Record, fleet: str
) -> None:
    plan_ = planned(there, said, desired(limits, fleet=fleet), memory)
    high = limits.get("size", limits.get("maxSize", 0))
    coming = check(plan_, there, said, high)
    if fleet == "stopped":
        assert not coming
    failure = memory.launches.get("compute")
    if failure and failure.retry_at and failure.retry_at > NOW:
        assert not coming, "it waits"


@given(groups(), st.none() | FACTS, MEMORIES, st.sampled_from(["running", "stopped"]), st.booleans())
def test_what_holds_for_a_queue_that_the_spec_has_no_more(
    there: Group, said: NodeFacts | None, memory: Record, fleet: str, consent: bool
) -> None:
    """It never grows, and loses no node that has a job unless that is drained first."""
    wanted = desired({"name": "other"}, fleet=fleet, consent=["queues/compute"] if consent else [])
    told = replace(said, facts_document=keeping(wanted.facts, desired().facts, {"compute"})) if said else None
    plan_ = planned(there, told, wanted, memory)
    most = max(there.max, len(there.members))
    assert not check(plan_, there, told, most)
    busy = {row.id for row in said.rows if row.state is NodeState.READY} if said else set[str]()
    busy -= {node for queue in said.demand.values() for node in queue.idle} if said else set[str]()
    drained = {each for action in plan_.actions if isinstance(action, DrainNodes) for each in action.ids}
    assert consent or fleet == "stopped" or not busy & drained


def check(plan_: Plan, there: Group, said: NodeFacts | None, high: int) -> bool:
    """What holds for every plan; whether it has nodes come."""
    rows = {row.id: row for row in said.rows} if said else {}
    here = {member.id for member in there.members if member.step in THERE}
    ends = [action for action in plan_.actions if isinstance(action, EndNodes)]
    ended = {each for action in ends for each in action.ids}
    drained = {each for action in plan_.actions if isinstance(action, DrainNodes) for each in action.ids}
    replaced = {
        each for action in plan_.actions if isinstance(action, EndNodes) and action.replace for each in action.ids
    }
    assert ended <= here
    assert {rows[each].state for each in ended} <= {NodeState.DRAINED, NodeState.FAILED}
    assert drained <= here
    assert {rows[each].state for each in drained} <= {NodeState.BOOTING, NodeState.READY}
    grown = False
    for action in plan_.actions:
        if isinstance(action, ResizeGroup):
            assert action.desired is not None
            assert action.min == 0
            assert len(here) <= action.desired <= action.max
            assert action.max == max(high, action.desired)
            grown = action.desired > max(there.desired, len(here))
            assert not grown or action.desired <= high
    coming = grown or bool(replaced)
    assert not (coming and drained), "up and down at once"
    return coming
