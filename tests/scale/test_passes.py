"""Many clusters at once, on a simulated clock: the real wake, sweep and passes over an account in memory."""

from copy import deepcopy
from typing import Any

from bench.passes import burst, waits
from bench.plane import plane
from local.template import read_template

FEW, MANY = 4, 12  # edited, drifted


def narrow() -> dict[str, Any]:
    """The control plane with no more than two passes of a queue at once, so that it is soon busy."""
    template = deepcopy(read_template())
    for parameter in ("ReconcileConcurrency", "BackgroundConcurrency"):
        template["Parameters"][parameter]["Default"] = 2
    return template


def test_an_edit_never_waits_behind_what_a_sweep_found() -> None:
    alone = waits(FEW, MANY, 0.1, swept=False, template=narrow())
    assert len(alone) == FEW
    assert waits(FEW, MANY, 0.1, swept=True, template=narrow()) == alone


def test_in_one_queue_with_the_sweep_it_would() -> None:
    """The simulation can see it: else the test above would hold of any template."""
    template = narrow()
    sweep = template["Resources"]["SweepFunction"]["Properties"]["Environment"]["Variables"]
    sweep["MUSTER_BACKGROUND_QUEUE_URL"] = {"Ref": "WakesQueue"}
    shared = waits(FEW, MANY, 0.1, swept=True, template=template)
    assert max(start for start, _ in shared) > 1.0


def test_a_burst_throttled_to_five_describes_a_second_becomes_ready_and_nothing_is_given_up() -> None:
    with plane(rate=5.0) as made:
        assert len(burst(made, 16)) == 16
        assert made.throttle.refused > 100, "there was no throttling to speak of"
        assert not made.dead


def test_a_throttled_table_makes_a_burst_late_and_nothing_is_given_up() -> None:
    with plane(rate=1.0, limited=lambda operation: operation in TABLE) as made:
        assert len(burst(made, 16)) == 16
        assert len(made.broken) > 100, "there was no throttling to speak of"
        assert not made.dead


TABLE = ("batch_get_item", "update_item", "transact_write_items")
