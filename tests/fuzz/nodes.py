"""What a cluster's nodes write, sound and damaged, read and planned for: no text of theirs breaks or bends a pass.

A case is a cluster with Slurm, groups with members in any state, and the rows of its nodes, some of them damaged.
"""

import json
import time
import traceback
from collections.abc import Iterable, Iterator
from decimal import Decimal
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from reconciler.actions import DrainNodes, EndNodes, ResizeGroup
from reconciler.cluster import Cluster, Invalid, parse
from reconciler.facts import Group, Member, group_name
from reconciler.nodes import NodeFacts, NodeState, facts_of, shapes_of
from reconciler.pins import Pins
from reconciler.plan import Desired, Plan, plan
from reconciler.plan.tally import THERE
from reconciler.record import Record
from reconciler.slurm import facts_document, required_shapes
from reconciler.statuses import LIFECYCLE
from reconciler.store import decode, encode
from tests.fuzz.generate import CANARIES, damage, slurm_spec
from tests.unit import factories as make
from tests.unit.factories import NOW

Json = dict[str, Any]
NODES = "node_rows"
# What an item of DynamoDB may have (bytes), and what a case may take (seconds).
ITEM, LONGEST = 400_000, 20.0
TIMES = (NOW - 4000, NOW - 130, NOW - 60, NOW - 1, NOW, NOW + 50)
COUNTS = (0, 1, 1, 2, 3, 7, 200, 2**31 - 1, 2**31, -1)
REASONS = ("Dependency", "PartitionConfig", "JobHeldUser", *CANARIES)


def cluster(random: Random) -> Cluster:
    """A cluster with Slurm whose spec is accepted."""
    while isinstance(parsed := parse(slurm_spec(random)), Invalid):
        pass
    return parsed


def pins(of: Cluster, random: Random) -> Pins:
    """Its instance types, each with some vCPUs, cores, memory and GPUs."""
    kinds = sorted(required_shapes(of))
    cores = {kind: random.choice([1, 2, 8, 96]) for kind in kinds}
    return Pins(
        shapes={
            kind: (cores[kind] * random.choice([1, 2]), cores[kind], random.choice([512, 16_384, 2**21]), each)
            for kind, each in zip(kinds, random.choices([0, 0, 0, 1, 8], k=len(kinds)), strict=True)
        }
    )


def group(of: Cluster, queue: str, random: Random) -> Group:
    """A queue's group: up to eight members, most in service."""
    states = random.choices(["InService"] * 20 + sorted(LIFECYCLE) + ["Unheard"], k=random.randrange(9))
    there = tuple(Member(f"i-{queue}-{number}", state) for number, state in enumerate(states))
    high = random.choice([0, 5, 5000])
    return Group(group_name(of.metadata.name, queue), queue, 0, high, random.randint(0, high), members=there)


def rows(groups: Iterable[Group], told: str, random: Random) -> list[Json]:
    """The rows of the nodes and of the head node's agent, as the table's API gives them, one in three damaged."""
    groups = list(groups)
    nodes = [_node(member, each, random) for each in groups for member in each.members if random.random() < 0.9]
    sign = {"row": "AGENT", "at": Decimal(str(random.choice(TIMES))), "reason": random.choice(["", "", *CANARIES])}
    documents = [
        {"row": "DEMAND", "document": demand(groups, random), "at": Decimal(str(random.choice(TIMES)))},
        {"row": "FACTS", "document": random.choice([told, told, told, "{}", *CANARIES])},
    ]
    made = [encode({"cluster": "c/nodes", **row}) for row in (*nodes, sign, *documents) if random.random() < 0.95]
    return [row for row in (damage(each, random) if random.random() < 0.3 else each for each in made) if _held(row)]


def _node(member: Member, of: Group, random: Random) -> Json:
    return {
        "row": f"NODE#{member.id}",
        "queue": random.choice([of.queue, of.queue, of.queue, "elsewhere"]),
        "name": f"{of.queue}-{random.randint(1, 9)}",
        "state": random.choice(list(NodeState)).value,
        "since": Decimal(str(random.choice(TIMES))),
        "reason": random.choice(["", "broken", "x" * 3000, *CANARIES]),
        "served": random.random() < 0.5,
    }


def demand(groups: Iterable[Group], random: Random) -> str:
    """A document of demand: what an agent writes, or with any numbers, or with damage, or cut off."""
    queues = {each.queue: _wants(each, random) for each in groups}
    tree: Json = {"queues": queues, "nodes": {"ready": random.choice(COUNTS)}}
    if random.random() < 0.3:
        damage(tree, random)
    text = json.dumps(tree, default=str)
    return text[: random.randrange(len(text) + 1)] if random.random() < 0.05 else text


def _wants(of: Group, random: Random) -> Json:
    return {
        "pending": [[*_shape(random), *random.choices(COUNTS, k=2), random.randrange(2)] for _ in _some(random)],
        "rooms": [[*_shape(random), random.choice(COUNTS)] for _ in range(random.randrange(4))],
        "idle": {member.id: random.choice(TIMES) for member in of.members if random.random() < 0.5},
        "waiting": _counted(random),
        "never": _counted(random),
    }


def _some(random: Random) -> range:
    """Few kinds of jobs; now and then more than anybody would list."""
    return range(random.choice([0, 1, 2, 3, 5, random.choice([5, 5, 5, 300])]))


def _counted(random: Random) -> Json:
    few = {reason: random.choice(COUNTS) for reason in random.sample(REASONS, random.randrange(3))}
    return few | ({f"Reason{number}": 1 for number in range(300)} if random.random() < 0.02 else {})


def _shape(random: Random) -> list[int]:
    memory = random.choice([0, 1, 1000, 10**6 + random.randrange(500)])
    return [random.choice([0, 1, 2, 16, 200]), memory, random.choice([0, 0, 0, 1, 4])]


def _held(item: Json) -> bool:
    """Whether the table could hold such a row: it knows the types, and a row has a key."""
    try:
        row = decode(item)
        encode(row)
    except (ClientError, TypeError, ValueError, AttributeError, ArithmeticError, LookupError):
        return False
    return isinstance(row.get("row"), str)


def case(number: int) -> None:
    """One pass over a cluster with such rows."""
    random = Random(number)
    of = cluster(random)
    pinned = pins(of, random)
    told = facts_document(of, pinned)
    assert set(shapes_of(told)) == {queue.name for queue in of.spec.queues}
    assert told == facts_document(of, pinned)
    groups = [group(of, queue.name, random) for queue in of.spec.queues if random.random() < 0.95]
    facts = facts_of(map(decode, rows(groups, told, random)))
    wanted = make.desired(name=of.metadata.name, cluster=of, facts=told)
    started = time.monotonic()
    made = _planned(wanted, groups, facts, make.record(cluster=of.metadata.name, sizes={}))
    assert time.monotonic() - started < LONGEST
    check_moves(of, made, groups, facts)
    check_writes(made)
    again = _planned(wanted, groups, facts, made.record)
    check_moves(of, again, groups, facts)
    check_writes(again)


def _planned(wanted: Desired, groups: Iterable[Group], facts: NodeFacts, memory: Record) -> Plan:
    tags = {"muster:cluster": wanted.name}
    stack = make.stack(name=f"muster-{wanted.name}", tags={**make.stack().tags, **tags})
    there = make.actual(stack=stack, groups=tuple(groups), nodes=facts)
    return plan(wanted, there, memory, NOW)


def check_moves(of: Cluster, made: Plan, groups: Iterable[Group], facts: NodeFacts) -> None:
    """Whatever rows say: who is ended or drained is a member, and is in a state for it; no size leaves its bounds."""
    members = {each.name: {m.id for m in each.members if m.step in THERE} for each in groups}
    state = {row.id: row.state for row in facts.rows}
    most = {group_name(of.metadata.name, queue.name): queue.bounds.max for queue in of.spec.queues}
    for action in made.actions:
        if isinstance(action, EndNodes):
            assert set(action.ids) <= members[action.group]
            assert {state[each] for each in action.ids} <= {NodeState.DRAINED, NodeState.FAILED}
        elif isinstance(action, DrainNodes):
            assert set(action.ids) <= set().union(*members.values())
            assert {state[each] for each in action.ids} <= {NodeState.BOOTING, NodeState.READY}
        elif isinstance(action, ResizeGroup):
            assert action.desired is not None
            assert 0 <= len(members[action.group]) <= action.desired <= action.max
            assert action.max == max(most[action.group], action.desired)


def check_writes(made: Plan) -> None:
    """What is remembered and told is such as DynamoDB takes."""
    item = encode(made.record.to_item())
    assert len(json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass")) < ITEM // 2
    json.dumps(item, ensure_ascii=False).encode()
    for event in made.events:
        event.message.encode()


def run_nodes(numbers: Iterable[int]) -> list[str]:
    """The failures of such cases, each with its number and traceback."""
    return list(_failures(numbers))


def _failures(numbers: Iterable[int]) -> Iterator[str]:
    for number in numbers:
        try:
            case(number)
        except Exception:  # noqa: BLE001 - whatever it is, it is a failure, and the other cases run on
            yield f"{NODES} {number}\n{traceback.format_exc()[-1500:]}"
