"""A control plane of its own for each process: without its rights it breaks, and loses messages."""

import pytest

from local.aws import LocalAws
from local.deploy import deploy
from local.fixtures import network
from tests.e2e.conftest import aws, built
from tests.e2e.world import World
from tests.rights.granted import granted
from tests.rights.table import exercised

__all__ = ["aws", "built"]
MUTANT, KINDS = "test_without_it_a_scenario_fails", ("passed", "failed", "error")


@pytest.fixture(scope="session")
def world(aws: LocalAws, built: None) -> World:
    return World(aws, deploy(aws, SweepMinutes="1440"), network(aws))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The numbers of a run of mutants."""
    of = {kind: sum(MUTANT in each.nodeid for each in terminalreporter.getreports(kind)) for kind in KINDS}
    if tried := sum(of.values()):
        mutants = len([*exercised()])
        terminalreporter.line(f"rights_granted {len(granted())}")
        terminalreporter.line(f"rights_justified {len(granted()) - mutants}")
        terminalreporter.line(f"rights_mutants {mutants}")
        terminalreporter.line(f"rights_tried {tried}")
        terminalreporter.line(f"rights_killed {of['passed']}")
        terminalreporter.line(f"rights_survived {tried - of['passed']}")
