"""Jobs of several queues: each counts once, where it starts soonest."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.demand import Pending, Room, Shape
from reconciler.plan.choice import Choice, settle
from reconciler.plan.sizing import Fleet, need

NODE, LARGE = Shape(4, 4000), Shape(8, 8000)
JOB = Shape(4, 1000)


def queue(node: Shape = NODE, most: int = 10, *, launching: bool = True, free: int = 0, busy: int = 0) -> Choice:
    return Choice(Fleet(node, busy, free, [Room(Shape(0, 0), busy)] if busy else []), most, launching)


def job(count: int = 1, *others: str, each: Shape = JOB, nodes: int = 1) -> Pending:
    return Pending(each, nodes, count, others=others)


CASES: dict[str, tuple[Mapping[str, list[Pending]], Mapping[str, Choice], dict[str, list[int]]]] = {
    "the first, if it may launch": ({"spot": [job(2, "own")]}, {"spot": queue(), "own": queue()}, {"spot": [2]}),
    "the next, if that may not": (
        {"spot": [job(2, "own")]},
        {"spot": queue(launching=False), "own": queue()},
        {"own": [2]},
    ),
    "a queue that has room, before one that would have to launch": (
        {"spot": [job(1, "own")]},
        {"spot": queue(), "own": queue(free=1)},
        {"own": [1]},
    ),
    "room that others have taken is none": (
        {"spot": [job(1, "own")], "own": [job(1)]},
        {"spot": queue(), "own": queue(free=1)},
        {"spot": [1], "own": [1]},
    ),
    "as many as there is room for": (
        {"spot": [job(5, "own")]},
        {"spot": queue(free=2), "own": queue(free=1)},
        {"spot": [2, 2], "own": [1]},
    ),
    "as many as may be launched": (
        {"spot": [job(5, "own")]},
        {"spot": queue(most=2), "own": queue()},
        {"spot": [2], "own": [3]},
    ),
    "the first, where it waits, if none may launch": (
        {"spot": [job(2, "own")]},
        {"spot": queue(launching=False), "own": queue(launching=False)},
        {"spot": [2]},
    ),
    "one that has nodes of the size": (
        {"spot": [job(1, "own", each=LARGE)]},
        {"spot": queue(), "own": queue(LARGE, launching=False)},
        {"own": [1]},
    ),
    "one that may have so many": (
        {"spot": [job(1, "own", nodes=3)]},
        {"spot": queue(most=2), "own": queue(launching=False)},
        {"own": [1]},
    ),
    "the first, if it fits nowhere": (
        {"spot": [job(1, "own", each=LARGE)]},
        {"spot": queue(), "own": queue()},
        {"spot": [1]},
    ),
    "a queue that is not known is no choice": (
        {"spot": [job(1, "own")]},
        {"spot": queue(launching=False)},
        {"spot": [1]},
    ),
    "the third of three": (
        {"a": [job(1, "b", "c")]},
        {"a": queue(launching=False), "b": queue(most=1, busy=1), "c": queue()},
        {"c": [1]},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "queues", "counts"), CASES.values(), ids=CASES.keys())
def test_where_jobs_count(
    wanted: Mapping[str, list[Pending]], queues: Mapping[str, Choice], counts: dict[str, list[int]]
) -> None:
    asked = {name: wanted.get(name, []) for name in queues}
    found = {name: [each.count for each in jobs] for name, jobs in settle(asked, queues).items() if jobs}
    assert found == counts


QUEUES = st.fixed_dictionaries(
    {
        name: st.builds(
            queue, st.sampled_from([NODE, LARGE]), st.integers(0, 6), launching=st.booleans(), free=st.integers(0, 3)
        )
        for name in "abc"
    }
)
JOBS = st.builds(
    lambda count, others, each, nodes: job(count, *others, each=each, nodes=nodes),
    st.integers(1, 20),
    st.lists(st.sampled_from("abcd"), max_size=3, unique=True),
    st.sampled_from([JOB, LARGE, Shape(1, 100)]),
    st.integers(1, 4),
)
WANTED = st.fixed_dictionaries({name: st.lists(JOBS, max_size=3) for name in "abc"})


def counted(wanted: Mapping[str, list[Pending]] | dict[str, tuple[Pending, ...]]) -> Counter[tuple[Shape, int]]:
    counts: Counter[tuple[Shape, int]] = Counter()
    for jobs in wanted.values():
        for each in jobs:
            counts[each.each, each.nodes] += each.count
    return counts


@given(WANTED, QUEUES)
def test_each_job_counts_once_and_has_no_choice_left(
    wanted: dict[str, list[Pending]], queues: dict[str, Choice]
) -> None:
    found = settle(wanted, queues)
    assert counted(found) == counted(wanted)
    assert all(each.count > 0 and not each.others for jobs in found.values() for each in jobs)
    assert found.keys() == wanted.keys()
    for name, jobs in wanted.items():
        alone = [each for each in jobs if not each.others]
        assert list(found[name][: len(alone)]) == alone, "who has no choice stays"


@given(JOBS, QUEUES)
def test_a_job_that_one_of_its_queues_can_take_does_not_wait(wants: Pending, queues: dict[str, Choice]) -> None:
    names = [name for name in ("a", *wants.others) if name in queues]
    takers = [name for name in names if not waits(queues[name], [wants])]
    found = settle({"a": [wants], "b": [], "c": []}, queues)
    if takers:
        assert not [name for name, jobs in found.items() if waits(queues[name], jobs)]
    assert all(name in names for name, jobs in found.items() if jobs)


def waits(queue: Choice, jobs: Sequence[Pending]) -> bool:
    asked = need(jobs, queue.fleet, queue.most, grows=queue.launching)
    return bool(asked.waiting or asked.unfit)
