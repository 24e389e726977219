"""Whole passes over many clusters: edits while a sweep's work is done, a burst of specs, a burst under a throttle."""

import statistics
from collections.abc import Iterator, Mapping
from functools import partial
from json import loads
from typing import Any

from bench.figure import Figure, exponent
from bench.plane import Plane, plane
from bench.planning import spec
from reconciler.loop import Report

EDITED, DRIFTED, EVERY = 100, 400, 0.5  # clusters, clusters, seconds between two edits
BURST, RATE, SWEEP_SECONDS = 500, 5.0, 300  # specs, describes a second, seconds
SIZES = (10, 100, 1000)
PATIENCE = 86400.0  # simulated seconds
BAD = frozenset({"Failed", "Degraded", "Held", "Invalid"})
Wait = tuple[float, float]
"""Seconds from the message that tells of an edit until its pass begins, and until it is done."""


def measure() -> Iterator[Figure]:
    """What edits wait, what a burst takes, and how that grows."""
    for name, swept in (("alone", False), ("swept", True)):
        began, done = (sorted(side) for side in zip(*waits(EDITED, DRIFTED, EVERY, swept=swept), strict=True))
        for what, seconds in (("start", began), ("done", done)):
            middle, late = statistics.median(seconds), seconds[int(len(seconds) * 0.99)]
            yield Figure(f"edit_{name}_{what}_median", round(middle, 2), "simulated seconds from its message on")
            yield Figure(f"edit_{name}_{what}_p99", round(late, 2), "simulated seconds from its message on")
    calls = dict[int, int]()
    for size in SIZES:
        with plane() as made:
            last = max(burst(made, size).values())
            calls[size] = made.account.calls.total()
        yield Figure(f"burst_{size}_calls", calls[size], "AWS calls until all are ready, wake-ups included")
        yield Figure(f"burst_{size}_seconds", round(last, 1), "simulated, until the last is ready")
    grown = exponent([(float(size), float(count)) for size, count in calls.items()])
    yield Figure("burst_growth_exponent", round(grown, 2), "calls until all are ready, in clusters")
    yield from _throttled()


def _throttled() -> Iterator[Figure]:
    """The same burst, without a limit and with so many describes a second; sweeps go on beside it."""
    describes = 0
    for name, rate in (("free", float("inf")), ("throttled", RATE)):
        with plane(rate) as made:
            made.sweep_every(SWEEP_SECONDS)
            ready = sorted(burst(made, BURST).values())
            assert not made.dead, made.dead[:3]
            describes = describes or sum(n for call, n in made.account.calls.items() if call.startswith("describe"))
        yield Figure(f"burst_{name}_seconds", round(ready[-1], 0), f"simulated, until the last of {BURST} is ready")
        yield Figure(f"burst_{name}_seconds_median", round(ready[BURST // 2], 0), "simulated, until half are ready")
        yield Figure(f"burst_{name}_calls", made.account.calls.total(), "calls, each with its retries counted once")
    yield Figure("burst_throttled_floor", (describes - RATE) / RATE, f"seconds, {describes} describes at that rate")
    yield Figure("burst_throttled_granted", made.throttle.granted, "describes that were answered")
    yield Figure("burst_throttled_sweeps_broken", made.sweeps_broken, f"of {ready[-1] // SWEEP_SECONDS:.0f} sweeps")


def small(size: int = 2, **fields: Any) -> dict[str, Any]:
    """A cluster with one queue of so many nodes."""
    made = spec(1)
    made["queues"][0]["size"] = size
    return made | fields


def names(clusters: int) -> list[str]:
    """The names of so many clusters."""
    return [f"cluster-{n:05}" for n in range(clusters)]


def burst(made: Plane, clusters: int) -> dict[str, float]:
    """Write so many specs at once; when each cluster was ready first (seconds). Nothing may be shown as wrong."""
    ready, wrong = dict[str, float](), list[Report]()

    def see(report: Report) -> None:
        if report.phase == "Ready":
            ready.setdefault(report.cluster, made.clock.now)
        if report.phase in BAD:
            wrong.append(report)

    made.seen = see
    made.write(dict.fromkeys(names(clusters), small()))
    made.clock.run(lambda: len(ready) == clusters or made.clock.now > PATIENCE)
    assert len(ready) == clusters, f"{clusters - len(ready)} of {clusters} are not ready after {PATIENCE:.0f} s"
    assert not wrong, wrong[:3]
    return ready


def waits(
    edited: int, drifted: int, every: float, *, swept: bool, template: Mapping[str, Any] | None = None
) -> list[Wait]:
    """Edit clusters one after the other; with `swept`, from the moment on when a sweep finds others drifted."""
    with plane(template=template) as made:
        burst(made, edited + drifted)
        made.clock.run()
        for name in names(edited + drifted)[edited:]:
            made.account.groups[name][0]["MinSize"] = 0
        began = made.clock.now
        if swept:
            made.sweep()
        for place, name in enumerate(names(edited)):
            made.clock.at(every * place, partial(made.write, {name: small(paused=True)}))
        made.clock.run()
        assert not swept or made.account.events["GroupResized"] == drifted, made.account.events
        told = [each for each in made.queues[made.wakes_to].done if each.sent > began]
        return [(each.started - each.sent, each.done - each.sent) for each in told if is_edit(each.body)]


def is_edit(body: str) -> bool:
    """Whether a wake-up tells of a change of a spec."""
    return loads(body)["source"] == "spec"
