"""Every trigger wakes its cluster; and whatever is lost, the sweep finds."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.store import encode, state_key
from tests.e2e.world import RULES, Cluster, Json, World, queue

EVENTS = Path(__file__).parents[2] / "events"


def test_a_spec_put_changed_and_deleted_wakes_each_time(cluster: Cluster) -> None:
    cluster.put()
    cluster.until("the first", lambda: cluster.wakes("spec") == 1)
    cluster.until_ready(1)
    cluster.edit(queues=[queue(size=3)])
    cluster.until("the second", lambda: cluster.wakes("spec") == 2)
    cluster.delete()
    cluster.until("the third", lambda: cluster.wakes("spec") == 3)
    cluster.until_gone()


def test_a_stack_that_changes_its_status_wakes(cluster: Cluster, world: World) -> None:
    """Nothing else can: while the stack is held nothing of it is made, and its timer is minutes away."""
    with world.behaving(held_stacks=[cluster.stack_name]):
        cluster.put()
        cluster.until("the stack", lambda: (cluster.stack or {}).get("StackStatus") == "CREATE_IN_PROGRESS")
        cluster.until("the beginning", lambda: cluster.wakes("stack") == 1)
    cluster.until("the end", lambda: cluster.wakes("stack") > 1)
    cluster.until_ready(1)


def test_nodes_that_a_group_launches_and_terminates_wake(running: Cluster, world: World) -> None:
    running.until_quiet()
    launches, passes = running.wakes("group"), running.passes("group")
    assert launches >= 2, "one a node launched"
    world.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=min(running.nodes()), ShouldDecrementDesiredCapacity=False
    )
    running.until("termination and launch", lambda: running.wakes("group") >= launches + 2)
    running.until("a pass", lambda: running.passes("group") > passes)
    running.until_ready(1)


def test_a_launch_that_fails_wakes_and_is_told_until_there_is_capacity(cluster: Cluster, world: World) -> None:
    kinds = ["z1d.large"]
    with world.behaving(no_capacity=[{"InstanceType": kinds[0]}]):
        cluster.put(world.spec(queues=[queue(size=1, instanceTypes=kinds)]))
        failed = cluster.until_condition("FleetReady", False, "LaunchFailed")
        assert f"{cluster.group_name()} has 0 of 1 nodes in service" in failed["message"]
        assert "We currently do not have sufficient z1d.large capacity" in failed["message"]
        assert cluster.status["phase"] == "Degraded"
        assert cluster.until_event("LaunchFailed")["type"] == "Warning"
        assert cluster.condition("Stalled")["status"] == "False", "Auto Scaling goes on trying"
        assert cluster.wakes("group")
    cluster.until_ready(1)
    assert cluster.sizes() == (1, 1, 1, 1)


def test_another_type_of_the_list_is_launched_where_one_has_no_capacity(cluster: Cluster, world: World) -> None:
    with world.behaving(no_capacity=[{"InstanceType": "d3.xlarge"}]):
        cluster.put(world.spec(queues=[queue(size=2, instanceTypes=["d3.xlarge", "d3.2xlarge"])]))
        cluster.until_ready(1)
    kinds = {each["InstanceType"] for each in cluster.instances if each["InstanceId"] in cluster.nodes()}
    assert kinds == {"d3.2xlarge"}


def test_what_jobs_want_wakes_and_no_other_row_of_the_table_does(running: Cluster, world: World) -> None:
    running.until_quiet()
    before = running.wakes("demand")
    for row in ("AGENT", "NODE#i-0", "DEMAND", "FACTS", "DEMAND"):
        item = {"cluster": f"{running.name}/nodes", "row": row, "at": int(time.time())}
        world.client("dynamodb").put_item(TableName=world.out("StateTable"), Item=encode(item))
    running.until("the wake-ups", lambda: running.wakes("demand") > before)
    running.until_quiet()
    assert running.wakes("demand") <= before + 2
    lines = world.logs("wake", running.born)
    assert not [line for line in lines if "message dropped" in str(line)], "the filter lets nothing else through"


def test_an_instance_that_changes_its_state_wakes(running: Cluster, world: World) -> None:
    running.until_quiet()
    before = running.wakes("instance")
    world.client("ec2").stop_instances(InstanceIds=[running.head])
    running.until("the wake-up", lambda: running.wakes("instance") > before)
    running.until_condition("HeadNodeReady", False)


# Sample events of AWS: the kind of wake-up, and what of the event names the cluster.
SAMPLES: dict[str, tuple[str, Callable[[Cluster], Json]]] = {
    "stack-status": ("stack", lambda cluster: {"stack-id": cluster.status["stack"]["id"]}),
    "group-launch-successful": ("group", lambda cluster: {"AutoScalingGroupName": cluster.group_name()}),
    "group-launch-unsuccessful": ("group", lambda cluster: {"AutoScalingGroupName": cluster.group_name()}),
    "group-terminate-successful": ("group", lambda cluster: {"AutoScalingGroupName": cluster.group_name()}),
    "group-terminate-unsuccessful": ("group", lambda cluster: {"AutoScalingGroupName": cluster.group_name()}),
    "codebuild-build": ("build", lambda cluster: {"project-name": f"muster-{cluster.name}"}),
    "ecr-image": ("image", lambda cluster: {"repository-name": f"muster/{cluster.name}"}),
    "spot-interruption": ("spot", lambda cluster: {"instance-id": min(cluster.nodes())}),
    "spot-rebalance": ("spot", lambda cluster: {"instance-id": min(cluster.nodes())}),
    "instance-state": ("instance", lambda cluster: {"instance-id": cluster.head}),
}


def test_there_is_a_sample_of_every_event(world: World) -> None:
    """What comes by other ways than EventBridge has a scenario of its own here."""
    others = ("spec-", "s3-cleanup-", "ecr-cleanup-", "inbox", "reconcile", "sweep", "timer", "demand")
    assert {path.stem for path in EVENTS.glob("*.json") if not path.stem.startswith(others)} == SAMPLES.keys()


@pytest.fixture(scope="module")
def still(world: World) -> Cluster:
    """A running cluster to which nothing happens but the samples."""
    cluster = Cluster(world, "still")
    cluster.put(world.spec(queues=[queue(capacityType="spot", size=1)]))
    cluster.until_ready(1)
    cluster.until_quiet()
    return cluster


@pytest.mark.parametrize("sample", SAMPLES)
def test_an_event_wakes_the_cluster_it_is_about(still: Cluster, world: World, sample: str) -> None:
    source, about = SAMPLES[sample]
    picture, wakes, passes = still.picture, still.wakes(source), still.passes(source)
    _publish(world, sample, **about(still))
    still.until("the wake-up", lambda: still.wakes(source) == wakes + 1)
    still.until("its pass", lambda: still.passes(source) == passes + 1)
    assert still.picture == picture
    assert still.condition("Ready")["status"] == "True"


def test_an_event_of_somebody_elses_instance_wakes_nobody(running: Cluster, world: World) -> None:
    theirs = world.client("ec2").run_instances(
        ImageId=_image(world, running), InstanceType="t3.micro", MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    running.until_quiet()
    before = _of_instances(world)
    _publish(world, "instance-state", **{"instance-id": theirs})
    _publish(world, "spot-interruption", **{"instance-id": "i-0123456789abcdef0"})
    running.wake()
    running.until("a wake-up that came after", lambda: running.passes("timer"))
    running.until_quiet()
    assert _of_instances(world) == before
    world.client("ec2").terminate_instances(InstanceIds=[theirs])


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"timer": {}}', '{"timer": {"cluster": "Not a name"}}'])
def test_a_message_that_says_nothing_is_dropped(running: Cluster, world: World, body: str) -> None:
    world.client("sqs").send_message(QueueUrl=world.out("InboxQueueUrl"), MessageBody=body or " ")
    running.wake()
    running.until("the next message", lambda: running.passes("timer"))
    running.until_quiet()
    dropped = [line for line in world.logs("wake", running.born) if line.get("message") == "message dropped"]
    assert [line["reason"] for line in dropped] == ["foreign" if "Not" in body else "unreadable"]


def test_the_operators_own_timer_wakes(running: Cluster) -> None:
    """Of a change set no event tells that it can be read."""
    running.until_quiet()
    assert running.wakes("timer") == 0
    running.edit(tags={"team": "physics"})
    running.until("the change set", lambda: (running.record or {}).get("timer"))
    running.until_ready(2)
    assert running.wakes("timer") == 1


def test_the_sweep_wakes_nobody_when_all_is_known(running: Cluster, world: World) -> None:
    running.until_quiet()
    assert running.name not in world.sweep()


def test_the_sweep_finds_what_happened_while_all_events_were_lost(running: Cluster, world: World) -> None:
    running.until_quiet()
    with world.silence():
        world.client("autoscaling").set_desired_capacity(AutoScalingGroupName=running.group_name(), DesiredCapacity=2)
        world.client("autoscaling").update_auto_scaling_group(
            AutoScalingGroupName=running.group_name(), MinSize=0, DesiredCapacity=0
        )
        running.until("an empty group", lambda: running.sizes() == (0, 2, 0, 0))
        assert running.condition("Ready")["status"] == "True", "nobody has looked"
        assert world.sweep()[running.name] == "facts"
        running.until_event("GroupResized")
        running.until("two nodes", lambda: running.sizes() == (2, 2, 2, 2))
        running.until_quiet()
        assert running.passes("sweep") == 1
        assert world.sweep()[running.name] == "facts", "the nodes came without an event"
        running.until_ready(1)
        running.until_quiet()
        assert running.name not in world.sweep()


def test_the_sweep_finds_specs_that_the_stream_lost(cluster: Cluster, world: World) -> None:
    other = Cluster(world, f"{cluster.name[:50]}-other")
    other.put()
    other.until_ready(1)
    with _deaf(world):
        cluster.put()
        other.delete()
        found = world.sweep()
        assert (found[cluster.name], found[other.name]) == ("new", "spec")
        cluster.until_ready(1)
        other.until_gone()
        assert cluster.wakes("spec") == 0


def test_the_sweep_finds_a_timer_that_was_lost(running: Cluster, world: World) -> None:
    running.until_quiet()
    world.client("dynamodb").update_item(
        TableName=world.out("StateTable"),
        Key=state_key(running.name),
        UpdateExpression="SET #timer = :past",
        ExpressionAttributeNames={"#timer": "timer"},
        ExpressionAttributeValues=encode({":past": 1}),
    )
    assert world.sweep()[running.name] == "timer"
    running.until("a pass", lambda: running.passes("sweep"))
    running.until("the end of the timer", lambda: "timer" not in (running.record or {}))


def test_an_event_delivered_twice_does_no_harm(running: Cluster, world: World) -> None:
    picture, events = running.picture, running.events
    for _ in range(3):
        _publish(world, "stack-status", **{"stack-id": running.status["stack"]["id"]})
        _publish(world, "group-launch-successful", AutoScalingGroupName=running.group_name())
    running.until_quiet()
    assert running.picture == picture
    assert running.events == events


@contextlib.contextmanager
def _deaf(world: World) -> Iterator[None]:
    """The records of the specs' stream are not read for the time of the block."""
    functions, name = world.client("lambda"), world.physical("WakeFunction")
    sources = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    specs = f":table/{world.out('SpecsTable')}/stream/"
    stream = next(each["UUID"] for each in sources if specs in each["EventSourceArn"])
    functions.update_event_source_mapping(UUID=stream, Enabled=False)
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=stream, Enabled=True)


def _publish(world: World, sample: str, **detail: str) -> None:
    """Let the sample event of that name happen to what `detail` names.

    EventBridge takes an event of AWS's own services from nobody else. So the one rule that lets it in is asked for,
    and its target given what the rule would give it.
    """
    event: dict[str, Any] = json.loads((EVENTS / f"{sample}.json").read_text())
    event["detail"] |= detail
    events, body = world.client("events"), json.dumps(event)
    patterns = [events.describe_rule(Name=world.physical(rule))["EventPattern"] for rule in RULES]
    assert [events.test_event_pattern(EventPattern=each, Event=body)["Result"] for each in patterns].count(True) == 1
    world.client("sqs").send_message(QueueUrl=world.out("InboxQueueUrl"), MessageBody=body)


def _image(world: World, cluster: Cluster) -> str:
    return world.client("ec2").describe_instances(InstanceIds=[cluster.head])["Reservations"][0]["Instances"][0][
        "ImageId"
    ]


def _of_instances(world: World) -> int:
    """How many wake-ups, of whatever cluster, were made because of an instance."""
    return sum(line.get("source") in ("instance", "spot") for line in world.logs("wake"))
