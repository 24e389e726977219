"""`muster job queues`: the queues of a cluster, their compute environments, and how many jobs are in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.get import Output
from cli.job.options import Cluster, Details
from cli.job.states import ACTIVE

if TYPE_CHECKING:
    from cli.job.batch import Aws, Named


def queues(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[QUEUE]...", show_default=False, help="Queues; default: all.")
    ] = None,
    *,
    cluster: Cluster = "",
    details: Details = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to show them.")] = Output.TABLE,
) -> None:
    """Show job queues: state, compute environments in their order, and how many jobs are in each active state."""
    from cli.job import batch
    from cli.job.view import View, chosen

    aws, output = batch.Aws(ctx.obj), chosen(output, details)
    found = {name: queue for each in names or [""] for name, queue in batch.queues(aws, cluster, each).items()}
    environments = batch.environments(aws, found.values())
    items = [_queue(aws, name, queue, environments) for name, queue in found.items()]
    View("queue", lambda queue: queue["name"], COLUMNS, WIDE).show([items], output)
    if output in (Output.TABLE, Output.WIDE):
        typer.echo()
        rows = [environment for queue in items for environment in queue["computeEnvironments"]]
        View("environment", lambda each: each["computeEnvironmentName"], OF_ENVIRONMENTS).show([rows], output)


def _queue(aws: Aws, name: str, queue: Named, environments: Mapping[str, Named]) -> dict[str, Any]:
    """A queue with its environments in full, in the order in which Batch tries them, and with its jobs counted."""
    from cli.job.batch import listed

    order = sorted(queue["computeEnvironmentOrder"], key=lambda each: each["order"])
    found = [(each["order"], environments.get(each["computeEnvironment"])) for each in order]
    return {
        **queue,
        "name": name,
        "computeEnvironments": [{**each, "queue": name, "order": place} for place, each in found if each],
        "jobs": {status: sum(map(len, listed(aws, queue, [status]))) for status in ACTIVE},
    }


def _vcpus(environment: Mapping[str, Any]) -> str:
    """The least, the wanted and the most; Fargate has only the most."""
    resources = environment.get("computeResources", {})
    return "/".join(str(resources.get(f"{which}vCpus", "-")) for which in ("min", "desired", "max"))


def _jobs(status: str) -> Any:
    return lambda queue: queue["jobs"][status]


COLUMNS = {
    "QUEUE": lambda queue: queue["name"],
    "STATE": lambda queue: queue["state"],
    "STATUS": lambda queue: queue.get("status", ""),
    "PRIORITY": lambda queue: queue["priority"],
    **{status: _jobs(status) for status in ACTIVE},
    "REASON": lambda queue: queue.get("statusReason", ""),
}
WIDE = {
    "JOB QUEUE": lambda queue: queue["jobQueueName"],
    "SCHEDULING POLICY": lambda q: q.get("schedulingPolicyArn", ""),
}
OF_ENVIRONMENTS = {
    "ENVIRONMENT": lambda each: each["computeEnvironmentName"],
    "QUEUE": lambda each: each["queue"],
    "ORDER": lambda each: each["order"],
    "TYPE": lambda each: each.get("computeResources", {}).get("type", each.get("type", "")),
    "STATE": lambda each: each.get("state", ""),
    "STATUS": lambda each: each.get("status", ""),
    "MIN/DESIRED/MAX VCPUS": _vcpus,
    "REASON": lambda each: each.get("statusReason", ""),
}
