"""A cluster's nodes in memory, for the head node's agent: table, groups, messages, scheduler, which all can fail."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from node.facts import Queue
from node.groups import LAUNCH_HOOK, TERMINATE_HOOK, Belonging
from node.head import Head
from node.lists import WITH_JOBS, Host, Member, Row
from node.ranks import LAST
from node.rows import NodeRow, Rows
from node.scheduler import HostState, Jobs, SchedulerError

NOW = 1_000_000.0
CPU = Queue("cpu", "demo.cpu", 6, 4, 4000, 0)
DOCUMENT = '{"queues":[{"name":"cpu","group":"demo.cpu","max":6,"cpus":4,"memory":4000,"gpus":0}]}'
UP = (Host.IDLE, Host.BUSY, Host.LOCKED, Host.LOCKED_BUSY)


class BrokenError(Exception):
    """A call that a test made fail."""


@dataclass
class World:
    """All of it. `broken` names calls that fail, `now` is moved by the test."""

    facts: str = DOCUMENT
    now: float = NOW
    rows: dict[str, NodeRow] = field(default_factory=dict[str, NodeRow])
    members: dict[str, Belonging] = field(default_factory=dict[str, Belonging])
    hosts_of: dict[str, HostState] = field(default_factory=dict[str, HostState])
    jobs: list[Jobs] = field(default_factory=list[Jobs])
    running: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    queue: list[str] = field(default_factory=list[str])
    broken: set[str] = field(default_factory=set[str])
    demand: str = ""
    agent: list[tuple[str, str, str, float]] = field(default_factory=list[tuple[str, str, str, float]])
    calls: Counter[str] = field(default_factory=Counter[str])
    deleted: list[str] = field(default_factory=list[str])
    prepared: int = 0
    slowness: float = 0.0

    def __post_init__(self) -> None:
        for number in range(1, CPU.max + 1):
            self.hosts_of.setdefault(f"cpu-{number}", host(Host.DOWN))

    def head(self) -> Head:
        """An agent that begins."""
        any_world: Any = self
        groups: Any = GroupsOf(self)
        return Head(any_world, groups, any_world, any_world, lambda: self.now, "v1", prepare=self._prepare)

    def _prepare(self) -> None:
        self._called("prepare")
        self.prepared += 1

    def _called(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.broken:
            raise BrokenError(name)

    # The table.

    def look(self) -> Rows:
        self._called("look")
        return Rows(dict(self.rows), self.facts, self.demand)

    def add(self, row: NodeRow) -> bool:
        self._called("add")
        return self.rows.setdefault(row.id, row) is row

    def drop(self, identifier: str) -> None:
        self._called("drop")
        self.rows.pop(identifier, None)

    def move(self, row: NodeRow, state: Row, now: float, reason: str = "") -> "NodeRow | None":
        self._called("move")
        found = self.rows.get(row.id)
        if found is None or found.state is not row.state:
            return None
        if state is Row.DRAINED:
            assert self.hosts_of[row.name].state not in WITH_JOBS, "no job is taken"
        served = found.served or state is Row.READY
        self.rows[row.id] = replace(found, state=state, since=now, reason=reason or found.reason, served=served)
        return self.rows[row.id]

    def tell_agent(self, version: str, scheduler: str, reason: str, now: float) -> None:
        self._called("tell_agent")
        self.agent.append((version, scheduler, reason, now))

    def tell_demand(self, document: str, now: float) -> None:
        self._called("tell_demand")
        self.demand = document

    # The groups.

    def members_of(self, groups: Iterable[str]) -> dict[str, Belonging]:
        self._called("members")
        assert list(groups) == ["demo.cpu"]
        return dict(self.members)

    def let_go(self, group: str, hook: str, instance: str) -> None:
        self._called("let_go")
        row = self.rows.get(instance)
        if hook == LAUNCH_HOOK:
            self.members[instance] = Belonging(group, Member.SERVING)
            return
        assert row is None or self.hosts_of[row.name].state not in UP, "no job can be on it"
        assert self.members[instance].group == group
        del self.members[instance]

    # The messages.

    def receive(self, wait: int) -> list[str]:
        self._called("receive")
        handles, self.queue = self.queue, []
        self.now += 0 if handles else wait
        return handles

    def delete(self, handles: list[str]) -> None:
        self._called("delete")
        self.deleted += handles

    # The scheduler.

    def version(self) -> str:
        return "slurm 22.05.8"

    def shape(self, queues: Sequence[Queue], names: Iterable[str]) -> None:
        self._ask("shape")
        wanted = {f"{queue.name}-{number}" for queue in queues for number in range(1, queue.max + 1)} | set(names)
        self.hosts_of = {name: self.hosts_of.get(name, host(Host.DOWN)) for name in sorted(wanted)}

    def hosts(self) -> Mapping[str, HostState]:
        self._ask("hosts")
        return dict(self.hosts_of)

    def waiting(self) -> list[Jobs]:
        self._ask("waiting")
        self.now += self.slowness
        return list(self.jobs)

    def started(self) -> Mapping[str, Sequence[float]]:
        self._ask("started")
        return self.running

    def bind(self, addresses: Mapping[str, str]) -> None:
        self._each("bind", addresses)
        for name, address in addresses.items():
            self.hosts_of[name] = replace(self.hosts_of[name], address=address)

    def unbind(self, names: Iterable[str]) -> None:
        for name in self._each("unbind", names):
            self.hosts_of[name] = host(Host.DOWN)

    def lock(self, names: Iterable[str]) -> None:
        for name in self._each("lock", names):
            busy = self.hosts_of[name].state is Host.BUSY
            self.hosts_of[name] = replace(self.hosts_of[name], state=Host.LOCKED_BUSY if busy else Host.LOCKED)

    def unlock(self, names: Iterable[str]) -> None:
        for name in self._each("unlock", names):
            busy = self.hosts_of[name].state is Host.LOCKED_BUSY
            self.hosts_of[name] = replace(self.hosts_of[name], state=Host.BUSY if busy else Host.IDLE)

    def prefer(self, names: Iterable[str], rank: int) -> None:
        for name in self._each("prefer", names):
            self.hosts_of[name] = replace(self.hosts_of[name], rank=rank)

    def _each(self, name: str, names: Iterable[str]) -> list[str]:
        """One command for all of them, and none for nobody."""
        found = list(names)
        if found:
            self._ask(name)
        assert set(found) <= self.hosts_of.keys()
        return found

    def _ask(self, name: str) -> None:
        self.calls[name] += 1
        if name in self.broken:
            raise SchedulerError(f"{name} did not answer")

    # What happens.

    def launch(self, instance: str, member: Member = Member.COMING) -> None:
        self.members[instance] = Belonging("demo.cpu", member)

    def end(self, instance: str) -> None:
        self.members[instance] = Belonging("demo.cpu", Member.GOING, TERMINATE_HOOK)

    def put(self, instance: str, name: str, state: Row, since: float = NOW, address: str = "") -> None:
        self.rows[instance] = NodeRow(instance, "cpu", name, state, since, address)

    def register(self, name: str, state: Host = Host.IDLE, address: str = "10.0.0.1") -> None:
        self.hosts_of[name] = replace(host(state), address=address)


def host(state: Host) -> HostState:
    return HostState(state, "cpu", 4, 4000, 0, address="127.255.255.254", rank=LAST)


class GroupsOf:
    """The groups of a world: their method has the name of the world's own field."""

    def __init__(self, world: World) -> None:
        self.members = world.members_of
        self.let_go = world.let_go
