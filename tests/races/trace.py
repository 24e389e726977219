"""The promises of the protocol, checked on what the functions logged: a pure function over their structured lines.

Two kinds of lines count, others are left out: `wake` (cluster, id), written when a wake-up is in the queue; `pass`
(cluster, wake_id, started, ended, fence, taken), written when a pass has run and its message is acknowledged. Times
are seconds since the epoch. `fence` and `taken` are 0 for a pass that took no lease, since it wrote nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

Line = Mapping[str, Any]


def check(lines: Iterable[Line]) -> list[str]:
    """What the trace shows to be broken, a sentence each; nothing if it shows none."""
    wakes, passes = defaultdict[str, list[Line]](list), defaultdict[str, list[Line]](list)
    for line in lines:
        kinds = {"wake": wakes, "pass": passes}
        if line.get("message") in kinds:
            kinds[line["message"]][line["cluster"]].append(line)
    found = [wrong for cluster in sorted(passes) for wrong in _acted(cluster, passes[cluster])]
    return found + [wrong for cluster in sorted(wakes) for wrong in _lost(cluster, wakes[cluster], passes[cluster])]


def _acted(cluster: str, passes: list[Line]) -> Iterable[str]:
    """Those that took the lease did so one after the other, and each had a fence of its own, greater than the last."""
    holders = sorted((line for line in passes if line["fence"]), key=lambda line: line["taken"])
    for one, other in pairwise(holders):
        if one["fence"] == other["fence"]:
            yield f"{cluster}: fence {one['fence']} was given twice"
        elif one["fence"] > other["fence"]:
            yield f"{cluster}: fence {other['fence']} came after {one['fence']}"
        if one["ended"] > other["taken"]:
            yield f"{cluster}: fences {one['fence']} and {other['fence']} acted at once"


def _lost(cluster: str, wakes: list[Line], passes: list[Line]) -> Iterable[str]:
    """A wake-up is answered by the pass that its message caused, or by any that started after it."""
    caused = {line["wake_id"] for line in passes}
    latest = max((line["started"] for line in passes), default=0.0)
    for wake in wakes:
        if wake["id"] not in caused and when(wake) > latest:
            yield f"{cluster}: wake-up {wake['id']} was lost"


def when(line: Line) -> float:
    """The time of a line in seconds since the epoch; Powertools writes it as `2026-01-31 12:00:00,000+0000`."""
    return datetime.strptime(line["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z").timestamp()
