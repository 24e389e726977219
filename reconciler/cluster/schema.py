"""The published JSON Schema of the Cluster resource: `python -m reconciler.cluster.schema` prints it."""

import json
import sys
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.cluster.model import API_VERSION, Cluster

SCHEMA_ID = "urn:muster:schemas:cluster:v1"
DIALECT = GenerateJsonSchema.schema_dialect


class PublishedSchema(GenerateJsonSchema):
    """pydantic's generator, but for what a reader of the schema would stumble over."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """An optional field may be left out; null is no value, and `parse` refuses it."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Without the default null, which says no more than that the field may be left out."""
        result = super().default_schema(schema)
        return {key: value for key, value in result.items() if key != "default" or value is not None}

    def encode_default(self, dft: Any) -> Any:
        """A part of the spec that may be left out, as if it were empty: its fields tell their own defaults."""
        return {} if isinstance(dft, BaseModel) else super().encode_default(dft)

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Keys that do not match their pattern are refused; pydantic's own form lets them pass."""
        result = super().dict_schema(schema)
        for values in result.pop("patternProperties", {}).values():
            keys = self.generate_inner(schema.get("keys_schema", core_schema.str_schema()))
            result |= {"propertyNames": keys, "additionalProperties": values}
        return result

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """No titles made of field names: they repeat the name."""
        return False


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of the document: what one field alone must keep, and some rules between fields.

    `parse` knows more rules; all that it accepts is valid here.
    """
    body = Cluster.model_json_schema(by_alias=True, schema_generator=PublishedSchema)
    return {"$schema": DIALECT, "$id": SCHEMA_ID, **body, "title": f"Cluster ({API_VERSION})"}


def text() -> str:
    """The schema as the file in schemas/ holds it."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
