"""How the cost of a sweep grows with the fleet, and what a throttle does to it: counted, on a simulated clock."""

import math
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from botocore.exceptions import ClientError

from bench.figure import Figure
from bench.fleet import SETTINGS, Fleet
from reconciler.outcomes import AwsError
from reconciler.sweep import sweep

SIZES = (10, 100, 1000, 5000)
RATE = 5.0  # describes a second that the throttled account is given, and the burst of its bucket
RETRIES, LATENCY = 3, 0.05  # as reconciler/clients.py has it; seconds
THROTTLED_SWEEPS, SWEEP_SECONDS = 20, 300
PLOT = Path(__file__).parent.parent / "docs" / "sweep.svg"


def measure() -> Iterator[Figure]:
    """Calls and seconds of sweeps over fleets that are as they should be; the exponents; a sweep under a throttle."""
    calls, seconds = dict[int, int](), dict[int, float]()
    for size in SIZES:
        fleet = Fleet(size)
        started = time.process_time()
        woken = sweep(fleet.clients, SETTINGS, 0.0)
        seconds[size] = time.process_time() - started
        assert not woken, woken
        calls[size] = fleet.calls.total()
        yield Figure(f"sweep_{size}_calls", calls[size], "calls")
        yield Figure(f"sweep_{size}_seconds", round(seconds[size], 3), "seconds of processor, AWS's own time apart")
    grown = [(size / 100, float(calls[size])) for size in SIZES if size >= 100]
    yield Figure("sweep_growth_exponent", round(_exponent(grown), 2), "calls from 100 clusters on, in clusters/100")
    yield Figure("sweep_growth_exponent_large", round(_exponent(grown[1:]), 2), "from 1,000 to 5,000, two points")
    PLOT.write_text(_plot(calls))
    yield from _burst()
    yield from _throttled()


def _exponent(points: list[tuple[float, float]]) -> float:
    """The slope of the least-squares line through the logarithms."""
    x, y = ([math.log(value) for value in side] for side in zip(*points, strict=True))
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return over / sum((a - middle_x) ** 2 for a in x)


def _burst() -> Iterator[Figure]:
    """500 specs at once whose every trigger was lost: one sweep wakes them all."""
    fleet = Fleet(1000)
    del fleet.records[:500], fleet.stacks[:500], fleet.groups[:500], fleet.instances[:1500]
    woken = sweep(fleet.clients, SETTINGS, 0.0)
    assert len(woken) == len(fleet.sent) == 500
    yield Figure("sweep_burst_500_calls", fleet.calls.total(), "calls of a sweep that wakes 500 of 1,000 clusters")


def _throttled() -> Iterator[Figure]:
    """Sweeps of 5,000 clusters, each on a schedule of its own, while so few describes are answered.

    A refused call is made again as botocore's standard mode does it (the reconciler allows it `RETRIES`), and a sweep
    that runs out of them breaks. AWS answers after `LATENCY` seconds; nothing else uses the account.
    """
    clock, fleet, broken, times = Throttle(), Fleet(5000), 0, list[float]()
    fleet.before = clock.call
    for _ in range(THROTTLED_SWEEPS):
        fleet.calls.clear()
        began = clock.now
        try:
            assert not sweep(fleet.clients, SETTINGS, 0.0)
            times.append(clock.now - began)
        except AwsError:
            broken += 1
        clock.wait(SWEEP_SECONDS)
    yield Figure("sweep_5000_throttled_seconds", round(statistics.median(times), 1), "simulated, 5 describes a second")
    describes = sum(count for call, count in fleet.calls.items() if call.startswith("describe"))
    yield Figure(
        "sweep_5000_throttled_floor", (describes - RATE) / RATE, f"seconds, {describes} describes at that rate"
    )
    yield Figure("sweep_5000_throttled_broken", broken, f"of {THROTTLED_SWEEPS} sweeps ran out of tries")


class Throttle:
    """A simulated clock, and a token bucket of `RATE` describes a second that holds as many."""

    def __init__(self) -> None:
        self.now, self._tokens, self._dice = 0.0, RATE, random.Random(1)

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now, self._tokens = self.now + seconds, min(RATE, self._tokens + seconds * RATE)

    def call(self, operation: str) -> None:
        """One call with its retries. Raises ClientError when they run out."""
        for attempt in range(RETRIES + 1):
            self.wait(LATENCY)
            if not operation.startswith("describe"):
                return
            if self._tokens >= 1:
                self._tokens -= 1
                return
            self.wait(self._dice.random() * 2**attempt)
        raise ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, operation)


def _plot(calls: dict[int, int]) -> str:
    """Calls over clusters, both logarithmic."""
    at = {n: (60 + 120 * (math.log10(n) - 1), 240 - 90 * (math.log10(c) - 0.5)) for n, c in calls.items()}
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in at.values())
    marks = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3"/><text x="{x + 6:.0f}" y="{y + 16:.0f}">{n:,}: {calls[n]}</text>'
        for n, (x, y) in at.items()
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 280" font-family="sans-serif" font-size="12">'
        '<rect width="480" height="280" fill="white"/><path d="M50 20V250H460" fill="none" stroke="black"/>'
        f'<polyline points="{line}" fill="none" stroke="steelblue"/>{marks}'
        '<text x="180" y="272">clusters: AWS calls of one sweep (both axes logarithmic)</text></svg>\n'
    )
