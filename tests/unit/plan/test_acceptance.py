"""Specs that are refused, clusters that are paused, and what a status shows."""

from dataclasses import replace

import pytest

from reconciler.facts import Actual
from reconciler.plan import Plan
from reconciler.record import Accepted, Record
from reconciler.statuses import NO_CHANGES, STACK
from tests.unit.factories import (
    BEFORE,
    NAME,
    NOW,
    WANTED,
    actual,
    change,
    change_set,
    condition,
    desired,
    group,
    head,
    kinds,
    members,
    message,
    new_record,
    planned,
    record,
    rendering,
    stack,
)

WRONG = ("spec.queues[0].size: -1: at least 0; write a whole number", "spec.headNode: (missing): required; add it")


def test_an_invalid_spec_with_nothing_accepted_makes_nothing() -> None:
    never = Record(NAME, "uid", generation=1)
    plan_ = planned(desired(cluster=None, rendered=None, errors=WRONG), Actual(), never)
    assert plan_.steps == ()
    assert condition(plan_, "SpecAccepted") == (False, "InvalidSpec")
    for error in WRONG:
        assert error in message(plan_, "SpecAccepted")
    assert condition(plan_, "Stalled") == (True, "InvalidSpec")
    assert condition(plan_, "Ready") == (False, "InvalidSpec")
    assert plan_.phase == "Invalid"
    assert plan_.next_look is None
    assert [event.reason for event in plan_.events] == ["InvalidSpec"]


def test_an_invalid_spec_leaves_the_accepted_one_in_force() -> None:
    wrong = desired(errors=WRONG)
    quiet = planned(wrong)
    assert quiet.steps == ()
    assert condition(quiet, "StackReady")[0] is True
    assert "Generation 1 stays in force" in message(quiet, "SpecAccepted")
    drifted = planned(wrong, actual(groups=(group(desired=1),)))
    assert kinds(drifted) == ["ResizeGroup"]
    assert condition(drifted, "Stalled") == (True, "InvalidSpec")
    assert drifted.phase == "Invalid"


def test_a_reference_that_does_not_exist_is_looked_for_again() -> None:
    wrong = desired(cluster=None, rendered=None, errors=WRONG, refusal="InvalidReference", look_again=300.0)
    plan_ = planned(wrong, Actual(), Record(NAME, "uid"))
    assert condition(plan_, "SpecAccepted") == (False, "InvalidReference")
    assert plan_.next_look == NOW + 300


def test_an_accepted_spec_says_so() -> None:
    plan_ = planned(memory=record(generation=7))
    assert condition(plan_, "SpecAccepted") == (True, "Accepted")
    assert plan_.record.status["observedGeneration"] == 7


def paused(there: Actual, memory: Record | None = None) -> Plan:
    return planned(desired(spec={"paused": True}), there, memory)


MADE = change_set(change(), name="muster-aaaaaaaaaaaaaaaa-1-0")
TEMPTATIONS = [
    ("no-stack", Actual(), new_record(), "CreateStack"),
    ("failed-create", actual("ROLLBACK_COMPLETE", BEFORE), record(), "DeleteStack"),
    ("failed-delete", actual("DELETE_FAILED"), record(), "DeleteStack"),
    ("failed-update", actual("UPDATE_FAILED"), record(), "RollbackStack"),
    ("stuck-rollback", actual("UPDATE_ROLLBACK_FAILED"), record(), "ContinueUpdateRollback"),
    ("outdated", actual(template=BEFORE), record(), "CreateChangeSet"),
    (
        "to-execute",
        actual(template=BEFORE, change_set=MADE),
        record(change_set=MADE.name, rendering=rendering(BEFORE, spec_hash="old-spec")),
        "ExecuteChangeSet",
    ),
    (
        "without-changes",
        actual(template=BEFORE, change_set=replace(MADE, status="FAILED", reason=NO_CHANGES[0])),
        record(change_set=MADE.name, rendering=rendering(BEFORE, spec_hash="old-spec")),
        "DeleteChangeSet",
    ),
    ("leftover-change-set", actual(change_set=MADE), record(change_set=MADE.name), "DeleteChangeSet"),
    ("resized", actual(groups=(group(desired=1),)), record(), "ResizeGroup"),
    ("suspended", actual(groups=(group(suspended=("Launch",)),)), record(), "ResumeProcesses"),
]


@pytest.mark.parametrize(
    ("there", "memory", "action"), [case[1:] for case in TEMPTATIONS], ids=[case[0] for case in TEMPTATIONS]
)
def test_a_paused_cluster_is_watched_and_what_is_withheld_is_listed(there: Actual, memory: Record, action: str) -> None:
    active = planned(there=there, memory=memory)
    assert action in kinds(active)
    still = paused(there, memory)
    assert still.steps == ()
    assert action in [type(withheld).__name__ for withheld in still.withheld]
    assert any(words.startswith(action) for words in still.record.status["withheld"])
    assert condition(still, "Reconciling") == (False, "Paused")
    assert condition(still, "Ready")[0] is False
    assert still.phase == "Paused"
    if condition(still, "StackReady")[0] is False:
        assert condition(still, "StackReady")[1] in ("Withheld", "RollbackFailed", "Deleting")


@pytest.mark.parametrize(
    ("there", "memory"), [case[1:3] for case in TEMPTATIONS], ids=[case[0] for case in TEMPTATIONS]
)
def test_a_paused_cluster_is_told_of_once(there: Actual, memory: Record) -> None:
    first = paused(there, memory)
    second = paused(there, first.record)
    assert second.events == ()
    assert second.record == first.record


@pytest.mark.parametrize("status", STACK)
def test_pausing_stops_every_action(status: str) -> None:
    for template in (WANTED, BEFORE):
        assert paused(actual(status, template, groups=(group(desired=1, suspended=("Launch",)),))).steps == ()


def test_a_paused_cluster_that_is_as_it_should_be_is_ready() -> None:
    plan_ = paused(actual())
    assert condition(plan_, "Ready") == (True, "AsSpecified")
    assert plan_.phase == "Paused"


def test_paused_takes_nothing_from_the_fleet_to_come() -> None:
    """No failure is counted, and no size remembered, of what was not done."""
    edited = desired(spec={"paused": True, "queues": [{"name": "compute", "instanceTypes": ["c7i.large"], "size": 3}]})
    plan_ = planned(edited, actual("DELETE_FAILED"))
    assert plan_.record.failure is None
    assert planned(edited).record.sizes == record().sizes


def test_the_status_shows_the_cluster() -> None:
    there = actual(instances=(head(private_ip="10.0.0.7"),), groups=(group(members=members(3)),))
    status = planned(there=there).record.status
    assert status["stack"] == {
        "name": "muster-demo",
        "id": stack().id,
        "status": "CREATE_COMPLETE",
        "hash": WANTED,
        "version": "0.1.0",
    }
    assert status["headNode"]["privateIp"] == "10.0.0.7"
    assert status["queues"] == [
        {"name": "compute", "min": 2, "max": 2, "desired": 2, "inService": 3, "total": 3},
    ]
    assert "lastPlan" not in status


def test_the_last_plan_stays_until_the_next() -> None:
    acted = planned(there=actual(groups=(group(desired=1),)))
    assert acted.record.status["lastPlan"] == {
        "at": "2027-01-15T08:00:00Z",
        "actions": ["ResizeGroup Auto Scaling group muster-demo.compute"],
    }
    quiet = planned(memory=acted.record, now=NOW + 60)
    assert quiet.record.status["lastPlan"] == acted.record.status["lastPlan"]


def test_a_condition_keeps_its_time_until_its_status_turns() -> None:
    def since(plan_: Plan) -> str:
        (found,) = [each for each in plan_.record.status["conditions"] if each["type"] == "Ready"]
        return str(found["lastTransitionTime"])

    ready = planned()
    later = planned(memory=ready.record, now=NOW + 60)
    assert since(later) == since(ready)
    down = planned(there=actual(instances=(head("stopped"),)), memory=later.record, now=NOW + 120)
    assert since(down) != since(ready)
    worse = planned(there=actual(instances=()), memory=down.record, now=NOW + 180)
    assert since(worse) == since(down), "the reason changed, not the status"


def test_becoming_ready_is_told_once() -> None:
    first = planned()
    assert [(event.reason, event.warning) for event in first.events] == [("AsSpecified", False)]
    assert planned(memory=first.record).events == ()


def test_a_part_that_breaks_is_told_once() -> None:
    broken = actual(instances=(head("stopped"),))
    first = planned(there=broken, memory=planned().record)
    assert [(event.reason, event.warning) for event in first.events] == [("HeadNodeDown", True)]
    assert planned(there=broken, memory=first.record).events == ()


def test_passing_states_are_no_events() -> None:
    moving = actual("UPDATE_IN_PROGRESS")
    assert planned(there=moving).events == ()


def test_an_accepted_spec_that_cannot_be_read_any_more_is_no_spec() -> None:
    plan_ = planned(desired(cluster=None, rendered=None, errors=WRONG), actual(), record(accepted=Accepted(1, "", "")))
    assert plan_.steps == ()
    assert condition(plan_, "StackReady") == (False, "NoAcceptedSpec")


def test_a_cluster_that_cannot_be_rendered_is_left_as_it_is() -> None:
    """A newer version of the operator has to ask more of AWS, and the spec as it stands is wrong."""
    there = actual(groups=(group(desired=1),))
    plan_ = planned(desired(rendered=None, errors=WRONG), there)
    assert plan_.steps == ()
    assert condition(plan_, "StackReady") == (False, "NotRendered")
    assert condition(plan_, "Stalled")[0] is True
    assert condition(plan_, "Ready")[0] is False

    alone = planned(desired(rendered=None), there)
    assert condition(alone, "Stalled") == (True, "NotRendered")


def test_and_is_deleted_all_the_same() -> None:
    plan_ = planned(desired(present=False, rendered=None), actual(groups=(group(size=0),)))
    assert "DeleteStack" in kinds(plan_)
