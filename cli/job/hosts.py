"""`muster job hosts`: the instances that Batch runs for a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.get import Output
from cli.job.options import Cluster, Details, Queues

if TYPE_CHECKING:
    from cli.job.batch import Aws, Named

# Units of ECS in a vCPU.
UNITS = 1024


def hosts(
    ctx: typer.Context,
    instances: Annotated[
        list[str] | None, typer.Argument(metavar="[INSTANCE]...", show_default=False, help="EC2 ids; default: all.")
    ] = None,
    *,
    cluster: Cluster = "",
    queue: Queues = "",
    details: Details = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to show them.")] = Output.TABLE,
) -> None:
    """List the instances of a cluster's compute environments, and how many jobs run on each."""
    from cli.job import batch
    from cli.job.view import View, chosen

    aws = batch.Aws(ctx.obj)
    found = batch.environments(aws, batch.queues(aws, cluster, queue).values()).values()
    pages = (page for environment in found for page in _of(aws, environment))
    wanted = ([host for host in page if not instances or host["instanceId"] in instances] for page in pages)
    View("host", lambda host: host["instanceId"], COLUMNS, WIDE).show(wanted, chosen(output, details))


def _of(aws: Aws, environment: Named) -> Iterator[list[dict[str, Any]]]:
    from cli.job.batch import chunks, pages

    name, kind = environment["computeEnvironmentName"], environment.get("computeResources", {}).get("type", "UNMANAGED")
    if kind.startswith("FARGATE") or "ecsClusterArn" not in environment:
        typer.echo(f"environment {name} is of type {kind}: it has no instances", err=True)
        return
    ecs_cluster = environment["ecsClusterArn"]
    for page in pages(aws.ecs, "list_container_instances", "containerInstanceArns", cluster=ecs_cluster):
        for arns in chunks(page):
            asked = aws.ecs.describe_container_instances(cluster=ecs_cluster, containerInstances=arns)
            members = [member for member in asked["containerInstances"] if "ec2InstanceId" in member]
            machines = _machines(aws, [member["ec2InstanceId"] for member in members])
            yield [_host(name, member, machines.get(member["ec2InstanceId"], {})) for member in members]


def _machines(aws: Aws, ids: list[str]) -> dict[str, Any]:
    """Instances by their ids. By a filter: one that is gone by now is then left out, and is no error."""
    from cli.job.batch import pages

    if not ids:
        return {}
    filters = [{"Name": "instance-id", "Values": ids}]
    found = (r for page in pages(aws.ec2, "describe_instances", "Reservations", Filters=filters) for r in page)
    return {instance["InstanceId"]: instance for reservation in found for instance in reservation["Instances"]}


def _host(environment: str, member: Mapping[str, Any], machine: Mapping[str, Any]) -> dict[str, Any]:
    launched = machine.get("LaunchTime")
    return {
        "instanceId": member["ec2InstanceId"],
        "instanceType": machine.get("InstanceType", ""),
        "state": machine.get("State", {}).get("Name", ""),
        "privateIp": machine.get("PrivateIpAddress", ""),
        "publicIp": machine.get("PublicIpAddress", ""),
        "availabilityZone": machine.get("Placement", {}).get("AvailabilityZone", ""),
        "launchTime": launched.isoformat() if launched else "",
        "status": member["status"],
        "runningJobs": member["runningTasksCount"],
        "pendingJobs": member["pendingTasksCount"],
        "registered": _resources(member["registeredResources"]),
        "remaining": _resources(member["remainingResources"]),
        "environment": environment,
    }


def _resources(found: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """vCPUs, MiB of memory, GPUs."""
    by_name = {each["name"]: each for each in found}
    return {
        "vcpus": by_name.get("CPU", {}).get("integerValue", 0) / UNITS,
        "memory": by_name.get("MEMORY", {}).get("integerValue", 0),
        "gpus": len(by_name.get("GPU", {}).get("stringSetValue", ())),
    }


def _free(what: str) -> Any:
    return lambda host: f"{host['remaining'][what]:g}/{host['registered'][what]:g}"


def _age(host: Mapping[str, Any]) -> str:
    from cli.terminal import age

    return age(host["launchTime"])


COLUMNS = {
    "INSTANCE": lambda host: host["instanceId"],
    "TYPE": lambda host: host["instanceType"],
    "STATUS": lambda host: host["status"],
    "PRIVATE IP": lambda host: host["privateIp"],
    "JOBS": lambda host: host["runningJobs"],
    "ENVIRONMENT": lambda host: host["environment"],
}
WIDE = {
    "STATE": lambda host: host["state"],
    "PUBLIC IP": lambda host: host["publicIp"],
    "ZONE": lambda host: host["availabilityZone"],
    "PENDING": lambda host: host["pendingJobs"],
    "FREE VCPUS": _free("vcpus"),
    "FREE MEMORY": _free("memory"),
    "FREE GPUS": _free("gpus"),
    "AGE": _age,
}
