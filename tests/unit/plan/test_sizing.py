"""How many nodes the pending jobs of a queue need."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.demand import Pending, Room, Shape
from reconciler.nodes import QueueDemand
from reconciler.plan.moves import Limits, moves
from reconciler.plan.sizing import Fleet, Idle, Need, Patience, ahead, beside, need, next_surplus, surplus
from reconciler.plan.tally import Tally

NODE = Shape(4, 16_000, 0)
GPU_NODE = Shape(8, 64_000, 4)
EMPTY = Fleet(NODE)


def core(count: int = 1, memory: int = 1000) -> Pending:
    """Jobs of one vCPU."""
    return Pending(Shape(1, memory), count=count)


def wide(nodes: int, count: int = 1, cpus: int = 4) -> Pending:
    """Jobs of several nodes."""
    return Pending(Shape(cpus, 1000), nodes=nodes, count=count)


TABLE: dict[str, tuple[Sequence[Pending], Fleet, int, Need]] = {
    "nothing waits": ([], Fleet(NODE, busy=1, free=2), 10, Need()),
    "one job": ([core()], EMPTY, 10, Need(new=1)),
    "an array is packed by vCPUs": ([core(200)], EMPTY, 100, Need(new=50)),
    "or by memory": ([core(8, memory=8000)], EMPTY, 100, Need(new=4)),
    "the largest share of a node goes first": (
        [core(1, memory=12_000), Pending(Shape(3, 3000)), core(1, memory=4000), core(3)],
        EMPTY,
        10,
        Need(new=2),
    ),
    "or by GPUs": ([Pending(Shape(1, 100, 1), count=6)], Fleet(GPU_NODE), 10, Need(new=2)),
    "what is free on busy nodes counts": ([core(5)], Fleet(NODE, 2, 0, [Room(Shape(3, 9000), 2)]), 10, Need()),
    "what is too tight does not": (
        [core(2, memory=4000)],
        Fleet(NODE, 2, 0, [Room(Shape(3, 3000), 2)]),
        10,
        Need(new=1),
    ),
    "idle nodes and those on their way come first": ([core(9)], Fleet(NODE, free=2), 10, Need(new=1, used=2)),
    "no more than the queue may have": ([core(100)], Fleet(NODE, busy=2, free=1), 5, Need(2, 1, (core(88),))),
    "a job of several nodes": ([wide(4)], EMPTY, 10, Need(new=4)),
    "and another kind beside it": ([wide(2, cpus=2), core(4)], EMPTY, 10, Need(new=2)),
    "half of a job of several nodes is not begun": ([wide(4)], Fleet(NODE, 2, 1), 5, Need(waiting=(wide(4),))),
    "several such, as far as they go": ([wide(2, 3)], EMPTY, 5, Need(4, 0, (wide(2, 1),))),
    "more nodes than there may ever be": ([wide(11), core()], EMPTY, 10, Need(1, 0, (), (wide(11),))),
    "more than a node has": ([Pending(Shape(5, 1))], EMPTY, 10, Need(unfit=(Pending(Shape(5, 1)),))),
    "GPUs where there are none": ([Pending(Shape(1, 1, 1))], EMPTY, 10, Need(unfit=(Pending(Shape(1, 1, 1)),))),
    "who shares with nobody": (
        [replace(core(2), exclusive=True), core(2)],
        Fleet(NODE, 1, 1, [Room(Shape(1, 4000))]),
        10,
        Need(new=2, used=1),
    ),
    "the fleet is too large already": ([core()], Fleet(NODE, busy=3, free=0), 2, Need(waiting=(core(),))),
}


@pytest.mark.parametrize("row", TABLE)
def test_need(row: str) -> None:
    pending, fleet, most, expected = TABLE[row]
    assert need(pending, fleet, most) == expected


SHAPES = st.builds(Shape, st.integers(1, 5), st.integers(1, 20_000), st.integers(0, 2))
ROOMS = st.builds(Room, st.builds(Shape, st.integers(0, 4), st.integers(0, 16_000), st.integers(0, 1)), st.just(1))
JOBS = st.builds(Pending, SHAPES, st.integers(1, 5), st.integers(1, 30), st.booleans())
FLEETS = st.builds(
    lambda rooms, more, free: Fleet(Shape(4, 16_000, 1), len(rooms) + more, free, rooms),
    st.lists(ROOMS, max_size=6),
    st.integers(0, 3),
    st.integers(0, 6),
)


def one_by_one(pending: Sequence[Pending], fleet: Fleet, most: int) -> tuple[int, int, int]:
    """The same by hand: new nodes, free ones used, jobs without a place; node by node and job by job."""
    bins = [room.free for room in fleet.rooms for _ in range(room.count)]
    whole, budget, waiting = fleet.free, max(most - fleet.busy - fleet.free, 0), 0
    jobs = [job for job in pending if job.nodes <= most and fleet.node.holds(job.each)]
    for job in sorted(jobs, key=lambda j: (j.exclusive, j.nodes, j.each.share_of(fleet.node), j.each), reverse=True):
        for _ in range(job.count):
            fits = sorted((free, place) for place, free in enumerate(bins) if free.holds(job.each))
            fits = [] if job.exclusive else fits[: job.nodes]
            if job.nodes - len(fits) > whole + budget:
                waiting += 1
                continue
            for free, place in fits:
                bins[place] = free.less(job.each)
            for _ in range(job.nodes - len(fits)):
                whole, budget = (whole - 1, budget) if whole else (whole, budget - 1)
                if not job.exclusive:
                    bins.append(fleet.node.less(job.each))
    return max(most - fleet.busy - fleet.free, 0) - budget, fleet.free - whole, waiting


@given(st.lists(JOBS, max_size=6), FLEETS, st.integers(0, 20))
def test_many_at_once_are_packed_as_one_by_one(pending: list[Pending], fleet: Fleet, most: int) -> None:
    """Never more nodes than job by job, never fewer places."""
    found = need(pending, fleet, most)
    new, used, waiting = one_by_one(pending, fleet, most)
    assert (found.new, found.used, sum(job.count for job in found.waiting)) == (new, used, waiting)


@given(st.lists(JOBS, max_size=6), FLEETS, st.integers(0, 20))
def test_the_bounds_hold_and_no_job_is_forgotten(pending: list[Pending], fleet: Fleet, most: int) -> None:
    found = need(pending, fleet, most)
    assert 0 <= found.used <= fleet.free
    assert found.new == 0 or fleet.busy + fleet.free + found.new <= most
    assert found.new == 0 or found.used == fleet.free, "idle nodes are used before new ones are asked for"
    assert {job.each for job in (*found.waiting, *found.unfit)} <= {job.each for job in pending}
    assert sum(job.count for job in found.unfit) == sum(
        job.count for job in pending if job.nodes > most or not fleet.node.holds(job.each)
    )


@given(st.lists(JOBS, max_size=6), FLEETS)
def test_in_whatever_order_jobs_are_told(pending: list[Pending], fleet: Fleet) -> None:
    found, again = need(pending, fleet, 15), need(pending[::-1], fleet, 15)
    assert (found.new, found.used) == (again.new, again.used)


@given(st.lists(JOBS, max_size=4), FLEETS, st.integers(1, 20))
def test_what_was_asked_for_is_enough(pending: list[Pending], fleet: Fleet, most: int) -> None:
    """Once the new nodes are on their way, the same jobs ask for no more: nothing is launched twice."""
    first = need(pending, fleet, most)
    again = need(pending, replace(fleet, free=fleet.free + first.new), most)
    assert again.new == 0
    assert again.waiting == first.waiting


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_the_largest_numbers_take_no_longer(nodes: int) -> None:
    """A head node may write any: a loop over them would not end in time."""
    most = 2**31 - 1
    rooms = [Room(Shape(most, most, most), most), Room(Shape(1, 1, 0), most)]
    jobs = [Pending(Shape(1, 1), nodes, most, exclusive) for exclusive in (False, True)]
    found = need(jobs, Fleet(NODE, 10, 5, rooms), 5000)
    assert found.new <= 5000


NOW = 10_000.0


@pytest.mark.parametrize(
    ("idle", "keep", "gone"),
    [
        ([], 0, ()),
        ([Idle("a", NOW - 599)], 0, ()),
        ([Idle("a", NOW - 600), Idle("b", NOW - 900)], 0, ("b", "a")),
        ([Idle("a", NOW - 600), Idle("b", NOW - 900)], 1, ("b",)),
        ([Idle("a", NOW - 600), Idle("b", NOW - 900)], 5, ()),
        ([Idle("b", NOW - 900), Idle("a", NOW - 900)], 1, ("a",)),
    ],
)
def test_idle_nodes_go_when_their_time_is_up_and_nobody_needs_them(
    idle: list[Idle], keep: int, gone: tuple[str, ...]
) -> None:
    assert surplus(idle, keep, NOW, Patience(600)) == gone


@pytest.mark.parametrize(
    ("ages", "keep", "gone", "after"),
    [
        ([], 0, "", None),
        ([599], 0, "", 1),
        ([600], 0, "a", None),
        ([300, 300], 0, "a", 300),
        ([299, 299], 0, "", 1),
        ([300, 300], 1, "", 300),
        ([600, 300, 200], 0, "ab", 400),
        ([600, 299, 200], 0, "a", 1),
        ([200, 200, 200], 0, "a", 100),
        ([600, 600, 600], 0, "abc", None),
        ([60] * 10, 0, "a", 600 / 9 - 60),
        ([60] * 10, 9, "", 540),
        ([60] * 10, 10, "", None),
    ],
)
def test_several_idle_nodes_share_their_time(ages: list[float], keep: int, gone: str, after: float | None) -> None:
    """One of two goes after half of it, one of three after a third, and those that are left then have more of it."""
    idle = [Idle(name, NOW - age) for name, age in zip("abcdefghij", ages, strict=False)]
    assert "".join(surplus(idle, keep, NOW, Patience(600, shared=True))) == gone
    left = [node for node in idle if node.name not in gone]
    when = next_surplus(left, keep, NOW, Patience(600, shared=True))
    assert when == (None if after is None else pytest.approx(NOW + after))


@pytest.mark.parametrize(
    ("rooms", "ages", "gone", "after"),
    [
        ([Room(Shape(8, 32_000))], [399], "", 1),
        ([Room(Shape(8, 32_000))], [400], "a", None),
        ([Room(Shape(16, 8_000), 2)], [400], "a", None),
        ([Room(Shape(16, 32_000))], [300, 299], "a", 1),
        ([Room(Shape(4, 8_000), 40)], [54, 54], "a", 600 / 11 - 54),
        ([Room(Shape(0, 8_000), 40)], [599], "", 1),
    ],
)
def test_what_is_free_beside_jobs_shares_the_time_of_idle_nodes(
    rooms: list[Room], ages: list[float], gone: str, after: float | None
) -> None:
    """The scarcest counts: half a node that is free leaves an idle one two thirds of its time."""
    free = beside(rooms, Shape(16, 32_000))
    idle = [Idle(name, NOW - age) for name, age in zip("abcdefghij", ages, strict=False)]
    assert "".join(surplus(idle, 0, NOW, Patience(600, shared=True, beside=free))) == gone
    left = [node for node in idle if node.name not in gone]
    when = next_surplus(left, 0, NOW, Patience(600, shared=True, beside=free))
    assert when == (None if after is None else pytest.approx(NOW + after))
    assert surplus(idle, 0, NOW, Patience(600, beside=free)) == (), "an idle time that the spec says is nobody's share"


@pytest.mark.parametrize(
    ("ages", "more"),
    [
        ([], 0),
        ([30], 0),
        ([3.9] * 9, 0),
        ([61] * 9, 0),
        ([4, 60], 1),
        ([0, 1, 20, 40, 90], 1),
        ([10, 20, 30, 40], 3),
        ([10] * 200, 4),
    ],
)
def test_nodes_are_launched_ahead_where_they_are_needed_again_and_again(ages: list[float], more: int) -> None:
    assert ahead([NOW - age for age in ages], NOW) == more


@pytest.mark.parametrize(("gpus", "grows"), [(0, 3), (1, 1)])
def test_nodes_with_gpus_are_not_launched_for_jobs_that_have_not_come(gpus: int, grows: int) -> None:
    tally = Tally(booting=("i-1", "i-2", "i-3"), desired=3, begun=(NOW - 10, NOW - 20, NOW - 30))
    node = Shape(4, 1000, gpus)
    demand = QueueDemand(pending=(Pending(node, 1, 4),))
    assert moves(tally, demand, node, Limits(0, 10, 30, shared=True), NOW).grows == grows


IDLES = st.lists(st.floats(0, 2000), max_size=8).map(
    lambda ages: [Idle(f"i-{place}", NOW - age) for place, age in enumerate(ages)]
)


@given(IDLES, st.integers(0, 9), st.builds(Patience, st.floats(0, 1000), st.booleans(), st.floats(0, 100)))
def test_who_goes_and_when(idle: list[Idle], keep: int, patience: Patience) -> None:
    gone = surplus(idle, keep, NOW, patience)
    left = [node for node in idle if node.name not in gone]
    assert len(left) >= min(keep, len(idle))
    alone = surplus(idle, keep, NOW, Patience(patience.idle_time))
    assert set(alone) <= set(gone), "who shares has no more time than who does not"
    assert surplus(left, keep, NOW, patience) == (), "who may go goes at once, and the others stay"
    assert max((node.since for node in idle if node.name in gone), default=0) <= min(
        (node.since for node in left), default=NOW
    ), "the longest idle go"
    when = next_surplus(left, keep, NOW, patience)
    if when is None:
        assert len(left) <= keep
    else:
        assert when > NOW
        assert surplus(left, keep, when, patience) != (), "there is something to do then"
