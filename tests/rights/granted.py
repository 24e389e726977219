"""The rights that the templates give, and what the published schemas of the resource types declare."""

from collections import Counter
from functools import cache
from typing import Any

from tests.rights.table import Right
from tests.unit.test_template import RIGHTS, listed, rendered_types, schemas, spelled, statements

STACK_ROLE = "ClusterStackRole"


@cache
def granted() -> frozenset[Right]:
    """Every right in template.yaml, under whatever condition of it."""
    return frozenset(
        Right(role, statement["Sid"], action)
        for role in (*RIGHTS, STACK_ROLE)
        for statement in statements(role)
        for action in listed(statement["Action"])
    )


@cache
def declared() -> frozenset[Right]:
    """The rights of CloudFormation's role that the handlers of a type in clusters' templates declare to need.

    A handler may declare `ec2:Get*`: what the role has of it is part of that. It does not say on what resources it
    needs an action, so that it is no reason to grant one in several statements.
    """
    handlers: list[dict[str, Any]] = [
        handler
        for kind in rendered_types()
        for verb, handler in schemas().get(kind, {}).get("handlers", {}).items()
        if verb != "list"
    ]
    asked = {spelled(action) for handler in handlers for action in handler.get("permissions", [])}
    begins = tuple(action[:-1] for action in asked if action.endswith("*"))
    own = [each for each in granted() if each.role == STACK_ROLE]
    once = {action for action, count in Counter(each.action for each in own).items() if count == 1}
    return frozenset(
        each for each in own if each.action in once and (each.action in asked or each.action.startswith(begins))
    )
