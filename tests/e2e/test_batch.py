"""A cluster of AWS Batch: its image built, its jobs run, its parts put back, replaced and taken away."""

import base64
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.facts import job_definition_name, job_queue_name, repository_name
from tests.e2e.test_command import muster
from tests.e2e.world import Cluster, Json, World

FROM = "FROM public.ecr.aws/amazonlinux/amazonlinux:2023\n"


def spec(world: World, **batch: Any) -> Json:
    """The least that runs a job, with these parts of its Batch half instead."""
    least: Json = {
        "images": [{"name": "app", "dockerfile": FROM}],
        "computeEnvironments": [{"name": "cpu", "instanceTypes": ["c6i.large"], "maxVcpus": 8}],
        "queues": [{"name": "main", "computeEnvironments": ["cpu"]}],
        "jobDefinitions": [{"name": "run", "image": "app"}],
    }
    network = {"vpcId": world.net.vpc_id, "subnetIds": list(world.net.subnet_ids)}
    return {"scheduler": "awsbatch", "network": network, "batch": {**least, **batch}}


@pytest.fixture
def ready(cluster: Cluster, world: World) -> Cluster:
    cluster.put(spec(world))
    cluster.until_ready(1)
    return cluster


def edit(cluster: Cluster, **batch: Any) -> None:
    cluster.put(spec(cluster.world, **batch))


def environments(cluster: Cluster) -> list[Json]:
    """The compute environments that bear the cluster's tag, as Batch describes them."""
    found = cluster.world.client("batch").describe_compute_environments()["computeEnvironments"]
    return [each for each in found if each["tags"].get("muster:cluster") == cluster.name]


def job_queue(cluster: Cluster) -> Json:
    name = job_queue_name(cluster.name, "main")
    return cluster.world.client("batch").describe_job_queues(jobQueues=[name])["jobQueues"][0]


def submit(cluster: Cluster, *command: str, **more: Any) -> str:
    answer = cluster.world.client("batch").submit_job(
        jobName="job",
        jobQueue=job_queue_name(cluster.name, "main"),
        jobDefinition=job_definition_name(cluster.name, "run"),
        containerOverrides={"command": list(command)},
        **more,
    )
    return answer["jobId"]


def job(cluster: Cluster, of: str) -> Json:
    return cluster.world.client("batch").describe_jobs(jobs=[of])["jobs"][0]


def until_status(cluster: Cluster, of: str, status: str) -> Json:
    cluster.until(f"job {status}", lambda: job(cluster, of)["status"] == status)
    return job(cluster, of)


def image(cluster: Cluster) -> Json:
    """What the status says of the image."""
    return cluster.status["images"][0]


def shown_build(cluster: Cluster) -> Json:
    """The newest build of the image as the status shows it, if it does."""
    return next(iter(cluster.status.get("images", ())), {}).get("build", {})


def tag_that_runs(cluster: Cluster) -> str:
    """The tag in the newest revision of the job definition."""
    name = job_definition_name(cluster.name, "run")
    found = cluster.world.client("batch").describe_job_definitions(jobDefinitionName=name, status="ACTIVE")
    newest = max(found["jobDefinitions"], key=lambda each: each["revision"])
    return newest["containerProperties"]["image"].rpartition(":")[2]


def until_awake(cluster: Cluster, what: str, seen: Callable[[], object]) -> None:
    """Wait for something that Batch sends no event of: the pass that its timer would bring comes at once."""

    def looked() -> bool:
        cluster.wake()
        cluster.until_quiet()
        return bool(seen())

    cluster.until(what, looked)


def until_gone(cluster: Cluster) -> None:
    until_awake(cluster, "the end of the record", lambda: cluster.record is None)
    world = cluster.world
    assert cluster.stack is None
    assert environments(cluster) == []
    assert world.tagged(cluster.name) == []
    assert world.objects(cluster.prefix) == []
    repositories = world.client("ecr").describe_repositories()["repositories"]
    assert repository_name(cluster.name) not in {each["repositoryName"] for each in repositories}


@contextlib.contextmanager
def held_builds(cluster: Cluster) -> Iterator[None]:
    with cluster.world.behaving(held_builds=[f"muster-{cluster.name}"]):
        yield


def test_a_dockerfile_becomes_an_image_and_a_job_writes_its_output(ready: Cluster, world: World) -> None:
    assert image(ready)["digest"].startswith("sha256:")
    [environment] = ready.status["environments"]
    assert (environment["state"], environment["status"], environment["max"]) == ("ENABLED", "VALID", 8)
    assert environments(ready)[0]["computeResources"]["maxvCpus"] == 8
    done = until_status(ready, submit(ready, "echo", "it ran"), "SUCCEEDED")
    stream = done["container"]["logStreamName"]
    events = world.client("logs").get_log_events(logGroupName=f"/muster/{ready.name}/jobs", logStreamName=stream)
    assert [each["message"] for each in events["events"]] == ["it ran"]


def test_an_edited_dockerfile_is_built_while_the_old_image_serves(ready: Cluster) -> None:
    old = image(ready)["tag"]
    with held_builds(ready):
        edit(ready, images=[{"name": "app", "dockerfile": f"{FROM}RUN true\n"}])
        ready.until_condition("ImagesReady", False, "Building", generation=2)
        assert image(ready)["serving"] == old
        assert tag_that_runs(ready) == old
        until_status(ready, submit(ready, "true"), "SUCCEEDED")
    ready.until_ready(2)
    assert image(ready)["tag"] != old
    assert tag_that_runs(ready) == image(ready)["tag"]


def test_the_same_content_is_never_built_twice(ready: Cluster, world: World) -> None:
    edit(ready, images=[{"name": "app", "dockerfile": f"{FROM}RUN true\n"}])
    ready.until_ready(2)
    edit(ready)
    ready.until_ready(3)
    builds = world.client("codebuild").list_builds_for_project(projectName=f"muster-{ready.name}")["ids"]
    assert len(builds) == 2


def test_a_build_that_fails_is_told_and_another_is_taken(cluster: Cluster, world: World) -> None:
    with world.behaving(build_failures={f"muster-{cluster.name}": "no such package"}):
        cluster.put(spec(world))
        told = cluster.until_condition("ImagesReady", False, "BuildFailed")
        assert "no such package" in told["message"]
        assert "phase BUILD" in told["message"]
        assert image(cluster)["build"]["status"] == "FAILED"
        assert cluster.until_event("BuildFailed")["type"] == "Warning"
    # The user does not wait for the next try.
    failed = world.client("codebuild").batch_get_builds(ids=[image(cluster)["build"]["id"]])["builds"][0]
    world.client("codebuild").start_build(
        projectName=failed["projectName"],
        sourceTypeOverride="S3",
        sourceLocationOverride=failed["source"]["location"],
        environmentVariablesOverride=failed["environment"]["environmentVariables"],
    )
    cluster.until_ready(1)


def test_parallelcluster_defect_b_a_rebuild_that_fails_is_seen_and_the_old_image_serves(
    ready: Cluster, world: World
) -> None:
    """There the wait for a build was made once, at creation."""
    old = tag_that_runs(ready)
    with world.behaving(build_failures={f"muster-{ready.name}": "no such package"}):
        edit(ready, images=[{"name": "app", "dockerfile": f"{FROM}RUN false\n"}])
        told = ready.until_condition("ImagesReady", False, "BuildFailed", generation=2)
    assert "no such package" in told["message"]
    assert f"{old} serves meanwhile" in told["message"]
    assert ready.condition("Ready")["status"] == "False"
    assert tag_that_runs(ready) == old
    until_status(ready, submit(ready, "true"), "SUCCEEDED")


def test_parallelcluster_defect_c_a_build_whose_end_nobody_tells_is_seen_all_the_same(
    cluster: Cluster, world: World
) -> None:
    """There the function that told of it broke while it tried again, and the stack waited for an hour."""
    with held_builds(cluster):
        cluster.put(spec(world))
        cluster.until_condition("ImagesReady", False, "Building")
        cluster.until_quiet()
        with world.silence():
            world.aws.set(held_builds=[])
            project = f"muster-{cluster.name}"
            codebuild = world.client("codebuild")
            [build] = codebuild.list_builds_for_project(projectName=project)["ids"]
            cluster.until(
                "the end of the build",
                lambda: codebuild.batch_get_builds(ids=[build])["builds"][0]["buildStatus"] == "SUCCEEDED",
            )
            cluster.until_ready(1)


def test_an_image_deleted_by_hand_is_built_again(ready: Cluster, world: World) -> None:
    digest = image(ready)["digest"]
    gone = {"repositoryName": repository_name(ready.name), "imageIds": [{"imageTag": image(ready)["tag"]}]}
    world.client("ecr").batch_delete_image(**gone)
    ready.until("another build", lambda: len([e for e in ready.events if e["reason"] == "BuildStarted"]) > 1)
    ready.until_ready(1)
    assert image(ready)["digest"]
    assert digest


def test_what_batch_cannot_change_is_replaced_and_no_job_is_lost(ready: Cluster, world: World) -> None:
    [old] = environments(ready)
    running = submit(ready, "sh", "-c", "until aws s3 ls s3://none 2>&1 | grep -q never; do :; done")
    until_status(ready, running, "RUNNING")
    edit(ready, computeEnvironments=[{"name": "cpu", "instanceTypes": ["c7i.large"], "maxVcpus": 16}])
    ready.until_ready(2)
    shown = {each["environment"]: each for each in ready.status["environments"]}
    assert shown[old["computeEnvironmentName"]]["draining"] is True
    [new] = shown.keys() - {old["computeEnvironmentName"]}
    [order] = job_queue(ready)["computeEnvironmentOrder"]
    assert order["computeEnvironment"].endswith(f"/{new}")
    until_status(ready, submit(ready, "true"), "SUCCEEDED")
    ready.wake()
    ready.until_quiet()
    assert job(ready, running)["status"] == "RUNNING"
    assert len(environments(ready)) == 2
    world.client("batch").terminate_job(jobId=running, reason="the end of the scenario")
    until_awake(ready, "the end of the old environment", lambda: len(environments(ready)) == 1)
    ready.until_ready(2)


def test_what_is_changed_by_hand_is_put_back(ready: Cluster, world: World) -> None:
    batch = world.client("batch")
    [environment] = environments(ready)
    name = environment["computeEnvironmentName"]
    ready.until_quiet()
    batch.update_compute_environment(
        computeEnvironment=name, state="DISABLED", computeResources={"minvCpus": 0, "maxvCpus": 2}
    )
    batch.update_job_queue(jobQueue=job_queue(ready)["jobQueueName"], state="DISABLED")
    [definition] = batch.describe_job_definitions(
        jobDefinitionName=job_definition_name(ready.name, "run"), status="ACTIVE"
    )["jobDefinitions"]
    batch.deregister_job_definition(jobDefinition=definition["jobDefinitionArn"])
    assert world.sweep()[ready.name] == "facts"
    for reason in ("EnvironmentRestored", "QueueRestored", "DefinitionDeregistered"):
        assert ready.until_event(reason)["type"] == "Warning"
    until_awake(ready, "readiness", lambda: ready.condition("Ready").get("status") == "True")
    [environment] = environments(ready)
    assert (environment["state"], environment["computeResources"]["maxvCpus"]) == ("ENABLED", 8)
    assert job_queue(ready)["state"] == "ENABLED"
    until_status(ready, submit(ready, "true"), "SUCCEEDED")


def test_other_sizes_are_set_by_batchs_own_api(ready: Cluster) -> None:
    stack = ready.stack
    edit(ready, computeEnvironments=[{"name": "cpu", "instanceTypes": ["c6i.large"], "minVcpus": 2, "maxVcpus": 6}])
    until_awake(ready, "readiness", lambda: ready.condition("Ready").get("observedGeneration") == 2)
    ready.until_ready(2)
    [environment] = environments(ready)
    assert (environment["computeResources"]["minvCpus"], environment["computeResources"]["maxvCpus"]) == (2, 6)
    assert ready.stack == stack


def test_an_invalid_environment_says_why_as_batch_says_it(ready: Cluster, world: World) -> None:
    ready.until_quiet()
    with world.behaving(invalid_environments={f"muster-{ready.name}_*": "CLIENT_ERROR - no such subnet"}):
        world.sweep()
        told = ready.until_condition("ComputeReady", False, "Invalid")
        assert "CLIENT_ERROR - no such subnet" in told["message"]
        assert ready.condition("Stalled")["status"] == "True"
    ready.until_quiet()
    world.sweep()
    ready.until_ready(1)


def test_a_cluster_goes_with_its_jobs(ready: Cluster) -> None:
    running, waiting = submit(ready, "sleep", "600"), submit(ready, "sleep", "600")
    until_status(ready, running, "RUNNING")
    ready.delete()
    until_gone(ready)
    assert {job(ready, each)["status"] for each in (running, waiting)} == {"FAILED"}


def test_a_cluster_waits_for_its_jobs_if_it_is_told_to(cluster: Cluster, world: World) -> None:
    cluster.put(spec(world, onDelete="WaitForJobs"))
    cluster.until_ready(1)
    prefix = f"s3://{world.out('ArtifactsBucket')}/{cluster.prefix}jobs/go"
    running = submit(cluster, "sh", "-c", f"until aws s3 ls {prefix}; do sleep 0.2; done")
    until_status(cluster, running, "RUNNING")
    cluster.delete()
    until_awake(cluster, "the wait", lambda: "waited for" in cluster.condition("Reconciling").get("message", ""))
    assert job(cluster, running)["status"] == "RUNNING"
    bucket, key = prefix.removeprefix("s3://").split("/", 1)
    world.client("s3").put_object(Bucket=bucket, Key=key, Body=b"go")
    until_status(cluster, running, "SUCCEEDED")
    until_gone(cluster)


def test_a_cluster_that_is_deleted_stops_its_build(cluster: Cluster, world: World) -> None:
    with held_builds(cluster):
        cluster.put(spec(world))
        cluster.until_condition("ImagesReady", False, "Building")
        until_awake(cluster, "a build", lambda: shown_build(cluster))
        build = shown_build(cluster)["id"]
        cluster.delete()
        until_gone(cluster)
    assert world.client("codebuild").batch_get_builds(ids=[build])["builds"][0]["buildStatus"] == "STOPPED"


def head_node(cluster: Cluster) -> list[str]:
    """The states of the cluster's head nodes."""
    wanted = [{"Name": "tag:muster:cluster", "Values": [cluster.name]}, {"Name": "tag:muster:node", "Values": ["head"]}]
    found = cluster.world.client("ec2").describe_instances(Filters=wanted)["Reservations"]
    return [each["State"]["Name"] for one in found for each in one["Instances"]]


def from_head_node(cluster: Cluster) -> str:
    """A job submitted with the rights that the head node has, and no others."""
    batch = cluster.world.as_role(physical(cluster, "HeadRole"))("batch")
    answer = batch.submit_job(
        jobName="job",
        jobQueue=job_queue_name(cluster.name, "main"),
        jobDefinition=job_definition_name(cluster.name, "run"),
        containerOverrides={"command": ["true"]},
    )
    assert batch.describe_jobs(jobs=[answer["jobId"]])["jobs"]
    return answer["jobId"]


def physical(cluster: Cluster, logical_id: str) -> str:
    """The physical id of a resource of the cluster's stack."""
    found = cluster.world.client("cloudformation").describe_stack_resource(
        StackName=cluster.stack_name, LogicalResourceId=logical_id
    )
    return found["StackResourceDetail"]["PhysicalResourceId"]


def test_a_definition_brings_its_usual_array_and_the_disks_of_its_host(cluster: Cluster, world: World) -> None:
    definition = {"name": "run", "image": "app", "arraySize": 3, "scratch": True}
    cluster.put({**spec(world, jobDefinitions=[definition]), "scratch": {"mountDir": "/local"}})
    cluster.until_ready(1)
    identifier = muster(world, "job", "submit", "-c", cluster.name, "-o", "name", "--wait", "true").strip()
    assert job(cluster, identifier)["arrayProperties"]["size"] == 3
    done = job(cluster, f"{identifier}:2")
    assert done["status"] == "SUCCEEDED"
    assert done["container"]["volumes"] == [{"name": "Scratch", "host": {"sourcePath": "/local"}}]
    assert [each["containerPath"] for each in done["container"]["mountPoints"]] == ["/local"]
    [template] = [environments(cluster)[0]["computeResources"]["launchTemplate"]["launchTemplateId"]]
    [version] = world.client("ec2").describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Latest"])[
        "LaunchTemplateVersions"
    ]
    assert "SCRATCH=/local" in base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode()
    single = muster(world, "job", "submit", "-c", cluster.name, "-o", "name", "-a", "1", "--wait", "true").strip()
    assert "size" not in job(cluster, single).get("arrayProperties", {})


def test_a_head_node_serves_its_volumes_to_jobs(cluster: Cluster, world: World) -> None:
    """Its death shows, and nothing of it is left when the cluster goes."""
    mounts = {"jobDefinitions": [{"name": "run", "image": "app", "mounts": [{"storage": "data"}]}]}
    storage = [{"name": "data", "mountDir": "/shared/data", "ebs": {}, "deletionPolicy": "Delete"}]
    cluster.put({**spec(world, **mounts), "headNode": {"instanceType": "t3.small"}, "sharedStorage": storage})
    status = cluster.until_ready(1)
    assert cluster.condition("HeadNodeReady")["reason"] == "Running"
    assert head_node(cluster) == ["running"]
    until_status(cluster, from_head_node(cluster), "SUCCEEDED")
    name = job_definition_name(cluster.name, "run")
    (made,) = world.client("batch").describe_job_definitions(jobDefinitionName=name)["jobDefinitions"]
    assert made["containerProperties"]["volumes"] == [{"name": "data", "host": {"sourcePath": "/shared/data"}}]
    world.client("ec2").stop_instances(InstanceIds=[status["headNode"]["instanceId"]])
    cluster.until_condition("Ready", False, "HeadNodeDown")
    cluster.delete()
    until_gone(cluster)
    assert set(head_node(cluster)) <= {"shutting-down", "terminated"}


def test_a_queue_is_not_given_fair_share_once_it_is_made(ready: Cluster, world: World) -> None:
    """No update that Batch would refuse is begun; the same spec as before is ready at once."""
    fair = {"name": "main", "computeEnvironments": ["cpu"], "fairShare": {}}
    edit(ready, queues=[fair])
    told = ready.until_condition("Stalled", True, "CannotChange")
    assert told["message"].startswith("spec.batch.queues[0].fairShare: set: ")
    assert ready.stack is not None
    assert ready.stack["StackStatus"] == "CREATE_COMPLETE"
    until_status(ready, submit(ready, "true"), "SUCCEEDED")
    edit(ready)
    ready.until_ready(3)
    edit(ready, queues=[{**fair, "name": "shared"}])
    ready.until_ready(4)
    queue = job_queue_name(ready.name, "shared")
    (found,) = world.client("batch").describe_job_queues(jobQueues=[queue])["jobQueues"]
    assert found["schedulingPolicyArn"]
