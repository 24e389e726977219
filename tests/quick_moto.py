"""moto spends a third of its time in DynamoDB on looking for names of like spelling, which is cut short here.

A value of an attribute is a map of its type to it (`{"S": "text"}`). For each of the ten types moto tries that name,
the same in other spellings, and those of aliases.
"""

from typing import Any

from moto.core.serialize import AttributePicker

KINDS = ("String", "Number", "Binary", "StringSet", "NumberSet", "BinarySet", "Map", "List", "Null", "Boolean")
SHAPES = frozenset(f"{kind}AttributeValue" for kind in KINDS)


def install() -> None:
    """Cut it short, for all tests of this process."""
    search = AttributePicker.__call__

    def pick(self: AttributePicker, context: Any) -> Any:
        found = context.obj
        if type(found) is dict and context.shape.name in SHAPES:
            return found.get(context.key)
        return search(self, context)

    AttributePicker.__call__ = pick
