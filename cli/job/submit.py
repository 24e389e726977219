"""`muster job submit`: a command, a script or standard input becomes a job."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.get import Output
from cli.job.options import Cluster, Queue

if TYPE_CHECKING:
    from cli.job.batch import Aws
    from cli.options import Target

INPUT = "-"
INTERRUPTED = "job/{0} goes on; `muster job logs {0}` shows its output, `muster job cancel {0}` ends it"


def submit(  # noqa: PLR0913 - an option each
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND [ARGUMENT]...",
            show_default=False,
            help="What to run: options of `submit` stand before it. Without a command, standard input is the script.",
        ),
    ] = None,
    *,
    cluster: Cluster = "",
    queue: Queue = "",
    definition: Annotated[
        str,
        typer.Option(
            "--definition", "-jd", metavar="NAME", show_default=False, help="Job definition; default: the only one."
        ),
    ] = "",
    name: Annotated[
        str, typer.Option("--job-name", "-jn", metavar="NAME", show_default=False, help="Default: the command's name.")
    ] = "",
    command_file: Annotated[
        bool,
        typer.Option("--command-file", "-cf", help="COMMAND is a script here (- is standard input): send and run it."),
    ] = False,
    working_dir: Annotated[
        str,
        typer.Option(
            "--working-dir", "-w", metavar="DIR", show_default=False, help="Folder in the container to run in."
        ),
    ] = "",
    parent_working_dir: Annotated[
        str,
        typer.Option(
            "--parent-working-dir",
            "-pw",
            metavar="DIR",
            show_default=False,
            help="Run in a new folder job-ID below DIR.",
        ),
    ] = "",
    input_file: Annotated[
        list[str] | None,
        typer.Option(
            "--input-file", "-if", metavar="PATH", show_default=False, help="Send this file or folder too; may repeat."
        ),
    ] = None,
    vcpus: Annotated[
        float | None, typer.Option("--vcpus", "-p", min=0.25, show_default=False, help="vCPUs, of each node.")
    ] = None,
    memory: Annotated[
        int | None, typer.Option("--memory", "-m", min=4, show_default=False, help="MiB of memory, of each node.")
    ] = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", "-g", min=1, show_default=False, help="GPUs, of each node.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            "-e",
            metavar="NAMES",
            show_default=False,
            help="NAME=VALUE; or names from here: A,B; or all. May repeat.",
        ),
    ] = None,
    env_blacklist: Annotated[
        str,
        typer.Option(
            "--env-blacklist", "-eb", metavar="NAMES", show_default=False, help="With -e all: leave these out."
        ),
    ] = "",
    array_size: Annotated[
        int | None,
        typer.Option(
            *("--array-size", "-a"),
            min=1,
            max=10_000,
            show_default=False,
            help="So many jobs of the same, an array; 1 for one job all the same.",
        ),
    ] = None,
    nodes: Annotated[
        int | None, typer.Option("--nodes", "-n", min=1, show_default=False, help="So many nodes for one job.")
    ] = None,
    depends_on: Annotated[
        list[str] | None,
        typer.Option(
            "--depends-on",
            "-d",
            metavar="JOBS",
            show_default=False,
            help="Wait for JOB, N_TO_N:JOB or SEQUENTIAL; may repeat.",
        ),
    ] = None,
    timeout: Annotated[
        str,
        typer.Option(
            "--timeout", "-t", metavar="TIME", show_default=False, help="End an attempt after 90s, 5m, 1h30m."
        ),
    ] = "",
    retry_attempts: Annotated[
        int | None,
        typer.Option("--retry-attempts", "-r", min=1, max=10, show_default=False, help="Try so often in all."),
    ] = None,
    share: Annotated[
        str, typer.Option("--share", metavar="NAME", show_default=False, help="Share of a fair-share queue.")
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when the job has ended; exit code 0 if it succeeded.")
    ] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to show the job.")] = Output.TABLE,
    stack: Annotated[str, typer.Option(hidden=True)] = "",
    region: Annotated[str, typer.Option(hidden=True)] = "",
    profile: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Submit a job. What is not given is as the job definition says."""
    from cli.job import environment
    from cli.job.batch import Aws
    from cli.job.dependencies import dependencies
    from cli.job.files import Files, inputs
    from cli.job.request import Wanted, checked_name, job_name
    from cli.job.submission import Place
    from cli.job.submission import submit as submitted
    from cli.polling import duration

    words, names = list(command or ()), list(env or ())
    if working_dir and parent_working_dir:
        raise typer.BadParameter("--working-dir or --parent-working-dir, not both")
    if env_blacklist and not environment.wants_all(names):
        raise typer.BadParameter("--env-blacklist goes with -e all")
    title = checked_name(name) or job_name(PurePath(words[0]).name if words else "stdin")
    script, words = _script(words, command_file)
    files = Files(inputs(input_file or ()), script, environment.everything(names, os.environ, env_blacklist))
    wanted = Wanted(
        title,
        words,
        environment.given(names, os.environ),
        vcpus,
        memory,
        gpus,
        array_size,
        nodes,
        dependencies(depends_on or ()),
        duration(timeout) if timeout else None,
        retry_attempts,
        share,
    )
    place = Place(cluster, queue, definition, working_dir, parent_working_dir)
    target: Target = ctx.obj.aimed(stack, region, profile)
    aws = Aws(target)
    job = submitted(aws, target.plane(), place, wanted, files)
    _show(job, output)
    if wait:
        _wait(aws, job["jobId"])


def _show(job: dict[str, Any], output: Output) -> None:
    from cli.terminal import DATA

    words = "" if output is Output.NAME else " submitted"
    text = DATA[output](job) if output in DATA else f"job/{job['jobId']}{words}\n"
    typer.echo(text, nl=False)


def _wait(aws: Aws, identifier: str) -> None:
    """Return when the job has succeeded. Ctrl-C ends the wait and not the job."""
    from cli.job.following import check, to_the_end

    try:
        job = to_the_end(aws, identifier)
    except KeyboardInterrupt:
        typer.echo(INTERRUPTED.format(identifier), err=True)
        raise
    check(job)


def _script(words: list[str], command_file: bool) -> tuple[bytes | None, list[str]]:
    """The script to send, if there is one, and the words that follow: its arguments, or the command itself."""
    from cli.job.files import script

    if command_file and not words:
        raise typer.BadParameter("--command-file needs the file's name; - is standard input")
    if words and not command_file:
        return None, words
    if words and words[0] != INPUT:
        return script(words[0]), words[1:]
    if sys.stdin.isatty():
        raise typer.BadParameter("a command is missing: write it after the options, or a script to standard input")
    return typer.get_binary_stream("stdin").read(), words[1:]
