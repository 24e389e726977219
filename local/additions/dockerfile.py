"""Whether a Dockerfile parses, for a machine without a builder. Source: the Dockerfile reference of Docker's docs."""

import re
from collections.abc import Iterator

INSTRUCTIONS = {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
                "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}  # fmt: skip
HEREDOC = re.compile(r"<<-?\s*([\"']?)(\w+)\1")


def fault(text: str) -> str | None:
    """What is wrong with it, in the words of ``docker build``; None if nothing is."""
    stages = 0
    for number, line in _instructions(text):
        word, _, arguments = line.partition(" ")
        name = word.upper()
        if name not in INSTRUCTIONS:
            return f"dockerfile parse error on line {number}: unknown instruction: {word}"
        if not arguments.strip():
            return f"dockerfile parse error on line {number}: {name} requires at least one argument"
        if name != "ARG" and not stages and name != "FROM":
            return f"dockerfile parse error on line {number}: no build stage in current context"
        stages += name == "FROM"
    return None if stages else "the Dockerfile (Dockerfile) cannot be empty: it has no build stage"


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    """Each instruction on one line, with the number of the line that it begins on."""
    escape = "`" if re.match(r"\s*#\s*escape\s*=\s*`", text) else "\\"
    lines = iter(enumerate(text.splitlines(), 1))
    whole, begin = "", 0
    for number, raw in lines:
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        begin = begin if whole else number
        whole += f"{line.removesuffix(escape).strip()} "
        if line.endswith(escape):
            continue
        for _, delimiter in HEREDOC.findall(whole) if re.match("(?i)run|copy|add", whole) else ():
            next((1 for _, each in lines if each.strip() == delimiter), None)
        yield begin, whole.replace("\t", " ").strip()
        whole = ""
    if whole:
        yield begin, whole.strip()
