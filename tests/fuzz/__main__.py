"""`python -m tests.fuzz --cases 20000`: so many specs and as many damaged items; prints the count and the failures."""

# ruff: noqa: T201 - it is a command, and prints

import argparse
import sys

from tests.fuzz.run import KINDS, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz")
    parser.add_argument("--cases", type=int, default=20_000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    options = parser.parse_args()
    failures: list[str] = []
    for kind in KINDS:
        accepted, failed = run(kind, range(options.seed, options.seed + options.cases))
        failures += failed
        print(f"fuzz_{kind}_accepted {len(accepted)}")
    for failure in failures[:10]:
        print(failure)
    print(f"fuzz_cases {options.cases * len(KINDS)}")
    print(f"fuzz_failures {len(failures)}")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
