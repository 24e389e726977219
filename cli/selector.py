"""Label selectors, as `kubectl get -l` takes them: key=value, key!=value, key, !key; commas mean "and"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import typer

Labels = Mapping[str, Any]
TERM = re.compile(
    r"(?P<absent>!)?\s*(?P<key>[A-Za-z0-9][A-Za-z0-9._/-]*)\s*(?:(?P<sign>==|=|!=)\s*(?P<value>[\w.-]*))?"
)


def selector(text: str) -> Callable[[Labels], bool]:
    """Whether labels fit a selector; an empty one fits all. Raises BadParameter when it cannot be read."""
    terms = [_term(part.strip()) for part in text.split(",")] if text.strip() else []
    return lambda labels: all(term(labels) for term in terms)


def _term(text: str) -> Callable[[Labels], bool]:
    found = TERM.fullmatch(text)
    if found is None or (found["absent"] and found["sign"]):
        raise typer.BadParameter(f"{text!r} is no selector; write key=value, key!=value, key or !key")
    key, value = found["key"], found["value"]
    if found["sign"] is None:
        return lambda labels: (key in labels) is (found["absent"] is None)
    return lambda labels: (labels.get(key) == value) is (found["sign"] != "!=")
