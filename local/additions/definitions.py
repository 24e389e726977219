"""AWS Batch's job definitions. Source: AWS Batch API Reference (RegisterJobDefinition, DescribeJobDefinitions)."""

from typing import Any

from local.additions.emulator import batch
from local.additions.environments import MAX_PAGE, NAME, arn_of, pass_role, shown
from local.additions.rest import RefusedError, Request, page

Record = dict[str, Any]
KEPT = ("schedulingPriority", "retryStrategy", "timeout", "propagateTags", "containerProperties", "nodeProperties")
MIN_TIMEOUT = 60


def register_definition(request: Request) -> Record:
    """RegisterJobDefinition: a new revision, numbered from 1 and never again."""
    name, kind = request["jobDefinitionName"], request["type"]
    if not NAME.fullmatch(name):
        raise RefusedError(f"'{name}' is not a valid name: up to 128 letters, numbers, hyphens and underscores")
    wanted = {"container": "containerProperties", "multinode": "nodeProperties"}.get(kind)
    if wanted is None:
        raise RefusedError(f"type must be container or multinode, not {kind}")
    if not request.get(wanted):
        raise RefusedError(f"{wanted} must be provided for a job definition of type {kind}")
    for container in _containers(request):
        _check_container(container)
    if kind == "multinode":
        check_ranges(request["nodeProperties"])
    check_strategy(request)
    revisions = batch._job_definitions.setdefault(name, [])
    number = len(revisions) + 1
    record = {
        "jobDefinitionName": name,
        "jobDefinitionArn": arn_of("job-definition", f"{name}:{number}"),
        "revision": number,
        "status": "ACTIVE",
        "type": kind,
        "containerOrchestrationType": "ECS",
        "parameters": request.get("parameters") or {},
        "platformCapabilities": request.get("platformCapabilities") or ["EC2"],
        "tags": request.get("tags") or {},
        **{key: request[key] for key in KEPT if request.get(key) is not None},
    }
    revisions.append(record)
    return {key: record[key] for key in ("jobDefinitionName", "jobDefinitionArn", "revision")}


def _containers(request: Request) -> list[Record]:
    if container := request.get("containerProperties"):
        return [container]
    return [each["container"] for each in request["nodeProperties"]["nodeRangeProperties"] if each.get("container")]


def _check_container(container: Record) -> None:
    if not container.get("image"):
        raise RefusedError("Container properties should provide an image")
    if not vcpus(container) or not (container.get("memory") or _resource(container, "MEMORY")):
        raise RefusedError("Container resourceRequirements should provide VCPU and MEMORY")
    check_environment(container)
    for name in ("jobRoleArn", "executionRoleArn"):
        if role := container.get(name):
            pass_role(role, "ecs-tasks.amazonaws.com")


def check_environment(container: Record) -> None:
    """Raise `RefusedError` for a variable whose name is Batch's own."""
    for variable in container.get("environment") or []:
        if variable["name"].startswith("AWS_BATCH"):
            raise RefusedError(f"Environment variable {variable['name']} must not start with AWS_BATCH")


def _resource(container: Record, kind: str) -> str | None:
    return next((each["value"] for each in container.get("resourceRequirements") or [] if each["type"] == kind), None)


def vcpus(container: Record) -> float:
    """How many vCPUs a container asks for."""
    return float(_resource(container, "VCPU") or container.get("vcpus") or 0)


def check_strategy(request: Request) -> None:
    """Raise `RefusedError` for a retry strategy or a timeout out of bounds."""
    strategy, timeout = request.get("retryStrategy") or {}, request.get("timeout") or {}
    if not 1 <= strategy.get("attempts", 1) <= 10:
        raise RefusedError(f"retryStrategy.attempts must be between 1 and 10, not {strategy['attempts']}")
    if len(strategy.get("evaluateOnExit") or []) > 5:
        raise RefusedError("retryStrategy.evaluateOnExit has more than 5 entries")
    if strategy.get("evaluateOnExit") and "attempts" not in strategy:
        raise RefusedError("retryStrategy.attempts must be provided with evaluateOnExit")
    if timeout.get("attemptDurationSeconds", MIN_TIMEOUT) < MIN_TIMEOUT:
        raise RefusedError(f"timeout.attemptDurationSeconds must be at least {MIN_TIMEOUT}")


def indices(target: str, nodes: int) -> range:
    """The nodes of a range like ``0:3``, ``:3`` or ``4:``, of so many."""
    first, separator, last = target.partition(":")
    end = int(last) if last else (nodes - 1 if separator else int(first))
    return range(int(first or 0), end + 1)


def check_ranges(properties: Record) -> None:
    """Raise `RefusedError` unless each node is in a range."""
    nodes, ranges = properties["numNodes"], properties["nodeRangeProperties"]
    if not 0 <= properties["mainNode"] < nodes:
        raise RefusedError(f"mainNode {properties['mainNode']} must be less than numNodes {nodes}")
    covered = {index for each in ranges for index in indices(each["targetNodes"], nodes)}
    if missing := sorted(set(range(nodes)) - covered):
        raise RefusedError(f"nodeRangeProperties must account for all nodes; node {missing[0]} is in none")


def definition(reference: str) -> Record:
    """The revision that a name, ``name:revision`` or ARN means: without a revision the latest that is active."""
    name, _, number = reference.rpartition("/")[2].partition(":")
    revisions = batch._job_definitions.get(name) or []
    active = [each for each in revisions if each["status"] == "ACTIVE"]
    if number:
        active = [each for each in active if str(each["revision"]) == number]
    if not active:
        raise RefusedError(f"JobDefinition {reference} does not exist or is not ACTIVE")
    return active[-1]


def deregister_definition(request: Request) -> Record:
    """DeregisterJobDefinition: INACTIVE from now on."""
    name, _, number = request["jobDefinition"].rpartition("/")[2].partition(":")
    if not number:
        raise RefusedError("jobDefinition must be a name with a revision, or an ARN")
    for record in batch._job_definitions.get(name) or []:
        if str(record["revision"]) == number:
            record["status"] = "INACTIVE"
    return {}


def describe_definitions(request: Request) -> Record:
    """DescribeJobDefinitions, by revisions or by name and status; the latest revision first."""
    names, name, status = (request.get(key) for key in ("jobDefinitions", "jobDefinitionName", "status"))
    if names and (name or status):
        raise RefusedError("jobDefinitions can't be used with other parameters")
    wanted = {each.rpartition("/")[2] for each in names or []}
    found = [
        record
        for revisions in batch._job_definitions.values()
        for record in revisions
        if (not names or f"{record['jobDefinitionName']}:{record['revision']}" in wanted)
        and (not name or record["jobDefinitionName"] == name)
        and (not status or record["status"] == status)
    ]
    shown_page, more = page(found, request, MAX_PAGE, _place)
    return {"jobDefinitions": [shown(record) for record in shown_page], **more}


def _place(record: Record) -> str:
    """Sorts by name, then by the latest revision first."""
    return f"{record['jobDefinitionName']}:{10**9 - record['revision']:09d}"
