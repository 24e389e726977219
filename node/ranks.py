"""Which hosts get jobs first: those that have had some for longest.

A job that has run for long is likely to run on, so its node stays anyway, and what is put beside it costs nothing more;
nodes whose jobs are short get empty, and go. Idle hosts come last.
"""

from __future__ import annotations

from collections.abc import Mapping

from node.lists import Host, Seen
from node.scheduler import HostState

# Seconds with jobs, without a break, from which on a host comes before those that have had theirs for less. Few steps:
# among hosts of the same rank the scheduler fills gaps, and each change is a command.
STEPS = (300.0, 600.0, 1200.0, 2400.0, 4800.0, 9600.0)
# The rank of hosts without jobs, which new ones have from the start.
LAST = len(STEPS) + 2


def rank(seen: Seen, now: float) -> int:
    """A host's rank, the lowest first."""
    if seen.state is not Host.BUSY:
        return LAST
    return LAST - 1 - sum(now - seen.since >= step for step in STEPS)


def changed(hosts: Mapping[str, HostState], seen: Mapping[str, Seen], now: float) -> dict[int, list[str]]:
    """The hosts whose rank is another one than the scheduler has, by the rank that they are to have."""
    found: dict[int, list[str]] = {}
    for name, host in hosts.items():
        wanted = rank(seen[name], now)
        if host.rank != wanted:
            found.setdefault(wanted, []).append(name)
    return found
