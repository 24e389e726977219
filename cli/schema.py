"""`muster schema`: the reference of all fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

Node = Mapping[str, Any]
Path = Annotated[
    str, typer.Argument(metavar="[FIELD]", show_default=False, help="A part of the document: spec.queues.rootVolume.")
]
KIND = "cluster"
# What else a field must keep, as the schema says it, and how it is said here.
LIMITS: dict[str, str] = {
    "const": "must be {}",
    "enum": "one of {}",
    "default": "default {}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "maxProperties": "at most {} entries",
    "maxLength": "at most {} characters",
    "pattern": "matches {}",
}


def schema(field: Path = "") -> None:
    """Print the JSON Schema of the document; with a field, explain that field and those below it."""
    from reconciler.cluster.schema import text

    if field:
        explain(field)
    else:
        typer.echo(text(), nl=False)


def explain(field: Path = "") -> None:
    """Explain a field of the document, and those below it."""
    from reconciler.cluster.schema import json_schema

    whole = json_schema()
    parts = _parts(field)
    node = _find(whole, parts)
    required = _below(whole, node).get("required", ())
    typer.echo(f"KIND:     {whole['title'].split()[0]}\nVERSION:  {_api_version(whole)}\n")
    if parts:
        typer.echo(f"FIELD:    {parts[-1]} <{_type(whole, node)}>\n")
    typer.echo(f"DESCRIPTION:\n{_about(whole, node, '    ')}")
    fields = _fields(whole, node)
    if fields:
        typer.echo("\nFIELDS:")
    for name, below in fields.items():
        typer.echo(f"  {name}\t<{_type(whole, below)}>{' -required-' if name in required else ''}")
        typer.echo(_about(whole, below, "    "))
        typer.echo()


def _parts(field: str) -> list[str]:
    """The names on the way to a field; a kind in front and indexes, as kubectl and error messages write them, go."""
    parts = [part for part in re.sub(r"\[\d*\]", "", field).split(".") if part]
    return parts[1:] if parts and parts[0].lower() == KIND else parts


def _find(whole: Node, parts: list[str]) -> Node:
    from cli.failures import Failure

    node: Node = whole
    for number, part in enumerate(parts):
        fields = _fields(whole, node)
        if part not in fields:
            above = ".".join(parts[:number]) or "the document"
            known = f"it has {', '.join(fields)}" if fields else "it has no fields"
            raise Failure(f'there is no field "{part}" in {above}: {known}')
        node = fields[part]
    return node


def _resolved(whole: Node, node: Node) -> Node:
    """The node with what it refers to; what stands beside the reference comes first."""
    name = node.get("$ref", "").removeprefix("#/$defs/")
    return {**whole["$defs"][name], **node} if name else node


def _below(whole: Node, node: Node) -> Node:
    """What a field's own fields are fields of: the entries of a list, else the field itself."""
    resolved = _resolved(whole, node)
    return _below(whole, resolved["items"]) if "items" in resolved else resolved


def _fields(whole: Node, node: Node) -> Mapping[str, Node]:
    return _below(whole, node).get("properties", {})


def _type(whole: Node, node: Node) -> str:
    resolved = _resolved(whole, node)
    if "items" in resolved:
        return f"[]{_type(whole, resolved['items'])}"
    if resolved.get("type") != "object":
        return resolved.get("type", "string")
    values = resolved.get("additionalProperties")
    return f"map[string]{_type(whole, values)}" if isinstance(values, Mapping) else "Object"


def _about(whole: Node, node: Node, indent: str) -> str:
    resolved = _resolved(whole, node)
    limits = [words.format(_words(resolved[key])) for key, words in LIMITS.items() if resolved.get(key) not in EMPTY]
    lines = [resolved.get("description", ""), "; ".join(limits)]
    return "\n".join(f"{indent}{line}" for line in lines if line)


# Defaults that say no more than that the field may be left out.
EMPTY: tuple[object, ...] = (None, {}, [])


def _words(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _api_version(whole: Node) -> str:
    return str(_resolved(whole, whole["properties"]["apiVersion"]).get("const", ""))
