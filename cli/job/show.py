"""`muster job show`: all that Batch knows of a job, for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.get import Output
from cli.job.options import Cluster, JobIds

if TYPE_CHECKING:
    from cli.job.batch import Job


def show(
    ctx: typer.Context,
    jobs: JobIds,
    *,
    cluster: Cluster = "",
    output: Annotated[Output, typer.Option("--output", "-o", help="How to show them.")] = Output.TABLE,
) -> None:
    """Show jobs in detail: state and reason, what they reserve, their attempts, their children, their log."""
    from cli.job import batch
    from cli.terminal import DATA

    found = batch.known(batch.Aws(ctx.obj), jobs, cluster)
    if output in DATA:
        several = {"apiVersion": "muster/v1", "kind": "List", "items": found}
        typer.echo(DATA[output](found[0] if len(found) == 1 else several), nl=False)
        return
    for number, job in enumerate(found):
        if output is Output.NAME:
            typer.echo(f"job/{job['jobId']}")
        else:
            typer.echo("\n" if number else "", nl=False)
            _describe(job)


def _describe(job: Job) -> None:
    from cli.job.following import counts
    from cli.job.listing import container
    from cli.terminal import fields, section, titled

    fields((label, value) for label, value in _identity(job) if value != "")
    section("Container", _container(job, container(job)))
    section("Environment", [(each["name"], each.get("value", "")) for each in container(job).get("environment", ())])
    if job.get("arrayProperties", {}).get("size"):
        section("Children", [(status, number) for status, number in counts(job).items()])
    titled("Attempts", ("NUMBER", "STARTED", "RUN TIME", "EXIT", "LOG STREAM", "REASON"), _attempts(job))


def _identity(job: Job) -> Iterable[tuple[str, object]]:
    from cli.job.batch import last, queue_of
    from cli.job.view import at, between

    retry, timeout = job.get("retryStrategy", {}), job.get("timeout", {})
    nodes, array = job.get("nodeProperties", {}), job.get("arrayProperties", {})
    return (
        ("ID", job["jobId"]),
        ("Name", job["jobName"]),
        ("Status", job["status"]),
        ("Reason", job.get("statusReason", "")),
        ("Queue", queue_of(job)),
        ("Definition", last(job["jobDefinition"])),
        ("Share", job.get("shareIdentifier", "")),
        ("Created", at(job.get("createdAt"))),
        ("Started", at(job.get("startedAt"))),
        ("Stopped", at(job.get("stoppedAt"))),
        ("Run Time", between(job.get("startedAt"), job.get("stoppedAt"))),
        ("Depends On", ", ".join(map(_dependency, job.get("dependsOn", ())))),
        ("Attempts", retry.get("attempts", "")),
        ("Timeout", f"{timeout['attemptDurationSeconds']}s" if "attemptDurationSeconds" in timeout else ""),
        ("Array", array.get("size", "")),
        ("Index", array.get("index", "")),
        ("Nodes", nodes.get("numNodes", "")),
        ("Main Node", nodes.get("mainNode", "")),
    )


def _container(job: Job, container: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    from cli.job.batch import last
    from cli.job.listing import needs
    from cli.job.logs import log_group

    reserved = needs(job)
    return (
        ("Image", container.get("image", "")),
        ("Command", shlex.join(container.get("command", ()))),
        ("vCPUs", reserved.get("VCPU", "")),
        ("Memory", f"{reserved['MEMORY']} MiB" if "MEMORY" in reserved else ""),
        ("GPUs", reserved.get("GPU", "")),
        ("Job Role", last(container.get("jobRoleArn", ""))),
        ("Exit Code", container.get("exitCode", "")),
        ("Reason", container.get("reason", "")),
        ("Task", last(container.get("taskArn", ""))),
        ("Host", last(container.get("containerInstanceArn", ""))),
        ("Log Group", log_group(container) if "logStreamName" in container else ""),
        ("Log Stream", container.get("logStreamName", "")),
    )


def _attempts(job: Job) -> list[list[object]]:
    from cli.job.view import at, between

    return [_attempt(number, each, at, between) for number, each in enumerate(job.get("attempts", ()), 1)]


def _attempt(number: int, attempt: Mapping[str, Any], at: Any, between: Any) -> list[object]:
    container, started = attempt.get("container", {}), attempt.get("startedAt")
    said = (container.get("reason"), attempt.get("statusReason"))
    return [
        number,
        at(started),
        between(started, attempt.get("stoppedAt")),
        container.get("exitCode", ""),
        container.get("logStreamName", ""),
        ", ".join(text for text in said if text),
    ]


def _dependency(dependency: Mapping[str, str]) -> str:
    return ":".join(dependency[key] for key in ("type", "jobId") if key in dependency)
