"""How many faults and how many random specs were tried, and how many failed: the full proofs, run here and now."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.figure import Figure
from local.deploy import ROOT

PROOF = ("pytest", "tests/proof", "-n", "auto", "--quiet")
FUZZ = ("tests.fuzz", "--cases", "20000")
# MUSTER_PROOF=sampled has each call meet one of the faults only.
MODE = os.environ.get("MUSTER_PROOF", "full")
UNITS = {
    "fault_cases": f"faults, each at one AWS call of a scenario ({MODE})",
    "fault_cases_failed": "of them did not come to the same end",
    "fuzz_cases": "random specs, damaged items and events",
    "fuzz_failures": "of them failed",
}


def faults() -> Iterator[Figure]:
    """Cases and failures of the faults, and how long they took, at a lower priority than all else."""
    with tempfile.TemporaryDirectory() as scratch:
        counts = Path(scratch) / "counts.json"
        _, seconds = _run(PROOF, {"MUSTER_PROOF": MODE, "MUSTER_PROOF_FIGURES": str(counts)})
        yield from _figures(json.loads(counts.read_text()))
    yield Figure("fault_minutes", round(seconds / 60, 1), "minutes that they took")


def fuzz() -> Iterator[Figure]:
    """The same of the fuzzing."""
    said, seconds = _run(FUZZ, {})
    yield from _figures({name: int(count) for name, count in re.findall(r"^(fuzz_\w+) (\d+)$", said, re.MULTILINE)})
    yield Figure("fuzz_minutes", round(seconds / 60, 1), "minutes that they took")


def _run(module: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, float]:
    """What a module printed, and the seconds it took. A failure is a figure, not an error."""
    started = time.monotonic()
    command = ["nice", sys.executable, "-m", *module]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout, time.monotonic() - started


def _figures(counts: Mapping[str, int]) -> Iterator[Figure]:
    return (Figure(name, counts[name], unit) for name, unit in UNITS.items() if name in counts)
