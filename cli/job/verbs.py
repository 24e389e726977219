"""The verbs of `muster job`."""

from __future__ import annotations

import typer

from cli.job.cancel import cancel
from cli.job.hosts import hosts
from cli.job.listing import list_jobs
from cli.job.logs import logs
from cli.job.queues import queues
from cli.job.show import show
from cli.job.submit import submit

job = typer.Typer(help="Submit jobs to clusters of AWS Batch, and follow them.", no_args_is_help=True)

job.command(context_settings={"allow_interspersed_args": False})(submit)
job.command("list")(list_jobs)
for verb in (show, logs, cancel, hosts, queues):
    job.command()(verb)
