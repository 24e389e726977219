"""Waiting for what a cluster is to become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import typer

from cli.failures import Failure, not_found
from cli.plane import Plane
from cli.polling import ticks
from cli.seen import Seen, look


@dataclass(frozen=True, slots=True)
class Goal:
    """What to wait for, in the user's words, and whether a cluster is there yet."""

    words: str
    reached: Callable[[Seen], bool]


GONE = Goal("delete", lambda cluster: not cluster.there)


def goal(text: str) -> Goal:
    """The goal that --for names. Raises BadParameter."""
    kind, _, rest = text.partition("=")
    if text == GONE.words:
        return GONE
    if kind == "phase" and rest:
        return Goal(text, lambda cluster: cluster.phase == rest and _of_now(cluster))
    if kind == "condition" and rest:
        name, _, status = rest.partition("=")
        return Goal(text, lambda cluster: _holds(cluster, name, status or "True"))
    raise typer.BadParameter(f"{text!r}: write condition=TYPE, condition=TYPE=False, phase=PHASE or delete")


def _of_now(cluster: Seen) -> bool:
    """A phase that was read off the tables alone (Pending, Deleting) is always of now."""
    return cluster.phase != cluster.status.get("phase") or cluster.speaks_of_now(cluster.status)


def _holds(cluster: Seen, name: str, status: str) -> bool:
    """What an older generation was like does not count, however ready it was."""
    said = cluster.condition(name)
    return said.get("status", "").lower() == status.lower() and cluster.speaks_of_now(said)


def until(plane: Plane, name: str, wanted: Goal, seconds: float) -> None:
    """Return when a cluster is as wanted. Raises Failure when the time is up, or the cluster gone."""
    for _ in ticks(seconds):
        cluster = look(plane, name)
        if wanted.reached(cluster):
            return
        if not cluster.there:
            raise not_found(name)
    raise Failure(f"timed out waiting for {wanted.words} of cluster/{name}: {_state(look(plane, name))}")


def _state(cluster: Seen) -> str:
    ready = cluster.condition("Ready")
    why = f", Ready is {ready['status']} ({ready['reason']}): {ready['message']}" if ready else ""
    older = "" if cluster.observed else "; the operator has not seen the spec as it stands"
    return f"it is {cluster.phase}{why.rstrip('.')}{older}"
