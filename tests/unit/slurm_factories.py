"""Builders of what a cluster with Slurm is made of: its spec, its nodes' rows, and what its head node says."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.demand import Pending, Shape
from reconciler.facts import Actual, Group, Member
from reconciler.nodes import NodeFacts, NodeRow, NodeState, QueueDemand
from reconciler.pins import Pins
from reconciler.plan import Desired, Plan, plan
from reconciler.record import Record
from reconciler.slurm import facts_document
from tests.unit import factories as make
from tests.unit.factories import NOW

SHAPES = {"c7i.large": (2, 1, 4096, 0)}
NODE = Shape(2, 3891)
SMALL = Shape(1, 100)
BOUNDS: dict[str, Any] = {"minSize": 0, "maxSize": 10}
READY, BOOTING, DRAINING, DRAINED, FAILED = (
    NodeState.READY,
    NodeState.BOOTING,
    NodeState.DRAINING,
    NodeState.DRAINED,
    NodeState.FAILED,
)


def spec(*queues: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The spec of a cluster with Slurm; its one queue may have up to 10 nodes, but for what is given."""
    given = [make.queue_spec(**queue) for queue in queues] or [make.queue_spec(**BOUNDS)]
    return {"scheduler": "slurm", "image": {"os": "ubuntu2404"}, "queues": given, **more}


def desired(*queues: Mapping[str, Any], **more: Any) -> Desired:
    written = spec(*queues, **more)
    return make.desired(spec=written, facts=facts_document(make.cluster(**written), Pins(shapes=SHAPES)))


def name(number: int) -> str:
    return f"i-{number:017x}"


def row(number: int, state: NodeState = READY, since: float = NOW - 600, **fields: Any) -> NodeRow:
    given = {"queue": "compute", "name": f"compute-{number + 1}"}
    return NodeRow(**{"id": name(number), "state": state, "since": since, **given, **fields})


def rows(*states: NodeState, **fields: Any) -> tuple[NodeRow, ...]:
    return tuple(row(number, state, **fields) for number, state in enumerate(states))


def group(*lifecycles: str, desired: int | None = None, **fields: Any) -> Group:
    """A group as the operator keeps it; its members in these states."""
    there = tuple(Member(name(number), each) for number, each in enumerate(lifecycles))
    given = {"min": 0, "max": 10, "desired": len(there) if desired is None else desired, "members": there}
    return make.group(**{**given, **fields})


def members(count: int, **fields: Any) -> Group:
    return group(*["InService"] * count, **fields)


def jobs(count: int = 1, each: Shape = NODE, nodes: int = 1, *, exclusive: bool = False) -> Pending:
    return Pending(each, nodes, count, exclusive)


def demand(*pending: Pending, idle: Iterable[int] = (), since: float = NOW - 600, **fields: Any) -> QueueDemand:
    return QueueDemand(pending=pending, idle={name(number): since for number in idle}, **fields)


def nodes(
    rows: Sequence[NodeRow] = (), wants: QueueDemand | None = None, told: str | None = None, **fields: Any
) -> NodeFacts:
    """What a living head node says; it was told what it has to know."""
    document = desired().facts if told is None else told
    given = {"demand": {"compute": wants or QueueDemand()}, "demand_at": NOW - 5, "agent_at": NOW - 5}
    return NodeFacts(**{"rows": tuple(rows), "facts_document": document, **given, **fields})


def actual(there: Group | None, said: NodeFacts | None, **fields: Any) -> Actual:
    return make.actual(groups=(there,) if there else (), nodes=said, **fields)


def record(**fields: Any) -> Record:
    return make.record(**{"sizes": {"compute": (0, 10, None)}, **fields})


def planned(
    there: Group | None,
    said: NodeFacts | None,
    wanted: Desired | None = None,
    memory: Record | None = None,
    now: float = NOW,
    **fields: Any,
) -> Plan:
    """The plan for a cluster with Slurm that is as it should be, but for what is given."""
    asked = wanted or desired()
    if said and said.facts_document == desired().facts:
        said = NodeFacts(**{**_fields(said), "facts_document": asked.facts})
    return plan(asked, actual(there, said, **fields), memory or record(), now)


def _fields(said: NodeFacts) -> dict[str, Any]:
    return {each: getattr(said, each) for each in NodeFacts.__dataclass_fields__}


def document(wants: Mapping[str, Any]) -> str:
    """A document of demand as the head node writes it."""
    return json.dumps({"queues": wants, "nodes": {}}, sort_keys=True, separators=(",", ":"))
