"""What a pass reads of AWS: one call a service, more only where something is the matter."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError
from botocore.parsers import ResponseParserError

from reconciler.facts import Actual, Launch, Member, digest
from reconciler.observe import _with_error, asking, group_of, observe
from reconciler.outcomes import AwsError, Outcome
from reconciler.record import Record
from reconciler.store import encode
from tests.unit.factories import NAME, OWNER, actual, group, head, members, record
from tests.unit.fakes import client_error
from tests.unit.plane import Plane, client, launch

OURS = [{"Key": "muster:cluster", "Value": NAME}, {"Key": "muster:owner", "Value": OWNER}]
THEIRS = [{"Key": "muster:cluster", "Value": NAME}, {"Key": "muster:owner", "Value": "another"}]


def seen(plane: Plane, memory: Record | None = None, *, deleting: bool = False) -> Actual:
    return observe(plane.clients, OWNER, memory or record(), deleting=deleting)


@pytest.fixture
def made(plane: Plane) -> Plane:
    """A cluster that stands."""
    plane.put()
    plane.go()
    plane.cloudformation.end("CREATE_COMPLETE")
    plane.go()
    plane.go()
    plane.quiet()
    return plane


def stored(plane: Plane) -> Record:
    found = plane.store.load(NAME)[1]
    assert found is not None
    return found


def test_nothing_is_seen_where_nothing_is(plane: Plane) -> None:
    assert seen(plane) == Actual()


def test_a_cluster_is_seen_by_one_call_a_service(made: Plane) -> None:
    there = seen(made)
    assert there.stack is not None
    assert there.stack.status == "CREATE_COMPLETE"
    assert there.stack.owned_by(OWNER, NAME)
    (queue,) = there.groups
    assert (queue.name, queue.queue, queue.min, queue.max, queue.desired) == ("muster-demo.compute", "compute", 2, 2, 2)
    assert queue.in_service == 2
    assert there.head is not None
    assert (there.head.id, there.head.state) == (made.head, "running")
    assert there.head.private_ip
    assert there.instances == (there.head,), "the group tells of the others"
    assert made.calls == {"DescribeStacks": 1, "DescribeAutoScalingGroups": 1, "DescribeInstances": 1}


def tagged(tags: list[dict[str, str]], subnet: str) -> str:
    """An instance with these tags."""
    (found,) = launch(subnet, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    return found


def test_what_bears_anothers_tags_is_not_seen(plane: Plane) -> None:
    head = {"Key": "muster:node", "Value": "head"}
    mine = tagged([*OURS, head], plane.subnet)
    tagged([*THEIRS, head], plane.subnet)
    tagged([{"Key": "muster:cluster", "Value": "other"}, OURS[1], head], plane.subnet)
    tagged([{"Key": "Name", "Value": "a stranger"}], plane.subnet)
    assert [instance.id for instance in seen(plane).instances] == [mine]


def test_all_instances_are_seen_of_a_cluster_that_goes(plane: Plane) -> None:
    nodes = {tagged([*OURS, {"Key": "muster:node", "Value": kind}], plane.subnet) for kind in ("head", "compute")}
    nodes.add(tagged(OURS, plane.subnet))
    assert {instance.id for instance in seen(plane, deleting=True).instances} == nodes


def test_a_stack_of_another_is_seen_for_what_it_is(plane: Plane) -> None:
    request = {"StackName": "muster-demo", "TemplateURL": f"/artifacts/{put_template()}", "Tags": THEIRS}
    plane.cloudformation.create_stack(**request)
    there = seen(plane).stack
    assert there is not None
    assert not there.owned_by(OWNER, NAME)


def put_template() -> str:
    client("s3").put_object(Bucket="artifacts", Key="any.json", Body=b'{"Resources": {}}')
    return "any.json"


def test_of_a_failed_stack_the_first_cause_is_read(made: Plane) -> None:
    stack = made.cloudformation.stacks[-1]
    made.cloudformation.tell(stack, "Early", "CREATE_FAILED", "of the operation before")
    made.cloudformation._move(stack, "UPDATE_IN_PROGRESS")
    made.cloudformation.end(
        "UPDATE_ROLLBACK_COMPLETE",
        "HeadNode: You have exceeded your limit",
        "Queue: Resource update cancelled",
        "Role: something that came of it",
    )
    there = seen(made).stack
    assert there is not None
    assert there.failure == "HeadNode (AWS::Some::Thing): You have exceeded your limit"


def test_the_cause_may_lie_some_pages_back(made: Plane) -> None:
    made.cloudformation.events_page = 3
    stack = made.cloudformation.stacks[-1]
    made.cloudformation._move(stack, "UPDATE_IN_PROGRESS")
    made.cloudformation.end("UPDATE_ROLLBACK_COMPLETE", "HeadNode: first", *(f"Role{n}: later" for n in range(7)))
    there = seen(made).stack
    assert there is not None
    assert "first" in there.failure


def test_pages_before_the_operation_are_not_read(made: Plane) -> None:
    made.cloudformation.events_page = 3
    stack = made.cloudformation.stacks[-1]
    for number in range(30):
        made.cloudformation.tell(stack, f"Role{number}", "CREATE_COMPLETE")
    made.cloudformation._move(stack, "UPDATE_IN_PROGRESS")
    made.cloudformation.end("UPDATE_ROLLBACK_COMPLETE", "HeadNode: no")
    seen(made)
    assert made.calls["DescribeStackEvents"] == 1


def test_a_failure_of_the_stack_itself_has_no_cause_among_its_parts(made: Plane) -> None:
    made.cloudformation.end("ROLLBACK_COMPLETE")
    there = seen(made).stack
    assert there is not None
    assert there.failure == ""


def test_a_part_in_an_unknown_status_is_told_as_a_cause(made: Plane) -> None:
    stack = made.cloudformation.stacks[-1]
    made.cloudformation._move(stack, "UPDATE_IN_PROGRESS")
    made.cloudformation.tell(stack, "Role", "UPDATE_PONDERING", "in these words")
    made.cloudformation.end("UPDATE_ROLLBACK_COMPLETE")
    there = seen(made).stack
    assert there is not None
    assert there.failure.startswith("Role (AWS::Some::Thing): the status UPDATE_PONDERING")
    assert "in these words" in there.failure


CHANGE = {
    "Action": "Modify",
    "LogicalResourceId": "HeadNode",
    "ResourceType": "AWS::EC2::Instance",
    "Replacement": "Conditional",
    "Details": [
        {"Target": {"Attribute": "Properties", "Name": "ImageId", "RequiresRecreation": "Always"}},
        {"Target": {"Attribute": "Properties", "Name": "UserData", "RequiresRecreation": "Conditionally"}},
        {"Target": {"Attribute": "Tags", "RequiresRecreation": "Never"}},
    ],
}


def update(plane: Plane) -> None:
    plane.put(tags={"team": "physics"})
    plane.go()


def test_a_change_set_is_read_to_its_last_page(made: Plane) -> None:
    update(made)
    others = [{**CHANGE, "LogicalResourceId": f"Thing{number}"} for number in range(4)]
    made.cloudformation.compute(CHANGE, *others)
    found = seen(made, stored(made)).change_set
    assert found is not None
    assert (found.status, found.execution_status) == ("CREATE_COMPLETE", "AVAILABLE")
    assert found.id.startswith(f"arn:{found.name}/")
    assert [change.logical_id for change in found.changes] == ["HeadNode", "Thing0", "Thing1", "Thing2", "Thing3"]
    assert found.changes[0].replacement == "Conditional"
    assert found.changes[0].causes == ("ImageId", "UserData")


def test_a_change_set_that_is_gone_is_none(made: Plane) -> None:
    assert seen(made, record(change_set="muster-gone")).change_set is None


def test_only_the_remembered_change_set_is_asked_for(made: Plane) -> None:
    seen(made)
    assert "DescribeChangeSet" not in made.calls


ACTIVITIES = [
    (("Failed", "Successful"), ("Failed", "Failed 0")),
    (("InProgress", "Failed"), ("InProgress", "InProgress 0")),
    ((), ("", "")),
]


@pytest.mark.parametrize(("statuses", "told"), ACTIVITIES)
def test_a_group_that_lacks_nodes_tells_of_its_newest_activity(
    statuses: tuple[str, ...], told: tuple[str, str]
) -> None:
    found = [{"StatusCode": status, "StatusMessage": f"{status} {n}"} for n, status in enumerate(statuses)]
    asked: list[str] = []

    def describe(**request: Any) -> Any:
        asked.append(request["AutoScalingGroupName"])
        return {"Activities": found}

    clients: Any = SimpleNamespace(autoscaling=SimpleNamespace(describe_scaling_activities=describe))
    lacking = _with_error(clients, group(members=members(1)))
    assert (lacking.activity, lacking.activity_message) == told
    assert asked == ["muster-demo.compute"]
    assert _with_error(clients, group()).activity == ""
    assert len(asked) == 1, "a group that lacks none is not asked for"


def test_a_full_group_is_not_asked_for_its_activities(made: Plane) -> None:
    seen(made)
    assert "DescribeScalingActivities" not in made.calls


def test_suspended_processes_are_seen(made: Plane) -> None:
    client("autoscaling").suspend_processes(
        AutoScalingGroupName="muster-demo.compute", ScalingProcesses=["Terminate", "Launch"]
    )
    assert seen(made).groups[0].suspended == ("Launch", "Terminate")


def test_a_group_is_read_from_its_description() -> None:
    found = {
        "AutoScalingGroupName": "muster-demo.compute",
        "MinSize": 1,
        "MaxSize": 4,
        "DesiredCapacity": 2,
        "Tags": [{"Key": "muster:queue", "Value": "compute"}],
        "MixedInstancesPolicy": {
            "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "7"}},
            "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0},
        },
        "Instances": [
            {"InstanceId": "i-2", "LifecycleState": "Pending:Wait", "HealthStatus": "Healthy"},
            {
                "InstanceId": "i-1",
                "LifecycleState": "InService",
                "HealthStatus": "Unhealthy",
                "LaunchTemplate": {"Version": "6"},
            },
        ],
    }
    read = group_of(found)
    assert (read.queue, read.min, read.max, read.desired, read.template_version) == ("compute", 1, 4, 2, "7")
    assert read.capacity_type == "spot"
    assert read.members == (Member("i-1", "InService", "Unhealthy", "6"), Member("i-2", "Pending:Wait"))


def make_volume(tags: list[dict[str, str]]) -> str:
    specification = [{"ResourceType": "volume", "Tags": tags}]
    answer = client("ec2").create_volume(AvailabilityZone="us-east-1a", Size=8, TagSpecifications=specification)
    return str(answer["VolumeId"])


def test_when_the_stack_is_gone_volumes_of_shared_storage_are_looked_for(plane: Plane) -> None:
    policy = "muster:deletion-policy"
    gone = make_volume([*OURS, {"Key": policy, "Value": "Delete"}])
    kept = make_volume([*OURS, {"Key": policy, "Value": "Retain"}])
    make_volume(OURS)
    make_volume([*THEIRS, {"Key": policy, "Value": "Delete"}])
    found = {volume.id: volume.policy for volume in seen(plane, deleting=True).volumes}
    assert found == {gone: "Delete", kept: "Retain"}
    assert seen(plane).volumes == ()


def test_while_the_stack_is_there_its_resources_are_listed_for_its_deletion(made: Plane) -> None:
    made.cloudformation.stacks[-1].resources = [
        {
            "LogicalResourceId": "StorageHome",
            "PhysicalResourceId": "vol-1",
            "ResourceType": "AWS::EC2::Volume",
            "ResourceStatus": "DELETE_FAILED",
            "ResourceStatusReason": "in use",
        },
        {"LogicalResourceId": "Role", "ResourceType": "AWS::IAM::Role", "ResourceStatus": "CREATE_FAILED"},
    ]
    home, role = seen(made, deleting=True).resources
    assert (home.logical_id, home.physical_id, home.status, home.reason) == (
        "StorageHome",
        "vol-1",
        "DELETE_FAILED",
        "in use",
    )
    assert role.physical_id == ""
    assert seen(made).resources == ()


@pytest.mark.parametrize(
    "operation", ["DescribeStacks", "DescribeAutoScalingGroups", "DescribeInstances", "DescribeStackEvents"]
)
def test_what_aws_does_not_say_is_not_guessed(made: Plane, operation: str) -> None:
    made.cloudformation.stacks[-1].status = "UPDATE_ROLLBACK_COMPLETE"
    made.clients.faults[operation] = made.cloudformation.faults[operation] = ("AccessDenied", "no right to look")
    with pytest.raises(AwsError) as caught:
        seen(made)
    assert caught.value.outcome is Outcome.BLOCKED
    assert caught.value.operation == operation
    assert NAME in caught.value.subject


def test_whatever_boto_raises_is_an_error_of_aws() -> None:
    raised = [
        client_error("DescribeStacks", "Throttling"),
        ConnectTimeoutError(endpoint_url="https://x"),
        ResponseParserError("not XML"),
    ]
    for error in raised:
        with pytest.raises(AwsError) as caught, asking("cluster demo"):
            raise error
        assert caught.value.outcome is Outcome.RETRY
        assert caught.value.__cause__ is error


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), asking("cluster demo"):
        raise ZeroDivisionError


def digests(*of: Actual) -> int:
    return len({digest(each) for each in of})


def test_the_digest_tells_what_the_sweep_can_see() -> None:
    base = actual()
    different = [
        Actual(),
        actual("UPDATE_IN_PROGRESS"),
        actual(template="other"),
        actual(groups=()),
        actual(groups=(group(desired=3),)),
        actual(groups=(group(suspended=("Launch",)),)),
        actual(groups=(group(members=members(1)),)),
        actual(groups=(group(members=members(2, "Standby")),)),
        actual(instances=(head("stopped"),)),
        actual(instances=(head(private_ip="10.0.0.1"),)),
    ]
    assert digests(base, *different) == 1 + len(different)


def test_and_nothing_else() -> None:
    base = actual(groups=(group("a"), group("b")), instances=(head(), head(id="i-2")))
    same = [
        actual(groups=(group("b"), group("a")), instances=(head(id="i-2"), head())),
        actual(groups=(group("a", activity="Failed"), group("b")), instances=(head(), head(id="i-2"))),
        actual(groups=base.groups, instances=(*base.instances, head("terminated", id="i-3"))),
        actual(groups=base.groups, instances=(*base.instances, replace(head(id="i-4"), node="compute"))),
    ]
    assert digests(base, *same) == 1


def put_row(row: str, **values: Any) -> None:
    client("dynamodb").put_item(TableName="state", Item=encode({"cluster": f"{NAME}/nodes", "row": row, **values}))


def test_the_rows_of_nodes_are_read_up_to_the_secrets(plane: Plane) -> None:
    put_row("AGENT", at=5)
    put_row("NODE#i-1", queue="compute", name="compute-1", state="ready", since=7)
    put_row("SECRET#MUNGE", key=b"secret")
    assert seen(plane).nodes is None, "nobody asked"
    asked: list[Any] = []
    plane.clients.dynamodb.meta.events.register(
        "before-parameter-build.dynamodb.Query", lambda params, **_: asked.append(params)
    )
    there = observe(plane.clients, OWNER, record(), deleting=False, table="state").nodes
    assert there is not None
    assert (there.agent_at, [row.id for row in there.rows], there.unread) == (5.0, ["i-1"], ())
    (request,) = asked
    assert request["ConsistentRead"] is True
    answer = client("dynamodb").query(**{key: value for key, value in request.items() if key != "StartKey"})
    assert [item["row"]["S"] for item in answer["Items"]] == ["AGENT", "NODE#i-1"]


def test_of_a_group_that_lacks_nodes_the_launches_are_read(monkeypatch: pytest.MonkeyPatch, plane: Plane) -> None:
    """What ends a node, and may be newer, is none of them."""
    began = datetime(2027, 1, 1, tzinfo=UTC)
    found = [
        {"ActivityId": "c", "StatusCode": "Successful", "Description": "Terminating EC2 instance: i-1"},
        {"ActivityId": "b", "StatusCode": "Failed", "StatusMessage": "none left", "StartTime": began,
         "Description": "Launching a new EC2 instance.  Status Reason: none left"},
        {"ActivityId": "a", "StatusCode": "Successful", "Cause": "asked for", "StartTime": began,
         "Description": "Launching a new EC2 instance: i-2"},
    ]  # fmt: skip
    scaling = plane.clients.autoscaling
    monkeypatch.setattr(scaling, "describe_scaling_activities", lambda **_: {"Activities": found})
    lacking = group(desired=2, members=(*members(1), Member("i-9", "Terminating")))
    assert _with_error(plane.clients, lacking).launches == (
        Launch("b", "Failed", "none left", began.timestamp()),
        Launch("a", "Successful", "asked for", began.timestamp()),
    )
