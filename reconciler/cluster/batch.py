"""AWS Batch: images, compute environments, queues, job definitions.

Limits and defaults are those of the AWS Batch API reference and user guide, unless a field says otherwise.
"""

from typing import Annotated, Literal

from pydantic import Field

from reconciler.cluster.base import Distinct, Items, Model
from reconciler.cluster.compute import RootVolume
from reconciler.cluster.text import (
    AmiId,
    Argument,
    BatchInstanceType,
    Dockerfile,
    EnvironmentName,
    EnvironmentValue,
    ExitCodePattern,
    ImageUri,
    MountDir,
    RetryPattern,
    S3Object,
    SecretArn,
    ShareName,
    ShortName,
    SubnetIds,
)

EnvironmentType = Literal["EC2", "SPOT", "FARGATE", "FARGATE_SPOT"]
FARGATE = ("FARGATE", "FARGATE_SPOT")
AllocationStrategy = Literal[
    "BEST_FIT", "BEST_FIT_PROGRESSIVE", "SPOT_CAPACITY_OPTIMIZED", "SPOT_PRICE_CAPACITY_OPTIMIZED"
]
Vcpus = Annotated[int, Field(ge=0, le=100_000)]


class ContainerImage(Model):
    """An image that jobs run: built from a Dockerfile, or one that exists. Exactly one of the sources."""

    name: ShortName = Field(description="Name of the image, by which job definitions know it.")
    dockerfile: Dockerfile | None = Field(
        default=None, description="The text of a Dockerfile that needs no other files (at most 16 KiB)."
    )
    archive: S3Object | None = Field(
        default=None,
        description=(
            "s3:// address of a zip archive with a Dockerfile at its root. An address is built once, so another content"
            " needs another key; `muster apply` sees to that when it packs a `directory`."
        ),
    )
    uri: ImageUri | None = Field(default=None, description="An image in a registry, used as it is and never built.")


class ComputeEnvironment(Model):
    """Where jobs run: a managed compute environment of AWS Batch."""

    name: ShortName = Field(description="Name of the compute environment, unique in the cluster.")
    type: EnvironmentType = Field(default="EC2", description="What it is made of, and how that is bought.")
    instance_types: Annotated[Items[BatchInstanceType], Distinct(1, 40)] = Field(
        default=("optimal",),
        description="EC2 instance types, families, or optimal (the current x86 families). Not for Fargate.",
    )
    architecture: Literal["x86_64", "arm64"] = Field(
        default="x86_64", description="Processor architecture, of the instance types and of the images that run here."
    )
    min_vcpus: Vcpus | None = Field(
        default=None, description="vCPUs kept even when idle; default 0. Not for Fargate, which keeps none."
    )
    max_vcpus: Vcpus = Field(default=20, description="Most vCPUs at a time; Batch may exceed it by one instance.")
    desired_vcpus: Vcpus | None = Field(
        default=None,
        description="vCPUs to start with; Batch moves them with the jobs from then on. Default: none. Not for Fargate.",
    )
    allocation_strategy: AllocationStrategy | None = Field(
        default=None,
        description=(
            "How Batch picks instance types; default BEST_FIT_PROGRESSIVE, for Spot SPOT_PRICE_CAPACITY_OPTIMIZED."
            " Not for Fargate."
        ),
    )
    bid_percentage: int | None = Field(
        default=None, ge=1, le=100, description="Highest Spot price as a percentage of the on-demand price. SPOT only."
    )
    subnet_ids: SubnetIds | None = Field(
        default=None, description="Subnets to launch in; default: `network.subnetIds`."
    )
    ami: AmiId | None = Field(
        default=None, description="ECS-optimised machine image instead of the one that Batch picks. Not for Fargate."
    )
    root_volume: RootVolume = Field(default=RootVolume(), description="Root volume of the instances. Not for Fargate.")


class Share(Model):
    """A share of a queue's capacity."""

    name: ShareName = Field(description="Share identifier that jobs are submitted with; a * at its end matches more.")
    weight: float = Field(
        default=1.0, ge=0.0001, le=999.9999, description="Weight factor: half of it gives twice the capacity."
    )


class FairShare(Model):
    """How a queue shares its capacity among those who use it."""

    decay_seconds: int = Field(
        default=600, ge=0, le=604800, description="Seconds over which past use counts; 0 is Batch's own 600."
    )
    compute_reservation: int = Field(
        default=0, ge=0, le=99, description="Percentage of the vCPUs kept for shares that are not in use."
    )
    shares: Items[Share] = Field(default=(), max_length=500, description="Shares whose weight is not 1.")


class JobQueue(Model):
    """Where jobs are submitted to."""

    name: ShortName = Field(description="Name of the queue, unique in the cluster.")
    compute_environments: Annotated[Items[ShortName], Distinct(1, 3)] = Field(
        description="Compute environments in the order in which they are tried: all EC2 or all Fargate."
    )
    priority: int = Field(default=1, ge=0, le=9999, description="Of queues that share an environment, higher is first.")
    fair_share: FairShare | None = Field(default=None, description="Fair-share scheduling; default: first come first.")


class Retry(Model):
    """One condition on how an attempt ended. All patterns that are given have to match; * at the end matches more."""

    on_exit_code: ExitCodePattern | None = Field(default=None, description="Pattern of the exit code.")
    on_reason: RetryPattern | None = Field(default=None, description="Pattern of the container's reason.")
    on_status_reason: RetryPattern | None = Field(
        default=None, description="Pattern of the job's status reason; Host EC2* is a lost instance."
    )
    action: Literal["RETRY", "EXIT"] = Field(description="What to do then.")


class Mount(Model):
    """Shared storage of the cluster, mounted in a job's container."""

    storage: ShortName = Field(description="Name of an entry of `sharedStorage`.")
    path: MountDir | None = Field(default=None, description="Where in the container; default: the storage's mountDir.")
    read_only: bool = Field(default=False, description="Whether jobs may not write to it.")


class JobDefinition(Model):
    """What a job runs in, and what it gets unless it asks for something else."""

    name: ShortName = Field(description="Name of the job definition, unique in the cluster.")
    image: ShortName = Field(description="Name of an entry of `images`.")
    platform: Literal["EC2", "FARGATE"] = Field(default="EC2", description="What kind of environment it runs in.")
    architecture: Literal["x86_64", "arm64"] = Field(default="x86_64", description="Processor architecture.")
    command: Items[Argument] = Field(default=(), max_length=100, description="Command; default: the image's.")
    vcpus: float = Field(default=1, ge=0.25, le=10_000, description="vCPUs of a job, or of each node of it.")
    memory: int = Field(default=2048, ge=4, le=24_000_000, description="Memory in MiB.")
    gpus: int = Field(default=0, ge=0, le=64, description="GPUs. Not for Fargate.")
    nodes: int | None = Field(
        default=None, ge=1, le=1000, description="Nodes of a multi-node parallel job; default: not one. Needs type EC2."
    )
    array_size: int | None = Field(
        default=None,
        ge=2,
        le=10_000,
        description="Jobs of an array that `muster job submit` makes unless it is told otherwise. Not with nodes.",
    )
    attempts: int = Field(default=1, ge=1, le=10, description="How often a job is tried.")
    retries: Items[Retry] = Field(
        default=(),
        max_length=5,
        description="First match counts; what matches none is tried again. Needs attempts above 1.",
    )
    timeout: int | None = Field(
        default=None, ge=60, le=31_536_000, description="Seconds after which an attempt is ended."
    )
    environment: dict[EnvironmentName, EnvironmentValue] = Field(
        default={}, max_length=50, description="Environment variables. No secrets: they can be read by many."
    )
    secrets: dict[EnvironmentName, SecretArn] = Field(
        default={},
        max_length=20,
        description="Environment variables by the ARN of a Secrets Manager secret or an SSM parameter.",
    )
    mounts: Items[Mount] = Field(default=(), max_length=10, description="Shared storage in the container.")
    scratch: bool = Field(
        default=False,
        description=(
            "Mount `scratch.mountDir` of the instance in the container: its instance-store disks, or else its root"
            " volume. EC2 only. Other jobs of the instance see it too."
        ),
    )
    shared_memory: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Size of /dev/shm in MiB. Not for Fargate."
    )
    privileged: bool = Field(default=False, description="Give the container the rights of its host's root. EC2 only.")


class Batch(Model):
    """The AWS Batch half of a cluster."""

    images: Items[ContainerImage] = Field(min_length=1, max_length=20, description="Container images.")
    compute_environments: Items[ComputeEnvironment] = Field(min_length=1, max_length=20, description="Where jobs run.")
    queues: Items[JobQueue] = Field(min_length=1, max_length=20, description="Where jobs are submitted to.")
    job_definitions: Items[JobDefinition] = Field(min_length=1, max_length=50, description="What jobs run in.")
    on_delete: Literal["CancelJobs", "WaitForJobs"] = Field(
        default="CancelJobs", description="What becomes of jobs when the cluster is deleted."
    )
