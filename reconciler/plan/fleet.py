"""The queues' Auto Scaling groups where no scheduler says what is wanted: kept at the sizes of the spec."""

from typing import Any

from reconciler.actions import ResizeGroup
from reconciler.cluster import Queue
from reconciler.facts import Group
from reconciler.plan import groups
from reconciler.plan.draft import Draft, Trouble
from reconciler.plan.groups import LOOK_AT_FAILURE, TEMPLATE_BOUNDS, Sizes
from reconciler.statuses import ACTIVITY, LIFECYCLE, Activity, MemberStep


def plan(draft: Draft) -> None:
    """Plan for each queue, then say how the fleet is as a whole."""
    troubles = [trouble for queue in draft.cluster.spec.queues for trouble in [_queue(draft, queue)] if trouble]
    draft.remember(sizes={queue: size for queue, size in draft.record.sizes.items() if queue in _names(draft)})
    groups.sum_up(draft, troubles, "AtSize", "Every queue has the nodes it should have.")


def _names(draft: Draft) -> set[str]:
    return {queue.name for queue in draft.cluster.spec.queues}


def _queue(draft: Draft, queue: Queue) -> Trouble | None:
    group = draft.actual.group(queue.name)
    wanted = queue.bounds
    shown: dict[str, Any] = {
        "name": queue.name,
        "min": wanted[0],
        "max": wanted[1],
        "desired": wanted[2],
        "inService": 0,
    }
    draft.queues.append(shown)
    if group is None:
        return groups.missing(draft, queue.name)
    trouble = _resize(draft, queue, group, wanted)
    groups.resume(draft, group)
    shown |= {"desired": _target(group, wanted), "inService": group.in_service, "total": len(group.members)}
    if group.outdated:
        shown["outdated"] = group.outdated
    return trouble or _nodes(draft, group, _target(group, wanted))


def _target(group: Group, wanted: Sizes) -> int:
    low, high, desired = wanted
    return desired if desired is not None else min(max(group.desired, low), high)


def _resize(draft: Draft, queue: Queue, group: Group, wanted: Sizes) -> Trouble | None:
    """Put a group's sizes in force. What was in force and is no longer is drift; anything else is the user's edit."""
    low, high, _ = wanted
    target = _target(group, wanted)
    last = draft.record.sizes.get(queue.name)
    if (group.min, group.max, group.desired) == (low, high, target):
        if last != wanted and not draft.paused:
            draft.remember(sizes={**draft.record.sizes, queue.name: wanted})
        return None
    drift = last == wanted
    if not drift and target < group.desired and f"queues/{queue.name}" not in draft.cluster.spec.consent:
        message = (
            f"{group.name}: {group.desired} nodes run and {target} are wanted, so {group.desired - target} would be "
            f"terminated; consent by adding 'queues/{queue.name}' to spec.consent"
        )
        draft.stall("ConsentRequired", f"The update waits for consent. {message}", "Held")
        return "ConsentRequired", message
    by_hand = drift and (group.min, group.max) != TEMPLATE_BOUNDS
    was = f"min {group.min}, max {group.max}, desired {group.desired}"
    now = f"min {low}, max {high}, desired {target}"
    reason = "GroupResized" if by_hand else "SizesApplied"
    message = f"{'Put back' if by_hand else 'Set'} from {was} to {now}."
    sizes = {**draft.record.sizes, queue.name: wanted}
    if draft.act(ResizeGroup(group.name, low, high, target), reason, message, warning=by_hand, sizes=sizes):
        return None
    return "Withheld", f"{group.name} has {was}, and is to have {now}"


def _nodes(draft: Draft, group: Group, target: int) -> Trouble | None:
    if trouble := groups.strange(draft, group):
        return trouble
    steps = [LIFECYCLE[member.lifecycle] for member in group.members]
    if group.in_service == target and MemberStep.GOING not in steps:
        return None
    count = f"{group.name} has {group.in_service} of {target} nodes in service"
    if ACTIVITY.get(group.activity) is Activity.FAILED and len(group.members) < target:
        draft.look(LOOK_AT_FAILURE)
        draft.progress("LaunchFailed", count)
        draft.phase("Degraded")
        return "LaunchFailed", f"{count}: {group.activity_message}"
    if MemberStep.PARKED in steps and group.in_service + steps.count(MemberStep.COMING) < target:
        return groups.set_aside(draft, count, steps.count(MemberStep.PARKED))
    return groups.scaling(draft, count)
