"""How many nodes a queue needs for the jobs that wait: packed by vCPUs, memory and GPUs into what is free or comes.

Jobs go first onto nodes that run others already, then onto those that are idle or on their way, and only then onto new
ones. Of a job of several nodes all parts have their place, or none has: nodes that wait for the rest of their job cost
and do nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from reconciler.demand import Pending, Room, Shape


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a queue has, in nodes. `node` is what a new one has at least; `rooms` is free on the `busy` ones.

    `free` have no jobs: they are idle, or on their way.
    """

    node: Shape
    busy: int = 0
    free: int = 0
    rooms: Sequence[Room] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """What the pending jobs need: `new` nodes beyond those there are; of the free ones, `used` for them.

    `waiting` are jobs that wait for others to end, since the queue may not grow so far; `unfit` those that can never
    start in this queue.
    """

    new: int = 0
    used: int = 0
    waiting: tuple[Pending, ...] = ()
    unfit: tuple[Pending, ...] = ()


@dataclass(slots=True)
class _Packing:
    """Nodes by what is free on each. `whole` have no jobs, `opened` of them are not there yet."""

    node: Shape
    whole: int
    budget: int
    bins: dict[Shape, int] = field(default_factory=dict[Shape, int])
    opened: int = 0

    def add(self, free: Shape, count: int) -> None:
        if count:
            self.bins[free] = self.bins.get(free, 0) + count

    def take(self, free: Shape, count: int) -> None:
        self.bins[free] -= count
        if not self.bins[free]:
            del self.bins[free]

    def fitting(self, each: Shape) -> list[Shape]:
        """What is free where such a part fits, the tightest first."""
        return sorted(free for free in self.bins if free.holds(each))

    def open(self, count: int) -> int:
        """Nodes without jobs: so many, or as many as there may be."""
        got = min(count, self.whole + self.budget)
        made = max(got - self.whole, 0)
        self.whole -= got - made
        self.budget -= made
        self.opened += made
        return got


def need(pending: Sequence[Pending], fleet: Fleet, most: int, *, grows: bool = True) -> Need:
    """What pending jobs need of a queue that may have `most` nodes, and no others than it has unless it `grows`."""
    packing = _Packing(fleet.node, fleet.free, max(most - fleet.busy - fleet.free, 0) if grows else 0)
    busy = fleet.busy
    for room in fleet.rooms:
        # What is told of more nodes than there are is not believed.
        count = min(room.count, busy)
        packing.add(room.free, count)
        busy -= count
    able = [job for job in pending if job.nodes <= most and fleet.node.holds(job.each)]
    waiting = [
        left
        for job in sorted(able, key=lambda job: _size(job, fleet.node), reverse=True)
        for left in _place(packing, job)
    ]
    unfit = tuple(job for job in pending if job.nodes > most or not fleet.node.holds(job.each))
    return Need(packing.opened, fleet.free - packing.whole, tuple(waiting), unfit)


# Seconds for which nodes have booted that are of a stream, and the most that are launched ahead.
STREAM, MOST_AHEAD = (4.0, 60.0), 4


def ahead(begun: Sequence[float], now: float) -> int:
    """Nodes to launch beyond those that jobs need, where nodes are needed again and again; `begun` is when boots did.

    Jobs that have come for a while are likely to go on to, and need not each wait for a boot of their own. One launch
    is no stream yet, and neither are nodes that were all launched a moment ago.
    """
    first, last = STREAM
    return min(max(sum(first <= now - at <= last for at in begun) - 1, 0), MOST_AHEAD)


@dataclass(frozen=True, slots=True)
class Idle:
    """A node without jobs, and since when (seconds since the epoch)."""

    name: str
    since: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a node without jobs stays (seconds).

    `shared`: so long only one of them, and of several that are left each for its part of the time. One is worth having
    when the next jobs come; of many that one burst of jobs has left hardly any will be needed before they have cost
    what it costs to boot another. What is free on nodes with jobs, in `beside` whole nodes, is as good for the next
    jobs, and takes its part.
    """

    idle_time: float
    shared: bool = False
    beside: float = 0.0

    def of(self, spare: int) -> float:
        """Of the first to go of so many nodes that nobody needs."""
        return self.idle_time / (spare + self.beside) if self.shared else self.idle_time


def beside(rooms: Sequence[Room], node: Shape) -> float:
    """What is free on nodes with jobs, in whole nodes, by what is scarcest on each."""
    return sum(room.count * room.free.least_of(node) for room in rooms)


def surplus(idle: Sequence[Idle], keep: int, now: float, patience: Patience) -> tuple[str, ...]:
    """The nodes that may go, the longest without jobs first, while `keep` others stay."""
    return tuple(node.name for when, node in _ends(idle, keep, patience) if when <= now)


def next_surplus(idle: Sequence[Idle], keep: int, now: float, patience: Patience) -> float | None:
    """When the next node may go of those that may not yet (seconds since the epoch)."""
    return min((when for when, _ in _ends(idle, keep, patience) if when > now), default=None)


def _ends(idle: Sequence[Idle], keep: int, patience: Patience) -> Iterator[tuple[float, Idle]]:
    """When those may go that are not kept."""
    oldest = sorted(idle, key=lambda node: (node.since, node.name))
    spare = max(len(idle) - keep, 0)
    for place, node in enumerate(oldest[:spare]):
        yield node.since + patience.of(spare - place), node


def _size(job: Pending, node: Shape) -> tuple[bool, int, float, Shape]:
    """The largest first: what is small fits into the gaps of the others."""
    return job.exclusive, job.nodes, job.each.share_of(node), job.each


def _place(packing: _Packing, job: Pending) -> Iterator[Pending]:
    """Give jobs their places; those that have none."""
    left = (_single if job.nodes == 1 and not job.exclusive else _several)(packing, job)
    if left:
        yield replace(job, count=left)


def _single(packing: _Packing, job: Pending) -> int:
    left = job.count
    for free in packing.fitting(job.each):
        left -= _fill(packing, free, packing.bins[free], job.each, left)
    each_node = packing.node.holds(job.each)
    opened = packing.open(-(-left // each_node))
    packing.add(packing.node, opened)
    return left - _fill(packing, packing.node, opened, job.each, left)


def _fill(packing: _Packing, free: Shape, count: int, each: Shape, jobs: int) -> int:
    """Put jobs onto `count` nodes with so much free, one node after the other; how many found room."""
    a_node = free.holds(each)
    placed = min(jobs, a_node * count)
    full, rest = divmod(placed, a_node)
    packing.take(free, full + bool(rest)) if placed else None
    packing.add(free.less(each, a_node), full)
    packing.add(free.less(each, rest), 1 if rest else 0)
    return placed


def _several(packing: _Packing, job: Pending) -> int:
    """Jobs of several nodes, or of whole ones; how many have no place.

    One after the other, but that those which come to lie on the same nodes are placed at once: what is tightest stays
    so until it is full.
    """
    left = job.count
    while left:
        taken = [] if job.exclusive else list(_tightest(packing, job))
        opened = job.nodes - sum(count for _, count in taken)
        if opened > packing.whole + packing.budget:
            break
        on = [free for free, _ in taken] + [packing.node] * bool(opened)
        times = 1 if job.exclusive else min(left, *(free.holds(job.each) for free in on))
        for free, count in taken:
            packing.take(free, count)
            packing.add(free.less(job.each, times), count)
        packing.open(opened)
        if not job.exclusive:
            packing.add(packing.node.less(job.each, times), opened)
        left -= times
    return left


def _tightest(packing: _Packing, job: Pending) -> Iterator[tuple[Shape, int]]:
    """What is free on the nodes that are the tightest for a job, and how many of each, as many as it is to have."""
    nodes = job.nodes
    for free in packing.fitting(job.each):
        if not nodes:
            return
        count = min(nodes, packing.bins[free])
        nodes -= count
        yield free, count
