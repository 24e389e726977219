"""How one template of a cluster differs from another, resource by resource."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.facts import Change

Template = Mapping[str, Any]
ACTIONS = {"+": "Add", "-": "Remove", "~": "Modify"}


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """A resource that is new (+), gone (-) or another (~); `paths` are the places in it that differ."""

    sign: str
    logical_id: str
    resource_type: str
    paths: tuple[str, ...] = ()

    def may_be(self) -> Change:
        """The worst that CloudFormation's change set may say of it: only the service knows what it will replace."""
        causes = tuple(sorted({path.split(".")[1] for path in self.paths if path.startswith("Properties.")}))
        return Change(ACTIONS[self.sign], self.logical_id, self.resource_type, "Conditional", causes)


def template(body: object) -> Template:
    """A template as GetTemplate gives it: a map when it is JSON, else text."""
    parsed = json.loads(body) if isinstance(body, str) else body
    return parsed if isinstance(parsed, Mapping) else {}


def changes(old: Template, new: Template) -> list[ResourceChange]:
    """The resources that differ, by their logical ids."""
    before, after = old.get("Resources", {}), new.get("Resources", {})
    found = (_change(name, before.get(name), after.get(name)) for name in sorted({*before, *after}))
    return [change for change in found if change]


def _change(name: str, old: Template | None, new: Template | None) -> ResourceChange | None:
    if old == new:
        return None
    if old is None or new is None:
        there = new or old or {}
        return ResourceChange("-" if new is None else "+", name, there.get("Type", ""))
    return ResourceChange("~", name, new.get("Type", ""), tuple(_paths(old, new)))


def _paths(old: object, new: object, path: str = "") -> Iterator[str]:
    """The places where two values differ; lists of unequal length, and what is no map or list, differ as a whole."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _paths(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _paths(before, after, f"{path}[{index}]")
    elif old != new:
        yield path
