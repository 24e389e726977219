"""IAM where MiniStack does not look: tags of EC2, Auto Scaling and CloudFormation resources, and iam:PassRole.

MiniStack evaluates the policies of whoever calls an API. For ``aws:ResourceTag`` it has to know the tags of the
resource called upon; for a role handed to a service AWS wants iam:PassRole on it (IAM User Guide, "Grant a user
permissions to pass a role to an AWS service").
"""

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qs, unquote

from ministack.core.responses import get_account_id, get_region

from local.additions import decisions
from local.additions.emulator import (
    app,
    autoscaling,
    batch,
    cloudformation,
    codebuild,
    dynamodb,
    ec2,
    iam,
    iam_actions,
    iam_evaluator,
    logs,
    tagging,
)
from local.additions.resources import file_systems

Tagged = Iterator[tuple[str, list[dict[str, str]]]]


class DeniedError(Exception):
    """AWS's message for a call that no policy allows."""


def register() -> None:
    """Let policies and the tagging API see these resources' tags, and take the loopback interface for TLS.

    DynamoDB tells the partition keys that a request names (DynamoDB developer guide, "Using IAM policy conditions for
    fine-grained access control"), and EC2 wants the right to attach a volume on the volume and on the instance (Service
    Authorization Reference).

    SQS knows no right of its own for the calls that take batches (Amazon SQS developer guide, "Using identity-based
    policies with Amazon SQS"): whoever may send may send many.

    Batch, CodeBuild and ECS's DescribeClusters are asked upon the resource that a call names; SubmitJob upon the queue,
    and by `batch` upon the definition. CloudWatch Logs is asked upon the stream where a call names one.

    AWS's endpoints are reached over TLS, and policies deny whatever is not; what is on the loopback leaves no machine.
    """
    pin = iam_evaluator.pin_request_origin
    extract = iam_actions.extract_iam_action
    iam_actions.extract_iam_action = lambda *request: _right(extract(*request))
    resource = iam_actions.extract_resource_arn
    iam_actions.extract_resource_arn = lambda *request: _named(*request[:6]) or resource(*request)
    context = iam_actions.dynamodb_service_context
    iam_actions.dynamodb_service_context = lambda body: context(body) | _leading_keys(body)
    ec2._ACTION_MAP["AttachVolume"] = _attach_volume(ec2._ACTION_MAP["AttachVolume"])
    app.pin_request_origin = lambda source_ip, _secure: pin(source_ip, True)
    # What services do by themselves (SNS to SQS) comes from no request.
    iam_evaluator._request_origin = ContextVar("request_origin", default=("127.0.0.1", True))
    both: dict[str, Any] = {"ec2": _of_ec2, "fsx": _of_lustre}
    groups = {"autoscaling": _of_groups, "elasticfilesystem": tagging._collect_efs, "ecr": tagging._collect_ecr}
    both |= {"batch": _of_batch, "codebuild": _of_projects}
    tagging._RESOURCE_TAG_COLLECTORS.update(both | groups, cloudformation=_of_stacks)
    tagging._COLLECTORS.update(both, cloudformation=_of_stack_ids, logs=_of_log_groups, iam=tagging._collect_iam)


def _right(action: str | None) -> str | None:
    return action.removesuffix("Batch") if action and action.startswith("sqs:") else action


# member of a request: the kind of resource of Batch that it names
BATCH = {
    "computeEnvironmentName": "compute-environment", "computeEnvironment": "compute-environment",
    "jobQueueName": "job-queue", "jobQueue": "job-queue",
    "jobDefinitionName": "job-definition", "jobDefinition": "job-definition",
    "jobId": "job", "name": "scheduling-policy", "arn": "scheduling-policy",
}  # fmt: skip


def _named(service: str, _: str, path: str, __: Any, body: bytes, ___: Any) -> str:
    """The ARN of what a request to Batch, CodeBuild, ECS, Logs or Auto Scaling names; of several the first."""
    if service == "autoscaling":
        return _group_of(parse_qs(body.decode(errors="replace")).get("InstanceId", [""])[0])
    if service == "batch" and path.startswith("/v1/tags/"):
        return unquote(path.removeprefix("/v1/tags/"))
    if service not in _NAMES or path.startswith(("/v1/describe", "/v1/list")):
        return ""
    return _NAMES[service](json.loads(body or b"{}"))


def _group_of(instance_id: str) -> str:
    """The ARN of the group that an instance is a member of: some calls name nothing but the instance."""
    for name, group in autoscaling._asgs.items():
        if any(each["InstanceId"] == instance_id for each in group["Instances"]):
            return _arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{name}")
    return ""


def _log_stream(request: dict[str, Any]) -> str:
    group, stream = request.get("logGroupName"), request.get("logStreamName")
    return _arn("logs", f"log-group:{group}:log-stream:{stream}") if group and stream else ""


def _ecs_cluster(request: dict[str, Any]) -> str:
    cluster = next(iter(request.get("clusters") or []), "").rpartition("/")[2]
    return _arn("ecs", f"cluster/{cluster}") if cluster else ""


def _project(request: dict[str, Any]) -> str:
    named = [request.get("id"), *request.get("ids", []), *request.get("names", [])]
    project = next(filter(None, named), "").rpartition("/")[2].partition(":")[0]
    return _arn("codebuild", f"project/{project}") if project else ""


def _of_batch_request(request: dict[str, Any]) -> str:
    return next((batch_arn(kind, request[key]) for key, kind in BATCH.items() if request.get(key)), "")


_NAMES: dict[str, Callable[[dict[str, Any]], str]] = {
    "batch": _of_batch_request,
    "codebuild": _project,
    "ecs": _ecs_cluster,
    "logs": _log_stream,
}


def batch_arn(kind: str, reference: str) -> str:
    """The ARN of a resource of Batch that is given by name or ARN."""
    return reference if reference.startswith("arn:") else _arn("batch", f"{kind}/{reference}")


def check_pass_role(role_arn: str, service: str) -> None:
    """Raise `DeniedError` unless the caller of the current request may pass the role to `service`."""
    check_right("iam:PassRole", "iam", role_arn, {"iam:PassedToService": service})


def check_right(action: str, service: str, arn: str, context: dict[str, Any] | None = None) -> None:
    """Raise `DeniedError` unless the caller of the current request may do this too."""
    key = iam_evaluator._verified_key.get()
    if not app.AUTH or not key:  # the account's root user
        return
    if refused := iam_evaluator.enforce(key, action, service, get_region(), arn, context or {}):
        caller = getattr(refused, "principal_arn", key)
        raise DeniedError(f"User: {caller} is not authorized to perform: {action} on resource: {arn}")


def role_may(role_arn: str, session: str, action: str, arn: str, context: dict[str, Any] | None = None) -> bool:
    """Whether a service that acts with a role is allowed a call; `context` has the condition keys in lower case."""
    account, role = get_account_id(), role_arn.rpartition("/")[2]
    request = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=arn,
        region=get_region(),
        service_context=context or {},
    )
    policies = iam_evaluator._gather_role_policies(role, account)
    limits = iam_evaluator._permissions_boundary(iam._roles, role, account)
    allowed = iam_evaluator.evaluate(request, policies, *limits).decision == "Allow"
    decisions.note(request.principal_arn, action, allowed)
    return allowed


@contextlib.contextmanager
def in_own_name() -> Iterator[None]:
    """What is done inside is a service's doing: the rights of the current request's caller do not matter."""
    token = iam_evaluator._verified_key.set("")
    try:
        yield
    finally:
        iam_evaluator._verified_key.reset(token)


def _leading_keys(body: bytes) -> dict[str, list[str]]:
    """The values of the partition key, for the requests that name one: one item's, or a query's."""
    try:
        request = json.loads(body)
        table = dynamodb._tables[request["TableName"].rpartition("/")[2]]
        values = request.get("Key") or request.get("Item") or _queried(request)
        return {"dynamodb:LeadingKeys": [*values[table["pk_name"]].values()]}
    except (ValueError, LookupError, AttributeError, TypeError):
        return {}


def _queried(request: dict[str, Any]) -> dict[str, Any]:
    """The attributes that a key condition holds to a value."""
    names, values = request.get("ExpressionAttributeNames", {}), request["ExpressionAttributeValues"]
    held = re.findall(r"([#\w]+)\s*=\s*(:\w+)", request["KeyConditionExpression"])
    return {names.get(name, name): values[value] for name, value in held}


def _attach_volume(action: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Asks for both: MiniStack asks for one resource a call."""

    def answer(params: Any) -> Any:
        key = iam_evaluator._verified_key.get()
        names = (("instance", "InstanceId"), ("volume", "VolumeId"))
        arns = [_arn("ec2", f"{kind}/{ec2._p(params, name)}") for kind, name in names] if app.AUTH and key else []
        if any(iam_evaluator.enforce(key, "ec2:AttachVolume", "ec2", get_region(), arn, {}) for arn in arns):
            return ec2._error("UnauthorizedOperation", "You are not authorized to perform this operation.", 403)
        return action(params)

    return answer


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"


def _of_ec2() -> Tagged:
    """Without what is gone: MiniStack keeps its tags, AWS forgets them within the hour."""
    names = {group["GroupId"]: group["GroupName"] for group in ec2._placement_groups.values()}
    stores = {"instance": ec2._instances, "volume": ec2._volumes, "security-group": ec2._security_groups}
    for resource_id, tags in ec2._tags.items():
        kind = ec2._guess_resource_type(resource_id)
        resource = stores[kind].get(resource_id) if kind in stores else {}
        if resource is not None and (kind != "instance" or resource["State"]["Name"] != "terminated"):
            yield _arn("ec2", f"{kind}/{names.get(resource_id, resource_id)}"), tags


def _of_groups() -> Tagged:
    """By the ARN with which MiniStack evaluates a call upon a group, which has no id in it."""
    for name, group in autoscaling._asgs.items():
        yield _arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{name}"), group["Tags"]


def _of_stacks() -> Tagged:
    for name, stack in cloudformation._stacks.items():
        if stack["StackStatus"] != "DELETE_COMPLETE":
            yield _arn("cloudformation", f"stack/{name}/*"), stack["Tags"]
            yield stack["StackId"], stack["Tags"]


def _of_stack_ids() -> Tagged:
    return ((arn, tags) for arn, tags in _of_stacks() if not arn.endswith("/*"))


def _of_lustre() -> Tagged:
    for identifier, properties in file_systems.items():
        yield _arn("fsx", f"file-system/{identifier}"), properties.get("Tags") or []


def _of_batch() -> Tagged:
    from local.additions.batch import tagged  # which asks this module for rights

    jobs = ((job["jobArn"], job["tags"]) for job in batch._jobs.values() if job["tags"])
    for arn, tags in itertools.chain(tagged(), jobs):
        yield arn, [{"Key": key, "Value": value} for key, value in tags.items()]


def _of_projects() -> Tagged:
    for project in codebuild._projects.values():
        yield project["arn"], [{"Key": tag["key"], "Value": tag["value"]} for tag in project["tags"]]


def _of_log_groups() -> Tagged:
    for name, group in logs._log_groups.items():
        tags = group.get("tags") or {}
        yield _arn("logs", f"log-group:{name}"), [{"Key": key, "Value": value} for key, value in tags.items()]
