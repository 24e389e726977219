"""Rules for Slurm: where its packages are, and what belongs to it alone."""

from collections.abc import Iterator

from reconciler.cluster.errors import MISSING, FieldError, quoted, short
from reconciler.cluster.model import Cluster, Spec
from reconciler.cluster.rules.compute import queues

# Whose archive has a Slurm that will do: 23.11. Amazon Linux has none, Ubuntu 22.04 an old one.
OS = "ubuntu2404"
# Names of partitions that are none: a line of slurm.conf with this one sets defaults for the lines after it.
RESERVED = ("default",)
ALONE = ("idle_time", "fleet")
ONLY = "only with scheduler slurm"


def slurm_comes_with_its_system(cluster: Cluster) -> Iterator[FieldError]:
    """Slurm is installed from the archive of the nodes' system, also on an image of the user's own."""
    spec = cluster.spec
    if spec.scheduler == "slurm" and spec.image.os != OS:
        # Named is what stands in the document, or is missing from a map that does.
        at = "spec.image.os" if "image" in spec.model_fields_set else "spec.image"
        shown = quoted(spec.image.os) if "os" in spec.image.model_fields_set else MISSING
        rule = f"scheduler slurm needs image.os {OS}: Slurm's packages are from its archive"
        yield FieldError(at, shown, rule, f"set image.os: {OS}, or scheduler: none")


def queues_are_partitions(cluster: Cluster) -> Iterator[FieldError]:
    """A queue is a partition, and the name of its nodes begins with its own (slurm.conf(5), PartitionName)."""
    for at, queue in queues(cluster) if cluster.spec.scheduler == "slurm" else ():
        if queue.name in RESERVED:
            yield FieldError(f"{at}.name", quoted(queue.name), "Slurm reserves it", "choose another name")


def only_with_slurm(cluster: Cluster) -> Iterator[FieldError]:
    """Without jobs there are no idle nodes, and the sizes say how many there are. Batch's rules speak for Batch."""
    spec = cluster.spec
    for name in ALONE if spec.scheduler == "none" else ():
        if name in spec.model_fields_set:
            field, shown = Spec.model_fields[name].alias, short(getattr(spec, name))
            yield FieldError(f"spec.{field}", shown, ONLY, f"remove {field}, or use slurm")
    for at, queue in queues(cluster) if spec.scheduler == "none" else ():
        if "all_or_nothing" in queue.model_fields_set:
            shown = short(queue.all_or_nothing)
            yield FieldError(f"{at}.allOrNothing", shown, ONLY, "remove allOrNothing, or use slurm")


RULES = (slurm_comes_with_its_system, queues_are_partitions, only_with_slurm)
