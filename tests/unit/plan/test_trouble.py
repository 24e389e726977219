"""Calls that failed: what is remembered of them, what is shown, and what they hold back."""

from typing import Any

import pytest

from reconciler.actions import CreateStack, ResizeGroup
from reconciler.facts import Actual
from reconciler.outcomes import AwsError, Outcome
from reconciler.plan.draft import BACKOFF_CEILING, words
from reconciler.plan.trouble import SHOWN_FROM, Setback, setback
from reconciler.record import ABSENT, Failure, Pending, Record
from tests.unit.factories import NAME, NOW, actual, condition, group, kinds, message, new_record, planned, record

LOOK = "cluster demo"
RESIZE = words(ResizeGroup("muster-demo.compute", 2, 2, 2))
CREATE = words(CreateStack("muster-demo", "", ""))
READY = planned().record.status


def error(outcome: Outcome, code: str = "SomeCode") -> AwsError:
    return AwsError(LOOK, "DescribeStacks", code, "because", outcome)


def back(outcome: Outcome, memory: Record | None = None, doing: str = "", code: str = "SomeCode") -> Setback:
    return setback(memory or record(), READY, error(outcome, code), doing, NOW)


def shown(of: Setback, kind: str) -> tuple[str, str, str]:
    (found,) = [each for each in of.record.status["conditions"] if each["type"] == kind]
    return found["status"], found["reason"], found["message"]


def test_weather_is_not_shown_at_once() -> None:
    first = back(Outcome.RETRY)
    assert first.record.status == READY
    assert first.next_look is not None
    assert first.next_look > NOW


def test_weather_that_lasts_is_shown_and_never_ends_the_tries() -> None:
    memory, waits = record(status=READY), []
    for count in range(1, 20):
        after = setback(memory, memory.status, error(Outcome.RETRY, "Throttling"), "", NOW)
        memory = after.record
        assert after.next_look is not None
        waits.append(after.next_look - NOW)
        assert (memory.status == READY) is (count < SHOWN_FROM)
    assert shown(after, "Reconciling")[:2] == ("True", "Throttling")
    assert shown(after, "Ready")[0] == "True", "throttling says nothing of the cluster"
    assert memory.status["phase"] == "Ready"
    assert waits[0] < waits[3] < waits[6]
    assert max(waits) <= 1.5 * BACKOFF_CEILING


@pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.TERMINAL])
def test_what_will_not_pass_by_itself_stalls_with_code_and_resource(outcome: Outcome) -> None:
    after = back(outcome, doing=RESIZE, code="AccessDenied.Fully")
    status, reason, told = shown(after, "Stalled")
    assert (status, reason) == ("True", "AccessDeniedFully")
    for part in (LOOK, "DescribeStacks", "AccessDenied.Fully", "because"):
        assert part in told
    assert shown(after, "Ready")[0] == "False"
    assert after.record.status["phase"] == "Failed"
    assert (after.next_look is None) is (outcome is Outcome.TERMINAL)


def test_a_look_is_taken_again_whatever_was_wrong_with_it() -> None:
    after = back(Outcome.TERMINAL)
    assert shown(after, "Stalled")[0] == "True"
    assert after.next_look == back(Outcome.BLOCKED).next_look


def test_a_deletion_is_tried_again_whatever_was_wrong_with_it() -> None:
    """There is no spec whose edit could end the matter."""
    after = back(Outcome.TERMINAL, record(spec_hash=ABSENT), doing=RESIZE)
    assert shown(after, "Stalled")[0] == "True"
    assert after.next_look is not None
    assert back(Outcome.TERMINAL, doing=RESIZE).next_look is None


def test_what_is_barred_is_tried_at_longer_intervals() -> None:
    barred, throttled = back(Outcome.BLOCKED), back(Outcome.RETRY)
    assert barred.next_look is not None
    assert throttled.next_look is not None
    assert barred.next_look - NOW > 4 * (throttled.next_look - NOW)


def test_the_count_is_of_one_thing_in_one_generation() -> None:
    first = back(Outcome.RETRY)
    assert first.record.trouble is not None
    again = back(Outcome.RETRY, first.record)
    other = back(Outcome.RETRY, first.record, doing=RESIZE)
    edited = back(Outcome.RETRY, first.record.remember(generation=2))
    counts = [after.record.trouble.count for after in (first, again, other, edited) if after.record.trouble]
    assert counts == [1, 2, 1, 1]


def test_the_announced_call_is_over() -> None:
    announced = record(pending=Pending("ResizeGroup", "x", "", NOW))
    assert back(Outcome.RETRY, announced).record.pending is None


def test_a_condition_keeps_its_time_while_it_holds() -> None:
    first = setback(record(), READY, error(Outcome.BLOCKED), "", NOW)
    again = setback(first.record, first.record.status, error(Outcome.BLOCKED), "", NOW + 600)
    assert again.record.status["conditions"] == first.record.status["conditions"]


def trouble(doing: str, retry_at: float | None, generation: int = 1, **fields: Any) -> Failure:
    return Failure(doing, "x answered Code: because", str(generation), 1, retry_at, "Code", **fields)


RESIZED = actual(groups=(group(desired=1, suspended=("Launch",)),))


def test_a_call_that_failed_is_held_back_until_its_time_alone() -> None:
    memory = record(trouble=trouble(RESIZE, NOW + 30))
    held = planned(there=RESIZED, memory=memory)
    assert kinds(held) == ["ResumeProcesses"]
    assert [words(action) for action in held.withheld] == [RESIZE]
    assert held.next_look == NOW + 30
    assert condition(held, "Ready")[0] is False
    assert condition(held, "Stalled")[0] is False
    assert held.record.trouble == memory.trouble

    due = planned(there=RESIZED, memory=held.record, now=NOW + 30)
    assert kinds(due) == ["ResizeGroup", "ResumeProcesses"]


def test_a_terminal_one_waits_for_the_spec_to_change() -> None:
    there = Actual()
    memory = new_record(trouble=trouble(CREATE, None, stalled=True))
    held = planned(there=there, memory=memory, now=NOW + 1e6)
    assert held.steps == ()
    assert condition(held, "Stalled") == (True, "Code")
    assert "because" in message(held, "Stalled")
    assert condition(held, "Reconciling")[0] is False, "nothing is under way"
    assert held.next_look is None
    assert held.record.trouble == memory.trouble

    edited = planned(there=there, memory=memory.remember(generation=2), now=NOW + 1e6)
    assert kinds(edited) == ["CreateStack"]


@pytest.mark.parametrize("outcome", Outcome)
def test_a_pass_that_holds_a_call_back_tells_the_same_as_the_one_that_made_it(outcome: Outcome) -> None:
    memory = record(trouble=trouble(RESIZE, None)) if outcome is Outcome.RETRY else record()
    for _ in range(SHOWN_FROM):
        failed = setback(memory, planned(there=RESIZED).record.status, error(outcome), RESIZE, NOW)
        memory = failed.record
    held = planned(there=RESIZED, memory=memory, now=NOW + 1)
    kind = "Reconciling" if outcome is Outcome.RETRY else "Stalled"
    assert condition(held, kind) == (True, "SomeCode")
    assert message(held, kind) == shown(failed, kind)[2]
    assert shown(failed, "Reconciling")[0] == str(outcome is Outcome.RETRY)
    assert condition(held, "Reconciling")[0] is (outcome is Outcome.RETRY)
    assert held.next_look == failed.next_look


def test_trouble_is_over_when_what_it_held_back_is_not_wanted_any_more() -> None:
    memory = record(trouble=trouble(RESIZE, None))
    assert planned(memory=memory).record.trouble is None


def test_a_look_that_failed_holds_nothing_back() -> None:
    memory = record(trouble=trouble(LOOK, NOW + 30))
    assert kinds(planned(there=RESIZED, memory=memory)) == ["ResizeGroup", "ResumeProcesses"]


def test_reasons_are_camel_case_whatever_the_code() -> None:
    reasons = [
        shown(back(Outcome.BLOCKED, code=code), "Stalled")[1]
        for code in ("AccessDenied", "InvalidVolume.NotFound", "throttled-again", "", "...")
    ]
    assert reasons == ["AccessDenied", "InvalidVolumeNotFound", "ThrottledAgain", "CallFailed", "CallFailed"]


def test_a_setback_is_of_a_cluster_that_may_have_no_status_yet() -> None:
    after = setback(Record(NAME, "uid"), {}, error(Outcome.BLOCKED), "", NOW)
    assert {each["type"] for each in after.record.status["conditions"]} == {"Ready", "Reconciling", "Stalled"}
