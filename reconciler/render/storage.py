"""Shared storage: EBS volumes, RAID arrays of them, EFS and FSx for Lustre file systems.

What exists already is used by its id and has no resource here, so that nothing can happen to it. What is made
outlives the cluster unless the user wrote otherwise: both policies of each resource that holds data are the
user's.
"""

import hashlib
import json
from collections.abc import Iterator

from reconciler.cluster import Ebs, Efs, FsxLustre, Raid, SharedStorage
from reconciler.facts import DELETION_POLICY_TAG
from reconciler.render.context import Context, Json, Resources, attribute, logical_id, present, ref, tag_list
from reconciler.render.network import (
    COMPUTE_GROUP,
    HEAD_GROUP,
    LUSTRE,
    NFS,
    Ports,
    ingress,
    peers,
    security_group,
)

# The newest, which the Lustre clients of all our operating systems speak (FSx for Lustre API,
# FileSystemTypeVersion).
LUSTRE_VERSION = "2.15"


def _fixed(context: Context, volume: Ebs | Raid) -> Json:
    """What cannot be changed of a volume: CloudFormation fails an update of it, and replaces nothing."""
    return present(
        # The zone's name, not the head node's attribute: that would replace the volume with the node.
        AvailabilityZone=context.zone(context.head_subnet),
        Encrypted=volume.encrypted,
        KmsKeyId=volume.kms_key_id,
        SnapshotId=volume.snapshot_id if isinstance(volume, Ebs) else None,
    )


def _volume_ids(context: Context, item: SharedStorage) -> list[str]:
    """The logical ids of the volumes behind a storage. What is fixed of a volume is in its id.

    So a change of it is another volume instead of a failed update, and the loss of the first can be consented to.
    """
    volume = None if item.existing else item.ebs or item.raid
    if volume is None:
        return []
    fixed = hashlib.sha256(json.dumps(_fixed(context, volume), sort_keys=True).encode()).hexdigest()[:8]
    disks = [f"Disk{number}" for number in range(item.raid.volumes)] if item.raid else [""]
    return [f"Volume{logical_id(item.name)}{disk}Of{fixed}" for disk in disks]


def _file_system_id(item: SharedStorage) -> str:
    return f"FileSystem{logical_id(item.name)}"


def _group_id(item: SharedStorage) -> str:
    return f"SecurityGroup{logical_id(item.name)}"


def volumes(context: Context, item: SharedStorage) -> list[str | Json]:
    """The EBS volumes behind a storage: an id, or references."""
    if item.existing:
        return [item.existing]
    return [ref(logical) for logical in _volume_ids(context, item)]


def file_system(item: SharedStorage) -> str | Json:
    """The file system behind a storage: its id or a reference."""
    return item.existing or ref(_file_system_id(item))


def mount_name(item: SharedStorage) -> str | Json:
    """What a Lustre file system calls itself in a mount."""
    given = item.fsx_lustre and item.fsx_lustre.mount_name
    return given or attribute(_file_system_id(item), "LustreMountName")


def _holds_data(item: SharedStorage, resource: Json) -> Json:
    """Kept, where it is to be kept, from its first success on: what a failed creation rolls back holds no data yet."""
    policy = item.deletion_policy
    deletion = "RetainExceptOnCreate" if policy == "Retain" else policy
    return {**resource, "DeletionPolicy": deletion, "UpdateReplacePolicy": policy}


def _volume(context: Context, item: SharedStorage, volume: Ebs | Raid) -> Json:
    tags = {**context.marks, DELETION_POLICY_TAG: item.deletion_policy, "Name": f"{context.name} {item.name}"}
    properties = present(
        Iops=volume.iops,
        Size=volume.size_gib,
        Tags=tag_list(tags),
        Throughput=volume.throughput,
        VolumeType=volume.type,
        **_fixed(context, volume),
    )
    return _holds_data(item, {"Type": "AWS::EC2::Volume", "Properties": properties})


def _rules(context: Context, item: SharedStorage, ports: Ports) -> Resources:
    """What lets the nodes in."""
    group = _group_id(item)
    return {
        f"{group}From{peer}": ingress(ref(group), source, ports.rule, "From the nodes")
        for peer, source in peers(context).items()
    }


def mount_targets(context: Context, item: SharedStorage) -> dict[str, str]:
    """The subnets of an EFS file system's mount targets, by logical id: one a zone, which is what EFS allows.

    Of several subnets in a zone it is the head node's, which cannot change, or else the first by name.
    """
    if not item.efs or item.existing:
        return {}
    chosen: dict[str, str] = {}
    for subnet in [context.home_subnet, *context.node_subnets]:
        chosen.setdefault(context.zone(subnet), subnet)
    return {
        f"MountTarget{logical_id(item.name)}Subnet{subnet.removeprefix('subnet-')}": subnet
        for subnet in chosen.values()
    }


def _efs(context: Context, item: SharedStorage, efs: Efs) -> Resources:
    properties = present(
        Encrypted=efs.encrypted,
        FileSystemTags=tag_list({**context.marks, "Name": f"{context.name} {item.name}"}),
        KmsKeyId=efs.kms_key_id,
        PerformanceMode=efs.performance_mode,
        ProvisionedThroughputInMibps=efs.provisioned_throughput,
        ThroughputMode=efs.throughput_mode,
    )
    made: Resources = {
        _file_system_id(item): _holds_data(item, {"Type": "AWS::EFS::FileSystem", "Properties": properties}),
        _group_id(item): security_group(context, f"EFS {item.name} of Muster cluster {context.name}"),
        **_rules(context, item, NFS),
    }
    for target, subnet in mount_targets(context, item).items():
        made[target] = {
            "Type": "AWS::EFS::MountTarget",
            "Properties": {
                "FileSystemId": ref(_file_system_id(item)),
                "SecurityGroups": [ref(_group_id(item))],
                "SubnetId": subnet,
            },
        }
    return made


def _lustre_settings(lustre: FsxLustre) -> Json:
    """The user's settings. A file system from a backup has the backup's deployment type unless told otherwise."""
    return present(
        AutoImportPolicy=lustre.auto_import_policy,
        AutomaticBackupRetentionDays=lustre.automatic_backup_retention_days,
        CopyTagsToBackups=lustre.copy_tags_to_backups,
        DailyAutomaticBackupStartTime=lustre.daily_automatic_backup_start_time,
        DataCompressionType=lustre.data_compression_type,
        DeploymentType=lustre.deployment_type if lustre.backup_id else lustre.deployment,
        DriveCacheType=lustre.drive_cache_type,
        ExportPath=lustre.export_path,
        ImportedFileChunkSize=lustre.imported_file_chunk_size,
        ImportPath=lustre.import_path,
        PerUnitStorageThroughput=lustre.per_unit_storage_throughput,
        WeeklyMaintenanceStartTime=lustre.weekly_maintenance_start_time,
    )


def _lustre(context: Context, item: SharedStorage, lustre: FsxLustre) -> Resources:
    """The file system and its security group, one of its own always: a change of groups replaces a file system.

    The group is kept with the file system, whose network interfaces use it, or it could not be deleted.
    """
    group = _group_id(item)
    properties = present(
        BackupId=lustre.backup_id,
        FileSystemType="LUSTRE",
        FileSystemTypeVersion=None if lustre.backup_id else LUSTRE_VERSION,
        KmsKeyId=lustre.kms_key_id,
        LustreConfiguration=_lustre_settings(lustre) or None,
        SecurityGroupIds=[ref(group)],
        StorageCapacity=lustre.storage_capacity,
        StorageType=lustre.storage_type,
        SubnetIds=[context.home_subnet],
        Tags=tag_list({**context.marks, "Name": f"{context.name} {item.name}"}),
    )
    made: Resources = {
        _file_system_id(item): _holds_data(item, {"Type": "AWS::FSx::FileSystem", "Properties": properties}),
        group: _holds_data(item, security_group(context, f"FSx {item.name} of Muster cluster {context.name}")),
        f"{group}FromItself": ingress(ref(group), ref(group), LUSTRE.rule, "Between the file servers"),
        **_rules(context, item, LUSTRE),
    }
    # The file servers call their clients back. Groups that the user gave are his to open.
    if not context.spec.network.security_group_ids:
        for node in [*([HEAD_GROUP] if context.spec.head_node else []), COMPUTE_GROUP]:
            made[f"{node}From{logical_id(item.name)}"] = ingress(
                ref(node), ref(group), LUSTRE.rule, f"From FSx {item.name}"
            )
    return made


def _item(context: Context, item: SharedStorage) -> Resources:
    if item.existing:
        return {}
    if item.efs:
        return _efs(context, item, item.efs)
    if item.fsx_lustre:
        return _lustre(context, item, item.fsx_lustre)
    volume = item.ebs or item.raid
    return {logical: _volume(context, item, volume) for logical in _volume_ids(context, item)} if volume else {}


def resources(context: Context) -> Resources:
    """All that is made for the shared storage."""
    return {
        logical: resource for item in context.spec.shared_storage for logical, resource in _item(context, item).items()
    }


def targets(context: Context) -> list[str]:
    """The logical ids of all mount targets. What mounts through them depends on them, and so goes before them."""
    return [target for item in context.spec.shared_storage for target in mount_targets(context, item)]


def head_volumes(context: Context) -> list[str | Json]:
    """The EBS volumes that the head node serves: ids and references."""
    served = (item for item in context.spec.shared_storage if item.ebs or item.raid)
    return [volume for item in served for volume in volumes(context, item)]


def _made(context: Context) -> Iterator[tuple[SharedStorage, str, Json]]:
    for item in context.spec.shared_storage:
        for logical, resource in _item(context, item).items():
            if "DeletionPolicy" in resource:
                yield item, logical, resource


def names(context: Context) -> dict[str, str]:
    """The names by which the user consents to the loss of what holds data, by logical id."""
    return {
        logical: f"sharedStorage/{item.name}"
        for item, logical, resource in _made(context)
        if resource["Type"] != "AWS::EC2::SecurityGroup"
    }


def retained(context: Context) -> dict[str, str]:
    """What outlives the stack, and how, by logical id."""
    return {
        logical: resource["UpdateReplacePolicy"]
        for _, logical, resource in _made(context)
        if resource["UpdateReplacePolicy"] != "Delete"
    }
