"""What comes between two calls of a pass: the user edits, deletes, makes anew; another worker takes over and the call
lands long after.

Where a fault must not change the end, an interruption by the user does: the end is then that of the same done at rest.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from reconciler.record import LONGEST_FLIGHT
from tests.proof.faults import changes, forked, is_read
from tests.proof.lives import Scenario
from tests.proof.scenarios import queue
from tests.proof.world import World

# Seconds that a call may be late. The pass that stalls with it began some seconds before.
LATE = LONGEST_FLIGHT - 60
MORE_PASSES = 60


@dataclass(frozen=True)
class Interruption:
    """What the user does before a call leaves; and, if it is `late`, what others do before it does."""

    name: str
    user: Callable[[World], None]
    late: bool

    after = False

    def strike(self, world: World, operation: str) -> None:
        """Let it happen; the call goes on then."""
        self.user(world)
        if self.late:
            world.most_passes += MORE_PASSES
            world.go_on(LATE)
            world.plane.left = 0

    def hold(self, world: World, scenario: Scenario, expected: Mapping[str, Any]) -> None:
        """The end is that of the same done at rest."""
        world.most_passes += MORE_PASSES
        world.settle(2)
        end, wanted = json.loads(json.dumps(outcome(world), default=str)), expected[self.user.__name__]
        different = {key: [end[key], wanted[key]] for key in wanted if end[key] != wanted[key]}
        assert not different, f"another end (got, wanted): {different}"
        assert not world.dead, "a message went to the dead letters"


def outcome(world: World) -> dict[str, Any]:
    """What an end is apart from the way there: generations, events and templates count what was seen on it.

    A change set that was made late goes with the next one that is executed, or with its stack: CloudFormation keeps
    none beside it.
    """
    end = world.end()
    told = [row["status"]["conditions"] for row in end.pop("record")]
    del end["history"], end["events"], end["jobs"], end["builds"]
    assert {stack[0] for stack in end["stacks"]} <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    end["stacks"] = [stack[1:3] for stack in end["stacks"]]
    end["objects"] = sorted({key.partition("/templates/")[0] for key in end["objects"]})
    return end | {"told": [{each["type"]: (each["status"], each["reason"]) for each in one} for one in told]}


def at_rest(world: World, scenario: Scenario) -> dict[str, Any]:
    """The ends of a run that is left in peace, when the user does this or that after it."""
    scenario.drive(world)
    world.rest()
    return {user.__name__: forked(partial(_then, world, user)) for user in (idle, *USERS)}


def _then(world: World, user: Callable[[World], None]) -> dict[str, Any]:
    user(world)
    world.most_passes += MORE_PASSES
    world.rest()
    return outcome(world)


def idle(world: World) -> None:
    """The user does nothing."""


def edit(world: World) -> None:
    if world.batch:
        sizes = {"computeEnvironments": [{"name": "any", "maxVcpus": 12}]}
        world.write_batch(sizes, tags={"team": "chemistry"}, consent=["queues/main"])
        return
    if world.slurm:
        world.write_slurm(tags={"team": "chemistry"}, queues=queue(1), consent=["queues/compute", "headNode"])
        return
    world.write(tags={"team": "chemistry"}, queues=queue(1), consent=["queues/compute", "headNode"])


def erase(world: World) -> None:
    world.erase()


def make_anew(world: World) -> None:
    """Deleted and made again at once, so that nobody may see that it was gone."""
    world.erase()
    edit(world)


USERS = (edit, erase, make_anew)
INTERRUPTIONS = (
    Interruption("late", idle, late=True),
    *(Interruption(user.__name__, user, late=False) for user in USERS),
    *(Interruption(f"{user.__name__}, late", user, late=True) for user in USERS),
)


def every(index: int, operation: str) -> Sequence[Interruption]:
    """All of them at each call; a read that is late is as good as one that is not."""
    return [each for each in INTERRUPTIONS if not (each.late and is_read(operation))]


def sampled(index: int, operation: str) -> Sequence[Interruption]:
    """One, in turn, at each call that changes something in AWS, and at every 50th of the others."""
    possible = every(index, operation)
    return [possible[index % len(possible)]] if changes(operation) or index % 50 == 0 else []
