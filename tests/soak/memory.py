"""The memory of the functions' processes over time, from /proc."""

import os
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 5.0  # seconds between two looks
PAGE = os.sysconf("SC_PAGE_SIZE")
# A process stands still if the line through the second half of its samples rises by no more than this share of it.
FLAT = 0.03
LEAST = 300.0  # seconds: a process that lived shorter says nothing


@dataclass
class Memory:
    """Samples of (seconds, megabytes) of each process of a group that runs a Lambda function, by function and id."""

    group: int
    samples: dict[tuple[str, int], list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look until told to stop, in a thread of its own."""
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY):
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """One sample of every process."""
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                function = _function(directory, self.group)
                pages = int((directory / "statm").read_text().split()[1])
            except OSError:  # it ended meanwhile
                continue
            if function:
                self.samples[function, int(directory.name)].append((now, pages * PAGE / 2**20))

    def grown(self) -> dict[tuple[str, int], tuple[float, float]]:
        """Last size (MB) and growth in the second half of its life (MB) of each process that lived long enough."""
        return {key: growth(s) for key, s in sorted(self.samples.items()) if s[-1][0] - s[0][0] >= LEAST}


def growth(samples: list[tuple[float, float]]) -> tuple[float, float]:
    """The last sample, and how much the line fitted to the second half of them rises."""
    x, y = zip(*samples[len(samples) // 2 :], strict=True)
    return y[-1], statistics.linear_regression(x, y).slope * (x[-1] - x[0])


def leaking(grown: Mapping[tuple[str, int], tuple[float, float]]) -> list[tuple[str, int]]:
    """The processes that rose and ended larger than all of their function that stood still.

    One that had little to do makes a client late, or meets an error for the first time, and rises to where the others
    are already. With a leak those that did most are the largest, and rise.
    """
    rising = [key for key, (size, rise) in grown.items() if rise > FLAT * size]
    still = defaultdict[str, float](float)
    for key in grown.keys() - set(rising):
        still[key[0]] = max(still[key[0]], grown[key][0])
    return [key for key in rising if grown[key][0] > still[key[0]]]


def _function(directory: Path, group: int) -> str:
    """The logical name of the function that a process of the group runs; empty for any other process."""
    if int((directory / "stat").read_text().rpartition(")")[2].split()[2]) != group:
        return ""
    variables = (directory / "environ").read_bytes().split(b"\0")
    names = [each.partition(b"=")[2].decode() for each in variables if each.startswith(b"AWS_LAMBDA_FUNCTION_NAME=")]
    return names[0].split("-")[1] if names else ""
