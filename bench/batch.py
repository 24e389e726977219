"""A cluster of AWS Batch on the local AWS: from a spec to the first line of a job's output, and what it costs.

The floor is the same done by hand: the same stack, build and sizes by the same calls of AWS, one after the other, with
nothing between them but looking whether the one before is done.
"""

import io
import statistics
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import boto3

from bench.figure import Figure
from bench.reaction import until
from bench.world import counting, silence, tools_of, until_ready
from local.aws import LocalAws, local_aws
from local.deploy import ControlPlane, build, deploy
from local.fixtures import network
from reconciler.cluster import Cluster, parse
from reconciler.facts import job_definition_name, job_queue_name, sources_prefix, stack_name
from reconciler.loop import Tools, reconcile, rendered
from reconciler.pins import Pins
from reconciler.store import encode

RUNS = 3
FROM = "FROM public.ecr.aws/amazonlinux/amazonlinux:2023\n"
Json = dict[str, Any]
Client = Callable[[str], Any]  # maker of boto3 clients, by service


def measure() -> Iterator[Figure]:
    """Times by the deployed control plane and by hand, in turns; then calls and builds, by passes in this process."""
    build()
    with local_aws() as aws, patch.dict("os.environ", aws.environ(), clear=True):
        client: Client = aws.client
        plane = deploy(aws, SweepMinutes="1440")
        boto3.DEFAULT_SESSION = session = boto3.Session()
        tools = tools_of(aws, plane)
        turns = [
            (_by_muster(client, plane, f"m{n}", _spec(aws)), _by_hand(client, tools, f"h{n}", _spec(aws)))
            for n in range(RUNS)
        ]
        yield from _times(turns)
        silence(aws)
        calls = Counter[str]()
        session.events.register("before-call", lambda model, **_: calls.update([model.service_model.service_name]))
        yield from _calls(tools, calls)
        yield from _builds(client, plane, tools, _spec(aws))


def _times(turns: list[tuple[float, float]]) -> Iterator[Figure]:
    ours, floors = (list(side) for side in zip(*turns, strict=True))
    ratio = statistics.median(ours) / statistics.median(floors)
    yield Figure(
        "batch_put_to_first_output_s", round(statistics.median(ours), 2), "s from PutItem to a job's first line"
    )
    yield Figure("batch_by_hand_to_first_output_s", round(statistics.median(floors), 2), "s of the same calls by hand")
    yield Figure("batch_put_to_first_output_ratio", round(ratio, 2), "times the calls by hand")


def _calls(tools: Tools, calls: Counter[str]) -> Iterator[Figure]:
    """Of a cluster that is ready, with one queue and no jobs."""
    until_ready(tools, "m0")
    # This one may have the end of the job to tell.
    reconcile(tools, "m0", "bench")
    with counting(calls) as made:
        report = reconcile(tools, "m0", "bench")
    assert report.result == "unchanged", report
    told = ", ".join(f"{count} {service}" for service, count in sorted(made.items()))
    yield Figure("batch_noop_pass_calls", sum(made.values()), f"calls of a pass with nothing to do: {told}")


def _builds(client: Client, plane: ControlPlane, tools: Tools, spec: Json) -> Iterator[Figure]:
    """Edits of all kinds; only new content builds."""
    edits: list[Json] = [
        {"images": [_image("RUN true\n")]},
        {"images": [_image()]},
        {"images": [_image("RUN true\n")], "onDelete": "WaitForJobs"},
        {"computeEnvironments": [{**spec["batch"]["computeEnvironments"][0], "maxVcpus": 32}]},
        {"jobDefinitions": [{**spec["batch"]["jobDefinitions"][0], "memory": 4096}]},
        {"images": [_image("RUN false || true\n")]},
        {},
    ]
    project = stack_name("m0")
    before = len(client("codebuild").list_builds_for_project(projectName=project)["ids"])
    for edit in edits:
        batch = {**spec["batch"], **edit}
        _put(client, plane, "m0", {**spec, "batch": batch})
        until_ready(tools, "m0")
    built = len(client("codebuild").list_builds_for_project(projectName=project)["ids"]) - before
    yield Figure(
        "image_rebuilds_avoided", len(edits) - built, f"of {len(edits)} edits, {built} of which built something"
    )


def _image(more: str = "") -> Json:
    return {"name": "app", "dockerfile": FROM + more}


def _spec(aws: LocalAws) -> Json:
    net = network(aws)
    return {
        "scheduler": "awsbatch",
        "network": {"vpcId": net.vpc_id, "subnetIds": list(net.subnet_ids)},
        "batch": {
            "images": [_image()],
            "computeEnvironments": [{"name": "cpu", "instanceTypes": ["c6i.large"], "maxVcpus": 16}],
            "queues": [{"name": "main", "computeEnvironments": ["cpu"]}],
            "jobDefinitions": [{"name": "run", "image": "app"}],
        },
    }


def _put(client: Client, plane: ControlPlane, name: str, spec: Json) -> None:
    item = encode({"name": name, "spec": spec})
    client("dynamodb").put_item(TableName=plane.outputs["SpecsTable"], Item=item)


def _by_muster(client: Client, plane: ControlPlane, name: str, spec: Json) -> float:
    started = time.time()
    _put(client, plane, name, spec)
    table, key = plane.outputs["StateTable"], encode({"cluster": name, "row": "STATE"})

    def ready() -> bool | None:
        item = client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
        return True if item.get("phase", {}).get("S") == "Ready" else None

    until(ready)
    return _first_line(client, name) - started


def _by_hand(client: Client, tools: Tools, name: str, spec: Json) -> float:
    document = {"apiVersion": "muster/v1", "kind": "Cluster", "metadata": {"name": name}, "spec": spec}
    cluster = parse(document)
    assert isinstance(cluster, Cluster)
    zones = dict.fromkeys(spec["network"]["subnetIds"], "us-east-1a")
    template = rendered(tools.settings, cluster, Pins(zones=zones))
    assert template.batch is not None
    started = time.time()
    _make_stack(client, tools, name, template.body)
    _build_image(client, tools, name, template.batch.images[0].tag)
    (environment,) = template.batch.environments
    sizes = {"minvCpus": 0, "maxvCpus": 16}
    client("batch").update_compute_environment(computeEnvironment=environment, computeResources=sizes)

    def valid() -> bool | None:
        found = client("batch").describe_compute_environments(computeEnvironments=[environment])
        return True if found["computeEnvironments"][0]["status"] == "VALID" else None

    until(valid)
    return _first_line(client, name) - started


def _make_stack(client: Client, tools: Tools, name: str, body: str) -> None:
    cloudformation, stack = client("cloudformation"), stack_name(name)
    role = tools.settings.stack_role_arn
    tags = [{"Key": key, "Value": value} for key, value in (("muster:owner", "muster"), ("muster:cluster", name))]
    cloudformation.create_stack(
        StackName=stack, TemplateBody=body, Capabilities=["CAPABILITY_NAMED_IAM"], RoleARN=role, Tags=tags
    )

    def complete() -> bool | None:
        status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        assert status in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE"), status
        return True if status == "CREATE_COMPLETE" else None

    until(complete)


def _build_image(client: Client, tools: Tools, name: str, tag: str) -> None:
    source = io.BytesIO()
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("Dockerfile", FROM)
    bucket, key = tools.settings.artifacts_bucket, f"{sources_prefix(name)}{tag}.zip"
    client("s3").put_object(Bucket=bucket, Key=key, Body=source.getvalue())
    started = client("codebuild").start_build(
        projectName=stack_name(name),
        sourceTypeOverride="S3",
        sourceLocationOverride=f"{bucket}/{key}",
        environmentVariablesOverride=[{"name": "MUSTER_TAG", "value": tag}],
    )

    def built() -> bool | None:
        status = client("codebuild").batch_get_builds(ids=[started["build"]["id"]])["builds"][0]["buildStatus"]
        assert status in ("IN_PROGRESS", "SUCCEEDED"), status
        return True if status == "SUCCEEDED" else None

    until(built)


def _first_line(client: Client, name: str) -> float:
    """Submit a job, and the time (seconds since the epoch) at which its first line can be read."""
    job = client("batch").submit_job(
        jobName="hello",
        jobQueue=job_queue_name(name, "main"),
        jobDefinition=job_definition_name(name, "run"),
        containerOverrides={"command": ["echo", "hello"]},
    )["jobId"]

    def line() -> float | None:
        stream = client("batch").describe_jobs(jobs=[job])["jobs"][0]["container"].get("logStreamName")
        if not stream:
            return None
        try:
            found = client("logs").get_log_events(logGroupName=f"/muster/{name}/jobs", logStreamName=stream)["events"]
        except client("logs").exceptions.ResourceNotFoundException:
            return None
        return time.time() if found else None

    return until(line)
