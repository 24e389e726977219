"""Auto Scaling's API for groups, and the CloudFormation resource of a group.

MiniStack's own keeps a list of made-up instances; here `local.additions.fleet` launches them in EC2. Hooks, tags,
policies and launch configurations are MiniStack's. Source: EC2 Auto Scaling API Reference, for behaviour and errors.
"""

import base64
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_region, new_uuid, now_iso

from local.additions import fleet
from local.additions.emulator import autoscaling, ec2, provisioners, stacks
from local.additions.inprocess import client

Request = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]
TYPE = "AWS::AutoScaling::AutoScalingGroup"
PROCESSES = ("Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification", "AZRebalance", "HealthCheck",
             "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions")  # fmt: skip
NUMBERS = ("MinSize", "MaxSize", "DesiredCapacity", "DefaultCooldown", "HealthCheckGracePeriod", "MaxInstanceLifetime",
           "DefaultInstanceWarmup")  # fmt: skip
FLAGS = ("NewInstancesProtectedFromScaleIn", "CapacityRebalance")
TEXTS = ("HealthCheckType", "VPCZoneIdentifier", "LaunchTemplate", "MixedInstancesPolicy", "TerminationPolicies",
         "PlacementGroup", "ServiceLinkedRoleARN", "LaunchConfigurationName")  # fmt: skip
DELETE_TIMEOUT = 120.0


class RefusedError(Exception):
    """An error of the API: its code and message."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.code = code


def register() -> None:
    """Replace the actions on groups and their CloudFormation resource."""
    autoscaling._reconcile_instances = lambda _: None
    autoscaling._ACTION_MAP.update({name: _action(name, function) for name, function in _ACTIONS.items()})
    provisioners._RESOURCE_HANDLERS[TYPE] = {
        "create": _resource_create,
        "update": _resource_update,
        "update_with_logical_id": True,
        "delete": _resource_delete,
    }
    # A group's deletion waits for its instances to go.
    blocking = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda name: name == TYPE or blocking(name)


def _action(name: str, function: Callable[[Request], Any]) -> Callable[[dict[str, Any]], Answer]:
    def answer(params: dict[str, Any]) -> Answer:
        try:
            result = function(structure(params))
        except RefusedError as refused:
            return autoscaling._error(refused.code, str(refused))
        if not name.startswith("Describe"):
            fleet.engine.wake()
        inner = f"<{name}Result>{autoscaling._member_xml(result or {})}</{name}Result>"
        return autoscaling._xml(200, f"{name}Response", inner)

    return answer


def structure(params: dict[str, Any]) -> Request:
    """A query request's dotted names as the nested lists and maps that they stand for."""
    root: Request = {}
    for name, value in params.items():
        *parents, last = name.split(".")
        place = root
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = value[0] if isinstance(value, list) else value
    return _lists(root)


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    members = value.get("member")
    if isinstance(members, dict):
        return [_lists(members[key]) for key in sorted(members, key=int)]
    return {key: _lists(each) for key, each in value.items()}


# --- groups


def _group(request: Request) -> fleet.Group:
    name = request.get("AutoScalingGroupName", "")
    group = autoscaling._asgs.get(name)
    if group is None:
        raise RefusedError(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
    return group


def _set(group: fleet.Group, request: Request) -> None:
    group.update({name: int(request[name]) for name in NUMBERS if request.get(name, "") != ""})
    group.update({name: request[name] == "true" for name in FLAGS if name in request})
    group.update({name: request[name] for name in TEXTS if name in request})
    subnets = [each.strip() for each in group["VPCZoneIdentifier"].split(",") if each.strip()]
    for subnet in subnets:
        if subnet not in ec2._subnets:
            raise RefusedError(f"The subnet ID '{subnet}' does not exist")
    if subnets:
        group["AvailabilityZones"] = sorted({ec2._subnets[each]["AvailabilityZone"] for each in subnets})
    if group["MinSize"] > group["MaxSize"]:
        raise RefusedError(
            f"Max bound, {group['MaxSize']}, must be greater than or equal to min bound, {group['MinSize']}"
        )
    if request.get("DesiredCapacity", "") == "":
        group["DesiredCapacity"] = min(max(group["DesiredCapacity"], group["MinSize"]), group["MaxSize"])
    elif not group["MinSize"] <= group["DesiredCapacity"] <= group["MaxSize"]:
        raise RefusedError(
            f"Desired capacity:{group['DesiredCapacity']} must be between the specified min size:{group['MinSize']} "
            f"and max size:{group['MaxSize']}"
        )
    _check_template(group)


def _check_template(group: fleet.Group) -> None:
    mixed = (group.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    template = mixed.get("LaunchTemplateSpecification") or group["LaunchTemplate"]
    if not template and not group["LaunchConfigurationName"]:
        raise RefusedError("Valid requests must contain either LaunchTemplate or MixedInstancesPolicy parameter.")
    _, record, error = ec2._resolve_launch_template_data(template)
    if error:
        identifier = template.get("LaunchTemplateId")
        raise RefusedError(
            "You must use a valid fully-formed launch template. The specified launch template, with template ID "
            f"{identifier}, does not exist."
        )
    if record:
        template.update({key: record[key] for key in ("LaunchTemplateId", "LaunchTemplateName")})


def _create(request: Request) -> None:
    name = request.get("AutoScalingGroupName", "")
    if name in autoscaling._asgs:
        message = "AutoScalingGroup by this name already exists - A group with the name " + name + " already exists"
        raise RefusedError(message, "AlreadyExists")
    group: fleet.Group = {
        "AutoScalingGroupName": name,
        "AutoScalingGroupARN": autoscaling._asg_arn(name),
        "MinSize": 0, "MaxSize": 0, "DesiredCapacity": 0, "DefaultCooldown": 300, "HealthCheckGracePeriod": 0,
        "AvailabilityZones": request.get("AvailabilityZones") or [f"{get_region()}a"],
        "LaunchConfigurationName": "", "LaunchTemplate": {}, "VPCZoneIdentifier": "", "HealthCheckType": "EC2",
        "TerminationPolicies": ["Default"], "NewInstancesProtectedFromScaleIn": False,
        "Instances": [], "SuspendedProcesses": [], "CreatedTime": now_iso(), "Status": "", "Tags": [],
    }  # fmt: skip
    _set(group, request)
    autoscaling._asgs[name] = group
    group["Tags"] = autoscaling._tags[name] = [_tag(name, each) for each in request.get("Tags") or []]
    for hook in request.get("LifecycleHookSpecificationList") or []:
        record = autoscaling._hook_record(name, hook["LifecycleHookName"], hook)
        autoscaling._hooks[f"{name}/{hook['LifecycleHookName']}"] = record


def _tag(name: str, tag: Request) -> Request:
    return {
        "Key": tag["Key"],
        "Value": tag.get("Value", ""),
        "ResourceId": name,
        "ResourceType": "auto-scaling-group",
        "PropagateAtLaunch": tag.get("PropagateAtLaunch") == "true",
    }


def _update(request: Request) -> None:
    group = _group(request)
    changed = {**group}
    if "MixedInstancesPolicy" in request or "LaunchTemplate" in request:
        changed.update(MixedInstancesPolicy={}, LaunchTemplate={}, LaunchConfigurationName="")
    _set(changed, request)
    group.update(changed)


def _set_desired(request: Request) -> None:
    group, value = _group(request), int(request["DesiredCapacity"])
    for size, bound, word in ((value - group["MaxSize"], group["MaxSize"], "above max"),
                              (group["MinSize"] - value, group["MinSize"], "below min")):  # fmt: skip
        if size > 0:
            raise RefusedError(
                f"New SetDesiredCapacity value {value} is {word} value {bound} for the AutoScalingGroup."
            )
    group["DesiredCapacity"] = value


def _delete(request: Request) -> None:
    group = _group(request)
    if group["Instances"] and request.get("ForceDelete") != "true":
        cannot = "You cannot delete an AutoScalingGroup while there are "
        if any(each["LifecycleState"] != "InService" for each in group["Instances"]):
            raise RefusedError(f"{cannot}scaling activities in progress for that group.", "ScalingActivityInProgress")
        raise RefusedError(
            f"{cannot}instances or pending Spot instance request(s) still in the group.", "ResourceInUse"
        )
    if not group["Instances"]:
        fleet.forget(group["AutoScalingGroupName"])
        return
    group.update(Status="Delete in progress", MinSize=0, MaxSize=0, DesiredCapacity=0, SuspendedProcesses=[])
    for member in list(group["Instances"]):
        fleet.terminate(group, member, fleet.ASKED.format(member["InstanceId"]))


def _describe(request: Request) -> Request:
    names = request.get("AutoScalingGroupNames")
    filters = request.get("Filters") or []
    found = [
        group
        for name, group in sorted(autoscaling._asgs.items())
        if (not names or name in names) and all(_has_tag(group, each) for each in filters)
    ]
    page, more = _page(found, request, 50, 100)
    return {"AutoScalingGroups": [_shown(group) for group in page], **more}


def _has_tag(group: fleet.Group, wanted: Request) -> bool:
    name, values = wanted["Name"], wanted.get("Values") or []
    if name == "tag-key":
        return any(tag["Key"] in values for tag in group["Tags"])
    if name == "tag-value":
        return any(tag["Value"] in values for tag in group["Tags"])
    if name.startswith("tag:"):
        return any(tag["Key"] == name[4:] and tag["Value"] in values for tag in group["Tags"])
    raise RefusedError(f"Filter '{name}' is not valid")


def _page(found: list[Any], request: Request, default: int, most: int) -> tuple[list[Any], Request]:
    size = int(request.get("MaxRecords") or default)
    if not 0 < size <= most:
        rule = f"Member must have value less than or equal to {most}"
        raise RefusedError(f"Value '{size}' at 'maxRecords' failed to satisfy constraint: {rule}")
    try:
        start = int(base64.b64decode(request.get("NextToken", "")) or 0)
    except ValueError:
        raise RefusedError(f"The token '{request['NextToken']}' is invalid.", "InvalidNextToken") from None
    end = start + size
    more = {"NextToken": base64.b64encode(str(end).encode()).decode()} if end < len(found) else {}
    return found[start:end], more


def _shown(record: Any) -> Any:
    """A record as the API shows it: without what is our own, and without what is not set."""
    if isinstance(record, list):
        return [_shown(each) for each in record]
    if isinstance(record, dict):
        return {k: _shown(v) for k, v in record.items() if not k.startswith("_") and v not in ("", {}, None)}
    return record


# --- members


def _member(instance_id: str) -> tuple[fleet.Group, fleet.Member]:
    for group in autoscaling._asgs.values():
        for member in group["Instances"]:
            if member["InstanceId"] == instance_id:
                return group, member
    raise RefusedError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def _describe_instances(request: Request) -> Request:
    wanted = request.get("InstanceIds")
    found = [
        member | {"AutoScalingGroupName": group["AutoScalingGroupName"]}
        for group in autoscaling._asgs.values()
        for member in group["Instances"]
        if not wanted or member["InstanceId"] in wanted
    ]
    page, more = _page(found, request, 50, 50)
    return {"AutoScalingInstances": _shown(page), **more}


def _terminate(request: Request) -> Request:
    group, member = _member(request["InstanceId"])
    if request.get("ShouldDecrementDesiredCapacity") == "true":
        _decrement(group, 1)
    activity = fleet.terminate(group, member, fleet.ASKED.format(member["InstanceId"]))
    return {"Activity": _shown(activity)}


def _decrement(group: fleet.Group, count: int) -> None:
    if group["DesiredCapacity"] - count < group["MinSize"]:
        raise RefusedError(
            f"Currently, desiredSize equals minSize ({group['MinSize']}). Terminating instance without replacement "
            "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
            "lower group's min size."
        )
    group["DesiredCapacity"] -= count


def _detach(request: Request) -> Request:
    group, ids = _group(request), request.get("InstanceIds") or []
    members = [member for member in group["Instances"] if member["InstanceId"] in ids]
    if len(members) < len(ids):
        raise RefusedError(f"The instances {ids} are not part of Auto Scaling group {group['AutoScalingGroupName']}.")
    if request.get("ShouldDecrementDesiredCapacity") == "true":
        _decrement(group, len(members))
    group["Instances"] = [member for member in group["Instances"] if member not in members]
    return {"Activities": []}


def _set_health(request: Request) -> None:
    _member(request["InstanceId"])[1]["HealthStatus"] = request["HealthStatus"]


def _set_protection(request: Request) -> None:
    for instance_id in request.get("InstanceIds") or []:
        _member(instance_id)[1]["ProtectedFromScaleIn"] = request["ProtectedFromScaleIn"] == "true"


# --- activities, processes, hooks, notifications


def _activities(request: Request) -> Request:
    groups = [_group(request)] if request.get("AutoScalingGroupName") else autoscaling._asgs.values()
    ids = request.get("ActivityIds")
    found = [a for group in groups for a in group.get("_activities", []) if not ids or a["ActivityId"] in ids]
    page, more = _page(found, request, 100, 100)
    return {"Activities": _shown(page), **more}


def _suspend(request: Request) -> None:
    group, now = _group(request), now_iso()
    for name in _processes(request):
        if fleet._runs(group, name):
            entry = {"ProcessName": name, "SuspensionReason": f"User suspended at {now}"}
            group["SuspendedProcesses"] = [*group["SuspendedProcesses"], entry]


def _resume(request: Request) -> None:
    group, names = _group(request), _processes(request)
    group["SuspendedProcesses"] = [each for each in group["SuspendedProcesses"] if each["ProcessName"] not in names]


def _processes(request: Request) -> tuple[str, ...]:
    names = tuple(request.get("ScalingProcesses") or PROCESSES)
    if unknown := [name for name in names if name not in PROCESSES]:
        raise RefusedError(f"Scaling process {unknown[0]} is not valid")
    return names


def _action_of(request: Request) -> dict[str, Any]:
    group, hook, token = _group(request), request["LifecycleHookName"], request.get("LifecycleActionToken")
    for member in group["Instances"]:
        action = (member.get("_actions") or {}).get(hook)
        if action and (action["token"] == token or member["InstanceId"] == request.get("InstanceId")):
            return action
    raise RefusedError(f"No active Lifecycle Action found with instance ID {request.get('InstanceId')}")


def _complete(request: Request) -> None:
    _action_of(request)["result"] = request["LifecycleActionResult"]


def _heartbeat(request: Request) -> None:
    hook = autoscaling._hooks[f"{request['AutoScalingGroupName']}/{request['LifecycleHookName']}"]
    _action_of(request)["deadline"] = time.time() + hook["HeartbeatTimeout"]


def _put_notifications(request: Request) -> None:
    group = _group(request)
    group.setdefault("_notifications", {})[request["TopicARN"]] = request.get("NotificationTypes") or []
    fleet.notify(group, "autoscaling:TEST_NOTIFICATION")


def _delete_notifications(request: Request) -> None:
    _group(request).get("_notifications", {}).pop(request["TopicARN"], None)


def _describe_notifications(request: Request) -> Request:
    names = request.get("AutoScalingGroupNames")
    found = [
        {"AutoScalingGroupName": name, "TopicARN": topic, "NotificationType": kind}
        for name, group in autoscaling._asgs.items()
        if not names or name in names
        for topic, kinds in group.get("_notifications", {}).items()
        for kind in kinds
    ]
    page, more = _page(found, request, 50, 100)
    return {"NotificationConfigurations": page, **more}


_ACTIONS: dict[str, Callable[[Request], Any]] = {
    "CreateAutoScalingGroup": _create,
    "UpdateAutoScalingGroup": _update,
    "SetDesiredCapacity": _set_desired,
    "DeleteAutoScalingGroup": _delete,
    "DescribeAutoScalingGroups": _describe,
    "DescribeAutoScalingInstances": _describe_instances,
    "TerminateInstanceInAutoScalingGroup": _terminate,
    "DetachInstances": _detach,
    "SetInstanceHealth": _set_health,
    "SetInstanceProtection": _set_protection,
    "DescribeScalingActivities": _activities,
    "SuspendProcesses": _suspend,
    "ResumeProcesses": _resume,
    "CompleteLifecycleAction": _complete,
    "RecordLifecycleActionHeartbeat": _heartbeat,
    "PutNotificationConfiguration": _put_notifications,
    "DeleteNotificationConfiguration": _delete_notifications,
    "DescribeNotificationConfigurations": _describe_notifications,
}


# --- the CloudFormation resource


def _resource_create(logical_id: str, props: Request, stack: str) -> tuple[str, Request]:
    name = props.get("AutoScalingGroupName") or f"{stack}-{logical_id}-{new_uuid()[:12]}"
    tags = [_api_tag(name, tag) for tag in props.get("Tags") or []]
    client("autoscaling").create_auto_scaling_group(**_api(name, props), Tags=tags)
    _apply_parts(name, props, {})
    return name, {"AutoScalingGroupARN": autoscaling._asgs[name]["AutoScalingGroupARN"]}


def _resource_update(physical_id: str, old: Request, new: Request, _: str, __: str) -> tuple[str, Request]:
    """Sizes of the template are set again, desired capacity only if the template has it."""
    api = client("autoscaling")
    api.update_auto_scaling_group(**_api(physical_id, new))
    kept = {tag["Key"] for tag in new.get("Tags") or []}
    gone = [_api_tag(physical_id, tag) for tag in old.get("Tags") or [] if tag["Key"] not in kept]
    if gone:
        api.delete_tags(Tags=gone)
    api.create_or_update_tags(Tags=[_api_tag(physical_id, tag) for tag in new.get("Tags") or []])
    _apply_parts(physical_id, new, old)
    return physical_id, {"AutoScalingGroupARN": autoscaling._asgs[physical_id]["AutoScalingGroupARN"]}


def _resource_delete(physical_id: str, _: Request) -> None:
    """Sizes to zero, wait until the instances are gone, delete (user guide, "Delete your Auto Scaling group")."""
    api = client("autoscaling")
    if physical_id not in autoscaling._asgs:
        return
    api.update_auto_scaling_group(AutoScalingGroupName=physical_id, MinSize=0, MaxSize=0, DesiredCapacity=0)
    deadline = time.monotonic() + DELETE_TIMEOUT
    while autoscaling._asgs[physical_id]["Instances"]:
        if time.monotonic() > deadline:
            size = len(autoscaling._asgs[physical_id]["Instances"])
            raise ValueError(f"Group did not stabilize. {{current/minSize/maxSize group size = {size}/0/0}}.")
        time.sleep(0.02)
    api.delete_auto_scaling_group(AutoScalingGroupName=physical_id)


def _api(name: str, props: Request) -> Request:
    """A template's properties as parameters of the API: other names, numbers that are not strings."""
    given = {key: props[key] for key in TEXTS if props.get(key)}
    given.update({key: int(props[key]) for key in NUMBERS if key in props})
    given.update({key: str(props[key]).lower() == "true" for key in FLAGS if key in props})
    if "Cooldown" in props:
        given["DefaultCooldown"] = int(props["Cooldown"])
    if isinstance(given.get("VPCZoneIdentifier"), list):
        given["VPCZoneIdentifier"] = ",".join(given["VPCZoneIdentifier"])
    if mixed := given.get("MixedInstancesPolicy"):
        spread = {k: int(v) if str(v).isdigit() else v for k, v in (mixed.get("InstancesDistribution") or {}).items()}
        given["MixedInstancesPolicy"] = mixed | {"InstancesDistribution": spread}
    return {"AutoScalingGroupName": name, **given}


def _api_tag(name: str, tag: Request) -> Request:
    propagate = str(tag.get("PropagateAtLaunch", "false")).lower() == "true"
    facts = {"ResourceId": name, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": propagate}
    return {"Key": tag["Key"], "Value": str(tag["Value"]), **facts}


def _apply_parts(name: str, new: Request, old: Request) -> None:
    """Notifications and hooks, which are properties in the template and calls of their own in the API."""
    api = client("autoscaling")
    topics = {each["TopicARN"]: each["NotificationTypes"] for each in new.get("NotificationConfigurations") or []}
    before = {each["TopicARN"]: each["NotificationTypes"] for each in old.get("NotificationConfigurations") or []}
    for topic in before.keys() - topics.keys():
        api.delete_notification_configuration(AutoScalingGroupName=name, TopicARN=topic)
    for topic, kinds in topics.items():
        if before.get(topic) != kinds:
            api.put_notification_configuration(AutoScalingGroupName=name, TopicARN=topic, NotificationTypes=kinds)
    for hook in new.get("LifecycleHookSpecificationList") or []:
        numbers = {"HeartbeatTimeout": int(hook["HeartbeatTimeout"])} if "HeartbeatTimeout" in hook else {}
        api.put_lifecycle_hook(AutoScalingGroupName=name, **hook | numbers)
