"""AWS Batch's compute environments, job queues and scheduling policies. Source: AWS Batch API Reference.

A record's own names (`_until`, `_fault`) begin with an underscore and are not shown. A transitional status (CREATING,
UPDATING, DELETING) lasts until `_until`, and is resolved when the record is next looked at.
"""

import re
import time
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, new_uuid

from local.additions.access import DeniedError, check_pass_role
from local.additions.emulator import batch, ec2, iam, iam_evaluator
from local.additions.rest import RefusedError, Request, page
from local.additions.settings import settings

Record = dict[str, Any]
FARGATE = ("FARGATE", "FARGATE_SPOT")
NOT_FOR_FARGATE = ("allocationStrategy", "bidPercentage", "desiredvCpus", "ec2Configuration", "ec2KeyPair", "imageId",
                   "instanceRole", "instanceTypes", "launchTemplate", "minvCpus", "placementGroup",
                   "spotIamFleetRole", "tags")  # fmt: skip
ALWAYS_UPDATABLE = {"minvCpus", "maxvCpus", "desiredvCpus"}
"""Of compute resources, whoever's the service role is; all else is an infrastructure update."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
MAX_PAGE = 100
STILL_USED = "CLIENT_ERROR - The Cluster cannot be deleted while Tasks are active."
SERVICE_ROLE = "role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"
policies: Any = AccountRegionScopedDict()


def arn_of(kind: str, name: str) -> str:
    """The ARN of a resource of Batch in the caller's account and region."""
    return f"arn:aws:batch:{get_region()}:{get_account_id()}:{kind}/{name}"


def shown(record: Record) -> Record:
    """A record as the API shows it."""
    return {key: value for key, value in record.items() if not key.startswith("_") and value is not None}


def on_fargate(record: Record) -> bool:
    """Whether a compute environment has no instances."""
    return (record.get("computeResources") or {}).get("type") in FARGATE


def check_name(name: str, store: Any) -> None:
    """Raise `RefusedError` unless the name may be given to a new resource."""
    if not NAME.fullmatch(name):
        raise RefusedError(f"'{name}' is not a valid name: up to 128 letters, numbers, hyphens and underscores")
    if name in store:
        raise RefusedError(f"Object already exists: {name}")


def pass_role(role_arn: str, service: str) -> None:
    """Raise `RefusedError` unless the caller may hand over the role."""
    try:
        check_pass_role(role_arn, service)
    except DeniedError as denied:
        raise RefusedError(str(denied), "AccessDeniedException") from None


# --- statuses that pass


def _begin(record: Record, status: str) -> None:
    record.update(status=status, statusReason=None, _until=time.time() + settings.batch_seconds)


def _settled(store: Any, name: str, now: float, busy: Callable[[Record], bool]) -> Record | None:
    """The record with the status that it has by now; None if there is none, or no more."""
    record = store.get(name)
    if record is None or now < record["_until"]:
        return record
    if record["status"] == "DELETING":
        if not busy(record):
            store.pop(name, None)
            return None
        if not on_fargate(record):
            return record
        record["_fault"] = STILL_USED
    reason = _fault(record)
    healthy = "ComputeEnvironment Healthy" if store is batch._compute_envs else "JobQueue Healthy"
    record.update(status="INVALID" if reason else "VALID", statusReason=reason or healthy)
    return record


def _fault(record: Record) -> str | None:
    name = record.get("computeEnvironmentName")
    wanted = (reason for glob, reason in settings.invalid_environments.items() if name and fnmatch(name, glob))
    return next(wanted, record.get("_fault"))


def environment(reference: str) -> Record | None:
    """The compute environment of that name or ARN. One that is deleted goes when its jobs have lost their instances.

    Of Fargate it becomes INVALID while it has jobs (DeleteComputeEnvironment).
    """
    return _settled(batch._compute_envs, reference.rpartition("/")[2], time.time(), lambda each: each["_used"] > 0)


def queue(reference: str) -> Record | None:
    """The job queue of that name or ARN. One that is deleted goes when its jobs are over."""
    return _settled(batch._job_queues, reference.rpartition("/")[2], time.time(), lambda each: each["_open"] > 0)


def _known(record: Record | None, reference: str) -> Record:
    if record is None:
        raise RefusedError(f"Object does not exist: {reference}")
    return record


def _check_unmoved(record: Record, verb: str) -> None:
    if record["status"] in ("CREATING", "UPDATING", "DELETING"):
        raise RefusedError(f"Cannot {verb}, resource is being modified.")


# --- compute environments


def create_environment(request: Request) -> Record:
    """CreateComputeEnvironment."""
    name, resources = request["computeEnvironmentName"], request.get("computeResources")
    check_name(name, batch._compute_envs)
    if request["type"] == "MANAGED" and not resources:
        raise RefusedError("computeResources must be provided for a MANAGED compute environment")
    if role := request.get("serviceRole"):
        if error := iam_evaluator.validate_role_arn(role):
            raise RefusedError(error)
        pass_role(role, "batch.amazonaws.com")
    service_role = role or f"arn:aws:iam::{get_account_id()}:{SERVICE_ROLE}"
    kind = (resources or {}).get("type")
    record = {
        "computeEnvironmentName": name,
        "computeEnvironmentArn": arn_of("compute-environment", name),
        "ecsClusterArn": f"arn:aws:ecs:{get_region()}:{get_account_id()}:cluster/AWSBatch-{name}-{new_uuid()}",
        "tags": request.get("tags") or {},
        "type": request["type"],
        "state": request.get("state", "ENABLED"),
        "serviceRole": service_role,
        "containerOrchestrationType": "ECS",
        "uuid": new_uuid(),
        "unmanagedvCpus": request.get("unmanagedvCpus"),
        "context": request.get("context"),
        "_used": 0,
    }
    if resources:
        sizes = {} if kind in FARGATE else {"minvCpus": 0, "desiredvCpus": resources.get("minvCpus", 0)}
        record["computeResources"] = sizes | resources
        _check_resources(record["computeResources"])
    record["_fault"] = _missing(record)
    _begin(record, "CREATING")
    batch._compute_envs[name] = record
    return {key: record[key] for key in ("computeEnvironmentName", "computeEnvironmentArn")}


def _check_resources(resources: Record) -> None:
    fargate = resources["type"] in FARGATE
    if fargate and (extra := [name for name in NOT_FOR_FARGATE if resources.get(name) is not None]):
        raise RefusedError(f"{extra[0]} isn't applicable to {resources['type']} compute environments")
    needed = ("subnets", "securityGroupIds") if fargate else ("subnets", "instanceRole", "instanceTypes")
    for name in needed:
        if not resources.get(name):
            raise RefusedError(f"computeResources.{name} must be provided for type {resources['type']}")
    if not fargate and not resources.get("securityGroupIds") and not resources.get("launchTemplate"):
        raise RefusedError("computeResources.securityGroupIds or a launch template with security groups is needed")
    least, most = resources.get("minvCpus", 0), resources["maxvCpus"]
    if not 0 <= least <= resources.get("desiredvCpus", least) <= most:
        sizes = f"minvCpus {least}, desiredvCpus {resources.get('desiredvCpus')}, maxvCpus {most}"
        raise RefusedError(f"desiredvCpus must be between minvCpus and maxvCpus: {sizes}")


def _missing(record: Record) -> str | None:
    """Why the environment is INVALID: what it needs and does not find."""
    resources = record.get("computeResources") or {}
    profile = (resources.get("instanceRole") or "").rpartition("/")[2]
    template = resources.get("launchTemplate")
    missing = [f"The subnet ID '{each}' does not exist" for each in resources.get("subnets") or []
               if each not in ec2._subnets]  # fmt: skip
    missing += [f"The security group '{each}' does not exist" for each in resources.get("securityGroupIds") or []
                if each not in ec2._security_groups]  # fmt: skip
    if profile and not iam._lookup_instance_profile(name=profile, arn=""):
        missing.append(f"Invalid IamInstanceProfile: {profile}")
    if template and ec2._resolve_launch_template_data({"Version": "$Default", **_upper(template)})[2]:
        missing.append(f"The specified launch template does not exist: {template}")
    return f"CLIENT_ERROR - {missing[0]}" if missing else None


def _upper(record: Record) -> Record:
    return {key[0].upper() + key[1:]: value for key, value in record.items() if value and isinstance(value, str)}


def update_environment(request: Request) -> Record:
    """UpdateComputeEnvironment: sizes and state at any time, other resources if Batch's own role serves it."""
    record = _known(environment(request["computeEnvironment"]), request["computeEnvironment"])
    _check_unmoved(record, "update")
    changes = {key: value for key, value in (request.get("computeResources") or {}).items() if value is not None}
    if changes:
        _check_changes(record, changes)
        resources = record["computeResources"] | changes
        if "desiredvCpus" in resources and "desiredvCpus" not in changes:
            bounds = resources["minvCpus"], resources["maxvCpus"]
            resources["desiredvCpus"] = min(max(resources["desiredvCpus"], bounds[0]), bounds[1])
        _check_resources({key: value for key, value in resources.items() if key != "updateToLatestImageVersion"})
        record["computeResources"] = resources
    if role := request.get("serviceRole"):
        pass_role(role, "batch.amazonaws.com")
        record["serviceRole"] = role
    for name in ("state", "unmanagedvCpus", "updatePolicy", "context"):
        if request.get(name) is not None:
            record[name] = request[name]
    record["_fault"] = _missing(record)
    _begin(record, "UPDATING")
    return {key: record[key] for key in ("computeEnvironmentName", "computeEnvironmentArn")}


def _check_changes(record: Record, changes: Record) -> None:
    current = record.get("computeResources") or {}
    infrastructure = sorted(key for key in changes.keys() - ALWAYS_UPDATABLE if changes[key] != current.get(key))
    fargate = current.get("type") in FARGATE
    if infrastructure and not fargate:
        if not record["serviceRole"].endswith(SERVICE_ROLE):
            raise RefusedError(
                f"{infrastructure[0]} can only be updated in a compute environment with the AWSServiceRoleForBatch "
                "service-linked role"
            )
        if current.get("allocationStrategy", "BEST_FIT") == "BEST_FIT":
            raise RefusedError(f"{infrastructure[0]} cannot be updated with the allocation strategy BEST_FIT")
    if changes.get("desiredvCpus", current.get("desiredvCpus", 0)) < current.get("desiredvCpus", 0):
        raise RefusedError(
            "Manually scaling down compute environment is not supported. Disconnecting job queues from compute "
            "environment will cause it to scale-down to minvCpus."
        )


def delete_environment(request: Request) -> Record:
    """DeleteComputeEnvironment: it has to be DISABLED and in no queue."""
    record = _known(environment(request["computeEnvironment"]), request["computeEnvironment"])
    _check_unmoved(record, "delete")
    if record["state"] != "DISABLED":
        raise RefusedError("Cannot delete, state must be DISABLED")
    arn = record["computeEnvironmentArn"]
    if any(arn in environments_of(each) for name in batch._job_queues if (each := queue(name))):
        raise RefusedError("Cannot delete, found existing JobQueue relationship")
    record["_fault"] = None
    _begin(record, "DELETING")
    return {}


def describe_environments(request: Request) -> Record:
    """DescribeComputeEnvironments, by names or ARNs, or all."""
    found, more = _described(request, "computeEnvironments", batch._compute_envs, environment, "computeEnvironmentName")
    return {"computeEnvironments": found, **more}


def _described(
    request: Request, names: str, store: Any, find: Callable[[str], Record | None], key: str
) -> tuple[list[Record], Request]:
    wanted = request.get(names) or list(store)
    if len(request.get(names) or []) > MAX_PAGE:
        raise RefusedError(f"{names} has {len(wanted)} entries; {MAX_PAGE} are the most")
    found = [record for name in wanted if (record := find(name))]
    shown_page, more = page(found, request, MAX_PAGE, lambda record: record[key])
    return [shown(record) for record in shown_page], more


# --- job queues


def environments_of(record: Record) -> list[str]:
    """The ARNs of a queue's compute environments, the preferred one first."""
    order = sorted(record["computeEnvironmentOrder"], key=lambda each: each["order"])
    return [each["computeEnvironment"] for each in order]


def create_queue(request: Request) -> Record:
    """CreateJobQueue."""
    name = request["jobQueueName"]
    check_name(name, batch._job_queues)
    record = {
        "jobQueueName": name,
        "jobQueueArn": arn_of("job-queue", name),
        "state": request.get("state", "ENABLED"),
        "priority": request["priority"],
        "schedulingPolicyArn": _policy_arn(request),
        "computeEnvironmentOrder": _order(request),
        "jobStateTimeLimitActions": request.get("jobStateTimeLimitActions"),
        "tags": request.get("tags") or {},
        "_open": 0,
    }
    _begin(record, "CREATING")
    batch._job_queues[name] = record
    return {key: record[key] for key in ("jobQueueName", "jobQueueArn")}


def _order(request: Request) -> list[Record]:
    """The order with ARNs: one to three VALID environments, all of Fargate or none."""
    given = request.get("computeEnvironmentOrder") or []
    if not 1 <= len(given) <= 3:
        raise RefusedError(f"computeEnvironmentOrder has {len(given)} entries; a job queue has 1 to 3")
    found = [_known(environment(each["computeEnvironment"]), each["computeEnvironment"]) for each in given]
    for record in found:
        if record["status"] not in ("VALID", "UPDATING"):
            raise RefusedError(f"{record['computeEnvironmentArn']} is {record['status']}; it must be VALID")
    if len({on_fargate(record) for record in found}) > 1:
        raise RefusedError("Fargate and EC2 compute environments cannot be mixed in a job queue")
    return [
        {"order": each["order"], "computeEnvironment": record["computeEnvironmentArn"]}
        for each, record in zip(given, found, strict=True)
    ]


def _policy_arn(request: Request) -> str | None:
    arn = request.get("schedulingPolicyArn")
    if arn:
        _policy(arn)
    return arn


def update_queue(request: Request) -> Record:
    """UpdateJobQueue. A scheduling policy can be replaced and not removed, nor given to a queue without one."""
    record = _known(queue(request["jobQueue"]), request["jobQueue"])
    _check_unmoved(record, "update")
    changes = {key: request[key] for key in ("state", "priority", "jobStateTimeLimitActions")
               if request.get(key) is not None}  # fmt: skip
    if request.get("computeEnvironmentOrder"):
        changes["computeEnvironmentOrder"] = _order(request)
    if policy := _policy_arn(request):
        if not record["schedulingPolicyArn"]:
            raise RefusedError("A fair-share scheduling policy can't be added to a job queue made without one")
        changes["schedulingPolicyArn"] = policy
    record.update(changes)
    _begin(record, "UPDATING")
    return {key: record[key] for key in ("jobQueueName", "jobQueueArn")}


def delete_queue(request: Request) -> Record:
    """DeleteJobQueue: it has to be DISABLED; its jobs are terminated (by the scheduler)."""
    record = _known(queue(request["jobQueue"]), request["jobQueue"])
    _check_unmoved(record, "delete")
    if record["state"] != "DISABLED":
        raise RefusedError("Cannot delete, state must be DISABLED")
    _begin(record, "DELETING")
    return {}


def describe_queues(request: Request) -> Record:
    """DescribeJobQueues, by names or ARNs, or all."""
    found, more = _described(request, "jobQueues", batch._job_queues, queue, "jobQueueName")
    return {"jobQueues": found, **more}


# --- scheduling policies


def _policy(arn: str) -> Record:
    return _known(policies.get(arn.rpartition("/")[2]), arn)


def create_policy(request: Request) -> Record:
    """CreateSchedulingPolicy."""
    name = request["name"]
    check_name(name, policies)
    arn = arn_of("scheduling-policy", name)
    fair = request.get("fairsharePolicy")
    policies[name] = {"name": name, "arn": arn, "fairsharePolicy": fair, "tags": request.get("tags") or {}}
    return {"name": name, "arn": arn}


def update_policy(request: Request) -> Record:
    """UpdateSchedulingPolicy."""
    _policy(request["arn"])["fairsharePolicy"] = request.get("fairsharePolicy")
    return {}


def delete_policy(request: Request) -> Record:
    """DeleteSchedulingPolicy: not while a queue uses it."""
    record = _policy(request["arn"])
    if any(each["schedulingPolicyArn"] == record["arn"] for name in batch._job_queues if (each := queue(name))):
        raise RefusedError(f"Cannot delete, {record['arn']} is used by a job queue")
    policies.pop(record["name"])
    return {}


def describe_policies(request: Request) -> Record:
    """DescribeSchedulingPolicies: those there are of the ARNs."""
    found = (policies.get(arn.rpartition("/")[2]) for arn in request["arns"])
    return {"schedulingPolicies": [shown(record) for record in found if record]}


def list_policies(request: Request) -> Record:
    """ListSchedulingPolicies: their ARNs."""
    found, more = page(policies.values(), request, MAX_PAGE, lambda record: record["arn"])
    return {"schedulingPolicies": [{"arn": record["arn"]} for record in found], **more}
