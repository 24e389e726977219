"""Each action does what it says, twice over, and says what went wrong."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from reconciler import actions, agent
from reconciler.act import ALREADY, MARGIN, SIDE_BY_SIDE, Hands, act
from reconciler.actions import Action
from reconciler.outcomes import AwsError, Outcome
from reconciler.store import encode
from tests.unit.factories import rendered
from tests.unit.plane import BUCKET, Plane, client, launch

STACK = "muster-demo"
GROUP = "muster-demo.compute"
TEMPLATE = '{"Resources": {}}'
HASH = "f" * 64


@pytest.fixture
def hands(plane: Plane) -> Hands:
    made = rendered(HASH, body=TEMPLATE)
    return Hands(plane.clients, plane.settings, "demo", made, lambda: plane.left)


def request(plane: Plane, operation: str) -> dict[str, Any]:
    return next(sent for name, sent in reversed(plane.cloudformation.requests) if name == operation)


def create(hands: Hands) -> None:
    act(hands, actions.CreateStack(STACK, HASH, "create-1"))


@pytest.fixture
def stack(plane: Plane, hands: Hands) -> Plane:
    create(hands)
    plane.cloudformation.end("CREATE_COMPLETE")
    return plane


@pytest.fixture
def group(plane: Plane) -> Plane:
    client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        MinSize=0,
        MaxSize=5000,
        LaunchTemplate={"LaunchTemplateName": "any", "Version": "1"},
        VPCZoneIdentifier=plane.subnet,
    )
    return plane


def test_to_create_uploads_the_template_first(plane: Plane, hands: Hands) -> None:
    create(hands)
    sent = request(plane, "CreateStack")
    assert sent["StackName"] == STACK
    assert sent["ClientRequestToken"] == "create-1"
    assert sent["RoleARN"] == plane.settings.stack_role_arn
    assert sent["OnFailure"] == "ROLLBACK"
    assert set(sent["Capabilities"]) == {"CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"}
    assert {"Key": "muster:hash", "Value": HASH} in sent["Tags"]
    key = f"clusters/demo/templates/{HASH}.json"
    assert sent["TemplateURL"].endswith(f"/{BUCKET}/{key}")
    assert client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() == TEMPLATE


def agents(plane: Plane) -> list[str]:
    return [key for key in plane.objects() if "/agent/" in key]


def test_what_nodes_run_is_there_before_the_first_of_them(plane: Plane, hands: Hands) -> None:
    made = replace(hands, rendered=rendered(HASH, body=TEMPLATE, agent=agent.digest()))
    create(made)
    key = f"clusters/demo/agent/{agent.digest()}.pyz"
    assert client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read() == agent.archive()
    plane.cloudformation.end("CREATE_COMPLETE")
    act(made, actions.CreateChangeSet(STACK, "muster-1", HASH))
    assert set(agents(plane)) == {key}


def test_no_node_is_launched_that_would_look_for_its_agent_in_vain(plane: Plane, hands: Hands) -> None:
    plane.clients.faults["PutObject"] = ("SlowDown", "slow down")
    with pytest.raises(AwsError):
        create(replace(hands, rendered=rendered(HASH, body=TEMPLATE, agent=agent.digest())))
    assert plane.cloudformation.stacks == []


def test_nodes_without_an_agent_are_sent_none(plane: Plane, hands: Hands) -> None:
    create(hands)
    assert agents(plane) == []


@pytest.mark.parametrize("token", ["create-1", "another-life"])
def test_to_create_twice_is_to_create_once(plane: Plane, hands: Hands, token: str) -> None:
    """The same call again, and one of a pass that could not see the stack yet."""
    create(hands)
    act(hands, actions.CreateStack(STACK, HASH, token))
    assert len(plane.cloudformation.stacks) == 1


def test_a_change_set_is_made_read_executed_and_dropped(stack: Plane, hands: Hands) -> None:
    fake = stack.cloudformation
    for _ in range(2):
        act(hands, actions.CreateChangeSet(STACK, "muster-1", HASH))
    sent = request(stack, "CreateChangeSet")
    assert (sent["ChangeSetName"], sent["ChangeSetType"]) == ("muster-1", "UPDATE")
    assert sent["RoleARN"] == stack.settings.stack_role_arn
    assert list(fake.stacks[-1].change_sets) == ["muster-1"]
    fake.compute()
    for _ in range(2):
        act(hands, actions.ExecuteChangeSet(STACK, "muster-1", "execute-1"))
    assert fake.stacks[-1].status == "UPDATE_IN_PROGRESS"
    assert request(stack, "ExecuteChangeSet")["ClientRequestToken"] == "execute-1"
    for _ in range(2):
        act(hands, actions.DeleteChangeSet(STACK, "muster-1"))


def test_a_change_set_of_a_stack_that_is_gone_is_dropped_already(plane: Plane, hands: Hands) -> None:
    act(hands, actions.DeleteChangeSet(STACK, "muster-1"))


MOVES: list[tuple[Action, str, str, str]] = [
    (actions.ContinueUpdateRollback(STACK, "t"), "ContinueUpdateRollback", "StackName", "UPDATE_ROLLBACK_IN_PROGRESS"),
    (actions.RollbackStack(STACK, "t"), "RollbackStack", "StackName", "UPDATE_ROLLBACK_IN_PROGRESS"),
]


@pytest.mark.parametrize(("action", "operation", "key", "status"), MOVES, ids=[move[1] for move in MOVES])
def test_a_stack_is_moved_with_its_token_and_the_stacks_role(
    stack: Plane, hands: Hands, action: Action, operation: str, key: str, status: str
) -> None:
    act(hands, action)
    act(hands, action)
    sent = request(stack, operation)
    assert sent[key] == STACK
    assert sent["ClientRequestToken"] == "t"
    assert sent["RoleARN"] == stack.settings.stack_role_arn
    assert stack.cloudformation.stacks[-1].status == status


def test_a_stack_is_deleted_by_its_id(stack: Plane, hands: Hands) -> None:
    """So that a successor of the same name is never meant."""
    old = stack.cloudformation.stacks[-1]
    act(hands, actions.DeleteStack(old.id, "delete-1"))
    assert old.status == "DELETE_IN_PROGRESS"
    assert request(stack, "DeleteStack")["RoleARN"] == stack.settings.stack_role_arn
    stack.cloudformation.end("DELETE_COMPLETE")
    act(hands, actions.CreateStack(STACK, HASH, "create-2"))
    act(hands, actions.DeleteStack(old.id, "delete-1"))
    assert stack.cloudformation.stacks[-1].status == "CREATE_IN_PROGRESS"


def test_a_stack_that_is_gone_is_deleted_already(plane: Plane, hands: Hands) -> None:
    act(hands, actions.DeleteStack("arn:gone", "delete-1"))


def sizes(name: str = GROUP) -> tuple[int, int, int]:
    (found,) = client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return found["MinSize"], found["MaxSize"], found["DesiredCapacity"]


def test_a_group_is_resized(group: Plane, hands: Hands) -> None:
    for _ in range(2):
        act(hands, actions.ResizeGroup(GROUP, 1, 4, 3))
    assert sizes() == (1, 4, 3)
    act(hands, actions.ResizeGroup(GROUP, 0, 5, None))
    assert sizes() == (0, 5, 3), "the desired size is left as it is"


def test_processes_are_resumed(group: Plane, hands: Hands) -> None:
    scaling = client("autoscaling")
    scaling.suspend_processes(AutoScalingGroupName=GROUP, ScalingProcesses=["Launch", "Terminate", "AZRebalance"])
    for _ in range(2):
        act(hands, actions.ResumeProcesses(GROUP, ("Launch", "Terminate")))
    (found,) = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert [process["ProcessName"] for process in found["SuspendedProcesses"]] == ["AZRebalance"]


def test_leftover_instances_are_terminated(plane: Plane, hands: Hands) -> None:
    ec2 = client("ec2")
    ids = tuple(launch(plane.subnet, 2))
    for _ in range(2):
        act(hands, actions.TerminateInstances(ids))
    found = ec2.describe_instances(InstanceIds=list(ids))["Reservations"]
    assert {i["State"]["Name"] for r in found for i in r["Instances"]} == {"terminated"}


def test_instances_that_ec2_no_longer_shows_are_terminated_already(plane: Plane, hands: Hands) -> None:
    act(hands, actions.TerminateInstances(("i-0123456789abcdef0",)))


def test_leftover_volumes_are_deleted(plane: Plane, hands: Hands) -> None:
    ec2 = client("ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=8)["VolumeId"]
    for _ in range(2):
        act(hands, actions.DeleteVolumes((volume,)))
    assert volume not in [each["VolumeId"] for each in ec2.describe_volumes()["Volumes"]]


PROJECT, ENVIRONMENT, QUEUE = "muster-demo", "muster-demo_any_0a1b2c3d", "muster-demo_main"
DOCKERFILE = "FROM public.ecr.aws/amazonlinux/amazonlinux:2023\n"
SOURCE = "clusters/demo/sources/app-1.zip"


def build(**fields: Any) -> actions.StartBuild:
    given = {"dockerfile": DOCKERFILE, "source": "", "architecture": "x86_64", "token": "build-1"}
    return actions.StartBuild(**{"project": PROJECT, "tag": "app-1", **given, **fields})


# What an action asks: the service, the call, and all that it says.
BUILT: dict[str, Any] = {
    "projectName": PROJECT,
    "sourceTypeOverride": "S3",
    "environmentVariablesOverride": [{"name": "MUSTER_TAG", "value": "app-1"}],
    "idempotencyToken": "build-1",
}
ARM = {"environmentTypeOverride": "ARM_CONTAINER", "imageOverride": "aws/codebuild/amazonlinux-aarch64-standard:3.0"}
RESIZED = {"minvCpus": 0, "maxvCpus": 8, "desiredvCpus": 2}
ORDER = [{"order": 1, "computeEnvironment": "b"}, {"order": 2, "computeEnvironment": "a"}]
ASKED: list[tuple[str, Action, str, str, dict[str, Any]]] = [
    ("build", build(), "codebuild", "start_build", BUILT | {"sourceLocationOverride": f"{BUCKET}/{SOURCE}"}),
    (
        "build-of-an-archive",
        build(dockerfile="", source="mine/a.zip", architecture="arm64"),
        "codebuild",
        "start_build",
        BUILT | ARM | {"sourceLocationOverride": "mine/a.zip"},
    ),
    ("stop", actions.StopBuild("demo:1"), "codebuild", "stop_build", {"id": "demo:1"}),
    (
        "enable",
        actions.UpdateComputeEnvironment(ENVIRONMENT, "ENABLED"),
        "batch",
        "update_compute_environment",
        {"computeEnvironment": ENVIRONMENT, "state": "ENABLED"},
    ),
    (
        "close",
        actions.UpdateComputeEnvironment(ENVIRONMENT, "DISABLED", 0),
        "batch",
        "update_compute_environment",
        {"computeEnvironment": ENVIRONMENT, "state": "DISABLED", "computeResources": {"minvCpus": 0}},
    ),
    (
        "resize",
        actions.UpdateComputeEnvironment(ENVIRONMENT, None, 0, 8, 2),
        "batch",
        "update_compute_environment",
        {"computeEnvironment": ENVIRONMENT, "computeResources": RESIZED},
    ),
    (
        "delete-environment",
        actions.DeleteComputeEnvironment(ENVIRONMENT),
        "batch",
        "delete_compute_environment",
        {"computeEnvironment": ENVIRONMENT},
    ),
    (
        "close-queue",
        actions.UpdateJobQueue(QUEUE, "DISABLED"),
        "batch",
        "update_job_queue",
        {"jobQueue": QUEUE, "state": "DISABLED"},
    ),
    (
        "reorder-queue",
        actions.UpdateJobQueue(QUEUE, None, 0, ("b", "a")),
        "batch",
        "update_job_queue",
        {"jobQueue": QUEUE, "priority": 0, "computeEnvironmentOrder": ORDER},
    ),
    ("delete-queue", actions.DeleteJobQueue(QUEUE), "batch", "delete_job_queue", {"jobQueue": QUEUE}),
]


@pytest.fixture
def stubbed(plane: Plane) -> Iterator[dict[str, Stubber]]:
    """Services that take what they are told to expect, and nothing else."""
    stubs = {service: Stubber(getattr(plane.clients, service)) for service in ("batch", "codebuild")}
    for stub in stubs.values():
        stub.activate()
    yield stubs
    for stub in stubs.values():
        stub.deactivate()
    for stub in stubs.values():
        stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("action", "service", "operation", "said"), [row[1:] for row in ASKED], ids=[row[0] for row in ASKED]
)
def test_batch_and_codebuild_are_told_what_changes_and_no_more(
    hands: Hands, stubbed: dict[str, Stubber], action: Action, service: str, operation: str, said: dict[str, Any]
) -> None:
    stubbed[service].add_response(operation, {}, said)
    act(hands, action)


def test_the_source_of_a_build_is_an_archive_of_the_same_bytes_each_time(
    plane: Plane, hands: Hands, stubbed: dict[str, Stubber]
) -> None:
    found = set[str]()
    for _ in range(2):
        stubbed["codebuild"].add_response("start_build", {})
        act(hands, build())
        body = client("s3").get_object(Bucket=BUCKET, Key=SOURCE)["Body"].read()
        found.add(hashlib.sha256(body).hexdigest())
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {"Dockerfile": DOCKERFILE}
    assert len(found) == 1


def test_an_archive_of_the_users_is_not_copied(plane: Plane, hands: Hands, stubbed: dict[str, Stubber]) -> None:
    stubbed["codebuild"].add_response("start_build", {})
    act(hands, build(dockerfile="", source="mine/a.zip"))
    assert plane.objects() == []


def test_the_head_node_is_told_in_the_partition_of_its_cluster(plane: Plane, hands: Hands) -> None:
    for document in ("old", "new", "new"):
        act(hands, actions.PutFacts("demo", document))
    assert plane.rows("demo/nodes") == [{"cluster": "demo/nodes", "row": "FACTS", "document": "new"}]


def test_only_what_boots_or_is_ready_is_drained_and_the_rest_of_its_row_stays(plane: Plane, hands: Hands) -> None:
    states = ("booting", "ready", "draining", "drained", "failed")
    for state in states:
        item = {"cluster": "demo/nodes", "row": f"NODE#i-{state}", "state": state, "since": 1, "name": "compute-1"}
        client("dynamodb").put_item(TableName="state", Item=encode(item))
    for at in (5.25, 9.0):
        act(hands, actions.DrainNodes("demo", (*(f"i-{state}" for state in states), "i-gone"), "idle for long", at))
    found = {row["row"]: (row["state"], float(row["since"]), row.get("reason")) for row in plane.rows("demo/nodes")}
    assert found == {
        "NODE#i-booting": ("draining", 5.25, "idle for long"),
        "NODE#i-ready": ("draining", 5.25, "idle for long"),
        "NODE#i-draining": ("draining", 1.0, None),
        "NODE#i-drained": ("drained", 1.0, None),
        "NODE#i-failed": ("failed", 1.0, None),
    }
    assert {row["name"] for row in plane.rows("demo/nodes")} == {"compute-1"}


@pytest.mark.parametrize("replace", [True, False])
def test_members_are_ended_one_by_one_whatever_is_gone_already(
    plane: Plane, hands: Hands, monkeypatch: pytest.MonkeyPatch, *, replace: bool
) -> None:
    asked: list[dict[str, Any]] = []

    def terminate(**request: Any) -> None:
        asked.append(request)
        if request["InstanceId"] == "i-gone":
            error = {
                "Code": "ValidationError",
                "Message": "Instance Id not found - No managed instance found for i-gone",
            }
            raise ClientError({"Error": error}, "TerminateInstanceInAutoScalingGroup")

    monkeypatch.setattr(plane.clients.autoscaling, "terminate_instance_in_auto_scaling_group", terminate)
    act(hands, actions.EndNodes(GROUP, ("i-gone", "i-2"), replace))
    assert asked == [{"InstanceId": each, "ShouldDecrementDesiredCapacity": not replace} for each in ("i-gone", "i-2")]


def test_of_many_members_all_are_ended_and_an_error_is_told(
    plane: Plane, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tuple(f"i-{number}" for number in range(200))
    asked: list[str] = []

    def terminate(**request: Any) -> None:
        asked.append(request["InstanceId"])
        if request["InstanceId"] == "i-bad":
            raise ClientError({"Error": {"Code": "Throttling", "Message": "slower"}}, "TerminateInstance")

    monkeypatch.setattr(plane.clients.autoscaling, "terminate_instance_in_auto_scaling_group", terminate)
    act(hands, actions.EndNodes(GROUP, many, replace=False))
    assert sorted(asked) == sorted(many)
    with pytest.raises(AwsError) as caught:
        act(hands, actions.EndNodes(GROUP, ("i-bad", *many), replace=False))
    assert (caught.value.outcome, caught.value.subject) == (Outcome.RETRY, "node i-bad")


@pytest.mark.parametrize("many", [4, 200])
def test_members_that_the_pass_has_no_time_for_are_left_to_the_next(
    plane: Plane, hands: Hands, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    asked: list[str] = []

    def terminate(**request: Any) -> None:
        asked.append(request["InstanceId"])
        plane.left -= 1

    monkeypatch.setattr(plane.clients.autoscaling, "terminate_instance_in_auto_scaling_group", terminate)
    plane.left = MARGIN + 2
    act(hands, actions.EndNodes(GROUP, tuple(f"i-{number}" for number in range(many)), replace=False))
    assert 2 <= len(asked) < 2 + SIDE_BY_SIDE


def put(*keys: str) -> None:
    for key in keys:
        client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")


def test_objects_of_the_cluster_are_deleted_with_all_their_versions_and_no_others(plane: Plane, hands: Hands) -> None:
    put("clusters/demo/a", "clusters/demo/a", "clusters/demo/nodes/b", "clusters/demo-2/a", "clusters/dem/a", "other")
    client("s3").delete_object(Bucket=BUCKET, Key="clusters/demo/nodes/b")
    for _ in range(2):
        act(hands, actions.DeleteArtifacts("clusters/demo/"))
    assert sorted(plane.objects()) == ["clusters/dem/a", "clusters/demo-2/a", "other"]


def test_objects_that_one_pass_cannot_delete_are_left_to_the_next(plane: Plane, hands: Hands) -> None:
    put("clusters/demo/a")
    plane.left = 9.0
    with pytest.raises(AwsError) as caught:
        act(hands, actions.DeleteArtifacts("clusters/demo/"))
    assert (caught.value.outcome, caught.value.code) == (Outcome.RETRY, "Unfinished")
    assert plane.objects() == ["clusters/demo/a"]


# Each action, the operation that fails, and words that the error has to have.
FAILING: list[tuple[Action, str, str]] = [
    (actions.CreateStack(STACK, HASH, "t"), "PutObject", "stack muster-demo"),
    (actions.CreateStack(STACK, HASH, "t"), "CreateStack", "stack muster-demo"),
    (actions.CreateChangeSet(STACK, "muster-1", HASH), "CreateChangeSet", "change set muster-1"),
    (actions.ExecuteChangeSet(STACK, "muster-1", "t"), "ExecuteChangeSet", "change set muster-1"),
    (actions.DeleteChangeSet(STACK, "muster-1"), "DeleteChangeSet", "change set muster-1"),
    (actions.ContinueUpdateRollback(STACK, "t"), "ContinueUpdateRollback", "stack muster-demo"),
    (actions.RollbackStack(STACK, "t"), "RollbackStack", "stack muster-demo"),
    (actions.DeleteStack("arn:x", "t"), "DeleteStack", "stack arn:x"),
    (actions.ResizeGroup(GROUP, 0, 0, 0), "UpdateAutoScalingGroup", GROUP),
    (actions.ResumeProcesses(GROUP, ("Launch",)), "ResumeProcesses", GROUP),
    (actions.PutFacts("demo", "{}"), "PutItem", "facts of cluster demo"),
    (actions.DrainNodes("demo", ("i-1",), "idle", 0.0), "UpdateItem", "node i-1"),
    (actions.EndNodes(GROUP, ("i-1",), replace=False), "TerminateInstanceInAutoScalingGroup", "node i-1"),
    (actions.TerminateInstances(("i-1",)), "TerminateInstances", "i-1"),
    (actions.DeleteVolumes(("vol-1",)), "DeleteVolume", "vol-1"),
    (actions.DeleteArtifacts("clusters/demo/"), "ListObjectVersions", "clusters/demo/"),
    (build(), "PutObject", "image app-1"),
    (build(), "StartBuild", "image app-1"),
    (actions.StopBuild("demo:1"), "StopBuild", "build demo:1"),
    (actions.UpdateComputeEnvironment(ENVIRONMENT, "ENABLED"), "UpdateComputeEnvironment", ENVIRONMENT),
    (actions.DeleteComputeEnvironment(ENVIRONMENT), "DeleteComputeEnvironment", ENVIRONMENT),
    (actions.UpdateJobQueue(QUEUE, "ENABLED"), "UpdateJobQueue", f"job queue {QUEUE}"),
    (actions.DeleteJobQueue(QUEUE), "DeleteJobQueue", f"job queue {QUEUE}"),
]
CAUSES = [
    ("AccessDenied", "no right", Outcome.BLOCKED),
    ("Throttling", "Rate exceeded", Outcome.RETRY),
    ("ValidationError", "it is wrong", Outcome.TERMINAL),
]


@pytest.mark.parametrize(("code", "said", "outcome"), CAUSES, ids=[cause[0] for cause in CAUSES])
@pytest.mark.parametrize(("action", "operation", "about"), FAILING, ids=[each[1] for each in FAILING])
def test_what_goes_wrong_is_told_with_what_it_was_about(
    plane: Plane, hands: Hands, action: Action, operation: str, about: str, code: str, said: str, outcome: Outcome
) -> None:
    plane.clients.faults[operation] = plane.cloudformation.faults[operation] = (code, said)
    with pytest.raises(AwsError) as caught:
        act(hands, action)
    error = caught.value
    assert (error.operation, error.code, error.message, error.outcome) == (operation, code, said, outcome)
    assert about in str(error)


def test_every_action_but_the_last_is_tried_here() -> None:
    """Forget is the store's: it deletes the record under the fence."""
    assert {type(action) for action, _, _ in FAILING} | {actions.Forget} == set(actions.SUBJECTS)
    assert ALREADY.keys() <= actions.SUBJECTS.keys()


@pytest.mark.parametrize(("action", "words"), ALREADY.items(), ids=[kind.__name__ for kind in ALREADY])
def test_what_is_done_already_is_done(plane: Plane, hands: Hands, action: type[Action], words: tuple[str, ...]) -> None:
    sample, operation = next((each, name) for each, name, _ in reversed(FAILING) if type(each) is action)
    for said in words:
        code, message = ("ValidationError", f"It is so: {said}") if " " in said else (said, "because")
        plane.clients.faults[operation] = plane.cloudformation.faults[operation] = (code, message)
        act(hands, sample)


LACKS = [
    ("PutObject", "NoSuchBucket", "The specified bucket does not exist"),
    ("CreateStack", "ValidationError", "Role arn:aws:iam::1:role/x does not exist"),
    ("CreateStack", "ValidationError", "S3 error: The specified key does not exist."),
]


@pytest.mark.parametrize(("operation", "code", "said"), LACKS)
def test_what_lacks_something_is_not_done(plane: Plane, hands: Hands, operation: str, code: str, said: str) -> None:
    plane.clients.faults[operation] = plane.cloudformation.faults[operation] = (code, said)
    with pytest.raises(AwsError):
        create(hands)
    assert plane.cloudformation.stacks == []
