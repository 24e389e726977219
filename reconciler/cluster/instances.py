"""What the name of an EC2 instance type tells."""

import re
from typing import Literal

Architecture = Literal["x86_64", "arm64"]

# Series, generation, processor family and other attributes, then the size (EC2 user guide, naming
# conventions).
FAMILY = re.compile(r"^(?P<series>[a-z]+)(?P<generation>[0-9]+)(?P<attributes>[a-z]*)(?P<variant>-.*)?$")


def architecture(instance_type: str) -> Architecture:
    """Processor architecture of an instance type, by AWS's naming rule.

    The letter after the generation names the processor: g is Graviton. a1, the first Graviton family,
    precedes the rule; -gb names the Grace processors beside NVIDIA's Blackwell GPUs.
    """
    family = FAMILY.match(instance_type.partition(".")[0])
    if family is None:
        return "x86_64"
    grace = (family["variant"] or "").startswith("-gb")
    graviton = family["attributes"].startswith("g") or family["series"] == "a"
    return "arm64" if graviton or grace else "x86_64"
