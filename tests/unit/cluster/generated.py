"""Documents made of the published schema: each field as its own part of the schema allows.

hypothesis-jsonschema reads more of JSON Schema, but not with the hypothesis of today; this reads what our schema
uses. Rules between fields (oneOf, if) are left out, so that documents which break them come too.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
Strategy = st.SearchStrategy[Any]


def strings(schema: Json) -> Strategy:
    return st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: len(text) <= schema["maxLength"])


def arrays(schema: Json, defs: Json) -> Strategy:
    least = schema.get("minItems", 0)
    most = min(schema["maxItems"], least + 2)
    unique = repr if schema.get("uniqueItems") else None
    return st.lists(values(schema["items"], defs), min_size=least, max_size=most, unique_by=unique)


def objects(schema: Json, defs: Json) -> Strategy:
    if "properties" not in schema:
        entries = values(schema["additionalProperties"], defs)
        return st.dictionaries(strings(schema["propertyNames"]), entries, max_size=2)
    fields = {name: values(field, defs) for name, field in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=fields)


OF_TYPE: dict[str, Callable[[Json, Json], Strategy]] = {
    "boolean": lambda _, __: st.booleans(),
    "integer": lambda schema, _: st.integers(schema["minimum"], schema["maximum"]),
    "number": lambda schema, _: st.floats(schema["minimum"], schema["maximum"]),
    "string": lambda schema, _: strings(schema),
    "array": arrays,
    "object": objects,
}


def values(schema: Json, defs: Json) -> Strategy:
    """Values that the schema allows."""
    if "$ref" in schema:
        return values(defs[schema["$ref"].removeprefix("#/$defs/")], defs)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return OF_TYPE[schema["type"]](schema, defs)


def documents_of(schema: Json) -> Strategy:
    """Documents that the schema allows, but for its rules between fields."""
    return values(schema, schema["$defs"])
