"""Whatever comes between two calls of a pass, the end is what the user wanted last, and no call that is late spoils it.

By default each call that changes something is met by one interruption in turn, and of the reads every fifth is.
MUSTER_PROOF=full has each call meet all of them.
"""

import os

import pytest

from tests.proof.batch_scenarios import BATCH_FEW
from tests.proof.faults import Choose, explore
from tests.proof.interruptions import at_rest, every, sampled, sparse
from tests.proof.lives import Scenario
from tests.proof.scenarios import SCENARIOS
from tests.proof.world import World

FULL = os.environ.get("MUSTER_PROOF") == "full"


def choose(scenario: Scenario) -> Choose:
    """Of AWS Batch more is read, so that there the default takes less of it."""
    return every if FULL else sparse if scenario.batch else sampled


# What a racy one has the user do comes in the middle, so an interruption would not be the last word.
CALM = [each for each in SCENARIOS if not each.racy and (FULL or not each.batch or each.name in BATCH_FEW)]


@pytest.mark.parametrize("scenario", CALM, ids=lambda scenario: scenario.name)
def test_an_interruption_at_any_call_comes_to_the_end_that_is_wanted(
    world: World, tally: dict[str, int], scenario: Scenario
) -> None:
    scenario.start(world)
    outcome = explore(world, scenario, choose(scenario), at_rest)
    tally["fault_cases"] += outcome.cases
    tally["fault_cases_failed"] += len(outcome.failures)
    assert outcome.cases >= (3 if scenario.batch else 5), "hardly anything was interrupted"
    assert not outcome.failures, "\n\n".join([f"{len(outcome.failures)} of {outcome.cases}", *outcome.failures])
