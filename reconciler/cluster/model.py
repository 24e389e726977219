"""The Cluster resource: the whole document, and what of it belongs neither to compute nor to storage."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from reconciler.cluster.base import Distinct, Items, Model
from reconciler.cluster.batch import Batch
from reconciler.cluster.compute import HeadNode, Image, Queue
from reconciler.cluster.storage import SharedStorage
from reconciler.cluster.text import (
    Annotation,
    Argument,
    ClusterName,
    Consent,
    Ipv4Cidr,
    LabelKey,
    LabelValue,
    MountDir,
    PolicyArn,
    ProxyUrl,
    S3Arn,
    ScriptUrl,
    SecurityGroupId,
    SubnetIds,
    TagKey,
    TagValue,
    VpcId,
)

API_VERSION = "muster/v1"
KIND = "Cluster"

RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]


class Network(Model):
    """Where the cluster lives and who may reach it."""

    vpc_id: VpcId = Field(description="VPC of the cluster, with DNS support and DNS hostnames on.")
    subnet_ids: SubnetIds = Field(
        description="Subnets of the nodes; the first is the head node's unless it names its own.",
    )
    ssh_from: Annotated[Items[Ipv4Cidr], Distinct(0, 20)] = Field(
        default=(),
        description="IPv4 ranges that may reach the head node by SSH; default: none.",
    )
    security_group_ids: Annotated[Items[SecurityGroupId], Distinct(0, 5)] = Field(
        default=(),
        description=(
            "Existing security groups for all nodes instead of the ones Muster makes; they must let the nodes"
            " reach each other. Excludes `sshFrom`."
        ),
    )
    additional_security_group_ids: Annotated[Items[SecurityGroupId], Distinct(0, 4)] = Field(
        default=(),
        description="Existing security groups for all nodes besides the others; 5 in all.",
    )
    public_ips: bool = Field(default=False, description="Give nodes public IPv4 addresses when they launch.")


class Scratch(Model):
    """The instance-store disks of each node, and of what runs the Batch jobs that want it, striped into one volume."""

    mount_dir: MountDir = Field(default="/scratch", description="Where nodes that have such disks mount the volume.")
    encrypted: bool = Field(default=False, description="Not supported yet: true is refused.")


class S3Access(Model):
    """Access of all nodes to a bucket or to a part of it."""

    resource: S3Arn = Field(description="ARN of a bucket, or of keys in it, which may end with *.")
    access: Literal["read", "readWrite"] = Field(description="read: list and get; readWrite: also put and delete.")


class Iam(Model):
    """Rights of the nodes beyond the least that a cluster needs."""

    additional_policies: Annotated[Items[PolicyArn], Distinct(0, 10)] = Field(
        default=(),
        description="Managed policies to attach to the nodes' roles (IAM's quota is 10).",
    )
    permissions_boundary: PolicyArn | None = Field(
        default=None, description="Managed policy that bounds every role of the cluster."
    )


class Script(Model):
    """A script that nodes fetch and run as root."""

    url: ScriptUrl = Field(description="https:// or s3:// address. The nodes are given leave to read the S3 object.")
    args: Items[Argument] = Field(
        default=(),
        max_length=64,
        description="Arguments, passed as they are: no shell reads them. Put no secrets here.",
    )


class Bootstrap(Model):
    """Scripts that every node runs at its first boot."""

    pre_install: Script | None = Field(default=None, description="Run before the storage is mounted.")
    post_install: Script | None = Field(default=None, description="Run when all else is set up.")


class Logs(Model):
    """The cluster's log group."""

    retention_days: RetentionDays = Field(
        default=14, description="Days that CloudWatch Logs keeps log events; one of the values that it takes."
    )


class Spec(Model):
    """What the user wants."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"scheduler": {"const": "awsbatch"}}, "required": ["scheduler"]},
            "then": {"properties": {"queues": False}, "required": ["batch"]},
            "else": {
                "properties": {"batch": False, "queues": {"minItems": 1}},
                "required": ["headNode", "queues"],
            },
            "allOf": [
                {
                    "if": {"properties": {"scheduler": {"const": "slurm"}}, "required": ["scheduler"]},
                    "then": {
                        "properties": {
                            "image": {"properties": {"os": {"const": "ubuntu2404"}}, "required": ["os"]},
                            "queues": {"items": {"properties": {"name": {"not": {"const": "default"}}}}},
                        },
                        "required": ["image"],
                    },
                    "else": {
                        "properties": {
                            "idleTime": False,
                            "fleet": False,
                            "queues": {"items": {"properties": {"allOrNothing": False}}},
                        }
                    },
                }
            ],
        }
    )

    scheduler: Literal["none", "slurm", "awsbatch"] = Field(
        default="none",
        description=(
            "Job scheduler. none: queues are groups of nodes, of the sizes given. slurm: nodes come and go with the"
            " jobs; needs `image.os` ubuntu2404. awsbatch: AWS Batch runs the jobs."
        ),
    )
    image: Image = Field(default=Image(), description="Operating system or machine image of the nodes.")
    head_node: HeadNode | None = Field(
        default=None,
        description="The head node. Required unless scheduler is awsbatch, where it serves volumes and submits jobs.",
    )
    queues: Items[Queue] = Field(
        default=(), max_length=10, description="Queues of compute nodes. At least one, unless scheduler is awsbatch."
    )
    batch: Batch | None = Field(
        default=None,
        description="AWS Batch. Required with scheduler awsbatch, and only with it.",
    )
    network: Network = Field(description="VPC, subnets, security groups, addresses.")
    shared_storage: Items[SharedStorage] = Field(
        default=(), max_length=20, description="Storage that all nodes share; at most 5 EBS volumes among it."
    )
    scratch: Scratch = Field(default=Scratch(), description="Instance-store disks.")
    s3_access: Items[S3Access] = Field(default=(), max_length=20, description="S3 data that the nodes may use.")
    iam: Iam = Field(default=Iam(), description="Further rights and limits of the nodes' roles.")
    tags: dict[TagKey, TagValue] = Field(
        default={},
        max_length=40,
        description="Tags on all that is made. The key Name, and keys that start with aws: or muster:, are reserved.",
    )
    bootstrap: Bootstrap = Field(default=Bootstrap(), description="Scripts to run at first boot.")
    proxy: ProxyUrl | None = Field(default=None, description="HTTP proxy for the nodes' way out.")
    logs: Logs = Field(default=Logs(), description="The log group of the cluster.")
    idle_time: int | None = Field(
        default=None,
        ge=0,
        le=10080,
        description=(
            "Minutes without a job after which a node goes, down to `minSize`; 0: at once. Only with slurm. Default:"
            " half a minute for one idle node; of several, each goes after its share of that, sooner beside free room."
        ),
    )
    fleet: Literal["running", "stopped"] = Field(
        default="running",
        description=(
            "stopped: no node starts, and each goes when its jobs have ended, whatever the size of its queue; what"
            " is submitted waits. Only with scheduler slurm."
        ),
    )
    consent: Annotated[Items[Consent], Distinct(0, 40)] = Field(
        default=(),
        description="What an update may replace, remove or shrink: headNode, queues/NAME, sharedStorage/NAME.",
    )
    paused: bool = Field(default=False, description="Leave the cluster as it is: observe, but change nothing.")
    deletion_protection: bool = Field(default=False, description="Hold the deletion of the cluster.")
    deletion_policy: Literal["Delete", "Retain"] = Field(
        default="Delete",
        description=(
            "When the spec is deleted: Delete takes the cluster down, Retain leaves the stack in place and forgets it."
        ),
    )


class Metadata(Model):
    """Name and remarks."""

    name: ClusterName = Field(description="Name of the cluster, unique in the account and region. Cannot change.")
    labels: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=64, description="Short values to select by, as in Kubernetes."
    )
    annotations: dict[LabelKey, Annotation] = Field(
        default={}, max_length=64, description="Free remarks of users and tools."
    )


class Cluster(Model):
    """A cluster as its user wants it."""

    api_version: Literal["muster/v1"] = Field(default=API_VERSION, description="Version of this resource.")
    kind: Literal["Cluster"] = Field(default=KIND, description="Kind of this resource.")
    metadata: Metadata = Field(description="Name, labels, annotations.")
    spec: Spec = Field(description="The cluster as it should be.")
