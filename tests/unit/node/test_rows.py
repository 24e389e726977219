"""The rows of the state table, on an emulated one: who is second changes nothing."""

from typing import Any

import pytest

from node.lists import Row
from node.rows import REASON, NodeRow, Rows, Table, parse, side_by_side

ROW = NodeRow("i-1", "cpu", "cpu-1", Row.BOOTING, 100.0)


@pytest.fixture
def table(dynamodb: Any) -> Table:
    return Table(dynamodb, "state", "demo/nodes")


def test_a_row_is_made_once(table: Table) -> None:
    assert table.add(ROW)
    assert not table.add(NodeRow("i-1", "cpu", "cpu-2", Row.BOOTING, 200.0))
    assert table.node("i-1") == ROW
    assert table.look().nodes == {"i-1": ROW}


def test_a_row_moves_from_the_state_that_was_seen(table: Table) -> None:
    table.add(ROW)
    ready = table.move(ROW, Row.READY, 110)
    assert ready == NodeRow("i-1", "cpu", "cpu-1", Row.READY, 110, served=True)
    assert table.node("i-1") == ready
    assert table.move(ROW, Row.FAILED, 120, "too late") is None
    assert table.node("i-1") == ready
    failed = table.move(ready, Row.FAILED, 130, "why")
    assert failed == table.node("i-1") == NodeRow("i-1", "cpu", "cpu-1", Row.FAILED, 130, reason="why", served=True)


def test_a_row_that_is_gone_does_not_come_back(table: Table) -> None:
    table.add(ROW)
    table.drop("i-1")
    table.drop("i-1")
    assert table.move(ROW, Row.READY, 110) is None
    assert not table.tell_address("i-1", "10.0.0.1")
    assert not table.tell_state("i-1", Row.FAILED, "why", 110)
    assert table.look() == Rows()


def test_a_node_says_where_it_is_and_how(table: Table) -> None:
    table.add(ROW)
    assert table.tell_address("i-1", "10.0.0.1")
    assert table.tell_state("i-1", Row.DRAINING, "rebalance", 110)
    assert not table.tell_state("i-1", Row.DRAINING, "maintenance", 120), "known already"
    assert table.tell_state("i-1", Row.FAILED, "x" * 3000, 130)
    assert not table.tell_state("i-1", Row.DRAINING, "rebalance", 140), "it is worse already"
    assert table.node("i-1") == NodeRow("i-1", "cpu", "cpu-1", Row.FAILED, 130, "10.0.0.1", "x" * REASON)


def test_one_look_has_the_documents_and_no_secret(table: Table, dynamodb: Any) -> None:
    for number in range(300):
        table.add(NodeRow(f"i-{number:03}", "cpu", f"cpu-{number}", Row.BOOTING, 1.0))
    table.tell_demand("{}", 5)
    table.add_munge_key(b"secret")
    facts = {"cluster": {"S": "demo/nodes"}, "row": {"S": "FACTS"}, "document": {"S": "[]"}}
    dynamodb.put_item(TableName="state", Item=facts)
    Table(dynamodb, "state", "other/nodes").add(ROW)
    seen: list[Any] = []
    dynamodb.meta.events.register("after-call.dynamodb.Query", lambda parsed, **_: seen.append(parsed))
    found = table.look()
    assert (len(found.nodes), found.facts, found.demand) == (300, "[]", "{}")
    assert "secret" not in str(seen)


def test_the_agents_row(table: Table, dynamodb: Any) -> None:
    table.tell_agent("v1", "slurm 22.05.8", "", 7.9)
    item = dynamodb.get_item(TableName="state", Key={"cluster": {"S": "demo/nodes"}, "row": {"S": "AGENT"}})["Item"]
    del item["cluster"], item["row"]
    assert item == {"at": {"N": "7"}, "version": {"S": "v1"}, "scheduler": {"S": "slurm 22.05.8"}, "reason": {"S": ""}}


def test_the_key_is_kept_once(table: Table) -> None:
    assert table.munge_key() is None
    assert table.add_munge_key(b"first")
    assert not table.add_munge_key(b"second")
    assert table.munge_key() == b"first"


@pytest.mark.parametrize("change", [{"state": {"S": "no"}}, {"since": {"N": "x"}}, {"name": {}}, {"queue": {"N": "1"}}])
def test_a_row_that_nobody_of_ours_has_written_is_none(change: dict[str, Any]) -> None:
    item = {"queue": {"S": "cpu"}, "name": {"S": "cpu-1"}, "state": {"S": "ready"}, "since": {"N": "1"}}
    assert parse("NODE#i-1", item)
    assert parse("NODE#i-1", {**item, **change}) is None


def test_a_refused_write_is_no_lost_race(table: Table, dynamodb: Any) -> None:
    dynamodb.delete_table(TableName="state")
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        table.add(ROW)


def test_what_fails_among_many_is_told_and_the_rest_is_done() -> None:
    done: list[int] = []

    def do(number: int) -> None:
        if number == 3:
            raise ValueError(number)
        done.append(number)

    failed = side_by_side(do, range(100))
    assert [(number, str(error)) for number, error in failed] == [(3, "3")]
    assert sorted(done) == [number for number in range(100) if number != 3]
    assert side_by_side(do, []) == []
