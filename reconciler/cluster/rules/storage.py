"""Rules for shared storage: what all kinds have in common, and EBS volumes."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from reconciler.cluster.errors import MISSING, FieldError, quoted, short
from reconciler.cluster.model import Cluster
from reconciler.cluster.rules.names import repeated_names
from reconciler.cluster.storage import Ebs, Raid, SharedStorage
from reconciler.cluster.volumes import volume_problems

MAX_EBS = 5
# Volumes have the device names /dev/sdf to /dev/sdp (EC2 user guide, device names on Linux instances).
MAX_DEVICES = 11

# What tells which storage it is that exists already.
IDENTITY = frozenset({"volume_id", "file_system_id", "mount_name"})

# Nothing may be mounted here or below: the node would not boot, or would lose what the system keeps there.
SYSTEM_TREES = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/snap", "/sys"),
    *("/tmp", "/usr", "/var"),  # noqa: S108
)
# Here not, but below: these hold what the system or its users need, the login keys of /home among it.
SYSTEM_DIRS = ("/home", "/media", "/mnt", "/opt", "/srv")


def storages(cluster: Cluster) -> Iterator[tuple[str, SharedStorage]]:
    """Each entry with its path."""
    return ((f"spec.sharedStorage[{index}]", entry) for index, entry in enumerate(cluster.spec.shared_storage))


def mount_dirs(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Every mount directory of the cluster with its path in the spec."""
    yield "spec.scratch.mountDir", cluster.spec.scratch.mount_dir
    for at, entry in storages(cluster):
        yield f"{at}.mountDir", entry.mount_dir


def volumes(cluster: Cluster) -> Iterator[tuple[str, Ebs | Raid]]:
    """The EBS volumes and arrays that are to be made, each with its path."""
    for at, entry in storages(cluster):
        if entry.ebs is not None and entry.ebs.volume_id is None:
            yield f"{at}.ebs", entry.ebs
        if entry.raid is not None:
            yield f"{at}.raid", entry.raid


def exactly_one_kind(cluster: Cluster) -> Iterator[FieldError]:
    """An entry is one kind of storage."""
    for at, entry in storages(cluster):
        if len(entry.kinds) != 1:
            shown = " and ".join(entry.kinds) or MISSING
            fix = "give each kind an entry of its own" if entry.kinds else "add one of them"
            yield FieldError(at, shown, "exactly one of ebs, raid, efs, fsxLustre", fix)


def storage_names_differ(cluster: Cluster) -> Iterator[FieldError]:
    """Entries are told apart by their names."""
    return repeated_names("spec.sharedStorage", [entry.name for entry in cluster.spec.shared_storage])


def mount_dirs_are_apart(cluster: Cluster) -> Iterator[FieldError]:
    """No mount hides another."""
    seen: list[tuple[str, PurePosixPath]] = []
    for at, text in mount_dirs(cluster):
        path = PurePosixPath(text)
        for other_at, other in seen:
            if path.is_relative_to(other) or other.is_relative_to(path):
                how = "the same as" if path == other else "below" if path.is_relative_to(other) else "above"
                yield FieldError(at, quoted(text), f"is {how} {other_at}, {other}", "choose a directory apart from it")
        seen.append((at, path))


def mount_dirs_leave_the_system_alone(cluster: Cluster) -> Iterator[FieldError]:
    """No mount hides what the operating system needs."""
    for at, text in mount_dirs(cluster):
        path = PurePosixPath(text)
        if text in SYSTEM_DIRS:
            yield FieldError(
                at, quoted(text), "the system needs this directory", f"use a directory below it, {text}/NAME"
            )
        elif any(path.is_relative_to(tree) for tree in SYSTEM_TREES):
            yield FieldError(at, quoted(text), "the system needs this directory", "use another one, /shared/NAME")


def existing_storage_is_given_alone(cluster: Cluster) -> Iterator[FieldError]:
    """What exists already has its settings."""
    for at, entry in storages(cluster):
        for kind, settings in entry.kinds.items():
            for name in sorted(settings.model_fields_set - IDENTITY) if settings.existing else ():
                wire = type(settings).model_fields[name].alias
                rule = "what exists already keeps its settings"
                shown = short(getattr(settings, name))
                yield FieldError(f"{at}.{kind}.{wire}", shown, rule, "remove it, or the id of what exists")


def deletion_policy_fits(cluster: Cluster) -> Iterator[FieldError]:
    """Only EBS volumes have snapshots, and what Muster did not make it does not delete."""
    for at, entry in storages(cluster):
        policy, field = entry.deletion_policy, f"{at}.deletionPolicy"
        if policy != "Retain" and entry.existing:
            rule = "what exists already is never deleted, nor is a snapshot taken"
            yield FieldError(field, policy, rule, "remove it, or use Retain")
        elif policy == "Snapshot" and not (entry.ebs or entry.raid):
            yield FieldError(field, policy, "only ebs and raid have snapshots", "use Retain or Delete")


def storage_is_used_once(cluster: Cluster) -> Iterator[FieldError]:
    """No volume or file system that exists already is mounted twice."""
    seen: dict[str, str] = {}
    for at, entry in storages(cluster):
        identity = entry.existing
        if identity is not None and seen.setdefault(identity, at) != at:
            yield FieldError(at, identity, f"used already by {seen[identity]}", "remove one of the two")


def few_volumes(cluster: Cluster) -> Iterator[FieldError]:
    """The head node has a device name for each volume."""
    entries = cluster.spec.shared_storage
    ebs = sum(entry.ebs is not None for entry in entries)
    if ebs > MAX_EBS:
        yield FieldError(
            "spec.sharedStorage", f"{ebs} EBS volumes", f"at most {MAX_EBS}", "join some, or use raid or efs"
        )
    devices = ebs + sum(entry.raid.volumes for entry in entries if entry.raid)
    if devices > MAX_DEVICES:
        rule = f"the head node has device names for {MAX_DEVICES} volumes, those of arrays included"
        yield FieldError("spec.sharedStorage", f"{devices} volumes", rule, "use fewer or larger volumes")


def volumes_fit_their_type(cluster: Cluster) -> Iterator[FieldError]:
    """Sizes and speeds of volumes are what their type takes."""
    for at, volume in volumes(cluster):
        yield from volume_problems(volume, volume.size_gib, at)


def keys_need_encryption(cluster: Cluster) -> Iterator[FieldError]:
    """A key without encryption does nothing."""
    for at, entry in storages(cluster):
        for kind, settings in (("ebs", entry.ebs), ("raid", entry.raid), ("efs", entry.efs)):
            if settings is not None and settings.kms_key_id is not None and not settings.encrypted:
                shown = quoted(settings.kms_key_id)
                yield FieldError(f"{at}.{kind}.kmsKeyId", shown, "only with encrypted: true", "remove it, or encrypt")


RULES = (
    exactly_one_kind,
    storage_names_differ,
    mount_dirs_are_apart,
    mount_dirs_leave_the_system_alone,
    existing_storage_is_given_alone,
    deletion_policy_fits,
    storage_is_used_once,
    few_volumes,
    volumes_fit_their_type,
    keys_need_encryption,
)
