"""What the resource has room for and Muster does not do yet: refused, never accepted and ignored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reconciler.cluster.errors import FieldError, short
from reconciler.cluster.model import Cluster, Spec


@dataclass(frozen=True)
class Unsupported:
    """One thing not done yet: the field, how to read it, which values are not supported, and what to do
    instead.
    """

    field: str
    read: Callable[[Spec], object]
    refused: Callable[[object], bool]
    fix: str


TABLE: tuple[Unsupported, ...] = (
    Unsupported(
        "spec.scratch.encrypted",
        lambda spec: spec.scratch.encrypted,
        lambda value: value is True,
        "use false; NVMe instance-store disks are encrypted by the hardware",
    ),
)


def not_supported_yet(cluster: Cluster) -> Iterator[FieldError]:
    """The fields of TABLE that hold a value which is not supported."""
    for row in TABLE:
        value = row.read(cluster.spec)
        if row.refused(value):
            yield FieldError(row.field, short(value), "not supported yet", row.fix)


RULES = (not_supported_yet,)
