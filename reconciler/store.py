"""The two tables: reading a cluster, and the writes that only the holder of its lease can make.

A lease is taken by one conditional write: the record is still as it was read, and nobody holds it. Every later write
of the pass is conditional on the fence that the lease was given, so a pass that has lost its lease cannot overwrite
what came after it.

        read (fence 7, free) ──── take: fence 7 and free? ── yes ──▶ fence 8 is mine ── every write: fence 8?
                                        │                                                   │
                                        no: Refused                                         no: Refused

"As it was read" is the fence and the announced call, the one thing that the last holder can still write.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from reconciler import nodes
from reconciler.actions import Event
from reconciler.names import CLUSTER_NAME
from reconciler.record import ABSENT, Lease, Record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROW, STATE = "row", "STATE"
MARK = "!"
# Bytes. The key of a spec may have 2048; the range key of an index, which the mark is added for, 1024.
LONGEST_NAME = 1000
# A transaction takes 100 writes.
MOST_EVENTS = 90
# Both are reserved words of DynamoDB's expressions.
NAMES = {"#cluster": "cluster", "#row": ROW}
_decode, _encode = TypeDeserializer().deserialize, TypeSerializer().serialize


class Refused(Exception):  # noqa: N818 - an outcome, not an error
    """Somebody else holds the cluster's lease, or took it since. `seconds` is how long it may last."""

    def __init__(self, cluster: str, seconds: float) -> None:
        super().__init__(f"the lease of cluster {cluster} is another's")
        self.seconds = seconds


def decode(item: Mapping[str, Any]) -> dict[str, Any]:
    """A raw DynamoDB item as plain Python (numbers are Decimals)."""
    return {key: _decode(value) for key, value in item.items()}


def encode(item: Mapping[str, Any]) -> dict[str, Any]:
    """Plain Python as a raw DynamoDB item."""
    return {key: _encode(value) for key, value in item.items()}


def partition(cluster: str) -> str:
    """The partition of the state table that holds a cluster's rows.

    A spec can bear any name, and gets its answer under it. But the nodes of cluster `a` write in `a/nodes`: what is
    no cluster's name is marked, so that no spec's record can lie where nodes can write. A long one is hashed.
    """
    if CLUSTER_NAME.fullmatch(cluster):
        return cluster
    name = cluster.encode()
    return f"{MARK}{cluster if len(name) <= LONGEST_NAME else hashlib.sha256(name).hexdigest()}"


def cluster_of(key: str) -> str | None:
    """The cluster whose partition this is; None for one that holds no operator's rows."""
    if CLUSTER_NAME.fullmatch(key):
        return key
    return key.removeprefix(MARK) if key.startswith(MARK) else None


def state_key(cluster: str) -> dict[str, Any]:
    """The key of a cluster's record, as the DynamoDB API takes it."""
    return encode({"cluster": partition(cluster), ROW: STATE})


def record_of(item: Mapping[str, Any]) -> Record:
    """The record of a raw item."""
    plain = decode(item)
    return Record.from_item({**plain, "cluster": cluster_of(plain["cluster"])})


def content_hash(item: Mapping[str, Any] | None) -> str:
    """A hash of what the user wrote, right or wrong, as DynamoDB holds it."""
    if item is None:
        return ABSENT
    written = {key: value for key, value in item.items() if key in ("spec", "annotations")}
    return hashlib.sha256(json.dumps(written, sort_keys=True, default=repr).encode()).hexdigest()


class Store:
    """The specs (read only: they are the user's) and the state of the clusters of one control plane."""

    def __init__(self, dynamodb: DynamoDBClient, specs_table: str, state_table: str, *, ttl_days: int = 7) -> None:
        self._dynamodb, self._specs, self._state = dynamodb, specs_table, state_table
        self._ttl = ttl_days * 86400

    def load(self, cluster: str) -> tuple[dict[str, Any] | None, Record | None]:
        """The spec's item (raw: undecoded, so that a bad one can be told) and the record, in one consistent read."""
        wanted: dict[str, Any] = {
            self._specs: {"Keys": [{"name": {"S": cluster}}], "ConsistentRead": True},
            self._state: {"Keys": [state_key(cluster)], "ConsistentRead": True},
        }
        found: dict[str, list[dict[str, Any]]] = {self._specs: [], self._state: []}
        while wanted:
            answer = self._dynamodb.batch_get_item(RequestItems=wanted)
            # The SDK makes an empty answer of one that it cannot read, and that is not to say that nothing is there.
            for table, items in answer["Responses"].items():
                found[table].extend(items)
            wanted = dict(answer.get("UnprocessedKeys", {}))
        spec = found[self._specs][0] if found[self._specs] else None
        state = found[self._state][0] if found[self._state] else None
        return spec, record_of(state).remember(cluster=cluster) if state else None

    def take(self, record: Record, owner: str, seconds: float, now: float) -> Record:
        """Take the lease for so many seconds, or raise Refused. The record's fence is from then on the new one."""
        # The first fence of a new record comes from the clock: it lies above those of a life that was forgotten.
        lease = Lease(owner, now + seconds, record.lease.fence + 1 if record.lease.fence else max(1, round(now * 1000)))
        values = {
            ":owner": owner,
            ":expires": _number(lease.expires),
            ":fence": lease.fence,
            ":now": _number(now),
        }
        free = "(attribute_not_exists(leaseOwner) OR leaseExpires <= :now)"
        seen = "fence = :seen" if record.lease.fence else "attribute_not_exists(fence)"
        if record.lease.fence:
            values[":seen"] = record.lease.fence
        # A holder whose lease has run out can still announce a call under its fence: that has to be read first.
        quiet = "pending = :pending" if record.pending else "attribute_not_exists(pending)"
        if record.pending:
            values[":pending"] = record.to_item()["pending"]
        # The SDK asks again when the answer is lost: then it is taken already, and by this very call.
        mine = "leaseOwner = :owner AND fence = :fence"
        try:
            self._dynamodb.update_item(
                TableName=self._state,
                Key=state_key(record.cluster),
                UpdateExpression=(
                    "SET leaseOwner = :owner, leaseExpires = :expires, fence = :fence, kind = :kind, uid = :uid"
                ),
                ConditionExpression=f"({seen} AND {free} AND {quiet}) OR ({mine})",
                # The uid as well: a pass may be killed before it writes the rest of a new record.
                ExpressionAttributeValues=encode({**values, ":kind": "cluster", ":uid": record.uid}),
            )
        except ClientError as error:
            raise _refused(error, record.cluster, seconds) from error
        return record.remember(lease=lease)

    def announce(self, record: Record) -> None:
        """Write the record while the lease is kept: what is about to be done stands there before it is done."""
        self._write([self._put(record, release=False)], record)

    def report(self, record: Record, events: Iterable[Event], now: float) -> None:
        """Write the record and its events at once, and give the lease back."""
        self._write([self._put(record, release=True), *self._events(record, events, now)], record)

    def forget(self, record: Record, events: Iterable[Event], now: float) -> None:
        """Delete the cluster's rows, the nodes' first and the record last. Its events go by their time to live."""
        if partition(record.cluster) == record.cluster:
            self._delete_rows(nodes.partition(record.cluster))
        last = {
            "Delete": {
                "TableName": self._state,
                "Key": state_key(record.cluster),
                "ConditionExpression": "fence = :fence",
                "ExpressionAttributeValues": encode({":fence": record.lease.fence}),
            }
        }
        self._write([last, *self._events(record, events, now)], record)

    def events(self, cluster: str) -> list[dict[str, Any]]:
        """The cluster's events, the oldest first."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._state,
            KeyConditionExpression="#cluster = :cluster AND begins_with(#row, :prefix)",
            ExpressionAttributeNames=NAMES,
            ExpressionAttributeValues=encode({":cluster": partition(cluster), ":prefix": "EVENT#"}),
        )
        found = [decode(item) for page in pages for item in page["Items"]]
        return sorted(found, key=lambda event: str(event.get("lastTimestamp", "")))

    def _delete_rows(self, cluster: str) -> None:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._state,
            KeyConditionExpression="#cluster = :cluster",
            ProjectionExpression="#cluster, #row",
            ExpressionAttributeNames=NAMES,
            ExpressionAttributeValues=encode({":cluster": cluster}),
        )
        for page in pages:
            for item in page["Items"]:
                self._dynamodb.delete_item(TableName=self._state, Key=item)

    def _write(self, writes: list[Any], record: Record) -> None:
        try:
            self._dynamodb.transact_write_items(TransactItems=writes)
        except ClientError as error:
            raise _refused(error, record.cluster, 1) from error

    def _put(self, record: Record, *, release: bool) -> dict[str, Any]:
        item = {**record.to_item(), "cluster": partition(record.cluster), ROW: STATE}
        item |= {"kind": "cluster", "fence": record.lease.fence}
        if not release:
            item |= {"leaseOwner": record.lease.owner, "leaseExpires": _number(record.lease.expires)}
        return {
            "Put": {
                "TableName": self._state,
                "Item": encode(item),
                "ConditionExpression": "fence = :fence",
                "ExpressionAttributeValues": encode({":fence": record.lease.fence}),
            }
        }

    def _events(self, record: Record, events: Iterable[Event], now: float) -> list[dict[str, Any]]:
        """A transaction takes an item once, so what a pass tells twice counts once; of too many some are left out."""
        told = [*dict.fromkeys(events)]
        if len(told) > MOST_EVENTS:
            more = f"{len(told) - MOST_EVENTS} more events of one pass are left out."
            told = [*told[:MOST_EVENTS], Event("MoreEvents", more, "events", warning=True)]
        rows = (self._event(record, event, now) for event in told)
        return list({row["Update"]["Key"][ROW]["S"]: row for row in rows}.values())

    def _event(self, record: Record, event: Event, now: float) -> dict[str, Any]:
        """An event is counted, not repeated: the same reason, object and words are one row."""
        same = json.dumps([event.reason, event.subject, event.message]).encode()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        row = f"EVENT#{hashlib.sha256(same).hexdigest()[:20]}"
        return {
            "Update": {
                "TableName": self._state,
                "Key": encode({"cluster": partition(record.cluster), ROW: row}),
                "UpdateExpression": (
                    "SET reason = :reason, message = :message, subject = :subject, #type = :type, "
                    "firstTimestamp = if_not_exists(firstTimestamp, :now), lastTimestamp = :now, "
                    "expires = :expires ADD #count :one"
                ),
                "ExpressionAttributeNames": {"#type": "type", "#count": "count"},
                "ExpressionAttributeValues": encode(
                    {
                        ":reason": event.reason,
                        ":message": event.message,
                        ":subject": event.subject,
                        ":type": "Warning" if event.warning else "Normal",
                        ":now": stamp,
                        ":expires": int(now) + self._ttl,
                        ":one": 1,
                    }
                ),
            }
        }


def _number(value: float) -> Any:
    return Decimal(str(round(value, 3)))


def _refused(error: ClientError, cluster: str, seconds: float) -> Exception:
    """A failed condition is a lost lease; anything else is an error like any other."""
    response: Any = error.response
    code = response.get("Error", {}).get("Code")
    reasons = [reason.get("Code") for reason in response.get("CancellationReasons", ())]
    if code == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in reasons:
        return Refused(cluster, seconds)
    return error
