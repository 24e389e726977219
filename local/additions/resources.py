"""CloudFormation resource types that MiniStack lacks, and checks for some that it has.

Each type has a create, an update and a delete function with the signatures MiniStack's table of handlers wants.
What a change of a property does is in `RECREATION`, from the published resource schemas (``createOnlyProperties``,
``conditionalCreateOnlyProperties``); a test holds the two in step. Source: CloudFormation Template Reference.
"""

import functools
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from ministack.core.responses import get_account_id, get_region, new_uuid

from local.additions.ec2 import check_group_unused, check_vpc
from local.additions.emulator import ec2, provisioners, s3
from local.additions.inprocess import client
from local.additions.launches import Ec2Error, launch

Properties = dict[str, Any]
Made = tuple[str, Properties]

# type: (properties whose change replaces the resource, those whose change may do so)
RECREATION: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "AWS::EC2::Instance": (
        (
            "AvailabilityZone", "CpuOptions", "ElasticGpuSpecifications", "ElasticInferenceAccelerators",
            "EnclaveOptions", "HibernationOptions", "HostResourceGroupArn", "ImageId", "Ipv6AddressCount",
            "Ipv6Addresses", "KeyName", "LaunchTemplate", "LicenseSpecifications", "NetworkInterfaces",
            "PlacementGroupName", "PrivateIpAddress", "SecurityGroups", "SubnetId",
        ),
        (
            "AdditionalInfo", "Affinity", "BlockDeviceMappings", "EbsOptimized", "HostId", "InstanceType", "KernelId",
            "PrivateDnsNameOptions", "RamdiskId", "SecurityGroupIds", "Tenancy", "UserData",
        ),
    ),
    "AWS::EC2::Volume": ((), ()),
    "AWS::EC2::VolumeAttachment": (("Device", "EbsCardIndex", "InstanceId", "VolumeId"), ()),
    "AWS::EC2::PlacementGroup": (("ParentGroupId", "PartitionCount", "SpreadLevel", "Strategy"), ()),
    "AWS::EC2::EIP": (("Address", "IpamPoolId", "NetworkBorderGroup", "TransferAddress"), ()),
    "AWS::EC2::EIPAssociation": (
        ("AllocationId", "EIP", "InstanceId", "NetworkInterfaceId", "PrivateIpAddress"),
        (),
    ),
    "AWS::EC2::SecurityGroup": (("GroupDescription", "GroupName", "VpcId"), ()),
    "AWS::EC2::SecurityGroupIngress": (
        (
            "CidrIp", "CidrIpv6", "FromPort", "GroupId", "GroupName", "IpProtocol", "SourcePrefixListId",
            "SourceSecurityGroupId", "SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "ToPort",
        ),
        (),
    ),
    "AWS::EC2::SecurityGroupEgress": (
        (
            "CidrIp", "CidrIpv6", "DestinationPrefixListId", "DestinationSecurityGroupId", "FromPort", "GroupId",
            "IpProtocol", "ToPort",
        ),
        (),
    ),
    "AWS::EC2::LaunchTemplate": (("LaunchTemplateName",), ()),
    "AWS::AutoScaling::AutoScalingGroup": (
        ("AutoScalingGroupName", "InstanceId"),
        ("LaunchConfigurationName", "LaunchTemplate", "MixedInstancesPolicy", "VPCZoneIdentifier"),
    ),
    "AWS::FSx::FileSystem": (("BackupId", "FileSystemType", "KmsKeyId", "SecurityGroupIds", "SubnetIds"), ()),
    # What a change in ComputeResources does is for `batch_resources` to say: here it may replace.
    "AWS::Batch::ComputeEnvironment": (("ComputeEnvironmentName", "EksConfiguration", "Type"), ("ComputeResources",)),
    "AWS::Batch::JobQueue": (("JobQueueName", "JobQueueType"), ()),
    "AWS::Batch::JobDefinition": (("JobDefinitionName",), ()),
    "AWS::Batch::SchedulingPolicy": (("Name",), ()),
    "AWS::CodeBuild::Project": (("Name",), ()),
    "AWS::ECR::Repository": (("EncryptionConfiguration", "RepositoryName"), ()),
}  # fmt: skip
# CloudFormation's own aws:cloudformation: tags do not reach these (``cloudFormationSystemTags`` of their schemas).
NO_SYSTEM_TAGS = ("AWS::EC2::Volume", "AWS::EC2::PlacementGroup")
# Which of them take the stack's tags.
TAGGED = ("Instance", "Volume", "PlacementGroup", "EIP")

file_systems: dict[str, Properties] = {}


def register() -> None:
    """Add the types to MiniStack's tables."""
    for name, (always, perhaps) in RECREATION.items():
        provisioners._REPLACING_PROPERTIES[name] = always
        provisioners._CONDITIONALLY_REPLACING_PROPERTIES[name] = perhaps
    for name in (*(f"AWS::EC2::{each}" for each in TAGGED), "AWS::FSx::FileSystem"):
        provisioners._STACK_TAG_PROPERTY[name] = ("Tags", "list")
    handlers = provisioners._RESOURCE_HANDLERS
    for name, functions in _HANDLERS.items():
        told = {key: _reasoned(function) for key, function in functions.items()}
        handlers[f"AWS::EC2::{name}"] = handlers.get(f"AWS::EC2::{name}", {}) | told
    handlers["AWS::EC2::Instance"]["update_with_logical_id"] = True
    handlers["AWS::FSx::FileSystem"] = {"create": _fsx_create, "update": _fsx_update, "delete": _fsx_delete}
    bucket = handlers["AWS::S3::Bucket"]
    bucket["delete"] = _bucket_delete(bucket["delete"])
    mount_target = handlers["AWS::EFS::MountTarget"]
    mount_target["create"] = _reasoned(_after(_check_mount_target, mount_target["create"]))


def _reasoned(function: Callable[..., Any]) -> Callable[..., Any]:
    """An EC2 error as the reason that CloudFormation gives in the stack's events."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except Ec2Error as error:
            message, status = str(error), error.status
        except ClientError as error:
            message = error.response.get("Error", {}).get("Message", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        raise ValueError(
            f'Resource handler returned message: "{message} (Service: Ec2, Status Code: {status}, '
            f'Request ID: {new_uuid()})"'
        )

    return call


def _after(check: Callable[[Properties], None], create: Callable[..., Made]) -> Callable[..., Made]:
    def checked(logical_id: str, props: Properties, stack: str) -> Made:
        check(props)
        return create(logical_id, props, stack)

    return checked


def _tags(resource_type: str, props: Properties) -> list[dict[str, str]]:
    hidden = "aws:cloudformation:" if resource_type in NO_SYSTEM_TAGS else "\0"
    tags = [tag for tag in props.get("Tags") or [] if not tag["Key"].startswith(hidden)]
    return [{"Key": str(tag["Key"]), "Value": str(tag["Value"])} for tag in tags]


def _apply_tags(resource_type: str, physical_id: str, new: Properties, old: Properties | None = None) -> None:
    before, after = ({"Tags": _tags(resource_type, props or {})} for props in (old, new))
    provisioners._ec2_apply_tags(physical_id, after, before)


def _given(props: Properties, **types: Callable[[Any], Any]) -> Properties:
    """Those of the named properties that the template sets, as the API's types."""
    return {name: convert(props[name]) for name, convert in types.items() if name in props}


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


# --- AWS::EC2::Instance: Ref is the id. In place: tags, profile; by a stop and start: type, user data (EBS-backed).


def _instance_create(_: str, props: Properties, __: str) -> Made:
    names = ("ImageId", "InstanceType", "KeyName", "SubnetId", "UserData", "PrivateIpAddress", "SecurityGroupIds",
             "BlockDeviceMappings", "NetworkInterfaces", "CpuOptions", "LaunchTemplate", "MetadataOptions")  # fmt: skip
    spec = {name: props[name] for name in names if name in props}
    if profile := props.get("IamInstanceProfile"):
        # MiniStack's Ref of a profile is its ARN, where AWS's is its name.
        spec["IamInstanceProfile"] = {"Name": profile.rpartition("/")[2]}
    if group := props.get("PlacementGroupName"):
        spec["Placement"] = {"GroupName": group}
    tags = _tags("AWS::EC2::Instance", props)
    if _true(props.get("PropagateTagsToVolumeOnCreation", False)):
        spec["TagSpecifications"] = [{"ResourceType": "volume", "Tags": tags}]
    instance = launch(spec, tags=tags)[0]
    for volume in props.get("Volumes") or []:
        _attach(volume["VolumeId"], instance["InstanceId"], volume["Device"])
    return instance["InstanceId"], _instance_attributes(instance)


def _instance_attributes(instance: Properties) -> Properties:
    return {
        "InstanceId": instance["InstanceId"],
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "PrivateIp": instance["PrivateIpAddress"],
        "PrivateDnsName": instance["PrivateDnsName"],
        "PublicIp": instance["PublicIpAddress"],
        "PublicDnsName": instance["PublicDnsName"],
        "VpcId": instance["VpcId"],
    }


def _instance_update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    instance = ec2._instances.get(physical_id)
    if instance is None or instance["State"]["Name"] == "terminated":
        message = f"The instance ID '{physical_id}' does not exist"
        raise Ec2Error("InvalidInstanceID.NotFound", message)
    if "BlockDeviceMappings" in changed and _devices(old) != _devices(new):
        kind = "AWS::EC2::Instance"
        return provisioners._replace_resource(kind, physical_id, old, new, stack, logical_id)
    if changed & {"InstanceType", "UserData"}:
        client("ec2").stop_instances(InstanceIds=[physical_id])
        instance.update(InstanceType=new["InstanceType"], UserData=new.get("UserData", ""))
        client("ec2").start_instances(InstanceIds=[physical_id])
    if "SecurityGroupIds" in changed:
        ids = new.get("SecurityGroupIds") or []
        instance["SecurityGroups"] = [
            {"GroupId": each, "GroupName": ec2._security_groups[each]["GroupName"]} for each in ids
        ]
    _apply_tags("AWS::EC2::Instance", physical_id, new, old)
    return physical_id, _instance_attributes(instance)


def _devices(props: Properties) -> list[Any]:
    """The block device mappings but for DeleteOnTermination, the only part that can change in place."""
    return [
        each | {"Ebs": {k: v for k, v in (each.get("Ebs") or {}).items() if k != "DeleteOnTermination"}}
        for each in props.get("BlockDeviceMappings") or []
    ]


def _instance_delete(physical_id: str, _: Properties) -> None:
    if physical_id in ec2._instances:
        client("ec2").terminate_instances(InstanceIds=[physical_id])


# --- AWS::EC2::Volume: only size, type and performance can be changed, and a volume cannot shrink.


def _volume_create(_: str, props: Properties, __: str) -> Made:
    given = _given(props, AvailabilityZone=str, SnapshotId=str, Encrypted=_true, KmsKeyId=str, Size=int,
                   VolumeType=str, Iops=int, Throughput=int)  # fmt: skip
    if snapshot := given.get("SnapshotId"):
        found = client("ec2").describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
        given.setdefault("Size", found["VolumeSize"])
    volume_id = client("ec2").create_volume(**given)["VolumeId"]
    ec2._volumes[volume_id].update(_given(props, KmsKeyId=str, Throughput=int))
    _apply_tags("AWS::EC2::Volume", volume_id, props)
    return volume_id, {"VolumeId": volume_id}


def _volume_update(physical_id: str, old: Properties, new: Properties, _: str) -> Made:
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    if changed - {"AutoEnableIO", "Iops", "MultiAttachEnabled", "Size", "Tags", "Throughput", "VolumeType"}:
        raise ValueError("Volume properties other than type, size, and IOPS cannot be updated")
    if int(new.get("Size", 0)) < int(old.get("Size", 0)):
        raise Ec2Error("InvalidParameterValue", "New size cannot be smaller than existing size")
    if changed - {"Tags", "AutoEnableIO"}:
        client("ec2").modify_volume(VolumeId=physical_id, **_given(new, Size=int, VolumeType=str, Iops=int))
        ec2._volumes[physical_id].update(_given(new, Throughput=int))
    _apply_tags("AWS::EC2::Volume", physical_id, new, old)
    return physical_id, {"VolumeId": physical_id}


def _volume_delete(physical_id: str, _: Properties) -> None:
    if physical_id in ec2._volumes:
        client("ec2").delete_volume(VolumeId=physical_id)


def _volume_snapshot(physical_id: str, _: Properties) -> None:
    """DeletionPolicy Snapshot: the volume's tags go to the snapshot."""
    snapshot = client("ec2").create_snapshot(VolumeId=physical_id)
    ec2._tags[snapshot["SnapshotId"]] = list(ec2._tags.get(physical_id, []))


# --- AWS::EC2::VolumeAttachment


def _attach(volume_id: str, instance_id: str, device: str) -> None:
    volume, instance = ec2._volumes.get(volume_id), ec2._instances.get(instance_id)
    if volume and volume["Attachments"]:
        raise Ec2Error("VolumeInUse", f"{volume_id} is already attached to an instance")
    if volume and instance and volume["AvailabilityZone"] != instance["Placement"]["AvailabilityZone"]:
        message = f"The volume '{volume_id}' is not in the same availability zone as instance '{instance_id}'"
        raise Ec2Error("InvalidVolume.ZoneMismatch", message)
    client("ec2").attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)


def _attachment_create(_: str, props: Properties, __: str) -> Made:
    _attach(props["VolumeId"], props["InstanceId"], props.get("Device") or "/dev/sdf")
    return f"{props['VolumeId']}|{props['InstanceId']}", {}


def _attachment_delete(_: str, props: Properties) -> None:
    volume = ec2._volumes.get(props["VolumeId"])
    if volume and any(each["InstanceId"] == props["InstanceId"] for each in volume["Attachments"]):
        client("ec2").detach_volume(VolumeId=props["VolumeId"])


# --- AWS::EC2::PlacementGroup: Ref is a generated name.


def _placement_group_create(logical_id: str, props: Properties, stack: str) -> Made:
    name = f"{stack}-{logical_id}-{new_uuid()[:12].upper()}"
    made = client("ec2").create_placement_group(
        GroupName=name, **_given(props, Strategy=str, PartitionCount=int, SpreadLevel=str)
    )
    _apply_tags("AWS::EC2::PlacementGroup", made["PlacementGroup"]["GroupId"], props)
    return name, {"GroupName": name, "GroupId": made["PlacementGroup"]["GroupId"]}


def _placement_group_update(physical_id: str, _: Properties, __: Properties, ___: str) -> Made:
    """Its tags cannot be updated (``tagUpdatable`` of its schema); all else replaces it."""
    group = ec2._placement_groups[physical_id]
    return physical_id, {"GroupName": physical_id, "GroupId": group["GroupId"]}


def _placement_group_delete(physical_id: str, _: Properties) -> None:
    if physical_id in ec2._placement_groups:
        client("ec2").delete_placement_group(GroupName=physical_id)


# --- AWS::EC2::EIP: Ref is the address itself, AllocationId an attribute.


def _eip_create(_: str, props: Properties, __: str) -> Made:
    made = client("ec2").allocate_address(Domain="vpc")
    _apply_tags("AWS::EC2::EIP", made["AllocationId"], props)
    if instance := props.get("InstanceId"):
        client("ec2").associate_address(AllocationId=made["AllocationId"], InstanceId=instance)
    return made["PublicIp"], {"PublicIp": made["PublicIp"], "AllocationId": made["AllocationId"]}


def _eip_update(physical_id: str, old: Properties, new: Properties, _: str) -> Made:
    address = _address(physical_id)
    if old.get("InstanceId") != new.get("InstanceId"):
        address.update(InstanceId=None, AssociationId=None)
        if instance := new.get("InstanceId"):
            client("ec2").associate_address(AllocationId=address["AllocationId"], InstanceId=instance)
    _apply_tags("AWS::EC2::EIP", address["AllocationId"], new, old)
    return physical_id, {"PublicIp": physical_id, "AllocationId": address["AllocationId"]}


def _address(public_ip: str) -> Properties:
    return next((each for each in ec2._addresses.values() if each["PublicIp"] == public_ip), {})


def _eip_delete(physical_id: str, _: Properties) -> None:
    if address := _address(physical_id):
        client("ec2").release_address(AllocationId=address["AllocationId"])


def _eip_association_create(_: str, props: Properties, __: str) -> Made:
    allocation = props.get("AllocationId") or _address(props.get("EIP", "")).get("AllocationId", "")
    made = client("ec2").associate_address(AllocationId=allocation, InstanceId=props.get("InstanceId", ""))
    return made["AssociationId"], {"Id": made["AssociationId"]}


def _eip_association_delete(physical_id: str, _: Properties) -> None:
    client("ec2").disassociate_address(AssociationId=physical_id)


# --- security groups and their rules


def _check_security_group(props: Properties) -> None:
    if vpc_id := props.get("VpcId"):
        check_vpc(vpc_id)


def _security_group_delete(physical_id: str, props: Properties) -> None:
    if physical_id in ec2._security_groups:
        check_group_unused(physical_id)
        provisioners._ec2_sg_delete(physical_id, props)


def _rule(direction: str, change: str) -> Callable[..., Any]:
    """Authorize or revoke the one rule of an ingress or egress resource."""
    call = f"{change}_security_group_{direction}"

    def permissions(props: Properties) -> Properties:
        rule = provisioners._ec2_sg_permissions([props])[0]
        return {"GroupId": props["GroupId"], "IpPermissions": [{k: v for k, v in rule.items() if v or k == "FromPort"}]}

    def authorize(_: str, props: Properties, __: str) -> Made:
        getattr(client("ec2"), call)(**permissions(props))
        rule_id = f"sgr-{new_uuid().replace('-', '')[:17]}"
        return rule_id, {"Id": rule_id}

    def revoke(_: str, props: Properties) -> None:
        if props["GroupId"] in ec2._security_groups:
            getattr(client("ec2"), call)(**permissions(props))

    return authorize if change == "authorize" else revoke


def _rule_update(physical_id: str, _: Properties, __: Properties, ___: str) -> Made:
    return physical_id, {"Id": physical_id}


def _check_mount_target(props: Properties) -> None:
    if props["SubnetId"] not in ec2._subnets:
        raise Ec2Error("SubnetNotFound", f"The subnet ID '{props['SubnetId']}' does not exist")


def _bucket_delete(delete: Callable[[str, Properties], None]) -> Callable[[str, Properties], None]:
    def checked(physical_id: str, props: Properties) -> None:
        bucket = s3._buckets.get(physical_id)
        if bucket and (bucket["objects"] or s3._bucket_has_versions(physical_id)):
            raise ValueError("The bucket you tried to delete is not empty. You must delete all versions in the bucket.")
        delete(physical_id, props)

    return checked


_HANDLERS: dict[str, dict[str, Callable[..., Any]]] = {
    "Instance": {"create": _instance_create, "update": _instance_update, "delete": _instance_delete},
    "Volume": {
        "create": _volume_create,
        "update": _volume_update,
        "delete": _volume_delete,
        "snapshot": _volume_snapshot,
    },
    "VolumeAttachment": {"create": _attachment_create, "delete": _attachment_delete},
    "PlacementGroup": {
        "create": _placement_group_create,
        "update": _placement_group_update,
        "delete": _placement_group_delete,
    },
    "EIP": {"create": _eip_create, "update": _eip_update, "delete": _eip_delete},
    "EIPAssociation": {"create": _eip_association_create, "delete": _eip_association_delete},
    "SecurityGroup": {
        "create": _after(_check_security_group, provisioners._ec2_sg_create),
        "delete": _security_group_delete,
    },
    "SecurityGroupIngress": {
        "create": _rule("ingress", "authorize"),
        "update": _rule_update,
        "delete": _rule("ingress", "revoke"),
    },
    "SecurityGroupEgress": {
        "create": _rule("egress", "authorize"),
        "update": _rule_update,
        "delete": _rule("egress", "revoke"),
    },
}


# --- AWS::FSx::FileSystem: the resource alone; there is no FSx API behind it.


def _fsx_create(_: str, props: Properties, __: str) -> Made:
    for subnet in props.get("SubnetIds") or []:
        _check_mount_target({"SubnetId": subnet})
    identifier = f"fs-{new_uuid().replace('-', '')[:17]}"
    file_systems[identifier] = props
    return identifier, _fsx_attributes(identifier)


def _fsx_attributes(identifier: str) -> Properties:
    return {
        "DNSName": f"{identifier}.fsx.{get_region()}.amazonaws.com",
        "LustreMountName": identifier[-8:],
        "ResourceARN": f"arn:aws:fsx:{get_region()}:{get_account_id()}:file-system/{identifier}",
        "RootVolumeId": "",
    }


def _fsx_update(physical_id: str, _: Properties, new: Properties, __: str) -> Made:
    file_systems[physical_id] = new
    return physical_id, _fsx_attributes(physical_id)


def _fsx_delete(physical_id: str, _: Properties) -> None:
    file_systems.pop(physical_id, None)
