"""`muster local`: AWS on this machine."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

local = typer.Typer(help="Start and stop an AWS on this machine, to try things.", no_args_is_help=True)


@local.command()
def up(
    port: Annotated[int, typer.Option(help="TCP port to listen on.")] = 4566,
    auth: Annotated[bool, typer.Option(help="Evaluate IAM policies.")] = True,
) -> None:
    """Start it, and print the environment that leads there: `eval "$(muster local up)"`."""
    from cli.failures import Failure
    from local import LocalAwsError
    from local import up as start

    try:
        aws = start(port=port, auth=auth)
    except LocalAwsError as error:
        raise Failure(*str(error).splitlines()) from error
    for name, value in aws.env.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo(f"Local AWS at {aws.endpoint}; its log is {aws.log}.", err=True)


@local.command()
def down() -> None:
    """Stop it."""
    from cli.failures import Failure
    from local import LocalAwsError
    from local import down as stop

    try:
        stopped = stop()
    except LocalAwsError as error:
        raise Failure(*str(error).splitlines()) from error
    typer.echo("Local AWS stopped." if stopped else "No local AWS was running.", err=True)
