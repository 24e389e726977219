"""`python -m tests.fuzz --cases 20000`: so many cases of each kind; prints their numbers and the failures."""

# ruff: noqa: T201 - it is a command, and prints

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from typing import NamedTuple

import tests.conftest  # noqa: F401 - the environment of tests, before a handler is loaded
from tests.fuzz.handlers import CASES, run_handlers
from tests.fuzz.nodes import NODES, run_nodes
from tests.fuzz.run import KINDS, run, run_published

# Cases that one process does at a time.
CHUNK = 1_000
PUBLISHED = "published"
ALL = (PUBLISHED, *KINDS, NODES, *CASES)


class Found(NamedTuple):
    """What came of some cases of a kind: how many they were, how many of them are good specs, and the failures."""

    kind: str
    cases: int
    accepted: int | None
    failures: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("--cases", type=int, default=20_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--kinds", nargs="+", choices=ALL, default=ALL)
    options = parser.parse_args()
    end = options.seed + options.cases
    chunks = [range(start, min(start + CHUNK, end)) for start in range(options.seed, end, CHUNK)]
    jobs = [(kind, numbers) for kind in options.kinds for numbers in chunks]
    cases, failures = 0, list[str]()
    with ProcessPoolExecutor(options.processes) as pool:
        for kind, parts in groupby(pool.map(_found, jobs), key=lambda found: found.kind):
            of_kind = [*parts]
            failed = [failure for found in of_kind for failure in found.failures]
            tried = sum(found.cases for found in of_kind)
            print(f"fuzz_{kind}_cases {tried}")
            if kind in (PUBLISHED, *KINDS):
                print(f"fuzz_{kind}_accepted {sum(found.accepted or 0 for found in of_kind)}")
            print(f"fuzz_{kind}_failures {len(failed)}", flush=True)
            cases, failures = cases + tried, failures + failed
    for failure in failures[:10]:
        print(failure)
    print(f"fuzz_cases {cases}")
    print(f"fuzz_failures {len(failures)}")
    return bool(failures)


def _found(job: tuple[str, range]) -> Found:
    """Some cases of a kind, by their numbers: those of the published schema have the first for their seed."""
    kind, numbers = job
    if kind == NODES:
        return Found(kind, len(numbers), None, run_nodes(numbers))
    if kind in CASES:
        return Found(kind, len(numbers), None, run_handlers(kind, numbers))
    found = run_published(len(numbers), numbers.start) if kind == PUBLISHED else run(kind, numbers)
    return Found(kind, found.cases, len(found.accepted), found.failures)


if __name__ == "__main__":
    sys.exit(main())
