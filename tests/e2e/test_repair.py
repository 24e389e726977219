"""What somebody changed by hand is put back, each time with an event; what holds data is only reported."""

import pytest

from tests.e2e.world import Cluster, World

BY_HAND: dict[str, tuple[dict[str, int], str]] = {
    "up": ({"MaxSize": 9, "DesiredCapacity": 4}, "min 2, max 9, desired 4"),
    "down": ({"MinSize": 0, "DesiredCapacity": 1}, "min 0, max 2, desired 1"),
}


@pytest.mark.parametrize("way", BY_HAND)
def test_a_group_resized_by_hand_is_put_back(running: Cluster, world: World, way: str) -> None:
    change, was = BY_HAND[way]
    world.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=running.group_name(), **change)
    event = running.until_event("GroupResized")
    assert event["message"] == f"Put back from {was} to min 2, max 2, desired 2."
    assert event["subject"] == f"Auto Scaling group {running.group_name()}"
    assert event["type"] == "Warning"
    running.until("the size", lambda: running.sizes() == (2, 2, 2, 2))
    running.until_ready(1)


def test_bounds_changed_by_hand_are_put_back_by_the_sweep(running: Cluster, world: World) -> None:
    """No event of AWS tells of it: the nodes stay as they are."""
    running.until_quiet()
    change = {"MinSize": 1, "MaxSize": 7}
    world.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=running.group_name(), **change)
    assert world.sweep()[running.name] == "facts"
    event = running.until_event("GroupResized")
    assert event["message"] == "Put back from min 1, max 7, desired 2 to min 2, max 2, desired 2."
    assert running.sizes() == (2, 2, 2, 2)


def test_suspended_processes_are_resumed(running: Cluster, world: World) -> None:
    running.until_quiet()
    world.client("autoscaling").suspend_processes(
        AutoScalingGroupName=running.group_name(), ScalingProcesses=["Launch", "Terminate"]
    )
    assert world.sweep()[running.name] == "facts"
    event = running.until_event("ProcessesResumed")
    assert event["message"] == "Resumed Launch, Terminate, which had been suspended."
    group = running.group()
    assert group
    assert group.get("SuspendedProcesses", []) == []
    running.until_ready(1)


def test_a_stack_deleted_by_hand_is_made_again(running: Cluster, world: World) -> None:
    first = running.status["stack"]["id"]
    world.client("cloudformation").delete_stack(StackName=running.stack_name)
    event = running.until_event("StackMissing")
    assert "made again" in event["message"]
    running.until("another stack", lambda: running.status.get("stack", {}).get("id", first) != first)
    running.until_ready(1)
    assert running.sizes() == (2, 2, 2, 2)


def test_a_node_terminated_by_hand_is_replaced_by_its_group_and_the_status_follows(
    running: Cluster, world: World
) -> None:
    lost, kept = sorted(running.nodes())
    digest = (running.record or {})["digest"]
    world.client("ec2").terminate_instances(InstanceIds=[lost])
    running.until("two nodes", lambda: running.sizes() == (2, 2, 2, 2) and lost not in running.nodes())
    assert kept in running.nodes()
    running.until("a pass that saw it", lambda: (running.record or {})["digest"] != digest)
    running.until_ready(1)
    assert running.status["queues"][0]["inService"] == 2


@pytest.mark.parametrize("by_hand", ["terminate", "stop"])
def test_a_head_node_that_is_down_is_reported_and_never_rebuilt(running: Cluster, world: World, by_hand: str) -> None:
    head, stack = running.head, running.stack
    getattr(world.client("ec2"), f"{by_hand}_instances")(InstanceIds=[head])
    down = running.until_condition("HeadNodeReady", False, "HeadNodeDown")
    assert head in down["message"]
    assert running.condition("Stalled")["reason"] == "HeadNodeDown"
    assert running.condition("Ready")["status"] == "False"
    assert running.status["phase"] == "Degraded"
    assert running.until_event("HeadNodeDown")["type"] == "Warning"
    assert world.sweep().get(running.name) is None, "what is known wakes nobody"
    assert running.stack == stack
    assert running.head == head


def test_a_stopped_head_node_that_is_started_is_ready_again(running: Cluster, world: World) -> None:
    ec2, head = world.client("ec2"), running.head
    ec2.stop_instances(InstanceIds=[head])
    running.until_condition("HeadNodeReady", False, "HeadNodeDown")
    ec2.start_instances(InstanceIds=[head])
    running.until_ready(1)


def test_a_queue_whose_group_was_deleted_by_hand_is_named(running: Cluster, world: World) -> None:
    world.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=running.group_name(), ForceDelete=True)
    gone = running.until_condition("FleetReady", False, "GroupMissing")
    assert running.group_name() in gone["message"]
    assert running.condition("Stalled")["status"] == "True"
