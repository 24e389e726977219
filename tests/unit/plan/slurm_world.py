"""A cluster with Slurm in memory: a group, a head node's agent that goes by `node.lists`, a scheduler, and its jobs.

The agent moves rows by the very rules that the real one has. The scheduler is a simple one: a job starts as soon as
there are enough nodes with room for it. Time goes on by ticks.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from node.lists import Deed, Host, Known, Member, Row, Seen, free_names, tasks
from reconciler.actions import Action, DrainNodes, EndNodes, PutFacts, ResizeGroup
from reconciler.demand import Pending, Room, Shape
from reconciler.facts import Group, Launch
from reconciler.facts import Member as GroupMember
from reconciler.nodes import NodeFacts, NodeRow, NodeState, QueueDemand
from reconciler.statuses import MemberStep
from tests.unit import factories as make
from tests.unit.slurm_factories import NODE

TICK = 20.0
STEPS = {MemberStep.COMING: Member.COMING, MemberStep.USABLE: Member.SERVING, MemberStep.GOING: Member.GOING}
SAYS = {
    Deed.SAY_READY: NodeState.READY,
    Deed.SAY_DRAINING: NodeState.DRAINING,
    Deed.SAY_DRAINED: NodeState.DRAINED,
    Deed.SAY_FAILED: NodeState.FAILED,
}


@dataclass
class Job:
    """Some nodes' parts for some seconds; `on` has the names of the hosts that it runs on, `ends` when it ends."""

    each: Shape
    nodes: int = 1
    seconds: float = 100.0
    on: tuple[str, ...] = ()
    ends: float = 0.0


@dataclass
class World:
    """`fate` says of each launch whether it succeeds, and of each node whether it ever serves."""

    fate: Iterator[bool]
    boots: Iterator[bool]
    group: Group = field(default_factory=make.bare_group)
    rows: dict[str, NodeRow] = field(default_factory=dict[str, NodeRow])
    hosts: dict[str, Seen] = field(default_factory=dict[str, Seen])
    jobs: list[Job] = field(default_factory=list[Job])
    booted: dict[str, float] = field(default_factory=dict[str, float])
    names: dict[str, str] = field(default_factory=dict[str, str])
    now: float = make.NOW
    document: str = ""
    said: QueueDemand = field(default_factory=QueueDemand)
    said_at: float = make.NOW
    idle: dict[str, float] = field(default_factory=dict[str, float])
    launched: int = 0
    lost: int = 0
    template: str = "1"
    boot_seconds: float = 60.0

    # What the operator sees, and does.

    def facts(self) -> NodeFacts:
        return NodeFacts(
            tuple(self.rows.values()), {"compute": self.said}, self.said_at, self.now, facts_document=self.document
        )

    def do(self, action: Action) -> None:
        match action:
            case ResizeGroup(_, low, high, desired):
                assert desired is not None
                assert low <= desired <= high, "Auto Scaling would refuse"
                self.group = replace(self.group, min=low, max=high, desired=desired)
            case DrainNodes(_, ids, reason):
                for each in ids:
                    row = self.rows.get(each)
                    if row and row.state in (NodeState.BOOTING, NodeState.READY):
                        self.rows[each] = replace(row, state=NodeState.DRAINING, since=self.now, reason=reason)
            case EndNodes(_, ids, replaced):
                for each in ids:
                    self._end(each, replaced=replaced)
            case PutFacts(_, document):
                self.document = document
            case _:
                raise AssertionError(f"nobody asks for {action}")

    def _end(self, name: str, *, replaced: bool) -> None:
        member = next(each for each in self.group.members if each.id == name)
        assert member.step in (MemberStep.COMING, MemberStep.USABLE), "it goes already"
        assert not self.running_on(name), "a job was ended"
        desired = self.group.desired - (not replaced)
        assert desired >= self.group.min, "Auto Scaling would refuse"
        members = tuple(
            replace(each, lifecycle="Terminating") if each is member else each for each in self.group.members
        )
        self.group = replace(self.group, desired=desired, members=members)

    def running_on(self, instance: str) -> list[Job]:
        row = self.rows.get(instance)
        return [job for job in self.jobs if row and row.name in job.on]

    # What goes on by itself.

    def tick(self) -> None:
        self.now += TICK
        self._tick_group()
        self._tick_hosts()
        self._tick_agent()
        self._tick_jobs()
        self._tick_agent()
        self._publish()

    def _tick_group(self) -> None:
        group, members = self.group, list[GroupMember]()
        for member in group.members:
            if member.step is MemberStep.COMING:
                members.append(replace(member, lifecycle="InService"))
            elif member.step is MemberStep.USABLE:
                members.append(member)
        launches = list(group.launches)
        for _ in range(group.desired - len(members)):
            self.launched += 1
            if not next(self.fate, True):
                launches.insert(0, Launch(f"try-{self.launched}", "Failed", "InsufficientInstanceCapacity", self.now))
                break
            launches.insert(0, Launch(f"try-{self.launched}", "Successful", "", self.now))
            name = f"i-{self.launched:017x}"
            members.append(GroupMember(name, "Pending", template_version=self.template))
            self.booted[name] = self.now + self.boot_seconds if next(self.boots, True) else float("inf")
        self.group = replace(
            group, members=tuple(members), launches=tuple(launches[:20]), template_version=self.template
        )

    def _tick_hosts(self) -> None:
        """A node that has booted joins under its name; one that never does says that it has failed."""
        there = {member.id for member in self.group.members}
        for row in list(self.rows.values()):
            up = row.id in there and self.booted.get(row.id, 0.0) <= self.now
            if row.state is NodeState.BOOTING and up and self.hosts[row.name].state is Host.DOWN:
                self.hosts[row.name] = Seen(Host.IDLE, self.now)
            if row.state is NodeState.BOOTING and self.booted.get(row.id) == float("inf"):
                self.rows[row.id] = replace(row, state=NodeState.FAILED, since=self.now, reason="bootstrap failed")

    def _tick_agent(self) -> None:
        members = {each.id: STEPS[each.step] for each in self.group.members if each.step in STEPS}
        known = {row.id: Known(Row(row.state.value), row.since, row.name) for row in self.rows.values()}
        for deed, instance, name in list(tasks(members, known, self.hosts, self.now)):
            row = self.rows.get(instance)
            if deed is Deed.ADD:
                self._add(instance)
            elif deed is Deed.DROP:
                del self.rows[instance]
            elif deed in SAYS and row:
                served = row.served or SAYS[deed] is NodeState.READY
                self.rows[instance] = replace(row, state=SAYS[deed], since=self.now, served=served)
            elif deed is Deed.UNBIND:
                self._unbind(name)
            elif deed is Deed.LOCK:
                busy = self.hosts[name].state is Host.BUSY
                self.hosts[name] = Seen(Host.LOCKED_BUSY if busy else Host.LOCKED, self.now)

    def _add(self, instance: str) -> None:
        taken = [row.name for row in self.rows.values()]
        name = next(free_names("compute", 10, taken), None)
        if name is None:
            return
        self.rows[instance] = NodeRow(instance, "compute", name, NodeState.BOOTING, self.now)
        self.hosts[name] = Seen(Host.DOWN, self.now)

    def _unbind(self, name: str) -> None:
        for job in self.jobs:
            if name in job.on:
                self.lost += 1
                job.on, job.ends = (), 0.0
        self.hosts[name] = Seen(Host.DOWN, self.now)

    def _tick_jobs(self) -> None:
        self.jobs = [job for job in self.jobs if not job.on or job.ends > self.now]
        for job in self.jobs:
            if not job.on:
                open_ = [name for name, seen in sorted(self.hosts.items()) if seen.state in (Host.IDLE, Host.BUSY)]
                fitting = [name for name in open_ if self.free(name).holds(job.each)]
                if len(fitting) >= job.nodes:
                    job.on, job.ends = tuple(islice(fitting, job.nodes)), self.now + job.seconds
        busy = {name for job in self.jobs for name in job.on}
        states = {
            Host.IDLE: (Host.BUSY, Host.IDLE),
            Host.BUSY: (Host.BUSY, Host.IDLE),
            Host.LOCKED: (Host.LOCKED_BUSY, Host.LOCKED),
            Host.LOCKED_BUSY: (Host.LOCKED_BUSY, Host.LOCKED),
        }
        for name, seen in self.hosts.items():
            if seen.state in states:
                becomes = states[seen.state][name not in busy]
                self.hosts[name] = seen if becomes is seen.state else Seen(becomes, self.now)

    def free(self, name: str) -> Shape:
        """What is free on a host."""
        left = NODE
        for job in self.jobs:
            left = left.less(job.each) if name in job.on else left
        return left

    def _publish(self) -> None:
        ready = {row.name: row.id for row in self.rows.values() if row.state is NodeState.READY}
        idle = [ready[name] for name in ready if self.hosts[name].state is Host.IDLE]
        self.idle = {each: self.idle.get(each, self.now) for each in idle}
        pending = Counter((job.each, job.nodes) for job in self.jobs if not job.on)
        rooms = Counter(self.free(name) for name in ready if self.hosts[name].state is Host.BUSY)
        said = QueueDemand(
            tuple(Pending(each, nodes, count) for (each, nodes), count in sorted(pending.items())),
            tuple(Room(each, count) for each, count in sorted(rooms.items())),
            dict(self.idle),
        )
        if said != self.said:
            self.said, self.said_at = said, self.now
