"""What a spec refers to outside itself: asked of AWS once for each accepted spec, before anything is made of it.

A reference that does not exist is told with the field that names it, not by a failed stack ten minutes later.
Images and zones found here are pinned in the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.cluster import Cluster, FieldError, architecture
from reconciler.observe import asking
from reconciler.pins import Pins
from reconciler.render import required_images
from reconciler.slurm import required_shapes

if TYPE_CHECKING:
    from reconciler.clients import Clients

# Where AWS and Canonical publish their current images, by "<os>/<architecture>" (SSM public parameters).
IMAGE_PARAMETERS: dict[str, str] = {
    "alinux2023/x86_64": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
    "alinux2023/arm64": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64",
    "ubuntu2204/x86_64": "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
    "ubuntu2204/arm64": "/aws/service/canonical/ubuntu/server/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id",
    "ubuntu2404/x86_64": "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
    "ubuntu2404/arm64": "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id",
}


# Values that EC2 takes in one filter. Ten queues can name more instance types, though not more subnets.
FILTER_VALUES = 200


def resolve(clients: Clients, cluster: Cluster, pins: Pins) -> tuple[Pins, tuple[FieldError, ...]]:
    """The pins with what this spec needs more, and the references that do not hold. Raises AwsError."""
    with asking(f"references of cluster {cluster.metadata.name}"):
        zones, errors = _subnets(clients, cluster)
        kinds = _instance_types(clients, cluster)
        checked = (_instance_type(*field, kinds) for field in instance_type_fields(cluster))
        errors += [error for error in checked if error]
        images = dict(pins.images)
        for key in sorted(required_images(cluster) - images.keys()):
            images[key] = _image(clients, key)
    shapes = {name: shape(kinds[name]) for name in sorted(required_shapes(cluster) & kinds.keys())}
    more = replace(pins, images=images, zones={**pins.zones, **zones}, shapes={**pins.shapes, **shapes})
    return more, tuple(errors)


def _image(clients: Clients, key: str) -> str:
    return str(clients.ssm.get_parameter(Name=IMAGE_PARAMETERS[key])["Parameter"].get("Value", ""))


def subnet_fields(cluster: Cluster) -> Iterable[tuple[str, str]]:
    """Each place of the spec that names a subnet, and the subnet."""
    spec = cluster.spec
    yield from ((f"spec.network.subnetIds[{i}]", subnet) for i, subnet in enumerate(spec.network.subnet_ids))
    if spec.head_node and spec.head_node.subnet_id:
        yield "spec.headNode.subnetId", spec.head_node.subnet_id
    for q, queue in enumerate(spec.queues):
        yield from ((f"spec.queues[{q}].subnetIds[{i}]", subnet) for i, subnet in enumerate(queue.subnet_ids or ()))
    for e, environment in enumerate(spec.batch.compute_environments if spec.batch else ()):
        at = f"spec.batch.computeEnvironments[{e}].subnetIds"
        yield from ((f"{at}[{i}]", subnet) for i, subnet in enumerate(environment.subnet_ids or ()))


def instance_type_fields(cluster: Cluster) -> Iterable[tuple[str, str, bool]]:
    """Each place of the spec that names an instance type, the type, and whether it must be able to do EFA."""
    if cluster.spec.head_node:
        yield "spec.headNode.instanceType", cluster.spec.head_node.instance_type, False
    for q, queue in enumerate(cluster.spec.queues):
        for i, name in enumerate(queue.instance_types):
            yield f"spec.queues[{q}].instanceTypes[{i}]", name, queue.efa
    for e, environment in enumerate(cluster.spec.batch.compute_environments if cluster.spec.batch else ()):
        for i, name in enumerate(environment.instance_types):
            # Families, and Batch's own words for many of them, are no types that EC2 could be asked for.
            if "." in name:
                yield f"spec.batch.computeEnvironments[{e}].instanceTypes[{i}]", name, False


def _subnets(clients: Clients, cluster: Cluster) -> tuple[dict[str, str], list[FieldError]]:
    wanted = dict.fromkeys(subnet for _, subnet in subnet_fields(cluster))
    # A filter, not SubnetIds: an id that does not exist is then missing in the answer instead of an error.
    pages = clients.ec2.get_paginator("describe_subnets").paginate(
        Filters=[{"Name": "subnet-id", "Values": list(wanted)}]
    )
    found = {subnet.get("SubnetId", ""): subnet for page in pages for subnet in page["Subnets"]}
    vpc = cluster.spec.network.vpc_id
    errors: list[FieldError] = []
    # What has a subnet exists.
    if all(subnet.get("VpcId") != vpc for subnet in found.values()) and not _vpc_exists(clients, vpc):
        fix = "name a VPC of this account and region (`aws ec2 describe-vpcs`)"
        errors.append(FieldError("spec.network.vpcId", vpc, "the VPC does not exist", fix))
    for field, subnet in subnet_fields(cluster):
        if subnet not in found:
            fix = "name a subnet of this account and region (`aws ec2 describe-subnets`)"
            errors.append(FieldError(field, subnet, "the subnet does not exist", fix))
        elif found[subnet].get("VpcId") != vpc:
            rule = f"the subnet belongs to {found[subnet].get('VpcId')}, not to spec.network.vpcId ({vpc})"
            errors.append(FieldError(field, subnet, rule, "name a subnet of that VPC"))
    return {name: subnet.get("AvailabilityZone", "") for name, subnet in found.items()}, errors


def _vpc_exists(clients: Clients, vpc: str) -> bool:
    return bool(clients.ec2.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Vpcs"])


def shape(kind: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """What EC2 says that an instance type has: vCPUs, cores, MiB of memory, GPUs."""
    processors, gpus = kind.get("VCpuInfo", {}), kind.get("GpuInfo", {}).get("Gpus", ())
    vcpus = int(processors.get("DefaultVCpus", 1))
    memory = int(kind.get("MemoryInfo", {}).get("SizeInMiB", 0))
    return vcpus, int(processors.get("DefaultCores", vcpus)), memory, sum(int(gpu.get("Count", 0)) for gpu in gpus)


def _instance_types(clients: Clients, cluster: Cluster) -> dict[str, Any]:
    """What EC2 says of the instance types that there are of those that the spec names."""
    wanted = list(dict.fromkeys(name for _, name, _ in instance_type_fields(cluster)))
    found: dict[str, Any] = {}
    for start in range(0, len(wanted), FILTER_VALUES):
        pages = clients.ec2.get_paginator("describe_instance_types").paginate(
            Filters=[{"Name": "instance-type", "Values": wanted[start : start + FILTER_VALUES]}]
        )
        found |= {str(kind.get("InstanceType", "")): kind for page in pages for kind in page["InstanceTypes"]}
    return found


def _instance_type(field: str, name: str, efa: bool, found: Mapping[str, Any]) -> FieldError | None:
    kind = found.get(name)
    if kind is None:
        fix = "name a type that `aws ec2 describe-instance-types` lists"
        return FieldError(field, name, "the region has no such instance type", fix)
    if efa and not kind.get("NetworkInfo", {}).get("EfaSupported", False):
        return FieldError(field, name, "efa is asked for, and this type has none", "set efa false, or another type")
    architectures = kind.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    if architectures and architecture(name) not in architectures:
        rule = f"Muster takes it for {architecture(name)}, and EC2 says {', '.join(architectures)}"
        return FieldError(field, name, rule, "give the AMI of that architecture, and report this")
    return None
