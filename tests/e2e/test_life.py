"""A cluster's life: it is made, changes with its spec, and goes without a trace."""

import json
from collections.abc import Callable

from reconciler.store import encode
from tests.e2e.world import Cluster, World, conditions, queue

STORAGE = [
    {"name": "home", "mountDir": "/home-shared", "deletionPolicy": "Delete", "ebs": {"size": 50, "iops": 4000}},
    {"name": "fast", "mountDir": "/fast", "deletionPolicy": "Delete", "raid": {"level": 0, "volumes": 3, "size": 10}},
    {"name": "tools", "mountDir": "/tools", "deletionPolicy": "Delete", "efs": {"throughputMode": "elastic"}},
    {
        "name": "reads",
        "mountDir": "/reads",
        "deletionPolicy": "Delete",
        "fsxLustre": {"deploymentType": "SCRATCH_2", "storageCapacity": 1200},
    },
]


def test_a_spec_becomes_a_cluster_and_its_status_tells_all_of_it(cluster: Cluster, world: World) -> None:
    cluster.put()
    status = cluster.until_ready(1)
    stack, group = cluster.stack, cluster.group()
    assert stack
    assert group
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["RoleARN"] == world.out("StackRoleArn")
    tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
    assert tags["muster:cluster"] == cluster.name
    assert tags["muster:owner"] == world.plane.stack

    head = next(each for each in cluster.instances if each["InstanceId"] == status["headNode"]["instanceId"])
    assert status["phase"] == "Ready"
    assert status["observedGeneration"] == 1
    assert status["stack"] == {
        "name": f"muster-{cluster.name}",
        "id": stack["StackId"],
        "status": "CREATE_COMPLETE",
        "hash": tags["muster:hash"],
        "version": tags["muster:version"],
    }
    assert status["headNode"]["privateIp"] == head["PrivateIpAddress"]
    assert status["headNode"]["state"] == "running"
    expected = {"name": "compute", "min": 2, "max": 2, "desired": 2, "inService": 2, "total": 2}
    assert status["queues"] == [expected]
    assert {kind: each["status"] for kind, each in conditions(status).items()} == {
        "SpecAccepted": "True",
        "StackReady": "True",
        "HeadNodeReady": "True",
        "FleetReady": "True",
        "Ready": "True",
        "Reconciling": "False",
        "Stalled": "False",
    }
    assert {"StackCreating", "SizesApplied", "AsSpecified"} <= {event["reason"] for event in cluster.events}
    assert len(cluster.instances) == 3
    assert all(each["MetadataOptions"]["HttpTokens"] == "required" for each in cluster.instances)


def test_what_a_group_launches_is_told_in_the_clusters_own_queue(running: Cluster, world: World) -> None:
    outputs = {each["OutputKey"]: each["OutputValue"] for each in (running.stack or {})["Outputs"]}
    told: set[str] = set()

    def receive() -> bool:
        """Whether both nodes were told of; a notification lies in SNS's envelope."""
        messages = world.client("sqs").receive_message(QueueUrl=outputs["QueueUrl"], MaxNumberOfMessages=10)
        for message in messages.get("Messages", ()):
            notice = json.loads(json.loads(message["Body"])["Message"])
            if notice.get("Event") == "autoscaling:EC2_INSTANCE_LAUNCH":
                told.add(notice["EC2InstanceId"])
        return told == running.nodes()

    running.until("a notification of each node", receive)


def test_an_edit_adds_a_queue_and_grows_another(running: Cluster) -> None:
    before, head = running.nodes(), running.head
    running.edit(queues=[queue(size=3), queue("spot", size=1, capacityType="spot", instanceTypes=["m5.large"])])
    status = running.until_ready(2)
    assert [(each["name"], each["inService"]) for each in status["queues"]] == [("compute", 3), ("spot", 1)]
    assert running.sizes("spot") == (1, 1, 1, 1)
    assert before < running.nodes(), "the nodes that ran were kept"
    assert running.head == head
    assert {"ChangeSetCreating", "StackUpdating"} <= {event["reason"] for event in running.events}


def test_a_size_alone_is_changed_without_an_update_of_the_stack(running: Cluster) -> None:
    stack = running.stack
    running.edit(queues=[queue(size=3)])
    running.until_ready(2)
    assert running.sizes() == (3, 3, 3, 3)
    assert running.stack == stack


def test_bounds_leave_the_desired_size_to_whoever_sets_it(cluster: Cluster, world: World) -> None:
    cluster.put(world.spec(queues=[queue(size=None, minSize=1, maxSize=4)]))
    cluster.until_ready(1)
    assert cluster.sizes() == (1, 4, 1, 1)
    world.client("autoscaling").set_desired_capacity(AutoScalingGroupName=cluster.group_name(), DesiredCapacity=3)
    cluster.until("three nodes", lambda: cluster.sizes() == (1, 4, 3, 3))
    cluster.until("status of three nodes", lambda: cluster.status["queues"][0]["inService"] == 3)
    cluster.until_ready(1)
    assert cluster.event("GroupResized") is None


def test_a_queue_with_nodes_is_removed_only_by_consent(cluster: Cluster, world: World) -> None:
    cluster.put(world.spec(queues=[queue(), queue("extra", size=1)]))
    cluster.until_ready(1)
    picture = cluster.picture
    cluster.edit(queues=[queue()])
    held = cluster.until_condition("StackReady", False, "ConsentRequired", generation=2)
    assert "queues/extra" in held["message"]
    assert cluster.picture == picture
    cluster.edit(consent=["queues/extra"])
    cluster.until_ready(3)
    assert cluster.group("extra") is None
    assert cluster.queues == ["compute"]


def test_all_kinds_of_shared_storage_are_made_and_go_with_the_cluster(cluster: Cluster, world: World) -> None:
    cluster.put(world.spec(sharedStorage=STORAGE))
    cluster.until_ready(1)
    counts = [len(cluster.made(f"AWS::{kind}")) for kind in ("EC2::Volume", "EFS::FileSystem", "FSx::FileSystem")]
    assert counts == [4, 1, 1]
    found = world.client("ec2").describe_volumes(VolumeIds=cluster.made("AWS::EC2::Volume"))["Volumes"]
    assert all(volume["Encrypted"] for volume in found)
    cluster.delete()
    cluster.until_gone()
    assert world.tagged(cluster.name) == []


def test_a_deleted_spec_leaves_nothing_but_its_events(running: Cluster, world: World) -> None:
    bucket, s3 = world.out("ArtifactsBucket"), world.client("s3")
    for text in (b"one", b"two"):
        s3.put_object(Bucket=bucket, Key=f"{running.prefix}nodes/i-0/bootstrap.log", Body=text)
    s3.delete_object(Bucket=bucket, Key=f"{running.prefix}nodes/i-0/bootstrap.log")
    row = encode({"cluster": f"{running.name}/nodes", "row": "INSTANCE#i-0"})
    world.client("dynamodb").put_item(TableName=world.out("StateTable"), Item=row)
    assert world.state(row)
    assert len(world.objects(running.prefix)) > 3
    assert world.tagged(running.name)

    running.delete()
    running.until_gone()
    assert running.instances == []
    assert running.group() is None
    assert running.stack is None
    assert world.tagged(running.name) == []
    assert world.objects(running.prefix) == []
    assert _roles(world, f"/muster/{running.name}/") == []
    assert world.state(row) is None
    gone = running.event("Deleted")
    assert gone
    assert gone["message"].endswith("Nothing of it is left.")
    assert gone["expires"] > 0


def test_a_cluster_is_deleted_while_it_is_being_made(cluster: Cluster, world: World) -> None:
    with world.behaving(held_stacks=[cluster.stack_name]):
        cluster.put()
        cluster.until("the stack", lambda: (cluster.stack or {}).get("StackStatus") == "CREATE_IN_PROGRESS")
        cluster.delete()
        cluster.until("the deletion", lambda: (cluster.stack or {}).get("StackStatus") == "DELETE_IN_PROGRESS")
    cluster.until_gone()
    assert world.tagged(cluster.name) == []


def test_a_name_can_be_used_again(running: Cluster) -> None:
    first = running.status["stack"]["id"]
    running.delete()
    running.until_gone()
    running.put()
    status = running.until_ready(1)
    assert status["stack"]["id"] != first


def test_a_deletion_that_is_taken_back_makes_the_cluster_again(running: Cluster, world: World) -> None:
    with world.behaving(held_stacks=[running.stack_name]):
        running.delete()
        running.until("the deletion", lambda: (running.stack or {}).get("StackStatus") == "DELETE_IN_PROGRESS")
        running.put(running.spec)
        running.until("the wish", lambda: running.condition("SpecAccepted").get("reason") == "Accepted")
    status = running.until_ready()
    assert status["queues"][0]["inService"] == 2
    assert running.sizes() == (2, 2, 2, 2)


def test_many_clusters_are_made_and_deleted_at_once(cluster: Cluster, world: World) -> None:
    others = [Cluster(world, f"{cluster.name[:50]}-{number}") for number in range(4)]
    _each(others, lambda each: each.put())
    _each(others, lambda each: each.until_ready(1))
    _each(others, Cluster.delete)
    _each(others, Cluster.until_gone)
    assert [world.tagged(each.name) for each in others] == [[]] * 4


def _each(clusters: list[Cluster], do: Callable[[Cluster], object]) -> None:
    for each in clusters:
        do(each)


def _roles(world: World, path: str) -> list[str]:
    pages = world.client("iam").get_paginator("list_roles").paginate()
    return [role["RoleName"] for page in pages for role in page["Roles"] if role["Path"] == path]
