"""Shared storage: EBS volumes, RAID arrays, EFS and FSx for Lustre file systems."""

from typing import Literal

from pydantic import ConfigDict, Field

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
from reconciler.cluster.volumes import IOPS_TEXT, SIZE_TEXT, THROUGHPUT_TEXT

DEFAULT_SIZE = 20
DEFAULT_SIZES = {"st1": 500, "sc1": 500}

VolumeType = Literal["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"]

KMS_TEXT = "KMS key to encrypt with; default: the account's key for the service."


class Settings(Model):
    """What is wanted of one kind of storage."""

    @property
    def existing(self) -> str | None:
        """Id of the volume or file system that exists already, if it is one."""
        return None


class Ebs(Settings):
    """One EBS volume: empty, from a snapshot, or an existing one."""

    model_config = ConfigDict(json_schema_extra={"if": {"required": ["volumeId"]}, "then": {"maxProperties": 1}})

    volume_id: VolumeId | None = Field(
        default=None,
        description=(
            "An existing volume, in the head node's Availability Zone. It must hold a file system. Excludes"
            " all other fields here."
        ),
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
    throughput: int | None = Field(default=None, ge=125, le=2000, description=THROUGHPUT_TEXT)
    encrypted: bool = Field(default=True, description="Encrypt the volume.")
    kms_key_id: KmsKey | None = Field(default=None, description=KMS_TEXT)

    @property
    def existing(self) -> str | None:  # noqa: D102
        return self.volume_id

    @property
    def size_gib(self) -> int | None:
        """Size in GiB, defaults filled in; None when the snapshot tells it."""
        if self.size is None and self.snapshot_id is not None:
            return None
        return self.size or DEFAULT_SIZES.get(self.type, DEFAULT_SIZE)


class Raid(Settings):
    """A RAID array of like EBS volumes."""

    level: Literal[0, 1] = Field(description="0 stripes for speed (one lost volume loses all), 1 mirrors for safety.")
    volumes: int = Field(default=2, ge=2, le=5, description="Number of volumes.")
    size: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description=SIZE_TEXT + " Of each volume. Default 20; 500 for st1 and sc1.",
    )
    type: VolumeType = Field(default="gp3", description="EBS volume type.")
    iops: int | None = Field(default=None, ge=100, le=256000, description=IOPS_TEXT + " Of each volume.")
    throughput: int | None = Field(default=None, ge=125, le=2000, description=THROUGHPUT_TEXT + " Of each volume.")
    encrypted: bool = Field(default=True, description="Encrypt the volumes.")
    kms_key_id: KmsKey | None = Field(default=None, description=KMS_TEXT)

    @property
    def size_gib(self) -> int:
        """Size of each volume in GiB, defaults filled in."""
        return self.size or DEFAULT_SIZES.get(self.type, DEFAULT_SIZE)


class Efs(Settings):
    """An EFS file system: a new or an existing one."""

    model_config = ConfigDict(json_schema_extra={"if": {"required": ["fileSystemId"]}, "then": {"maxProperties": 1}})

    file_system_id: EfsId | None = Field(
        default=None,
        description=(
            "An existing file system that has mount targets in the zones of the cluster. Excludes all other "
            "fields here."
        ),
    )
    performance_mode: Literal["generalPurpose", "maxIO"] = Field(
        default="generalPurpose", description="EFS performance mode."
    )
    throughput_mode: Literal["bursting", "provisioned", "elastic"] = Field(
        default="bursting", description="EFS throughput mode."
    )
    provisioned_throughput: float | None = Field(
        default=None,
        ge=1,
        le=3414,
        description="MiB/s; needed with, and only with, throughputMode provisioned.",
    )
    encrypted: bool = Field(default=True, description="Encrypt the file system at rest.")
    kms_key_id: KmsKey | None = Field(default=None, description=KMS_TEXT)

    @property
    def existing(self) -> str | None:  # noqa: D102
        return self.file_system_id


class FsxLustre(Settings):
    """An FSx for Lustre file system: a new one, one from a backup, or an existing one."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [name]} for name in ("storageCapacity", "backupId", "fileSystemId")],
            "dependentRequired": {"fileSystemId": ["mountName"], "mountName": ["fileSystemId"]},
            "if": {"required": ["fileSystemId"]},
            "then": {"maxProperties": 2},
        }
    )

    file_system_id: FsxId | None = Field(
        default=None,
        description="An existing file system in the cluster's VPC. Needs `mountName`; excludes all others.",
    )
    mount_name: FsxMountName | None = Field(
        default=None, description="Mount name of the existing file system, as describe-file-systems shows it."
    )
    storage_capacity: int | None = Field(
        default=None,
        ge=1200,
        le=1_000_000,
        description=(
            "GiB; required for a new file system. SCRATCH_1: 1200, 2400 or a multiple of 3600; PERSISTENT_1 HDD: a "
            "multiple of 6000 at 12 MB/s per TiB, of 1800 at 40; others: 1200 or a multiple of 2400."
        ),
    )
    deployment_type: Literal["SCRATCH_1", "SCRATCH_2", "PERSISTENT_1", "PERSISTENT_2"] | None = Field(
        default=None, description="FSx deployment type; default SCRATCH_2, or the backup's."
    )
    per_unit_storage_throughput: Literal[12, 40, 50, 100, 125, 200, 250, 500, 1000] | None = Field(
        default=None,
        description=(
            "MB/s per TiB; needed with, and only with, PERSISTENT types. PERSISTENT_1 SSD: 50, 100, 200; PERSISTENT_1 "
            "HDD: 12, 40; PERSISTENT_2: 125, 250, 500, 1000."
        ),
    )
    storage_type: Literal["SSD", "HDD"] | None = Field(default=None, description="Default SSD. HDD needs PERSISTENT_1.")
    drive_cache_type: Literal["NONE", "READ"] | None = Field(
        default=None, description="SSD read cache; needed with, and only with, storageType HDD."
    )
    kms_key_id: KmsKey | None = Field(default=None, description=KMS_TEXT + " PERSISTENT types only.")
    imported_file_chunk_size: int | None = Field(
        default=None,
        ge=1,
        le=512000,
        description="MiB of a file on one disk, for imported files. Needs `importPath`.",
    )
    import_path: S3Uri | None = Field(default=None, description="S3 data to show as files. Not for PERSISTENT_2.")
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
        default=None,
        description="Start of the daily backup, HH:MM in UTC. Needs `automaticBackupRetentionDays`.",
    )
    automatic_backup_retention_days: int | None = Field(
        default=None,
        ge=0,
        le=90,
        description="Days to keep automatic backups, 0 for none. PERSISTENT types without importPath.",
    )
    copy_tags_to_backups: bool | None = Field(
        default=None, description="Give backups the file system's tags. PERSISTENT types without importPath."
    )
    backup_id: BackupId | None = Field(
        default=None,
        description="Backup to make the file system from; what the backup fixes cannot be given.",
    )
    data_compression_type: Literal["NONE", "LZ4"] | None = Field(
        default=None, description="Compression of new data; default NONE."
    )

    @property
    def existing(self) -> str | None:  # noqa: D102
        return self.file_system_id

    @property
    def deployment(self) -> str:
        """Deployment type of a new file system, default filled in."""
        return self.deployment_type or "SCRATCH_2"

    @property
    def storage(self) -> str:
        """Storage type, default filled in."""
        return self.storage_type or "SSD"

    @property
    def persistent(self) -> bool:
        """Whether a new file system is of a persistent type."""
        return self.deployment.startswith("PERSISTENT")


Kind = Literal["ebs", "raid", "efs", "fsxLustre"]


class SharedStorage(Model):
    """One piece of storage that all nodes see below the same directory."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [kind]} for kind in ("ebs", "raid", "efs", "fsxLustre")]}
    )

    name: ShortName = Field(description="Name, unique in the cluster; `consent` and the status use it.")
    mount_dir: MountDir = Field(
        description=(
            "Directory where all nodes mount it: absolute, not a system directory, neither above nor below "
            "another one of the cluster."
        )
    )
    deletion_policy: Literal["Retain", "Snapshot", "Delete"] = Field(
        default="Retain",
        description=(
            "What happens to it when it leaves the spec or the cluster is deleted. Snapshot: ebs and raid"
            " only. What exists already is never deleted."
        ),
    )
    ebs: Ebs | None = Field(default=None, description="An EBS volume on the head node, exported over NFS.")
    raid: Raid | None = Field(default=None, description="A RAID array on the head node, exported over NFS.")
    efs: Efs | None = Field(default=None, description="An EFS file system.")
    fsx_lustre: FsxLustre | None = Field(default=None, description="An FSx for Lustre file system.")

    @property
    def kinds(self) -> dict[Kind, Settings]:
        """The kinds that are given, with their settings: exactly one in a cluster that `parse` made."""
        given: dict[Kind, Settings | None] = {
            "ebs": self.ebs,
            "raid": self.raid,
            "efs": self.efs,
            "fsxLustre": self.fsx_lustre,
        }
        return {kind: settings for kind, settings in given.items() if settings is not None}

    @property
    def existing(self) -> str | None:
        """Id of the volume or file system that exists already, if it is one."""
        return next((settings.existing for settings in self.kinds.values() if settings.existing), None)
