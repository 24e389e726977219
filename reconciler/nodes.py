"""What the nodes' rows of the state table say, as plain facts.

A cluster's nodes write them, and could write anything: what cannot be read is left out and told, and nothing here
raises. The operator reads the rows by their key up to `SECRET`, so that it never has a secret in its hands.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar, cast

from reconciler.demand import Pending, Room, Shape

AGENT, DEMAND, FACTS, NODE, SECRET = "AGENT", "DEMAND", "FACTS", "NODE#", "SECRET"
# Characters of what a node says that are kept, as many as its agent sends; and of what of its rows cannot be read.
LONGEST_REASON, LONGEST_UNREAD, MOST_UNREAD = 2000, 100, 10
# Begins the reason of a node that EC2 takes back.
INTERRUPTED = "Spot interruption"
# What is larger is no size of a job or a node.
MOST = 2**31


def partition(cluster: str) -> str:
    """The partition of the state table in which a cluster's nodes write. It is no cluster's name."""
    return f"{cluster}/nodes"


class NodeState(StrEnum):
    """The state of a node's row; `node.lists` says who moves it, and when."""

    BOOTING = "booting"
    READY = "ready"
    DRAINING = "draining"
    DRAINED = "drained"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node as its row has it. `name` is Slurm's, `since` of the state; `served` says that it was ready once."""

    id: str
    queue: str
    name: str
    state: NodeState
    since: float
    reason: str = ""
    served: bool = False


@dataclass(frozen=True, slots=True)
class QueueDemand:
    """What the jobs of a queue want, as the head node tells it.

    `pending` could start if there were room, `rooms` are free on nodes that are ready and have jobs, `idle` maps nodes
    without jobs to the time since when. `waiting` and `never` count jobs that wait for something else, and jobs that
    can never run, by the scheduler's reason.
    """

    pending: tuple[Pending, ...] = ()
    rooms: tuple[Room, ...] = ()
    idle: Mapping[str, float] = field(default_factory=dict[str, float])
    waiting: Mapping[str, int] = field(default_factory=dict[str, int])
    never: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """All rows of a cluster's nodes. Times are seconds since the epoch; None is "never".

    `facts_document` is what the head node was last told. `unread` names what could not be read.
    """

    rows: tuple[NodeRow, ...] = ()
    demand: Mapping[str, QueueDemand] = field(default_factory=dict[str, QueueDemand])
    demand_at: float | None = None
    agent_at: float | None = None
    agent_reason: str = ""
    facts_document: str = ""
    unread: tuple[str, ...] = ()


class _UnreadableError(Exception):
    """Something is not what the contract says."""


def facts_of(items: Iterable[Mapping[str, Any]]) -> NodeFacts:
    """The facts of a partition's rows, as plain values (numbers are Decimals). Never raises."""
    known = {str(item.get("row", "")): item for item in items}
    unread: list[str] = []
    agent, demand = known.get(AGENT, {}), known.get(DEMAND, {})
    rows = [_tried(_row, unread, key, known[key]) for key in sorted(known) if key.startswith(NODE)]
    return NodeFacts(
        rows=tuple(row for row in rows if row),
        demand=_demand(demand, unread) if demand else {},
        demand_at=_tried(_at, unread, DEMAND, demand) if demand else None,
        agent_at=_tried(_at, unread, AGENT, agent) if agent else None,
        agent_reason=_words(agent.get("reason")),
        facts_document=_text(known.get(FACTS, {}).get("document")),
        unread=tuple(each[:LONGEST_UNREAD] for each in unread[:MOST_UNREAD]),
    )


def shapes_of(document: str) -> dict[str, Shape]:
    """What a node of each queue has, by the document of facts that the operator writes for the head node."""
    try:
        queues = json.loads(document)["queues"]
        return {each["name"]: Shape(each["cpus"], each["memory"], each["gpus"]) for each in queues}
    except (ValueError, LookupError, TypeError):
        return {}


T = TypeVar("T")


def _tried(read: Callable[[str, Any], T], unread: list[str], what: str, value: Any) -> T | None:
    """What is read, or None; then `unread` has its name."""
    try:
        return read(what, value)
    except (_UnreadableError, ArithmeticError, ValueError, TypeError):
        unread.append(what)
        return None


def _row(key: str, item: Mapping[str, Any]) -> NodeRow:
    name, queue = key.removeprefix(NODE), _text(item.get("queue"))
    if not name or not queue:
        raise _UnreadableError
    return NodeRow(
        name,
        queue,
        _text(item.get("name")),
        NodeState(_text(item.get("state"))),
        _time(item.get("since")),
        _words(item.get("reason")),
        item.get("served") is True,
    )


def _at(_: str, item: Mapping[str, Any]) -> float:
    return _time(item.get("at"))


def _demand(item: Mapping[str, Any], unread: list[str]) -> dict[str, QueueDemand]:
    try:
        queues = _mapping(_mapping(json.loads(_text(item.get("document"))))["queues"])
    except (_UnreadableError, ValueError, LookupError, RecursionError):
        unread.append(f"{DEMAND}: document")
        return {}
    found = {name: _tried(_queue, unread, f"{DEMAND}: queue {name}", (said, unread)) for name, said in queues.items()}
    return {name: queue for name, queue in found.items() if queue}


def _queue(what: str, value: tuple[Any, list[str]]) -> QueueDemand:
    said, unread = _mapping(value[0]), value[1]
    return QueueDemand(
        pending=_each(_pending, said.get("pending"), unread, f"{what}: pending"),
        rooms=_each(_room, said.get("rooms"), unread, f"{what}: rooms"),
        idle=_counts(_time, said.get("idle"), unread, f"{what}: idle"),
        waiting=_counts(_count, said.get("waiting"), unread, f"{what}: waiting"),
        never=_counts(_count, said.get("never"), unread, f"{what}: never"),
    )


def _each(read: Callable[[str, Any], T], value: Any, unread: list[str], what: str) -> tuple[T, ...]:
    parts = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    if value is not None and not isinstance(value, list):
        unread.append(what)
    found = (_tried(read, unread, f"{what} {number}", part) for number, part in enumerate(parts))
    return tuple(part for part in found if part is not None)


def _counts(read: Callable[[Any], T], value: Any, unread: list[str], what: str) -> dict[str, T]:
    parts = cast("Mapping[str, Any]", value if isinstance(value, dict) else {})
    if value is not None and not isinstance(value, dict):
        unread.append(what)
    found = {key: _tried(lambda _, part: read(part), unread, f"{what} {key}", part) for key, part in parts.items()}
    return {key[:LONGEST_UNREAD]: part for key, part in found.items() if part is not None}


def _pending(_: str, value: Any) -> Pending:
    parts = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    cpus, memory, gpus, nodes, count, exclusive = _numbers([*parts[:6]], 6)
    if not (cpus or memory or gpus) or not nodes or not count:
        raise _UnreadableError
    return Pending(Shape(cpus, memory, gpus), nodes, count, bool(exclusive), _others(parts[6:]))


def _others(value: Sequence[Any]) -> tuple[str, ...]:
    """The other queues of a job; it stands without them where there are none."""
    if not value:
        return ()
    (names,) = value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast("list[Any]", names)):
        raise _UnreadableError
    return tuple(cast("list[str]", names))


def _room(_: str, value: Any) -> Room:
    cpus, memory, gpus, count = _numbers(value, 4)
    return Room(Shape(cpus, memory, gpus), count)


def _numbers(value: Any, length: int) -> Sequence[int]:
    parts = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    if len(parts) != length:
        raise _UnreadableError
    return [_count(part) for part in parts]


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MOST:
        raise _UnreadableError
    return value


def _time(value: Any) -> float:
    """Seconds since the epoch; what is none of this era is refused, for it would spoil every comparison."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not 0 <= value < 1e11:
        raise _UnreadableError
    return float(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _UnreadableError
    return cast("Mapping[str, Any]", value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _words(value: Any) -> str:
    """What is shown to users: without characters that would move a terminal's cursor, and not too long."""
    text = _text(value)[-LONGEST_REASON:]
    return "".join(each if each.isprintable() or each == "\n" else " " for each in text)
