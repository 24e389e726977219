"""What the head node needs of a job scheduler, whichever it is.

Another scheduler is a class with these methods, and its name in the spec; nothing else of the agent knows of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from node.facts import Queue
from node.lists import Host


class SchedulerError(Exception):
    """The scheduler did not answer, or not as it should. Nothing follows from that but another try."""


@dataclass(frozen=True)
class HostState:
    """What the scheduler says of a host: its state, what is free of it, why it is as it is, and where.

    vCPUs, MiB of memory, GPUs. `rank`: jobs go to the hosts with the lowest one that have room.
    """

    state: Host
    queue: str
    cpus: int
    memory: int
    gpus: int
    reason: str = ""
    address: str = ""
    # No news that a pass would have to follow: it is the agent who sets it.
    rank: int = field(default=1, compare=False)


@dataclass(frozen=True)
class Jobs:
    """Like jobs that wait: `count` of them, each on `nodes` nodes with so much on all of them together.

    `able`: they start as soon as there is room. `never`: no host of the queue could run them, by the scheduler's word.
    They may have up to `most` nodes where they do not fit on as few, `task` vCPUs of each in one piece, and want these
    `hosts` among theirs.
    """

    queue: str
    nodes: int
    cpus: int
    memory: int
    gpus: int
    exclusive: bool
    able: bool
    never: bool
    reason: str
    count: int = 1
    most: int = 0
    task: int = 1
    hosts: tuple[str, ...] = ()


class Scheduler(Protocol):
    """All methods raise SchedulerError."""

    def version(self) -> str:
        """Its name and version."""
        ...

    def shape(self, queues: Sequence[Queue], names: Iterable[str]) -> None:
        """Have these queues from now on, and hosts for as many nodes as each may have, no more.

        `names` are hosts of instances: they stay, whatever the queues' limits have become. A host that is new is down.
        """
        ...

    def hosts(self) -> Mapping[str, HostState]:
        """All hosts by their names."""
        ...

    def waiting(self) -> list[Jobs]:
        """The jobs that wait, like ones together."""
        ...

    def started(self) -> Mapping[str, Sequence[float]]:
        """When the jobs that run have started, by host (seconds since the epoch). A job may be on several."""
        ...

    def bind(self, addresses: Mapping[str, str]) -> None:
        """Hosts are at these addresses from now on; each is used when its daemon registers."""
        ...

    def unbind(self, names: Iterable[str]) -> None:
        """No instance stands for these hosts: their jobs are queued again, and they get no others."""
        ...

    def lock(self, names: Iterable[str]) -> None:
        """Let what runs on these hosts end, and start nothing more."""
        ...

    def unlock(self, names: Iterable[str]) -> None:
        """Take that back."""
        ...

    def prefer(self, names: Iterable[str], rank: int) -> None:
        """Give these hosts a rank."""
        ...
