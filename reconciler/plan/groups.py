"""What is looked at in every queue's Auto Scaling group, whoever decides on its size."""

from collections.abc import Sequence

from reconciler.actions import ResumeProcesses
from reconciler.facts import Group, group_name
from reconciler.plan.draft import Draft, Trouble, worst
from reconciler.statuses import ACTIVITY, LIFECYCLE

# Seconds between looks at a fleet on its way; the groups' events come sooner.
LOOK_AT_FLEET, LOOK_AT_FAILURE = 60, 300
# What the template says of every group, so what a stack update sets a group's bounds to.
TEMPLATE_BOUNDS = (0, 5000)
RANK = (
    *("Scaling", "Waiting", "Withheld", "LaunchFailed", "NodesSetAside", "BootstrapFailing"),
    *("GroupMissing", "UnknownStatus", "ConsentRequired"),
)

Sizes = tuple[int, int, int | None]


def sum_up(draft: Draft, troubles: Sequence[Trouble], reason: str, message: str) -> None:
    """Say how the fleet is: what is the matter with its queues, or that it is well."""
    if troubles:
        draft.condition("FleetReady", False, *worst(troubles, RANK))
    else:
        draft.condition("FleetReady", True, reason, message)


def removed(draft: Draft) -> list[Group]:
    """The groups of queues that are not in the spec any more."""
    names = {queue.name for queue in draft.cluster.spec.queues}
    return [group for group in draft.actual.groups if group.queue not in names]


def missing(draft: Draft, queue: str) -> Trouble:
    """What is the matter with a queue that has no group."""
    name = group_name(draft.desired.name, queue)
    ready = draft.conditions.get("StackReady")
    if ready is None or not ready.status:
        return "Scaling", f"{name} does not exist yet"
    message = (
        f"{name} is gone though the stack has it. Remove the queue from the spec, let the update end, and add it again"
    )
    draft.stall("GroupMissing", message, "Degraded")
    return "GroupMissing", message


def resume(draft: Draft, group: Group) -> None:
    """Resume what somebody has suspended: a group that may not launch or terminate keeps no size."""
    if group.suspended:
        message = f"Resumed {', '.join(group.suspended)}, which had been suspended."
        draft.act(ResumeProcesses(group.name, group.suspended), "ProcessesResumed", message, warning=True)


def strange(draft: Draft, group: Group) -> Trouble | None:
    """What of a group has a status that no table knows; then nothing is said of the rest."""
    if unknown := sorted({member.lifecycle for member in group.members} - LIFECYCLE.keys()):
        what = f"members in {', '.join(unknown)}"
    elif group.activity and group.activity not in ACTIVITY:
        what = f"an activity in {group.activity}"
    else:
        return None
    message = f"{group.name} has {what}, which this version of Muster does not know"
    draft.stall("UnknownStatus", message, "Degraded")
    return "UnknownStatus", message


def set_aside(draft: Draft, count: str, parked: int) -> Trouble:
    """A queue that lacks nodes while somebody has set some of them aside."""
    message = f"{count}; {parked} are set aside (Standby)"
    draft.stall("NodesSetAside", message, "Degraded")
    return "NodesSetAside", message


def scaling(draft: Draft, message: str) -> Trouble:
    """Nodes that the spec asks for come, or go."""
    draft.look(LOOK_AT_FLEET)
    draft.progress("Scaling", message)
    draft.phase("Scaling")
    return "Scaling", message
