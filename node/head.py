"""The head node's agent: it keeps the rows, the scheduler's hosts and the demand at what the lists say.

A pass looks at everything anew. Messages, and what the scheduler shows between, only make the next one come sooner.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from node import demand, ranks
from node.facts import FactsError, parse_facts
from node.groups import LAUNCH_HOOK, TERMINATE_HOOK
from node.lists import UP, Deed, Host, Known, Member, Row, Seen, Task, free_names, tasks
from node.machine import MachineError
from node.rows import NodeRow, side_by_side
from node.scheduler import HostState, Jobs, Scheduler, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.facts import Facts, Queue
    from node.groups import Belonging, Groups
    from node.messages import Messages
    from node.rows import Rows, Table

LOG = logging.getLogger(__name__)

# Seconds: how long to wait for a message, the longest between two passes, between two signs of life, and between two
# tries after a pass that broke.
POLL, PAUSE, SIGN, BACKOFF = 1, 10.0, 60.0, 60.0
# Seconds without jobs for which it is looked at each poll whether a node is to go. Who has been idle for longer is in
# no hurry.
LATELY = 600.0
SAY = {
    Deed.SAY_READY: Row.READY,
    Deed.SAY_DRAINING: Row.DRAINING,
    Deed.SAY_DRAINED: Row.DRAINED,
    Deed.SAY_FAILED: Row.FAILED,
}
# Seconds after which an instance that was let go, and is still held, is told again; and which a node that serves has to
# say itself that it does.
TELL = 60.0
# Rows of nodes that the operator ends, and for how many seconds that is looked for at each poll.
ENDING, SOON = (Row.DRAINED, Row.FAILED), 60.0
NO_USE = "the node's daemon does not answer the scheduler as it should"
# Why a row has failed, by the state that it was in.
FAILURES = {
    Row.BOOTING: "the node has not joined in time",
    Row.READY: NO_USE,
    Row.DRAINING: NO_USE,
    Row.DRAINED: NO_USE,
}


class Look(NamedTuple):
    """What the scheduler shows."""

    hosts: Mapping[str, HostState]
    jobs: Sequence[Jobs]


@dataclass
class Head:
    """The agent. What it remembers it can do without: a new one begins with nothing, and only takes its time."""

    table: Table
    groups: Groups
    messages: Messages
    scheduler: Scheduler
    clock: Callable[[], float]
    version: str
    prepare: Callable[[], None]
    prepared: bool = False
    scheduler_name: str = ""
    seen: dict[str, Seen] = field(default_factory=dict[str, Seen])
    told: dict[str, float] = field(default_factory=dict[str, float])
    idle: dict[str, float] | None = None
    published: str = ""
    signed: float = float("-inf")
    said: str = ""
    looked: float = float("-inf")
    asked: float = float("-inf")
    cost: float = 0.0
    last: Look | None = None
    ending: bool = False

    def run(self, sleep: Callable[[float], object], goes_on: Callable[[], bool] = lambda: True) -> None:
        """Passes for ever: no exception ends them."""
        failures = 0
        while goes_on():
            try:
                self.turn(sleep)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may be better
                failures += 1
                self.looked = float("-inf")
                LOG.error("a pass broke: %s: %s", type(error).__name__, _line(error))
                sleep(min(2.0**failures, BACKOFF))
            else:
                failures = 0

    def turn(self, sleep: Callable[[float], object]) -> None:
        """Wait for something to look at, look, and acknowledge what was the occasion."""
        handles = self._receive(sleep)
        if handles or _over(self.looked, self._pause(), self.clock()) or self._stirred():
            self.look()
            self.messages.delete(handles)

    def _pause(self) -> float:
        """The longest time to the next pass. Nothing tells that a node has been ended, which costs until it may go."""
        return min(PAUSE, max(POLL, 10 * self.cost)) if self.ending else PAUSE

    def _receive(self, sleep: Callable[[float], object]) -> list[str]:
        """Messages only make a look come sooner: without their queue, lost or not to be reached, all goes on."""
        try:
            return self.messages.receive(POLL)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lists are there
            LOG.warning("no messages: %s: %s", type(error).__name__, _line(error))
            sleep(POLL)
            return []

    def look(self) -> None:
        """One pass. What the scheduler does not answer is said, and tried again."""
        reason = ""
        self.looked = self.clock()
        try:
            self._prepare()
            reason = self._pass()
        except (SchedulerError, MachineError, FactsError) as error:
            reason = _line(error)
            LOG.warning("nothing is done: %s", reason)
        except Exception as error:
            reason = f"{type(error).__name__}: {_line(error)}"
            raise
        finally:
            self._sign(reason)

    def _prepare(self) -> None:
        if not self.prepared:
            self.prepare()
            self.prepared = True

    def _stirred(self) -> bool:
        """Whether the scheduler shows anything else than at the last pass. To ask may take a tenth of the time."""
        if not _over(self.asked, 10 * self.cost, self.clock()):
            return False
        try:
            look = self._ask()
            return look != self.last or self._is_to_lock(look)
        except SchedulerError:
            return False

    def _is_to_lock(self, look: Look) -> bool:
        """Whether the operator asks for a node that the scheduler still uses; nothing else tells of it.

        The rows are read where nodes have got idle of late, which cost until they are ended.
        """
        begun = self.clock()
        if not any(begun - since < LATELY for since in (self.idle or {}).values()):
            return False
        rows = self.table.look().nodes.values()
        self.cost += self.clock() - begun
        draining = (look.hosts.get(row.name) for row in rows if row.state is Row.DRAINING)
        return any(host is not None and host.state in UP for host in draining)

    def _ask(self) -> Look:
        begun = self.clock()
        look = Look(self.scheduler.hosts(), self.scheduler.waiting())
        self.asked = self.clock()
        self.cost = self.asked - begun
        return look

    def _pass(self) -> str:
        now = self.clock()
        rows = self.table.look()
        if not rows.facts:
            return "the operator has not said yet what the queues are"
        facts = parse_facts(rows.facts)
        self.scheduler.shape(facts.queues, sorted(row.name for row in rows.nodes.values()))
        self.scheduler_name = self.scheduler_name or self.scheduler.version()
        members = self.groups.members(queue.group for queue in facts.queues)
        look = self._ask()
        self.last = look
        self.seen = remember(self.seen, look.hosts, now)
        work = Work(facts, members, dict(rows.nodes), look.hosts, look.jobs)
        todo = list(
            tasks(
                {instance: each.member for instance, each in members.items()},
                {row.id: Known(row.state, row.since, row.name) for row in rows.nodes.values()},
                self.seen,
                now,
            )
        )
        troubles = self._carry_out(work, todo, now)
        self._let_go(work, now)
        self._publish(work, look, rows, now)
        self._prefer(look, now)
        self.ending = any(row.state in ENDING and not _over(row.since, SOON, now) for row in work.rows.values())
        return "; ".join(troubles)

    def _carry_out(self, work: Work, todo: Sequence[Task], now: float) -> list[str]:
        """The scheduler first: a row that says what is not so yet would have the operator act on it."""
        self.scheduler.unbind(work.names(todo, Deed.UNBIND))
        self.scheduler.lock(work.names(todo, Deed.LOCK))
        self.scheduler.unlock(work.names(todo, Deed.UNLOCK))
        self.scheduler.bind(work.addresses())
        added = work.added(todo, now)
        moved = [(work.rows[task.instance], SAY[task.deed]) for task in todo if task.deed in SAY]
        dropped = [task.instance for task in todo if task.deed is Deed.DROP]
        failed = [
            *side_by_side(lambda row: self._add(work, row), added),
            *side_by_side(lambda move: self._move(work, *move, now), moved),
            *side_by_side(lambda instance: self._drop(work, instance), dropped),
        ]
        work.unbound |= {task.name for task in todo if task.deed is Deed.UNBIND}
        return _failures(failed)

    def _add(self, work: Work, row: NodeRow) -> None:
        if self.table.add(row):
            work.rows[row.id] = row
            LOG.info("%s is %s", row.id, row.name)

    def _move(self, work: Work, row: NodeRow, state: Row, now: float) -> None:
        moved = self.table.move(row, state, now, work.failure(row) if state is Row.FAILED else "")
        if moved:
            work.rows[row.id] = moved
            LOG.info("%s (%s) is %s", row.name, row.id, state.value)

    def _drop(self, work: Work, instance: str) -> None:
        self.table.drop(instance)
        del work.rows[instance]
        LOG.info("%s is no more", instance)

    def _let_go(self, work: Work, now: float) -> None:
        """Instances that a hook holds go on: to their end when no job can be on them, to serve when they do so already.

        One that stays is told so again. Of thousands AWS refuses some for a while; nothing is wrong with the scheduler,
        for the sake of which the operator would launch nothing.
        """

        def let_go(instance: str) -> None:
            member = work.members[instance]
            self.groups.let_go(member.group, member.hook, instance)
            self.told[instance] = now

        self.told = {each: at for each, at in self.told.items() if each in work.members and not _over(at, TELL, now)}
        held = [*work.free(), *work.serving(now)]
        _failures(side_by_side(let_go, [each for each in held if each not in self.told]))

    def _publish(self, work: Work, look: Look, rows: Rows, now: float) -> None:
        if self.idle is None:
            self.idle, self.published = demand.idle_since(rows.demand), rows.demand
        text = demand.document(work.facts.queues, work.rows, look.hosts, look.jobs, self.idle, now)
        self.idle = demand.idle_since(text)
        if text != self.published:
            self.table.tell_demand(text, now)
            self.published = text

    def _prefer(self, look: Look, now: float) -> None:
        """Who gets jobs first; what it takes to know it counts where looks are paced by what they cost."""
        begun = self.clock()
        started = self.scheduler.started()
        self.cost += self.clock() - begun
        for rank, names in ranks.changed(look.hosts, started, now).items():
            self.scheduler.prefer(names, rank)

    def _sign(self, reason: str) -> None:
        """A sign of life; at once when there is another thing to say, or none any more: the operator waits for that."""
        now = self.clock()
        if not _over(self.signed, SIGN, now) and reason == self.said:
            return
        self.table.tell_agent(self.version, self.scheduler_name, reason, now)
        if self.said and not reason:
            self.table.tell_demand(self.published, now)
        self.signed, self.said = now, reason


@dataclass
class Work:
    """One pass: what was found, and the rows as they become."""

    facts: Facts
    members: Mapping[str, Belonging]
    rows: dict[str, NodeRow]
    hosts: Mapping[str, HostState]
    jobs: Sequence[Jobs]
    unbound: set[str] = field(default_factory=set[str])

    def names(self, todo: Sequence[Task], deed: Deed) -> list[str]:
        """The hosts that this is to be done to."""
        return [task.name for task in todo if task.deed is deed and task.name in self.hosts]

    def failure(self, row: NodeRow) -> str:
        """Why a node has failed; the scheduler may know more of it."""
        host = self.hosts.get(row.name)
        said = host.reason if host and host.state is Host.SILENT else ""
        return f"{FAILURES[row.state]}{': ' if said else ''}{said}"

    def addresses(self) -> dict[str, str]:
        """Where hosts are, of which the scheduler does not know it."""
        return {
            row.name: row.address
            for row in self.rows.values()
            if row.address and row.state in (Row.BOOTING, Row.READY) and self._is_elsewhere(row)
        }

    def _is_elsewhere(self, row: NodeRow) -> bool:
        host, member = self.hosts.get(row.name), self.members.get(row.id)
        there = member is not None and member.member in (Member.COMING, Member.SERVING)
        return there and host is not None and host.address != row.address

    def added(self, todo: Sequence[Task], now: float) -> list[NodeRow]:
        """New members' rows, each with a name of its own.

        While nodes are replaced a queue has more members than names: the new ones wait for what the old ones leave, and
        nothing is wrong with the scheduler.
        """
        queues = {queue.group: queue for queue in self.facts.queues}
        names = {queue.name: self._names(queue) for queue in self.facts.queues}
        rows: list[NodeRow] = []
        waiting = 0
        for task in todo:
            if task.deed is Deed.ADD:
                queue = queues[self.members[task.instance].group]
                name = next(names[queue.name], "")
                if name:
                    rows.append(NodeRow(task.instance, queue.name, name, Row.BOOTING, now))
                else:
                    waiting += 1
        if waiting:
            LOG.info("%d instances wait for a name: their queues may have no more nodes", waiting)
        return rows

    def _names(self, queue: Queue) -> Iterator[str]:
        """Those first that jobs wait for."""
        taken = {row.name for row in self.rows.values()}
        wanted = {name for job in self.jobs for name in job.hosts}
        free = (name for name in free_names(queue.name, queue.max, taken) if name in self.hosts)
        return iter(sorted(free, key=lambda name: name not in wanted))

    def free(self) -> list[str]:
        """Instances that are to go, and that no host stands for."""
        return [each for each in self._held(TERMINATE_HOOK) if self._is_down(each)]

    def serving(self, now: float) -> list[str]:
        """Instances that serve, and have not said so to their group: it would end them under their jobs."""
        rows = {each: self.rows[each] for each in self._held(LAUNCH_HOOK) if each in self.rows}
        return [each for each, row in rows.items() if row.served and _over(row.since, TELL, now)]

    def _held(self, hook: str) -> list[str]:
        return [instance for instance, each in self.members.items() if each.hook == hook]

    def _is_down(self, instance: str) -> bool:
        row = self.rows.get(instance)
        host = self.hosts.get(row.name) if row else None
        return row is None or host is None or host.state is Host.DOWN or row.name in self.unbound


def remember(seen: Mapping[str, Seen], hosts: Mapping[str, HostState], now: float) -> dict[str, Seen]:
    """Since when hosts have been as they are."""
    return {
        name: seen[name] if name in seen and seen[name].state is host.state else Seen(host.state, now)
        for name, host in hosts.items()
    }


def _over(since: float, seconds: float, now: float) -> bool:
    """Whether so long has passed. A time that is ahead is of a clock that was set back, and nothing to wait for."""
    return not 0 <= now - since < seconds


def _failures(failed: Sequence[tuple[Any, Exception]]) -> list[str]:
    """What to say of what failed: the rest was done, and the next pass does it."""
    if not failed:
        return []
    text = f"{len(failed)} calls failed, the first one: {_line(failed[0][1])}"
    LOG.warning("%s", text)
    return [text]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
