"""The lives of a cluster that the proofs disturb. A later feature adds its own to the list."""

from typing import Any

from tests.proof.batch_scenarios import BATCH_FEW, BATCH_SCENARIOS
from tests.proof.lives import Scenario, nothing
from tests.proof.slurm_scenarios import SLURM_FEW, SLURM_SCENARIOS
from tests.proof.world import GROUP, World
from tests.unit.plane import client


def queue(size: int) -> list[dict[str, Any]]:
    return [{"name": "compute", "instanceTypes": ["c7i.large"], "size": size}]


def ready(world: World) -> None:
    world.write()
    world.rest()
    assert world.plane.condition("Ready") == ("True", "AsSpecified")


def held(world: World) -> None:
    ready(world)
    world.write(**LARGER)
    world.rest()
    assert world.plane.condition("Stalled") == ("True", "ConsentRequired")


def paused(world: World) -> None:
    ready(world)
    world.write(paused=True)
    world.rest()
    resize(world)
    world.rest()
    assert world.plane.status()["withheld"]


LARGER = {"headNode": {"instanceType": "t3.medium"}}


def create(world: World) -> None:
    world.write()


def update(world: World) -> None:
    world.write(tags={"team": "physics"}, queues=queue(3))


def update_held(world: World) -> None:
    world.write(**LARGER)


def consent(world: World) -> None:
    world.write(**LARGER, consent=["headNode"])


def resize(world: World) -> None:
    """By hand, in both ways at once: the repair takes two calls. Of a group that is gone by then, nothing."""
    scaling = client("autoscaling")
    if not scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]:
        return
    scaling.update_auto_scaling_group(AutoScalingGroupName=GROUP, MinSize=0, MaxSize=9, DesiredCapacity=5)
    scaling.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Launch"])
    world.trigger("group")


def delete_by_hand(world: World) -> None:
    world.cloud.end("DELETE_COMPLETE")


def pause(world: World) -> None:
    """The drift comes while it is paused, and stays."""
    world.write(paused=True)
    world.rest()
    resize(world)


def unpause(world: World) -> None:
    world.write()


def delete(world: World) -> None:
    world.erase()


def delete_during_create(world: World) -> None:
    world.write()
    world.until(lambda: bool(world.history))
    world.erase()


SCENARIOS = [
    Scenario("create", nothing, create),
    Scenario("update", ready, update),
    Scenario("update held", ready, update_held),
    Scenario("consent given", held, consent),
    Scenario("group changed by hand", ready, resize),
    Scenario("stack deleted by hand", ready, delete_by_hand),
    Scenario("pause", ready, pause),
    Scenario("unpause", paused, unpause),
    Scenario("delete", ready, delete),
    Scenario("delete during create", nothing, delete_during_create, racy=True),
    *BATCH_SCENARIOS,
    *SLURM_SCENARIOS,
]
# Of those that take long, the ones that a default run interrupts and strikes twice; a full one takes all.
FEW = (*BATCH_FEW, *SLURM_FEW)
