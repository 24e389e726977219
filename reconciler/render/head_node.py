"""The head node, its address, and the log group that it shares with all nodes."""

from string import ascii_lowercase

from reconciler.cluster import RootVolume
from reconciler.facts import HEAD, NODE_TAG
from reconciler.render import iam, network, storage, userdata
from reconciler.render.context import HEAD_NODE, Context, Json, Resources, attribute, latest, present, ref, tag_list

ELASTIC_IP = "HeadElasticIp"
TEMPLATE = "HeadDisks"
LOG_GROUP = "LogGroup"
CLEANUP = "NodesCleanup"

# The root device's name, as the publishers of the images set it. A mapping by another name would add a volume.
ROOT_DEVICES = {"alinux2023": "/dev/xvda", "ubuntu2204": "/dev/sda1", "ubuntu2404": "/dev/sda1"}

# IMDSv2 alone, and not through a container's network hop.
METADATA_OPTIONS = {"HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1, "HttpTokens": "required"}


def root_device(name: str, volume: RootVolume) -> Json:
    """A root volume. It is encrypted whatever the image's is, and goes with the node."""
    return {
        "DeviceName": name,
        "Ebs": present(
            DeleteOnTermination=True,
            Encrypted=True,
            Iops=volume.iops,
            KmsKeyId=volume.kms_key_id,
            Throughput=volume.throughput,
            VolumeSize=volume.size,
            VolumeType=volume.type,
        ),
    }


def devices(context: Context, volume: RootVolume) -> list[Json]:
    """The block devices of a node.

    Instance-store disks that are no NVMe devices exist only if they are asked for (EC2 user guide, instance store
    volumes); a type has at most 24.
    """
    root = root_device(ROOT_DEVICES[context.spec.image.os], volume)
    disks = [
        {"DeviceName": f"/dev/xvdb{letter}", "VirtualName": f"ephemeral{number}"}
        for number, letter in enumerate(ascii_lowercase[:24])
    ]
    return [root, *disks]


def has_address(context: Context) -> bool:
    """Whether the head node has an Elastic IP.

    `publicIps` gives it one too: a public address of its own is a property of the instance's network
    interface, and to have interfaces in the template would make a change of security groups a replacement of
    the node.
    """
    return context.head.elastic_ip or context.spec.network.public_ips


def _disks_template(context: Context) -> Resources:
    return {
        TEMPLATE: {
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {
                "LaunchTemplateData": {"BlockDeviceMappings": devices(context, context.head.root_volume)},
                "TagSpecifications": [{"ResourceType": "launch-template", "Tags": tag_list(context.marks)}],
            },
        }
    }


def lasting(context: Context) -> Json:
    """What cannot be changed of the head node without another one in its place, with another address."""
    node = context.head
    return present(
        ImageId=context.image(node.instance_type, node.ami),
        KeyName=node.key_name,
        RootVolume=root_device("", node.root_volume),
        SubnetId=context.head_subnet,
    )


def resources(context: Context) -> Resources:
    """The head node with its address, the log group, and the clean-up of what nodes uploaded.

    The instance is described in full rather than by a launch template, a change of which would replace it:
    all but a root volume's throughput, which CloudFormation takes in a template only. Of its properties only
    the image, subnet and key pair, and some of a root volume's, cost a replacement; a change of instance type
    or user data stops and starts it.
    """
    node = context.head
    by_template = node.root_volume.throughput is not None
    tags = {**context.marks, NODE_TAG: HEAD, "Name": f"{context.name} head"}
    address: Resources = {
        ELASTIC_IP: {
            "Type": "AWS::EC2::EIP",
            "Properties": {"Domain": "vpc", "Tags": tag_list(context.marks)},
        },
        "HeadElasticIpAssociation": {
            "Type": "AWS::EC2::EIPAssociation",
            "Properties": {
                "AllocationId": attribute(ELASTIC_IP, "AllocationId"),
                "InstanceId": ref(HEAD_NODE),
            },
        },
    }
    return {
        LOG_GROUP: {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {
                "LogGroupName": context.log_group,
                "RetentionInDays": context.spec.logs.retention_days,
                "Tags": tag_list(context.marks),
            },
        },
        CLEANUP: {
            "Type": "Custom::S3Cleanup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {
                "ServiceToken": context.site.cleanup_function_arn,
                "Bucket": context.site.artifacts_bucket,
                "Prefix": context.nodes_prefix,
            },
        },
        HEAD_NODE: {
            "Type": "AWS::EC2::Instance",
            # Deleted in the reverse order: the clean-up runs when no node is left to upload.
            "DependsOn": [CLEANUP, LOG_GROUP, *storage.targets(context)],
            "Properties": present(
                BlockDeviceMappings=None if by_template else devices(context, node.root_volume),
                IamInstanceProfile=ref(iam.HEAD_PROFILE),
                ImageId=context.image(node.instance_type, node.ami),
                InstanceInitiatedShutdownBehavior="stop",
                InstanceType=node.instance_type,
                KeyName=node.key_name,
                LaunchTemplate=latest(TEMPLATE) if by_template else None,
                MetadataOptions=METADATA_OPTIONS,
                PropagateTagsToVolumeOnCreation=True,
                SecurityGroupIds=network.node_groups(context, network.HEAD_GROUP),
                SubnetId=context.head_subnet,
                Tags=tag_list(tags),
                UserData=userdata.head(context),
            ),
        },
        **(address if has_address(context) else {}),
        **(_disks_template(context) if by_template else {}),
    }
