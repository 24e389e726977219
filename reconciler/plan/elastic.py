"""The queues of a cluster whose scheduler says what its jobs want: their groups follow the demand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.actions import DrainNodes, EndNodes, ResizeGroup
from reconciler.cluster import Queue
from reconciler.demand import Shape
from reconciler.facts import Group
from reconciler.nodes import NodeFacts, NodeRow, QueueDemand, shapes_of
from reconciler.plan import agent, groups, launches, told
from reconciler.plan.choice import Choice, settle
from reconciler.plan.draft import Draft, Trouble
from reconciler.plan.groups import LOOK_AT_FLEET, TEMPLATE_BOUNDS
from reconciler.plan.moves import Limits, Moves, fleet, moves
from reconciler.plan.tally import Tally, count
from reconciler.record import Bootstraps, Failure
from reconciler.slurm import idle_seconds

# Seconds to the next look when not all was done that is to be done.
AT_ONCE = 1
# Characters of what a failed node said, from its end.
LONGEST_CAUSE = 300
NOTHING = QueueDemand()
CLOSED = {"running": "", "stopped": "the fleet is stopped"}
REMOVED = "the queue is no longer in the spec"


@dataclass(frozen=True, slots=True)
class Word:
    """What the head node says, what a node of each queue has, and whether the head node is to be believed."""

    facts: NodeFacts
    shapes: Mapping[str, Shape]
    heard: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A queue that was looked at. `failure` and `bootstraps` keep it from launching; `shown` is its part of the status.

    One that is `removed` has a group and is not in the spec any more.
    """

    name: str
    group: Group
    rows: Mapping[str, NodeRow]
    demand: QueueDemand
    tally: Tally
    node: Shape | None
    limits: Limits
    failure: Failure | None
    bootstraps: Bootstraps | None
    shown: dict[str, Any]
    removed: bool = False


def plan(draft: Draft) -> None:
    """Plan for each queue, then say how the fleet is as a whole. How the head node is has been said before."""
    facts = draft.actual.nodes or NodeFacts()
    agent.tell(draft, facts)
    _unread(draft, facts)
    word = Word(facts, shapes_of(agent.document(draft, facts)), heard=agent.speaks(draft, facts))
    queues = [
        *(_look_at(draft, queue, word) for queue in draft.cluster.spec.queues),
        *(_look_at_removed(draft, group, word) for group in groups.removed(draft)),
    ]
    seen = [each for each in queues if isinstance(each, Seen)]
    wanted = settle({each.name: each.demand.pending for each in seen}, _choices(seen))
    moved = [_move(draft, each, replace(each.demand, pending=wanted[each.name])) for each in seen]
    _prune(draft)
    troubles = [each for each in (*queues, *moved) if each and not isinstance(each, Seen)]
    if _closed(draft):
        groups.sum_up(draft, troubles, "Stopped", "spec.fleet is stopped, and no node is left.")
    else:
        groups.sum_up(draft, troubles, "AtSize", "Every queue has the nodes that its bounds and its jobs ask for.")


def _choices(seen: Sequence[Seen]) -> dict[str, Choice]:
    """The queues that jobs may choose."""
    return {
        each.name: Choice(
            fleet(each.tally, each.demand, each.node, each.limits), each.limits.max, each.limits.launching
        )
        for each in seen
        if each.node and not each.limits.closed
    }


def _prune(draft: Draft) -> None:
    """Forget what is remembered of queues that are gone."""
    names = {queue.name for queue in draft.cluster.spec.queues} | {group.queue for group in groups.removed(draft)}
    record = draft.record
    draft.remember(
        sizes={name: each for name, each in record.sizes.items() if name in names},
        launches={name: each for name, each in record.launches.items() if name in names},
        bootstraps={name: each for name, each in record.bootstraps.items() if name in names},
    )


def _unread(draft: Draft, facts: NodeFacts) -> None:
    """Rows that cannot be read are told when they are others than before."""
    for each in facts.unread:
        draft.show("unreadable", {"row": each})
    if facts.unread and draft.shown["unreadable"] != draft.record.status.get("unreadable"):
        message = f"Left out, for they cannot be read: {', '.join(facts.unread)}."
        draft.tell("RowsUnreadable", message, "rows of the nodes", warning=True)


def _look_at(draft: Draft, queue: Queue, word: Word) -> Seen | Trouble:
    """A queue of the spec, or what keeps it from being moved."""
    low, high, _ = queue.bounds
    shown = _shown(draft, queue.name, low, high)
    group = draft.actual.group(queue.name)
    if group is None:
        return groups.missing(draft, queue.name)
    return _see(draft, group, word, Limits(low, high, 0, _closed(draft), whole=queue.all_or_nothing), shown)


def _look_at_removed(draft: Draft, group: Group, word: Word) -> Seen | Trouble:
    """A queue that is not in the spec any more: its nodes go when they have no job, with consent as soon as that."""
    consent = f"queues/{group.queue}" in draft.cluster.spec.consent
    most = max(group.max, len(group.members))
    limits = Limits(0, most, 0, _closed(draft) or (REMOVED if consent else ""), launching=False)
    found = _see(draft, group, word, limits, _shown(draft, group.queue, 0, 0))
    return replace(found, removed=True) if isinstance(found, Seen) else found


def _shown(draft: Draft, queue: str, low: int, high: int) -> dict[str, Any]:
    """A queue's part of the status."""
    shown: dict[str, Any] = {"name": queue, "min": low, "max": high, "desired": None, "inService": 0}
    draft.queues.append(shown)
    return shown


def _closed(draft: Draft) -> str:
    return CLOSED[draft.cluster.spec.fleet]


def _see(draft: Draft, group: Group, word: Word, limits: Limits, shown: dict[str, Any]) -> Seen | Trouble:
    facts = word.facts
    groups.resume(draft, group)
    if trouble := groups.strange(draft, group):
        return trouble
    demand = facts.demand.get(group.queue, NOTHING)
    rows = {row.id: row for row in facts.rows}
    tally = count(group, rows, demand, _told(facts))
    shown |= told.counts(group, tally)
    if not word.heard:
        return "Waiting", f"{group.name} is left as it is while the head node does not report"
    failure = launches.failed_launch(draft, group, tally)
    bootstraps = launches.failed_bootstraps(draft, group, rows)
    barred = failure is not None or (bootstraps is not None and bootstraps.count >= launches.MOST_BOOTSTRAPS)
    limits = replace(
        limits,
        idle_time=idle_seconds(draft.cluster.spec),
        shared=draft.cluster.spec.idle_time is None,
        launching=limits.launching and not barred,
        frozen=bool(facts.agent_reason),
    )
    node = word.shapes.get(group.queue)
    return Seen(group.queue, group, rows, demand, tally, node, limits, failure, bootstraps, shown)


def _move(draft: Draft, seen: Seen, demand: QueueDemand) -> Trouble | None:
    """Have a queue follow its demand."""
    tally, limits = seen.tally, seen.limits
    seen.shown["pending"] = sum(job.count for job in demand.pending)
    planned = moves(tally, demand, seen.node, limits, draft.now)
    seen.shown.update(told.judged(draft, seen.name, demand, planned, seen.shown))
    if seen.failure is None and not planned.grows and not tally.unborn:
        launches.forget(draft, seen.name)
    withheld = _carry_out(draft, seen, planned)
    _look(draft, demand, tally, planned)
    return withheld or (_leaving(draft, seen) if seen.removed else _state(draft, seen))


def _told(facts: NodeFacts) -> float:
    """When what is said of jobs was last so (seconds). It is written when it changes, and seen to before each sign."""
    return max(facts.demand_at or 0.0, 0.0 if facts.agent_reason else facts.agent_at or 0.0)


def _carry_out(draft: Draft, seen: Seen, planned: Moves) -> Trouble | None:
    """The sizes first: the group has to have room for what comes, and a MinSize that lets go of what is ended."""
    group, rows = seen.group, seen.rows
    done = [_resize(draft, seen, planned)]
    for reason, ids in planned.drains.items():
        message = f"{len(ids)} nodes take no more jobs, and go when they have none: {reason}."
        done.append(draft.act(DrainNodes(draft.desired.name, ids, reason, draft.now), "NodesDraining", message))
    for ids, replaced in ((planned.replaced, True), (planned.removed, False)):
        if ids:
            failed = [rows[each] for each in ids if rows[each].reason and rows[each].state == "failed"]
            message = f"{len(ids)} nodes are ended{_in_their_place(replaced)}{_because(failed)}."
            done.append(draft.act(EndNodes(group.name, ids, replaced), "NodesEnded", message, warning=bool(failed)))
    return None if all(done) else ("Withheld", f"{group.name} is to be moved, and is not")


def _in_their_place(replaced: bool) -> str:
    return ", and others come in their place" if replaced else ""


def _because(failed: Sequence[NodeRow]) -> str:
    return f"; {failed[0].name or failed[0].id} failed: {failed[0].reason[-LONGEST_CAUSE:]}" if failed else ""


def _resize(draft: Draft, seen: Seen, planned: Moves) -> bool:
    group, most = seen.group, seen.limits.max
    high = max(most, planned.desired)
    applied = (0, most, None)
    if (group.min, group.max, group.desired) == (0, high, planned.desired):
        if draft.record.sizes.get(seen.name) != applied and not draft.paused:
            draft.remember(sizes={**draft.record.sizes, seen.name: applied})
        return True
    was = f"min {group.min}, max {group.max}, desired {group.desired}"
    now = f"min 0, max {high}, desired {planned.desired}"
    bounds = (group.min, group.max)
    drift = draft.record.sizes.get(seen.name) == applied and bounds not in (TEMPLATE_BOUNDS, (0, high))
    reason = "GroupResized" if drift else "ScaledUp" if planned.grows else "SizesApplied"
    why = f" {planned.grows} nodes are added." if planned.grows else ""
    message = f"{'Put back' if drift else 'Set'} from {was} to {now}.{why}"
    sizes = {**draft.record.sizes, seen.name: applied}
    return draft.act(ResizeGroup(group.name, 0, high, planned.desired), reason, message, warning=drift, sizes=sizes)


def _look(draft: Draft, demand: QueueDemand, tally: Tally, planned: Moves) -> None:
    """Events come sooner, but for the end of an idle time, which nothing tells."""
    if planned.more:
        draft.look(AT_ONCE)
    if tally.coming or tally.draining or tally.ending or planned.grows or planned.drains or demand.pending:
        draft.look(LOOK_AT_FLEET)
    if planned.next_idle is not None:
        draft.look(max(planned.next_idle - draft.now, AT_ONCE))


def _leaving(draft: Draft, seen: Seen) -> Trouble | None:
    """What is left of a queue that is not in the spec any more. What its removal waits for the stack says."""
    if not seen.tally.there or not seen.limits.closed:
        return None
    left = f"{seen.group.name} is no longer in the spec, and has {seen.tally.there} nodes yet"
    return groups.scaling(draft, left)


def _state(draft: Draft, seen: Seen) -> Trouble | None:
    """What is the matter with a queue. That nodes come and go with the jobs is how it should be."""
    group, tally, limits = seen.group, seen.tally, seen.limits
    if limits.closed:
        left = f"{group.name} is being stopped, and has {tally.there} nodes yet"
        return groups.scaling(draft, left) if tally.there else None
    if seen.bootstraps and seen.bootstraps.count >= launches.MOST_BOOTSTRAPS:
        return launches.protected(draft, group, seen.bootstraps)
    if seen.failure:
        return launches.could_not(draft, group, seen.failure)
    if tally.there > limits.max:
        words = (
            f"{group.name} has {tally.there} nodes, and may have {limits.max}: the others go when their jobs have ended"
        )
        return groups.scaling(draft, words)
    lacking = limits.min - tally.ready
    if lacking > 0:
        words = f"{group.name} has {tally.ready} of at least {limits.min} nodes ready"
        return groups.set_aside(draft, words, tally.parked) if tally.parked >= lacking else groups.scaling(draft, words)
    if tally.coming or tally.draining or tally.ending:
        draft.phase("Scaling")
    return None
