"""What each EBS volume type takes (EC2 API reference, CreateVolume; EBS user guide, volume types)."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from reconciler.cluster.errors import MISSING, FieldError

# The rules below in words, for the descriptions of fields.
SIZE_TEXT = (
    "Size in GiB. gp3: 1 to 65536; gp2: 1 to 16384; io1: 4 to 16384; io2: 4 to 65536; st1, sc1: 125 to 16384; "
    "standard: 1 to 1024."
)
IOPS_TEXT = (
    "I/O operations a second. gp3: 3000 (default) to 80000, above 3000 at most 500 a GiB; io1: required, 100 to "
    "64000, at most 50 a GiB; io2: required, 100 to 256000, at most 1000 a GiB; not for the other types."
)
THROUGHPUT_TEXT = "MiB/s; gp3 only: 125 (default) to 2000, at most a quarter of the I/O operations a second."

THROUGHPUT_PER_IOPS = 0.25  # MiB/s


class Range(NamedTuple):
    """Least and most, both allowed."""

    least: int
    most: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"{self.least} to {self.most}"


class Limits(NamedTuple):
    """What one volume type takes: GiB, I/O operations a second (in all and a GiB), MiB/s; None where not
    given.
    """

    size: Range
    iops: Range | None = None
    iops_per_gib: int = 0
    throughput: Range | None = None


LIMITS = {
    "gp3": Limits(Range(1, 65536), Range(3000, 80000), 500, Range(125, 2000)),
    "gp2": Limits(Range(1, 16384)),
    "io1": Limits(Range(4, 16384), Range(100, 64000), 50),
    "io2": Limits(Range(4, 65536), Range(100, 256000), 1000),
    "st1": Limits(Range(125, 16384)),
    "sc1": Limits(Range(125, 16384)),
    "standard": Limits(Range(1, 1024)),
}

# For these types EC2 has no default.
IOPS_REQUIRED = ("io1", "io2")
# gp3's first 3000 operations a second come with any size.
BASELINE_IOPS = 3000


class Volume(Protocol):
    """What all the models of volumes have."""

    @property
    def type(self) -> str:
        """EBS volume type."""
        ...

    @property
    def iops(self) -> int | None:
        """I/O operations a second."""
        ...

    @property
    def throughput(self) -> int | None:
        """MiB/s."""
        ...


def volume_problems(volume: Volume, size: int | None, at: str) -> Iterator[FieldError]:
    """What the type of the volume at path `at` does not take; `size` in GiB, None when a snapshot tells it."""
    limits = LIMITS[volume.type]
    if size is not None and size not in limits.size:
        yield FieldError(
            f"{at}.size", str(size), f"{volume.type} volumes have {limits.size} GiB", "change size or type"
        )
    yield from iops_problems(volume, limits, size, at)
    yield from throughput_problems(volume, limits, at)


def iops_problems(volume: Volume, limits: Limits, size: int | None, at: str) -> Iterator[FieldError]:
    """What is wrong with the I/O operations a second."""
    iops, field = volume.iops, f"{at}.iops"
    if iops is None:
        if volume.type in IOPS_REQUIRED:
            yield FieldError(field, MISSING, f"required for {volume.type} volumes", f"add it: {limits.iops}")
        return
    if limits.iops is None:
        yield FieldError(field, str(iops), f"{volume.type} volumes take no iops", "remove iops, or use gp3, io1 or io2")
        return
    if iops not in limits.iops:
        yield FieldError(field, str(iops), f"{volume.type} volumes take {limits.iops}", "write a value in this range")
    most = max(limits.iops_per_gib * size, BASELINE_IOPS if volume.type == "gp3" else 0) if size else None
    if most is not None and iops > most:
        rule = f"{volume.type} volumes take at most {limits.iops_per_gib} a GiB, so {most} at {size} GiB"
        yield FieldError(field, str(iops), rule, "lower iops or raise size")


def throughput_problems(volume: Volume, limits: Limits, at: str) -> Iterator[FieldError]:
    """What is wrong with the throughput."""
    throughput, field = volume.throughput, f"{at}.throughput"
    if throughput is None:
        return
    if limits.throughput is None:
        yield FieldError(field, str(throughput), f"{volume.type} volumes take no throughput", "remove it, or use gp3")
        return
    iops = volume.iops or BASELINE_IOPS
    if throughput > iops * THROUGHPUT_PER_IOPS:
        rule = f"at most a quarter of iops, so {int(iops * THROUGHPUT_PER_IOPS)} at {iops}"
        yield FieldError(field, str(throughput), rule, f"set iops to {throughput * 4} or more, or lower throughput")
