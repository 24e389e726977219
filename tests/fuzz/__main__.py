"""`python -m tests.fuzz --cases 20000`: so many cases of each kind; prints their numbers and the failures."""

# ruff: noqa: T201 - it is a command, and prints

import argparse
import sys

import tests.conftest  # noqa: F401 - the environment of tests, before a handler is loaded
from tests.fuzz.handlers import CASES, run_handlers
from tests.fuzz.run import KINDS, run, run_published


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("--cases", type=int, default=20_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    options = parser.parse_args()
    numbers = range(options.seed, options.seed + options.cases)
    failures: list[str] = []
    cases = 0
    for found in (run_published(options.cases, options.seed), *(run(kind, numbers) for kind in KINDS)):
        failures += found.failures
        cases += found.cases
        print(f"fuzz_{found.kind}_cases {found.cases}")
        print(f"fuzz_{found.kind}_accepted {len(found.accepted)}")
        print(f"fuzz_{found.kind}_failures {len(found.failures)}", flush=True)
    for kind in CASES:
        failed = run_handlers(kind, numbers)
        failures += failed
        cases += options.cases
        print(f"fuzz_{kind}_cases {options.cases}")
        print(f"fuzz_{kind}_failures {len(failed)}", flush=True)
    for failure in failures[:10]:
        print(failure)
    print(f"fuzz_cases {cases}")
    print(f"fuzz_failures {len(failures)}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
