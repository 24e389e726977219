"""CloudFormation's resource types of AWS Batch, made with the API of `batch`.

A template's properties are the API's parameters in other letters; what they are (numbers, maps) is read from the
service's model. Sources: CloudFormation Template Reference, the ``handlers`` of the published resource schemas.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

from local.additions import batch
from local.additions.emulator import provisioners, stacks
from local.additions.environments import environment, queue
from local.additions.rest import RefusedError

Properties = dict[str, Any]
Made = tuple[str, Properties]
PREFIX = "AWS::Batch::"
# type: the property with its name
NAMES = {
    "ComputeEnvironment": "ComputeEnvironmentName",
    "JobQueue": "JobQueueName",
    "JobDefinition": "JobDefinitionName",
    "SchedulingPolicy": "Name",
}
# Of ComputeResources: what replaces the environment always, and what does unless ReplaceComputeEnvironment is false.
REPLACING = {"SpotIamFleetRole"}
PERHAPS_REPLACING = {
    "AllocationStrategy", "BidPercentage", "Ec2Configuration", "Ec2KeyPair", "ImageId", "InstanceRole", "InstanceTypes",
    "LaunchTemplate", "PlacementGroup", "ScalingPolicy", "SecurityGroupIds", "Subnets", "Tags", "Type",
}  # fmt: skip
TIMEOUT = 120.0


def register() -> None:
    """Add the types to MiniStack's tables."""
    for name, functions in _HANDLERS.items():
        handlers = {key: _reasoned(function) for key, function in functions.items()}
        provisioners._RESOURCE_HANDLERS[PREFIX + name] = {**handlers, "update_with_logical_id": True}
        provisioners._STACK_TAG_PROPERTY[PREFIX + name] = ("Tags", "map")
        provisioners._CUSTOM_NAME_REPLACEMENT[PREFIX + name] = {"name": NAMES[name]}
    kept = provisioners._CUSTOM_NAME_REPLACEMENT[f"{PREFIX}ComputeEnvironment"]
    kept["requires_replacement"] = _environment_is_replaced
    # They wait for a status.
    blocking = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda name: name.startswith(PREFIX) or blocking(name)


def _reasoned(function: Callable[..., Any]) -> Callable[..., Any]:
    """A refusal as the reason that CloudFormation gives in the stack's events."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except RefusedError as refused:
            raise ValueError(f'Resource handler returned message: "{refused} (Service: Batch)"') from None

    return call


def _request(operation: str, props: Properties) -> Properties:
    return _converted(props, batch.input_of(operation))


def _converted(value: Any, shape: Any) -> Any:
    """A template's value as the API's type `shape`; properties that the API does not have are left out."""
    if shape.type_name == "structure":
        members = {name.lower(): name for name in shape.members}
        return {
            name: _converted(each, shape.members[name])
            for key, each in value.items()
            if (name := members.get(key.lower())) and each is not None
        }
    if shape.type_name == "list":
        return [_converted(each, shape.member) for each in value]
    if shape.type_name == "map":
        return {key: str(each) for key, each in value.items()}
    if shape.type_name == "boolean":
        return str(value).lower() == "true"
    kinds: dict[str, Callable[[Any], Any]] = {"integer": int, "long": int, "float": float, "string": str}
    return kinds[shape.type_name](value)


def _named(kind: str, logical_id: str, props: Properties, stack: str) -> Properties:
    name = props.get(NAMES[kind]) or provisioners._physical_name(stack, logical_id, max_len=128)
    return {**props, NAMES[kind]: name}


def _tag(arn: str, old: Properties, new: Properties) -> None:
    tags, before, after = (batch.tags_of(arn), old.get("Tags") or {}, new.get("Tags") or {})
    for key in before.keys() - after.keys():
        tags.pop(key, None)
    tags.update({key: str(value) for key, value in after.items()})


def _changed(old: Properties, new: Properties) -> set[str]:
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def _settled(find: Callable[[str], Properties | None], arn: str, kind: str) -> None:
    """Wait until it is VALID or gone. Raises ValueError if it becomes INVALID or does not settle."""
    deadline = time.monotonic() + TIMEOUT
    while (record := find(arn)) and record["status"] != "VALID":
        if record["status"] == "INVALID":
            raise ValueError(f"Operation failed, {kind} went INVALID with error: {record['statusReason']}")
        if time.monotonic() > deadline:
            raise ValueError(f"{kind} {arn} did not stabilize; it is {record['status']}")
        time.sleep(0.02)


# --- AWS::Batch::ComputeEnvironment: Ref is the ARN. No tags of CloudFormation's own. Another tag, the stack's too,
# replaces it (`createOnlyProperties` of its schema; aws-cloudformation/cloudformation-coverage-roadmap, issue 2270).


def _environment_create(logical_id: str, props: Properties, stack: str) -> Made:
    tags = {k: v for k, v in (props.get("Tags") or {}).items() if not k.startswith("aws:cloudformation:")}
    named = _named("ComputeEnvironment", logical_id, {**props, "Tags": tags}, stack)
    request = _request("CreateComputeEnvironment", {**named, "Type": props["Type"].upper()})
    arn = batch.call("CreateComputeEnvironment", **request)["computeEnvironmentArn"]
    _settled(environment, arn, "ComputeEnvironment")
    return arn, {"ComputeEnvironmentArn": arn}


def _environment_is_replaced(old: Properties, new: Properties) -> bool:
    if (old.get("Tags") or {}) != (new.get("Tags") or {}):
        return True
    changed = _changed(old.get("ComputeResources") or {}, new.get("ComputeResources") or {})
    replace = str(new.get("ReplaceComputeEnvironment", True)).lower() == "true"
    return bool(changed & REPLACING or (replace and changed & PERHAPS_REPLACING))


def _environment_update(arn: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
    if _environment_is_replaced(old, new):
        kind = f"{PREFIX}ComputeEnvironment"
        return provisioners._replace_resource(kind, arn, old, new, stack, logical_id)
    before, after = old.get("ComputeResources") or {}, new.get("ComputeResources") or {}
    names = _changed(before, after) & after.keys()
    changes = {key: new[key] for key in ("State", "ServiceRole", "UpdatePolicy", "UnmanagedvCpus", "Context")
               if key in new and old.get(key) != new[key]}  # fmt: skip
    if names:
        changes["ComputeResources"] = {name: after[name] for name in names}
    if changes:
        request = _request("UpdateComputeEnvironment", {**changes, "ComputeEnvironment": arn})
        batch.call("UpdateComputeEnvironment", **request)
        _settled(environment, arn, "ComputeEnvironment")
    return arn, {"ComputeEnvironmentArn": arn}


def _environment_delete(arn: str, _: Properties) -> None:
    _delete(environment, arn, "ComputeEnvironment")


def _delete(find: Callable[[str], Properties | None], arn: str, kind: str) -> None:
    """First DISABLED, then deleted; what is INVALID can go too, and what is gone is gone, whoever deleted it."""
    of = {f"{kind[0].lower()}{kind[1:]}": arn}
    if (record := _still(find, arn)) and record["state"] != "DISABLED":
        batch.call(f"Update{kind}", **of, state="DISABLED")
    if _still(find, arn):
        batch.call(f"Delete{kind}", **of)
    _settled(find, arn, kind)


def _still(find: Callable[[str], Properties | None], arn: str) -> Properties | None:
    """The record when nothing moves it any more; None if it is gone."""
    while (record := find(arn)) and record["status"] not in ("VALID", "INVALID"):
        time.sleep(0.02)
    return record


# --- AWS::Batch::JobQueue: Ref is the ARN.


def _queue_create(logical_id: str, props: Properties, stack: str) -> Made:
    request = _request("CreateJobQueue", _named("JobQueue", logical_id, props, stack))
    arn = batch.call("CreateJobQueue", **request)["jobQueueArn"]
    _settled(queue, arn, "JobQueue")
    return arn, {"JobQueueArn": arn}


def _queue_update(arn: str, old: Properties, new: Properties, *_: str) -> Made:
    if _changed(old, new) - {"Tags"}:
        batch.call("UpdateJobQueue", **_request("UpdateJobQueue", {**new, "JobQueue": arn}))
        _settled(queue, arn, "JobQueue")
    _tag(arn, old, new)
    return arn, {"JobQueueArn": arn}


def _queue_delete(arn: str, _: Properties) -> None:
    _delete(queue, arn, "JobQueue")


# --- AWS::Batch::JobDefinition: Ref is the ARN with the revision; an update registers one. Of two ARNs MiniStack
# deletes the old one, which deregisters the revision before.


def _definition_create(logical_id: str, props: Properties, stack: str) -> Made:
    request = _request("RegisterJobDefinition", _named("JobDefinition", logical_id, props, stack))
    arn = batch.call("RegisterJobDefinition", **request)["jobDefinitionArn"]
    return arn, {"JobDefinitionArn": arn}


def _definition_update(arn: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
    if not _changed(old, new) - {"Tags"}:
        _tag(arn, old, new)
        return arn, {"JobDefinitionArn": arn}
    name = arn.rpartition("/")[2].partition(":")[0]
    return _definition_create(logical_id, {**new, "JobDefinitionName": name}, stack)


def _definition_delete(arn: str, _: Properties) -> None:
    batch.call("DeregisterJobDefinition", jobDefinition=arn)


# --- AWS::Batch::SchedulingPolicy: Ref is the ARN.


def _policy_create(logical_id: str, props: Properties, stack: str) -> Made:
    request = _request("CreateSchedulingPolicy", _named("SchedulingPolicy", logical_id, props, stack))
    arn = batch.call("CreateSchedulingPolicy", **request)["arn"]
    return arn, {"Arn": arn}


def _policy_update(arn: str, old: Properties, new: Properties, *_: str) -> Made:
    batch.call("UpdateSchedulingPolicy", **_request("UpdateSchedulingPolicy", {**new, "Arn": arn}))
    _tag(arn, old, new)
    return arn, {"Arn": arn}


def _policy_delete(arn: str, _: Properties) -> None:
    if batch.call("DescribeSchedulingPolicies", arns=[arn])["schedulingPolicies"]:
        batch.call("DeleteSchedulingPolicy", arn=arn)


_HANDLERS: dict[str, dict[str, Callable[..., Any]]] = {
    "ComputeEnvironment": {
        "create": _environment_create,
        "update": _environment_update,
        "delete": _environment_delete,
    },
    "JobQueue": {"create": _queue_create, "update": _queue_update, "delete": _queue_delete},
    "JobDefinition": {"create": _definition_create, "update": _definition_update, "delete": _definition_delete},
    "SchedulingPolicy": {"create": _policy_create, "update": _policy_update, "delete": _policy_delete},
}
