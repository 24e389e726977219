"""A stack in each status that can be brought about: waited for, repaired, or told with its cause."""

import json

import pytest

from tests.e2e.world import Cluster, Json, World, queue


def failing(cluster: Cluster, **step: str) -> Json:
    """A failure of the cluster's own stack operations, as `local.additions.settings` takes it."""
    return {"Stack": cluster.stack_name, **step}


def status_of(cluster: Cluster) -> str:
    return (cluster.stack or {}).get("StackStatus", "")


def test_a_creation_in_progress_is_waited_for(cluster: Cluster, world: World) -> None:
    with world.behaving(held_stacks=[cluster.stack_name]):
        cluster.put()
        cluster.until("the stack", lambda: status_of(cluster) == "CREATE_IN_PROGRESS")
        creating = cluster.until_condition("StackReady", False, "Creating")
        assert cluster.condition("Reconciling")["status"] == "True"
        cluster.wake()
        cluster.until("another look", lambda: cluster.passes("timer"))
        assert cluster.condition("StackReady") == {**creating, "message": cluster.condition("StackReady")["message"]}
        assert cluster.status["phase"] == "Creating"
    cluster.until_ready(1)


def test_an_edit_during_the_creation_is_carried_out_after_it(cluster: Cluster, world: World) -> None:
    with world.behaving(held_stacks=[cluster.stack_name]):
        cluster.put()
        cluster.until("the stack", lambda: status_of(cluster) == "CREATE_IN_PROGRESS")
        cluster.edit(queues=[queue(size=1)], tags={"team": "physics"})
        cluster.until_condition("SpecAccepted", True, generation=2)
        assert status_of(cluster) == "CREATE_IN_PROGRESS"
    cluster.until_ready(2)
    assert cluster.sizes() == (1, 1, 1, 1)
    tags = {tag["Key"]: tag["Value"] for each in cluster.instances for tag in each["Tags"]}
    assert tags["team"] == "physics"


def test_a_creation_that_failed_is_told_and_the_next_spec_makes_the_cluster(cluster: Cluster, world: World) -> None:
    """An Elastic IP too many: the stack is rolled back, and can only be deleted then."""
    reason = "The maximum number of addresses has been reached. (Service: Ec2, AddressLimitExceeded)"
    with world.behaving(failures=[failing(cluster, ResourceType="AWS::EC2::EIP", Operation="create", Reason=reason)]):
        cluster.put(world.spec(headNode={"instanceType": "t3.medium", "elasticIp": True}))
        failed = cluster.until_condition("StackReady", False, "CreateFailed")
        assert "HeadElasticIp (AWS::EC2::EIP)" in failed["message"]
        assert reason in failed["message"]
        assert cluster.status["phase"] == "Failed"
        assert status_of(cluster) == "ROLLBACK_COMPLETE"
        first = cluster.status["stack"]["id"]
        cluster.edit(headNode={"instanceType": "t3.medium"})
        cluster.until_ready(2)
    assert cluster.status["stack"]["id"] != first
    assert cluster.event("StackRecreating")


MISSING: dict[str, tuple[Json, str]] = {
    "image": ({"headNode": {"instanceType": "t3.medium", "ami": "ami-0abad1dea00000000"}}, "ami-0abad1dea00000000"),
    "key pair": ({"headNode": {"instanceType": "t3.medium", "keyName": "nobodys"}}, "nobodys"),
    "placement group": ({"queues": [queue(placementGroup="nowhere", subnetIds=["subnet-00000001"])]}, "nowhere"),
}


@pytest.mark.parametrize("what", MISSING)
def test_what_only_ec2_can_miss_is_told_in_its_own_words(cluster: Cluster, world: World, what: str) -> None:
    changes, name = MISSING[what]
    cluster.put(world.spec(**changes))
    cluster.until("the message", lambda: name in cluster.condition("Ready").get("message", ""))
    assert cluster.condition("Ready")["reason"] in ("CreateFailed", "LaunchFailed")
    cluster.put(world.spec(consent=["headNode", "queues/compute"]))
    cluster.until_ready(2)


def test_a_creation_whose_rollback_failed_is_deleted_and_made_again(cluster: Cluster, world: World) -> None:
    failures = [
        failing(cluster, LogicalResourceId="HeadNode", Operation="create", Reason="Service quota exceeded."),
        failing(cluster, Operation="rollback", Reason="Not now."),
    ]
    with world.behaving(failures=failures):
        cluster.put()
        failed = cluster.until_condition("StackReady", False, "CreateFailed")
        assert "Service quota exceeded." in failed["message"]
        assert status_of(cluster) == "ROLLBACK_FAILED"
    cluster.pass_time()
    cluster.until_ready(1)
    assert cluster.event("StackRecreating")


def test_a_creation_that_failed_for_a_quota_is_tried_again_by_itself(cluster: Cluster, world: World) -> None:
    reason = "You have exceeded the limit of vCPUs. (Service: Ec2, VcpuLimitExceeded)"
    with world.behaving(failures=[failing(cluster, LogicalResourceId="HeadNode", Operation="create", Reason=reason)]):
        cluster.put()
        failed = cluster.until_condition("StackReady", False, "CreateFailed")
        assert "VcpuLimitExceeded" in failed["message"]
        assert "tried again in a while" in failed["message"]
    cluster.pass_time()
    cluster.until_ready(1)


def test_a_creation_that_fails_again_and_again_waits_for_the_spec(cluster: Cluster, world: World) -> None:
    with world.behaving(failures=[failing(cluster, LogicalResourceId="HeadNode", Operation="create", Reason="No.")]):
        cluster.put()
        for tries in (1, 2):
            cluster.until(f"try {tries}", lambda count=tries: f"tried {count} times" in _message(cluster))
            cluster.pass_time()
        stalled = cluster.until_condition("Stalled", True, "CreateFailed")
        assert "tried 3 times; tried again when the spec changes" in stalled["message"]
    cluster.edit(tags={"try": "again"})
    cluster.until_ready(2)


def _message(cluster: Cluster) -> str:
    return cluster.condition("StackReady").get("message", "")


def test_an_update_that_failed_is_rolled_back_and_the_next_spec_is_carried_out(running: Cluster, world: World) -> None:
    nodes = running.nodes()
    failure = failing(running, LogicalResourceId="LaunchTemplateExtra", Operation="create", Reason="Out of names.")
    with world.behaving(failures=[failure]):
        running.edit(queues=[queue(), queue("extra", size=1)])
        failed = running.until_condition("StackReady", False, "UpdateFailed")
        assert "LaunchTemplateExtra (AWS::EC2::LaunchTemplate): Out of names." in failed["message"]
        assert status_of(running) == "UPDATE_ROLLBACK_COMPLETE"
        assert running.nodes() == nodes
        assert running.sizes() == (2, 2, 2, 2)
    running.edit(queues=[queue(), queue("other", size=1)])
    running.until_ready(3)
    assert running.sizes("other") == (1, 1, 1, 1)


def test_a_rollback_that_failed_is_continued(running: Cluster, world: World) -> None:
    failures = [
        failing(running, LogicalResourceId="LaunchTemplateExtra", Operation="create", Reason="Out of names."),
        failing(running, Operation="rollback", Reason="Not now."),
    ]
    with world.behaving(failures=failures):
        running.edit(queues=[queue(), queue("extra", size=1)], logs={"retentionDays": 30})
        running.until("the failed rollback", lambda: status_of(running) == "UPDATE_ROLLBACK_FAILED")
        failed = running.until_condition("StackReady", False, "RollbackFailed")
        assert "UPDATE_ROLLBACK_FAILED" in failed["message"]
    running.until_event("RollbackContinued")
    running.pass_time()
    running.until("the rollback", lambda: status_of(running) == "UPDATE_ROLLBACK_COMPLETE")
    running.edit(queues=[queue(size=1)], consent=["queues/compute"])
    running.until_ready(3)


def test_a_deletion_that_failed_is_tried_again_and_names_what_blocks_it(running: Cluster, world: World) -> None:
    reason = "The topic is in use elsewhere."
    with world.behaving(failures=[failing(running, LogicalResourceId="Topic", Operation="delete", Reason=reason)]):
        running.delete()
        for tries in (2, 3):
            running.until(f"try {tries}", lambda count=tries: f"failed {count - 1} times" in _message(running))
            running.pass_time()
        blocked = running.until_condition("Stalled", True, "DeletionBlocked")
        assert "Topic (AWS::SNS::Topic" in blocked["message"]
        assert reason in blocked["message"]
        assert running.event("DeleteRetried")
    running.pass_time()
    running.until_gone()
    assert world.tagged(running.name) == []


def test_a_stack_of_the_clusters_name_that_is_not_ours_is_reported_and_left_alone(
    cluster: Cluster, world: World
) -> None:
    body = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    cloudformation = world.client("cloudformation")
    cloudformation.create_stack(StackName=cluster.stack_name, TemplateBody=body)
    cluster.until("somebody's stack", lambda: status_of(cluster) == "CREATE_COMPLETE")
    theirs = cluster.stack
    cluster.put()
    told = cluster.until_condition("Stalled", True, "StackNotOwned")
    assert cluster.stack_name in told["message"]
    assert "Delete or rename it" in told["message"]
    cluster.delete()
    cluster.until_gone()
    assert cluster.stack == theirs
    assert list(cluster.resources) == ["Topic"]


def test_a_stack_that_somebody_updated_by_hand_is_brought_back_to_the_spec(running: Cluster, world: World) -> None:
    """Its hash tag says that it is not what was rendered."""
    template = world.client("cloudformation").get_template(StackName=running.stack_name)["TemplateBody"]
    tags = [tag for tag in (running.stack or {})["Tags"] if tag["Key"] != "muster:hash"]
    world.client("cloudformation").update_stack(
        StackName=running.stack_name,
        TemplateBody=_text(template).replace('"RetentionInDays":14', '"RetentionInDays":90'),
        Tags=[*tags, {"Key": "muster:hash", "Value": "by hand"}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    running.until_event("StackUpdating")
    running.until_ready(1)
    found = world.client("logs").describe_log_groups(logGroupNamePrefix=f"/muster/{running.name}")["logGroups"]
    assert [group["retentionInDays"] for group in found] == [14]


def _text(template: object) -> str:
    return template if isinstance(template, str) else json.dumps(template, separators=(",", ":"))
