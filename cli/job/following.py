"""Following a job to its end: a bar on a terminal, else a line for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from cli.failures import Failure
from cli.job.batch import described
from cli.job.states import ENDED, STATUSES, SUCCEEDED
from cli.polling import ticks

if TYPE_CHECKING:
    from cli.job.batch import Aws, Job

# Looks until a job that was just submitted has to be there: DescribeJobs lags a little behind SubmitJob.
PATIENCE = 30


def to_the_end(aws: Aws, identifier: str) -> Job:
    """The job when it has ended. Raises Failure when it cannot be found."""
    with _display(identifier) as show:
        for look, _ in enumerate(ticks()):
            job = next((job for page in described(aws, [identifier]) for job in page), None)
            if job is None and look >= PATIENCE:
                raise Failure(f"job {identifier} cannot be found any more")
            if job is not None:
                show(job)
                if job["status"] in ENDED:
                    return job
    raise AssertionError


def check(job: Job) -> None:
    """Raise Failure when a job did not succeed."""
    if job["status"] != SUCCEEDED:
        raise Failure(f"job/{job['jobId']} {job['status']}: {reason(job)}; `muster job show {job['jobId']}` says more")


def reason(job: Job) -> str:
    """Why a job is as it is: Batch's reason, the container's, and its exit code."""
    container = job.get("container", {})
    code = container.get("exitCode")
    said = (job.get("statusReason"), container.get("reason"), None if code is None else f"exit code {code}")
    return ", ".join(text for text in said if text) or "no reason given"


def counts(job: Job) -> dict[str, int]:
    """How many of a job's children are in each state; of a job without any, itself."""
    array = job.get("arrayProperties", {})
    summary = array.get("statusSummary", {}) if "size" in array else {job["status"]: 1}
    return {status: summary[status] for status in STATUSES if summary.get(status)}


def progress(job: Job) -> tuple[int, int, str]:
    """Children that have ended, all of them, and how many are in which state, those that are furthest first."""
    by_state = counts(job)
    ended = sum(by_state.get(status, 0) for status in ENDED)
    array = job.get("arrayProperties", {}).get("size")
    newest_first = ", ".join(f"{number} {status}" for status, number in reversed(by_state.items()))
    return ended, array or 1, newest_first if array else job["status"]


@contextmanager
def _display(identifier: str) -> Iterator[Callable[[Job], None]]:
    console = Console(stderr=True, markup=False, highlight=False)
    if not console.is_terminal:
        yield _lines(identifier)
        return
    states = TextColumn("{task.fields[states]}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    columns = (TimeElapsedColumn(), BarColumn(20), MofNCompleteColumn(), states)
    with Progress(*columns, console=console, expand=True) as bar:
        task = bar.add_task("", total=None, states="")

        def show(job: Job) -> None:
            ended, total, states = progress(job)
            bar.update(task, completed=ended, total=total, states=states)

        yield show


def _lines(identifier: str) -> Callable[[Job], None]:
    last = ""

    def show(job: Job) -> None:
        nonlocal last
        ended, total, states = progress(job)
        line = f"job/{identifier} {f'{ended}/{total} ended: {states}' if total > 1 else states}"
        if line != last:
            typer.echo(line, err=True)
        last = line

    return show
