"""How a document that breaks a rule is reported."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

MAX_VALUE = 80
MAX_PATH = 200
HIDDEN = "(not shown)"
MISSING = "(missing)"

Location = tuple[str | int, ...]

PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
CREDENTIALS = re.compile(r"://[^/@]*@")
QUERY = re.compile(r"(://[^?]*)\?.*", re.DOTALL)


@dataclass(frozen=True)
class FieldError:
    """One broken rule: the field (`spec.queues[0].maxSize`), its value (short), the rule, and the way out."""

    field: str
    value: str
    rule: str
    fix: str

    def __str__(self) -> str:
        return f"{self.field}: {self.value}: {self.rule}; {self.fix}"


@dataclass(frozen=True)
class Invalid:
    """A document that is not a cluster, with the reasons (at least one)."""

    errors: tuple[FieldError, ...]

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def field_path(location: Iterable[str | int]) -> str:
    """`spec.queues[0].maxSize` for ("spec", "queues", 0, "maxSize"); odd keys in brackets, as `spec.tags["a
    b"]`.
    """
    path = ""
    for part in location:
        if isinstance(part, str) and PLAIN_KEY.fullmatch(part):
            path += f".{part}" if path else part
        else:
            path += f"[{part}]" if isinstance(part, int) else f"[{quoted(part)}]"
    return path[:MAX_PATH] or "document"


def quoted(text: str) -> str:
    """The text as one short line in double quotes, without secrets of addresses and control characters."""
    text = QUERY.sub(r"\1?...", CREDENTIALS.sub("://...@", text))
    if len(text) > MAX_VALUE:
        text = text[: MAX_VALUE - 3] + "..."
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return f'"{shown}"'[: MAX_VALUE + 2]


def short(value: object) -> str:
    """A value in a few characters, for people: scalars as they are, of maps and lists the size alone."""
    return (
        next((show(value) for kinds, show in SHORT if isinstance(value, kinds)), None)
        or (f"a value of type {type(value).__name__}"[:MAX_VALUE])
    )


# The first that fits shows a value. Numbers with very many digits cannot be written in base ten (Python's limit).
SHORT: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (str, quoted),
    (dict, lambda value: f"a map of {len(value)}"),
    ((list, tuple), lambda value: f"a list of {len(value)}"),
    ((bool, float, type(None)), json.dumps),
    (int, lambda value: str(value) if value.bit_length() <= 128 else f"a number of {value.bit_length()} bits"),
)
