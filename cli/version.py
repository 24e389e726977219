"""`muster version`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.version import VERSION

if TYPE_CHECKING:
    from cli.plane import Plane


def version(
    ctx: typer.Context,
    client: Annotated[bool, typer.Option("--client", help="Only of this command.")] = False,
) -> None:
    """Show the versions of this command and of the control plane."""
    typer.echo(f"Client Version: {VERSION}")
    if not client:
        plane: Plane = ctx.obj.plane()
        typer.echo(f"Control Plane Version: {plane.version} (stack {plane.settings.owner}, {plane.settings.region})")
