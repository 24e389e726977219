"""Shared storage: EBS volumes, RAID arrays, EFS and FSx for Lustre file systems."""

from typing import Literal

from pydantic import Field

from reconciler.cluster.base import Model
from reconciler.cluster.text import (
    BackupId,
    DailyTime,
    EfsId,
    FsxId,
    FsxMountName,
    KmsKey,
    MountDir,
    S3Uri,
    ShortName,
    SnapshotId,
    VolumeId,
    WeeklyTime,
)

VolumeType = Literal["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"]

SIZE_TEXT = (
    "Size in GiB. gp2, gp3: 1 to 16384; io1: 4 to 16384; io2: 4 to 65536; st1, sc1: 500 to 16384; standard: 1 to 1024."
)
IOPS_TEXT = (
    "I/O operations a second. gp3: 3000 (default) to 16000, at most 500 a GiB; io1: 100 (default) to 64000, at most 50 "
    "a GiB; io2: 100 (default) to 256000, at most 1000 a GiB; not for the other types."
)
THROUGHPUT_TEXT = "MiB/s; gp3 only: 125 (default) to 1000, at most a quarter of the I/O operations a second."
KMS_TEXT = "KMS key to encrypt with; default: the account's key for the service."


class Ebs(Model):
    """One EBS volume: empty, from a snapshot, or an existing one."""

    volume_id: VolumeId | None = Field(
        default=None,
        description="An existing volume, in the head node's Availability Zone. It must hold a file system. Excludes all "
        "other fields here.",
    )
    snapshot_id: SnapshotId | None = Field(default=None, description="Snapshot to make the volume from.")
    size: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description=SIZE_TEXT + " Default: the snapshot's size; 500 for st1 and sc1; otherwise 20.",
    )
    type: VolumeType = Field(default="gp3", description="EBS volume type.")
    iops: int | None = Field(default=None, ge=100, le=256000, description=IOPS_TEXT)
    throughput: int | None = Field(default=None, ge=125, le=1000, description=THROUGHPUT_TEXT)
    encrypted: bool = Field(default=True, description="Encrypt the volume.")
    kms_key_id: KmsKey | None = Field(default=None, description=KMS_TEXT)


class Raid(Model):
    """A RAID array of like EBS volumes."""

    level: Literal[0, 1] = Field(description="0 stripes for speed (one lost volume loses all), 1 mirrors for safety.")
    volumes: int = Field(default=2, ge=2, le=5, description="Number of volumes.")
    size: int | None = Field(
        default=None, ge=1, le=65536, description=SIZE_TEXT + " Of each volume. Default 20; 500 for st1 and sc1."
    )
    type: VolumeType = Field(default="gp3", description="EBS volume type.")
    iops: int | None = Field(default=None, ge=100, le=256000, description=IOPS_TEXT + " Of each volume.")
    throughput: int | None = Field(
        default=None, ge=125, le=1000, description=THROUGHPUT_TEXT + " Of each volume."
    )
    encrypted: bool = Field(default=True, description="Encrypt the volumes.")
    kms_key_id: KmsKey | None = Field(default=None, description=KMS_TEXT)


class Efs(Model):
    """An EFS file system: a new or an existing one."""

    file_system_id: EfsId | None = Field(
        default=None,
        description="An existing file system that has mount targets in the zones of the cluster. Excludes all other "
        "fields here.",
    )
    performance_mode: Literal["generalPurpose", "maxIO"] = Field(
        default="generalPurpose", description="EFS performance mode."
    )
    throughput_mode: Literal["bursting", "provisioned", "elastic"] = Field(
        default="bursting", description="EFS throughput mode."
    )
    provisioned_throughput: float | None = Field(
        default=None, ge=1, le=1024, description="MiB/s; needed with, and only with, throughputMode provisioned."
    )
    encrypted: bool = Field(default=True, description="Encrypt the file system at rest.")
    kms_key_id: KmsKey | None = Field(default=None, description=KMS_TEXT)


class FsxLustre(Model):
    """An FSx for Lustre file system: a new one, one from a backup, or an existing one."""

    file_system_id: FsxId | None = Field(
        default=None, description="An existing file system in the cluster's VPC. Needs `mountName`; excludes all others."
    )
    mount_name: FsxMountName | None = Field(
        default=None, description="Mount name of the existing file system, as describe-file-systems shows it."
    )
    storage_capacity: int | None = Field(
        default=None,
        ge=1200,
        le=1_000_000,
        description="GiB; required for a new file system. SCRATCH_1: 1200, 2400 or a multiple of 3600; SCRATCH_2 and "
        "PERSISTENT_1 SSD: 1200 or a multiple of 2400; PERSISTENT_1 HDD: a multiple of 6000 at 12 MB/s/TiB, of 1800 at "
        "40.",
    )
    deployment_type: Literal["SCRATCH_1", "SCRATCH_2", "PERSISTENT_1"] | None = Field(
        default=None, description="FSx deployment type; default SCRATCH_2, or the backup's."
    )
    per_unit_storage_throughput: Literal[12, 40, 50, 100, 200] | None = Field(
        default=None,
        description="MB/s per TiB; needed with, and only with, PERSISTENT_1. SSD: 50, 100, 200; HDD: 12, 40.",
    )
    storage_type: Literal["SSD", "HDD"] | None = Field(
        default=None, description="Default SSD. HDD needs PERSISTENT_1."
    )
    drive_cache_type: Literal["NONE", "READ"] | None = Field(
        default=None, description="SSD read cache; needed with, and only with, storageType HDD."
    )
    kms_key_id: KmsKey | None = Field(default=None, description=KMS_TEXT + " PERSISTENT_1 only.")
    imported_file_chunk_size: int | None = Field(
        default=None, ge=1, le=512000, description="MiB of a file on one disk, for imported files. Needs `importPath`."
    )
    import_path: S3Uri | None = Field(default=None, description="S3 data to show as files.")
    export_path: S3Uri | None = Field(
        default=None, description="Where changed files go; in the bucket of `importPath`, which it needs."
    )
    auto_import_policy: Literal["NONE", "NEW", "NEW_CHANGED", "NEW_CHANGED_DELETED"] | None = Field(
        default=None, description="Which later changes in S3 to import. Needs `importPath`."
    )
    weekly_maintenance_start_time: WeeklyTime | None = Field(
        default=None, description="Start of the weekly maintenance, day:HH:MM in UTC, Monday is 1."
    )
    daily_automatic_backup_start_time: DailyTime | None = Field(
        default=None, description="Start of the daily backup, HH:MM in UTC. Needs `automaticBackupRetentionDays`."
    )
    automatic_backup_retention_days: int | None = Field(
        default=None, ge=0, le=35, description="Days to keep automatic backups, 0 for none. PERSISTENT_1, no S3 link."
    )
    copy_tags_to_backups: bool | None = Field(
        default=None, description="Give backups the file system's tags. PERSISTENT_1, no S3 link."
    )
    backup_id: BackupId | None = Field(
        default=None, description="Backup to make the file system from; what the backup fixes cannot be given."
    )
    data_compression_type: Literal["NONE", "LZ4"] | None = Field(
        default=None, description="Compression of new data; default NONE."
    )


class SharedStorage(Model):
    """One piece of storage that all nodes see below the same directory."""

    name: ShortName = Field(description="Name, unique in the cluster; `consent` and the status use it.")
    mount_dir: MountDir = Field(
        description="Directory where all nodes mount it: absolute, not a system directory, neither above nor below "
        "another one of the cluster."
    )
    deletion_policy: Literal["Retain", "Snapshot", "Delete"] = Field(
        default="Retain",
        description="What happens to it when it leaves the spec or the cluster is deleted. Snapshot: ebs and raid only. "
        "What exists already is never deleted.",
    )
    ebs: Ebs | None = Field(default=None, description="An EBS volume on the head node, exported over NFS.")
    raid: Raid | None = Field(default=None, description="A RAID array on the head node, exported over NFS.")
    efs: Efs | None = Field(default=None, description="An EFS file system.")
    fsx_lustre: FsxLustre | None = Field(default=None, description="An FSx for Lustre file system.")
