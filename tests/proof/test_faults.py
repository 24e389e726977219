"""A kill or an error at any AWS call leaves a state from which the next passes come to the same end.

By default each call that changes something meets one of the faults in turn, and of the reads every fifth does.
MUSTER_PROOF=full has each call meet all of them.
"""

import os

import pytest

from tests.proof.faults import Choose, every, explore, sampled, sparse
from tests.proof.lives import Scenario
from tests.proof.scenarios import SCENARIOS
from tests.proof.world import World

FULL = os.environ.get("MUSTER_PROOF") == "full"


def choose(scenario: Scenario) -> Choose:
    """Of AWS Batch more is read, so that there the default takes less of it."""
    return every if FULL else sparse if scenario.batch else sampled


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_fault_at_any_call_changes_nothing_of_the_end(
    world: World, tally: dict[str, int], scenario: Scenario
) -> None:
    scenario.start(world)
    outcome = explore(world, scenario, choose(scenario))
    tally["fault_cases"] += outcome.cases
    tally["fault_cases_failed"] += len(outcome.failures)
    assert outcome.cases >= (3 if scenario.batch else 5), "hardly anything was disturbed"
    assert not outcome.failures, "\n\n".join([f"{len(outcome.failures)} of {outcome.cases}", *outcome.failures])
