"""What a pass reads of AWS Batch, ECS, ECR and CodeBuild, in their own words and with no call too many."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from reconciler.batch import BatchFacts, Build
from reconciler.facts import Actual
from reconciler.observe import observe
from reconciler.observe_batch import ACTIVE_JOBS, CHUNK, JOB_PAGES, observe_batch, queue_of
from reconciler.outcomes import AwsError
from tests.unit.batch_factories import ARN, DIGEST, PROJECT, REPOSITORY, definition_arn, outputs, scene
from tests.unit.factories import NAME, OWNER, record
from tests.unit.plane import Plane

Json = dict[str, Any]
MARKS = {"muster:owner": OWNER, "muster:cluster": NAME}
THEIRS = {"muster:owner": "another", "muster:cluster": NAME}
ANY, MAIN = scene().name(), "muster-demo_main"
OUTPUTS = outputs(scene().wanted)
ECS = "arn:aws:ecs:us-east-1:123456789012:cluster/"
SERVICES = ("batch", "ecs", "ecr", "codebuild")


@pytest.fixture
def stubs(plane: Plane) -> Iterator[dict[str, Stubber]]:
    """Services that answer what a test says, in that order, and refuse every other call."""
    made = {service: Stubber(getattr(plane.clients, service)) for service in SERVICES}
    for stub in made.values():
        stub.activate()
    yield made
    for stub in made.values():
        stub.deactivate()
    for stub in made.values():
        stub.assert_no_pending_responses()


def environment(name: str = ANY, tags: Json | None = None, **fields: Any) -> Json:
    arn = f"{ARN}compute-environment/{name}"
    given = {"state": "ENABLED", "status": "VALID", "ecsClusterArn": f"{ECS}{name}", "tags": tags or MARKS}
    sizes = {"type": "EC2", "minvCpus": 1, "maxvCpus": 20, "desiredvCpus": 4, "subnets": []}
    return {"computeEnvironmentName": name, "computeEnvironmentArn": arn, "computeResources": sizes, **given, **fields}


def queue(name: str = MAIN, **fields: Any) -> Json:
    order = [
        {"order": place, "computeEnvironment": f"{ARN}compute-environment/{each}"}
        for place, each in ((2, "b"), (1, "a"))
    ]
    given = {"state": "ENABLED", "status": "VALID", "priority": 3, "tags": {**MARKS, "muster:queue": "main"}}
    return {
        "jobQueueName": name,
        "jobQueueArn": f"{ARN}job-queue/{name}",
        "computeEnvironmentOrder": order,
        **given,
        **fields,
    }


def summaries(count: int) -> list[Json]:
    return [{"jobId": f"job-{n}", "jobName": "x"} for n in range(count)]


def expect_environments(stubs: dict[str, Stubber], *found: Json, asked: list[str] | None = None) -> None:
    stubs["batch"].add_response(
        "describe_compute_environments",
        {"computeEnvironments": list(found)},
        {"computeEnvironments": [ANY] if asked is None else asked},
    )


def expect_queues(stubs: dict[str, Stubber], *found: Json, jobs: dict[str, list[Json]] | None = None) -> None:
    arn = f"{ARN}job-queue/{MAIN}"
    stubs["batch"].add_response("describe_job_queues", {"jobQueues": list(found)}, {"jobQueues": [arn]})
    for each in found:
        if each["tags"].items() >= MARKS.items():
            for status in ACTIVE_JOBS:
                for page in (jobs or {}).get(status, [{"jobSummaryList": []}]):
                    stubs["batch"].add_response("list_jobs", page)


def expect_definitions(stubs: dict[str, Stubber], status: str = "ACTIVE") -> None:
    found = {
        "jobDefinitionName": "muster-demo_run",
        "jobDefinitionArn": definition_arn("run"),
        "revision": 1,
        "type": "container",
        "status": status,
    }
    asked = {"jobDefinitions": [definition_arn("run")]}
    stubs["batch"].add_response("describe_job_definitions", {"jobDefinitions": [found]}, asked)


def expect_images(stubs: dict[str, Stubber], *tags: str, asked: tuple[str, ...] = ("app-1",)) -> None:
    found = [{"imageId": {"imageTag": tag, "imageDigest": DIGEST}} for tag in tags]
    ids = [{"imageTag": tag} for tag in asked]
    request = {"repositoryName": REPOSITORY, "imageIds": ids}
    stubs["ecr"].add_response("batch_get_image", {"images": found, "failures": []}, request)


def expect_builds(stubs: dict[str, Stubber], *found: Json) -> None:
    ids = [each["id"] for each in found]
    request = {"projectName": PROJECT, "sortOrder": "DESCENDING"}
    # Of a project that has none it names no list.
    stubs["codebuild"].add_response("list_builds_for_project", {"ids": ids} if ids else {}, request)
    if found:
        # CodeBuild promises no order.
        stubs["codebuild"].add_response("batch_get_builds", {"builds": list(found)[::-1]}, {"ids": ids})


def seen(
    plane: Plane,
    known: tuple[str, ...] = (),
    images: tuple[str, ...] = (),
    found: Json = OUTPUTS,
    *,
    deleting: bool = False,
) -> BatchFacts:
    return observe_batch(plane.clients, MARKS, found, known, images, deleting=deleting)


def test_a_cluster_is_read_by_one_call_for_each_kind_of_thing(plane: Plane, stubs: dict[str, Stubber]) -> None:
    expect_environments(stubs, environment())
    expect_queues(stubs, queue(statusReason="all is well"))
    expect_definitions(stubs)
    expect_images(stubs, "app-1")
    there = seen(plane, images=("app-1",))
    (of,) = there.environments
    assert (of.name, of.arn, of.state, of.status, of.kind) == (
        ANY,
        f"{ARN}compute-environment/{ANY}",
        "ENABLED",
        "VALID",
        "EC2",
    )
    assert (of.min, of.max, of.desired, of.tasks) == (1, 20, 4, None)
    (main,) = there.queues
    assert (main.name, main.queue, main.state, main.status, main.priority) == (MAIN, "main", "ENABLED", "VALID", 3)
    assert main.environments == ("a", "b"), "in their order, and not as they were told"
    assert (main.reason, main.fair_share) == ("all is well", False)
    assert there.definitions == {definition_arn("run"): True}
    assert there.images == {"app-1": DIGEST}
    assert there.builds == ()
    assert there.current == {ANY}


def test_a_cluster_without_batch_is_asked_for_nothing(plane: Plane, stubs: dict[str, Stubber]) -> None:
    plane.put()
    plane.go()
    plane.cloudformation.end("CREATE_COMPLETE")
    assert observe(plane.clients, OWNER, record(), deleting=False, images=()).batch == BatchFacts()


def test_what_a_stack_of_another_holds_is_not_looked_at(plane: Plane, stubs: dict[str, Stubber]) -> None:
    """Its outputs would lead to what it has."""
    made_by(plane, THEIRS)
    assert looked(plane).batch == BatchFacts()


def test_what_our_stack_holds_is(plane: Plane, stubs: dict[str, Stubber]) -> None:
    made_by(plane, MARKS)
    expect_environments(stubs, environment())
    expect_queues(stubs, queue())
    expect_definitions(stubs)
    assert looked(plane).batch.current == {ANY}


def test_environments_that_are_remembered_are_looked_at_when_the_stack_is_gone(
    plane: Plane, stubs: dict[str, Stubber]
) -> None:
    expect_environments(stubs, environment(state="DISABLED"))
    stubs["ecs"].add_response("describe_clusters", {"clusters": []}, {"clusters": [f"{ECS}{ANY}"]})
    there = observe(plane.clients, OWNER, record(environments=(ANY,)), deleting=True).batch
    assert [each.name for each in there.left_over] == [ANY]


def made_by(plane: Plane, tags: Json) -> None:
    """A stack with these tags and the outputs of a cluster of Batch."""
    body = b'{"Resources": {}}'
    plane.clients.s3.put_object(Bucket="artifacts", Key="any.json", Body=body)
    marks = [{"Key": key, "Value": value} for key, value in tags.items()]
    plane.cloudformation.create_stack(StackName="muster-demo", TemplateURL="/artifacts/any.json", Tags=marks)
    plane.cloudformation.end("CREATE_COMPLETE")
    told = [{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()]
    real = plane.cloudformation.describe_stacks

    def with_outputs(**request: Any) -> Json:
        return {"Stacks": [{**each, "Outputs": told} for each in real(**request)["Stacks"]]}

    plane.cloudformation.describe_stacks = with_outputs  # type: ignore[method-assign]


def looked(plane: Plane) -> Actual:
    return observe(plane.clients, OWNER, record(), deleting=False)


def test_what_bears_anothers_tags_is_not_seen(plane: Plane, stubs: dict[str, Stubber]) -> None:
    expect_environments(stubs, environment(tags=THEIRS), environment("b", tags={"Name": "x"}), asked=["b", ANY])
    expect_queues(stubs, queue(tags=THEIRS))
    expect_definitions(stubs)
    there = seen(plane, known=("b",))
    assert (there.environments, there.queues) == ((), ())


def test_what_is_gone_is_not_seen(plane: Plane, stubs: dict[str, Stubber]) -> None:
    expect_environments(stubs)
    expect_queues(stubs)
    stubs["batch"].add_response("describe_job_definitions", {"jobDefinitions": []})
    there = seen(plane)
    assert (there.environments, there.queues, there.definitions) == ((), (), {})
    assert there.current == {ANY}


def test_a_hundred_are_asked_for_at_a_time(plane: Plane, stubs: dict[str, Stubber]) -> None:
    known = sorted({ANY, *(f"old-{n:03}" for n in range(CHUNK))})
    for part in (known[:CHUNK], known[CHUNK:]):
        expect_environments(stubs, *(environment(name, state="DISABLED") for name in part), asked=part)
    expect_queues(stubs)
    expect_definitions(stubs)
    clusters = [f"{ECS}{name}" for name in known if name != ANY]
    stubs["ecs"].add_response("describe_clusters", {"clusters": []}, {"clusters": clusters})
    assert len(seen(plane, known=tuple(known)).environments) == CHUNK + 1


def test_tasks_are_asked_for_where_the_stack_does_not_hold_the_environment(
    plane: Plane, stubs: dict[str, Stubber]
) -> None:
    old, bare = environment("old"), environment("unborn", ecsClusterArn="")
    expect_environments(stubs, environment(), old, bare, asked=[ANY, "old", "unborn"])
    expect_queues(stubs)
    expect_definitions(stubs)
    counted = {"clusterArn": f"{ECS}old", "runningTasksCount": 2, "pendingTasksCount": 1}
    stubs["ecs"].add_response("describe_clusters", {"clusters": [counted]}, {"clusters": [f"{ECS}old"]})
    there = seen(plane, known=("old", "unborn"))
    assert {each.name: each.tasks for each in there.environments} == {ANY: None, "old": 3, "unborn": None}
    assert [each.name for each in there.left_over] == ["old", "unborn"]


def test_a_definition_that_was_deregistered_is_seen_so(plane: Plane, stubs: dict[str, Stubber]) -> None:
    expect_environments(stubs, environment())
    expect_queues(stubs, queue())
    expect_definitions(stubs, "INACTIVE")
    assert seen(plane).definitions == {definition_arn("run"): False}


# Jobs


def test_jobs_that_have_not_ended_are_counted_page_by_page(plane: Plane, stubs: dict[str, Stubber]) -> None:
    pages = [{"jobSummaryList": summaries(100), "nextToken": "2"}, {"jobSummaryList": summaries(7)}]
    expect_environments(stubs, environment())
    expect_queues(stubs, queue(), jobs={"RUNNABLE": pages, "RUNNING": [{"jobSummaryList": summaries(1)}]})
    expect_definitions(stubs)
    (main,) = seen(plane).queues
    assert main.jobs == {"RUNNABLE": 107, "RUNNING": 1}
    assert not main.more
    assert set(ACTIVE_JOBS) == {"SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"}


def test_a_page_is_asked_for_by_its_token_and_its_status(plane: Plane, stubs: dict[str, Stubber]) -> None:
    asked: list[Json] = []
    plane.clients.batch.meta.events.register_first(
        "provide-client-params.batch.ListJobs", lambda params, **_: asked.append(dict(params)), unique_id="asked"
    )
    pages = [{"jobSummaryList": summaries(100), "nextToken": "2"}, {"jobSummaryList": []}]
    expect_environments(stubs, environment())
    expect_queues(stubs, queue(), jobs={ACTIVE_JOBS[0]: pages})
    expect_definitions(stubs)
    seen(plane)
    plane.clients.batch.meta.events.unregister("provide-client-params.batch.ListJobs", unique_id="asked")
    arn = f"{ARN}job-queue/{MAIN}"
    assert asked[:2] == [
        {"jobQueue": arn, "jobStatus": ACTIVE_JOBS[0]},
        {"jobQueue": arn, "jobStatus": ACTIVE_JOBS[0], "nextToken": "2"},
    ]
    assert [each["jobStatus"] for each in asked[1:]] == list(ACTIVE_JOBS)


def test_more_than_a_thousand_are_not_counted_but_said(plane: Plane, stubs: dict[str, Stubber]) -> None:
    pages = [{"jobSummaryList": summaries(100), "nextToken": str(n)} for n in range(JOB_PAGES)]
    expect_environments(stubs, environment())
    expect_queues(stubs, queue(), jobs={"RUNNABLE": pages})
    expect_definitions(stubs)
    (main,) = seen(plane).queues
    assert main.jobs == {"RUNNABLE": 1000}
    assert main.more


# Images and builds


LEAST = {key: value for key, value in OUTPUTS.items() if key in ("Repository", "BuildProject")}


def built(number: int, tag: str = "app-1", **fields: Any) -> Json:
    variables = [{"name": "MUSTER_TAG", "value": tag}, {"name": "MUSTER_REPOSITORY", "value": REPOSITORY}]
    container = {"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"}
    environment = {**container, "environmentVariables": variables}
    return {"id": f"{PROJECT}:{number}", "environment": environment, "buildStatus": "SUCCEEDED", **fields}


def test_builds_are_asked_for_when_an_image_lacks_and_come_newest_first(
    plane: Plane, stubs: dict[str, Stubber]
) -> None:
    expect_images(stubs, "app-2", asked=("app-1", "app-2"))
    expect_builds(stubs, built(3, buildStatus="IN_PROGRESS", currentPhase="BUILD"), built(2, tag="app-2"), built(1))
    there = seen(plane, images=("app-2", "app-1"), found=LEAST)
    assert there.images == {"app-2": DIGEST}
    assert [(each.id, each.tag, each.status) for each in there.builds] == [
        (f"{PROJECT}:3", "app-1", "IN_PROGRESS"),
        (f"{PROJECT}:2", "app-2", "SUCCEEDED"),
        (f"{PROJECT}:1", "app-1", "SUCCEEDED"),
    ]
    assert there.builds[0].phase == "BUILD"


def test_no_images_no_questions(plane: Plane, stubs: dict[str, Stubber]) -> None:
    assert seen(plane, found=LEAST) == BatchFacts()


def test_of_a_build_that_failed_phase_reason_and_log_are_read(plane: Plane, stubs: dict[str, Stubber]) -> None:
    ended = datetime(2026, 1, 2, tzinfo=UTC)
    contexts = [{"message": "exit status 1"}, {"statusCode": "COMMAND_EXECUTION_ERROR"}, {"message": "no such image"}]
    phases = [
        {"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED"},
        {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": contexts},
        {"phaseType": "POST_BUILD", "phaseStatus": "FAILED", "contexts": [{"message": "of the one before"}]},
        {"phaseType": "COMPLETED"},
    ]
    log = {"deepLink": "https://logs"}
    failed = built(1, buildStatus="FAILED", phases=phases, currentPhase="COMPLETED", endTime=ended, logs=log)
    expect_images(stubs)
    expect_builds(stubs, failed)
    (of,) = seen(plane, images=("app-1",), found=LEAST).builds
    reason = "exit status 1; no such image"
    assert of == Build(f"{PROJECT}:1", "app-1", "FAILED", "BUILD", reason, "https://logs", ended.timestamp())


def test_a_build_of_which_little_is_told(plane: Plane, stubs: dict[str, Stubber]) -> None:
    """It was started by hand a moment ago, perhaps with other variables."""
    bare = {"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"}
    expect_images(stubs)
    expect_builds(stubs, {"id": "x:1", "environment": bare, "buildStatus": "IN_PROGRESS"})
    assert seen(plane, images=("app-1",), found=LEAST).builds == (Build("x:1", "", "IN_PROGRESS"),)


def test_a_project_without_builds_is_asked_for_no_more(plane: Plane, stubs: dict[str, Stubber]) -> None:
    expect_images(stubs)
    expect_builds(stubs)
    assert seen(plane, images=("app-1",), found=LEAST).builds == ()


def test_the_newest_hundred_builds_are_read(plane: Plane, stubs: dict[str, Stubber]) -> None:
    ids = [f"{PROJECT}:{n}" for n in range(CHUNK + 20)]
    expect_images(stubs)
    stubs["codebuild"].add_response("list_builds_for_project", {"ids": ids})
    stubs["codebuild"].add_response("batch_get_builds", {"builds": [built(7)]}, {"ids": ids[:CHUNK]})
    assert [each.id for each in seen(plane, images=("app-1",), found=LEAST).builds] == [f"{PROJECT}:7"]


@pytest.mark.parametrize("deleting", [True, False])
def test_a_cluster_that_is_deleted_is_asked_for_its_builds_and_not_for_its_images(
    plane: Plane, stubs: dict[str, Stubber], deleting: bool
) -> None:
    if not deleting:
        expect_images(stubs, "app-1")
    else:
        expect_builds(stubs, built(1, buildStatus="IN_PROGRESS"))
    there = seen(plane, images=("app-1",), found=LEAST, deleting=deleting)
    assert bool(there.builds) is deleting


def test_a_repository_or_a_project_that_is_gone_has_nothing(plane: Plane, stubs: dict[str, Stubber]) -> None:
    stubs["ecr"].add_client_error("batch_get_image", "RepositoryNotFoundException", "it does not exist")
    stubs["codebuild"].add_client_error("list_builds_for_project", "ResourceNotFoundException", "it does not exist")
    assert seen(plane, images=("app-1",), found=LEAST) == BatchFacts()


REFUSED = [
    ("ecr", "batch_get_image", "AccessDeniedException"),
    ("codebuild", "list_builds_for_project", "AccessDeniedException"),
]


@pytest.mark.parametrize(("service", "operation", "code"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_read_is_not_taken_for_nothing(
    plane: Plane, stubs: dict[str, Stubber], service: str, operation: str, code: str
) -> None:
    """A build would be started of an image that is there."""
    if service != "ecr":
        expect_images(stubs)
    stubs[service].add_client_error(operation, code, "no right")
    with pytest.raises(ClientError):
        seen(plane, images=("app-1",), found=LEAST)


def test_a_pass_tells_what_it_could_not_read(plane: Plane, stubs: dict[str, Stubber]) -> None:
    stubs["batch"].add_client_error("describe_compute_environments", "AccessDeniedException", "no right")
    with pytest.raises(AwsError) as caught:
        observe(plane.clients, OWNER, record(environments=(ANY,)), deleting=False)
    assert (caught.value.operation, caught.value.code) == ("DescribeComputeEnvironments", "AccessDeniedException")


@pytest.mark.parametrize(
    ("arn", "fair"), [({"schedulingPolicyArn": f"{ARN}scheduling-policy/fair"}, True), ({}, False)]
)
def test_a_queue_with_a_scheduling_policy_shares_fairly(arn: dict[str, str], fair: bool) -> None:
    described = {"jobQueueName": MAIN, "jobQueueArn": f"{ARN}job-queue/{MAIN}", **arn}
    assert queue_of(described).fair_share is fair
