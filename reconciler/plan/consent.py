"""Reading a change set: what of it needs the user's written consent.

A head node, a file system, a volume with data and a queue whose nodes run are never replaced or removed on the
operator's own judgement.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.cluster import Queue
from reconciler.facts import Actual, Change

GROUP, JOB_QUEUE = "AWS::AutoScaling::AutoScalingGroup", "AWS::Batch::JobQueue"
# Resource types whose replacement or removal takes something from the user, and what that is.
PRECIOUS: dict[str, str] = {
    "AWS::EC2::Instance": "the head node would be restarted or replaced",
    "AWS::EC2::Volume": "the volume would be replaced or removed",
    "AWS::EFS::FileSystem": "the file system would be replaced or removed",
    "AWS::FSx::FileSystem": "the file system would be replaced or removed",
    GROUP: "the queue's running nodes would be terminated",
    JOB_QUEUE: "the jobs in the queue would be ended",
}
# "Conditional" is taken for yes, since CloudFormation could not rule a replacement out: but a group is replaced on
# such a condition only by an update policy, and ours have none.
REPLACED: dict[str, frozenset[str]] = {GROUP: frozenset({"True"})}
REPLACED_OTHERS = frozenset({"True", "Conditional"})
# What a ResourceChange can do without a loss. Any other action counts as one, those that AWS may yet invent as well.
HARMLESS = frozenset({"Add", "Import"})


@dataclass(frozen=True, slots=True)
class Hold:
    """A change that waits for consent. `name` is what the user writes into spec.consent; empty when it is not known."""

    name: str
    resource: str
    reason: str

    def __str__(self) -> str:
        unnamed = "its name in the spec is not known any more, so put it back into the spec"
        way_out = f"consent by adding {self.name!r} to spec.consent" if self.name else unnamed
        return f"{self.resource}: {self.reason}; {way_out}"


def holds(
    changes: tuple[Change, ...], names: Mapping[str, str], actual: Actual, consent: frozenset[str]
) -> tuple[Hold, ...]:
    """The changes that must wait: they lose something precious that the user has not given up by name.

    `names` maps logical ids to consent names. A precious resource that has no name there is kept.
    """
    found = (_hold(change, names.get(change.logical_id, ""), actual) for change in changes)
    return tuple(hold for hold in found if hold and hold.name not in consent)


def _hold(change: Change, name: str, actual: Actual) -> Hold | None:
    replaced = REPLACED.get(change.resource_type, REPLACED_OTHERS)
    spared = change.action in HARMLESS or (change.action == "Modify" and change.replacement not in replaced)
    if spared or change.resource_type not in PRECIOUS:
        return None
    if name and change.resource_type == GROUP:
        group = actual.group(name.removeprefix("queues/"))
        if group is None or not (group.desired or group.members):
            return None
    if name and change.resource_type == JOB_QUEUE:
        of = name.removeprefix("queues/")
        if not any(queue.jobs for queue in actual.batch.queues if queue.queue == of):
            return None
    how = f"Replacement={change.replacement}" if change.replacement else change.action
    causes = f" because of {', '.join(change.causes)}" if change.causes else ""
    resource = f"{change.logical_id} ({change.resource_type})"
    return Hold(name, resource, f"{PRECIOUS[change.resource_type]} [{how}]{causes}")


def purchases(queues: tuple[Queue, ...], actual: Actual, consent: frozenset[str]) -> tuple[Hold, ...]:
    """The queues whose running nodes Auto Scaling would replace one by one, because they are bought another way.

    Source: "Update an Auto Scaling group to use a mixed instances policy", Amazon EC2 Auto Scaling user guide: after a
    change of purchase options the group replaces the instances that do not fit. A change set does not tell.
    """
    found = ((queue, actual.group(queue.name)) for queue in queues)
    return tuple(
        Hold(f"queues/{queue.name}", group.name, f"its nodes, {group.capacity_type} now, would be replaced one by one")
        for queue, group in found
        if group and group.members and group.capacity_type not in ("", queue.capacity_type)
        if f"queues/{queue.name}" not in consent
    )
