"""Reading the AWS Batch half of a cluster: one call for each kind of thing, more only where something is the matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from reconciler.batch import (
    DEFINITION,
    ENVIRONMENT,
    PROJECT,
    QUEUE,
    REPOSITORY,
    TAG_VARIABLE,
    BatchFacts,
    Build,
    Environment,
    JobQueue,
    arns,
    names,
)
from reconciler.facts import QUEUE_TAG
from reconciler.statuses import BUILD, JOB, BuildStep, JobStep

if TYPE_CHECKING:
    from reconciler.clients import Clients

# What Batch takes in one describe, and ECS (API references).
CHUNK = 100
# Pages of 100 jobs that are read of a status before "more" is said instead of a number.
JOB_PAGES = 10
ACTIVE_JOBS = tuple(status for status, step in JOB.items() if step is not JobStep.DONE)


def observe_batch(
    clients: Clients,
    marks: Mapping[str, str],
    outputs: Mapping[str, str],
    known: Collection[str],
    images: Collection[str],
    *,
    deleting: bool,
) -> BatchFacts:
    """The Batch half of a cluster. Raises what boto3 raises.

    `marks` are the cluster's tags: what does not bear them is left out. `outputs` are its stack's, empty when there is
    none; `known` the names of environments that may stand outside of the stack; `images` the tags that are wanted.
    """
    current = frozenset(names(arns(outputs, ENVIRONMENT)))
    found = [each for each in _environments(clients, current.union(known)) if _ours(each, marks)]
    environments = _with_tasks(clients, [environment_of(each) for each in found], current)
    built = _images(clients, outputs.get(REPOSITORY, ""), images) if not deleting else {}
    project = outputs.get(PROJECT, "")
    return BatchFacts(
        environments=tuple(environments),
        queues=tuple(_queues(clients, arns(outputs, QUEUE), marks)),
        definitions=_definitions(clients, arns(outputs, DEFINITION)),
        images=built,
        builds=tuple(_builds(clients, project)) if project and (deleting or set(images) - built.keys()) else (),
        current=current,
    )


def _ours(described: Mapping[str, Any], marks: Mapping[str, str]) -> bool:
    return marks.items() <= described.get("tags", {}).items()


def _chunks(values: Iterable[str]) -> Iterable[list[str]]:
    wanted = sorted(values)
    return (wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK))


def _environments(clients: Clients, wanted: Iterable[str]) -> list[Any]:
    return [
        each
        for chunk in _chunks(wanted)
        for each in clients.batch.describe_compute_environments(computeEnvironments=chunk)["computeEnvironments"]
    ]


def environment_of(found: Mapping[str, Any]) -> Environment:
    """A compute environment as DescribeComputeEnvironments describes it."""
    resources = found.get("computeResources", {})
    return Environment(
        name=found["computeEnvironmentName"],
        arn=found["computeEnvironmentArn"],
        state=found.get("state", ""),
        status=found.get("status", ""),
        reason=found.get("statusReason", ""),
        kind=resources.get("type", ""),
        min=resources.get("minvCpus", 0),
        max=resources.get("maxvCpus", 0),
        desired=resources.get("desiredvCpus", 0),
        ecs_cluster=found.get("ecsClusterArn", ""),
    )


def _with_tasks(clients: Clients, found: list[Environment], current: frozenset[str]) -> list[Environment]:
    """The environments, with their tasks where they are to go: Batch tells of no job where it runs until it runs."""
    asked = [each.ecs_cluster for each in found if each.name not in current and each.ecs_cluster]
    tasks: dict[str, int] = {}
    for chunk in _chunks(asked):
        for each in clients.ecs.describe_clusters(clusters=chunk)["clusters"]:
            tasks[each.get("clusterArn", "")] = each.get("runningTasksCount", 0) + each.get("pendingTasksCount", 0)
    return [replace(each, tasks=tasks.get(each.ecs_cluster)) for each in found]


def _queues(clients: Clients, wanted: list[str], marks: Mapping[str, str]) -> Iterable[JobQueue]:
    for chunk in _chunks(wanted):
        for found in clients.batch.describe_job_queues(jobQueues=chunk)["jobQueues"]:
            if _ours(found, marks):
                yield _with_jobs(clients, queue_of(found))


def queue_of(found: Mapping[str, Any]) -> JobQueue:
    """A job queue as DescribeJobQueues describes it; its jobs are another question."""
    order = sorted(found.get("computeEnvironmentOrder", ()), key=lambda each: each["order"])
    return JobQueue(
        name=found["jobQueueName"],
        arn=found["jobQueueArn"],
        queue=found.get("tags", {}).get(QUEUE_TAG, ""),
        state=found.get("state", ""),
        status=found.get("status", ""),
        reason=found.get("statusReason", ""),
        priority=found.get("priority", 0),
        environments=tuple(names(each["computeEnvironment"] for each in order)),
        fair_share=bool(found.get("schedulingPolicyArn")),
    )


def _with_jobs(clients: Clients, queue: JobQueue) -> JobQueue:
    jobs: Counter[str] = Counter()
    more = False
    for status in ACTIVE_JOBS:
        token: dict[str, Any] = {}
        for _ in range(JOB_PAGES):
            answer: Any = clients.batch.list_jobs(jobQueue=queue.arn, jobStatus=cast("Any", status), **token)
            jobs[status] += len(answer["jobSummaryList"])
            if not answer.get("nextToken"):
                break
            token = {"nextToken": answer["nextToken"]}
        else:
            more = True
    return replace(queue, jobs={status: count for status, count in jobs.items() if count}, more=more)


def _definitions(clients: Clients, wanted: list[str]) -> dict[str, bool]:
    return {
        each["jobDefinitionArn"]: each.get("status") == "ACTIVE"
        for chunk in _chunks(wanted)
        for each in clients.batch.describe_job_definitions(jobDefinitions=chunk)["jobDefinitions"]
    }


def _images(clients: Clients, repository: str, tags: Collection[str]) -> dict[str, str]:
    """The digests of those tags that are there. DescribeImages would fail for all where one is missing."""
    if not repository or not tags:
        return {}
    ids: list[Any] = [{"imageTag": tag} for tag in sorted(tags)]
    try:
        found = clients.ecr.batch_get_image(repositoryName=repository, imageIds=ids)["images"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "RepositoryNotFoundException":
            return {}
        raise
    told = [each.get("imageId", {}) for each in found]
    return {each.get("imageTag", ""): each.get("imageDigest", "") for each in told}


def _builds(clients: Clients, project: str) -> Iterable[Build]:
    """The newest hundred builds of the project, the newest first."""
    try:
        told = clients.codebuild.list_builds_for_project(projectName=project, sortOrder="DESCENDING")
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ResourceNotFoundException":
            return []
        raise
    ids = told.get("ids", [])[:CHUNK]
    if not ids:
        return []
    found = {each.get("id", ""): each for each in clients.codebuild.batch_get_builds(ids=ids)["builds"]}
    return [_build(found[id_]) for id_ in ids if id_ in found]


def _build(found: Mapping[str, Any]) -> Build:
    variables = {each["name"]: each["value"] for each in found["environment"].get("environmentVariables", ())}
    ended_phases = [each for each in found.get("phases", ()) if each.get("phaseStatus")]
    phases = [each for each in ended_phases if BUILD.get(each["phaseStatus"]) is not BuildStep.DONE]
    said = [context.get("message", "") for each in phases[:1] for context in each.get("contexts", ())]
    ended = found.get("endTime")
    return Build(
        id=found["id"],
        tag=variables.get(TAG_VARIABLE, ""),
        status=found["buildStatus"],
        phase=phases[0]["phaseType"] if phases else found.get("currentPhase", ""),
        reason="; ".join(text for text in said if text),
        log=found.get("logs", {}).get("deepLink", ""),
        ended=ended.timestamp() if ended else None,
    )
