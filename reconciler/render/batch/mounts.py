"""Shared storage for jobs: EFS, which ECS mounts by itself, and what their instances mount for them.

An instance mounts the head node's volumes and the Lustre file systems at their `mountDir`, and jobs get that directory
of their host.
"""

from reconciler.cluster import SharedStorage
from reconciler.cluster.batch import JobDefinition
from reconciler.render import storage
from reconciler.render.context import HEAD_NODE, Context, Json, attribute, present
from reconciler.render.shell import Piece, array, assign, joined, script

# Batch adds parts of its own to user data, and so takes it as a multi-part archive alone (AWS Batch user guide, "Use
# Amazon EC2 launch templates with AWS Batch").
OPENING = """\
Content-Type: multipart/mixed; boundary="=muster="
MIME-Version: 1.0

--=muster=
Content-Type: text/x-shellscript

#!/bin/bash
"""
CLOSING = "\n--=muster=--\n"
# The volume of the instance's own disks; no storage has a name with a capital.
SCRATCH = "Scratch"


def user_data(context: Context) -> Json | None:
    """The user data of an environment's instances; None if they have nothing to prepare.

    Images optimised for ECS are of Amazon Linux 2023 here, also one that the user names.
    """
    served, lustre = _items(context, "ebs", "raid"), _items(context, "fsxLustre")
    shared = [*served, *lustre]
    scratch = any(definition.scratch for definition in context.batch.job_definitions)
    if not shared and not scratch:
        return None
    parts = {
        "batch": True,
        "tools": True,
        "alinux": True,
        "batch_shared": shared,
        "batch_nfs": served,
        "batch_lustre": lustre,
        "batch_scratch": scratch,
        "shared": scratch,
        "scratch": scratch,
    }
    lines = [*(_nfs(item) for item in served), *(_lustre(context, item) for item in lustre)]
    pieces: list[Piece] = [
        OPENING,
        *(array("DIRECTORIES", ([item.mount_dir] for item in shared)) if shared else []),
        *(array("MOUNTS", lines) if shared else []),
        *(assign("SCRATCH", context.spec.scratch.mount_dir) if scratch else []),
        *(script(name) for name, asked in parts.items() if asked),
        CLOSING,
    ]
    return joined(pieces)


def _items(context: Context, *kinds: str) -> list[SharedStorage]:
    return [item for kind in kinds for item in context.spec.shared_storage if kind in item.kinds]


def _nfs(item: SharedStorage) -> list[Piece]:
    """The first fields of a line of fstab."""
    where = item.mount_dir
    return [attribute(HEAD_NODE, "PrivateIp"), f":{where} {where} nfs4 hard,noatime"]


def _lustre(context: Context, item: SharedStorage) -> list[Piece]:
    site = context.site
    server = f".fsx.{site.region}.{site.suffix}@tcp:/"
    return [storage.file_system(item), server, storage.mount_name(item), f" {item.mount_dir} lustre noatime,flock"]


def container(context: Context, definition: JobDefinition) -> Json:
    """The mount points and volumes of a job's container."""
    known = {entry.name: entry for entry in context.spec.shared_storage}
    points = [
        {
            "SourceVolume": mount.storage,
            "ContainerPath": mount.path or known[mount.storage].mount_dir,
            "ReadOnly": mount.read_only,
        }
        for mount in definition.mounts
    ]
    volumes = [_volume(known[name]) for name in dict.fromkeys(mount.storage for mount in definition.mounts)]
    if definition.scratch:
        path = context.spec.scratch.mount_dir
        points.append({"SourceVolume": SCRATCH, "ContainerPath": path, "ReadOnly": False})
        volumes.append({"Name": SCRATCH, "Host": {"SourcePath": path}})
    return present(MountPoints=points or None, Volumes=volumes or None)


def _volume(entry: SharedStorage) -> Json:
    if not entry.efs:
        return {"Name": entry.name, "Host": {"SourcePath": entry.mount_dir}}
    system = {"FileSystemId": storage.file_system(entry), "TransitEncryption": "ENABLED"}
    return {"Name": entry.name, "EfsVolumeConfiguration": system}
