"""Whatever comes between two calls of a pass, the end is what the user wanted last, and no call that is late spoils it.

By default each call that changes something in AWS is met by one interruption in turn, and every 50th of the others is.
MUSTER_PROOF=full has each call meet all of them.
"""

import os

import pytest

from tests.proof.faults import explore
from tests.proof.interruptions import at_rest, every, sampled
from tests.proof.lives import Scenario
from tests.proof.scenarios import FEW, SCENARIOS
from tests.proof.world import World

FULL = os.environ.get("MUSTER_PROOF") == "full"


# What a racy one has the user do comes in the middle, so an interruption would not be the last word.
CALM = [each for each in SCENARIOS if not each.racy and (FULL or not (each.batch or each.slurm) or each.name in FEW)]


@pytest.mark.parametrize("scenario", CALM, ids=lambda scenario: scenario.name)
def test_an_interruption_at_any_call_comes_to_the_end_that_is_wanted(
    world: World, tally: dict[str, int], scenario: Scenario
) -> None:
    scenario.start(world)
    outcome = explore(world, scenario, every if FULL else sampled, at_rest)
    tally["fault_cases"] += outcome.cases
    tally["fault_cases_failed"] += len(outcome.failures)
    assert outcome.cases, "nothing was interrupted"
    assert not outcome.failures, "\n\n".join([f"{len(outcome.failures)} of {outcome.cases}", *outcome.failures])
