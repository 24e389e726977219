"""What a spec can say to hold the operator's hand: paused, deletionProtection, and what is to be kept."""

import pytest

from tests.e2e.world import Cluster, World

HOME = {"name": "home", "mountDir": "/shared", "ebs": {"size": 20}}


def test_a_paused_cluster_is_watched_and_not_repaired(running: Cluster, world: World) -> None:
    running.edit(paused=True)
    running.until("the pause", lambda: running.status["phase"] == "Paused")
    change = {"MinSize": 0, "DesiredCapacity": 1}
    world.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=running.group_name(), **change)
    withheld = running.until("what is withheld", lambda: running.status.get("withheld"))
    assert withheld == [f"ResizeGroup Auto Scaling group {running.group_name()}"]
    running.until("one node", lambda: running.sizes() == (0, 2, 1, 1))
    paused = running.until_condition("Reconciling", False, "Paused")
    assert "1 actions are withheld" in paused["message"]
    assert running.condition("Ready")["status"] == "False"
    assert running.event("GroupResized") is None
    running.edit(paused=False)
    running.until_ready(3)
    assert running.sizes() == (2, 2, 2, 2)
    assert running.event("GroupResized")
    assert "withheld" not in running.status


def test_a_cluster_that_begins_paused_is_made_when_it_is_no_longer(cluster: Cluster, world: World) -> None:
    cluster.put(world.spec(paused=True))
    withheld = cluster.until("what is withheld", lambda: cluster.status.get("withheld"))
    assert withheld == [f"CreateStack stack {cluster.stack_name}"]
    assert cluster.stack is None
    cluster.edit(paused=False)
    cluster.until_ready(2)


def test_a_paused_cluster_that_is_deleted_goes(running: Cluster, world: World) -> None:
    running.edit(paused=True)
    running.until("the pause", lambda: running.status["phase"] == "Paused")
    running.delete()
    running.until_gone()
    assert world.tagged(running.name) == []


def test_deletion_protection_is_remembered_and_holds_the_deletion(cluster: Cluster, world: World) -> None:
    cluster.put(world.spec(deletionProtection=True))
    cluster.until_ready(1)
    picture = cluster.picture
    cluster.delete()
    held = cluster.until_condition("SpecAccepted", False, "DeletionProtected")
    assert "Put the spec back with deletionProtection false" in held["message"]
    assert cluster.status["phase"] == "Held"
    assert cluster.picture == picture

    # What is kept is looked after as before.
    world.client("autoscaling").set_desired_capacity(AutoScalingGroupName=cluster.group_name(), DesiredCapacity=2)
    world.client("ec2").terminate_instances(InstanceIds=[min(cluster.nodes())])
    cluster.until("two nodes", lambda: cluster.sizes() == (2, 2, 2, 2))

    cluster.edit(deletionProtection=False)
    cluster.until_ready()
    cluster.delete()
    cluster.until_gone()
    assert world.tagged(cluster.name) == []


def test_a_retained_cluster_stays_and_can_be_taken_up_again(cluster: Cluster, world: World) -> None:
    cluster.put(world.spec(deletionPolicy="Retain"))
    cluster.until_ready(1)
    picture = cluster.picture
    cluster.delete()
    cluster.until_gone()
    kept = cluster.until_event("Retained")
    assert cluster.stack_name in kept["message"]
    assert cluster.picture == picture

    cluster.put(cluster.spec)
    cluster.until_ready(1)
    assert cluster.picture == picture


@pytest.mark.parametrize("policy", ["Retain", "Snapshot"])
def test_kept_storage_outlives_the_cluster_and_is_listed(cluster: Cluster, world: World, policy: str) -> None:
    ec2 = world.client("ec2")
    cluster.put(world.spec(sharedStorage=[{**HOME, "deletionPolicy": policy}]))
    cluster.until_ready(1)
    (volume,) = cluster.made("AWS::EC2::Volume")
    with world.behaving(held_stacks=[cluster.stack_name]):
        cluster.delete()
        listed = cluster.until("what is kept", lambda: cluster.status.get("retained"))
        assert listed == [{"id": volume, "type": "AWS::EC2::Volume", "policy": policy}]
    cluster.until_gone()
    assert f"AWS::EC2::Volume {volume} ({policy})" in cluster.until_event("Deleted")["message"]
    snapshots = ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [volume]}])["Snapshots"]
    left = [each["VolumeId"] for each in ec2.describe_volumes()["Volumes"]]
    assert (volume in left, len(snapshots)) == {"Retain": (True, 0), "Snapshot": (False, 1)}[policy]
    assert not [arn for arn in world.tagged(cluster.name) if ":volume/" not in arn and ":snapshot/" not in arn]


def test_a_volume_of_the_user_is_used_and_stays(cluster: Cluster, world: World) -> None:
    ec2 = world.client("ec2")
    zone = ec2.describe_subnets(SubnetIds=[world.net.subnet_ids[0]])["Subnets"][0]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=8, VolumeType="gp3")["VolumeId"]
    cluster.put(world.spec(sharedStorage=[{**HOME, "deletionPolicy": "Retain", "ebs": {"volumeId": volume}}]))
    cluster.until_ready(1)
    assert cluster.made("AWS::EC2::Volume") == []
    cluster.delete()
    cluster.until_gone()
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["VolumeId"] == volume
