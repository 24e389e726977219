"""What keeps a queue from launching nodes: Auto Scaling could not, or those that it launched never came to serve."""

from collections.abc import Mapping, Sequence
from itertools import takewhile

from reconciler.facts import Group, Launch
from reconciler.nodes import INTERRUPTED, NodeRow, NodeState
from reconciler.plan.draft import Draft, Trouble, backoff, iso
from reconciler.plan.tally import Tally
from reconciler.record import Bootstraps, Failure
from reconciler.statuses import ACTIVITY, Activity, Launching, launching

# Seconds that Auto Scaling is given to try other zones and types by itself; and between looks while it does.
FAILING_OVER, LOOK_AT_LAUNCHES = 30, 15
# So much longer, in tries, it takes before a quota is tried again: it does not come and go as capacity does.
PATIENCE: dict[Launching, int] = {Launching.QUOTA: 3}
# Nodes in a row that never served, after which no more are launched.
MOST_BOOTSTRAPS = 5


def failed_launch(draft: Draft, group: Group, tally: Tally) -> Failure | None:
    """The failure that forbids to launch now, remembered; None if nodes may be launched."""
    known = draft.record.launches.get(group.queue)
    fresh = _failures(group.launches, known) if tally.unborn else []
    if fresh and draft.now - fresh[-1].at < FAILING_OVER:
        draft.look(LOOK_AT_LAUNCHES)
    elif fresh:
        known = _counted(draft, group.queue, fresh[0], known)
        draft.remember(launches={**draft.record.launches, group.queue: known})
    if known is None or known.retry_at is None or known.retry_at <= draft.now:
        return None
    draft.look(known.retry_at - draft.now)
    return known


def _failures(launches: Sequence[Launch], known: Failure | None) -> list[Launch]:
    """The launches that failed since the one that is known, and since one that did not; the newest first."""
    source = known.source if known else None
    return list(takewhile(lambda each: ACTIVITY.get(each.status) is Activity.FAILED and each.id != source, launches))


def _counted(draft: Draft, queue: str, newest: Launch, known: Failure | None) -> Failure:
    code, kind = launching(newest.message)
    count = known.count + 1 if known else 1
    wait = backoff(count + PATIENCE.get(kind, 0), f"{draft.desired.name}/{queue}")
    return Failure(queue, newest.message, newest.id, count, draft.now + wait, code)


def forget(draft: Draft, queue: str) -> None:
    """Forget that launches failed: what was to be launched has come, or is not needed any more."""
    if queue in draft.record.launches:
        draft.remember(launches={name: each for name, each in draft.record.launches.items() if name != queue})


def could_not(draft: Draft, group: Group, failure: Failure) -> Trouble:
    """Say that nodes could not be launched, in AWS's words."""
    again = f"; tried again at {iso(failure.retry_at)}" if failure.retry_at else ""
    message = f"{group.name} could not launch nodes, {failure.count} times in a row{again}: {failure.reason}"
    draft.progress("LaunchFailed", message)
    draft.phase("Degraded")
    return "LaunchFailed", message


def failed_bootstraps(draft: Draft, group: Group, rows: Mapping[str, NodeRow]) -> Bootstraps | None:
    """The nodes in a row that never served, remembered; None if there are none.

    They are counted by their rows, so that one that is seen twice counts once. Another spec and another launch
    template begin anew, for they may be what repairs it.
    """
    source = f"{draft.record.accepted.generation if draft.record.accepted else 0}/{group.template_version}"
    known = draft.record.bootstraps.get(group.queue)
    known = known if known and known.source == source else None
    mine = [row for row in rows.values() if row.queue == group.queue]
    served = max((row.since for row in mine if row.state is NodeState.READY), default=0.0)
    failed = [row for row in mine if _never_served(row) and row.id not in _old(group)]
    before = known if known and known.at >= served else None
    counted = set(known.counted) if known else set[str]()
    new = sorted((row for row in failed if row.id not in counted and row.since > served), key=lambda row: row.since)
    count = (before.count if before else 0) + len(new)
    others = {name: each for name, each in draft.record.bootstraps.items() if name != group.queue}
    if not count:
        draft.remember(bootstraps=others)
        return None
    last = new[-1] if new else None
    at, reason = (last.since, last.reason) if last else (before.at, before.reason) if before else (0.0, "")
    told = Bootstraps(count, reason, source, at, tuple(sorted(row.id for row in failed)))
    draft.remember(bootstraps={**others, group.queue: told})
    return told


def _never_served(row: NodeRow) -> bool:
    """Whether a node failed before it served. One that EC2 has taken back has not failed."""
    return row.state is NodeState.FAILED and not row.served and not row.reason.startswith(INTERRUPTED)


def _old(group: Group) -> set[str]:
    return {member.id for member in group.members if group.is_outdated(member)}


def protected(draft: Draft, group: Group, failed: Bootstraps) -> Trouble:
    """Say that a queue launches no more."""
    message = (
        f"{group.name} launches no more nodes: {failed.count} in a row failed before they served. Correct the spec, or "
        f"edit it to try again. The last one said: {failed.reason or 'nothing'}"
    )
    draft.stall("BootstrapFailing", message, "Degraded")
    return "BootstrapFailing", message
