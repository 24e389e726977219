"""A cluster's document as a DynamoDB item, and back."""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from reconciler.cluster.model import API_VERSION, KIND
from reconciler.cluster.plain import MAX_DEPTH, Json, plain

METADATA = ("name", "labels", "annotations")


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """The document of an item of the specs table.

    The item is as the DynamoDB API gives it ({"name": {"S": ...}}) or deserialised already (Decimal, set,
    bytes). Its `name`, `labels` and `annotations` make the metadata; all else keeps its name, so that `parse`
    sees and locates what does not belong there. Decimals, sets and binary data stay what they are: `parse`
    makes whole numbers and sorted lists of the first two, and refuses the third, as it refuses a number that
    was typed as text.
    """
    raw = bool(item) and all(is_typed(value) for value in item.values())
    values = {key: untyped(value) for key, value in item.items()} if raw else dict(item)
    # A `metadata` attribute is no part of an item: inside the metadata it is an unknown field.
    metadata = {key: values.pop(key) for key in (*METADATA, "metadata") if key in values}
    return {"apiVersion": API_VERSION, "kind": KIND, **values, "metadata": metadata}


def to_item(document: Mapping[str, Any]) -> dict[str, Any]:
    """The item to put for a document that `parse` accepts, as the DynamoDB API takes it ({"name": {"S": ...}})."""
    values = {key: value for key, value in document.items() if key != "metadata"}
    return {key: typed(plain(value)[0]) for key, value in {**document["metadata"], **values}.items()}


def is_typed(value: Any) -> bool:
    """Whether a value is written as DynamoDB's API does, with its type: {"N": "3"}."""
    kinds: list[Any] = [*value] if isinstance(value, dict) else []
    return len(kinds) == 1 and kinds[0] in READERS


def untyped(value: Any, depth: int = 0) -> Any:
    """What a typed value stands for; as it is where it is not well formed, for `parse` to refuse."""
    if depth > MAX_DEPTH or not is_typed(value):
        return value
    ((kind, content),) = value.items()
    expected, read = READERS[kind]
    return read(content, depth + 1) if isinstance(content, expected) else value


def number(digits: str) -> Decimal | str:
    """The number that DynamoDB wrote in digits."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return digits


def binary(data: object) -> bytes:
    """Binary data, from the API (bytes) or from a stream's event (base64 text): its kind matters, not its
    content.
    """
    return data if isinstance(data, bytes) else str(data).encode()


# DynamoDB's types (Amazon DynamoDB API reference, AttributeValue): what their content is, and how it reads.
# A number is text there, and binary data base64 text in a stream's event.
READERS: dict[str, tuple[Any, Callable[[Any, int], object]]] = {
    "S": (str, lambda text, _: text),
    "N": (str, lambda digits, _: number(digits)),
    "B": ((bytes, str), lambda data, _: binary(data)),
    "BOOL": (bool, lambda truth, _: truth),
    "NULL": (bool, lambda _, __: None),
    "SS": (list, lambda texts, _: frozenset(str(text) for text in texts)),
    "NS": (list, lambda numbers, _: frozenset(number(str(digits)) for digits in numbers)),
    "BS": (list, lambda many, _: frozenset(binary(data) for data in many)),
    "L": (list, lambda items, depth: [untyped(item, depth) for item in items]),
    "M": (dict, lambda items, depth: {key: untyped(item, depth) for key, item in items.items()}),
}


def typed(value: Json) -> dict[str, Any]:
    """A plain JSON value with DynamoDB's type."""
    return next(write(value) for kinds, write in WRITERS if isinstance(value, kinds))


# The first that fits writes a value: a truth value is a number too in Python.
WRITERS: tuple[tuple[Any, Callable[[Any], dict[str, Any]]], ...] = (
    (bool, lambda truth: {"BOOL": truth}),
    (str, lambda text: {"S": text}),
    ((int, float), lambda digits: {"N": repr(digits)}),
    (dict, lambda items: {"M": {key: typed(item) for key, item in items.items()}}),
    (list, lambda items: {"L": [typed(item) for item in items]}),
)
