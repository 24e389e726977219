"""What nodes write of themselves is read as far as it can be, and never more is believed."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import watch
from node.lists import Row
from reconciler import nodes
from reconciler.demand import Pending, Room, Shape
from reconciler.nodes import MOST_UNREAD, NodeFacts, NodeRow, NodeState, QueueDemand, facts_of, shapes_of
from tests.unit.slurm_factories import desired

AGENT = {"row": "AGENT", "at": Decimal("1800000000.5"), "version": "1", "scheduler": "slurm 23.11.4", "reason": ""}
CPU = {
    "pending": [[2, 100, 0, 1, 3, 0], [4, 0, 1, 2, 1, 1]],
    "rooms": [[1, 50, 0, 2]],
    "idle": {"i-1": 1700000000},
    "waiting": {"Dependency": 3},
    "never": {"PartitionConfig": 1},
}
NODE = {
    "row": "NODE#i-1",
    "queue": "cpu",
    "name": "cpu-1",
    "state": "ready",
    "since": Decimal(5),
    "address": "10.0.0.1",
    "served": True,
}


def demand(document: Any) -> dict[str, Any]:
    text = document if isinstance(document, str) else json.dumps(document)
    return {"row": "DEMAND", "document": text, "at": Decimal(7)}


def test_what_is_as_agreed_is_read() -> None:
    rows = [AGENT, demand({"queues": {"cpu": CPU}}), {"row": "FACTS", "document": "{}"}, NODE]
    wanted = QueueDemand(
        pending=(Pending(Shape(2, 100), count=3), Pending(Shape(4, 0, 1), 2, 1, exclusive=True)),
        rooms=(Room(Shape(1, 50), 2),),
        idle={"i-1": 1700000000.0},
        waiting={"Dependency": 3},
        never={"PartitionConfig": 1},
    )
    assert facts_of(rows) == NodeFacts(
        rows=(NodeRow("i-1", "cpu", "cpu-1", NodeState.READY, 5.0, served=True),),
        demand={"cpu": wanted},
        demand_at=7.0,
        agent_at=1800000000.5,
        facts_document="{}",
    )


def test_where_nothing_is_nothing_is_known() -> None:
    assert facts_of([]) == NodeFacts()


ODD_ROWS = [
    {"state": "asleep"},
    {"state": 7},
    {"queue": None},
    {"since": "yesterday"},
    {"since": True},
    {"since": Decimal(-1)},
    {"since": Decimal("1E+120")},
    {"row": "NODE#"},
]


@pytest.mark.parametrize("odd", ODD_ROWS, ids=str)
def test_a_row_that_cannot_be_read_is_left_out_and_told(odd: dict[str, Any]) -> None:
    spoiled = {**NODE, "row": "NODE#i-2", **odd}
    found = facts_of([NODE, spoiled])
    assert [row.id for row in found.rows] == ["i-1"]
    assert found.unread == (spoiled["row"],)


ODD_PENDING = [[], [1, 2, 3], [0, 0, 0, 1, 1, 0], [1, 1, 0, 0, 1, 0], [1, 1, 0, 1, 0, 0], [-1, 1, 0, 1, 1, 0],
               [1.5, 1, 0, 1, 1, 0], [2**40, 1, 0, 1, 1, 0], [True, 1, 0, 1, 1, 0],
               [1, 1, 0, 1, 1, 0, "gpu"], [1, 1, 0, 1, 1, 0, [7]], [1, 1, 0, 1, 1, 0, ["a"], ["b"]],
               "job", None, {}]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_PENDING, ids=str)
def test_jobs_that_cannot_be_read_are_left_out_and_the_others_count(odd: Any) -> None:
    found = facts_of([demand({"queues": {"cpu": {**CPU, "pending": [odd, [1, 1, 0, 1, 1, 0]]}}})])
    assert found.demand["cpu"].pending == (Pending(Shape(1, 1)),)
    assert found.unread == ("DEMAND: queue cpu: pending 0",)


@pytest.mark.parametrize("document", ["", "no json", "[]", "7", "{}", '{"queues": []}', "[" * 100_000, 7, None])
def test_a_document_that_cannot_be_read_is_told(document: Any) -> None:
    found = facts_of([{"row": "DEMAND", "document": document, "at": 1}])
    assert found.demand == {}
    assert found.unread == ("DEMAND: document",)


def test_of_what_cannot_be_read_only_so_much_is_told() -> None:
    found = facts_of([{"row": f"NODE#{number}{'x' * 900}"} for number in range(50)])
    assert len(found.unread) == MOST_UNREAD
    assert max(len(each) for each in found.unread) == 100


def test_what_a_node_says_is_cut_and_moves_no_cursor() -> None:
    (row,) = facts_of([{**NODE, "reason": f"{'x' * 5000}\x1b[2J\r\nend"}]).rows
    assert len(row.reason) == 2000
    assert row.reason.endswith("x [2J \nend")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
QUEUES = st.fixed_dictionaries({key: PLAIN | st.just(value) for key, value in CPU.items()})
DOCUMENTS = st.builds(lambda queues: {"queues": {"cpu": queues}}, QUEUES | PLAIN) | PLAIN
ITEMS = st.fixed_dictionaries(
    {"row": st.sampled_from(["AGENT", "DEMAND", "FACTS", "NODE#i-1", "NODE#", "LIST", ""])},
    optional={key: PLAIN | st.just(value) for key, value in NODE.items() if key != "row"} | {"at": PLAIN},
)


@given(st.lists(ITEMS, max_size=5), DOCUMENTS)
def test_whatever_nodes_write_nothing_is_raised(rows: list[dict[str, Any]], document: Any) -> None:
    found = facts_of([*rows, demand(document)])
    for queue in found.demand.values():
        assert all(job.count > 0 and job.nodes > 0 for job in queue.pending)


def test_the_states_are_those_of_the_rules() -> None:
    assert {state.value for state in NodeState} == {row.value for row in Row if row is not Row.ABSENT}


def test_what_a_node_of_a_queue_has_is_read_from_what_the_head_node_is_told() -> None:
    assert shapes_of(desired().facts) == {"compute": Shape(2, 3891)}
    assert shapes_of("") == {}


def test_the_operator_knows_an_interruption_by_the_word_that_the_node_says() -> None:
    assert nodes.INTERRUPTED == watch.INTERRUPTED
