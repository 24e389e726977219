"""The head node is watched and reported; the operator never rebuilds it by itself."""

import pytest

from reconciler.facts import Actual
from reconciler.statuses import HEAD_NODE, HeadNode
from tests.unit.factories import actual, condition, head, message, node, planned

SAID = {
    HeadNode.RUNNING: (True, "Running"),
    HeadNode.STARTING: (False, "Starting"),
    HeadNode.DOWN: (False, "HeadNodeDown"),
    HeadNode.GONE: (False, "HeadNodeDown"),
}


@pytest.mark.parametrize("state", HEAD_NODE)
def test_each_state_is_told_and_nothing_is_done(state: str) -> None:
    plan_ = planned(there=actual(instances=(head(state),)))
    assert plan_.steps == ()
    assert condition(plan_, "HeadNodeReady") == SAID[HEAD_NODE[state]]
    down = HEAD_NODE[state] in (HeadNode.DOWN, HeadNode.GONE)
    assert condition(plan_, "Stalled")[0] is down
    assert condition(plan_, "Ready")[0] is (state == "running")
    assert state in message(plan_, "HeadNodeReady")
    assert (plan_.next_look is not None) is (HEAD_NODE[state] is HeadNode.STARTING)
    assert plan_.phase == {"running": "Ready", "pending": "Pending"}.get(state, "Degraded")


def test_an_unknown_state_stops_and_says_so() -> None:
    plan_ = planned(there=actual(instances=(head("rebooting"),)))
    assert plan_.steps == ()
    assert condition(plan_, "HeadNodeReady") == (False, "UnknownStatus")
    assert condition(plan_, "Stalled") == (True, "UnknownStatus")
    assert "rebooting" in message(plan_, "HeadNodeReady")


def test_a_missing_one_is_told() -> None:
    plan_ = planned(there=actual(instances=(node(),)))
    assert plan_.steps == ()
    assert condition(plan_, "HeadNodeReady") == (False, "HeadNodeMissing")
    assert condition(plan_, "Stalled") == (True, "HeadNodeMissing")


def test_the_living_one_counts_while_its_predecessor_is_still_shown() -> None:
    there: Actual = actual(
        instances=(head("terminated", id="i-old"), head(private_ip="10.0.0.7", public_ip="203.0.113.7"))
    )
    plan_ = planned(there=there)
    assert condition(plan_, "Ready")[0] is True
    assert plan_.record.status["headNode"] == {
        "instanceId": "i-head",
        "state": "running",
        "privateIp": "10.0.0.7",
        "publicIp": "203.0.113.7",
    }
