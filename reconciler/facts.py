"""What a pass sees of a cluster in AWS: plain values, no behaviour that could reach the network.

Everything here is read by `plan` and made by `observe`. A fact keeps AWS's own words (statuses, lifecycle
states, process names), so that a reader can look them up in AWS's documents.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.batch import DEFINITION, BatchFacts, arns
from reconciler.nodes import NodeFacts
from reconciler.statuses import HEAD_NODE, LIFECYCLE, HeadNode, MemberStep

OWNER_TAG = "muster:owner"
CLUSTER_TAG = "muster:cluster"
HASH_TAG = "muster:hash"
VERSION_TAG = "muster:version"
NODE_TAG = "muster:node"
QUEUE_TAG = "muster:queue"
DELETION_POLICY_TAG = "muster:deletion-policy"

# What the tag of a node says of the head node, and the filter of EC2 for it.
HEAD = "head"
HEADS = {"Name": f"tag:{NODE_TAG}", "Values": [HEAD]}

STACK_PREFIX = "muster-"


def stack_name(cluster: str) -> str:
    """The name of the CloudFormation stack of a cluster."""
    return f"{STACK_PREFIX}{cluster}"


def group_name(cluster: str, queue: str) -> str:
    """The name of the Auto Scaling group of a queue. The dot can be in neither part, so it splits back."""
    return f"{STACK_PREFIX}{cluster}.{queue}"


def job_queue_name(cluster: str, queue: str) -> str:
    """The name of the Batch job queue of a queue. The underscore can be in neither part, so it splits back."""
    return f"{STACK_PREFIX}{cluster}_{queue}"


def job_definition_name(cluster: str, definition: str) -> str:
    """The name of a Batch job definition of a cluster; it splits as a queue's does."""
    return f"{STACK_PREFIX}{cluster}_{definition}"


def repository_name(cluster: str) -> str:
    """The name of the ECR repository of a cluster's images."""
    return f"muster/{cluster}"


def artifacts_prefix(cluster: str) -> str:
    """Where a cluster's objects lie in the artifacts bucket."""
    return f"clusters/{cluster}/"


def jobs_prefix(cluster: str) -> str:
    """Where the files of a cluster's jobs lie in the artifacts bucket."""
    return f"{artifacts_prefix(cluster)}jobs/"


def sources_prefix(cluster: str) -> str:
    """Where the sources of a cluster's images lie in the artifacts bucket."""
    return f"{artifacts_prefix(cluster)}sources/"


def agent_key(cluster: str, digest: str) -> str:
    """Where the archive of what a cluster's nodes run lies in the artifacts bucket; `digest` is its SHA-256."""
    return f"{artifacts_prefix(cluster)}agent/{digest}.pyz"


@dataclass(frozen=True, slots=True)
class Stack:
    """A CloudFormation stack as DescribeStacks shows it; `failure` is the first cause its events name."""

    id: str
    name: str
    status: str
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])
    failure: str = ""

    def owned_by(self, owner: str, cluster: str) -> bool:
        """Whether this operator made it for this cluster; nothing else may be touched."""
        return self.tags.get(OWNER_TAG) == owner and self.tags.get(CLUSTER_TAG) == cluster


@dataclass(frozen=True, slots=True)
class Change:
    """One ResourceChange of a change set. `replacement` is True, False, Conditional or empty, as AWS says."""

    action: str
    logical_id: str
    resource_type: str
    replacement: str = ""
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A change set: its own status, whether it may be executed, and what it would do. Names come again, ids do not."""

    name: str
    status: str
    execution_status: str = ""
    reason: str = ""
    changes: tuple[Change, ...] = ()
    id: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """An instance as its Auto Scaling group sees it. `template_version` is the one it was launched from.

    A `protected` one is not taken when the group shrinks.
    """

    id: str
    lifecycle: str
    health: str = "Healthy"
    template_version: str = ""
    protected: bool = False

    @property
    def step(self) -> MemberStep | None:
        """What its lifecycle state means for its queue; None if no table knows it."""
        return LIFECYCLE.get(self.lifecycle)


@dataclass(frozen=True, slots=True)
class Launch:
    """An activity of a group that was to launch an instance; `at` is when it began (seconds since the epoch)."""

    id: str
    status: str
    message: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """An Auto Scaling group; sizes in instances.

    `activity` and its message are its newest activity's, asked for when members are lacking, and `launches` the newest
    launches, the newest first; `capacity_type` is onDemand or spot, empty when it is neither wholly.
    """

    name: str
    queue: str
    min: int
    max: int
    desired: int
    suspended: tuple[str, ...] = ()
    template_version: str = ""
    members: tuple[Member, ...] = ()
    activity: str = ""
    activity_message: str = ""
    capacity_type: str = ""
    launches: tuple[Launch, ...] = ()

    @property
    def in_service(self) -> int:
        """Members that are in service, so usable."""
        return sum(1 for member in self.members if member.step is MemberStep.USABLE)

    @property
    def outdated(self) -> int:
        """Members that were launched from an older version of the launch template than the group's."""
        return sum(1 for member in self.members if self.is_outdated(member))

    def is_outdated(self, member: Member) -> bool:
        """Whether it was launched from an older version of the launch template than the group's."""
        versions = {member.template_version, self.template_version}
        return "" not in versions and len(versions) > 1


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance that bears the cluster's tags; `node` is head or compute.

    `launched` is when it was last started, in seconds since the epoch.
    """

    id: str
    state: str
    node: str = ""
    queue: str = ""
    private_ip: str = ""
    public_ip: str = ""
    owner: str = ""
    launched: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether it still exists for its user (EC2 shows terminated instances for about an hour)."""
        return HEAD_NODE.get(self.state) is not HeadNode.GONE


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something with the cluster's ownership tags that stands outside any stack, and what was to become of it."""

    kind: str
    id: str
    policy: str = "Delete"


@dataclass(frozen=True, slots=True)
class StackResource:
    """A resource of the stack as ListStackResources shows it."""

    logical_id: str
    physical_id: str
    resource_type: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Actual:
    """All that one pass saw. None for the stack means that CloudFormation knows none of that name.

    `instances` is the head node alone unless the cluster is being deleted. `nodes` is None where no rows of nodes were
    asked for.
    """

    stack: Stack | None = None
    change_set: ChangeSet | None = None
    groups: tuple[Group, ...] = ()
    instances: tuple[Instance, ...] = ()
    volumes: tuple[Leftover, ...] = ()
    resources: tuple[StackResource, ...] = ()
    batch: BatchFacts = field(default_factory=BatchFacts)
    nodes: NodeFacts | None = None

    def group(self, queue: str) -> Group | None:
        """The group of a queue, if there is one."""
        return next((group for group in self.groups if group.queue == queue), None)

    @property
    def head(self) -> Instance | None:
        """The head node: the living one if there is one, else the newest that EC2 still shows."""
        heads = [instance for instance in self.instances if instance.node == HEAD]
        return next((head for head in heads if head.alive), heads[-1] if heads else None)


def digest(actual: Actual) -> str:
    """A short hash of what the sweep can see of a cluster from its paged describes.

    The pass stores it; the sweep wakes a cluster whose digest is no longer that one. So it holds only what
    DescribeStacks, DescribeAutoScalingGroups, DescribeInstances and their like of AWS Batch say, and not the details
    a pass asks for. Of instances it holds the head node alone: of the others their groups tell.
    """
    stack, batch = actual.stack, actual.batch
    seen: dict[str, Any] = {
        "stack": [stack.id, stack.status, stack.tags.get(HASH_TAG, "")] if stack else None,
        "groups": sorted(
            [
                group.name,
                group.min,
                group.max,
                group.desired,
                sorted(group.suspended),
                group.template_version,
                sorted([member.id, member.lifecycle, member.health] for member in group.members),
            ]
            for group in actual.groups
        ),
        "instances": sorted(
            [i.id, i.state, i.private_ip, i.public_ip] for i in actual.instances if i.node == HEAD and i.alive
        ),
    }
    if batch.environments or batch.queues or batch.definitions:
        seen["batch"] = [
            sorted([e.name, e.state, e.status, e.min, e.max, e.desired] for e in batch.environments),
            sorted([q.name, q.state, q.status, q.priority, q.environments] for q in batch.queues),
            [batch.definitions.get(arn, False) for arn in arns(stack.outputs if stack else {}, DEFINITION)],
        ]
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]
