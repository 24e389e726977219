"""A cluster as a reader of the two tables sees it: what its user wrote, and what the operator remembers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli.failures import not_found
from cli.plane import Plane
from reconciler.cluster import from_item
from reconciler.cluster.plain import plain
from reconciler.plan.draft import iso
from reconciler.record import ABSENT, Record
from reconciler.store import cluster_of, content_hash, encode, record_of, state_key

# The index of the state table that lists the clusters, and the value of its hash key (template.yaml).
INDEX, KIND = "clusters", "cluster"
# BatchGetItem's limit (Amazon DynamoDB API reference).
BATCH = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """`item` is the raw item of the specs table, None when the spec is gone; `record` None when no pass was made yet.

    With neither, the cluster is gone altogether.
    """

    name: str
    item: Mapping[str, Any] | None
    record: Record | None

    @property
    def there(self) -> bool:
        """Whether anything of the cluster is left."""
        return self.item is not None or self.record is not None

    @property
    def status(self) -> Mapping[str, Any]:
        """The status last written, empty before the first."""
        return self.record.status if self.record else {}

    @property
    def observed(self) -> bool:
        """Whether the operator has seen the spec as it now stands."""
        return self.record is not None and self.record.spec_hash == content_hash(self.item)

    @property
    def phase(self) -> str:
        """The phase for people."""
        if self.record is None:
            return "Pending" if self.item is not None else "Gone"
        if self.item is None and self.record.spec_hash != ABSENT:
            return "Deleting"
        return self.record.phase or "Pending"

    @property
    def conditions(self) -> list[Mapping[str, Any]]:
        """The status's conditions."""
        return list(self.status.get("conditions", ()))

    def condition(self, kind: str) -> Mapping[str, Any]:
        """The condition of a type, whatever its case, as kubectl takes it; empty when it is not set."""
        return next((c for c in self.conditions if c["type"].lower() == kind.lower()), {})

    def speaks_of_now(self, said: Mapping[str, Any]) -> bool:
        """Whether a condition, or the status itself, is about the spec as it now stands, and no older one."""
        return self.observed and self.record is not None and said.get("observedGeneration") == self.record.generation

    @property
    def labels(self) -> Mapping[str, Any]:
        """The labels its user gave it."""
        labels = self.document()["metadata"].get("labels")
        return labels if isinstance(labels, Mapping) else {}

    def document(self) -> dict[str, Any]:
        """What the user wrote; of a cluster whose spec is gone what was accepted last."""
        if self.item is not None:
            return written(self.item)
        accepted = self.record.accepted if self.record else None
        return {"metadata": {"name": self.name}, **(json.loads(accepted.document) if accepted else {})}

    def manifest(self) -> dict[str, Any]:
        """The document with its status, as `kubectl get -o yaml` shows an object."""
        shown = self.document()
        metadata = shown.pop("metadata")
        record = self.record
        if record is None:
            return {**shown, "metadata": metadata}
        times = {"creationTimestamp": record.created, "deletionTimestamp": record.deleting_since}
        metadata = {
            **metadata,
            **{key: iso(at) for key, at in times.items() if at is not None},
            "generation": record.generation,
            "uid": record.uid,
        }
        return {**shown, "metadata": metadata, "status": dict(record.status)}


def written(item: Mapping[str, Any]) -> dict[str, Any]:
    """The document of an item, however odd: what JSON cannot hold reads as null."""
    document, _ = plain(from_item(item))
    if not isinstance(document, dict):
        return {"metadata": {"name": item["name"]["S"]}}
    return document


def look(plane: Plane, name: str) -> Seen:
    """One cluster, whether it is there or not."""
    return Seen(name, *plane.store.load(name))


def one(plane: Plane, name: str) -> Seen:
    """One cluster. Raises Failure when nothing of it is there."""
    seen = look(plane, name)
    if not seen.there:
        raise not_found(name)
    return seen


def some(plane: Plane, names: Iterable[str]) -> list[Seen]:
    """The named clusters in the order given, or all by name when none is named."""
    found = [one(plane, name) for name in names]
    return found or every(plane)


def every(plane: Plane) -> list[Seen]:
    """All clusters that have a spec, a record, or both."""
    specs = {item["name"]["S"]: item for item in _pages(plane, "scan", TableName=plane.settings.specs_table)}
    listed = _pages(
        plane,
        "query",
        TableName=plane.settings.state_table,
        IndexName=INDEX,
        KeyConditionExpression="kind = :kind",
        ExpressionAttributeValues=encode({":kind": KIND}),
    )
    recorded = (cluster_of(item["cluster"]["S"]) for item in listed)
    names = sorted({*specs, *(name for name in recorded if name is not None)})
    records = {record.cluster: record for record in _records(plane, names)}
    clusters = (Seen(name, specs.get(name), records.get(name)) for name in names)
    return [seen for seen in clusters if seen.there]


def _pages(plane: Plane, operation: Any, **asked: Any) -> Iterator[dict[str, Any]]:
    for page in plane.clients.dynamodb.get_paginator(operation).paginate(**asked):
        yield from page["Items"]


def _records(plane: Plane, names: list[str]) -> Iterator[Record]:
    table = plane.settings.state_table
    for start in range(0, len(names), BATCH):
        keys = [state_key(name) for name in names[start : start + BATCH]]
        wanted: Any = {table: {"Keys": keys, "ConsistentRead": True}}
        while wanted:
            answer = plane.clients.dynamodb.batch_get_item(RequestItems=wanted)
            yield from (record_of(item) for item in answer["Responses"].get(table, ()))
            wanted = answer.get("UnprocessedKeys")
