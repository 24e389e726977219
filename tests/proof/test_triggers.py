"""Triggers make the operator quick, the sweep makes it certain: lost, doubled or shuffled, the end is the same."""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from reconciler.plan.images import LOOK_AT_IMAGES
from reconciler.statuses import JOB, JobStep
from tests.proof.faults import forked, undisturbed
from tests.proof.lives import Scenario
from tests.proof.scenarios import SCENARIOS
from tests.proof.world import TRIGGERS, World, at_once

# What AWS Batch and its like have at the end.
BATCH = ("environments", "job queues", "definitions", "images")
ENDED = [status for status, step in JOB.items() if step is JobStep.DONE]
# Steps of the cloud in the longest life.
MOST_STEPS = 16
# Whose triggers are all lost by default.
SOME = ("create", "update", "delete", "batch environment replaced", "batch image deleted by hand")
Bent = Callable[[str], Sequence[float]]


def lost(kind: str, each: str) -> Sequence[float]:
    return () if kind in (each, "all") else at_once(each)


def doubled(kind: str, each: str) -> Sequence[float]:
    """The second comes long after the first, as the queues may have it."""
    return (1.0, 50.0) if kind in (each, "all") else at_once(each)


def shuffled(kind: str, chance: random.Random, each: str) -> Sequence[float]:
    return (chance.uniform(0, 200),) if kind in (each, "all") else at_once(each)


def bends(kind: str) -> dict[str, Bent]:
    return {
        "lost": partial(lost, kind),
        "doubled": partial(doubled, kind),
        "shuffled": partial(shuffled, kind, random.Random(f"{kind}")),
    }


def same_end(world: World, scenario: Scenario, bent: Bent, steps: int) -> None:
    """After each step of the cloud no more than one sweep is needed; so their number is at most that of the steps.

    That an image was deleted no sweep sees: it is looked for every quarter of an hour.
    """
    expected = forked(partial(undisturbed, world, scenario))
    world.triggers = bent
    scenario.drive(world)
    world.settle(steps)
    if scenario.batch and bent("image") == ():
        world.go_on(LOOK_AT_IMAGES)
        world.settle(steps)
    end = world.end()
    for key in ("groups", "heads", "objects", "item", *BATCH):
        assert end[key] == expected["end"][key], key
    # A job that a deletion would end may end by itself before the deletion is known of.
    assert [name for name, status in end["jobs"] if status in ENDED] == [name for name, _ in expected["end"]["jobs"]]
    assert [stack[0] for stack in end["stacks"]] == [stack[0] for stack in expected["end"]["stacks"]]
    assert states(end) == states(expected["end"])
    if not scenario.racy:
        assert end["history"] == expected["end"]["history"]


def states(end: Mapping[str, Any]) -> list[str]:
    """The cluster's phase, and the states of its nodes."""
    return [row.get("phase") or row.get("state", "") for row in end["record"]]


FULL = os.environ.get("MUSTER_PROOF") == "full"
BENT = [(how, kind) for how in ("lost", "doubled", "shuffled") for kind in (*TRIGGERS, "all")]


def bent_lives() -> list[tuple[str, str, list[Scenario]]]:
    """Each way with each kind: through all scenarios in a full run, else through one of them in turn."""
    some = {("lost", "all"): [each for each in SCENARIOS if each.name in SOME]}
    return [(*bent, of(bent[1]) if FULL else some.get(bent, turn(place, bent[1]))) for place, bent in enumerate(BENT)]


def turn(place: int, kind: str) -> list[Scenario]:
    return of(kind)[place % len(of(kind)) :][:1]


def of(kind: str) -> list[Scenario]:
    """Those in which such a trigger can come.

    A cluster with Slurm is looked at for ever by its timer, and if that is lost by each sweep: it comes to no rest.
    """
    if kind == "demand":
        return [each for each in SCENARIOS if each.slurm]
    whose = {"group": (False,), "instance": (False,), "build": (True,), "image": (True,)}.get(kind, (True, False))
    return [each for each in SCENARIOS if each.batch in whose and not (each.slurm and kind in ("timer", "all"))]


@pytest.mark.parametrize(("how", "kind", "scenarios"), bent_lives())
def test_bent_triggers_change_nothing_of_the_end(
    world: World, kind: str, how: str, scenarios: Sequence[Scenario]
) -> None:
    """Each scenario begins in a copy of the world, and goes to its end."""
    for scenario in scenarios:
        forked(partial(_life, world, scenario, bends(kind)[how], 1 if how != "lost" else MOST_STEPS))


def _life(world: World, scenario: Scenario, bent: Bent, steps: int) -> None:
    scenario.start(world)
    same_end(world, scenario, bent, steps)


def test_one_edit_whose_every_trigger_is_lost_is_found_by_one_sweep(world: World) -> None:
    world.write()
    world.rest()
    world.triggers = lambda kind: ()
    world.write(paused=True)
    world.rest()
    assert world.plane.status()["phase"] == "Ready", "nobody has told"
    assert world.sweep() == {"demo": "spec"}
    world.rest()
    assert world.plane.status()["phase"] == "Paused"
    assert world.sweep() == {}
