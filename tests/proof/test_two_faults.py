"""Two faults in one run, and one that lasts: sampled by hypothesis, for all pairs are too many."""

import os
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.proof.faults import FAULTS, Fault, changes, disturbed, forked, lasting, undisturbed
from tests.proof.lives import Scenario
from tests.proof.scenarios import FEW as LONG
from tests.proof.scenarios import SCENARIOS
from tests.proof.world import World

FULL = os.environ.get("MUSTER_PROOF") == "full"
SOME = settings(max_examples=100 if FULL else 3, database=None, suppress_health_check=[HealthCheck.too_slow])
# Each with what it shares with no other; all of them in a full run.
FEW = [
    each for each in SCENARIOS if FULL or each.name in ("create", "consent given", "group changed by hand", "delete")
]

PAIRS = [each for each in SCENARIOS if FULL or not (each.batch or each.slurm) or each.name in LONG]


@pytest.mark.parametrize("scenario", PAIRS, ids=lambda scenario: scenario.name)
def test_two_faults_change_nothing_of_the_end(world: World, tally: dict[str, int], scenario: Scenario) -> None:
    scenario.start(world)
    expected = forked(partial(undisturbed, world, scenario))
    # The second may come in a pass that only the first made necessary.
    places = st.integers(0, round(1.3 * len(expected["calls"])))
    cases = st.dictionaries(places, st.sampled_from(FAULTS), min_size=2, max_size=2)
    met = 0

    @SOME
    @given(cases)
    def both(faults: dict[int, Fault]) -> None:
        nonlocal met
        tally["fault_cases"] += 1
        tally["fault_cases_failed"] += 1
        met = max(met, len(forked(partial(disturbed, world, scenario, expected, faults))))
        tally["fault_cases_failed"] -= 1

    both()
    assert met, "nothing was disturbed"


# Seconds: within the pauses between the tries, and beyond the deletion of a message that is given back for ever.
LASTING = (45, 900)


@pytest.mark.parametrize("scenario", [each for each in FEW if not each.racy], ids=lambda scenario: scenario.name)
def test_a_right_that_is_missing_for_a_while_is_made_up_for(
    world: World, tally: dict[str, int], scenario: Scenario
) -> None:
    scenario.start(world)
    expected = forked(partial(undisturbed, world, scenario))
    # Without its own table and queue no pass ends, so the message is given back until it is over.
    ours = [each for each in dict.fromkeys(expected["calls"]) if changes(each)]
    for place, operation in enumerate(ours):
        tally["fault_cases"] += 1
        tally["fault_cases_failed"] += 1
        forked(partial(lasting, world, scenario, expected, operation, LASTING[place % 2]))
        tally["fault_cases_failed"] -= 1
