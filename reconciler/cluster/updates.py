"""What a spec may not become, once it is what it is."""

from reconciler.cluster.errors import FieldError, quoted
from reconciler.cluster.model import Cluster

SLURM = "slurm"


def unchangeable(old: Cluster | None, new: Cluster) -> tuple[FieldError, ...]:
    """What of a spec cannot follow the one that is in force, None if none is.

    All nodes of a Slurm cluster are made for it at their boot, the head node too. (ParallelCluster 2.x refuses any
    change of the scheduler.)
    """
    if old is None or old.spec.scheduler == new.spec.scheduler or SLURM not in (old.spec.scheduler, new.spec.scheduler):
        return ()
    rule = f"the cluster has scheduler {old.spec.scheduler}, and none comes to have slurm or loses it"
    way_out = "put it back, and give the new cluster another name, or delete this one first"
    return (FieldError("spec.scheduler", quoted(new.spec.scheduler), rule, way_out),)
