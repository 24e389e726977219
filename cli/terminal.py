"""How things look: tables as kubectl aligns them, ages, colours."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NONE = "<none>"
# Characters: before what stands below a title, of a name with its blanks, between two columns.
INDENT = 2
LABEL = 24
GAP = 3
# Characters. No table is as wide: without a terminal nothing is folded, so that a row is a line for grep and awk.
UNBOUNDED = 1 << 16
STYLES: dict[str, str] = {
    **dict.fromkeys(("Ready", "True", "Normal"), "green"),
    **dict.fromkeys(("Failed", "Invalid", "Held", "Degraded", "Warning"), "red"),
    **dict.fromkeys(("Creating", "Updating", "Building", "Scaling", "Deleting", "Pending", "Paused"), "yellow"),
    # As AWS Batch, ECS and CodeBuild write them.
    **dict.fromkeys(("SUCCEEDED", "RUNNING", "ENABLED", "VALID", "ACTIVE"), "green"),
    **dict.fromkeys(("FAILED", "FAULT", "TIMED_OUT", "STOPPED", "DISABLED", "INVALID"), "red"),
    **dict.fromkeys(
        ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "IN_PROGRESS", "CREATING", "UPDATING", "DELETING"), "yellow"
    ),
}
# An age shows two units while the second still says something: up to so many seconds, in units of so many.
AGES: tuple[tuple[int, tuple[tuple[int, str], ...]], ...] = (
    (120, ((1, "s"),)),
    (600, ((60, "m"), (1, "s"))),
    (3 * 3600, ((60, "m"),)),
    (8 * 3600, ((3600, "h"), (60, "m"))),
    (48 * 3600, ((3600, "h"),)),
    (8 * 86400, ((86400, "d"), (3600, "h"))),
    (2 * 365 * 86400, ((86400, "d"),)),
)
YEARS = ((365 * 86400, "y"), (86400, "d"))


def age(since: float | str | None) -> str:
    """How long ago a time was (seconds since the epoch, or as a status writes it), as kubectl shows it."""
    at = _epoch(since)
    return NONE if at is None else lasted(time.time() - at)


def lasted(seconds: float) -> str:
    """So many seconds, as kubectl shows an age."""
    left = max(0, int(seconds))
    units = next((units for limit, units in AGES if left < limit), YEARS)
    text = ""
    for size, unit in units:
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count or not text else ""
    return text


def _epoch(since: float | str | None) -> float | None:
    if not isinstance(since, str):
        return since
    try:
        return datetime.fromisoformat(since).timestamp()
    except ValueError:
        return None


def shown(value: object) -> str:
    """A value in one line, without what could move the cursor."""
    words = str(value).lower() if isinstance(value, bool) else str(value)
    text = "".join(character if character.isprintable() else " " for character in words)
    return " ".join(text.split()) or NONE


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    header: bool = True,
    widths: Sequence[int] = (),
    indent: int = 0,
) -> list[int]:
    """Print rows in aligned columns; the answer is how wide they were, for rows that follow later."""
    cells = [[shown(cell) for cell in row] for row in rows]
    found = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    minimal = [max(pair) for pair in zip(found, widths or found, strict=True)]
    console = _console()
    if console.is_terminal:
        _grid(console, columns, cells, minimal, header=header, indent=indent)
        return minimal
    for line in (list(columns), *cells) if header else cells:
        text = "".join(cell.ljust(width + GAP) for cell, width in zip(line, minimal, strict=True))
        typer.echo(f"{' ' * indent}{text.rstrip()}")
    return minimal


def _grid(
    console: Console,
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    widths: Sequence[int],
    *,
    header: bool,
    indent: int,
) -> None:
    """A table for people: in colours, and folded where the terminal ends."""
    grid = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=header, header_style="bold")
    for name, width in zip(columns[:-1], widths, strict=False):
        grid.add_column(name, no_wrap=True, min_width=width)
    grid.add_column(columns[-1], overflow="fold")
    for row in cells:
        grid.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in row))
    console.print(Padding(grid, (0, 0, 0, indent), expand=False))


def fields(lines: Iterable[tuple[str, object]], indent: int = 0) -> None:
    """Print names and values, a line each."""
    for label, value in lines:
        typer.echo(f"{' ' * indent}{label + ':':<{LABEL - indent}}{shown(value)}")


def section(title: str, lines: Iterable[tuple[str, object]]) -> None:
    """Print names and values below a title; those without a value are left out."""
    typer.echo(f"{title}:")
    fields([(label, value) for label, value in lines if value != ""], INDENT)


def titled(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table below a title, if it has any rows."""
    if not rows:
        return
    typer.echo(f"{title}:")
    table(columns, rows, indent=INDENT)


def coloured(line: str, style: str) -> None:
    """Print one line in a colour, if there is a terminal for it."""
    _console().print(Text(line, style), soft_wrap=True)


def _console() -> Console:
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = UNBOUNDED
    return console


def as_yaml(value: object) -> str:
    """A value as YAML, its names sorted: DynamoDB keeps no order."""
    return yaml.safe_dump(value, allow_unicode=True, width=UNBOUNDED)


def as_json(value: object) -> str:
    """A value as JSON, its names sorted."""
    return json.dumps(value, indent=4, sort_keys=True) + "\n"


DATA: dict[str, Any] = {"yaml": as_yaml, "json": as_json}
