"""Measure, print one figure a line, and write them to bench/results.json.

With names (`python -m bench cold world`) only those are measured, and the other figures stay as they were.
"""

import json
import sys
from pathlib import Path

from bench import batch, cold, elastic, package, passes, peers, planning, proof, reaction, scale, slurm, world
from bench.figure import Figure

RESULTS = Path(__file__).with_name("results.json")
MEASURES = {
    "package": package.measure,
    "cold": cold.measure,
    "planning": planning.measure,
    "scale": scale.measure,
    "passes": passes.measure,
    "world": world.measure,
    "reaction": reaction.measure,
    "batch": batch.measure,
    "elastic": elastic.measure,
    "slurm": slurm.measure,
    "peers": peers.measure,
    "faults": proof.faults,
    "fuzz": proof.fuzz,
}


def main(names: list[str]) -> int:
    """Run the measurements; each yields figures."""
    figures: list[Figure] = []
    for name in names or MEASURES:
        for figure in MEASURES[name]():
            figures.append(figure)
            print(figure, flush=True)
    kept = {each["name"]: each for each in json.loads(RESULTS.read_text())} if names else {}
    results = kept | {figure.name: figure.as_json() for figure in figures}
    RESULTS.write_text(json.dumps([*results.values()], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
