"""`muster job logs`: what a job wrote to its standard output and error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.job.options import Cluster, JobId
from cli.job.states import ENDED

if TYPE_CHECKING:
    from cli.job.batch import Aws, Job

Event = Mapping[str, Any]
# The log group of a container whose job definition names none (AWS Batch User Guide, awslogs).
DRIVER, DEFAULT_GROUP = "awslogs", "/aws/batch/job"
# GetLogEvents' largest page.
PAGE = 10_000
# Looks at a log after its job has ended: CloudWatch shows a line some seconds after it was written.
LAST_LOOKS = 3


def logs(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    job: JobId,
    *,
    cluster: Cluster = "",
    head: Annotated[
        int | None, typer.Option("--head", "-hd", min=1, metavar="N", show_default=False, help="The first N lines.")
    ] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", "-t", min=1, metavar="N", show_default=False, help="The last N lines.")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", "--stream", "-s", help="Go on until the job has ended, also before it starts."),
    ] = False,
    period: Annotated[
        float | None,
        typer.Option(
            "--stream-period", "-sp", min=1, metavar="SECONDS", show_default=False, help="With -f: between two looks."
        ),
    ] = None,
    attempt: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", show_default=False, help="Of the Nth attempt; default: of the last."),
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Begin each line with its time.")] = False,
) -> None:
    """Show a job's output. Of a job of several nodes the main node's, unless one is named."""
    from cli.job.batch import Aws

    if head and (tail or follow):
        raise typer.BadParameter("--head goes with neither --tail nor --follow")
    if follow and attempt:
        raise typer.BadParameter("--follow shows each attempt as it comes: leave out --attempt")
    if period and not follow:
        raise typer.BadParameter("--stream-period goes with --follow")
    aws = Aws(ctx.obj)
    found = _single(aws, job, cluster)
    if follow:
        _follow(aws, found, tail, period, timestamps)
        return
    log = Log(aws, log_group(found.get("container", {})), _stream(found, attempt))
    for page in log.head(head) if head else log.tail(tail) if tail else log.rest():
        _print(page, timestamps)


def _single(aws: Aws, identifier: str, cluster: str) -> Job:
    """The job that has a log of its own. Raises Failure."""
    from cli.failures import Failure
    from cli.job.batch import known

    (found,) = known(aws, [identifier], cluster)
    container = found.get("container", {})
    if not log_group(container):
        driver = container["logConfiguration"]["logDriver"]
        raise Failure(f"the log of job {identifier} is not in CloudWatch: its definition sends it to {driver}")
    size, nodes = found.get("arrayProperties", {}).get("size"), found.get("nodeProperties", {})
    if size:
        raise Failure(
            f"job {identifier} is an array: name one of its children, {identifier}:0 to {identifier}:{size - 1}"
        )
    if "#" not in identifier and "numNodes" in nodes:
        (found,) = known(aws, [f"{identifier}#{nodes.get('mainNode', 0)}"])
    return found


def log_group(container: Mapping[str, Any]) -> str:
    """The log group of a container; empty when its log goes elsewhere than to CloudWatch."""
    configuration = container.get("logConfiguration") or {}
    if configuration.get("logDriver", DRIVER) != DRIVER:
        return ""
    return configuration.get("options", {}).get("awslogs-group", DEFAULT_GROUP)


def stream(job: Job) -> str:
    """The log stream of a job's last attempt, empty when it has none yet."""
    return job.get("container", {}).get("logStreamName", "")


def _stream(job: Job, attempt: int | None) -> str:
    """The log stream of an attempt, of the last by default. Raises Failure when there is none yet."""
    from cli.failures import Failure

    attempts, identifier = job.get("attempts", []), job["jobId"]
    if attempt and attempt > len(attempts):
        raise Failure(f"job {identifier} had {len(attempts)} attempts, so there is no attempt {attempt}")
    found = attempts[attempt - 1].get("container", {}).get("logStreamName") if attempt else stream(job)
    if not found:
        why = f": {job['statusReason']}" if job.get("statusReason") else ""
        raise Failure(f"job {identifier} has no log: it is {job['status']}{why}; --follow waits for it")
    return found


class Log:
    """One log stream, read on from where it was read to."""

    def __init__(self, aws: Aws, group: str, name: str) -> None:
        self._aws, self._group, self.name = aws, group, name
        self._token: str | None = None

    def rest(self) -> Iterator[list[Event]]:
        """Pages of what was not read yet, from the head."""
        while True:
            answer = self._read(startFromHead=True, **({"nextToken": self._token} if self._token else {}))
            if answer is None:
                return
            yield answer["events"]
            # At the end of a stream the token stays the same; a page before it may be empty.
            if answer["nextForwardToken"] == self._token:
                return
            self._token = answer["nextForwardToken"]

    def head(self, lines: int) -> Iterator[list[Event]]:
        """Pages of the first lines."""
        for page in self.rest():
            yield page[:lines]
            lines -= len(page)
            if lines <= 0:
                return

    def tail(self, lines: int) -> Iterator[list[Event]]:
        """Pages of the last lines; what comes after them is left to read."""
        found: list[list[Event]] = []
        asked: dict[str, Any] = {}
        while lines > 0 and (answer := self._read(startFromHead=False, limit=min(lines, PAGE), **asked)):
            self._token = self._token or answer["nextForwardToken"]
            found.append(answer["events"])
            lines -= len(answer["events"])
            if asked.get("nextToken") == answer["nextBackwardToken"]:
                break
            asked = {"nextToken": answer["nextBackwardToken"]}
        return reversed(found)

    def _read(self, **asked: Any) -> Any:
        """A page; None as long as nothing was ever written, for then there is no stream."""
        logs: Any = self._aws.logs
        try:
            return logs.get_log_events(logGroupName=self._group, logStreamName=self.name, **{"limit": PAGE, **asked})
        except logs.exceptions.ResourceNotFoundException:
            return None


def _follow(aws: Aws, job: Job, tail: int | None, period: float | None, timestamps: bool) -> None:
    """Print what a job writes, attempt by attempt, until it has ended and its log has come to rest."""
    from cli.job.batch import known
    from cli.polling import ticks

    log, looks, said = None, LAST_LOOKS, ""
    for _ in ticks(interval=period):
        (job,) = known(aws, [job["jobId"]])
        name, status = stream(job), job["status"]
        if name and (log is None or log.name != name):
            log = Log(aws, log_group(job["container"]), name)
            pages, tail = log.tail(tail) if tail else log.rest(), None
        else:
            pages = log.rest() if log else ()
        for page in pages:
            _print(page, timestamps)
        if not log and status != said:
            typer.echo(f"job/{job['jobId']} is {status}", err=True)
            said = status
        looks -= status in ENDED
        if looks < 0:
            return


def _print(events: list[Event], timestamps: bool) -> None:
    from cli.job.view import at

    for event in events:
        typer.echo(f"{at(event['timestamp'])} {event['message']}" if timestamps else event["message"])
