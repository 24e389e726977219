"""A kill or an error at any AWS call leaves a state from which the next passes come to the same end.

By default each call that changes something in AWS meets one of the faults in turn, and every 50th of the others does.
MUSTER_PROOF=full has each call meet all of them.
"""

import os

import pytest

from tests.proof.faults import every, explore, sampled
from tests.proof.lives import Scenario
from tests.proof.scenarios import SCENARIOS
from tests.proof.world import World

FULL = os.environ.get("MUSTER_PROOF") == "full"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_fault_at_any_call_changes_nothing_of_the_end(
    world: World, tally: dict[str, int], scenario: Scenario
) -> None:
    scenario.start(world)
    outcome = explore(world, scenario, every if FULL else sampled)
    tally["fault_cases"] += outcome.cases
    tally["fault_cases_failed"] += len(outcome.failures)
    assert outcome.cases, "nothing was disturbed"
    assert not outcome.failures, "\n\n".join([f"{len(outcome.failures)} of {outcome.cases}", *outcome.failures])
