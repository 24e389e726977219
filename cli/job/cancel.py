"""`muster job cancel`: jobs end, or do not start."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.job.options import Cluster, JobIds
from cli.job.states import ENDED, STARTED

REASON = "Cancelled with muster job cancel"


def cancel(
    ctx: typer.Context,
    jobs: JobIds,
    *,
    cluster: Cluster = "",
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; the job's status says it.")] = REASON,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Only jobs that wait; those that start or run go on.")
    ] = False,
) -> None:
    """End jobs, arrays with all their children. All are looked up before the first is ended."""
    from cli.job.batch import Aws, known

    aws = Aws(ctx.obj)
    end = aws.batch.cancel_job if keep_running else aws.batch.terminate_job
    for job in known(aws, jobs, cluster):
        identifier, status = job["jobId"], job["status"]
        if status in ENDED:
            typer.echo(f"job/{identifier} has ended already: {status}")
        elif keep_running and status in STARTED:
            typer.echo(f"job/{identifier} goes on: {status}")
        else:
            end(jobId=identifier, reason=reason)
            typer.echo(f"job/{identifier} {'cancelled' if keep_running else 'terminated'}")
