"""`muster delete`: the spec goes, and the operator takes the cluster down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Names
from cli.polling import duration

if TYPE_CHECKING:
    from cli.plane import Plane
    from cli.seen import Seen

PROTECTED = "cluster/{0} is protected: set spec.deletionProtection false, apply that, then delete it"
# Reasons of the last event of a cluster (reconciler/plan/deletion.py).
LAST = ("Deleted", "Retained")
OptionalFiles = Annotated[
    list[str] | None,
    typer.Option("--filename", "-f", metavar="FILE", show_default=False, help="Delete the clusters that FILE names."),
]


def delete(
    ctx: typer.Context,
    names: Names = None,
    filename: OptionalFiles = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when nothing is left of the clusters.")] = False,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="How long to wait for each: 90s, 5m, 1h30m.")] = "1h",
    ignore_not_found: Annotated[bool, typer.Option("--ignore-not-found", help="A cluster less is no error.")] = False,
) -> None:
    """Delete clusters. What their specs ask to retain stays, and is listed."""
    from cli.files import names as named
    from cli.waiting import GONE, until

    wanted, seconds = [*(names or ()), *named(filename or ())], duration(timeout)
    if not wanted:
        raise typer.BadParameter("name the clusters to delete, or a file with -f")
    plane: Plane = ctx.obj.plane()
    clusters = [cluster for name in wanted for cluster in _found(plane, name, ignore_not_found)]
    for cluster in clusters:
        _delete(plane, cluster)
    for cluster in clusters if wait else ():
        until(plane, cluster.name, GONE, seconds)
        typer.echo(_last_words(plane, cluster.name))


def _found(plane: Plane, name: str, ignore_not_found: bool) -> list[Seen]:
    """The cluster, if there is one that may be deleted: all are looked at before the first is deleted."""
    from cli.failures import Failure, not_found
    from cli.seen import look

    cluster = look(plane, name)
    if not cluster.there and not ignore_not_found:
        raise not_found(name)
    spec = cluster.document().get("spec")
    if cluster.item is not None and isinstance(spec, dict) and spec.get("deletionProtection") is True:
        raise Failure(PROTECTED.format(name))
    return [cluster] if cluster.there else []


def _delete(plane: Plane, cluster: Seen) -> None:
    if cluster.item is None:
        typer.echo(f"cluster/{cluster.name} is being deleted already")
        return
    plane.clients.dynamodb.delete_item(TableName=plane.settings.specs_table, Key={"name": {"S": cluster.name}})
    typer.echo(f"cluster/{cluster.name} deleted")


def _last_words(plane: Plane, name: str) -> str:
    """The last event of a cluster's life: it says what was retained."""
    said = [str(event["message"]) for event in plane.store.events(name) if event["reason"] in LAST]
    return said[-1] if said else f"cluster/{name} is gone"
