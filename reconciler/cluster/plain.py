"""Makes a plain JSON document of whatever comes in, or says where that cannot be done."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from reconciler.cluster.errors import FieldError, Location, field_path, short

MAX_DEPTH = 32  # DynamoDB nests no deeper (Amazon DynamoDB developer guide, quotas).
MAX_SIZE = 400 * 1024  # Characters and values; a DynamoDB item holds 400 KiB (same page).
MAX_NUMBER = 10**38  # DynamoDB numbers have 38 digits (same page).

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def is_small(value: int | float | Decimal) -> bool:
    """Whether a number is finite and within what DynamoDB holds exactly."""
    if isinstance(value, Decimal) and not value.is_finite():
        return False
    return -MAX_NUMBER < value < MAX_NUMBER


class TooLargeError(Exception):
    """The document holds more than any item could."""


class Reader:
    """One reading of one document: collects what is wrong, and counts how much it has read."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self.left = MAX_SIZE

    def refuse(self, at: Location, value: str, rule: str, fix: str) -> None:
        """Note an error; the value reads as null from here on."""
        self.errors.append(FieldError(field_path(at), value, rule, fix))

    def spend(self, amount: int) -> None:
        """Count what was read."""
        self.left -= amount
        if self.left < 0:
            raise TooLargeError

    def read(self, value: object, at: Location) -> Json:
        """The value as plain JSON."""
        self.spend(1)
        if len(at) > MAX_DEPTH:
            return self.refuse(at, short(value), f"nested deeper than {MAX_DEPTH} levels", "flatten it")
        for kinds, method in READERS:
            if isinstance(value, kinds):
                return method(self, value, at)
        return self.refuse(
            at,
            short(value),
            "only text, numbers, true, false, lists and maps can be in a spec",
            "write it as text, in quotes (in DynamoDB: type S)",
        )

    def null(self, _: None, at: Location) -> Json:
        """Null, which is refused: a field that says nothing is most likely a slip."""
        return self.refuse(at, "null", "null is no value", "leave the field out, or give it a value")

    def truth(self, value: bool, _: Location) -> Json:
        """True or false."""
        return value

    def list(self, value: Iterable[object], at: Location) -> Json:
        """A list."""
        return [self.read(item, (*at, index)) for index, item in enumerate(value)]

    def text(self, value: str, at: Location) -> Json:
        """Text that UTF-8 can hold."""
        self.spend(len(value))
        if any("\ud800" <= character <= "\udfff" for character in value):
            return self.refuse(at, f"text of {len(value)}", "not valid Unicode", "remove the lone surrogates")
        return value

    def number(self, value: int | float | Decimal, at: Location) -> Json:
        """A whole number whenever it is one, however it was written (3.0, Decimal("3"))."""
        if not is_small(value):
            shown = short(value) if isinstance(value, int) else str(value)[:40]
            return self.refuse(at, shown, "not a finite number of at most 38 digits", "write a smaller number")
        return int(value) if value == int(value) else float(value)

    def map(self, value: dict[object, object], at: Location) -> Json:
        """A map whose keys are text."""
        result: dict[str, Json] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                self.refuse(at, short(key), "names of fields are text", "put the name in quotes")
                continue
            if self.text(key, (*at, key)) is not None:
                result[key] = self.read(item, (*at, key))
        return result

    def set(self, value: Iterable[object], at: Location) -> Json:
        """A set, as DynamoDB has them, as a sorted list: the same set reads the same."""
        return sorted((self.read(item, (*at, index)) for index, item in enumerate(value)), key=repr)


# The first that fits reads a value: a truth value is a number too in Python.
READERS: tuple[tuple[Any, Callable[[Reader, Any, Location], Json]], ...] = (
    (bool, Reader.truth),
    (str, Reader.text),
    ((int, float, Decimal), Reader.number),
    (dict, Reader.map),
    ((list, tuple), Reader.list),
    ((set, frozenset), Reader.set),
    (type(None), Reader.null),
)


def plain(document: object) -> tuple[Json, list[FieldError]]:
    """The document as JSON with no nulls, and all that could not be made JSON. Never raises.

    Decimal and whole floats become int, sets sorted lists; binary data, NaN, dates and other types are
    errors. Nothing is read beyond MAX_SIZE and MAX_DEPTH, so a document that contains itself ends too.
    """
    reader = Reader()
    try:
        return reader.read(document, ()), reader.errors
    except TooLargeError:
        return None, [
            FieldError(
                "document",
                f"more than {MAX_SIZE} characters",
                "a DynamoDB item holds 400 KiB",
                "make it smaller: a spec may have 64 KiB",
            )
        ]
