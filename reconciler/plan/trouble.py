"""When AWS does not answer as it should: what is remembered, shown, and when the next try is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.outcomes import AwsError, Outcome
from reconciler.plan.draft import BACKOFF_CEILING, backoff, iso
from reconciler.record import ABSENT, Failure, Record

# A throttled or broken call is AWS's weather: it is shown from so many in a row on.
SHOWN_FROM = 3
STALLING = frozenset({Outcome.TERMINAL, Outcome.BLOCKED})


@dataclass(frozen=True, slots=True)
class Setback:
    """What a pass leaves when a call failed: the record to write, and when to look again (None: at the next event)."""

    record: Record
    next_look: float | None


def setback(record: Record, status: Mapping[str, Any], error: AwsError, doing: str, now: float) -> Setback:
    """Remember a failed call. `doing` is the action in words, or empty when it was only a look."""
    about = doing or error.subject
    source = str(record.generation)
    old = record.trouble
    count = old.count + 1 if old and (old.subject, old.source) == (about, source) else 1
    # An edit of the spec ends what is wrong with an action. A look, and a deletion, have no such end: they go on.
    ended_by_edit = doing and record.spec_hash != ABSENT
    outcome = error.outcome if ended_by_edit or error.outcome is not Outcome.TERMINAL else Outcome.BLOCKED
    retry_at = _retry_at(outcome, count, f"{record.cluster}/{about}", now)
    trouble = Failure(about, str(error), source, count, retry_at, _reason(error), error.outcome in STALLING)
    shown = _shown(status, error, count, record.generation, now)
    return Setback(record.remember(trouble=trouble, status=shown, pending=None), retry_at)


def _retry_at(outcome: Outcome, count: int, salt: str, now: float) -> float | None:
    match outcome:
        case Outcome.TERMINAL:
            return None
        case Outcome.BLOCKED:
            return now + min(backoff(count + 3, salt), BACKOFF_CEILING)
        case _:
            return now + backoff(count, salt)


def _shown(status: Mapping[str, Any], error: AwsError, count: int, generation: int, now: float) -> dict[str, Any]:
    if error.outcome is Outcome.RETRY and count < SHOWN_FROM:
        return dict(status)
    stalled, reason = error.outcome in STALLING, _reason(error)
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    waits = {"Stalled": "True", "Reconciling": "False", "Ready": "False"}
    for type_, truth in (waits if stalled else {"Reconciling": "True"}).items():
        was = conditions.get(type_)
        conditions[type_] = {
            "type": type_,
            "status": truth,
            "reason": reason,
            "message": str(error),
            "lastTransitionTime": was["lastTransitionTime"] if was and was["status"] == truth else iso(now),
            "observedGeneration": generation,
        }
    phase = {"phase": "Failed"} if stalled else {}
    return {**status, **phase, "conditions": [conditions[type_] for type_ in sorted(conditions)]}


def _reason(error: AwsError) -> str:
    """AWS's code as a condition's reason: letters and digits, CamelCase."""
    words = "".join(c if c.isalnum() else " " for c in error.code).split()
    return "".join(word[:1].upper() + word[1:] for word in words) or "CallFailed"
