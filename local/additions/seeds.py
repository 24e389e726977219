"""Public machine images, and the public SSM parameters by which one finds the latest of them.

Sources: the Systems Manager user guide ("Calling AMI public parameters") and Canonical's page on finding Ubuntu images.
"""

from typing import Any

from local.additions.emulator import ec2, ssm

AMAZON, CANONICAL = ("137112412989", "amazon"), ("099720109477", None)
_AL2023 = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}"
_UBUNTU = "/aws/service/canonical/ubuntu/server/{version}/stable/current/{arch}/hvm/ebs-{disk}/ami-id"
# image id: (parameter, architecture, name, root device, owner)
IMAGES: dict[str, tuple[str, str, str, str, tuple[str, str | None]]] = {
    "ami-0a12023a64c000001": (
        _AL2023.format(arch="x86_64"), "x86_64", "al2023-ami-2023-kernel-6.1-x86_64", "/dev/xvda", AMAZON,
    ),
    "ami-0a12023a64c000002": (
        _AL2023.format(arch="arm64"), "arm64", "al2023-ami-2023-kernel-6.1-arm64", "/dev/xvda", AMAZON,
    ),
    **{
        f"ami-0ca9091ca1c{version.replace('.', '')}{digit}0": (
            _UBUNTU.format(version=version, arch=arch, disk=disk),
            {"amd64": "x86_64", "arm64": "arm64"}[arch],
            f"ubuntu/images/hvm-ssd{'-gp3' if disk == 'gp3' else ''}/ubuntu-{version}-{arch}-server",
            "/dev/sda1",
            CANONICAL,
        )
        for version, disk in (("22.04", "gp2"), ("24.04", "gp3"))
        for arch, digit in (("amd64", 1), ("arm64", 2))
    },
}  # fmt: skip


def register() -> None:
    """Make the parameters known and the images launchable."""
    architectures = {image_id: facts[1] for image_id, facts in IMAGES.items()}
    for image_id, (parameter, _, name, device, (owner, alias)) in IMAGES.items():
        ssm._PUBLIC_AMI_PARAMETERS[parameter] = image_id
        ec2._STUB_AMIS.append((image_id, name, name, "", device, owner, alias))
    plain = ec2._stub_image_view

    def view(image_id: str, *rest: Any) -> dict[str, Any]:
        return plain(image_id, *rest) | {"Architecture": architectures.get(image_id, "x86_64")}

    ec2._stub_image_view = view
