"""The end of a cluster: fleets to zero, artifacts out, stack, leftovers by tag, and at last the record."""

from collections.abc import Callable, Mapping

from reconciler.actions import (
    DeleteArtifacts,
    DeleteStack,
    DeleteVolumes,
    EndNodes,
    Forget,
    ResizeGroup,
    ResumeProcesses,
    TerminateInstances,
)
from reconciler.batch import QUEUE, arns, names
from reconciler.facts import Stack, artifacts_prefix
from reconciler.plan import drain
from reconciler.plan.draft import Draft, iso
from reconciler.plan.moves import MOST_AT_ONCE
from reconciler.plan.tally import THERE
from reconciler.record import LONGEST_FLIGHT
from reconciler.statuses import EVENT, STACK, STANDING, TEARDOWN, Event, Standing, Step, Teardown

# Seconds. A fleet that does not go within the first is left to the stack's deletion, which waits for it as well.
FLEET_PATIENCE, LOOK_AT_FLEET, LOOK_AT_STACK = 600, 30, 120


def plan(draft: Draft, keep: Callable[[Draft], None]) -> None:
    """Plan the deletion of a cluster whose spec is gone, or say why it is not deleted, and `keep` it then."""
    cluster = draft.desired.cluster
    if cluster is None and draft.record.accepted is not None:
        message = (
            "The spec is gone, and this version of Muster cannot read the one that was accepted, so it cannot know "
            "whether that protected or retained anything. Put the spec back, corrected, then delete it."
        )
        draft.condition("SpecAccepted", False, "UnreadableSpec", message)
        draft.stall("UnreadableSpec", message, "Held")
        return
    if cluster and cluster.spec.deletion_protection:
        keep(draft)
        message = (
            "The spec is gone, but spec.deletionProtection was true: the cluster is kept as it was. "
            "Put the spec back with deletionProtection false, then delete it."
        )
        draft.condition("SpecAccepted", False, "DeletionProtected", message)
        draft.stall("DeletionProtected", message, "Held")
        return
    draft.remember(deleting_since=draft.record.deleting_since or draft.now)
    draft.condition("SpecAccepted", True, "Deleted", "The spec is gone: the cluster is deleted.")
    draft.phase("Deleting")
    draft.progress("Deleting", f"Deleting since {iso(draft.record.deleting_since or draft.now)}.")
    if draft.record.accepted is None:
        # Objects below its name may be what a cluster that was let go has kept, and here nobody has looked.
        draft.act(Forget(draft.desired.name), "Deleted", "The spec is gone, and nothing was ever made of it.")
    elif cluster and cluster.spec.deletion_policy == "Retain":
        # What lands later would stay as well, and nobody would have said so.
        if not _may_land(draft):
            _let_go(draft)
    else:
        _tear_down(draft)


def is_halfway(draft: Draft) -> bool:
    """Whether a cluster whose spec is back was deleted so far that its stack has queues or environments that are gone.

    No update makes them again, for the stack takes them to be there. A spec that now protects or retains is not carried
    to that end all the same: it is told what is missing.
    """
    stack, batch, desired = draft.actual.stack, draft.actual.batch, draft.desired
    if draft.record.deleting_since is None or stack is None or desired.cluster is None:
        return False
    spec = desired.cluster.spec
    if spec.deletion_protection or spec.deletion_policy == "Retain":
        return False
    if not stack.owned_by(desired.owner, desired.name):
        return False
    held = {*batch.current, *names(arns(stack.outputs, QUEUE))}
    there = (*batch.environments, *batch.queues)
    stay = {each.name for each in there if STANDING.get(each.status) is not Standing.GOING}
    return TEARDOWN.get(stack.status) in (Teardown.DELETE, Teardown.RETRY) and not held <= stay


def finish(draft: Draft) -> None:
    """Carry on with a deletion that cannot be taken back; without its stack the cluster is made anew."""
    draft.phase("Deleting")
    draft.progress("Deleting", "The spec is back. What was being deleted is deleted first, then it is made anew.")
    _tear_down(draft)


def _unknown(status: str) -> str:
    return f"the status {status}, which this version of Muster does not know."


def _let_go(draft: Draft) -> None:
    name = draft.actual.stack.name if draft.actual.stack else "none"
    message = f"spec.deletionPolicy is Retain: stack {name} and all in it stay and are no longer watched."
    draft.act(Forget(draft.desired.name), "Retained", message)


def _tear_down(draft: Draft) -> None:
    stack = draft.actual.stack
    _list_retained(draft)
    if stack is None or not stack.owned_by(draft.desired.owner, draft.desired.name):
        _sweep_out(draft)
        return
    step = TEARDOWN.get(stack.status)
    if step is Teardown.GONE:
        _sweep_out(draft)
    elif step is None:
        message = f"Stack {stack.name} has {_unknown(stack.status)}"
        draft.condition("StackReady", False, "UnknownStatus", message)
        draft.stall("UnknownStatus", message)
        draft.look(3600)
    elif step is Teardown.WAIT:
        _say(draft, f"Stack {stack.name} is {stack.status}.", LOOK_AT_STACK)
    elif not _batch_is_gone(draft, stack):
        return
    elif step is Teardown.RETRY:
        retry(draft, stack)
    elif _fleet_is_empty(draft):
        _delete(draft, stack)


def _batch_is_gone(draft: Draft, stack: Stack) -> bool:
    """Whether nothing of Batch keeps the stack from being deleted. What CloudFormation is making, it unmakes itself."""
    return STACK[stack.status] is Step.WAIT or drain.gone(draft)


def _fleet_is_empty(draft: Draft) -> bool:
    _empty_fleet(draft)
    left = sum(len(group.members) for group in draft.actual.groups)
    waited = draft.now - (draft.record.deleting_since or draft.now)
    if not left or waited >= FLEET_PATIENCE:
        return True
    _say(draft, f"{left} nodes are still to go.", LOOK_AT_FLEET)
    return False


def _empty_fleet(draft: Draft) -> None:
    for group in draft.actual.groups:
        if (group.min, group.max, group.desired) != (0, 0, 0):
            message = f"Emptied from {group.desired} nodes: the cluster is deleted."
            draft.act(ResizeGroup(group.name, 0, 0, 0), "FleetEmptied", message)
        if "Terminate" in group.suspended:
            message = "Resumed Terminate, which had been suspended: the cluster is deleted."
            draft.act(ResumeProcesses(group.name, ("Terminate",)), "ProcessesResumed", message, warning=True)
        # Neither a smaller size nor CloudFormation ends a node that is protected, and the group would stay for it.
        held = tuple(member.id for member in group.members if member.protected and member.step in THERE)
        if held:
            message = f"{len(held)} nodes are ended: the cluster is deleted."
            draft.act(EndNodes(group.name, held[:MOST_AT_ONCE], replace=True), "NodesEnded", message)


def _delete(draft: Draft, stack: Stack) -> None:
    message = f"Deleting stack {stack.name}."
    prefix = artifacts_prefix(draft.desired.name)
    delete = DeleteStack(stack.id, draft.token("delete", stack.id, stack.status))
    if not draft.barred(delete):
        draft.act(DeleteArtifacts(prefix), "ArtifactsDeleted", f"Deleting the objects below {prefix}.")
    draft.act(delete, "StackDeleting", message)
    _say(draft, message, LOOK_AT_STACK)


def retry(draft: Draft, stack: Stack) -> None:
    """A stack whose deletion failed: it is deleted again at growing intervals, and what blocks it is named."""
    about = f"delete {stack.id}"
    told = [(r, EVENT.get(r.status)) for r in draft.actual.resources]
    what = "; ".join(
        f"{r.logical_id} ({r.resource_type} {r.physical_id}): {r.reason if known else _unknown(r.status)}"
        for r, known in told
        if known in (None, Event.NOT_DELETED)
    )
    reason = what or stack.failure or stack.reason or "no reason is given"
    failure = draft.held_back(about)
    if failure is None:
        done = draft.failure_of(about)
        token = draft.token("delete", stack.id, done.count if done else 0)
        failure = draft.counted(about, reason, token, tries=None)
        message = f"The deletion of stack {stack.name} failed: {reason}. It is tried again."
        draft.act(DeleteStack(stack.id, token), "DeleteRetried", message, warning=True, failure=failure)
    _say(draft, f"The deletion of stack {stack.name} failed {failure.count} times: {reason}", LOOK_AT_STACK)
    if failure.count >= 3:
        message = f"Stack {stack.name} cannot be deleted because of {reason}. Remove what blocks it; it is tried again."
        draft.condition("StackReady", False, "DeletionBlocked", message)
        draft.stall("DeletionBlocked", message, "Deleting")


def _sweep_out(draft: Draft) -> None:
    """Nothing of the stack is left. What bears the cluster's tags outside any stack goes, then the record."""
    # A group that somebody had CloudFormation keep would launch again what is terminated here.
    _empty_fleet(draft)
    owner = draft.desired.owner
    instances = tuple(i.id for i in draft.actual.instances if i.alive and i.owner == owner)
    volumes = tuple(volume.id for volume in draft.actual.volumes if volume.policy == "Delete")
    if instances:
        message = f"{len(instances)} instances outlived the stack."
        draft.act(TerminateInstances(instances), "LeftoversTerminated", message, warning=True)
    if volumes:
        message = f"{len(volumes)} volumes outlived the stack."
        draft.act(DeleteVolumes(volumes), "LeftoversDeleted", message, warning=True)
    if instances or volumes:
        _say(draft, "What the stack left is being removed.", LOOK_AT_FLEET)
        return
    # Environments are none of the stack's once it is gone.
    if not drain.gone(draft):
        return
    if _may_land(draft):
        return
    name = draft.desired.name
    prefix = artifacts_prefix(name)
    kept = ", ".join(f"{item['type']} {item['id']} ({item['policy']})" for item in draft.retained)
    message = f"Cluster {name} is gone. " + (f"Kept as its spec asked: {kept}." if kept else "Nothing of it is left.")
    if draft.act(DeleteArtifacts(prefix), "ArtifactsDeleted", f"Deleting the objects below {prefix}."):
        draft.act(Forget(name), "Deleted", message)


def _may_land(draft: Draft) -> bool:
    """Whether a call that makes something may land yet; the cluster is not forgotten before."""
    since = draft.record.unsettled
    if since is None or draft.now >= since + LONGEST_FLIGHT:
        return False
    landed = iso(since + LONGEST_FLIGHT)
    message = f"A pass ended without a word at {iso(since)}: what it had begun may still come about until {landed}."
    _say(draft, message, since + LONGEST_FLIGHT - draft.now)
    return True


def _list_retained(draft: Draft) -> None:
    """What outlives the stack by the spec's own word: read while the stack still knows, remembered after."""
    rendering = draft.record.rendering
    policies: Mapping[str, str] = rendering.retained if rendering else {}
    found = [
        {"id": r.physical_id, "type": r.resource_type, "policy": policies[r.logical_id]}
        for r in draft.actual.resources
        if r.logical_id in policies and r.physical_id
    ]
    kept = found or list(draft.record.status.get("retained", ()))
    # What an update took out of the stack is known by its tag alone.
    known = {item["id"] for item in kept}
    others = (volume for volume in draft.actual.volumes if volume.policy != "Delete" and volume.id not in known)
    draft.retained = [*kept, *({"id": v.id, "type": "AWS::EC2::Volume", "policy": v.policy} for v in others)]


def _say(draft: Draft, message: str, seconds: float) -> None:
    draft.condition("StackReady", False, "Deleting", message)
    draft.progress("Deleting", message)
    draft.look(seconds)
