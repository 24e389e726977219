"""What an instance is told: of itself by its user data, of its cluster by the operator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NODE_FILE = "etc/muster/node.json"


class FactsError(Exception):
    """A document that cannot be read; the message says which, and what is wrong with it."""


@dataclass(frozen=True)
class Node:
    """An instance's own document. `queue`, `group` and `head` are empty on the head node."""

    cluster: str
    region: str
    table: str
    queue_url: str
    log_group: str
    queue: str
    group: str
    head: str

    @property
    def partition(self) -> str:
        """The key of all rows of the cluster's nodes."""
        return f"{self.cluster}/nodes"


@dataclass(frozen=True)
class Queue:
    """A queue, its Auto Scaling group, the most nodes it may have, and what each has at least.

    vCPUs, MiB of memory that jobs may have, GPUs.
    """

    name: str
    group: str
    max: int
    cpus: int
    memory: int
    gpus: int


@dataclass(frozen=True)
class Facts:
    """What the operator says of a cluster."""

    queues: tuple[Queue, ...]


def read_node(path: Path) -> Node:
    """The document of this instance. Raises FactsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FactsError(f"{path}: {error.strerror}") from error
    return parse_node(text)


def parse_node(text: str) -> Node:
    """Raises FactsError."""
    found = _document("node.json", text)
    try:
        return Node(
            cluster=_text(found, "cluster"),
            region=_text(found, "region"),
            table=_text(found, "table"),
            queue_url=_text(found, "queueUrl"),
            log_group=_text(found, "logGroup"),
            queue=_text(found, "queue"),
            group=_text(found, "group"),
            head=_text(found, "head"),
        )
    except (KeyError, TypeError) as error:
        raise _unreadable("node.json", error) from error


def parse_facts(text: str) -> Facts:
    """Raises FactsError."""
    found = _document("FACTS", text)
    try:
        return Facts(tuple(_queue(each) for each in found["queues"]))
    except (KeyError, TypeError) as error:
        raise _unreadable("FACTS", error) from error


def _queue(found: Mapping[str, Any]) -> Queue:
    numbers = {name: _number(found, name) for name in ("max", "cpus", "memory", "gpus")}
    return Queue(name=_text(found, "name"), group=_text(found, "group"), **numbers)


def _document(name: str, text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _unreadable(name, error) from error
    if not isinstance(found, dict):
        raise FactsError(f"{name} is unreadable: it is no object")
    return cast("Mapping[str, Any]", found)


def _text(found: Mapping[str, Any], key: str) -> str:
    if not isinstance(found[key], str):
        raise TypeError(f"{key} is no text")
    return found[key]


def _number(found: Mapping[str, Any], key: str) -> int:
    value = found[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{key} is no number")
    return value


def _unreadable(name: str, error: Exception) -> FactsError:
    what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return FactsError(f"{name} is unreadable: {what}")
