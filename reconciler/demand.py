"""What a cluster's jobs ask of its nodes, as the head node tells it: plain values in vCPUs, MiB of memory and GPUs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """What a node has, or what a job takes of one: vCPUs, MiB of memory, GPUs."""

    cpus: int
    memory: int
    gpus: int = 0

    def holds(self, part: "Shape") -> int:
        """How many such parts this has room for; at least one part of something has to be asked for."""
        pairs = ((self.cpus, part.cpus), (self.memory, part.memory), (self.gpus, part.gpus))
        return min(have // want for have, want in pairs if want)

    def share_of(self, node: "Shape") -> float:
        """The largest of its shares in what a node has."""
        pairs = ((self.cpus, node.cpus), (self.memory, node.memory), (self.gpus, node.gpus))
        return max(want / have for want, have in pairs if have)

    def least_of(self, node: "Shape") -> float:
        """The least of its shares in what a node has."""
        pairs = ((self.cpus, node.cpus), (self.memory, node.memory), (self.gpus, node.gpus))
        return min((have / all_ for have, all_ in pairs if all_), default=0.0)

    def less(self, part: "Shape", times: int = 1) -> "Shape":
        """What is left when so many parts are taken."""
        return Shape(self.cpus - times * part.cpus, self.memory - times * part.memory, self.gpus - times * part.gpus)


@dataclass(frozen=True, slots=True)
class Pending:
    """Like jobs that could start if there were room: `count` of them, each on `nodes` nodes with `each` on all of them.

    `exclusive`: they share their nodes with nobody. `others` are queues in which they may start as well.
    """

    each: Shape
    nodes: int = 1
    count: int = 1
    exclusive: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """What is free on nodes that run jobs: `count` nodes have `free` each."""

    free: Shape
    count: int = 1
