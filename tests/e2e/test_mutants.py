"""A few of the mutants of `make rights`, one of each way in which a missing right shows."""

import pytest

from tests.e2e.world import Cluster, World
from tests.rights.mutation import Watched, survives
from tests.rights.table import Right

# None that breaks a function or loses a message: the control plane is shared.
TOLD = (
    Right("ReconcileRole", "ArtifactsOfClusters", "s3:GetObject"),
    Right("ReconcileRole", "Observe", "ec2:DescribeSubnets"),
    Right("ClusterStackRole", "LogGroups", "logs:TagResource"),
)


@pytest.mark.parametrize("right", TOLD, ids=str)
def test_a_right_is_missed_and_given_back_it_heals(cluster: Cluster, world: World, right: Right) -> None:
    assert survives(Watched(world, cluster.name, right), right, "created") == ""
    cluster.pass_time()
    cluster.until_ready(1)


def test_a_right_of_lambdas_is_missed_in_silence(cluster: Cluster, world: World) -> None:
    right = Right("WakeRole", "ListStreams", "dynamodb:ListStreams")
    assert survives(Watched(world, cluster.name, right), right, "created") == ""
    cluster.until_ready(1)


def test_a_right_that_the_scenario_does_not_use_is_not_missed(cluster: Cluster, world: World) -> None:
    unused = Right("ReconcileRole", "MoveOwnGroups", "autoscaling:ResumeProcesses")
    assert survives(Watched(world, cluster.name, unused), unused, "created") == f"created does without {unused}"
