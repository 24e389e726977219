"""What is done about a queue's nodes: how many there should be, who comes, who is drained, and who is ended.

Nodes come by the group's desired capacity and go one by one: a node is drained first, its jobs end, and only then is
it ended. So no job is lost, and of nodes that may go it is known which ones do.

The group's own MinSize is 0, and the queue's least size is kept here: Auto Scaling refuses to end a node for good in a
group at its MinSize, and would go on launching where the operator has stopped to.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from reconciler.demand import Shape
from reconciler.nodes import QueueDemand
from reconciler.plan.sizing import Fleet, Need, Patience, ahead, beside, need, next_surplus, surplus
from reconciler.plan.tally import Tally

# Nodes of a queue that are drained or ended in one pass: each is a call, a pass is short, and it costs as many reads of
# all nodes as there are passes.
MOST_AT_ONCE = 200
AT_ONCE = Patience(float("-inf"))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a queue may have: nodes at least and at most, and seconds that a node may be idle, or that all `shared`.

    `closed` says why it is to have no nodes at all, if so. `launching`: new ones may be launched now. `whole`: while
    they may not, jobs that lack nodes keep none. `frozen`: what is known of jobs may be old, so nothing is launched and
    nothing drained; what was asked for may come, and what has no job may go.
    """

    min: int
    max: int
    idle_time: float
    closed: str = ""
    launching: bool = True
    whole: bool = False
    frozen: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Moves:
    """`desired` is the capacity to set before nodes are ended, `grows` how many nodes it adds for jobs or the minimum.

    `drains` maps reasons to nodes. Those `replaced` are ended and leave the capacity, those `removed` lower it.
    `next_idle` is when the next idle node's time is over, if any is spare. `more`: not all was done that is to be done.
    """

    desired: int
    grows: int = 0
    drains: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    replaced: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    next_idle: float | None = None
    need: Need = field(default_factory=Need)
    more: bool = False


def _guesses(node: Shape | None, limits: Limits) -> bool:
    """Whether nodes may be launched for jobs that have not come: those with GPUs are too dear for it."""
    return limits.shared and node is not None and not node.gpus


def moves(tally: Tally, demand: QueueDemand, node: Shape | None, limits: Limits, now: float) -> Moves:
    """What to do. `node` is what a node of the queue has, None if that is not known."""
    needs = _need(tally, demand, node, limits)
    room = max(limits.max - len(tally.draining) - tally.staying, 0)
    lacking = max(limits.min - tally.staying, 0)
    launching = not limits.closed and limits.launching and not limits.frozen
    wanted = needs.new + (ahead(tally.begun, now) if needs.new and _guesses(node, limits) else 0)
    new = min(max(wanted, lacking), room) if launching else 0
    ending = (*tally.drained, *tally.failed)[:MOST_AT_ONCE]
    replaced, removed = ending[:new], ending[new:]
    # While there are more to be ended than one pass ends, those that come later are what comes in their place.
    grows = max(new - tally.ending, 0)
    capacity = _capacity(tally, limits)
    patience = Patience(limits.idle_time, limits.shared, beside(demand.rooms, node) if node else 0.0)
    drains, next_idle = ({}, None) if new or limits.frozen else _drains(tally, needs, limits, capacity, patience, now)
    return Moves(
        desired=capacity + grows,
        grows=grows,
        drains=drains,
        replaced=replaced,
        removed=removed,
        next_idle=next_idle,
        need=needs,
        more=tally.ending > len(ending),
    )


def fleet(tally: Tally, demand: QueueDemand, node: Shape, limits: Limits) -> Fleet:
    """What jobs find in a queue. Nodes that are drained take none, and take up room until they are gone.

    What was asked for and is not there yet does not come where nothing may be launched.
    """
    free = tally.free if limits.launching else tally.free - tally.unborn
    return Fleet(node, len(tally.busy) + len(tally.draining), free, demand.rooms)


def _need(tally: Tally, demand: QueueDemand, node: Shape | None, limits: Limits) -> Need:
    if node is None or limits.closed:
        return Need()
    there = fleet(tally, demand, node, limits)
    needs = need(demand.pending, there, limits.max)
    if limits.whole and not limits.launching:
        return replace(needs, used=need(demand.pending, there, limits.max, grows=False).used)
    return needs


def _capacity(tally: Tally, limits: Limits) -> int:
    """The capacity without what is added: what was asked for and is not there yet is kept only where it may come."""
    if limits.closed or not limits.launching:
        return tally.there
    return max(tally.there, min(tally.desired, limits.max))


def _drains(
    tally: Tally, needs: Need, limits: Limits, capacity: int, patience: Patience, now: float
) -> tuple[dict[str, tuple[str, ...]], float | None]:
    """Who is drained, by the reason; and when the next idle node could be, having been so for long enough."""
    if limits.closed:
        return _reasons([(limits.closed, _all(tally))]), None
    excess = capacity - len(tally.draining) - tally.ending - limits.max
    if excess > 0:
        return _reasons([(f"the queue may have {limits.max} nodes", list(_all(tally))[:excess])]), None
    keep = max(needs.used, limits.min - len(tally.busy))
    old_idle = [node for node in tally.idle if node.name in tally.outdated]
    spare_old = surplus(old_idle, max(keep - len(tally.idle) + len(old_idle), 0), now, AT_ONCE)
    left = [node for node in tally.idle if node.name not in spare_old]
    long_idle = surplus(left, keep, now, patience)
    turn = list(_in_turn(tally, limits, {*spare_old, *long_idle}))
    stay = [node for node in left if node.name not in {*long_idle, *turn}]
    drains = [
        ("its launch template has a newer version", (*spare_old, *turn)),
        ("idle and not needed" if limits.shared else f"idle for {limits.idle_time / 60:g} minutes", long_idle),
    ]
    return _reasons(drains), next_surplus(stay, keep, now, patience)


def _all(tally: Tally) -> Iterator[str]:
    """Nodes that can be asked to go, those first that have the least to lose."""
    yield from (node.name for node in sorted(tally.idle, key=lambda node: (node.since, node.name)))
    yield from (*tally.booting, *tally.fresh, *tally.busy)


def _in_turn(tally: Tally, limits: Limits, gone: Collection[str]) -> Iterator[str]:
    """Old nodes that are needed: at most half of the queue at a time, and only while others can come for them."""
    if not limits.launching:
        return
    old = [each for each in _all(tally) if each in tally.outdated and each not in gone and each not in tally.booting]
    away = tally.coming + len(tally.draining) + tally.ending + len(gone)
    total = tally.staying + len(tally.draining) + tally.ending
    yield from old[: max(max(total // 2, 1) - away, 0)]


def _reasons(drains: Sequence[tuple[str, Sequence[str] | Iterator[str]]]) -> dict[str, tuple[str, ...]]:
    found = {reason: tuple(nodes)[:MOST_AT_ONCE] for reason, nodes in drains}
    return {reason: nodes for reason, nodes in found.items() if nodes}
