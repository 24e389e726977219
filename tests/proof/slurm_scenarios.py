"""The lives of a cluster with Slurm: nodes that come for jobs and go after them, fail, are stopped and started."""

from typing import Any

from tests.proof.lives import Scenario, nothing
from tests.proof.world import World

# Seconds that a job runs: longer than any fault delays what is done meanwhile.
JOB = 1500


def queue(**sizes: int) -> list[dict[str, Any]]:
    return [{"name": "compute", "instanceTypes": ["c7i.large"], **sizes}]


def slurm_ready(world: World) -> None:
    world.write_slurm()
    world.rest()
    assert world.plane.condition("Ready") == ("True", "AsSpecified")


def fixed(world: World) -> None:
    world.write_slurm(queues=queue(size=2))
    world.rest()
    assert world.plane.condition("Ready") == ("True", "AsSpecified")
    assert world.plane.group()["DesiredCapacity"] == 2


def create_slurm(world: World) -> None:
    world.write_slurm(queues=queue(size=1))


def work(world: World) -> None:
    """Jobs come, nodes come for them, and go when they have been idle."""
    for _ in range(2):
        world.agent.submit(JOB)


def fail(world: World) -> None:
    """A node fails, and another comes in its place."""
    instance = min(world.agent._nodes())
    world.agent._move(instance, "failed")
    world.agent.kick()


def stop(world: World) -> None:
    world.write_slurm(queues=queue(size=2), fleet="stopped")


def stopped(world: World) -> None:
    fixed(world)
    stop(world)
    world.rest()
    assert world.plane.condition("FleetReady") == ("True", "Stopped")


def start(world: World) -> None:
    world.write_slurm(queues=queue(size=2))


def delete_slurm(world: World) -> None:
    world.erase()


SLURM_SCENARIOS = [
    Scenario("slurm create", nothing, create_slurm, slurm=True),
    Scenario("slurm jobs", slurm_ready, work, slurm=True),
    Scenario("slurm node fails", fixed, fail, slurm=True),
    Scenario("slurm fleet stopped", fixed, stop, slurm=True),
    Scenario("slurm fleet started", stopped, start, slurm=True),
    Scenario("slurm delete", fixed, delete_slurm, slurm=True),
]
# Those that a default run interrupts and strikes twice; a full one takes all.
SLURM_FEW = ("slurm node fails",)
