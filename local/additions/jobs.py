"""AWS Batch's jobs as its API sees them: submitted, listed, described, cancelled. `scheduler` runs them.

Sources: AWS Batch API Reference and User Guide (array jobs, job dependencies, multi-node parallel jobs). A record's own
names begin with an underscore. What the scheduler places is a unit: a single job, a child of an array, or a multi-node
job with all its nodes.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid

from local.additions import scheduler
from local.additions.definitions import check_environment, check_ranges, check_strategy, definition, indices, vcpus
from local.additions.emulator import batch
from local.additions.environments import NAME, arn_of, queue, shown
from local.additions.rest import RefusedError, Request, page

Job = dict[str, Any]
STATUSES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED")
ARRAY_SIZES = range(2, 10_001)
MAX_DEPENDENCIES = 20
MAX_DESCRIBED = 100
SUMMARY = ("jobArn", "jobId", "jobName", "createdAt", "status", "statusReason", "startedAt", "stoppedAt",
           "jobDefinition", "arrayProperties", "shareIdentifier", "isCancelled", "isTerminated")  # fmt: skip
_numbers = itertools.count(1)


# --- submitting


def submit(request: Request) -> Request:
    """SubmitJob."""
    target, model = _open_queue(request), definition(request["jobDefinition"])
    if not NAME.fullmatch(request["jobName"]):
        raise RefusedError(f"Job name '{request['jobName']}' is not valid: up to 128 letters, numbers, '-' and '_'")
    check_strategy(request)
    size = (request.get("arrayProperties") or {}).get("size")
    if size is not None and size not in ARRAY_SIZES:
        raise RefusedError(f"Array size {size} must be between 2 and 10000")
    job, needs = _job(request, target, model), _needs(request, size)
    units = _units(job, request, model, size)
    for index, unit in enumerate(units):
        unit["_needs"] = [found for need in needs if (found := need(job["jobId"], index))]
    scheduler.engine.add(target, job, units)
    return {key: job[key] for key in ("jobArn", "jobName", "jobId")}


def _open_queue(request: Request) -> Job:
    target = queue(request["jobQueue"])
    if target is None:
        raise RefusedError(f"Job Queue {request['jobQueue']} does not exist")
    if target["state"] != "ENABLED" or target["status"] == "DELETING":
        raise RefusedError(f"Job Queue {target['jobQueueArn']} is {target['state']}, {target['status']}: no jobs taken")
    if target["schedulingPolicyArn"] and not request.get("shareIdentifier"):
        raise RefusedError("shareIdentifier must be provided for a job queue with a scheduling policy")
    return target


def _units(job: Job, request: Request, model: Job, size: int | None) -> list[Job]:
    if model["type"] == "multinode":
        if size:
            raise RefusedError("A multi-node parallel job cannot be an array job")
        _add_nodes(job, request.get("nodeOverrides") or {}, model["nodeProperties"])
        return [job]
    overrides = request.get("containerOverrides") or {}
    job["container"] = _container(model["containerProperties"], overrides, job["parameters"])
    job["_vcpus"] = vcpus(job["container"])
    return _children(job, size) if size else [job]


def _job(request: Request, target: Job, model: Job) -> Job:
    job_id = new_uuid()
    return {
        "jobArn": arn_of("job", job_id),
        "jobId": job_id,
        "jobName": request["jobName"],
        "jobQueue": target["jobQueueArn"],
        "jobDefinition": model["jobDefinitionArn"],
        "status": "SUBMITTED",
        "createdAt": int(time.time() * 1000),
        "attempts": [],
        "dependsOn": request.get("dependsOn") or [],
        "parameters": model["parameters"] | (request.get("parameters") or {}),
        "retryStrategy": {
            "attempts": 1,
            "evaluateOnExit": [],
            **(request.get("retryStrategy") or model.get("retryStrategy") or {}),
        },
        "timeout": request.get("timeout") or model.get("timeout"),
        "shareIdentifier": request.get("shareIdentifier"),
        "schedulingPriority": request.get("schedulingPriorityOverride", model.get("schedulingPriority")),
        "platformCapabilities": model["platformCapabilities"],
        "propagateTags": request.get("propagateTags", model.get("propagateTags", False)),
        "tags": request.get("tags") or {},
        "_scope": (get_account_id(), get_region()),
        "_number": next(_numbers),
    }


def _needs(request: Request, size: int | None) -> list[Callable[[str, int], str | None]]:
    dependencies = request.get("dependsOn") or []
    if len(dependencies) > MAX_DEPENDENCIES:
        raise RefusedError(f"Cannot depend on more than {MAX_DEPENDENCIES} jobs")
    return [_need(each, size) for each in dependencies]


def _need(dependency: Request, size: int | None) -> Callable[[str, int], str | None]:
    """Which job a unit, by its array's id and index, has to wait for."""
    kind, wanted = dependency.get("type"), dependency.get("jobId")
    if kind and not size:
        raise RefusedError(f"A {kind} dependency is for array jobs")
    if kind == "SEQUENTIAL":
        return lambda job_id, index: f"{job_id}:{index - 1}" if index else None
    other = batch._jobs.get(wanted or "")
    if other is None:
        raise RefusedError(f"Job {wanted}, on which this one shall depend, does not exist")
    if kind == "N_TO_N":
        if len(other.get("_children") or []) != size:
            raise RefusedError(f"A N_TO_N dependency needs arrays of the same size: {wanted} is not of size {size}")
        return lambda _, index: f"{wanted}:{index}"
    return lambda _, __: wanted


def _container(properties: Job, overrides: Request, parameters: dict[str, str]) -> Job:
    """The container as it will run: overridden, with the parameters in their places."""
    check_environment(overrides)
    merged = {**properties, **{key: overrides[key] for key in ("vcpus", "memory") if overrides.get(key)}}
    for key, name in (("environment", "name"), ("resourceRequirements", "type")):
        by_name = {each[name]: each for each in [*(properties.get(key) or []), *(overrides.get(key) or [])]}
        merged[key] = list(by_name.values())
    command = overrides.get("command") or properties.get("command") or []
    merged["command"] = [
        parameters.get(word.removeprefix("Ref::"), word) if word.startswith("Ref::") else word for word in command
    ]
    return {"volumes": [], "mountPoints": [], "ulimits": [], "networkInterfaces": [], "secrets": [], **merged}


def _children(job: Job, size: int) -> list[Job]:
    children = [
        {
            **job,
            "jobId": f"{job['jobId']}:{index}",
            "jobArn": f"{job['jobArn']}:{index}",
            "arrayProperties": {"index": index},
            "container": {**job["container"]},
            "attempts": [],
            "_parent": job,
        }
        for index in range(size)
    ]
    job.update(arrayProperties={"size": size}, _children=children, _left=size)
    return children


def _add_nodes(job: Job, overrides: Request, given: Job) -> None:
    ranges = given["nodeRangeProperties"]
    if overrides.get("numNodes") and not any(each["targetNodes"].endswith(":") for each in ranges):
        raise RefusedError("numNodes can only be overridden if a node range has an open upper boundary")
    properties = {**given, "numNodes": overrides.get("numNodes") or given["numNodes"]}
    check_ranges(properties)
    count, main = properties["numNodes"], properties["mainNode"]
    changed = overrides.get("nodePropertyOverrides") or []
    nodes = [
        {
            **job,
            "jobId": f"{job['jobId']}#{index}",
            "jobArn": f"{job['jobArn']}#{index}",
            "attempts": [],
            "nodeDetails": {"nodeIndex": index, "isMainNode": index == main},
            "_summary": {"nodeIndex": index, "isMainNode": index == main, "numNodes": count},
            "_job": job,
            "container": _container(
                _at(ranges, index, count, "container"),
                _at(changed, index, count, "containerOverrides"),
                job["parameters"],
            ),
        }
        for index in range(count)
    ]
    job.update(nodeProperties=properties, _nodes=nodes, _summary={"numNodes": count})
    job["_vcpus"] = sum(vcpus(node["container"]) for node in nodes)


def _at(ranges: list[Job], index: int, count: int, key: str) -> Job:
    """The properties of the last, and so innermost, range that holds the node."""
    found = [each[key] for each in ranges if each.get(key) and index in indices(each["targetNodes"], count)]
    return found[-1] if found else {}


# --- looking


def describe(request: Request) -> Request:
    """DescribeJobs: those there are of up to 100 ids."""
    if len(request["jobs"]) > MAX_DESCRIBED:
        raise RefusedError(f"jobs has {len(request['jobs'])} entries; {MAX_DESCRIBED} are the most")
    found = (batch._jobs.get(each.rpartition("/")[2]) for each in request["jobs"])
    return {"jobs": [_detail(job) for job in found if job]}


def _detail(job: Job) -> Job:
    detail = shown(job)
    if children := job.get("_children"):
        counts = Counter(child["status"] for child in children)
        summary = {status: counts[status] for status in STATUSES}
        detail["arrayProperties"] = {**job["arrayProperties"], "statusSummary": summary}
    return detail


def list_jobs(request: Request) -> Request:
    """ListJobs: of a queue the newest first, of an array or a multi-node job by index."""
    given = [key for key in ("jobQueue", "arrayJobId", "multiNodeJobId") if request.get(key)]
    if len(given) != 1:
        raise RefusedError("Exactly one of jobQueue, arrayJobId and multiNodeJobId must be provided")
    filters = request.get("filters") or []
    found = _of_queue(request) if given[0] == "jobQueue" else _of_job(request, given[0])
    by_status = not filters or filters[0]["name"] == "SHARE_IDENTIFIER"
    status = request.get("jobStatus") or ("RUNNING" if not filters else None)
    if by_status and status:
        found = [job for job in found if job["status"] == status]
    order = (lambda job: -job["_number"]) if given[0] == "jobQueue" else _index
    shown_page, more = page(found, request, 100 if filters else 1000, order)
    return {"jobSummaryList": [_summary(job) for job in shown_page], **more}


def _of_job(request: Request, key: str) -> list[Job]:
    job = batch._jobs.get(request[key]) or {}
    return job.get("_children" if key == "arrayJobId" else "_nodes") or []


def _index(job: Job) -> int:
    return (job.get("arrayProperties") or job["_summary"]).get("index", (job.get("_summary") or {}).get("nodeIndex"))


def _of_queue(request: Request) -> list[Job]:
    target, filters = queue(request["jobQueue"]), request.get("filters") or []
    if target is None:
        raise RefusedError(f"Job Queue {request['jobQueue']} does not exist")
    if len(filters) > 1:
        raise RefusedError("Only one filter can be used at a time")
    tests = [_test(each) for each in filters]
    return [job for job in target.get("_jobs", []) if all(test(job) for test in tests)]


def _test(wanted: Request) -> Callable[[Job], bool]:
    name, values = wanted["name"], wanted["values"]
    if name == "JOB_NAME":
        return lambda job: any(_matches(job["jobName"].lower(), value.lower()) for value in values)
    if name == "SHARE_IDENTIFIER":
        return lambda job: any(_matches(job["shareIdentifier"] or "", value) for value in values)
    if name == "JOB_DEFINITION":
        return lambda job: any(
            _matches(job["jobDefinition"].rpartition("/")[2].partition(":")[0], value) or job["jobDefinition"] == value
            for value in values
        )
    if name == "BEFORE_CREATED_AT":
        return lambda job: job["createdAt"] < int(values[0])
    if name == "AFTER_CREATED_AT":
        return lambda job: job["createdAt"] > int(values[0])
    raise RefusedError(f"Filter '{name}' is not valid")


def _matches(text: str, pattern: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _summary(job: Job) -> Job:
    container = {k: v for k, v in (job.get("container") or {}).items() if k in ("exitCode", "reason")}
    parts = {
        "container": container,
        "arrayProperties": job.get("arrayProperties"),
        "nodeProperties": job.get("_summary"),
    }
    return shown({key: job.get(key) for key in SUMMARY} | {key: part for key, part in parts.items() if part})


# --- ending


def cancel(request: Request) -> Request:
    """CancelJob: what has not started fails with the reason; what runs goes on."""
    scheduler.engine.end(_known(request["jobId"]), request["reason"], "isCancelled")
    return {}


def terminate(request: Request) -> Request:
    """TerminateJob: what runs is ended too."""
    scheduler.engine.end(_known(request["jobId"]), request["reason"], "isTerminated")
    return {}


def _known(job_id: str) -> Job:
    job = batch._jobs.get(job_id)
    if job is None:
        raise RefusedError(f"Job {job_id} does not exist")
    return job.get("_job", job)
