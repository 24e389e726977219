"""What a fleet that follows its jobs costs, and how long jobs wait: Muster's sizes against ParallelCluster 2.x's.

A simulation: one queue, one scheduler, one trace of jobs, one kind of node, and two ways of sizing. Nothing here is
measured on AWS. The scheduler places jobs as Slurm was seen to (`Cluster.place`), with all nodes of one weight for the
peer and with the agent's weights for ours. The peer's way is that of its daemons as their sources describe them: a loop
each minute that asks for nodes, packs the pending jobs onto empty nodes and does not look at what is free on busy ones;
a loop each half minute that tells the scheduler of nodes that are ready; and on each node a loop each minute that
counts minutes without jobs.
"""

import heapq
import math
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

from bench.figure import Figure
from node.lists import Host
from node.ranks import rank
from reconciler.demand import Pending, Room, Shape
from reconciler.nodes import QueueDemand
from reconciler.plan.moves import Limits, moves
from reconciler.plan.sizing import Idle
from reconciler.plan.tally import Tally
from reconciler.slurm import IDLE_TIME

PLOT = Path(__file__).parent.parent / "docs" / "elastic.svg"

NODE = Shape(16, 32_000)
MOST_NODES = 200
# Seconds from the launch of a node until its daemon speaks: the peer's own tests saw 57 to 122 s.
BOOT = (57.0, 122.0)
# The peer's default.
PEERS_IDLE_TIME = 600.0
# Users of a cluster, and the traces of each number.
LOADS, SEEDS = (3, 12, 36), range(1, 11)
# Of the logarithm of the pauses between a user's sessions: one in twenty is over four times as long as the mean.
SPREAD = 1.5
# Seconds: from a change at the scheduler to the group's new size (agent, stream, pass), from a node's word to the
# scheduler's list, and between two looks of the agent at the scheduler and for nodes that are to go.
REACTION, JOINING, POLL = 2.5, 2.0, 1.0
# The peer's loops; between two looks of a node that the scheduler does not know yet; while it is locked before it goes.
ASK, TELL, WATCH, RETRY, LOCK = 60.0, 30.0, 60.0, 10.0, 15.0
DAY = 86_400.0
# What a node is paid for.
BOOTING, IDLE, USED, GAPS = "booting", "idle", "used", "gaps"


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a trace: when it comes, how long it runs (seconds), and on what."""

    at: float
    seconds: float
    each: Shape
    nodes: int = 1


def trace(seed: int, days: float = 2.0, users: int = 12) -> list[Job]:
    """Jobs of some users, in the order of their arrival.

    Users submit by day more than by night, in sessions with lognormal pauses; a session is a few jobs or an array of
    like ones (one in ten heavy-tailed, up to 400); run times are lognormal (median 8 minutes), cut at 12 hours; one
    session in ten is a job of 2 to 16 whole nodes. So sessions come in bursts with long times of nothing between, there
    are many small and short jobs, and most of the work is in few large ones.
    """
    chance = random.Random(seed)
    jobs: list[Job] = []
    for _ in range(users):
        at = chance.uniform(0, 4 * 3600)
        while (at := at + _pause(chance, at)) < days * DAY:
            jobs += _session(chance, at)
    return sorted(jobs, key=lambda job: (job.at, job.seconds))


def _pause(chance: random.Random, at: float) -> float:
    """Seconds between sessions of a user, 5400 in the mean, longer by night."""
    mean = 5400 * (1.2 - math.sin(2 * math.pi * at / DAY)) / 1.2
    return mean * chance.lognormvariate(-(SPREAD**2) / 2, SPREAD)


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


@dataclass(slots=True, eq=False)
class Node:
    """A node from its launch on: when its jobs `started`, `since` when it has none. `minutes` are the peer's."""

    number: int
    launched: float
    usable: float
    free: Shape
    started: list[float] = field(default_factory=list[float])
    since: float = 0.0
    minutes: int = 0
    locked: bool = False

    @property
    def jobs(self) -> int:
        """How many run on it."""
        return len(self.started)


@dataclass(frozen=True, slots=True)
class Moment:
    """Nodes that are paid, those of them that take jobs, and those that all jobs at hand would fill."""

    at: float
    paid: int
    usable: int
    needed: int


def nothing() -> None:
    """Nobody wants to know."""


def alike(_: Node) -> int:
    """All nodes have the same weight."""
    return 0


@dataclass(slots=True)
class Cluster:
    """The scheduler and the nodes, whoever sizes them. `changed` is told of each change, `weight` is a node's."""

    jobs: Sequence[Job]
    chance: random.Random
    node: Shape = NODE
    most: int = MOST_NODES
    changed: Callable[[], None] = nothing
    weight: Callable[[Node], int] = alike
    now: float = 0.0
    waiting: list[Job] = field(default_factory=list[Job])
    nodes: dict[int, Node] = field(default_factory=dict[int, Node])
    waits: list[float] = field(default_factory=list[float])
    paid: dict[str, float] = field(default_factory=lambda: dict.fromkeys((BOOTING, IDLE, USED, GAPS), 0.0))
    moments: list[Moment] = field(default_factory=list[Moment])
    launches: int = 0
    _names: list[int] = field(default_factory=list[int])
    _running: int = 0
    _events: list[tuple[float, int, Callable[[], None]]] = field(
        default_factory=list[tuple[float, int, Callable[[], None]]]
    )
    _count: int = 0

    @property
    def node_seconds(self) -> float:
        """All that is paid."""
        return sum(self.paid.values())

    @property
    def going_on(self) -> bool:
        """Whether there are jobs to come, to start or to end, or nodes."""
        return bool(self.nodes or self.waiting or len(self.waits) < len(self.jobs))

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let something happen."""
        self._count += 1
        heapq.heappush(self._events, (when, self._count, what))

    def run(self) -> None:
        """Until every job has run and every node has gone."""
        self._names = list(range(1, self.most + 1))
        for job in self.jobs:
            self.at(job.at, lambda job=job: self._submit(job))
        while self._events and self.going_on:
            when, _, what = heapq.heappop(self._events)
            self._pay(when - self.now)
            self.now = when
            what()

    def _pay(self, seconds: float) -> None:
        if not seconds:
            return
        usable = 0
        for node in self.nodes.values():
            if node.usable > self.now:
                self.paid[BOOTING] += seconds
            elif not node.jobs:
                self.paid[IDLE] += seconds
            else:
                gap = node.free.cpus / self.node.cpus
                self.paid[GAPS] += seconds * gap
                self.paid[USED] += seconds * (1 - gap)
            usable += node.usable <= self.now and not node.locked
        wanted = self._running + sum(job.each.cpus * job.nodes for job in self.waiting)
        needed = min(math.ceil(wanted / self.node.cpus), self.most)
        self.moments.append(Moment(self.now, len(self.nodes), usable, needed))

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
        self.changed()

    def _start(self, job: Job) -> bool:
        able = [n for n in self.nodes.values() if n.usable <= self.now and not n.locked and n.free.holds(job.each)]
        if len(able) < job.nodes:
            return False
        chosen = self.place(able, job.nodes)
        for node in chosen:
            node.free = node.free.less(job.each)
            node.started.append(self.now)
        self._running += job.each.cpus * job.nodes
        self.waits.append(self.now - job.at)
        self.at(self.now + job.seconds, lambda began=self.now: self._end(job, began, chosen))
        return True

    def place(self, able: Sequence[Node], count: int) -> list[Node]:
        """As Slurm 22.05 was seen to: the lowest weight; of the runs of neighbours the smallest; the tightest of it.

        In a run are nodes with room whose numbers follow each other, and its size is what they have free together.
        Jobs of several nodes are of whole ones here.
        """
        weights = {node.number: self.weight(node) for node in able}
        if count > 1:
            return sorted(able, key=lambda node: (weights[node.number], node.number))[:count]
        lowest = min(weights.values())
        runs: list[list[Node]] = []
        for node in sorted((node for node in able if weights[node.number] == lowest), key=lambda node: node.number):
            if not runs or node.number > runs[-1][-1].number + 1:
                runs.append([])
            runs[-1].append(node)
        run = min(runs, key=lambda run: sum(node.free.cpus for node in run))
        return [min(run, key=lambda node: (node.free, node.number))]

    def _end(self, job: Job, began: float, nodes: Sequence[Node]) -> None:
        for node in nodes:
            free = node.free
            node.free = Shape(free.cpus + job.each.cpus, free.memory + job.each.memory)
            node.started.remove(began)
            if not node.jobs:
                node.since = self.now
        self._running -= job.each.cpus * job.nodes
        self.schedule()

    def launch(self, count: int, ready: Callable[[Node], None]) -> None:
        """So many nodes, each with the first free number; `ready` is told of each once its daemon speaks."""
        for _ in range(count):
            self.launches += 1
            node = Node(heapq.heappop(self._names), self.now, math.inf, self.node)
            self.nodes[node.number] = node
            self.at(self.now + self.chance.uniform(*BOOT), lambda node=node: ready(node))

    def usable(self, node: Node) -> None:
        """The scheduler knows a node from now on."""
        node.usable = node.since = self.now
        self.schedule()

    def end(self, node: Node) -> None:
        """A node is terminated."""
        del self.nodes[node.number]
        heapq.heappush(self._names, node.number)
        self.changed()


def like(jobs: Sequence[Job]) -> list[Pending]:
    """The waiting jobs, like ones together."""
    found: dict[tuple[Shape, int], int] = {}
    for job in jobs:
        found[job.each, job.nodes] = found.get((job.each, job.nodes), 0) + 1
    return [Pending(each, nodes, count) for (each, nodes), count in found.items()]


class Muster:
    """The operator's moves: made after each change, and when a node's idle time is up; and the agent's ranks."""

    def __init__(self, cluster: Cluster, idle_time: float = IDLE_TIME, *, shared: bool = True) -> None:
        self.cluster = cluster
        self.limits = Limits(0, cluster.most, idle_time, shared=shared)
        self._next = math.inf
        cluster.changed = lambda: self._look_at(cluster.now + REACTION)
        cluster.weight = self._rank

    def _rank(self, node: Node) -> int:
        """The agent's of its last pass, which follows whatever changes at the scheduler."""
        looked = self.cluster.now - POLL
        started = [each for each in node.started if each <= looked]
        return rank(Host.BUSY if started else Host.IDLE, started, looked)

    def _look_at(self, when: float) -> None:
        if when < self._next:
            self._next = when
            self.cluster.at(when, lambda: self._look() if self._next == when else None)

    def _look(self) -> None:
        cluster, self._next = self.cluster, math.inf
        names = {str(node.number): node for node in cluster.nodes.values()}
        there = {name: node for name, node in names.items() if node.usable <= cluster.now and not node.locked}
        tally = Tally(
            idle=tuple(Idle(name, node.since) for name, node in there.items() if not node.jobs),
            busy=tuple(name for name, node in there.items() if node.jobs),
            booting=tuple(name for name, node in names.items() if node.usable > cluster.now),
            draining=tuple(name for name, node in names.items() if node.locked),
            desired=len(names),
            begun=tuple(node.launched for node in names.values() if node.usable > cluster.now),
        )
        rooms = tuple(Room(node.free) for node in there.values() if node.jobs)
        demand = QueueDemand(pending=tuple(like(cluster.waiting)), rooms=rooms)
        planned = moves(tally, demand, cluster.node, self.limits, cluster.now)
        cluster.launch(planned.grows, lambda node: cluster.at(cluster.now + JOINING, lambda: cluster.usable(node)))
        for each in (each for drained in planned.drains.values() for each in drained):
            self._drain(names[each])
        if planned.next_idle is not None:
            self._look_at(max(planned.next_idle, cluster.now + 1))

    def _drain(self, node: Node) -> None:
        """Draining, drained and ended: the agent sees it at one look, that it has no job at the next; then its word."""
        cluster, node.locked = self.cluster, True
        cluster.at(cluster.now + cluster.chance.uniform(0, POLL) + POLL + REACTION, lambda: cluster.end(node))


class ParallelCluster:
    """The daemons of the peer."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._ready: list[Node] = []
        cluster.at(cluster.chance.uniform(0, ASK), self._ask)
        cluster.at(cluster.chance.uniform(0, TELL), self._tell)

    def _ask(self) -> None:
        """Busy nodes and those that the pending jobs need; never fewer than there are."""
        cluster = self.cluster
        busy = sum(bool(node.jobs) for node in cluster.nodes.values())
        pending = self._pending()
        if pending:
            cluster.launch(max(min(busy + pending, cluster.most) - len(cluster.nodes), 0), self._speaks)
        if cluster.going_on:
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

    def _tell(self) -> None:
        cluster = self.cluster
        for node in self._ready:
            cluster.usable(node)
            seen = cluster.now + cluster.chance.uniform(0, RETRY)
            cluster.at(seen + WATCH, lambda node=node: self._watch(node))
        self._ready.clear()
        if cluster.going_on:
            cluster.at(cluster.now + TELL, self._tell)

    def _watch(self, node: Node) -> None:
        """Minutes without jobs, while no job waits; what ran between two looks is not seen."""
        cluster = self.cluster
        node.minutes = 0 if node.jobs or cluster.waiting else node.minutes + 1
        if node.minutes * 60 >= PEERS_IDLE_TIME:
            node.locked = True
            cluster.at(cluster.now + LOCK, lambda: cluster.end(node))
        else:
            cluster.at(cluster.now + WATCH, lambda: self._watch(node))


Sizing = Callable[[Cluster], object]
SIZINGS: Mapping[str, Sizing] = {"Muster": Muster, "ParallelCluster 2.x": ParallelCluster}
OURS, THEIRS = SIZINGS


@dataclass(frozen=True, slots=True)
class Life:
    """What came of a cluster: node-seconds by what was paid for, seconds of waiting, scaling, and nodes over a day."""

    paid: Mapping[str, float]
    waited: float
    over: float
    under: float
    nodes: Sequence[float]
    needed: Sequence[float]

    @property
    def node_seconds(self) -> float:
        """All that was paid."""
        return sum(self.paid.values())


Lives = Mapping[tuple[str, int, int], Life]


def measure() -> Iterator[Figure]:
    """Node-hours and waiting of ours over the peer's, of all traces together; and what is paid for nothing."""
    keys = [(name, users, seed) for users in reversed(LOADS) for seed in SEEDS for name in SIZINGS]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        lives = dict(zip(keys, pool.map(_life, keys), strict=True))
    yield from _ratios(lives)
    for name, word in ((OURS, ""), (THEIRS, "_peer")):
        found = [lives[name, users, seed] for users in LOADS for seed in SEEDS]
        over, under = _mean([life.over for life in found]), _mean([life.under for life in found])
        yield Figure(f"sim_over_scaling{word}", round(over, 3), f"node-hours beyond those needed, over them: {name}")
        yield Figure(f"sim_under_scaling{word}", round(under, 3), f"node-hours that lack, over those needed: {name}")
        for kind in (BOOTING, IDLE, GAPS, USED):
            share = sum(life.paid[kind] / life.node_seconds for life in found) / len(found)
            yield Figure(f"sim_{kind}_share{word}", round(share, 3), f"of what is paid: {name}")
    PLOT.write_text(plot({name: lives[name, LOADS[1], SEEDS[0]] for name in SIZINGS}))


def _life(key: tuple[str, int, int]) -> Life:
    name, users, seed = key
    return told(live(trace(seed, users=users), SIZINGS[name], seed))


def told(cluster: Cluster) -> Life:
    """What is of interest afterwards."""
    nodes, needed = (_steps(cluster.moments, what) for what in (lambda each: each.paid, lambda each: each.needed))
    return Life(cluster.paid, sum(cluster.waits), *scaling(cluster.moments), nodes, needed)


def live(jobs: Sequence[Job], sizing: Sizing, seed: int) -> Cluster:
    """The whole life of a cluster."""
    cluster = Cluster(jobs, random.Random(seed))
    sizing(cluster)
    cluster.run()
    assert len(cluster.waits) == len(jobs)
    return cluster


def _ratios(lives: Lives) -> Iterator[Figure]:
    hours = [_over(lives, users, lambda life: life.node_seconds) for users in LOADS]
    waits = [_over(lives, users, lambda life: life.waited) for users in LOADS]
    of = f"of {LOADS} users and seeds {SEEDS[0]} to {SEEDS[-1]}"
    yield Figure("sim_node_hours_ratio", round(_mean(hours), 3), f"over those of {THEIRS}'s sizes, {of}")
    yield Figure("sim_node_hours_ratio_worst", round(max(hours), 3), "of the loads")
    yield Figure("sim_wait_ratio", round(_mean(waits), 3), f"mean wait over that of {THEIRS}'s sizes, {of}")
    yield Figure("sim_wait_ratio_worst", round(max(waits), 3), "of the loads")


def _over(lives: Lives, users: int, what: Callable[[Life], float]) -> float:
    ours, theirs = (sum(what(lives[name, users, seed]) for seed in SEEDS) for name in (OURS, THEIRS))
    return ours / theirs


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def scaling(moments: Sequence[Moment]) -> tuple[float, float]:
    """Node-seconds that are paid beyond those needed, and that lack of them, over those needed.

    Needed are the nodes that the jobs at hand would fill, running or waiting, were they packed without gaps.
    """
    spans = [(now, then.at - now.at) for now, then in pairwise(moments)]
    needed = sum(now.needed * span for now, span in spans)
    over = sum(max(now.paid - now.needed, 0) * span for now, span in spans)
    under = sum(max(now.needed - now.usable, 0) * span for now, span in spans)
    return over / needed, under / needed


# The second day, in steps.
SPAN, STEP = (DAY, 2 * DAY), 300.0
COLOURS = {OURS: "steelblue", THEIRS: "darkorange", "needed": "black"}


def plot(lives: Mapping[str, Life]) -> str:
    """Nodes that are paid over a day, ours and the peer's, and those needed for the jobs that ours has at hand."""
    lines = {**{name: life.nodes for name, life in lives.items()}, "needed": lives[OURS].needed}
    top = max(map(max, lines.values()))
    width, height = 700 / len(lines["needed"]), 220 / top
    drawn = "".join(
        f'<polyline points="{_points(line, width, height)}" fill="none" stroke="{COLOURS[name]}"/>'
        f'<text x="{60 + 170 * place}" y="14" fill="{COLOURS[name]}">{name}</text>'
        for place, (name, line) in enumerate(lines.items())
    )
    hours = "".join(f'<text x="{50 + 700 * hour / 24:.0f}" y="258">{hour}:00</text>' for hour in range(0, 24, 4))
    scale = "".join(f'<text x="20" y="{244 - height * count:.0f}">{count}</text>' for count in _marks(top))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 770 285" font-family="sans-serif" font-size="12">'
        '<rect width="770" height="285" fill="white"/><path d="M50 20V240H750" fill="none" stroke="grey"/>'
        f'{drawn}{hours}{scale}<text x="250" y="278">nodes over a day of {LOADS[1]} users</text></svg>\n'
    )


def _steps(moments: Sequence[Moment], what: Callable[[Moment], int]) -> list[float]:
    """The mean of each step of the span."""
    start, end = SPAN
    sums = [0.0] * round((end - start) / STEP)
    for now, then in pairwise(moments):
        at = max(now.at, start)
        while at < min(then.at, end):
            place = int((at - start) // STEP)
            until = min(then.at, start + (place + 1) * STEP, end)
            sums[place] += what(now) * (until - at)
            at = until
    return [each / STEP for each in sums]


def _points(line: Sequence[float], width: float, height: float) -> str:
    return " ".join(
        f"{50 + width * (place + end):.1f},{240 - height * count:.1f}"
        for place, count in enumerate(line)
        for end in (0, 1)
    )


def _marks(top: float) -> range:
    step = max(round(top / 40) * 10, 5)
    return range(0, int(top) + 1, step)
