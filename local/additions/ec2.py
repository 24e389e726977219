"""EC2 nearer to AWS: launches are checked and honoured in full, terminations clean up, describes filter and page.

`launch` is what RunInstances, the ``AWS::EC2::Instance`` resource and Auto Scaling share. Sources: EC2 API Reference
(RunInstances, DescribeInstances, error codes) and the EventBridge reference for EC2 state-change notifications.
"""

import base64
import ipaddress
import json
import random
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid

from local.additions import instance_types
from local.additions.emulator import ec2
from local.additions.events import emit
from local.additions.settings import settings

Parameters = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]
MAX_USER_DATA = 16384
STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
# Called with an instance id after its state changed; Auto Scaling's health check listens here.
state_listeners: list[Callable[[str], None]] = []


class Ec2Error(Exception):
    """An EC2 API error: `code` as in EC2's table of error codes, message, HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    def answer(self) -> Answer:
        """The error as EC2's XML."""
        return ec2._error(self.code, ec2._esc(str(self)), self.status)


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


# --- launching


def launch(specification: Parameters, count: int = 1, tags: list[dict[str, str]] | None = None) -> list[Parameters]:
    """Run `count` instances as `specification` (the request shape of RunInstances) says; returns their records.

    `tags` come on top of the specification's own; services may set ``aws:`` keys so. Raises `Ec2Error`.
    """
    spec = _with_launch_template(specification)
    subnet = _checked_subnet(spec)
    groups = _checked_groups(spec, subnet)
    kind = _checked_type(spec)
    _check_names(spec)
    _check_capacity(spec, subnet)
    instances = ec2._launch_instances_internal(
        image_id=spec["ImageId"],
        instance_type=spec["InstanceType"],
        subnet_id=subnet["SubnetId"],
        count=count,
        key_name=spec.get("KeyName", ""),
        user_data=spec.get("UserData", ""),
        sg_ids=groups,
        iam_profile=_profile(spec),
    )
    for instance in instances:
        _place(instance, spec, subnet, kind)
        _tag(instance["InstanceId"], [*_tags_for(spec, "instance"), *(tags or [])])
        _make_volumes(instance, spec)
        for state in ("pending", "running"):
            _state_event(instance["InstanceId"], state)
    return instances


def _with_launch_template(spec: Parameters) -> Parameters:
    """What the request says wins over what its launch template says; tags of both apply (RunInstances)."""
    template = spec.get("LaunchTemplate")
    if not template:
        return spec
    data, _, error = ec2._resolve_launch_template_data(template)
    if error:
        name = template.get("LaunchTemplateId") or template.get("LaunchTemplateName")
        raise Ec2Error("InvalidLaunchTemplateId.NotFound", f"The launch template '{name}' does not exist")
    both = [*(data.get("TagSpecifications") or []), *spec.get("TagSpecifications", [])]
    return {**data, **spec, "TagSpecifications": both}


def _checked_subnet(spec: Parameters) -> Parameters:
    interface = (spec.get("NetworkInterfaces") or [{}])[0]
    subnet_id = spec.get("SubnetId") or interface.get("SubnetId") or ec2._DEFAULT_SUBNET_ID
    subnet = ec2._subnets.get(subnet_id)
    if subnet is None:
        raise Ec2Error("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
    return subnet


def _checked_groups(spec: Parameters, subnet: Parameters) -> list[str]:
    interface = (spec.get("NetworkInterfaces") or [{}])[0]
    chosen = spec.get("SecurityGroupIds") or interface.get("Groups") or interface.get("GroupSet")
    if not chosen:
        return [ec2._vpcs[subnet["VpcId"]]["DefaultSecurityGroupId"]]
    for group_id in chosen:
        group = ec2._security_groups.get(group_id)
        if group is None:
            raise Ec2Error("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        if group["VpcId"] != subnet["VpcId"]:
            message = f"Security group {group_id} and subnet {subnet['SubnetId']} belong to different networks."
            raise Ec2Error("InvalidParameter", message)
    return list(chosen)


def _checked_type(spec: Parameters) -> instance_types.InstanceType:
    kind = instance_types.find(spec.setdefault("InstanceType", "m1.small"))
    if kind is None:
        raise Ec2Error("InvalidParameterValue", f"Invalid value '{spec['InstanceType']}' for InstanceType.")
    architecture = image_architecture(spec.get("ImageId", ""))
    if architecture is None:
        raise Ec2Error("InvalidAMIID.NotFound", f"The image id '[{spec.get('ImageId', '')}]' does not exist")
    if architecture != kind.architecture:
        raise Ec2Error(
            "InvalidParameterValue",
            f"The architecture '{kind.architecture}' of the specified instance type does not match the architecture "
            f"'{architecture}' of the specified AMI.",
        )
    return kind


def image_architecture(image_id: str) -> str | None:
    """The architecture of an image, None if there is no such image."""
    if image := ec2._images.get(image_id):
        return image["Architecture"]
    return next(("x86_64" for stub in ec2._STUB_AMIS if stub[0] == image_id), None)


def _check_names(spec: Parameters) -> None:
    key, group = spec.get("KeyName"), (spec.get("Placement") or {}).get("GroupName")
    if key and key not in ec2._key_pairs:
        raise Ec2Error("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    if group and group not in ec2._placement_groups:
        raise Ec2Error("InvalidPlacementGroup.Unknown", f"The placement group '{group}' is unknown.")
    if len(base64.b64decode(spec.get("UserData") or "")) > MAX_USER_DATA:
        raise Ec2Error("InvalidParameterValue", f"User data is limited to {MAX_USER_DATA} bytes")


def _check_capacity(spec: Parameters, subnet: Parameters) -> None:
    facts = {"InstanceType": spec["InstanceType"], **subnet}
    for rule in settings.no_capacity:
        if all(facts.get(key) == value for key, value in rule.items()):
            raise Ec2Error(
                "InsufficientInstanceCapacity",
                f"We currently do not have sufficient {spec['InstanceType']} capacity in the Availability Zone you "
                f"requested ({subnet['AvailabilityZone']}). Our system will be working on provisioning additional "
                "capacity.",
                500,
            )


def _profile(spec: Parameters) -> Parameters | None:
    wanted = spec.get("IamInstanceProfile") or {}
    profile, error = ec2._resolve_iam_instance_profile(wanted.get("Arn", ""), wanted.get("Name", ""))
    if error:
        name = wanted.get("Name") or wanted.get("Arn")
        raise Ec2Error("InvalidParameterValue", f"Value ({name}) for parameter iamInstanceProfile is invalid.")
    return profile


def _place(instance: Parameters, spec: Parameters, subnet: Parameters, kind: instance_types.InstanceType) -> None:
    """Address, zone and the rest that MiniStack gives the same for every instance."""
    interface = (spec.get("NetworkInterfaces") or [{}])[0]
    public = str(interface.get("AssociatePublicIpAddress", subnet.get("MapPublicIpOnLaunch", False))).lower() == "true"
    network = ipaddress.ip_network(subnet["CidrBlock"])
    address = spec.get("PrivateIpAddress") or str(network[random.randint(4, network.num_addresses - 2)])
    instance.update(
        VpcId=subnet["VpcId"],
        PrivateIpAddress=address,
        PrivateDnsName=f"ip-{address.replace('.', '-')}.ec2.internal",
        Architecture=kind.architecture,
        MetadataOptions=spec.get("MetadataOptions") or {},
        CpuOptions=spec.get("CpuOptions") or {},
        InstanceLifecycle=(spec.get("InstanceMarketOptions") or {}).get("MarketType", ""),
    )
    instance["Placement"].update(
        AvailabilityZone=subnet["AvailabilityZone"], GroupName=(spec.get("Placement") or {}).get("GroupName", "")
    )
    if not public:
        instance.update(PublicIpAddress="", PublicDnsName="")


def _make_volumes(instance: Parameters, spec: Parameters) -> None:
    """The volumes of the block device mappings; the one on the root device gives the root volume its shape."""
    root = ec2._volumes[instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]]
    root["AvailabilityZone"] = instance["Placement"]["AvailabilityZone"]
    _tag(root["VolumeId"], _tags_for(spec, "volume"))
    for mapping in spec.get("BlockDeviceMappings") or []:
        if ebs := mapping.get("Ebs"):
            volume = root if mapping["DeviceName"] == instance["RootDeviceName"] else _attached(instance, mapping)
            _shape(volume, ebs)
            _tag(volume["VolumeId"], _tags_for(spec, "volume"))


def _attached(instance: Parameters, mapping: Parameters) -> Parameters:
    root = ec2._volumes[instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]]
    volume_id = ec2._new_volume_id()
    attachment = {**root["Attachments"][0], "VolumeId": volume_id, "Device": mapping["DeviceName"]}
    plain = {"Size": 8, "VolumeType": "gp2", "Encrypted": False}
    ec2._volumes[volume_id] = {**root, **plain, "VolumeId": volume_id, "Attachments": [attachment]}
    entry = {**instance["BlockDeviceMappings"][0]["Ebs"], "VolumeId": volume_id}
    instance["BlockDeviceMappings"].append({"DeviceName": mapping["DeviceName"], "Ebs": entry})
    return ec2._volumes[volume_id]


def _shape(volume: Parameters, ebs: Parameters) -> None:
    numbers = {"Size": "VolumeSize", "Iops": "Iops", "Throughput": "Throughput"}
    volume.update({key: int(ebs[name]) for key, name in numbers.items() if ebs.get(name)})
    volume["VolumeType"] = ebs.get("VolumeType", volume["VolumeType"])
    volume["Encrypted"] = str(ebs.get("Encrypted", volume["Encrypted"])).lower() == "true"
    keep = str(ebs.get("DeleteOnTermination", True)).lower() == "true"
    volume["Attachments"][0]["DeleteOnTermination"] = keep


def _tags_for(spec: Parameters, resource: str) -> list[dict[str, str]]:
    return [
        tag
        for each in spec.get("TagSpecifications") or []
        if each.get("ResourceType") == resource
        for tag in each.get("Tags") or []
    ]


def _tag(resource_id: str, tags: list[dict[str, str]]) -> None:
    """Add the tags; of two with one key the later wins."""
    merged = {tag["Key"]: tag for tag in [*ec2._tags.get(resource_id, []), *tags]}
    if merged:
        ec2._tags[resource_id] = [{"Key": str(t["Key"]), "Value": str(t.get("Value", ""))} for t in merged.values()]


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
                _state_event(instance_id, during)
                _state_event(instance_id, after)
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


def _state_event(instance_id: str, state: str) -> None:
    arn = f"arn:aws:ec2:{get_region()}:{get_account_id()}:instance/{instance_id}"
    detail = {"instance-id": instance_id, "state": state}
    emit("aws.ec2", "EC2 Instance State-change Notification", detail, [arn])
    if state in ("terminated", "stopped"):
        for listener in state_listeners:
            listener(instance_id)


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
    found = [i for i in ec2._instances.values() if (not ids or i["InstanceId"] in ids) and _matches(i, filters)]
    page, token = _page(found, ec2._p(p, "MaxResults"), ec2._p(p, "NextToken"))
    items = "".join(
        f"<item><reservationId>r-{i['InstanceId'][2:]}</reservationId><ownerId>{get_account_id()}</ownerId>"
        f"<groupSet/><instancesSet>{ec2._instance_xml(i)}</instancesSet></item>"
        for i in page
    )
    return ec2._xml(200, "DescribeInstancesResponse", f"<reservationSet>{items}</reservationSet>{token}")


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
