"""Launching instances, as RunInstances, the ``AWS::EC2::Instance`` resource and Auto Scaling all do.

What AWS refuses is refused, and what is asked for is on the instance's record: zone, addresses, volumes, tags.
Sources: EC2 API Reference (RunInstances, error codes); the EventBridge reference for EC2 state-change notifications.
"""

import base64
import ipaddress
import random
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region

from local.additions import instance_types
from local.additions.emulator import ec2
from local.additions.events import emit
from local.additions.settings import settings

Parameters = dict[str, Any]
MAX_USER_DATA = 16384
# Addresses that instances were given; some of them may have gone.
_given: set[str] = set()
# Called with an instance's id and each of its states; Auto Scaling's health check and the machines listen here.
state_listeners: list[Callable[[str, str], None]] = []


class Ec2Error(Exception):
    """An EC2 API error: `code` as in EC2's table of error codes, message, HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The error as EC2's XML."""
        return ec2._error(self.code, ec2._esc(str(self)), self.status)


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
            announce(instance["InstanceId"], state)
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
    public = (ec2._stub_image_view(*stub) for stub in ec2._STUB_AMIS if stub[0] == image_id)
    return next((image["Architecture"] for image in public), None)


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
    address = spec.get("PrivateIpAddress") or _free_address(network)
    _given.add(address)
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


def _free_address(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """At random. A subnet that is nearly full gives an address twice."""
    for _ in range(2):
        tries = (str(network[random.randint(4, network.num_addresses - 2)]) for _ in range(20))
        if found := next((each for each in tries if each not in _given), ""):
            return found
        # Some may be free again. To look at all instances for each new one would take minutes for thousands.
        living = (each for each in ec2._instances.values() if each["State"]["Name"] != "terminated")
        _given.clear()
        _given.update(each["PrivateIpAddress"] for each in living)
    return str(network[4])


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


def announce(instance_id: str, state: str) -> None:
    """Tell of an instance's new state, by an event and to those who listen."""
    arn = f"arn:aws:ec2:{get_region()}:{get_account_id()}:instance/{instance_id}"
    detail = {"instance-id": instance_id, "state": state}
    emit("aws.ec2", "EC2 Instance State-change Notification", detail, [arn])
    for listener in state_listeners:
        listener(instance_id, state)
