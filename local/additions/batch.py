"""AWS Batch's API: its operations by path, tags, and how refusals are told.

MiniStack has a small one whose jobs are over when they are submitted; this one takes its place and keeps its stores.
"""

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import botocore.session

from local.additions import definitions, environments, jobs
from local.additions.access import BATCH, DeniedError, batch_arn, check_right, in_own_name
from local.additions.emulator import batch
from local.additions.rest import RefusedError, Request
from local.additions.scheduler import engine

Answer = tuple[int, dict[str, str], bytes]
Record = dict[str, Any]
OPERATIONS: dict[str, Callable[[Request], Record]] = {
    "CreateComputeEnvironment": environments.create_environment,
    "UpdateComputeEnvironment": environments.update_environment,
    "DeleteComputeEnvironment": environments.delete_environment,
    "DescribeComputeEnvironments": environments.describe_environments,
    "CreateJobQueue": environments.create_queue,
    "UpdateJobQueue": environments.update_queue,
    "DeleteJobQueue": environments.delete_queue,
    "DescribeJobQueues": environments.describe_queues,
    "CreateSchedulingPolicy": environments.create_policy,
    "UpdateSchedulingPolicy": environments.update_policy,
    "DeleteSchedulingPolicy": environments.delete_policy,
    "DescribeSchedulingPolicies": environments.describe_policies,
    "ListSchedulingPolicies": environments.list_policies,
    "RegisterJobDefinition": definitions.register_definition,
    "DeregisterJobDefinition": definitions.deregister_definition,
    "DescribeJobDefinitions": definitions.describe_definitions,
    "SubmitJob": jobs.submit,
    "DescribeJobs": jobs.describe,
    "ListJobs": jobs.list_jobs,
    "CancelJob": jobs.cancel,
    "TerminateJob": jobs.terminate,
}
_BY_PATH = {f"/v1/{name.lower()}": name for name in OPERATIONS}
TAGS = "/v1/tags/"
MAX_TAGS = 50
ARNS = ("computeEnvironmentArn", "jobQueueArn", "jobDefinitionArn", "arn")


def register() -> None:
    """Answer in MiniStack's place."""
    batch.handle_request = _handle


@functools.cache
def input_of(operation: str) -> Any:
    """The shape of an operation's request, from the service's model."""
    return botocore.session.get_session().get_service_model("batch").operation_model(operation).input_shape


def call(operation: str, **request: Any) -> Record:
    """An operation in the name of CloudFormation, whose rights are checked elsewhere. Raises `RefusedError`."""
    with in_own_name():
        return _operate(operation, request)


def _operate(operation: str, request: Request) -> Record:
    answer = OPERATIONS[operation](request)
    if not operation.startswith(("Describe", "List")):
        engine.wake()
    return answer


async def _handle(method: str, path: str, _: Any, body: bytes, query: dict[str, list[str]]) -> Answer:
    try:
        request = json.loads(body or b"{}")
        if path.startswith(TAGS):
            return _json(200, _tagging(method, unquote(path.removeprefix(TAGS)), request, query))
        operation = _BY_PATH.get(path.rstrip("/").lower())
        if operation is None:
            raise RefusedError(f"{path} is not known to the local AWS Batch")
        if missing := [name for name in input_of(operation).required_members if name not in request]:
            raise RefusedError(f"{missing[0]} must be provided")
        _check_rights(operation, request)
        return _json(200, _operate(operation, request))
    except RefusedError as refused:
        return _json(403 if "Denied" in refused.code else 400, {"message": str(refused)}, refused.code)
    except DeniedError as denied:
        return _json(403, {"message": str(denied)}, "AccessDeniedException")


def _check_rights(operation: str, request: Request) -> None:
    """What a call needs beside the right of its name upon the resource that it names first."""
    if operation == "SubmitJob":
        check_right("batch:SubmitJob", "batch", batch_arn("job-definition", request["jobDefinition"]))
    tags = request.get("tags") or {}
    if tags:
        context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        check_right("batch:TagResource", "batch", _named_by(request), context | {"aws:TagKeys": [*tags]})


def _named_by(request: Request) -> str:
    """The ARN that a request to make something will give it; a job's is not known yet."""
    if "jobName" in request:
        return batch_arn("job", "*")
    return next(batch_arn(kind, request[key]) for key, kind in BATCH.items() if key in request)


def _json(status: int, answer: Record, code: str = "") -> Answer:
    headers = {"Content-Type": "application/json"} | ({"x-amzn-errortype": code} if code else {})
    return status, headers, json.dumps(answer).encode()


# --- tags


def _tagging(method: str, arn: str, request: Request, query: dict[str, list[str]]) -> Record:
    tags = tags_of(arn)
    if method == "GET":
        return {"tags": tags}
    if method == "POST":
        if len(tags | request["tags"]) > MAX_TAGS:
            raise RefusedError(f"{arn} would have more than {MAX_TAGS} tags")
        tags.update(request["tags"])
    else:
        for key in query.get("tagKeys", []):
            tags.pop(key, None)
    return {}


def tags_of(arn: str) -> dict[str, str]:
    """A resource's tags, to read and to change. Raises `RefusedError` if there is no such resource."""
    for known, tags in tagged():
        if known == arn:
            return tags
    job = batch._jobs.get(arn.rpartition("/")[2])
    if job is None:
        raise RefusedError(f"Resource {arn} does not exist", "ResourceNotFoundException")
    return job["tags"]


def tagged() -> Iterator[tuple[str, dict[str, str]]]:
    """All resources but jobs, with their tags."""
    found = [environments.environment(name) for name in batch._compute_envs]
    found += [environments.queue(name) for name in batch._job_queues]
    found += environments.policies.values()
    found += [each for revisions in batch._job_definitions.values() for each in revisions if each["status"] == "ACTIVE"]
    for record in filter(None, found):
        yield next(record[key] for key in ARNS if key in record), record["tags"]
