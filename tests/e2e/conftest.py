"""One AWS on this machine and one control plane, deployed by the real sam, for all scenarios of a process."""

import fcntl
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws import LocalAws, local_aws
from local.deploy import build, deploy
from local.fixtures import network
from tests.e2e import slurm_world
from tests.e2e.world import Cluster, World

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def aws() -> Iterator[LocalAws]:
    with local_aws() as started:
        yield started


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    """The functions, built from the tree as it is now by the first of the processes that asks."""
    base = tmp_path_factory.getbasetemp()
    done = (base if worker_id == "master" else base.parent) / "built"
    with done.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            build()
            done.touch()


@pytest.fixture(scope="session")
def world(aws: LocalAws, built: None) -> Iterator[World]:
    """The scheduled sweep is a day away: a scenario that needs one runs it itself, and none is saved by chance.

    In the end no function may have broken, and no message may have been given up, whatever the scenarios did.
    """
    made = World(aws, deploy(aws, SweepMinutes="1440"), network(aws))
    yield made
    assert made.breakdowns() == []
    assert made.dead_letters() == {}


@pytest.fixture
def cluster(world: World, request: pytest.FixtureRequest) -> Cluster:
    """A cluster that no other scenario knows, named after this one. Nothing is made of it yet."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    return Cluster(world, f"{words[:40].strip('-')}-{uuid.uuid4().hex[:5]}")


@pytest.fixture
def running(cluster: Cluster) -> Cluster:
    """The same, with the small spec put and made: a head node and a queue of two."""
    cluster.put()
    cluster.until_ready(1)
    return cluster


@pytest.fixture(scope="module")
def slurm_cluster(world: World) -> Iterator[slurm_world.Slurm]:
    """A cluster with the real Slurm, for all scenarios of a file."""
    with slurm_world.running(world, f"slurm-{uuid.uuid4().hex[:5]}") as made:
        yield made


@pytest.fixture
def slurm(slurm_cluster: slurm_world.Slurm) -> Iterator[slurm_world.Slurm]:
    """The same, at rest before and after."""
    slurm_cluster.until_at_rest()
    yield slurm_cluster
    slurm_cluster.type("scancel", "--user=root")
    slurm_cluster.cluster.put(slurm_world.spec(slurm_cluster.world))
    slurm_cluster.until_at_rest()
