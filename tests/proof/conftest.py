"""What the proofs share: a world, and the count of what was tried."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proof.scenarios import SCENARIOS
from tests.proof.world import World
from tests.proof.world import world as make_world

TALLY = {"fault_cases": 0, "fault_cases_failed": 0}
# One of each kind of cluster.
FIRST = ("batch delete with jobs", "slurm delete")


@pytest.fixture(scope="session")
def loaded() -> None:
    """Clients, descriptions of services and modules are there before the first copy of this process is made.

    What a copy loads is lost with it, and the next one would load it again.
    """
    for scenario in (each for each in SCENARIOS if each.name in FIRST):
        with make_world() as lived:
            scenario.start(lived)
            scenario.drive(lived)
            lived.rest()
            lived.sweep()


@pytest.fixture
def world(loaded: None) -> Iterator[World]:
    with make_world() as made:
        yield made


@pytest.fixture(scope="session")
def tally() -> dict[str, int]:
    """How many cases were tried, and how many failed."""
    return TALLY


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A full run takes its time."""
    if os.environ.get("MUSTER_PROOF") == "full":
        for item in items:
            item.add_marker(pytest.mark.timeout(0))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist hands its count to the one that reports."""
    getattr(session.config, "workeroutput", {})["tally"] = TALLY


def pytest_testnodedown(node: Any) -> None:
    """Take the count of a process of pytest-xdist; one that was killed has none."""
    for name, count in getattr(node, "workeroutput", {}).get("tally", {}).items():
        TALLY[name] += count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures; MUSTER_PROOF_FIGURES names a file for them as well."""
    if not TALLY["fault_cases"]:
        return
    terminalreporter.write_line(f"faults: {TALLY['fault_cases']} cases tried, {TALLY['fault_cases_failed']} failed")
    if "MUSTER_PROOF_FIGURES" in os.environ:
        Path(os.environ["MUSTER_PROOF_FIGURES"]).write_text(json.dumps(TALLY))
