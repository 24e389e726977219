"""The rules that one field alone cannot keep or break.

A rule is a function from a cluster, whose fields are each well formed, to what is wrong. RULES is all of
them: `parse` applies nothing else.
"""

from collections.abc import Callable, Iterator

from reconciler.cluster.errors import FieldError
from reconciler.cluster.model import Cluster
from reconciler.cluster.rules import batch, compute, filesystems, general, network, slurm, storage, unsupported

Rule = Callable[[Cluster], Iterator[FieldError]]

RULES: tuple[Rule, ...] = (
    *unsupported.RULES,
    *batch.RULES,
    *slurm.RULES,
    *compute.RULES,
    *network.RULES,
    *storage.RULES,
    *filesystems.RULES,
    *general.RULES,
)

__all__ = ["RULES", "Rule"]
