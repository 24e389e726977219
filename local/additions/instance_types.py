"""DescribeInstanceTypes: what MiniStack answers the same for every type, here from a table of families.

A family gives architecture, GiB of memory a vCPU, the smallest size with EFA and whether it has instance-store
disks; a size gives the number of vCPUs. A type whose family is not here does not exist.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

SIZES = {
    "nano": 2, "micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4, "2xlarge": 8, "3xlarge": 12,
    "4xlarge": 16, "6xlarge": 24, "8xlarge": 32, "9xlarge": 36, "10xlarge": 40, "12xlarge": 48, "16xlarge": 64,
    "18xlarge": 72, "24xlarge": 96, "32xlarge": 128, "48xlarge": 192, "96xlarge": 384, "metal": 96,
}  # fmt: skip
X86, ARM, NONE = "x86_64", "arm64", ""
# family: (architecture, GiB a vCPU, smallest size with EFA, instance-store disks, GPUs of a whole machine)
FAMILIES: dict[str, tuple[str, float, str, bool, int]] = {
    "t2": (X86, 2, NONE, False, 0), "t3": (X86, 2, NONE, False, 0), "t3a": (X86, 2, NONE, False, 0),
    "t4g": (ARM, 2, NONE, False, 0),
    "c4": (X86, 2, NONE, False, 0), "c5": (X86, 2, NONE, False, 0), "c5a": (X86, 2, NONE, False, 0),
    "c5d": (X86, 2, NONE, True, 0), "c5n": (X86, 2.625, "9xlarge", False, 0),
    "c6a": (X86, 2, "48xlarge", False, 0), "c6g": (ARM, 2, NONE, False, 0), "c6gn": (ARM, 2, "16xlarge", False, 0),
    "c6i": (X86, 2, "32xlarge", False, 0), "c6id": (X86, 2, "32xlarge", True, 0),
    "c6in": (X86, 2, "32xlarge", False, 0), "c7a": (X86, 2, "48xlarge", False, 0),
    "c7g": (ARM, 2, "16xlarge", False, 0), "c7gn": (ARM, 2, "16xlarge", False, 0),
    "c7i": (X86, 2, "48xlarge", False, 0), "c8g": (ARM, 2, "24xlarge", False, 0),
    "m4": (X86, 4, NONE, False, 0), "m5": (X86, 4, NONE, False, 0), "m5a": (X86, 4, NONE, False, 0),
    "m5d": (X86, 4, NONE, True, 0), "m5dn": (X86, 4, "24xlarge", True, 0), "m5n": (X86, 4, "24xlarge", False, 0),
    "m5zn": (X86, 4, "12xlarge", False, 0), "m6a": (X86, 4, "48xlarge", False, 0),
    "m6g": (ARM, 4, NONE, False, 0), "m6i": (X86, 4, "32xlarge", False, 0), "m6id": (X86, 4, "32xlarge", True, 0),
    "m7a": (X86, 4, "48xlarge", False, 0), "m7g": (ARM, 4, "16xlarge", False, 0),
    "m7gd": (ARM, 4, "16xlarge", True, 0), "m7i": (X86, 4, "48xlarge", False, 0),
    "m8g": (ARM, 4, "24xlarge", False, 0),
    "r5": (X86, 8, NONE, False, 0), "r6g": (ARM, 8, NONE, False, 0), "r6i": (X86, 8, "32xlarge", False, 0),
    "r7g": (ARM, 8, "16xlarge", False, 0), "r7i": (X86, 8, "48xlarge", False, 0),
    "hpc6a": (X86, 4, "48xlarge", False, 0), "hpc6id": (X86, 16, "32xlarge", True, 0),
    "hpc7a": (X86, 4, "12xlarge", False, 0), "hpc7g": (ARM, 2, "4xlarge", False, 0),
    "i3": (X86, 7.625, NONE, True, 0), "i3en": (X86, 8, "24xlarge", True, 0), "i4i": (X86, 8, "32xlarge", True, 0),
    "d3": (X86, 8, NONE, True, 0), "z1d": (X86, 8, NONE, True, 0),
    "g4dn": (X86, 4, "8xlarge", True, 1), "g5": (X86, 4, "8xlarge", True, 1), "g5g": (ARM, 2, NONE, False, 1),
    "g6": (X86, 4, "8xlarge", True, 1), "p3": (X86, 7.625, NONE, False, 8), "p4d": (X86, 12, "24xlarge", True, 8),
    "p5": (X86, 10.7, "48xlarge", True, 8), "trn1": (X86, 4, "32xlarge", True, 0),
}  # fmt: skip


@dataclass(frozen=True)
class InstanceType:
    """One instance type; `memory` in MiB."""

    name: str
    architecture: str
    vcpus: int
    memory: int
    efa: bool
    disks: bool
    gpus: int


def find(name: str) -> InstanceType | None:
    """The type of that name, or None if it does not exist."""
    family, _, size = name.partition(".")
    if family not in FAMILIES or size not in SIZES:
        return None
    architecture, gib, efa_from, disks, gpus = FAMILIES[family]
    vcpus = SIZES[size]
    efa = bool(efa_from) and vcpus >= SIZES[efa_from]
    return InstanceType(name, architecture, vcpus, int(vcpus * gib * 1024), efa, disks, gpus)


def describe(ec2: Any, parameters: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """The DescribeInstanceTypes action: by name, by a filter on the name, or all that exist."""
    filters = ec2._parse_filters(parameters)
    if unknown := filters.keys() - {"instance-type"}:
        return ec2._error("InvalidParameterValue", f"The filter '{min(unknown)}' is invalid", 400)
    names = ec2._parse_member_list(parameters, "InstanceType") or [f"{f}.{s}" for f in FAMILIES for s in SIZES]
    found = {name: find(name) for name in names}
    if missing := [name for name, each in found.items() if each is None]:
        message = f"The following supplied instance types do not exist: [{', '.join(missing)}]"
        return ec2._error("InvalidInstanceType", message, 400)
    wanted = filters.get("instance-type", ["*"])
    shown = (each for each in found.values() if each and any(fnmatchcase(each.name, value) for value in wanted))
    items = "".join(map(_xml, shown))
    return ec2._xml(200, "DescribeInstanceTypesResponse", f"<instanceTypeSet>{items}</instanceTypeSet>")


def _xml(each: InstanceType) -> str:
    virtual = each.name.endswith("metal")
    gpus = f"<gpuInfo><gpus><item><count>{each.gpus}</count></item></gpus></gpuInfo>" if each.gpus else ""
    threads = 1 if each.architecture == ARM else 2
    return f"""<item>
        <instanceType>{each.name}</instanceType>
        <currentGeneration>true</currentGeneration>
        <supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses>
        <supportedRootDeviceTypes><item>ebs</item></supportedRootDeviceTypes>
        <supportedVirtualizationTypes><item>hvm</item></supportedVirtualizationTypes>
        <bareMetal>{str(virtual).lower()}</bareMetal>
        <hypervisor>nitro</hypervisor>
        <processorInfo><supportedArchitectures><item>{each.architecture}</item></supportedArchitectures></processorInfo>
        <vCpuInfo>
            <defaultVCpus>{each.vcpus}</defaultVCpus>
            <defaultCores>{each.vcpus // threads}</defaultCores>
            <defaultThreadsPerCore>{threads}</defaultThreadsPerCore>
        </vCpuInfo>
        <memoryInfo><sizeInMiB>{each.memory}</sizeInMiB></memoryInfo>
        <instanceStorageSupported>{str(each.disks).lower()}</instanceStorageSupported>
        {gpus}
        <networkInfo><efaSupported>{str(each.efa).lower()}</efaSupported><enaSupport>required</enaSupport></networkInfo>
        <placementGroupInfo><supportedStrategies>
            <item>cluster</item><item>partition</item><item>spread</item>
        </supportedStrategies></placementGroupInfo>
    </item>"""
