"""`muster wait`: for scripts that go on when a cluster is ready, or gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import SomeNames
from cli.polling import duration

if TYPE_CHECKING:
    from cli.plane import Plane

For = Annotated[
    str,
    typer.Option("--for", show_default=False, help="condition=TYPE, condition=TYPE=False, phase=PHASE or delete."),
]


def wait(
    ctx: typer.Context,
    names: SomeNames,
    for_: For,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="How long at most: 90s, 5m, 1h30m.")] = "30m",
) -> None:
    """Wait until clusters are as --for says. A condition counts when it speaks of the spec as it now stands."""
    from cli.waiting import GONE, goal, until

    wanted, seconds = goal(for_), duration(timeout)
    plane: Plane = ctx.obj.plane()
    for name in names:
        until(plane, name, wanted, seconds)
        typer.echo(f"cluster/{name} {'deleted' if wanted is GONE else 'condition met'}")
