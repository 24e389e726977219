"""How the cost of a sweep grows with the fleet, and what a throttle does to it: counted, on a simulated clock."""

import math
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench.account import SETTINGS
from bench.clock import Clock
from bench.figure import Figure, exponent
from bench.fleet import fleet
from bench.plane import Throttle
from reconciler.clients import PATIENT_RETRIES
from reconciler.outcomes import AwsError
from reconciler.sweep import sweep

SIZES = (10, 100, 1000, 5000)
RATE = 5.0  # describes a second that the throttled account is given, and the burst of its bucket
THROTTLED_SWEEPS, SWEEP_SECONDS = 20, 300
PLOT = Path(__file__).parent.parent / "docs" / "sweep.svg"


def measure() -> Iterator[Figure]:
    """Calls and seconds of sweeps over fleets that are as they should be; the exponents; a sweep under a throttle."""
    calls, seconds = dict[int, int](), dict[int, float]()
    for size in SIZES:
        account = fleet(size)
        started = time.process_time()
        woken = sweep(account.clients(), SETTINGS, 0.0)
        seconds[size] = time.process_time() - started
        assert not woken, woken
        calls[size] = account.calls.total()
        yield Figure(f"sweep_{size}_calls", calls[size], "calls")
        yield Figure(f"sweep_{size}_seconds", round(seconds[size], 3), "seconds of processor, AWS's own time apart")
    grown = [(size / 100, float(calls[size])) for size in SIZES if size >= 100]
    yield Figure("sweep_growth_exponent", round(exponent(grown), 2), "calls from 100 clusters on, in clusters/100")
    yield Figure("sweep_growth_exponent_large", round(exponent(grown[1:]), 2), "from 1,000 to 5,000, two points")
    PLOT.write_text(_plot(calls))
    yield from _burst()
    yield from _throttled()


def _burst() -> Iterator[Figure]:
    """500 specs at once whose every trigger was lost: one sweep wakes them all."""
    account, sent = fleet(1000, bare=500), list[str]()
    account.deliver = lambda _, body, __, ___: sent.append(body)
    woken = sweep(account.clients(), SETTINGS, 0.0)
    assert len(woken) == len(sent) == 500
    yield Figure("sweep_burst_500_calls", account.calls.total(), "calls of a sweep that wakes 500 of 1,000 clusters")


def _throttled() -> Iterator[Figure]:
    """Sweeps of 5,000 clusters, each on a schedule of its own, while so few describes are answered.

    A refused call is made again as botocore's standard mode does it, and a sweep that runs out of tries breaks. Nothing
    else uses the account.
    """
    clock, account, broken, times = Clock(), fleet(5000), 0, list[float]()
    account.before = Throttle(clock, RATE).call
    for _ in range(THROTTLED_SWEEPS):
        account.calls.clear()
        began = clock.now
        try:
            assert not sweep(account.clients(PATIENT_RETRIES), SETTINGS, 0.0)
            times.append(clock.now - began)
        except AwsError:
            broken += 1
        clock.sleep(SWEEP_SECONDS)
    yield Figure("sweep_5000_throttled_seconds", round(statistics.median(times), 1), "simulated, 5 describes a second")
    describes = sum(count for call, count in account.calls.items() if call.startswith("describe"))
    yield Figure(
        "sweep_5000_throttled_floor", (describes - RATE) / RATE, f"seconds, {describes} describes at that rate"
    )
    yield Figure("sweep_5000_throttled_broken", broken, f"of {THROTTLED_SWEEPS} sweeps ran out of tries")


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
