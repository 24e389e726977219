"""What AWS was asked once and is not asked again, so that a rendering does not drift under the user."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pins:
    """`images`: "<os>/<architecture>" to AMI id. `zones`: subnet id to Availability Zone name. `archives`: address
    of an S3 object to what tells one content of it from another.
    """

    images: Mapping[str, str] = field(default_factory=dict[str, str])
    zones: Mapping[str, str] = field(default_factory=dict[str, str])
    archives: Mapping[str, str] = field(default_factory=dict[str, str])
