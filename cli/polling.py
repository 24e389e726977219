"""Waiting: look, and look again a little later, until a time is up. And times, as kubectl's users write them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from time import monotonic, sleep

import typer

# Seconds between two looks: each costs one read of two rows.
INTERVAL = 2.0
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def ticks(seconds: float = math.inf, interval: float | None = None) -> Iterator[None]:
    """Now, and again at each interval until the time is up; at least once, and once more at its very end."""
    deadline = monotonic() + seconds
    yield
    while (left := deadline - monotonic()) > 0:
        sleep(min(interval or INTERVAL, left))
        yield


def duration(text: str) -> float:
    """Seconds for a time like 90s, 5m or 1h30m; a bare number is in seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not DURATION.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no time; write it like 90s, 5m or 1h30m")
    return sum(float(count) * UNITS[unit] for count, unit in PART.findall(text))
