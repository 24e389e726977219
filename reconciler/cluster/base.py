"""What all models of the resource share."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


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


@dataclass(frozen=True)
class Distinct:
    """Marks a list of `least` to `most` entries of which none occurs twice: Annotated[Items[...], Distinct(0, 5)].

    One mark for all three, since pydantic takes lengths out of the schema when they are set around a validator.
    """

    least: int
    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        bounded = {**handler(source), "min_length": self.least, "max_length": self.most}
        return core_schema.no_info_after_validator_function(unrepeated, cast("CoreSchema", bounded))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "uniqueItems": True}
