"""Rules for EFS and FSx for Lustre.

Sources: EFS API reference, CreateFileSystem; FSx API reference, CreateFileSystem and CreateFileSystemFromBackup.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.cluster.errors import MISSING, FieldError, short
from reconciler.cluster.model import Cluster
from reconciler.cluster.rules.storage import storages
from reconciler.cluster.storage import Efs, FsxLustre


class Capacity(NamedTuple):
    """The capacities in GiB that FSx sells: a few single ones, and the multiples of a step."""

    singles: tuple[int, ...]
    step: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and (value in self.singles or value % self.step == 0)

    def __str__(self) -> str:
        return " or ".join((*(str(single) for single in self.singles), f"a multiple of {self.step}"))


SSD = Capacity((1200,), 2400)
# (deployment type, storage type) -> MB/s per TiB (None: not given) -> capacities.
LUSTRE: dict[tuple[str, str], dict[int | None, Capacity]] = {
    ("SCRATCH_1", "SSD"): {None: Capacity((1200, 2400), 3600)},
    ("SCRATCH_2", "SSD"): {None: SSD},
    ("PERSISTENT_1", "SSD"): {50: SSD, 100: SSD, 200: SSD},
    ("PERSISTENT_1", "HDD"): {12: Capacity((), 6000), 40: Capacity((), 1800)},
    ("PERSISTENT_2", "SSD"): {125: SSD, 250: SSD, 500: SSD, 1000: SSD},
}

# What may be given beside a backup: the rest is the backup's.
WITH_BACKUP = frozenset(
    {
        "backup_id",
        "storage_type",
        "drive_cache_type",
        "weekly_maintenance_start_time",
        "daily_automatic_backup_start_time",
        "automatic_backup_retention_days",
        "copy_tags_to_backups",
    }
)
# What only a link to S3 gives a meaning.
WITH_IMPORT = ("export_path", "imported_file_chunk_size", "auto_import_policy")


def efs_systems(cluster: Cluster) -> Iterator[tuple[str, Efs]]:
    """The EFS file systems to be made, each with its path."""
    for at, entry in storages(cluster):
        if entry.efs is not None and not entry.efs.existing:
            yield f"{at}.efs", entry.efs


def lustre_systems(cluster: Cluster) -> Iterator[tuple[str, FsxLustre]]:
    """The Lustre file systems to be made, each with its path."""
    for at, entry in storages(cluster):
        if entry.fsx_lustre is not None and not entry.fsx_lustre.existing:
            yield f"{at}.fsxLustre", entry.fsx_lustre


def new_lustre_systems(cluster: Cluster) -> Iterator[tuple[str, FsxLustre]]:
    """Those of them that are not made from a backup."""
    return ((at, lustre) for at, lustre in lustre_systems(cluster) if lustre.backup_id is None)


def wire(name: str) -> str:
    """The name on the wire of a field of FsxLustre."""
    return str(FsxLustre.model_fields[name].alias)


def efs_throughput_goes_with_its_mode(cluster: Cluster) -> Iterator[FieldError]:
    """A throughput is given with, and only with, provisioned mode."""
    for at, efs in efs_systems(cluster):
        given, provisioned = efs.provisioned_throughput is not None, efs.throughput_mode == "provisioned"
        field = f"{at}.provisionedThroughput"
        if provisioned and not given:
            yield FieldError(field, MISSING, "required with throughputMode provisioned", "add it, in MiB/s")
        if given and not provisioned:
            rule = "only with throughputMode provisioned"
            yield FieldError(field, short(efs.provisioned_throughput), rule, "remove it, or change throughputMode")


def efs_max_io_is_not_elastic(cluster: Cluster) -> Iterator[FieldError]:
    """Elastic throughput needs the general purpose mode (EFS user guide, performance modes)."""
    for at, efs in efs_systems(cluster):
        if efs.performance_mode == "maxIO" and efs.throughput_mode == "elastic":
            rule = "not with throughputMode elastic"
            yield FieldError(f"{at}.performanceMode", "maxIO", rule, "use generalPurpose, or another throughputMode")


def existing_lustre_has_both_names(cluster: Cluster) -> Iterator[FieldError]:
    """A Lustre file system is mounted by its id and its mount name."""
    for at, entry in storages(cluster):
        lustre = entry.fsx_lustre
        if lustre is None:
            continue
        if lustre.file_system_id is not None and lustre.mount_name is None:
            fix = "add it, as aws fsx describe-file-systems shows it"
            yield FieldError(f"{at}.fsxLustre.mountName", MISSING, "required with fileSystemId", fix)
        if lustre.mount_name is not None and lustre.file_system_id is None:
            rule = "only with fileSystemId; FSx names new file systems"
            yield FieldError(
                f"{at}.fsxLustre.mountName", short(lustre.mount_name), rule, "remove it, or add fileSystemId"
            )


def backup_has_the_rest(cluster: Cluster) -> Iterator[FieldError]:
    """What a backup fixes cannot be given beside it."""
    for at, lustre in lustre_systems(cluster):
        if lustre.backup_id is not None:
            for name in sorted(lustre.model_fields_set - WITH_BACKUP):
                value = short(getattr(lustre, name))
                yield FieldError(f"{at}.{wire(name)}", value, "backupId excludes it", "remove it, or backupId")


def lustre_is_of_a_kind_that_exists(cluster: Cluster) -> Iterator[FieldError]:
    """Disks of spinning metal come with PERSISTENT_1 only."""
    for at, lustre in new_lustre_systems(cluster):
        if (lustre.deployment, lustre.storage) not in LUSTRE:
            rule = "only with deploymentType PERSISTENT_1"
            yield FieldError(f"{at}.storageType", lustre.storage, rule, "use SSD, or PERSISTENT_1")


def lustre_throughput_fits(cluster: Cluster) -> Iterator[FieldError]:
    """Persistent file systems have a throughput per TiB, one of a few; scratch ones have none."""
    for at, lustre in new_lustre_systems(cluster):
        given = lustre.per_unit_storage_throughput
        possible = LUSTRE.get((lustre.deployment, lustre.storage), {given: SSD})
        if given not in possible:
            choices = ", ".join(str(one) for one in possible if one is not None)
            rule = f"{lustre.deployment} {lustre.storage} takes {f'one of {choices}' if choices else 'none'}"
            fix = "choose one of them" if choices else "remove it, or use a PERSISTENT deploymentType"
            shown = MISSING if given is None else str(given)
            yield FieldError(f"{at}.perUnitStorageThroughput", shown, rule, fix)


def lustre_capacity_fits(cluster: Cluster) -> Iterator[FieldError]:
    """The capacity is one that FSx sells."""
    for at, lustre in new_lustre_systems(cluster):
        given, field = lustre.storage_capacity, f"{at}.storageCapacity"
        possible = LUSTRE.get((lustre.deployment, lustre.storage), {}).get(lustre.per_unit_storage_throughput)
        if given is None:
            yield FieldError(field, MISSING, "required for a new file system", "add it, in GiB, 1200 or more")
        elif possible is not None and given not in possible:
            rule = f"{lustre.deployment} {lustre.storage} has {possible} GiB"
            yield FieldError(field, str(given), rule, "write one of these")


def drive_cache_goes_with_hdd(cluster: Cluster) -> Iterator[FieldError]:
    """The cache is said for, and only for, HDD."""
    for at, lustre in lustre_systems(cluster):
        field = f"{at}.driveCacheType"
        if lustre.storage == "HDD" and lustre.drive_cache_type is None:
            yield FieldError(field, MISSING, "required with storageType HDD", "add NONE or READ")
        if lustre.storage != "HDD" and lustre.drive_cache_type is not None:
            yield FieldError(field, lustre.drive_cache_type, "only with storageType HDD", "remove it, or use HDD")


@dataclass(frozen=True)
class Need:
    """Fields of a new file system that ask for something else of it."""

    fields: tuple[str, ...]
    met: Callable[[FsxLustre], bool]
    rule: str
    fix: str


NEEDS: tuple[Need, ...] = (
    Need(
        ("kms_key_id",),
        lambda lustre: lustre.persistent,
        "only for PERSISTENT deployment types: FSx's own key encrypts scratch ones",
        "remove it, or change deploymentType",
    ),
    Need(
        WITH_IMPORT,
        lambda lustre: lustre.import_path is not None,
        "only with importPath",
        "remove it, or add importPath",
    ),
    Need(
        ("import_path",),
        lambda lustre: lustre.deployment != "PERSISTENT_2",
        "PERSISTENT_2 has no link to S3 of its own",
        "remove it, or use another deploymentType",
    ),
    Need(
        ("automatic_backup_retention_days", "copy_tags_to_backups"),
        lambda lustre: lustre.persistent and lustre.import_path is None,
        "only for PERSISTENT deployment types without importPath: FSx backs up no others",
        "remove it, or change the file system",
    ),
)


def lustre_needs_are_met(cluster: Cluster) -> Iterator[FieldError]:
    """The fields of NEEDS are given only where they do something."""
    for at, lustre in new_lustre_systems(cluster):
        for need in NEEDS:
            for name in need.fields:
                value: object = getattr(lustre, name)
                if value is not None and not need.met(lustre):
                    yield FieldError(f"{at}.{wire(name)}", short(value), need.rule, need.fix)


def export_goes_to_the_imported_bucket(cluster: Cluster) -> Iterator[FieldError]:
    """One bucket serves both ways."""
    for at, lustre in new_lustre_systems(cluster):
        source, target = lustre.import_path, lustre.export_path
        if source and target and source.split("/")[2] != target.split("/")[2]:
            rule = "must be in the bucket of importPath"
            yield FieldError(f"{at}.exportPath", short(target), rule, f"start it with s3://{source.split('/')[2]}/")


def backup_time_needs_backups(cluster: Cluster) -> Iterator[FieldError]:
    """A time of day for backups that are not taken does nothing."""
    for at, lustre in lustre_systems(cluster):
        value = lustre.daily_automatic_backup_start_time
        if value is not None and not lustre.automatic_backup_retention_days:
            rule = "only with automaticBackupRetentionDays above 0"
            yield FieldError(f"{at}.dailyAutomaticBackupStartTime", value, rule, "remove it, or keep backups")


RULES = (
    efs_throughput_goes_with_its_mode,
    efs_max_io_is_not_elastic,
    existing_lustre_has_both_names,
    backup_has_the_rest,
    lustre_is_of_a_kind_that_exists,
    lustre_throughput_fits,
    lustre_capacity_fits,
    drive_cache_goes_with_hdd,
    lustre_needs_are_met,
    export_goes_to_the_imported_bucket,
    backup_time_needs_backups,
)
