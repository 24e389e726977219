"""The `muster` command. Each verb imports what it needs when it runs, so that none waits for what others need."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.apply import apply
from cli.delete import delete
from cli.describe import describe
from cli.diff import diff
from cli.events import events
from cli.failures import explained
from cli.get import get
from cli.job.verbs import job
from cli.local_aws import local
from cli.options import Target, hoisted
from cli.schema import explain, schema
from cli.version import version
from cli.wait import wait

# Exit codes for a failure, where kubectl has another than 1: of diff, 1 means that there are differences.
FAILED = {"diff": 2}


class Verbs(TyperGroup):
    """The verbs; global options may stand after them too, and errors end in a readable line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the global options from wherever they stand."""
        return super().parse_args(ctx, hoisted(args))

    def invoke(self, ctx: Any) -> object:
        """Run a verb. What the user can put right ends it with a message, and not with a traceback."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            lines = explained(error)
            if not lines:
                raise
            for line in lines:
                typer.echo(f"error: {line}", err=True)
            raise typer.Exit(FAILED.get(ctx.invoked_subcommand or "", 1)) from error


app = typer.Typer(
    cls=Verbs,
    name="muster",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def muster(
    ctx: typer.Context,
    stack: Annotated[str, typer.Option(envvar="MUSTER_STACK", help="CloudFormation stack of the control plane.")] = (
        "muster"
    ),
    region: Annotated[
        str | None, typer.Option(envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], show_default=False, help="AWS Region.")
    ] = None,
    profile: Annotated[str | None, typer.Option(show_default=False, help="AWS profile with the credentials.")] = None,
) -> None:
    """Clusters on AWS that stay as specified: write them down, apply, watch."""
    ctx.obj = Target(stack, region or None, profile or None)


for verb in (apply, get, describe, diff, events, wait, delete, schema, version):
    app.command()(verb)
app.command(hidden=True)(explain)
app.add_typer(job, name="job")
app.add_typer(local, name="local")
