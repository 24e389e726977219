"""Things of AWS as the user wants to see them: rows as their pages come, or one document when all are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from cli.get import Output
from cli.terminal import DATA, age, lasted, shown, table
from reconciler.plan.draft import iso

Thing = Mapping[str, Any]
Columns = Mapping[str, Callable[[Thing], object]]


@dataclass(frozen=True, slots=True)
class View:
    """How a kind of thing is shown: `kind` names one of many, `identity` gives its name, `wide` the further columns."""

    kind: str
    identity: Callable[[Thing], str]
    columns: Columns
    wide: Columns = field(default_factory=dict[str, Callable[[Thing], object]])

    def show(self, pages: Iterable[Sequence[Thing]], output: Output) -> None:
        """Print all things of all pages."""
        if output in DATA:
            items = [dict(thing) for page in pages for thing in page]
            typer.echo(DATA[output]({"apiVersion": "muster/v1", "kind": "List", "items": items}), nl=False)
        elif output is Output.NAME:
            for page in pages:
                typer.echo("".join(f"{self.kind}/{shown(self.identity(thing))}\n" for thing in page), nl=False)
        else:
            self._rows(pages, {**self.columns, **(self.wide if output is Output.WIDE else {})})

    def _rows(self, pages: Iterable[Sequence[Thing]], columns: Columns) -> None:
        widths: list[int] = []
        for page in filter(None, pages):
            rows = [[value(thing) for value in columns.values()] for thing in page]
            widths = table(list(columns), rows, header=not widths, widths=widths)
        if not widths:
            typer.echo(f"No {self.kind}s found.", err=True)


def chosen(output: Output, details: bool) -> Output:
    """The output that -o and -d ask for together."""
    return Output.WIDE if details and output is Output.TABLE else output


def at(milliseconds: int | None) -> str:
    """A time of Batch's, for people."""
    return iso(milliseconds / 1000) if milliseconds else ""


def since(milliseconds: int | None) -> str:
    """How long ago a time of Batch's was."""
    return age(milliseconds / 1000) if milliseconds else ""


def between(start: int | None, end: int | None) -> str:
    """How long it was from one time of Batch's to another; until now when the other has not come."""
    if not start:
        return ""
    return lasted((end - start) / 1000) if end else since(start)
