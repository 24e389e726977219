"""Pieces of a shell script: plain text and references that CloudFormation fills in.

All that a user wrote reaches a script through the assignments here, quoted, and in no other way. References
are ids and addresses that AWS makes (letters, digits, `-`, `.`, `_`, `:`, `/`), and need no quotes.
"""

import base64
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from itertools import zip_longest

from reconciler.render.context import Json

Piece = str | Json

GAP = "\0"


def assign(name: str, *value: Piece) -> list[Piece]:
    """NAME=value, the value made of pieces that stand side by side."""
    return [f"{name}=", *_word(value), "\n"]


def flat_json(values: Mapping[str, Piece]) -> Iterator[Piece]:
    """A JSON object of texts. A reference is a text too, and holds nothing that JSON would escape."""
    yield "{"
    for place, (key, value) in enumerate(values.items()):
        yield f"{', ' if place else ''}{json.dumps(key)}: "
        if isinstance(value, str):
            yield json.dumps(value)
        else:
            yield from ('"', value, '"')
    yield "}"


def array(name: str, words: Iterable[Iterable[Piece]]) -> list[Piece]:
    """NAME=(word word), each word made of pieces that stand side by side."""
    body = [piece for word in words for piece in (*_word(word), "\n")]
    return [f"{name}=(\n", *body, ")\n"]


def arguments(name: str, values: Iterable[str]) -> list[Piece]:
    """NAME=(value value). Text beyond ASCII goes as base64: cloud-init decodes user data as ASCII."""
    values = list(values)
    if all(value.isascii() for value in values):
        return [f"{name}=({shlex.join(values)})\n"]
    packed = base64.b64encode("".join(f"{value}\0" for value in values).encode()).decode()
    return [f"mapfile -d '' -t {name} < <(base64 -d <<<{packed})\n"]


@cache
def script(name: str) -> str:
    """One of the files in `scripts`, without its comments and indentation: user data has 16 KB for all."""
    text = resources.files("reconciler.render").joinpath("scripts", f"{name}.sh").read_text("ascii")
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


def joined(pieces: Iterable[Piece]) -> Json:
    """The text that the pieces make, encoded as user data has to be."""
    return {"Fn::Base64": {"Fn::Join": ["", list(_merged(pieces))]}}


def _word(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """One word of the shell. A gap, which is always quoted, holds the place of each reference."""
    pieces = list(pieces)
    references = [piece for piece in pieces if not isinstance(piece, str)]
    text = shlex.quote("".join(piece if isinstance(piece, str) else GAP for piece in pieces))
    for part, reference in zip_longest(text.split(GAP), references):
        yield part
        if reference is not None:
            yield reference


def _merged(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Neighbouring texts as one."""
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
            continue
        if text:
            yield text
        text = ""
        yield piece
    if text:
        yield text
