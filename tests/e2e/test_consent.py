"""An update that takes something from its user waits until the spec gives it up by name."""

from collections.abc import Callable

import pytest

from tests.e2e.world import Cluster, Json, World, queue

AMI = "ami-0a12023a64c000001"
EBS = {"name": "home", "mountDir": "/shared", "deletionPolicy": "Delete", "ebs": {"size": 20}}
EFS = {"name": "tools", "mountDir": "/tools", "deletionPolicy": "Delete", "efs": {}}


def other_image(world: World) -> str:
    """An image of the same architecture, but not the one that the clusters have."""
    found = world.client("ec2").describe_images()["Images"]
    return next(each["ImageId"] for each in found if each["Architecture"] == "x86_64" and each["ImageId"] != AMI)


STORAGE = [EBS, EFS]
CHANGES: dict[str, tuple[Callable[[World], Json], str, str]] = {
    "headNode": (
        lambda world: {"headNode": {"instanceType": "t3.medium", "ami": other_image(world)}},
        "HeadNode (AWS::EC2::Instance)",
        "the head node would be",
    ),
    "sharedStorage/home": (
        lambda _: {"sharedStorage": [{**EBS, "ebs": {"size": 20, "encrypted": False}}, EFS]},
        "(AWS::EC2::Volume)",
        "the volume would be",
    ),
    "sharedStorage/tools": (
        lambda _: {"sharedStorage": [EBS, {**EFS, "efs": {"performanceMode": "maxIO"}}]},
        "FileSystemTools (AWS::EFS::FileSystem)",
        "the file system would be",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_replacement_waits_for_consent_by_name(cluster: Cluster, world: World, name: str) -> None:
    change, resource, reason = CHANGES[name]
    cluster.put(world.spec(sharedStorage=STORAGE))
    cluster.until_ready(1)
    picture, before = cluster.picture, _precious(cluster)
    cluster.edit(**change(world))
    held = cluster.until_condition("StackReady", False, "ConsentRequired", generation=2)
    assert resource in held["message"]
    assert reason in held["message"]
    assert f"consent by adding {name!r} to spec.consent" in held["message"]
    assert cluster.condition("Stalled")["reason"] == "ConsentRequired"
    assert cluster.status["phase"] == "Held"
    assert cluster.picture == picture

    # Whatever is mounted is in the head node's user data, a change of which restarts the node.
    cluster.edit(consent=sorted({name, "headNode"}))
    cluster.until_ready(3)
    after = _precious(cluster)
    assert [each for each in before if after[each] != before[each]] == [name]
    assert cluster.sizes() == (2, 2, 2, 2)


def _precious(cluster: Cluster) -> Json:
    kinds = {"headNode": "EC2::Instance", "sharedStorage/home": "EC2::Volume", "sharedStorage/tools": "EFS::FileSystem"}
    return {name: cluster.made(f"AWS::{kind}") for name, kind in kinds.items()}


def test_consent_to_one_loss_is_no_consent_to_another(cluster: Cluster, world: World) -> None:
    cluster.put(world.spec(sharedStorage=STORAGE))
    cluster.until_ready(1)
    before = _precious(cluster)
    changes = {**CHANGES["headNode"][0](world), **CHANGES["sharedStorage/tools"][0](world)}
    cluster.edit(**changes, consent=["headNode"])
    held = cluster.until_condition("StackReady", False, "ConsentRequired", generation=2)
    assert "'sharedStorage/tools'" in held["message"]
    assert "'headNode'" not in held["message"]
    assert _precious(cluster) == before


def test_a_removed_volume_waits_for_consent(cluster: Cluster, world: World) -> None:
    cluster.put(world.spec(sharedStorage=STORAGE))
    cluster.until_ready(1)
    (volume,) = cluster.made("AWS::EC2::Volume")
    cluster.edit(sharedStorage=[EFS])
    held = cluster.until_condition("StackReady", False, "ConsentRequired", generation=2)
    assert "(AWS::EC2::Volume)" in held["message"]
    assert "'sharedStorage/home'" in held["message"]
    assert world.client("ec2").describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] != "deleted"


def test_an_edit_that_is_withdrawn_is_held_no_longer(running: Cluster, world: World) -> None:
    spec, picture = running.spec, running.picture
    running.edit(headNode={"instanceType": "t3.medium", "ami": other_image(world)})
    running.until_condition("StackReady", False, "ConsentRequired", generation=2)
    running.put(spec)
    running.until_ready(3)
    assert running.picture == picture
    left = world.client("cloudformation").list_change_sets(StackName=running.stack_name)["Summaries"]
    assert [each for each in left if each["ExecutionStatus"] == "AVAILABLE"] == []


def test_a_queue_shrinks_only_by_consent(running: Cluster) -> None:
    nodes = running.nodes()
    running.edit(queues=[queue(size=1)])
    held = running.until_condition("FleetReady", False, "ConsentRequired", generation=2)
    assert running.group_name() in held["message"]
    assert "'queues/compute'" in held["message"]
    assert running.sizes() == (2, 2, 2, 2)
    assert running.nodes() == nodes
    running.edit(consent=["queues/compute"])
    running.until_ready(3)
    assert running.sizes() == (1, 1, 1, 1)
    assert running.nodes() < nodes
