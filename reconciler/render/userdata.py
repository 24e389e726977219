"""User data: a script that every boot of a node runs, so that a change of it takes effect when the node restarts.

It is assembled from the files in `scripts`, in the order of PARTS, each only where the spec asks for it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from reconciler.cluster import Queue, SharedStorage
from reconciler.cluster.model import Script
from reconciler.facts import agent_key, group_name
from reconciler.render import hooks, notifications, storage
from reconciler.render.context import HEAD_NODE, Context, Json, attribute, ref
from reconciler.render.shell import Piece, arguments, array, assign, flat_json, joined, script
from reconciler.slurm import is_slurm

# In bytes, before the base64 (EC2 user guide, instance user data).
LIMIT = 16_384

OPENING = """\
Content-Type: multipart/mixed; boundary="=muster="
MIME-Version: 1.0

--=muster=
Content-Type: text/cloud-config

#cloud-config
cloud_final_modules:
- [scripts-user, always]

--=muster=
Content-Type: text/x-shellscript

#!/bin/bash
"""
CLOSING = "\n--=muster=--\n"


@dataclass(frozen=True, slots=True)
class Node:
    """The head node, or a compute node of a queue."""

    context: Context
    queue: Queue | None = None

    @property
    def head(self) -> bool:
        """Whether it is the head node."""
        return self.queue is None

    @property
    def os(self) -> str:
        """What it runs, without the version."""
        return self.context.spec.image.os.rstrip("0123456789")

    @property
    def slurm(self) -> bool:
        """Whether Slurm runs the jobs."""
        return is_slurm(self.context.cluster)

    def items(self, *kinds: str) -> list[SharedStorage]:
        """The shared storage of these kinds, kind by kind."""
        return [item for kind in kinds for item in self.context.spec.shared_storage if kind in item.kinds]

    def age(self, item: SharedStorage) -> str:
        """Whether the node may prepare a storage for use: the head node may, what was made for the cluster."""
        return "new" if self.head and not item.existing else "kept"


# What the head node exports comes before network file systems and the user's last script: compute nodes wait for it.
# That script finds Slurm installed, and on a compute node it has ended before the first job comes.
PARTS: tuple[tuple[str, Callable[[Node], object]], ...] = (
    ("tools", lambda _: True),
    ("prelude", lambda _: True),
    ("hook", lambda node: node.queue),
    ("slurm_words", lambda node: node.slurm and node.queue),
    ("proxy", lambda node: node.context.spec.proxy),
    ("beat", lambda node: node.queue),
    ("alinux", lambda node: node.os == "alinux"),
    ("ubuntu", lambda node: node.os == "ubuntu"),
    ("packages", lambda _: True),
    ("hyperthreading", lambda node: node.queue and node.queue.disable_hyperthreading),
    ("scripts", lambda node: any(phases(node).values())),
    ("pre_install", lambda node: phases(node)["PRE"]),
    ("shared", lambda _: True),
    ("volumes", lambda node: node.head and node.items("ebs", "raid")),
    ("ebs", lambda node: node.head and node.items("ebs")),
    ("raid", lambda node: node.head and node.items("raid")),
    ("exports", lambda node: node.head and node.items("ebs", "raid")),
    ("imports", lambda node: node.queue and node.items("ebs", "raid")),
    ("efs", lambda node: node.items("efs")),
    ("lustre", lambda node: node.items("fsxLustre")),
    ("scratch", lambda _: True),
    ("slurm", lambda node: node.slurm),
    ("slurm_head", lambda node: node.slurm and node.head),
    ("slurm_compute", lambda node: node.slurm and node.queue),
    ("post_install", lambda node: phases(node)["POST"]),
    ("slurm_join", lambda node: node.slurm and node.queue),
)


def phases(node: Node) -> dict[str, Script | None]:
    """The user's scripts by the prefix of their variables."""
    bootstrap = node.context.spec.bootstrap
    return {"PRE": bootstrap.pre_install, "POST": bootstrap.post_install}


def _cluster(node: Node) -> Iterator[Piece]:
    """Where the node belongs."""
    context = node.context
    yield from assign("CLUSTER", context.name)
    yield from assign("REGION", context.site.region)
    yield from assign("LOG_GROUP", context.log_group)
    yield from assign("UPLOAD", f"s3://{context.site.artifacts_bucket}/{context.nodes_prefix.rstrip('/')}")
    if node.queue:
        yield from assign("GROUP", group_name(context.name, node.queue.name))
        yield from assign("HOOK", hooks.LAUNCH_HOOK)
        yield from assign("BEAT", str(hooks.BEAT))


def _setup(node: Node) -> Iterator[Piece]:
    """The user's scripts, proxy and scratch directory."""
    yield from assign("SCRATCH", node.context.spec.scratch.mount_dir)
    if node.context.spec.proxy:
        yield from assign("PROXY", node.context.spec.proxy)
    for name, entry in phases(node).items():
        if entry:
            yield from assign(f"{name}_URL", entry.url)
            yield from arguments(f"{name}_ARGS", entry.args)


def _volumes(node: Node) -> Iterator[Piece]:
    """The head node's volumes. EBS: directory, age, volume. Arrays: level, directory, volumes."""
    ebs, raids = node.items("ebs"), node.items("raid")
    directories = [[item.mount_dir] for item in (*ebs, *raids)]
    if not directories:
        return
    if node.queue:
        yield from assign("HEAD", attribute(HEAD_NODE, "PrivateIp"))
        yield from array("IMPORTS", directories)
        return
    yield "EXPORTS=()\n"
    if ebs:
        yield from array(
            "EBS", ([f"{item.mount_dir} {node.age(item)} ", *storage.volumes(node.context, item)] for item in ebs)
        )
    if raids:
        yield from array("RAIDS", (_raid(node, item) for item in raids))


def _raid(node: Node, item: SharedStorage) -> Iterator[Piece]:
    assert item.raid
    yield f"{item.raid.level} {item.mount_dir}"
    for volume in storage.volumes(node.context, item):
        yield " "
        yield volume


def _file_systems(node: Node) -> Iterator[Piece]:
    """The file systems of the network: directory, age, id, and Lustre's name of itself."""
    efs, lustre = node.items("efs"), node.items("fsxLustre")
    if efs or lustre:
        yield from assign("SUFFIX", node.context.site.suffix)
    if efs:
        yield from array("EFS", (_file_system(node, item) for item in efs))
    if lustre:
        yield from array("LUSTRE", ([*_file_system(node, item), " ", storage.mount_name(item)] for item in lustre))


def _file_system(node: Node, item: SharedStorage) -> list[Piece]:
    return [f"{item.mount_dir} {node.age(item)} ", storage.file_system(item)]


def _slurm(node: Node) -> Iterator[Piece]:
    """What the agent is, and what it has to know of its place."""
    if not node.slurm:
        return
    context = node.context
    bucket, key = context.site.artifacts_bucket, agent_key(context.name, context.site.agent)
    yield from assign("DAEMON", "slurmctld" if node.head else "slurmd")
    yield from assign("AGENT", f"s3://{bucket}/{key.rpartition('/')[0]}")
    yield from assign("DIGEST", context.site.agent)
    place: dict[str, Piece] = {
        "cluster": context.name,
        "region": context.site.region,
        "table": context.site.state_table,
        "queueUrl": ref(notifications.QUEUE),
        "logGroup": context.log_group,
        "queue": node.queue.name if node.queue else "",
        "group": group_name(context.name, node.queue.name) if node.queue else "",
        "head": attribute(HEAD_NODE, "PrivateIp") if node.queue else "",
    }
    yield from assign("PLACE", *flat_json(place))


def _document(node: Node) -> Json:
    parts = (script(part) for part, asked in PARTS if asked(node))
    pieces: tuple[Iterable[Piece], ...] = (
        [OPENING],
        _cluster(node),
        _setup(node),
        _volumes(node),
        _file_systems(node),
        _slurm(node),
        parts,
        [CLOSING],
    )
    return joined(piece for some in pieces for piece in some)


def head(context: Context) -> Json:
    """The head node's user data: attaches, mounts and exports its volumes."""
    return _document(Node(context))


def compute(context: Context, queue: Queue) -> Json:
    """A compute node's user data: mounts what the head node exports, and answers the launch hook."""
    return _document(Node(context, queue))
