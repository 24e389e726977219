"""`muster job list`: the jobs of a cluster."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.get import Output
from cli.job.options import Cluster, Details, Queues, SomeJobIds
from cli.job.states import ACTIVE, STATUSES

if TYPE_CHECKING:
    from cli.job.batch import Aws, Job

ALL = "ALL"
Status = Annotated[
    str,
    typer.Option(
        "--status", "-s", metavar="STATES", show_default=False, help="RUNNING,FAILED or ALL; default: active ones."
    ),
]


def list_jobs(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    jobs: SomeJobIds = None,
    *,
    cluster: Cluster = "",
    queue: Queues = "",
    status: Status = "",
    expand: Annotated[
        bool, typer.Option("--expand-arrays", "-e", help="Children of arrays, and nodes, in place of their job.")
    ] = False,
    details: Details = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to show them.")] = Output.TABLE,
) -> None:
    """List jobs: the active ones of a cluster, or those that are named and their children."""
    from cli.job import batch
    from cli.job.view import View, chosen

    wanted, aws, output = states(status, STATUSES if jobs else ACTIVE), batch.Aws(ctx.obj), chosen(output, details)
    if jobs:
        pages = iter([batch.known(aws, jobs, cluster)])
    else:
        found = batch.queues(aws, cluster, queue).values()
        pages = (page for queue in found for page in batch.listed(aws, queue, wanted))
    if expand or jobs:
        pages = _expanded(aws, pages)
    if output is Output.WIDE:
        pages = (full for page in pages for full in batch.described(aws, (job["jobId"] for job in page)))
    view = View("job", lambda job: job["jobId"], _columns(), _wide())
    view.show(([job for job in page if job["status"] in wanted] for page in pages), output)


def states(text: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """The states that are named, in the order in which a job goes through them. Raises BadParameter."""
    named = {part.strip().upper() for part in text.split(",") if part.strip()}
    wrong = sorted(named - {*STATUSES, ALL})
    if wrong:
        raise typer.BadParameter(f"{wrong[0]} is no state of a job: {', '.join(STATUSES)} or {ALL}")
    return STATUSES if ALL in named else tuple(s for s in STATUSES if s in named) or default


def _expanded(aws: Aws, pages: Iterator[list[Job]]) -> Iterator[list[Job]]:
    """The jobs, with the children of each that has any in its place."""
    from cli.job.batch import children, described

    for page in pages:
        yield [job for job in page if not children(job)]
        yield from described(aws, (child for job in page for child in children(job)))


def _columns() -> dict[str, Any]:
    from cli.job.view import between, since

    return {
        "JOB": lambda job: job["jobId"],
        "NAME": lambda job: job["jobName"],
        "STATUS": lambda job: job["status"],
        "SIZE": _size,
        "AGE": lambda job: since(job.get("createdAt")),
        "RUN TIME": lambda job: between(job.get("startedAt"), job.get("stoppedAt")),
        "EXIT": lambda job: job.get("container", {}).get("exitCode", ""),
        "REASON": lambda job: job.get("statusReason", ""),
    }


def _wide() -> dict[str, Any]:
    from cli.job.batch import last, queue_of
    from cli.job.view import at

    return {
        "QUEUE": queue_of,
        "DEFINITION": lambda job: last(job["jobDefinition"]),
        "VCPUS": lambda job: needs(job).get("VCPU", ""),
        "MEMORY": lambda job: needs(job).get("MEMORY", ""),
        "GPUS": lambda job: needs(job).get("GPU", ""),
        "CREATED": lambda job: at(job.get("createdAt")),
        "STARTED": lambda job: at(job.get("startedAt")),
        "STOPPED": lambda job: at(job.get("stoppedAt")),
        "LOG STREAM": lambda job: container(job).get("logStreamName", ""),
        "COMMAND": lambda job: shlex.join(container(job).get("command", ())),
    }


def _size(job: Job) -> str:
    """Of an array its children, of a job of several nodes these."""
    size, nodes = job.get("arrayProperties", {}).get("size"), job.get("nodeProperties", {}).get("numNodes")
    return f"array of {size}" if size else f"{nodes} nodes" if nodes else ""


def container(job: Job) -> Mapping[str, Any]:
    """The container of a job in full; of one of several nodes that of its first range of them."""
    ranges = job.get("nodeProperties", {}).get("nodeRangeProperties", ())
    return job.get("container") or (ranges[0].get("container", {}) if ranges else {})


def needs(job: Job) -> dict[str, str]:
    """What a job's container reserves: VCPU, MEMORY (MiB), GPU. Batch has an older way to say the first two."""
    old = {"VCPU": container(job).get("vcpus"), "MEMORY": container(job).get("memory")}
    new = {need["type"]: need["value"] for need in container(job).get("resourceRequirements", ())}
    return {**{kind: str(value) for kind, value in old.items() if value}, **new}
