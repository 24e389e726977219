"""`python -m tests.soak --clusters 200 --minutes 20 --faults 0.05 --seed 1`: prints figures and what did not hold."""

# ruff: noqa: T201 - it is a command, and prints

import argparse
import sys

from tests.soak.run import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.soak")
    parser.add_argument("--clusters", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=20.0, help="of edits under faults; making and settling apart")
    parser.add_argument("--faults", type=float, default=0.05, help="share of the functions' calls that fail")
    parser.add_argument("--seed", type=int, default=1, help="of the users' edits")
    options = parser.parse_args()
    wrong = soak(options.clusters, options.minutes * 60, options.faults, options.seed)
    for each in wrong:
        print(f"WRONG {each}")
    print(f"soak_wrong {len(wrong)}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
