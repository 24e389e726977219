"""The memory of the functions' processes over time, from /proc."""

import os
import statistics
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 5.0  # seconds between two looks
PAGE = os.sysconf("SC_PAGE_SIZE")
# A process is flat if the line through the second half of its samples rises by no more than this share of its size.
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

    def grown(self) -> dict[str, tuple[float, float]]:
        """Size (MB) and growth over the second half of its life (MB) of each process that lived long enough."""
        long = {key: s for key, s in self.samples.items() if s[-1][0] - s[0][0] >= LEAST}
        return {f"{function}_{pid}": growth(s) for (function, pid), s in sorted(long.items())}


def growth(samples: list[tuple[float, float]]) -> tuple[float, float]:
    """The mean of the second half of the samples, and how much the line fitted to them rises."""
    x, y = zip(*samples[len(samples) // 2 :], strict=True)
    return statistics.mean(y), statistics.linear_regression(x, y).slope * (x[-1] - x[0])


def _function(directory: Path, group: int) -> str:
    """The logical name of the function that a process of the group runs; empty for any other process."""
    if int((directory / "stat").read_text().rpartition(")")[2].split()[2]) != group:
        return ""
    variables = (directory / "environ").read_bytes().split(b"\0")
    names = [each.partition(b"=")[2].decode() for each in variables if each.startswith(b"AWS_LAMBDA_FUNCTION_NAME=")]
    return names[0].split("-")[1] if names else ""
