"""AWS Batch as the job verbs see it: the queues and definitions of a cluster, and jobs. Everything in pages.

A queue is a cluster's by its name. Neither the cluster's stack nor its record is looked at: jobs can be submitted and
followed whatever becomes of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config

from cli.failures import Failure
from reconciler.facts import CLUSTER_TAG, OWNER_TAG, job_definition_name, job_queue_name

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

    from cli.options import Target

Named = Mapping[str, Any]
Job = Mapping[str, Any]
T = TypeVar("T")

# What DescribeJobs, DescribeComputeEnvironments and ECS's DescribeContainerInstances take in one call.
CHUNK = 100
# Batch throttles an account at some tens of calls a second: a listing outlasts that.
CONFIG = Config(retries={"mode": "standard", "max_attempts": 10}, connect_timeout=5, read_timeout=30)


class Aws:
    """The services that the job verbs call, each client made when first used. `owner` is the control plane."""

    def __init__(self, target: Target) -> None:
        boto3.setup_default_session(profile_name=target.profile, region_name=target.region)
        self.owner = target.stack

    def _make(self, service: Any) -> Any:
        return boto3.client(service, config=CONFIG)

    @cached_property
    def batch(self) -> BatchClient:  # noqa: D102
        return self._make("batch")

    @cached_property
    def ec2(self) -> EC2Client:  # noqa: D102
        return self._make("ec2")

    @cached_property
    def ecs(self) -> Any:  # noqa: D102
        return self._make("ecs")

    @cached_property
    def logs(self) -> CloudWatchLogsClient:  # noqa: D102
        return self._make("logs")

    @cached_property
    def s3(self) -> S3Client:  # noqa: D102
        return self._make("s3")

    @property
    def region(self) -> str:
        """The region that all of them call."""
        return self.batch.meta.region_name


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The items in lists of at most so many."""
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk


def pages(client: Any, operation: str, part: str, **asked: Any) -> Iterator[list[Named]]:
    """The pages of an answer of several."""
    for page in client.get_paginator(operation).paginate(**asked):
        yield page[part]


def queues(aws: Aws, cluster: str, name: str = "") -> dict[str, Named]:
    """The job queues of a cluster by their own names, or the one that is named. Raises Failure when there is none."""
    if not cluster:
        raise Failure("no cluster: name it with -c, or set MUSTER_CLUSTER")
    prefix = job_queue_name(cluster, "")
    every = (queue for page in pages(aws.batch, "describe_job_queues", "jobQueues") for queue in page)
    found = {
        queue["jobQueueName"].removeprefix(prefix): queue
        for queue in sorted(every, key=lambda queue: queue["jobQueueName"])
        if queue["jobQueueName"].startswith(prefix) and _of(aws, cluster, queue)
    }
    if not found:
        raise Failure(
            f"no job queue {prefix}* in {aws.region}: cluster {cluster} is none of AWS Batch, or has no queue yet; "
            "-c, --stack and --region name another"
        )
    return {name.removeprefix(prefix): _chosen("queue", found, name.removeprefix(prefix))} if name else found


def queue(aws: Aws, cluster: str, name: str) -> Named:
    """The queue that is named, else the only one. Raises Failure."""
    return _only("queue", "--queue", queues(aws, cluster, name))


def definition(aws: Aws, cluster: str, name: str) -> Named:
    """The newest revision of the job definition that is named, else of the only one. Raises Failure."""
    prefix = job_definition_name(cluster, "")
    wanted = name.removeprefix(prefix)
    asked = {"jobDefinitionName": prefix + wanted} if name else {}
    found: dict[str, Named] = {}
    for page in pages(aws.batch, "describe_job_definitions", "jobDefinitions", status="ACTIVE", **asked):
        for each in page:
            own = each["jobDefinitionName"].removeprefix(prefix)
            if each["jobDefinitionName"].startswith(prefix) and _of(aws, cluster, each):
                found[own] = max(each, found.get(own, each), key=lambda revision: revision["revision"])
    if not found:
        raise Failure(
            f"no active job definition {prefix}{wanted or '*'} in {aws.region}: -c and --definition name another"
        )
    return _only("job definition", "--definition", found)


def _of(aws: Aws, cluster: str, named: Named) -> bool:
    """Whether what bears a cluster's name is not marked as another's."""
    tags = named.get("tags", {})
    return tags.get(CLUSTER_TAG, cluster) == cluster and tags.get(OWNER_TAG, aws.owner) == aws.owner


def _chosen(kind: str, found: Mapping[str, T], name: str) -> T:
    if name not in found:
        raise Failure(f'no {kind} "{name}": there is {", ".join(sorted(found))}')
    return found[name]


def _only(kind: str, option: str, found: Mapping[str, T]) -> T:
    if len(found) > 1:
        raise Failure(f"there are several {kind}s: choose one with {option}: {', '.join(sorted(found))}")
    return next(iter(found.values()))


def described(aws: Aws, ids: Iterable[str]) -> Iterator[list[Job]]:
    """Jobs in full, in the order of their ids and a page for each hundred; those that Batch forgot are left out."""
    for chunk in chunks(ids):
        found = {job["jobId"]: job for job in aws.batch.describe_jobs(jobs=chunk)["jobs"]}
        yield [found[identifier] for identifier in chunk if identifier in found]


def known(aws: Aws, ids: Sequence[str], cluster: str = "") -> list[Job]:
    """Jobs in full. Raises Failure when one of them is not there, or is another cluster's."""
    found = {job["jobId"]: job for page in described(aws, ids) for job in page}
    missing = [identifier for identifier in ids if identifier not in found]
    if missing:
        raise Failure(*(f"no job {each} in {aws.region}: Batch forgets a job a week after its end" for each in missing))
    jobs = [found[identifier] for identifier in ids]
    strange = [job for job in jobs if cluster and not queue_of(job).startswith(job_queue_name(cluster, ""))]
    if strange:
        raise Failure(
            *(
                f"job {job['jobId']} is in queue {queue_of(job)}, not in cluster {cluster}: name its own with -c"
                for job in strange
            )
        )
    return jobs


def listed(aws: Aws, queue: Named, statuses: Iterable[str]) -> Iterator[list[Job]]:
    """The jobs of a queue that are in one of these states, in pages."""
    for status in statuses:
        yield from pages(aws.batch, "list_jobs", "jobSummaryList", jobQueue=queue["jobQueueArn"], jobStatus=status)


def children(job: Job) -> list[str]:
    """The ids of the children of an array, or of the nodes of a job of several; none of any other job."""
    identifier: str = job["jobId"]
    if ":" in identifier or "#" in identifier:
        return []
    indexes = [f"{identifier}:{index}" for index in range(job.get("arrayProperties", {}).get("size", 0))]
    return indexes or [f"{identifier}#{node}" for node in range(job.get("nodeProperties", {}).get("numNodes", 0))]


def queue_of(job: Job) -> str:
    """The name of a job's queue; a summary has none."""
    return last(job.get("jobQueue", ""))


def last(arn: str) -> str:
    """The name at the end of an ARN."""
    return arn.rpartition("/")[2]


def environments(aws: Aws, of_queues: Iterable[Named]) -> dict[str, Named]:
    """The compute environments of queues by their ARNs, each once."""
    orders = (each for queue in of_queues for each in queue["computeEnvironmentOrder"])
    arns = dict.fromkeys(each["computeEnvironment"] for each in orders)
    found = (
        environment
        for chunk in chunks(arns)
        for page in pages(aws.batch, "describe_compute_environments", "computeEnvironments", computeEnvironments=chunk)
        for environment in page
    )
    return {environment["computeEnvironmentArn"]: environment for environment in found}
