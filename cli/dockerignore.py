"""What a .dockerignore file leaves out of a build's context (Docker's reference, "Build context", .dockerignore files).

`docker build` reads the file again, so what is left in here without need does no harm; what is left out has to be what
Docker leaves out too. The library that there is (docker, the SDK) brings an HTTP client along and looks at one parent
of a path alone.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

# What the build needs even if a pattern matches it, best first: an ignore file of the Dockerfile's own comes before the
# folder's.
DOCKERFILE = "Dockerfile"
IGNORE_FILES = ("Dockerfile.dockerignore", ".dockerignore")
NEEDED = (DOCKERFILE, *IGNORE_FILES)
# Parts of a pattern: folders, any name, any character, an escaped one, one of a set, any other.
PART = re.compile(r"\*\*/?|\*|\?|\\.|\[(?:\\.|[^]\\])+\]|.")
FOLDERS, REST, NAME, CHARACTER = "(?:.*/)?", ".*", "[^/]*", "[^/]"
# Characters that mean something in a set of Python's, and nothing in one of Go's.
SPECIAL = re.compile(r"([\[&~|])")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: a pattern of paths to leave out or, as an exception, to take in again."""

    pattern: re.Pattern[str]
    exception: bool

    def matches(self, path: str) -> bool:
        """Whether it matches the path or a folder that the path is in."""
        ends = [*(at for at, character in enumerate(path) if character == "/"), len(path)]
        return any(self.pattern.fullmatch(path, 0, end) for end in ends)


class Ignore:
    """The rules of an ignore file; of rules that match a path the last one counts."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        """Raises ValueError for a line that is no pattern."""
        written = (line.strip() for line in lines if not line.startswith("#"))
        self._rules = [_rule(line) for line in written if line]
        self.exceptions = any(rule.exception for rule in self._rules)

    def leaves_out(self, path: str) -> bool:
        """Whether a path, relative to the folder and with slashes, is no part of the context."""
        last = next((rule for rule in reversed(self._rules) if rule.matches(path)), None)
        return last is not None and not last.exception and path not in NEEDED


def _rule(line: str) -> Rule:
    pattern = line.removeprefix("!").strip()
    if not pattern:
        raise ValueError(f"{line!r} is no pattern")
    try:
        expression = re.compile("".join(_parts(posixpath.normpath(pattern).lstrip("/"))), re.DOTALL)
    except re.error as error:
        raise ValueError(f"{line!r} is no pattern: {error}") from error
    return Rule(expression, exception=pattern != line)


def _parts(pattern: str) -> Iterable[str]:
    for found in PART.finditer(pattern):
        part = found[0]
        if part.startswith("**"):
            yield REST if found.end() == len(pattern) else FOLDERS
        elif part in ("*", "?"):
            yield NAME if part == "*" else CHARACTER
        elif part == "[":
            raise re.error("a set that does not end")
        elif len(part) > 2 and part[0] == "[":
            yield SPECIAL.sub(r"\\\1", part[1:-1]).join("[]")
        else:
            yield re.escape(part[-1])
