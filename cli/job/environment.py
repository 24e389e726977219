"""The variables that a job takes along from the user's environment, as -e and -eb name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import typer

ALL = "all"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# With "all": what belongs to the user's machine (what awsbsub leaves out), unless -eb says what else.
LEFT_OUT = "HOME,LD_LIBRARY_PATH,PATH,PWD,TERM,TERMCAP,USER,VCPUS"
# With "all": credentials, and what Batch or Muster sets in the container itself.
RESERVED = ("AWS_", "PCLUSTER_", "MUSTER_", "LESS_TERMCAP_", "BASH_FUNC_")
# With "all": what a shell refuses to be told.
READ_ONLY = ("BASHOPTS", "EUID", "PPID", "SHELLOPTS", "UID")


def given(texts: Iterable[str], mine: Mapping[str, str]) -> dict[str, str]:
    """The variables that are named: NAME=VALUE, or names with commas between them, taken from the user's own.

    "all" is left to `everything`. Raises BadParameter when one is not set.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if sign:
            found[_name(name)] = value
        else:
            found.update(_taken(text, mine))
    return found


def _taken(text: str, mine: Mapping[str, str]) -> dict[str, str]:
    names = [_name(name.strip()) for name in text.split(",") if name.strip() not in ("", ALL)]
    missing = [name for name in names if name not in mine]
    if missing:
        raise typer.BadParameter(f"{missing[0]} is not set: set it, or write {missing[0]}=VALUE")
    return {name: mine[name] for name in names}


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no name of a variable: letters, digits and _")
    return text


def wants_all(texts: Iterable[str]) -> bool:
    """Whether "all" is among the names."""
    return any(ALL in (name.strip() for name in text.split(",")) for text in texts if "=" not in text)


def everything(texts: Iterable[str], mine: Mapping[str, str], left_out: str = "") -> dict[str, str]:
    """With "all" among the names, all of the user's variables but those left out (names, with commas) and reserved."""
    if not wants_all(texts):
        return {}
    without = {*READ_ONLY, *(name.strip() for name in (left_out or LEFT_OUT).split(","))}
    return {
        name: value
        for name, value in mine.items()
        if name not in without and NAME.fullmatch(name) and not name.upper().startswith(RESERVED)
    }
