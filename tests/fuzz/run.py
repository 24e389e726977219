"""Many cases by number: a case is made of its seed alone, so that a failure can be had again."""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from reconciler.cluster import Cluster, to_item
from reconciler.cluster.schema import json_schema
from tests.fuzz.checks import check, check_shell
from tests.fuzz.generate import damaged, spec
from tests.unit.cluster.generated import documents_of
from tests.unit.render.linting import MADE_UP, check_lint

KINDS: dict[str, Callable[[Random], dict[str, Any]]] = {"spec": lambda random: to_item(spec(random)), "item": damaged}
# Bash and cfn-lint are slow: one accepted cluster in so many is given to them.
SHELL_EVERY, LINT_EVERY = 10, 100


@dataclass
class Run:
    """What came of some cases: the clusters accepted, and for each failure its kind, seed and traceback."""

    kind: str
    shell_every: int = SHELL_EVERY
    lint_every: int = LINT_EVERY
    accepted: list[Cluster] = field(default_factory=list[Cluster])
    failures: list[str] = field(default_factory=list[str])
    cases: int = 0

    def case(self, name: object, item: Callable[[], dict[str, Any]]) -> None:
        """Check one item. Whatever is raised is a failure, and the other cases run on."""
        self.cases += 1
        try:
            cluster = check(item())
            if cluster:
                self.accepted.append(cluster)
                if len(self.accepted) % self.shell_every == 0:
                    check_shell(cluster)
                if len(self.accepted) % self.lint_every == 0:
                    check_lint(cluster, *MADE_UP)
        except Exception:  # noqa: BLE001
            self.failures.append(f"{self.kind} {name}\n{traceback.format_exc()[-1500:]}")


def run(kind: str, seeds: Iterable[int], **every: int) -> Run:
    """Cases of our own generators, which make many that are accepted."""
    found = Run(kind, **every)
    for number in seeds:
        found.case(number, lambda number=number: KINDS[kind](Random(number)))
    return found


def run_published(cases: int, seed: int = 0, **every: int) -> Run:
    """Cases of the published schema as hypothesis makes them: wilder, and seldom accepted."""
    found = Run("published", **every)
    quiet = {"database": None, "deadline": None, "phases": [Phase.generate], "suppress_health_check": list(HealthCheck)}

    @seeded(seed)
    @settings(max_examples=cases, **quiet)
    @given(documents_of(json_schema()))
    def each(document: dict[str, Any]) -> None:
        found.case(document, lambda: to_item(document))

    each()
    return found
