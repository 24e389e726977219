"""EC2's actions nearer to AWS: terminations clean up, states are told, describes filter and page, what is in use stays.

Source: EC2 API Reference (DescribeInstances and its filters, the Delete actions, error codes).
"""

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

from ministack.core.responses import get_account_id, new_uuid

from local.additions import instance_types
from local.additions.emulator import ec2
from local.additions.launches import Ec2Error, announce, launch

Parameters = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]


def register() -> None:
    """Replace the actions that fall short."""
    ec2._ACTION_MAP.update(
        RunInstances=_answering(_run_instances),
        TerminateInstances=_terminate_instances,
        StopInstances=_with_state_events("StopInstances", "stopping", "stopped"),
        StartInstances=_with_state_events("StartInstances", "pending", "running"),
        DescribeInstances=_answering(_describe_instances),
        DescribeInstanceAttribute=_describe_instance_attribute,
        DescribeInstanceTypes=lambda p: instance_types.describe(ec2, p),
        DescribeAddresses=_describe_addresses,
        CreateSecurityGroup=_answering(_create_security_group),
        DeleteSecurityGroup=_answering(_delete_security_group),
        DeletePlacementGroup=_answering(_delete_placement_group),
        DeleteVolume=_delete_volume,
    )
    ec2._instance_xml = _instance_xml(ec2._instance_xml)


def _answering(action: Callable[[Parameters], Answer]) -> Callable[[Parameters], Answer]:
    def answer(p: Parameters) -> Answer:
        try:
            return action(p)
        except Ec2Error as error:
            return error.answer()

    return answer


def _run_instances(p: Parameters) -> Answer:
    spec = ec2._parse_lt_data({f"Request.{name}": value for name, value in p.items()}, "Request")
    for name in ("SubnetId", "PrivateIpAddress"):
        if value := ec2._p(p, name):
            spec[name] = value
    for group, member in (("Placement", "GroupName"), ("InstanceMarketOptions", "MarketType")):
        if value := ec2._p(p, f"{group}.{member}"):
            spec[group] = {member: value}
    template = {
        key: ec2._p(p, f"LaunchTemplate.{key}") for key in ("LaunchTemplateId", "LaunchTemplateName", "Version")
    }
    if any(template.values()):
        spec["LaunchTemplate"] = template
    instances = launch(spec, int(ec2._p(p, "MaxCount") or 1))
    items = "".join(ec2._instance_xml(each) for each in instances)
    inner = f"<instancesSet>{items}</instancesSet><reservationId>r-{new_uuid()[:8]}</reservationId><groupSet/>"
    return ec2._xml(200, "RunInstancesResponse", f"{inner}<ownerId>{get_account_id()}</ownerId>")


# --- states


_STATE_ACTIONS = {name: ec2._ACTION_MAP[name] for name in ("TerminateInstances", "StopInstances", "StartInstances")}


def _with_state_events(action: str, during: str, after: str) -> Callable[[Parameters], Answer]:
    def answer(p: Parameters) -> Answer:
        before = {each["InstanceId"]: each["State"]["Name"] for each in ec2._instances.values()}
        result = _STATE_ACTIONS[action](p)
        for instance_id in ec2._parse_member_list(p, "InstanceId") if result[0] == 200 else []:
            if before.get(instance_id) != after:
                announce(instance_id, during)
                announce(instance_id, after)
        return result

    return answer


def _terminate_instances(p: Parameters) -> Answer:
    """Volumes with DeleteOnTermination go, the others are detached, Elastic IPs disassociated."""
    result = _with_state_events("TerminateInstances", "shutting-down", "terminated")(p)
    gone = set(ec2._parse_member_list(p, "InstanceId")) if result[0] == 200 else set()
    for volume in ec2._volumes.values():
        if attached := [each for each in volume["Attachments"] if each["InstanceId"] in gone]:
            volume.update(Attachments=[], State="available")
            if attached[0]["DeleteOnTermination"]:
                ec2._volumes.pop(volume["VolumeId"], None)
                ec2._tags.pop(volume["VolumeId"], None)
    for address in ec2._addresses.values():
        if address["InstanceId"] in gone:
            address.update(InstanceId=None, AssociationId=None)
    return result


# --- describing


# filter of DescribeInstances: the value in an instance's record
_FILTERS: dict[str, Callable[[Parameters], str]] = {
    "availability-zone": lambda i: i["Placement"]["AvailabilityZone"],
    "architecture": lambda i: i["Architecture"],
    "image-id": lambda i: i["ImageId"],
    "instance-id": lambda i: i["InstanceId"],
    "instance-lifecycle": lambda i: i.get("InstanceLifecycle", ""),
    "instance-state-code": lambda i: str(i["State"]["Code"]),
    "instance-state-name": lambda i: i["State"]["Name"],
    "instance-type": lambda i: i["InstanceType"],
    "key-name": lambda i: i.get("KeyName", ""),
    "placement-group-name": lambda i: i["Placement"].get("GroupName", ""),
    "private-ip-address": lambda i: i["PrivateIpAddress"],
    "subnet-id": lambda i: i["SubnetId"],
    "vpc-id": lambda i: i["VpcId"],
}
_LISTS: dict[str, Callable[[Parameters], list[str]]] = {
    "instance.group-id": lambda i: [group["GroupId"] for group in i["SecurityGroups"]],
    "block-device-mapping.volume-id": lambda i: [m["Ebs"]["VolumeId"] for m in i["BlockDeviceMappings"]],
}


def _matches(instance: Parameters, filters: dict[str, list[str]]) -> bool:
    for name, wanted in filters.items():
        if name.startswith("tag:") or name in ("tag-key", "tag-value"):
            continue
        if name in _LISTS:
            values = _LISTS[name](instance)
        elif name in _FILTERS:
            values = [_FILTERS[name](instance)]
        else:
            raise Ec2Error("InvalidParameterValue", f"The filter '{name}' is invalid")
        if not any(ec2._glob_match(pattern, value) for pattern in wanted for value in values):
            return False
    return ec2._resource_matches_tag_filters(instance["InstanceId"], filters)


def _describe_instances(p: Parameters) -> Answer:
    ec2._cleanup_terminated()
    ids = ec2._parse_member_list(p, "InstanceId")
    for instance_id in ids:
        if not ec2._INSTANCE_ID_RE.match(instance_id):
            raise Ec2Error("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')
        if instance_id not in ec2._instances:
            raise Ec2Error("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    filters = ec2._parse_filters(p)
    found = [i for i in _named(ids or filters.get("instance-id", [])) if _matches(i, filters)]
    page, token = _page(found, ec2._p(p, "MaxResults"), ec2._p(p, "NextToken"))
    items = "".join(
        f"<item><reservationId>r-{i['InstanceId'][2:]}</reservationId><ownerId>{get_account_id()}</ownerId>"
        f"<groupSet/><instancesSet>{ec2._instance_xml(i)}</instancesSet></item>"
        for i in page
    )
    return ec2._xml(200, "DescribeInstancesResponse", f"<reservationSet>{items}</reservationSet>{token}")


def _named(ids: list[str]) -> Iterable[Parameters]:
    """The instances that have one of these ids, or all if some are none, but patterns."""
    if not ids or not all(ec2._INSTANCE_ID_RE.match(each) for each in ids):
        return ec2._instances.values()
    return [ec2._instances[each] for each in dict.fromkeys(ids) if each in ec2._instances]


def _page(found: list[Parameters], size: str, token: str) -> tuple[list[Parameters], str]:
    """One page and the XML of the token for the next; a page has 5 to 1000 instances (DescribeInstances)."""
    start = int(base64.b64decode(token)) if token else 0
    end = start + int(size or 1000)
    more = base64.b64encode(str(end).encode()).decode()
    return found[start:end], f"<nextToken>{more}</nextToken>" if end < len(found) else ""


def _instance_xml(original: Callable[[Parameters], str]) -> Callable[[Parameters], str]:
    """MiniStack's instance with what it leaves out."""

    def xml(instance: Parameters) -> str:
        group = instance["Placement"].get("GroupName")
        placement = f"<placement><groupName>{ec2._esc(group)}</groupName>" if group else "<placement>"
        lifecycle = instance.get("InstanceLifecycle")
        options = instance.get("MetadataOptions") or {}
        metadata = "".join(
            f"<{k[0].lower()}{k[1:]}>{ec2._esc(str(v))}</{k[0].lower()}{k[1:]}>" for k, v in options.items()
        )
        extra = f"<instanceLifecycle>{lifecycle}</instanceLifecycle>" if lifecycle else ""
        extra += f"<metadataOptions>{metadata}</metadataOptions>" if metadata else ""
        result = (
            original(instance).replace("<placement>", placement).replace("<amiLaunchIndex>", f"{extra}<amiLaunchIndex>")
        )
        return result.replace("<ipAddress></ipAddress>", "").replace("<keyName></keyName>", "")

    return xml


_PLAIN = {
    name: ec2._ACTION_MAP[name]
    for name in (
        "DescribeInstanceAttribute",
        "DescribeAddresses",
        "CreateSecurityGroup",
        "DeleteSecurityGroup",
        "DeletePlacementGroup",
        "DeleteVolume",
    )
}


def _describe_instance_attribute(p: Parameters) -> Answer:
    instance = ec2._instances.get(ec2._p(p, "InstanceId"))
    if not instance or ec2._p(p, "Attribute") != "userData":
        return _PLAIN["DescribeInstanceAttribute"](p)
    data = f"<userData><value>{instance['UserData']}</value></userData>" if instance["UserData"] else "<userData/>"
    inner = f"<instanceId>{instance['InstanceId']}</instanceId>{data}"
    return ec2._xml(200, "DescribeInstanceAttributeResponse", inner)


def _describe_addresses(p: Parameters) -> Answer:
    filters = ec2._parse_filters(p)
    if not filters:
        return _PLAIN["DescribeAddresses"](p)
    ids = [a for a in ec2._addresses if ec2._resource_matches_tag_filters(a, filters)]
    if "instance-id" in filters:
        ids = [a for a in ids if ec2._addresses[a]["InstanceId"] in filters["instance-id"]]
    if not ids:
        return ec2._xml(200, "DescribeAddressesResponse", "<addressesSet/>")
    return _PLAIN["DescribeAddresses"](p | {f"AllocationId.{n}": [each] for n, each in enumerate(ids, 1)})


# --- what may not be made or deleted


def check_vpc(vpc_id: str) -> None:
    """Raise `Ec2Error` unless there is such a VPC."""
    if vpc_id not in ec2._vpcs:
        raise Ec2Error("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")


def check_group_unused(group_id: str) -> None:
    """Raise `Ec2Error` while an instance or another group's rule uses the security group (DeleteSecurityGroup)."""
    live = (i for i in ec2._instances.values() if i["State"]["Name"] != "terminated")
    used = any(group["GroupId"] == group_id for i in live for group in i["SecurityGroups"])
    others = (each for each in ec2._security_groups.values() if each["GroupId"] != group_id)
    if used or any(group_id in json.dumps(each) for each in others):
        raise Ec2Error("DependencyViolation", f"resource {group_id} has a dependent object")


def _create_security_group(p: Parameters) -> Answer:
    if vpc_id := ec2._p(p, "VpcId"):
        check_vpc(vpc_id)
    return _PLAIN["CreateSecurityGroup"](p)


def _delete_security_group(p: Parameters) -> Answer:
    check_group_unused(ec2._p(p, "GroupId"))
    return _PLAIN["DeleteSecurityGroup"](p)


def _delete_placement_group(p: Parameters) -> Answer:
    name = ec2._p(p, "GroupName")
    live = (i for i in ec2._instances.values() if i["State"]["Name"] != "terminated")
    if any(i["Placement"].get("GroupName") == name for i in live):
        raise Ec2Error("InvalidPlacementGroup.InUse", f"The placement group '{name}' is in use and may not be deleted.")
    return _PLAIN["DeletePlacementGroup"](p)


def _delete_volume(p: Parameters) -> Answer:
    result = _PLAIN["DeleteVolume"](p)
    if result[0] == 200:
        ec2._tags.pop(ec2._p(p, "VolumeId"), None)
    return result
