"""Which hosts get jobs first: those whose jobs have run for longest, all together.

A job that has run for long is likely to run on, and of several the last one to end counts: so the node stays anyway,
and what is put beside them costs nothing more. Nodes with few and young jobs get empty, and go. Idle hosts come last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from node.lists import Host
from node.scheduler import HostState

# A host is one rank before the others for each doubling of its jobs' minutes, so often at most. Few ranks: among hosts
# of the same one the scheduler fills gaps, and each change is a command.
DOUBLINGS = 15
# The rank of hosts without jobs, which new ones have from the start.
LAST = DOUBLINGS + 2


def rank(state: Host, started: Iterable[float], now: float) -> int:
    """A host's rank, the lowest first. `started` is when each of its jobs did (seconds, as `now`)."""
    if state is not Host.BUSY:
        return LAST
    minutes = sum(max(now - each, 0.0) for each in started) / 60
    return LAST - 1 - min(int(minutes).bit_length(), DOUBLINGS)


def changed(hosts: Mapping[str, HostState], started: Mapping[str, Sequence[float]], now: float) -> dict[int, list[str]]:
    """The hosts whose rank is another one than the scheduler has, by the rank that they are to have."""
    found: dict[int, list[str]] = {}
    for name, host in hosts.items():
        wanted = rank(host.state, started.get(name, ()), now)
        if host.rank != wanted:
            found.setdefault(wanted, []).append(name)
    return found
