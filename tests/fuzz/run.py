"""Many cases by number: a case is made of its seed alone, so that a failure can be had again."""

import traceback
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from reconciler.cluster import Cluster, to_item
from tests.fuzz.checks import check, check_shell
from tests.fuzz.generate import damaged, spec

KINDS: dict[str, Callable[[Random], dict[str, Any]]] = {"spec": lambda random: to_item(spec(random)), "item": damaged}
# Bash is slow to start: one accepted cluster in so many is given to it.
SHELL_EVERY = 10


def run(kind: str, seeds: Iterable[int], shell_every: int = SHELL_EVERY) -> tuple[list[Cluster], list[str]]:
    """The clusters accepted, and for each failure its kind, seed and traceback."""
    accepted: list[Cluster] = []
    failures: list[str] = []
    for seed in seeds:
        try:
            cluster = check(KINDS[kind](Random(seed)))
            if cluster:
                accepted.append(cluster)
                if len(accepted) % shell_every == 0:
                    check_shell(cluster)
        except Exception:  # noqa: BLE001 - whatever it is, it is a failure, and the other cases run on
            failures.append(f"{kind} {seed}\n{traceback.format_exc()[-1500:]}")
    return accepted, failures
