"""Measure, print one figure a line, and write them to bench/results.json."""

import json
import sys
from pathlib import Path

from bench import cold, package, planning, scale, world
from bench.figure import Figure

RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    """Run every measurement; each yields figures."""
    figures: list[Figure] = []
    for measure in (package.measure, cold.measure, planning.measure, scale.measure, world.measure):
        for figure in measure():
            figures.append(figure)
            print(figure, flush=True)
    RESULTS.write_text(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
