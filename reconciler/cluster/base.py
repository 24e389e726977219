"""What all models of the resource share."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


class Model(BaseModel):
    """camelCase on the wire, snake_case in Python, immutable; unknown fields and other types are refused.

    Strict: text is not taken for a number nor a number for a truth value, so that a document means the same
    whichever clothes it wears (YAML, JSON, a DynamoDB map), and the JSON Schema says all there is to say.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=False,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )


Item = TypeVar("Item")


def unrepeated(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The items, when none of them occurs twice."""
    if len(set(items)) < len(items):
        raise PydanticCustomError("repeated", "entries repeat")
    return items


# A list on the wire, a tuple in Python: strict mode alone would ask the document for a tuple.
Items = Annotated[tuple[Item, ...], Field(strict=False)]
# The same, no entry twice.
Distinct = Annotated[
    tuple[Item, ...], Field(strict=False, json_schema_extra={"uniqueItems": True}), AfterValidator(unrepeated)
]
