"""What several job verbs take: a cluster, a queue, the ids of jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import bare


def _cluster(name: str) -> str:
    return bare(name) if name else ""


def job_id(text: str) -> str:
    """A job's id, of itself, of its ARN, or with the kind before it: 1f2e for job/1f2e."""
    identifier = text.rpartition("job/")[2]
    if not identifier:
        raise typer.BadParameter("a job's id is missing")
    return identifier


def _job_ids(texts: list[str] | None) -> list[str]:
    return [job_id(text) for text in texts or ()]


Cluster = Annotated[
    str, typer.Option("--cluster", "-c", envvar="MUSTER_CLUSTER", callback=_cluster, metavar="NAME", help="Cluster.")
]
Queue = Annotated[
    str, typer.Option("--queue", "-q", metavar="NAME", show_default=False, help="Queue; default: the only one.")
]
Queues = Annotated[
    str, typer.Option("--queue", "-q", metavar="NAME", show_default=False, help="Of this queue; default: of all.")
]
JobIds = Annotated[
    list[str], typer.Argument(metavar="JOB...", callback=_job_ids, show_default=False, help="Jobs, by their ids.")
]
SomeJobIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[JOB]...", callback=_job_ids, show_default=False, help="Jobs; default: all of the cluster."
    ),
]
JobId = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        callback=job_id,
        show_default=False,
        help="A job; of an array ID:INDEX, of several nodes ID#NODE.",
    ),
]
Details = Annotated[bool, typer.Option("--details", "-d", help="Say more; the same as -o wide.")]
