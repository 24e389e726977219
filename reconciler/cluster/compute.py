"""What runs: images, the head node, the queues of compute nodes and their root volumes."""

from typing import Annotated, Literal, NamedTuple

from pydantic import ConfigDict, Field

from reconciler.cluster.base import Distinct, Items, Model
from reconciler.cluster.text import (
    AmiId,
    InstanceType,
    KeyName,
    KmsKey,
    PlacementGroup,
    ShortName,
    SubnetId,
    SubnetIds,
)
from reconciler.cluster.volumes import IOPS_TEXT, THROUGHPUT_TEXT

DEFAULT_MAX_SIZE = 10

Os = Literal["alinux2023", "ubuntu2204", "ubuntu2404"]
SpotAllocationStrategy = Literal[
    "price-capacity-optimized", "capacity-optimized", "capacity-optimized-prioritized", "lowest-price"
]


class Image(Model):
    """The machine image of all nodes that name none of their own."""

    os: Os = Field(
        default="alinux2023",
        description=(
            "Operating system of all nodes. Without `ami`, the vendor's current image of it, pinned when "
            "the cluster is created. With `ami`, what that image runs."
        ),
    )
    ami: AmiId | None = Field(
        default=None,
        description=(
            "Machine image of all nodes that name none of their own; it must run `os`. All those nodes "
            "must then have one architecture, the image's."
        ),
    )


class RootVolume(Model):
    """The root volume of a node. Always encrypted; deleted with the node."""

    size: int = Field(
        default=40,
        ge=8,
        le=65536,
        description="Size in GiB; it must hold the image. gp3, io2: up to 65536; gp2, io1: up to 16384.",
    )
    type: Literal["gp3", "gp2", "io1", "io2"] = Field(
        default="gp3", description="EBS volume type (EBS user guide, volume types; st1 and sc1 cannot boot)."
    )
    iops: int | None = Field(
        default=None,
        ge=100,
        le=256000,
        description=IOPS_TEXT,
    )
    throughput: int | None = Field(
        default=None,
        ge=125,
        le=2000,
        description=THROUGHPUT_TEXT,
    )
    kms_key_id: KmsKey | None = Field(
        default=None,
        description=(
            "KMS key that encrypts the volume; default: the account's key for EBS. For queues the key's"
            " policy must let the Auto Scaling service-linked role use it."
        ),
    )


class HeadNode(Model):
    """The node that users log in to and that exports the shared storage."""

    instance_type: InstanceType = Field(description="EC2 instance type. Changing it stops and starts the node.")
    ami: AmiId | None = Field(
        default=None,
        description="Machine image of the head node, instead of `image`; it must run `image.os`.",
    )
    subnet_id: SubnetId | None = Field(
        default=None, description="Subnet of the head node; default: the first of `network.subnetIds`."
    )
    key_name: KeyName | None = Field(
        default=None, description="EC2 key pair for SSH, on all nodes; default: none, so no login by key."
    )
    elastic_ip: bool = Field(default=False, description="Give the head node a fixed public IPv4 address.")
    root_volume: RootVolume = Field(default=RootVolume(), description="Root volume of the head node.")


class Bounds(NamedTuple):
    """Sizes of a queue in nodes; `desired` is None when only the bounds are the operator's to keep."""

    min: int
    max: int
    desired: int | None


class Queue(Model):
    """A set of like compute nodes, held by one Auto Scaling group."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"not": {"required": ["size", "minSize"]}},
                {"not": {"required": ["size", "maxSize"]}},
                {
                    "if": {"not": {"properties": {"capacityType": {"const": "spot"}}, "required": ["capacityType"]}},
                    "then": {"properties": {"spotMaxPrice": False, "spotAllocationStrategy": False}},
                },
            ]
        }
    )

    name: ShortName = Field(description="Name of the queue, unique in the cluster; its group is muster-CLUSTER.NAME.")
    instance_types: Annotated[Items[InstanceType], Distinct(1, 40)] = Field(
        description=(
            "EC2 instance types, most preferred first, all of one architecture. At most 40, which is what a "
            "mixed instances policy takes."
        ),
    )
    subnet_ids: SubnetIds | None = Field(
        default=None,
        description=(
            "Subnets to launch nodes in; default: `network.subnetIds`. One only with `placementGroup` or `efa`."
        ),
    )
    capacity_type: Literal["onDemand", "spot"] = Field(
        default="onDemand", description="How the nodes are bought: onDemand or spot."
    )
    spot_max_price: float | None = Field(
        default=None,
        ge=0.001,
        le=1000,
        description=(
            "Highest price to pay for a node in USD per hour; spot only. Default: the on-demand price. EC2 "
            "refuses less than 0.001."
        ),
    )
    spot_allocation_strategy: SpotAllocationStrategy | None = Field(
        default=None,
        description=(
            "How Auto Scaling picks among types and subnets; spot only. Default: price-capacity-optimized. "
            "capacity-optimized-prioritized honours the order of `instanceTypes`."
        ),
    )
    size: int | None = Field(
        default=None,
        ge=0,
        le=5000,
        description="Fixed number of nodes: kept at exactly this. Excludes `minSize` and `maxSize`.",
    )
    min_size: int | None = Field(
        default=None,
        ge=0,
        le=5000,
        description=(
            "Fewest nodes; default 0. Between the bounds the jobs set the size with scheduler slurm; without one,"
            " others set the desired size of the group."
        ),
    )
    max_size: int | None = Field(default=None, ge=0, le=5000, description="Most nodes; default 10. At least `minSize`.")
    all_or_nothing: bool = Field(
        default=False,
        description=(
            "While nodes cannot be launched, those that came for a job of several nodes and are too few for it do not"
            " wait for the rest: they go after `idleTime`. Only with scheduler slurm."
        ),
    )
    placement_group: PlacementGroup | None = Field(
        default=None,
        description=(
            "dynamic: make a cluster placement group for the queue; or the name of an existing group. "
            "Needs exactly one subnet, since a cluster placement group lies in one Availability Zone."
        ),
    )
    root_volume: RootVolume = Field(default=RootVolume(), description="Root volume of each node of the queue.")
    ami: AmiId | None = Field(
        default=None,
        description="Machine image of the queue's nodes, instead of `image`; it must run `image.os`.",
    )
    efa: bool = Field(
        default=False,
        description=(
            "Attach an Elastic Fabric Adapter to each node. Needs exactly one subnet and instance types that "
            "support it."
        ),
    )
    disable_hyperthreading: bool = Field(
        default=False, description="Run one thread a core. x86_64 only: Graviton cores have one thread."
    )

    @property
    def bounds(self) -> Bounds:
        """Sizes to keep, defaults filled in."""
        if self.size is not None:
            return Bounds(self.size, self.size, self.size)
        return Bounds(
            self.min_size if self.min_size is not None else 0,
            self.max_size if self.max_size is not None else DEFAULT_MAX_SIZE,
            None,
        )
