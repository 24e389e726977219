"""What every part of the template needs to know, and the few shapes that they share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from reconciler.cluster import Batch, Cluster, HeadNode, Queue, Spec, architecture
from reconciler.facts import CLUSTER_TAG, HASH_TAG, OWNER_TAG, VERSION_TAG
from reconciler.pins import Pins
from reconciler.render.site import Site

Json: TypeAlias = dict[str, Any]
"""A part of a CloudFormation template."""

Resources: TypeAlias = dict[str, Json]
"""Resources of a template by logical id."""


class MissingPinError(LookupError):
    """An image or a zone that the rendering needs and the pins lack."""


# Logical ids that more than one part of the template refers to.
HEAD_NODE = "HeadNode"


def logical_id(name: str) -> str:
    """A queue's or storage's name as a part of a logical id, which takes letters and digits only.

    Names have no capitals, so that no two names give the same id.
    """
    return (name[0].upper() + name[1:]).replace("-", "Dash")


def ref(logical: str) -> Json:
    """A reference to a resource."""
    return {"Ref": logical}


def attribute(logical: str, name: str) -> Json:
    """A reference to an attribute of a resource."""
    return {"Fn::GetAtt": [logical, name]}


def latest(template: str) -> Json:
    """The version of a launch template that this stack has made last."""
    return {"LaunchTemplateId": ref(template), "Version": attribute(template, "LatestVersionNumber")}


def present(**properties: Any) -> Json:
    """The properties that have a value: None is what the user left to AWS."""
    return {key: value for key, value in properties.items() if value is not None}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the form that most resources take, by key."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


@dataclass(frozen=True, slots=True)
class Context:
    """The cluster to render, and where."""

    cluster: Cluster
    site: Site
    pins: Pins

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.cluster.metadata.name

    @property
    def spec(self) -> Spec:
        """What the user wants."""
        return self.cluster.spec

    @property
    def log_group(self) -> str:
        """The name of the cluster's log group."""
        return f"/muster/{self.name}"

    @property
    def nodes_prefix(self) -> str:
        """The only part of the artifacts bucket that nodes write to."""
        return f"clusters/{self.name}/nodes/"

    @property
    def marks(self) -> dict[str, str]:
        """The tags that say whose a resource is; the operator touches nothing without them."""
        return {CLUSTER_TAG: self.name, OWNER_TAG: self.site.owner}

    @property
    def still_marks(self) -> dict[str, str]:
        """The marks, with a word in the place of the stack's tags that are others after each update.

        CloudFormation gives the stack's tags to its resources, and a resource's own tag goes before. Batch's resources
        must not be touched for them: a compute environment would be replaced (``createOnlyProperties`` of its schema),
        which with a name of its own fails the update.
        """
        return {**self.marks, HASH_TAG: "-", VERSION_TAG: "-"}

    @property
    def tags(self) -> dict[str, str]:
        """All tags of the cluster, the user's too.

        CloudFormation gives the stack's tags to its resources. They are written out only where it cannot: on
        what is launched from a launch template. On every resource they could make the template too large.
        """
        return {**self.spec.tags, **self.marks}

    @property
    def head(self) -> HeadNode:
        """The head node; only what belongs to one asks."""
        assert self.spec.head_node is not None
        return self.spec.head_node

    @property
    def head_subnet(self) -> str:
        """The head node's subnet."""
        return self.head.subnet_id or self.spec.network.subnet_ids[0]

    @property
    def batch(self) -> Batch:
        """The Batch part; only what belongs to one asks."""
        assert self.spec.batch is not None
        return self.spec.batch

    @property
    def home_subnet(self) -> str:
        """The subnet that cannot change: the head node's, or of a cluster without one the first."""
        return self.head_subnet if self.spec.head_node else self.spec.network.subnet_ids[0]

    @property
    def node_subnets(self) -> list[str]:
        """All subnets that nodes or jobs run in, sorted."""
        environments = self.spec.batch.compute_environments if self.spec.batch else ()
        given = [queue.subnet_ids for queue in self.spec.queues] + [each.subnet_ids for each in environments]
        return sorted({subnet for subnets in given for subnet in subnets or self.spec.network.subnet_ids})

    def subnets(self, queue: Queue) -> list[str]:
        """The subnets of a queue."""
        return list(queue.subnet_ids or self.spec.network.subnet_ids)

    def zone(self, subnet: str) -> str:
        """The Availability Zone of a subnet. Raises MissingPinError."""
        return _pinned(self.pins.zones, subnet, "zone of subnet")

    def image(self, instance_type: str, ami: str | None) -> str:
        """The AMI of a node: its own, the cluster's, or the pinned one of its OS. Raises MissingPinError."""
        image = self.spec.image
        return ami or image.ami or _pinned(self.pins.images, image_key(image.os, instance_type), "image")


def image_key(os: str, instance_type: str) -> str:
    """The name under which the image of an OS is pinned for an instance type."""
    return f"{os}/{architecture(instance_type)}"


def _pinned(pins: Mapping[str, str], key: str, what: str) -> str:
    if key not in pins:
        raise MissingPinError(f"no {what} pinned for {key}")
    return pins[key]
