"""What several verbs take: the control plane that is meant, and the names of clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.plane import Plane

# The options of `muster` itself; like kubectl's they may stand on either side of the verb.
GLOBAL = ("--stack", "--region", "--profile")
PREFIXES = ("cluster/", "clusters/")
# After these come another command's words, and options that are not ours; `job submit` takes the global ones itself.
LAST = (["--"], ["job", "submit"])


@dataclass(frozen=True, slots=True)
class Target:
    """Which control plane is meant: the name of its stack, and the region and profile to find it with."""

    stack: str = "muster"
    region: str | None = None
    profile: str | None = None

    def aimed(self, stack: str, region: str, profile: str) -> Target:
        """This target, but for what is given."""
        return Target(stack or self.stack, region or self.region, profile or self.profile)

    def plane(self) -> Plane:
        """The control plane itself. Raises Failure when there is none of that name."""
        from cli.plane import find

        return find(self)


def hoisted(args: list[str]) -> list[str]:
    """The arguments with the global options in front of the verb, wherever they stood before a `--`."""
    end = min(_after(args, words) for words in LAST)
    front, rest, left = list[str](), list[str](), iter(args[:end])
    for arg in left:
        if arg in GLOBAL:
            front += [arg, *[value for value in [next(left, None)] if value is not None]]
        elif arg.startswith(tuple(f"{option}=" for option in GLOBAL)):
            front.append(arg)
        else:
            rest.append(arg)
    return [*front, *rest, *args[end:]]


def _after(args: list[str], words: list[str]) -> int:
    """Where the arguments go on after these words, whatever stands between them; the end if they are not there."""
    at = 0
    for word in words:
        if word not in args[at:]:
            return len(args)
        at = args.index(word, at) + 1
    return at


def bare(name: str) -> str:
    """A cluster's name without the kind that kubectl's users put before it: weather for cluster/weather."""
    kind = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
    if not name[len(kind) :]:
        raise typer.BadParameter("a cluster's name is missing")
    return name[len(kind) :]


def _bare(names: list[str] | None) -> list[str]:
    return [bare(name) for name in names or ()]


Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", callback=_bare, show_default=False, help="Clusters; default: all."),
]
SomeNames = Annotated[
    list[str], typer.Argument(metavar="NAME...", callback=_bare, show_default=False, help="Clusters.")
]
Files = Annotated[
    list[str],
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE",
        show_default=False,
        help="YAML or JSON file, or - for standard input; it may hold several documents, and the option may repeat.",
    ),
]
