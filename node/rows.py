"""The rows of the cluster's nodes in the state table.

Nodes reach this partition alone, the operator reads it too. A condition that fails means that somebody was faster: the
next look shows what they did.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from node.cloud import WIDTH
from node.lists import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

AGENT, DEMAND, FACTS, NODE, MUNGE = "AGENT", "DEMAND", "FACTS", "NODE#", "SECRET#MUNGE"
# Rows from here on are secrets, which no look takes along.
SECRETS = "SECRET"
# Characters of a reason.
REASON = 2000


@dataclass(frozen=True)
class NodeRow:
    """An instance's row. `name` is its host at the scheduler; `served`: it was ready once. `since` is of the state."""

    id: str
    queue: str
    name: str
    state: Row
    since: float
    address: str = ""
    reason: str = ""
    served: bool = False


@dataclass(frozen=True)
class Rows:
    """One look at the table. The documents are empty where there is none."""

    nodes: Mapping[str, NodeRow] = field(default_factory=dict[str, NodeRow])
    facts: str = ""
    demand: str = ""


class Table:
    """The partition of one cluster's nodes. Methods raise ClientError and its like of botocore."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, partition: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._partition = partition

    def look(self) -> Rows:
        """All rows but the secrets."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="#cluster = :cluster AND #row < :secrets",
            ExpressionAttributeNames={"#cluster": "cluster", "#row": "row"},
            ExpressionAttributeValues={":cluster": {"S": self._partition}, ":secrets": {"S": SECRETS}},
            ConsistentRead=True,
        )
        items: dict[str, Any] = {item["row"].get("S", ""): item for page in pages for item in page["Items"]}
        read = (parse(row, item) for row, item in items.items() if row.startswith(NODE))
        return Rows({row.id: row for row in read if row}, _document(items, FACTS), _document(items, DEMAND))

    def node(self, identifier: str) -> NodeRow | None:
        """The row of one instance."""
        item = self._get(f"{NODE}{identifier}")
        return parse(f"{NODE}{identifier}", item) if item else None

    def add(self, row: NodeRow) -> bool:
        """Make a row; False if there is one."""
        values = {"queue": {"S": row.queue}, "name": {"S": row.name}, "state": {"S": row.state.value}}
        return self._put(f"{NODE}{row.id}", {**values, "since": _number(row.since)})

    def drop(self, identifier: str) -> None:
        """Take an instance's row away."""
        self._dynamodb.delete_item(TableName=self._table, Key=self._key(f"{NODE}{identifier}"))

    def move(self, row: NodeRow, state: Row, now: float, reason: str = "") -> NodeRow | None:
        """Give a row another state, unless it has got one meanwhile: the row, or None."""
        served = row.served or state is Row.READY
        values: dict[str, Any] = {"state": {"S": state.value}, "since": _number(now)}
        values |= {"reason": {"S": reason[:REASON]}} if reason else {}
        values |= {"served": {"BOOL": True}} if served else {}
        if not self._set(f"{NODE}{row.id}", values, (row.state,)):
            return None
        return replace(row, state=state, since=now, reason=reason or row.reason, served=served)

    def tell_address(self, identifier: str, address: str) -> bool:
        """An instance says where it is; False if it has no row."""
        return self._set(f"{NODE}{identifier}", {"address": {"S": address}}, tuple(Row))

    def tell_state(self, identifier: str, state: Row, reason: str, now: float) -> bool:
        """An instance says that it has failed, or is to drain; False if that is known, or worse, or it has no row."""
        before = (Row.BOOTING, Row.READY) if state is Row.DRAINING else (Row.BOOTING, Row.READY, Row.DRAINING)
        values = {"state": {"S": state.value}, "since": _number(now), "reason": {"S": reason[:REASON]}}
        return self._set(f"{NODE}{identifier}", values, before)

    def tell_agent(self, version: str, scheduler: str, reason: str, now: float) -> None:
        """The head node's sign of life."""
        texts = {"version": version, "scheduler": scheduler, "reason": reason[:REASON]}
        values = {name: {"S": value} for name, value in texts.items()}
        item: dict[str, Any] = {**self._key(AGENT), "at": _number(now), **values}
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def tell_demand(self, document: str, now: float) -> None:
        """What the jobs ask for."""
        item: dict[str, Any] = {**self._key(DEMAND), "document": {"S": document}, "at": _number(now)}
        self._dynamodb.put_item(TableName=self._table, Item=item)

    def munge_key(self) -> bytes | None:
        """The cluster's secret, None while there is none."""
        item = self._get(MUNGE)
        return bytes(item["key"]["B"]) if item else None

    def add_munge_key(self, key: bytes) -> bool:
        """Keep a new secret; False if there is one."""
        return self._put(MUNGE, {"key": {"B": key}})

    def _key(self, row: str) -> dict[str, Any]:
        return {"cluster": {"S": self._partition}, "row": {"S": row}}

    def _get(self, row: str) -> Any:
        return self._dynamodb.get_item(TableName=self._table, Key=self._key(row), ConsistentRead=True).get("Item")

    def _put(self, row: str, values: Mapping[str, Any]) -> bool:
        item = {**self._key(row), **values}
        return _first(
            lambda: self._dynamodb.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(#row)",
                ExpressionAttributeNames={"#row": "row"},
            )
        )

    def _set(self, row: str, values: Mapping[str, Any], before: Sequence[Row]) -> bool:
        """Set attributes of a row whose state is one of these; False if it is not."""
        states = {f":old{place}": {"S": state.value} for place, state in enumerate(before)}
        return _first(
            lambda: self._dynamodb.update_item(
                TableName=self._table,
                Key=self._key(row),
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
                ConditionExpression=f"#state IN ({', '.join(states)})",
                ExpressionAttributeNames={"#state": "state", **{f"#{name}": name for name in values}},
                ExpressionAttributeValues={**states, **{f":{name}": value for name, value in values.items()}},
            )
        )


def parse(row: str, item: Mapping[str, Any]) -> NodeRow | None:
    """A node's row of the table; None for one that nobody who keeps to the states has written."""
    try:
        return NodeRow(
            id=row[len(NODE) :],
            queue=item["queue"]["S"],
            name=item["name"]["S"],
            state=Row(item["state"]["S"]),
            since=float(item["since"]["N"]),
            address=item.get("address", {}).get("S", ""),
            reason=item.get("reason", {}).get("S", ""),
            served=item.get("served", {}).get("BOOL", False),
        )
    except (KeyError, ValueError):
        return None


def side_by_side(do: Callable[[T], object], each: Iterable[T]) -> list[tuple[T, Exception]]:
    """Do something about each, many at once; those that failed, and how."""
    each = list(each)

    def tried(one: T) -> tuple[T, Exception] | None:
        try:
            do(one)
        except Exception as error:  # noqa: BLE001 - whoever asked is told of all of them
            return one, error
        return None

    if not each:
        return []
    with ThreadPoolExecutor(min(WIDTH, len(each))) as pool:
        return [failed for failed in pool.map(tried, each) if failed]


def _document(items: Mapping[str, Any], row: str) -> str:
    return items[row]["document"]["S"] if row in items else ""


def _number(value: float) -> dict[str, str]:
    return {"N": str(int(value))}


def _first(call: Callable[[], object]) -> bool:
    """Make a conditional write; whether its condition held."""
    try:
        call()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ConditionalCheckFailedException":
            return False
        raise
    return True
