"""What a fleet that follows its jobs costs, and how long jobs wait: Muster's sizes against ParallelCluster 2.x's.

A simulation: one queue, one scheduler, one trace of jobs, one kind of node, and two ways of sizing. Nothing here is
measured on AWS. The peer's way is that of its daemons as their sources describe them: a loop each minute that asks for
nodes, packs the pending jobs onto empty nodes and does not look at what is free on busy ones; a loop each half minute
that tells the scheduler of nodes that are ready; and on each node a loop each minute that counts minutes without jobs.
"""

import heapq
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.figure import Figure
from reconciler.demand import Pending, Room, Shape
from reconciler.plan.sizing import Fleet, Idle, need, surplus

NODE = Shape(16, 32_000)
MOST_NODES = 200
# Seconds from the launch of a node until its daemon speaks: the peer's own tests saw 57 to 122 s.
BOOT = (57.0, 122.0)
IDLE_TIME = 600.0
# Ours. Two minutes of an idle node cost about as much as the boot of another one.
OUR_IDLE_TIME = 120.0
# Users of a cluster, and the traces of each number.
LOADS, SEEDS = (3, 12, 36), (1, 2)
# Seconds: from a change at the scheduler to the group's new size (agent, stream, pass), and from a node's word to the
# scheduler's list.
REACTION, JOINING = 3.0, 2.0
# The peer's loops, and the seconds for which it locks a node before it takes it.
ASK, TELL, WATCH, LOCK = 60.0, 30.0, 60.0, 15.0
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a trace: when it comes, how long it runs (seconds), and on what."""

    at: float
    seconds: float
    each: Shape
    nodes: int = 1


def trace(seed: int, days: float = 2.0, users: int = 12) -> list[Job]:
    """Jobs of some users, in the order of their arrival.

    Users submit by day more than by night, in sessions; a session is a few jobs or an array of like ones (one in ten
    heavy-tailed, up to 400); run times are lognormal (median 8 minutes), cut at 12 hours; one session in ten is a job
    of 2 to 16 whole nodes. So there are many small and short jobs, and most of the work is in few large ones.
    """
    chance = random.Random(seed)
    jobs: list[Job] = []
    for _ in range(users):
        at = chance.uniform(0, 4 * 3600)
        while (at := at + chance.expovariate(1 / _pause(at))) < days * DAY:
            jobs += _session(chance, at)
    return sorted(jobs, key=lambda job: (job.at, job.seconds))


def _pause(at: float) -> float:
    """Mean seconds between sessions of a user, longer by night."""
    return 5400 * (1.2 - math.sin(2 * math.pi * at / DAY)) / 1.2


def _session(chance: random.Random, at: float) -> Iterator[Job]:
    wide = chance.random() < 0.1
    nodes = 2 ** chance.randint(1, 4) if wide else 1
    cpus = NODE.cpus if wide else chance.choice([1, 1, 1, 2, 2, 4, 8])
    count = 1 if wide else min(math.ceil(chance.expovariate(1 / 5)), 40)
    if not wide and chance.random() < 0.1:
        count = min(int(20 * chance.paretovariate(1.2)), 400)
    median = chance.lognormvariate(math.log(480), 1.2)
    for _ in range(count):
        seconds = min(max(median * chance.lognormvariate(0, 0.4), 5), DAY / 2)
        yield Job(at, seconds, Shape(cpus, 1800 * cpus), nodes)
        at += chance.uniform(0, 2)


@dataclass(slots=True)
class Node:
    """A node from its launch on. `since` is when it had its last job."""

    number: int
    launched: float
    usable: float
    free: Shape
    jobs: int = 0
    since: float = 0.0
    idle: int = 0
    locked: bool = False


@dataclass(slots=True)
class Cluster:
    """The scheduler and the nodes, whoever sizes them."""

    jobs: Sequence[Job]
    chance: random.Random
    node: Shape = NODE
    most: int = MOST_NODES
    now: float = 0.0
    waiting: list[Job] = field(default_factory=list[Job])
    nodes: dict[int, Node] = field(default_factory=dict[int, Node])
    waits: list[float] = field(default_factory=list[float])
    node_seconds: float = 0.0
    launches: int = 0
    _events: list[tuple[float, int, Callable[[], None]]] = field(
        default_factory=list[tuple[float, int, Callable[[], None]]]
    )
    _count: int = 0

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let something happen."""
        self._count += 1
        heapq.heappush(self._events, (when, self._count, what))

    def run(self) -> None:
        """Until every job has run and every node has gone."""
        for job in self.jobs:
            self.at(job.at, lambda job=job: self._submit(job))
        while self._events and not (len(self.waits) == len(self.jobs) and not self.nodes):
            self.now, _, what = heapq.heappop(self._events)
            what()

    def _submit(self, job: Job) -> None:
        self.waiting.append(job)
        self.schedule()

    def schedule(self) -> None:
        """Start what fits, in its order; what does not is passed by."""
        seen: set[tuple[Shape, int]] = set()
        left: list[Job] = []
        for job in self.waiting:
            if (job.each, job.nodes) in seen or not self._start(job):
                seen.add((job.each, job.nodes))
                left.append(job)
        self.waiting = left

    def _start(self, job: Job) -> bool:
        """On the fullest nodes where it fits."""
        able = [n for n in self.nodes.values() if n.usable <= self.now and not n.locked and n.free.holds(job.each)]
        if len(able) < job.nodes:
            return False
        chosen = sorted(able, key=lambda node: (node.free, node.number))[: job.nodes]
        for node in chosen:
            node.free, node.jobs, node.idle = node.free.less(job.each), node.jobs + 1, 0
        self.waits.append(self.now - job.at)
        self.at(self.now + job.seconds, lambda: self._end(job, chosen))
        return True

    def _end(self, job: Job, nodes: Sequence[Node]) -> None:
        for node in nodes:
            free = node.free
            node.free = Shape(free.cpus + job.each.cpus, free.memory + job.each.memory)
            node.jobs -= 1
            node.since = self.now
        self.schedule()

    def launch(self, count: int, ready: Callable[[Node], None]) -> None:
        """So many nodes; `ready` is told of each once its daemon speaks."""
        for _ in range(count):
            self.launches += 1
            node = Node(self.launches, self.now, math.inf, self.node)
            self.nodes[node.number] = node
            self.at(self.now + self.chance.uniform(*BOOT), lambda node=node: ready(node))

    def usable(self, node: Node) -> None:
        """The scheduler knows a node from now on."""
        node.usable = node.since = self.now
        self.schedule()

    def end(self, node: Node) -> None:
        """A node is terminated."""
        self.node_seconds += self.now - node.launched
        del self.nodes[node.number]


def like(jobs: Sequence[Job]) -> list[Pending]:
    """The waiting jobs, like ones together."""
    found: dict[tuple[Shape, int], int] = {}
    for job in jobs:
        found[job.each, job.nodes] = found.get((job.each, job.nodes), 0) + 1
    return [Pending(each, nodes, count) for (each, nodes), count in found.items()]


class Muster:
    """The operator's sizes: asked for at each change, and when a node's idle time is up."""

    def __init__(self, cluster: Cluster, idle_time: float = OUR_IDLE_TIME) -> None:
        self.cluster, self.idle_time = cluster, idle_time
        self._asked = False
        cluster.at(0, self._look)

    def _look(self) -> None:
        cluster = self.cluster
        busy = [node for node in cluster.nodes.values() if node.jobs]
        rooms = [Room(node.free) for node in busy]
        found = need(
            like(cluster.waiting), Fleet(cluster.node, len(busy), len(cluster.nodes) - len(busy), rooms), cluster.most
        )
        cluster.launch(found.new, lambda node: cluster.at(cluster.now + JOINING, lambda: cluster.usable(node)))
        usable = [node for node in cluster.nodes.values() if not node.jobs and node.usable <= cluster.now]
        coming = len(cluster.nodes) - len(busy) - len(usable)
        idle = [Idle(str(node.number), node.since) for node in usable]
        for name in surplus(idle, max(found.used - coming, 0), cluster.now, self.idle_time):
            cluster.end(cluster.nodes[int(name)])
        if cluster.nodes or cluster.waiting or len(cluster.waits) < len(cluster.jobs):
            cluster.at(cluster.now + REACTION, self._look)


class ParallelCluster:
    """The daemons of the peer."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._ready: list[Node] = []
        cluster.at(cluster.chance.uniform(0, ASK), self._ask)
        cluster.at(cluster.chance.uniform(0, TELL), self._tell)

    def _going_on(self) -> bool:
        cluster = self.cluster
        return bool(cluster.nodes or cluster.waiting or len(cluster.waits) < len(cluster.jobs))

    def _ask(self) -> None:
        """Busy nodes and those that the pending jobs need; never fewer than there are."""
        cluster = self.cluster
        busy = sum(bool(node.jobs) for node in cluster.nodes.values())
        pending = self._pending()
        if pending:
            cluster.launch(max(min(busy + pending, cluster.most) - len(cluster.nodes), 0), self._speaks)
        if self._going_on():
            cluster.at(cluster.now + ASK, self._ask)

    def _pending(self) -> int:
        """First fit in the order of the jobs onto nodes that are opened for them alone."""
        opened: list[Shape] = []
        for job in self.cluster.waiting:
            left = job.nodes
            for place, free in enumerate(opened):
                if left and free.holds(job.each):
                    opened[place] = free.less(job.each)
                    left -= 1
            opened += [self.cluster.node.less(job.each)] * left
        return len(opened)

    def _speaks(self, node: Node) -> None:
        self._ready.append(node)
        self.cluster.at(self.cluster.now + WATCH, lambda: self._watch(node))

    def _tell(self) -> None:
        for node in self._ready:
            self.cluster.usable(node)
        self._ready.clear()
        if self._going_on():
            self.cluster.at(self.cluster.now + TELL, self._tell)

    def _watch(self, node: Node) -> None:
        """Minutes without jobs, while no job waits."""
        cluster = self.cluster
        if node.jobs or cluster.waiting or node.usable > cluster.now:
            node.idle = 0
        else:
            node.idle += 1
        if node.idle * 60 >= IDLE_TIME:
            node.locked = True
            cluster.at(cluster.now + LOCK, lambda: cluster.end(node))
        else:
            cluster.at(cluster.now + WATCH, lambda: self._watch(node))


Sizing = Callable[[Cluster], object]


def measure() -> Iterator[Figure]:
    """Node-hours and waiting of ours over the peer's, of all traces together; the worst load's too."""
    ratios = {users: _compared(users) for users in LOADS}
    hours, waits = zip(*ratios.values(), strict=True)
    yield Figure("sim_node_hours_ratio", round(_mean(hours), 3), "node-hours over those of ParallelCluster 2.x's sizes")
    yield Figure("sim_node_hours_ratio_worst", round(max(hours), 3), f"of clusters with {LOADS} users")
    yield Figure("sim_wait_ratio", round(_mean(waits), 3), "mean wait over that of ParallelCluster 2.x's sizes")
    yield Figure("sim_wait_ratio_worst", round(max(waits), 3), f"of clusters with {LOADS} users")


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _compared(users: int) -> tuple[float, float]:
    ours, theirs = (
        [_lived(trace(seed, users=users), sizing, seed) for seed in SEEDS] for sizing in (Muster, ParallelCluster)
    )
    hours = sum(each.node_seconds for each in ours) / sum(each.node_seconds for each in theirs)
    return hours, sum(sum(each.waits) for each in ours) / sum(sum(each.waits) for each in theirs)


def _lived(jobs: Sequence[Job], sizing: Sizing, seed: int) -> Cluster:
    cluster = Cluster(jobs, random.Random(seed))
    sizing(cluster)
    cluster.run()
    assert len(cluster.waits) == len(jobs)
    return cluster
