"""The lives of a cluster of AWS Batch: images that are built, environments that are replaced, jobs that run on."""

from typing import Any

from tests.proof.lives import Scenario, nothing
from tests.proof.world import World

ENVIRONMENT = {"name": "any"}
# Seconds that a job runs: longer than what is done about its environment takes; and longer than any fault delays that.
JOB, LONG_JOB = 400, 4000


def image(version: str) -> list[dict[str, str]]:
    return [{"name": "app", "dockerfile": f"FROM public.ecr.aws/docker/library/python:{version}\n"}]


def environments(**fields: Any) -> dict[str, Any]:
    return {"computeEnvironments": [{**ENVIRONMENT, **fields}]}


def only(known: dict[str, Any]) -> Any:
    (found,) = known.values()
    return found


def batch_ready(world: World) -> None:
    world.write_batch()
    world.rest()
    assert world.plane.condition("Ready") == ("True", "AsSpecified")


def waiting(world: World) -> None:
    """Ready, and its jobs are to be waited for."""
    world.write_batch({"onDelete": "WaitForJobs"})
    world.rest()
    assert world.plane.condition("Ready") == ("True", "AsSpecified")


def flaky(world: World) -> None:
    world.services.flaky = True


def submit(world: World, seconds: float = JOB) -> None:
    world.services.submit(only(world.services.queues)["jobQueueName"], seconds)


def create_batch(world: World) -> None:
    world.write_batch()


def edit_image(world: World) -> None:
    world.write_batch({"images": image("3.13")})


def edit_flaky_image(world: World) -> None:
    """The first build of it fails; what served goes on to serve."""
    world.services.flaky = True
    edit_image(world)


def edit_sizes(world: World) -> None:
    world.write_batch(environments(minVcpus=2, maxVcpus=64, desiredVcpus=8))


def replace_environment(world: World) -> None:
    """While a job runs in the one that is replaced."""
    submit(world)
    world.write_batch(environments(instanceTypes=["c7i.large"]))


def drift(world: World) -> None:
    """By hand, and all at once: an environment disabled and resized, a queue disabled, a definition deregistered."""
    batch = world.services
    found = only(batch.environments)
    found["state"] = only(batch.queues)["state"] = "DISABLED"
    found["computeResources"] |= {"maxvCpus": 7, "minvCpus": 3, "desiredvCpus": 3}
    only(batch.definitions)["status"] = "INACTIVE"
    world.trigger("stack")


def stack_deleted_by_hand(world: World) -> None:
    """Its environments stay, and stand in the way of the next stack."""
    world.cloud.end("DELETE_COMPLETE")


def drop_image(world: World) -> None:
    world.services.drop_image(only({tag: tag for tag in world.services.images}))


def delete_with_jobs(world: World) -> None:
    submit(world, LONG_JOB)
    world.erase()


def delete_after_jobs(world: World) -> None:
    submit(world)
    world.erase()


def delete_during_build(world: World) -> None:
    world.write_batch({"images": image("3.13")})
    world.until(lambda: any(build["buildStatus"] == "IN_PROGRESS" for build in world.services.builds.values()))
    world.erase()


def delete_during_create(world: World) -> None:
    """When the environments stand, which the stack's deletion leaves, and the rest does not yet."""
    world.write_batch()
    world.until(lambda: bool(world.services.environments))
    world.erase()


BATCH_SCENARIOS = [
    Scenario("batch create", nothing, create_batch, batch=True),
    Scenario("batch create, builds fail at first", flaky, create_batch, batch=True),
    Scenario("batch image edited", batch_ready, edit_image, batch=True),
    Scenario("batch image edited, builds fail at first", batch_ready, edit_flaky_image, batch=True),
    Scenario("batch image deleted by hand", batch_ready, drop_image, batch=True),
    Scenario("batch sizes edited", batch_ready, edit_sizes, batch=True),
    Scenario("batch environment replaced", batch_ready, replace_environment, batch=True),
    Scenario("batch changed by hand", batch_ready, drift, batch=True),
    Scenario("batch stack deleted by hand", batch_ready, stack_deleted_by_hand, batch=True),
    Scenario("batch delete with jobs", batch_ready, delete_with_jobs, batch=True),
    Scenario("batch delete that waits for jobs", waiting, delete_after_jobs, batch=True),
    Scenario("batch delete during a build", batch_ready, delete_during_build, racy=True, batch=True),
    Scenario("batch delete during create", nothing, delete_during_create, racy=True, batch=True),
]
# Those that a default run interrupts and strikes twice; a full one takes all.
BATCH_FEW = ("batch environment replaced", "batch changed by hand", "batch delete with jobs")
