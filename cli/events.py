"""`muster events`: what the operator did and met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Names

if TYPE_CHECKING:
    from cli.plane import Plane


class Output(StrEnum):
    """How events are shown."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


# The columns, and the attribute of an event's row that stands in each.
COLUMNS = {"TYPE": "type", "REASON": "reason", "OBJECT": "subject", "COUNT": "count", "MESSAGE": "message"}


def events(
    ctx: typer.Context,
    names: Names = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to show them.")] = Output.TABLE,
) -> None:
    """Show events, the newest last. Those of a cluster that is gone are there until their time is up."""
    from cli.terminal import DATA

    plane: Plane = ctx.obj.plane()
    found = _found(plane, names or [])
    if output is not Output.TABLE:
        items = [{key: _plain(value) for key, value in event.items()} for event in found]
        typer.echo(DATA[output]({"apiVersion": "muster/v1", "kind": "List", "items": items}), nl=False)
    elif found:
        print_events(found, of_many=len(names or ()) != 1)
    else:
        typer.echo("No events found.", err=True)


def print_events(found: Iterable[Mapping[str, Any]], *, of_many: bool, indent: int = 0) -> None:
    """A table of events, with the cluster's name if they are of several."""
    from cli.terminal import age, table

    cluster = {"CLUSTER": "cluster"} if of_many else {}
    columns = {**cluster, **COLUMNS}
    rows = [[age(str(event["lastTimestamp"])), *(event[key] for key in columns.values())] for event in found]
    table(["LAST SEEN", *columns], rows, indent=indent)


def _found(plane: Plane, names: list[str]) -> list[dict[str, Any]]:
    from cli import seen

    wanted = names or [cluster.name for cluster in seen.every(plane)]
    # The table marks what is no cluster's name (reconciler/store.py); people know it by the name they gave.
    found = [{**event, "cluster": name} for name in wanted for event in plane.store.events(name)]
    silent = set(names) - {event["cluster"] for event in found}
    for name in sorted(silent):
        seen.one(plane, name)
    return sorted(found, key=lambda event: str(event["lastTimestamp"]))


def _plain(value: object) -> object:
    """DynamoDB's numbers as JSON has them: an event's are all whole."""
    return value if isinstance(value, str) else int(str(value))
