"""What was seen once and is held to, so that a rendering does not drift under the user."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pins:
    """`images`: "<os>/<architecture>" to AMI id. `zones`: subnet id to Availability Zone name.

    `serving`: name of a container image to the tag that jobs run, the wanted one once it has been seen in the
    repository. `registrations`: name of a job definition to how often it was found deregistered. `vcpus`: name of a
    compute environment in AWS to the most vCPUs that it was made with. `shapes`: instance type of a queue to what EC2
    says that it has: vCPUs, cores, MiB of memory, GPUs; of clusters with a scheduler that has to know.
    """

    images: Mapping[str, str] = field(default_factory=dict[str, str])
    zones: Mapping[str, str] = field(default_factory=dict[str, str])
    serving: Mapping[str, str] = field(default_factory=dict[str, str])
    registrations: Mapping[str, int] = field(default_factory=dict[str, int])
    vcpus: Mapping[str, int] = field(default_factory=dict[str, int])
    shapes: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict[str, tuple[int, int, int, int]])
