"""Documents made of the published schema: each field as its own part of the schema allows.

What a field may hold is hypothesis-jsonschema's; what has fields is put together here, for that library's way with
objects does not work with the hypothesis of today. Rules between fields (oneOf, if) are left out, so that documents
which break them come too, but for what a spec requires and takes unless its scheduler is awsbatch.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema

Json = dict[str, Any]
Strategy = st.SearchStrategy[Any]


def arrays(schema: Json, defs: Json) -> Strategy:
    least = schema.get("minItems", 0)
    most = min(schema["maxItems"], least + 2)
    unique = repr if schema.get("uniqueItems") else None
    return st.lists(values(schema["items"], defs), min_size=least, max_size=most, unique_by=unique)


def objects(schema: Json, defs: Json) -> Strategy:
    if "properties" not in schema:
        entries = values(schema["additionalProperties"], defs)
        return st.dictionaries(from_schema(schema["propertyNames"]), entries, max_size=2)
    other = {"required": [], "properties": {}} | schema.get("else", {})
    narrowed = {name: (field, other["properties"].get(name, {})) for name, field in schema["properties"].items()}
    # False is no schema but a no.
    fields = {name: values(field | more, defs) for name, (field, more) in narrowed.items() if more is not False}
    required = {name: fields.pop(name) for name in [*schema.get("required", []), *other["required"]]}
    return st.fixed_dictionaries(required, optional=fields)


def values(schema: Json, defs: Json) -> Strategy:
    """Values that the schema allows."""
    if "$ref" in schema:
        return values(defs[schema["$ref"].removeprefix("#/$defs/")], defs)
    if schema.get("type") in PARTS:
        return PARTS[schema["type"]](schema, defs)
    return from_schema(schema)


PARTS = {"array": arrays, "object": objects}


def documents_of(schema: Json) -> Strategy:
    """Documents that the schema allows, but for its rules between fields."""
    return values(schema, schema["$defs"])
