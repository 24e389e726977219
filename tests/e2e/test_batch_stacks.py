"""The stacks of Batch clusters: CloudFormation makes, changes and deletes them with the rights that it is lent."""

import io
import json
import zipfile
from collections.abc import Iterator
from functools import partial

import pytest

from reconciler.facts import artifacts_prefix, job_definition_name, repository_name
from tests.e2e.batch_stacks import FARGATE, MIXED, SPOT_FLEET, BatchStack, changed
from tests.e2e.test_stack_statuses import failing
from tests.e2e.world import Cluster, Json, World
from tests.unit.render import batches

STORAGE = [{**batches.STORAGE[0], "deletionPolicy": "Delete"}, batches.STORAGE[1]]
SHARES = {"decaySeconds": 600, "computeReservation": 10, "shares": [{"name": "a*", "weight": 0.5}]}
SPOT = {"name": "any", "type": "SPOT", "instanceTypes": ["c6i", "m6i.large"]}
CLUSTERS: dict[str, Json] = {
    "ec2": batches.LEAST,
    "spot": {**batches.LEAST, "computeEnvironments": [SPOT]},
    "spot-fleet": {**batches.LEAST, "computeEnvironments": [{**SPOT_FLEET, "name": "any"}]},
    "fargate": {
        **batches.LEAST,
        "computeEnvironments": [{**FARGATE, "name": "any"}, {"name": "cheap", "type": "FARGATE_SPOT"}],
        "queues": [{"name": "main", "computeEnvironments": ["any", "cheap"]}],
        "jobDefinitions": [{"name": "run", "image": "app", "platform": "FARGATE"}],
    },
    "fair-share": {
        **batches.LEAST,
        "queues": [{"name": "main", "computeEnvironments": ["any"], "priority": 7, "fairShare": SHARES}],
    },
    "mixed": MIXED,
    "everything": batches.everything(),
}


@pytest.fixture(autouse=True)
def quick(world: World) -> Iterator[None]:
    with world.behaving(batch_seconds=0.02):
        yield


@pytest.fixture
def stack(cluster: Cluster, quick: None) -> Iterator[BatchStack]:
    """The environments that outlive the stack are taken away by hand, and so the account's are not used up."""
    made = BatchStack(cluster)
    yield made
    for name in made.environments():
        made.batch.update_compute_environment(computeEnvironment=name, state="DISABLED")
        cluster.until("the end of its change", lambda name=name: made.environments()[name]["status"] != "UPDATING")
        made.batch.delete_compute_environment(computeEnvironment=name)


@pytest.mark.parametrize("kind", CLUSTERS)
def test_a_stack_is_made_and_deleted_with_the_rights_of_its_role(stack: BatchStack, world: World, kind: str) -> None:
    of, batch = stack.cluster, CLUSTERS[kind]
    world.aws.decisions(forget=True)
    stack.create(batch, sharedStorage=STORAGE)
    found = stack.environments()
    types = [each.get("type", "EC2") for each in batch["computeEnvironments"]]
    assert sorted(each["computeResources"]["type"] for each in found.values()) == sorted(types)
    assert {(each["status"], each["state"]) for each in found.values()} == {("VALID", "ENABLED")}
    for queue in batch["queues"]:
        shown = stack.queue(queue["name"])
        assert shown is not None
        assert (shown["status"], shown["state"]) == ("VALID", "ENABLED")
        assert bool(shown.get("schedulingPolicyArn")) == ("fairShare" in queue)
        assert [name.split("_")[1] for name in stack.order(queue["name"])] == queue["computeEnvironments"]
    definitions = stack.batch.get_paginator("describe_job_definitions").paginate(status="ACTIVE")
    names = {each["jobDefinitionName"] for page in definitions for each in page["jobDefinitions"]}
    assert {job_definition_name(of.name, each["name"]) for each in batch["jobDefinitions"]} <= names
    stack.delete()
    assert stack.left() == []
    assert {each["status"] for each in stack.environments().values()} == {"VALID"}, "retained, to be drained first"
    assert [each for each in world.aws.decisions() if not each["allowed"]] == []


def test_an_environment_of_another_type_takes_over_and_the_old_one_finishes_its_jobs(stack: BatchStack) -> None:
    of = stack.cluster
    stack.create(MIXED)
    (old,) = (name for name in stack.environments() if "_any_" in name)
    assert stack.order("main")[0] == old
    held = stack.submit("main", "run")
    of.until("a job that runs", lambda: stack.job(held)["status"] == "RUNNING")
    stack.update(changed(MIXED))
    (new,) = (name for name in stack.environments() if "_any_" in name and name != old)
    assert [name == new for name in stack.order("main")] == [True, False], "the queue has turned, to one of the two"
    there = stack.environments()
    assert {(there[name]["status"], there[name]["state"]) for name in (old, new)} == {("VALID", "ENABLED")}
    assert there[new]["computeResources"]["instanceTypes"] == ["c5.large"]
    assert stack.job(held)["status"] == "RUNNING", "no job is lost"
    later = stack.submit("main", "run")
    of.until("the next job", lambda: stack.job(later)["status"] == "RUNNING")
    assert new in stack.job(later)["container"]["taskArn"]
    assert stack.job(later)["jobDefinition"].endswith(":2")
    stack.delete()
    for job in (held, later):
        of.until("the end of the jobs", lambda job=job: stack.job(job)["status"] == "FAILED")
    assert {old, new} <= stack.environments().keys()
    assert stack.left() == []


def test_with_it_go_its_images_and_files(stack: BatchStack, world: World, tmp_path) -> None:
    """A build of the stack's own project pushes to its repository, with the rights of the roles that the stack made."""
    of = stack.cluster
    stack.create(batches.LEAST)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("Dockerfile", "FROM scratch\n")
    bucket, key = world.out("ArtifactsBucket"), f"{artifacts_prefix(of.name)}sources/app.zip"
    world.client("s3").put_object(Bucket=bucket, Key=key, Body=archive.getvalue())
    codebuild = world.client("codebuild")
    (tmp_path / "none").mkdir()
    with world.behaving(builder_path=str(tmp_path / "none"), build_seconds=0):
        build = codebuild.start_build(
            projectName=of.stack_name,
            sourceTypeOverride="S3",
            sourceLocationOverride=f"{bucket}/{key}",
            environmentVariablesOverride=[{"name": "MUSTER_TAG", "value": "app-1"}],
        )["build"]["id"]
        shown = partial(codebuild.batch_get_builds, ids=[build])
        of.until("the end of the build", lambda: shown()["builds"][0]["buildComplete"])
    assert shown()["builds"][0]["buildStatus"] == "SUCCEEDED", json.dumps(shown()["builds"][0]["phases"], default=str)
    ecr, repository = world.client("ecr"), repository_name(of.name)
    assert [each["imageTag"] for each in ecr.list_images(repositoryName=repository)["imageIds"]] == ["app-1"]
    of.until("its events", lambda: of.wakes("build") and of.wakes("image"))
    stack.delete()
    assert world.objects(artifacts_prefix(of.name)) == []
    assert stack.left() == []


def test_what_somebody_deleted_before_does_not_hold_up_the_deletion(stack: BatchStack, world: World) -> None:
    stack.create(MIXED)
    of = stack.cluster
    world.client("ecr").delete_repository(repositoryName=repository_name(of.name), force=True)
    world.client("codebuild").delete_project(name=of.stack_name)
    for name in ("jobs", "builds"):
        world.client("logs").delete_log_group(logGroupName=f"/muster/{of.name}/{name}")
    for definition in of.made("AWS::Batch::JobDefinition"):
        stack.batch.deregister_job_definition(jobDefinition=definition)
    for arn in of.made("AWS::Batch::JobQueue"):
        stack.batch.update_job_queue(jobQueue=arn, state="DISABLED")
        _until_still(stack, arn)
        stack.batch.delete_job_queue(jobQueue=arn)
        _until_still(stack, arn)
    for arn in of.made("AWS::Batch::SchedulingPolicy"):
        stack.batch.delete_scheduling_policy(arn=arn)
    stack.delete()
    assert stack.left() == []


def _until_still(stack: BatchStack, queue: str) -> None:
    def still() -> bool:
        found = stack.batch.describe_job_queues(jobQueues=[queue])["jobQueues"]
        return not found or found[0]["status"] == "VALID"

    stack.cluster.until("the queue to be still", still)


def test_a_creation_that_fails_leaves_nothing(stack: BatchStack, world: World) -> None:
    with world.behaving(failures=[failing(stack.cluster, LogicalResourceId="BuildProject", Operation="create")]):
        stack.start(MIXED)
        stack.ends_as("ROLLBACK_COMPLETE")
    assert stack.environments() == {}
    stack.delete()
    assert stack.left() == []
