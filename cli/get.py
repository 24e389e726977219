"""`muster get`: the clusters, a line or a document each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import Names

if TYPE_CHECKING:
    from cli.plane import Plane
    from cli.seen import Seen


class Output(StrEnum):
    """How clusters are shown."""

    TABLE = "table"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table; `wide` is only in the wide one. `moves`: it changes without anything having happened."""

    header: str
    value: Callable[[Seen], object]
    wide: bool = False
    moves: bool = False


def get(
    ctx: typer.Context,
    names: Names = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to show them.")] = Output.TABLE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and show each change.")] = False,
    selector: Annotated[str, typer.Option("--selector", "-l", help="Only clusters with these labels: team=wx.")] = "",
) -> None:
    """Show clusters: their phase, whether they are ready, their nodes in service of those wanted."""
    from cli import seen
    from cli.selector import selector as parsed

    fits = parsed(selector)
    plane: Plane = ctx.obj.plane()
    found = [cluster for cluster in seen.some(plane, names or ()) if fits(cluster.labels)]
    view = View(output)
    view.show(found, alone=bool(names) and len(found) == 1)
    if watch:
        _watch(plane, view, found, names or [], fits)


def _watch(plane: Plane, view: View, found: list[Seen], names: list[str], fits: Callable[[Any], bool]) -> None:
    """Show what changes, until all named clusters are gone, or for ever."""
    from cli import seen
    from cli.polling import ticks

    before = {cluster.name: cluster for cluster in found}
    for _ in ticks():
        now = [seen.look(plane, name) for name in names] or seen.every(plane)
        current = {cluster.name: cluster for cluster in now if not cluster.there or fits(cluster.labels)}
        gone = [seen.Seen(name, None, None) for name in before if name not in current]
        changed = [c for c in (*current.values(), *gone) if view.differs(before.get(c.name), c)]
        if changed:
            view.show(changed, alone=True, more=True)
        before = {name: cluster for name, cluster in current.items() if cluster.there}
        if names and not before:
            return


class View:
    """Clusters as the user wants to see them."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._columns = [column for column in COLUMNS if output is Output.WIDE or not column.wide]
        self._widths: list[int] = []

    def show(self, clusters: list[Seen], *, alone: bool, more: bool = False) -> None:
        """Print clusters: `alone` as themselves and not as a list, `more` after others that were printed before."""
        from cli.terminal import DATA, shown, table

        if self._output is Output.NAME:
            typer.echo("".join(f"cluster/{shown(cluster.name)}\n" for cluster in clusters), nl=False)
        elif self._output in DATA:
            separator = "---\n" if more and self._output is Output.YAML else ""
            documents = [c.manifest() for c in clusters] if alone else [_list(clusters)]
            text = "---\n".join if self._output is Output.YAML else "".join
            typer.echo(separator + text(DATA[self._output](document) for document in documents), nl=False)
        elif clusters:
            rows = [[column.value(cluster) for column in self._columns] for cluster in clusters]
            headers = [column.header for column in self._columns]
            self._widths = table(headers, rows, header=not more or not self._widths, widths=self._widths)
        else:
            typer.echo("No clusters found.", err=True)

    def differs(self, before: Seen | None, now: Seen) -> bool:
        """Whether a cluster looks another way than before."""
        if before is None or not now.there:
            return before is not None or now.there
        if self._output in (Output.YAML, Output.JSON):
            return before.manifest() != now.manifest()
        return any(column.value(before) != column.value(now) for column in self._columns if not column.moves)


def _list(clusters: Iterable[Seen]) -> dict[str, Any]:
    return {"apiVersion": "muster/v1", "kind": "List", "items": [cluster.manifest() for cluster in clusters]}


def _queues(cluster: Seen) -> str:
    queues = cluster.status.get("queues", ())
    return _load(*queues) if queues else ""


def _queue_by_queue(cluster: Seen) -> str:
    return ",".join(f"{queue['name']}={_load(queue)}" for queue in cluster.status.get("queues", ()))


def _load(*queues: Any) -> str:
    """Nodes in service of those wanted, over queues; of AWS Batch, jobs that run of those that have not ended."""
    from cli import batch_status

    if any(map(batch_status.counted, queues)):
        return batch_status.load(*queues)
    return f"{sum(queue['inService'] for queue in queues)}/{sum(map(wanted, queues))}"


def wanted(queue: Any) -> int:
    """The nodes that a queue of a status should have; as long as its group is not there, its least."""
    return queue["min"] if queue["desired"] is None else queue["desired"]


def _head_node(cluster: Seen) -> str:
    head = cluster.status.get("headNode", {})
    return head.get("publicIp") or head.get("privateIp") or head.get("state", "")


def _age(cluster: Seen) -> str:
    from cli.terminal import age

    return age(cluster.record.created if cluster.record else None)


COLUMNS = (
    Column("NAME", lambda cluster: cluster.name),
    Column("PHASE", lambda cluster: cluster.phase),
    Column("READY", lambda cluster: cluster.condition("Ready").get("status", "Unknown")),
    Column("REASON", lambda cluster: cluster.condition("Ready").get("reason", ""), wide=True),
    Column("QUEUES", _queues),
    Column("NODES", _queue_by_queue, wide=True),
    Column("HEAD NODE", _head_node),
    Column("INSTANCE", lambda cluster: cluster.status.get("headNode", {}).get("instanceId", ""), wide=True),
    Column("STACK", lambda cluster: cluster.status.get("stack", {}).get("status", ""), wide=True),
    Column("VERSION", lambda cluster: cluster.status.get("stack", {}).get("version", ""), wide=True),
    Column("GENERATION", lambda cluster: cluster.record.generation if cluster.record else "", wide=True),
    Column("AGE", _age, moves=True),
)
