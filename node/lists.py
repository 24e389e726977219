"""Three lists of a queue's nodes, and what is done about each way in which they can differ.

The group's members are what there is; the rows of the state table are what the operator and the head node know of
each; the scheduler's hosts are where jobs can run. Messages only say when to look: what is done follows from the lists
alone, so that a message which is lost, doubled or late changes nothing but the delay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeVar


class Member(Enum):
    """An instance as its group has it."""

    ABSENT = "absent"
    COMING = "coming"
    SERVING = "serving"
    GOING = "going"


class Row(Enum):
    """An instance as the state table has it. The operator asks for DRAINING, and ends what is DRAINED or FAILED."""

    ABSENT = "absent"
    BOOTING = "booting"
    READY = "ready"
    DRAINING = "draining"
    DRAINED = "drained"
    FAILED = "failed"


class Host(Enum):
    """A name as the scheduler has it. A DOWN one stands for no instance; LOCKED ones are drained by us."""

    DOWN = "down"
    IDLE = "idle"
    BUSY = "busy"
    SILENT = "silent"
    LOCKED = "locked"
    LOCKED_BUSY = "locked, with jobs"
    SET_ASIDE = "set aside by somebody"
    SET_ASIDE_BUSY = "set aside by somebody, with jobs"


class Deed(Enum):
    """What the head node does about one node."""

    NOTHING = "nothing"
    ADD = "make a row, and give it a name"
    DROP = "drop the row; its name is free"
    SAY_READY = "the row is ready"
    SAY_DRAINING = "the row is draining"
    SAY_DRAINED = "the row is drained"
    SAY_FAILED = "the row has failed"
    BIND = "tell the scheduler the address, where it is known and new"
    UNBIND = "the scheduler takes the host for down; its jobs are queued again"
    LOCK = "drain the host"
    UNLOCK = "resume the host"


ANY_MEMBER, ANY_ROW, ANY_HOST = frozenset(Member), frozenset(Row), frozenset(Host)
THERE = frozenset({Member.COMING, Member.SERVING})
UP = frozenset({Host.IDLE, Host.BUSY})
WITH_JOBS = frozenset({Host.BUSY, Host.LOCKED_BUSY, Host.SET_ASIDE_BUSY})
BOUND = ANY_HOST - {Host.DOWN}
# Seconds. A row that no member stands behind may be of an instance that its group does not show yet; a node that has
# said nothing for so long says nothing any more; a host that does not answer may come back.
GRACE, BOOT, PATIENCE = 120.0, 1800.0, 300.0
# Seconds after which a booting node that goes is one whose launch hook nobody completed: that takes half an hour.
LATE = 1500.0


class Rule(NamedTuple):
    """What is done where all three agree with it, and have for `after` seconds."""

    members: frozenset[Member]
    rows: frozenset[Row]
    hosts: frozenset[Host]
    deed: Deed
    after: float = 0.0


T = TypeVar("T")


def _one(*values: T) -> frozenset[T]:
    return frozenset(values)


# The first that fits, and whose time has come, is what is done.
RULES = (
    # Ghosts: whoever has no row has no instance.
    Rule(ANY_MEMBER, _one(Row.ABSENT), BOUND, Deed.UNBIND),
    Rule(_one(Member.ABSENT, Member.GOING), _one(Row.ABSENT), ANY_HOST, Deed.NOTHING),
    Rule(THERE, _one(Row.ABSENT), ANY_HOST, Deed.ADD),
    # Gone, or going: jobs are queued again at once, the name is free when the instance is no more. That an instance was
    # seen to go is kept in its row: it is not one that its group does not show yet.
    Rule(_one(Member.GOING), _one(Row.BOOTING), ANY_HOST, Deed.SAY_FAILED, LATE),
    Rule(_one(Member.GOING), _one(Row.BOOTING), ANY_HOST, Deed.SAY_DRAINING),
    Rule(_one(Member.ABSENT, Member.GOING), ANY_ROW, BOUND, Deed.UNBIND),
    Rule(_one(Member.ABSENT), _one(Row.BOOTING), ANY_HOST, Deed.DROP, GRACE),
    Rule(_one(Member.ABSENT), ANY_ROW - {Row.BOOTING}, ANY_HOST, Deed.DROP),
    Rule(_one(Member.ABSENT, Member.GOING), ANY_ROW, ANY_HOST, Deed.NOTHING),
    # Joining. The scheduler's word is as good as the node's own, which may have been lost.
    Rule(THERE, _one(Row.BOOTING), UP, Deed.SAY_READY),
    Rule(THERE, _one(Row.BOOTING), ANY_HOST, Deed.SAY_FAILED, BOOT),
    Rule(THERE, _one(Row.BOOTING), _one(Host.DOWN), Deed.BIND),
    Rule(THERE, _one(Row.BOOTING), ANY_HOST, Deed.NOTHING),
    Rule(THERE, _one(Row.READY), _one(Host.DOWN), Deed.SAY_FAILED, PATIENCE),
    Rule(THERE, _one(Row.READY), _one(Host.DOWN), Deed.BIND),
    Rule(THERE, _one(Row.READY, Row.DRAINING, Row.DRAINED), _one(Host.SILENT), Deed.SAY_FAILED, PATIENCE),
    Rule(THERE, _one(Row.READY), _one(Host.LOCKED, Host.LOCKED_BUSY), Deed.UNLOCK),
    # What an administrator has set aside is his to give back.
    Rule(THERE, _one(Row.READY), ANY_HOST, Deed.NOTHING),
    # Leaving: no new jobs, then none, then the operator ends it. A silent host may have jobs yet.
    Rule(THERE, _one(Row.DRAINING), UP, Deed.LOCK),
    Rule(THERE, _one(Row.DRAINING), _one(Host.LOCKED_BUSY, Host.SET_ASIDE_BUSY, Host.SILENT), Deed.NOTHING),
    Rule(THERE, _one(Row.DRAINING), ANY_HOST, Deed.SAY_DRAINED),
    Rule(THERE, _one(Row.DRAINED), UP | WITH_JOBS, Deed.SAY_DRAINING),
    Rule(THERE, _one(Row.DRAINED), ANY_HOST, Deed.NOTHING),
    Rule(THERE, _one(Row.FAILED), BOUND, Deed.UNBIND),
    Rule(THERE, _one(Row.FAILED), ANY_HOST, Deed.NOTHING),
)


def rule_of(member: Member, row: Row, host: Host, age: float) -> Rule:
    """The rule for a node that the lists have shown like this for so long (seconds)."""
    fits = (rule for rule in RULES if member in rule.members and row in rule.rows and host in rule.hosts)
    return next(rule for rule in fits if age >= rule.after)


@dataclass(frozen=True)
class Known:
    """A row: the instance's state since when (seconds since the epoch), and the name that it has at the scheduler."""

    state: Row
    since: float
    name: str


@dataclass(frozen=True)
class Seen:
    """A host: its state since when, as far as it was seen."""

    state: Host
    since: float


class Task(NamedTuple):
    """One thing to do: about an instance, a name, or both."""

    deed: Deed
    instance: str
    name: str


def tasks(
    members: Mapping[str, Member], rows: Mapping[str, Known], hosts: Mapping[str, Seen], now: float
) -> Iterator[Task]:
    """What is to be done about each node, by its instance's id or, if it has none, by its host's name."""
    named = {row.name for row in rows.values()}
    for instance in sorted({*members, *rows}):
        row, member = rows.get(instance), members.get(instance, Member.ABSENT)
        host = hosts.get(row.name) if row else None
        yield from _task(member, row, host, instance, now)
    for name in sorted(hosts.keys() - named):
        yield from _task(Member.ABSENT, None, hosts[name], name, now)


def _task(member: Member, row: Known | None, host: Seen | None, about: str, now: float) -> Iterator[Task]:
    state = host.state if host else Host.DOWN
    at = (row, host if state in (Host.SILENT, Host.DOWN) else None)
    since = max((each.since for each in at if each), default=now)
    # Others write rows too, by clocks of their own: what is ahead of ours has just happened.
    deed = rule_of(member, row.state if row else Row.ABSENT, state, max(now - since, 0.0)).deed
    if deed is not Deed.NOTHING:
        instance = about if row or member is not Member.ABSENT else ""
        yield Task(deed, instance, row.name if row else "" if instance else about)


def free_names(prefix: str, most: int, taken: Iterable[str]) -> Iterator[str]:
    """The names of a queue that no row has, of so many: PREFIX-1, PREFIX-2, and so on."""
    used = set(taken)
    names = (f"{prefix}-{number}" for number in range(1, most + 1))
    return (name for name in names if name not in used)
