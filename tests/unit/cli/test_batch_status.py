"""`muster describe` and `muster get` of a cluster of AWS Batch."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cluster import to_item
from reconciler.record import Record
from tests.unit.cli.conftest import World
from tests.unit.cluster import documents

DIGEST = "sha256:0123456789ab" + "c" * 52
BUILD = {
    "id": "muster-jobs:8a0d3c1e",
    "status": "FAILED",
    "phase": "BUILD",
    "reason": "COMMAND_EXECUTION_ERROR: exit status 1",
    "log": "/muster/jobs/builds 8a0d3c1e",
}
IMAGES = [
    {"name": "app", "tag": "app-1", "digest": DIGEST},
    {"name": "tool", "tag": "tool-2", "serving": "tool-1", "build": BUILD},
]
CPU = {"name": "cpu", "environment": "muster-jobs_cpu_2", "type": "SPOT", "state": "ENABLED", "status": "VALID"}
ENVIRONMENTS = [
    {**CPU, "min": 0, "max": 256, "desired": 16},
    {**CPU, "environment": "muster-jobs_cpu_1", "status": "INVALID", "min": 0, "max": 64, "desired": 0,
     "reason": "CLIENT_ERROR - no such subnet", "draining": True},
]  # fmt: skip
QUEUES: list[dict[str, Any]] = [
    {"name": "main", "queue": "muster-jobs_main", "state": "ENABLED", "status": "VALID",
     "jobs": {"RUNNABLE": 7, "RUNNING": 3}, "reason": "JobQueue Healthy"},
    {"name": "big", "queue": "muster-jobs_big", "state": "DISABLED", "status": "VALID",
     "jobs": {"RUNNING": 1000}, "more": True},
]  # fmt: skip
STATUS = {"phase": "Degraded", "images": IMAGES, "environments": ENVIRONMENTS, "queues": QUEUES}


def put(world: World, **parts: Any) -> None:
    images = [{"name": "app", "archive": "s3://sources/app.zip"}, {"name": "tool", "dockerfile": "FROM scratch\n"}]
    environments = [{"name": "cpu", "type": "SPOT"}, {"name": "next", "type": "FARGATE"}]
    queues = [{"name": "main", "computeEnvironments": ["cpu"]}, {"name": "big", "computeEnvironments": ["cpu"]}]
    jobs = [{"name": "run", "image": "app"}]
    spec = {"images": images, "computeEnvironments": environments, "queues": queues, "jobDefinitions": jobs, **parts}
    world.put_item(to_item(documents.document(documents.batch(**spec), metadata={"name": "jobs"})))


def remember(world: World, **changes: Any) -> None:
    world.remember(Record("jobs", "uid", generation=1, created=0.0, status={**STATUS, **changes}))


def described(world: World) -> list[str]:
    """The lines that describe prints, runs of blanks made one."""
    return [" ".join(line.split()) for line in world.run("describe", "jobs").stdout.splitlines()]


def part(lines: list[str], title: str) -> list[str]:
    """What stands below a title."""
    start = lines.index(f"{title}:") + 1
    return lines[start : next((at for at in range(start, len(lines)) if lines[at].endswith(":")), len(lines))]


def test_images_builds_environments_and_queues_are_shown(world: World) -> None:
    put(world)
    remember(world)
    lines = described(world)
    assert part(lines, "Images") == [
        "NAME TAG SERVING DIGEST SOURCE",
        "app app-1 <none> sha256:0123456789ab s3://sources/app.zip",
        "tool tool-2 tool-1 <none> dockerfile",
    ]
    assert part(lines, "Builds") == [
        "IMAGE STATUS PHASE ID REASON",
        "tool FAILED BUILD muster-jobs:8a0d3c1e COMMAND_EXECUTION_ERROR: exit status 1",
    ]
    assert part(lines, "Build Logs") == ["tool: /muster/jobs/builds 8a0d3c1e"]
    assert part(lines, "Compute Environments") == [
        "NAME TYPE STATE STATUS MIN MAX DESIRED DRAINING ENVIRONMENT REASON",
        "cpu SPOT ENABLED VALID 0 256 16 <none> muster-jobs_cpu_2 <none>",
        "cpu SPOT ENABLED INVALID 0 64 0 true muster-jobs_cpu_1 CLIENT_ERROR - no such subnet",
        "next FARGATE <none> <none> <none> <none> <none> <none> <none> <none>",
    ]
    assert part(lines, "Queues")[:3] == [
        "NAME STATE STATUS SUBMITTED PENDING RUNNABLE STARTING RUNNING ENVIRONMENTS QUEUE REASON",
        "main ENABLED VALID 0 0 7 0 3 cpu muster-jobs_main JobQueue Healthy",
        "big DISABLED VALID 0+ 0+ 0+ 0+ 1000+ cpu muster-jobs_big <none>",
    ]
    assert not any(line.startswith("Image:") for line in part(lines, "Spec"))


def test_before_anything_is_made_the_spec_is_shown(world: World) -> None:
    put(world, images=[{"name": "app", "uri": "busybox:1.36"}])
    lines = described(world)
    assert part(lines, "Images")[1:] == ["app <none> <none> <none> busybox:1.36"]
    assert part(lines, "Compute Environments")[1:] == [
        f"{name} {kind}{' <none>' * 8}" for name, kind in (("cpu", "SPOT"), ("next", "FARGATE"))
    ]
    assert part(lines, "Queues")[1:3] == [f"{name}{' <none>' * 7} cpu <none> <none>" for name in ("main", "big")]
    assert "Builds:" not in lines
    assert "Build Logs:" not in lines


def test_what_is_left_of_a_cluster_whose_spec_is_wrong_or_gone_is_shown(world: World) -> None:
    put(world, queues=[])
    remember(world)
    lines = described(world)
    assert "app app-1 <none> sha256:0123456789ab <none>" in lines
    assert part(lines, "Queues")[1] == "main ENABLED VALID 0 0 7 0 3 <none> muster-jobs_main JobQueue Healthy"
    world.remove("jobs")
    assert part(described(world), "Queues") == part(lines, "Queues")


def test_a_build_may_have_neither_reason_nor_log_yet(world: World) -> None:
    put(world)
    building = {"id": "b:1", "status": "IN_PROGRESS", "phase": "QUEUED"}
    remember(world, images=[{"name": "app", "tag": "app-1", "build": building}])
    lines = described(world)
    assert part(lines, "Builds")[1:] == ["app IN_PROGRESS QUEUED b:1 <none>"]
    assert "Build Logs:" not in lines


@pytest.mark.parametrize(
    ("queues", "load"),
    [(QUEUES[:1], "3/10"), (QUEUES, "1003/1010+"), ([{**QUEUES[0], "jobs": {}}], "0/0"), ([], "<none>")],
)
def test_get_shows_jobs_that_run_of_those_that_have_not_ended(
    world: World, queues: list[dict[str, Any]], load: str
) -> None:
    put(world)
    remember(world, queues=queues)
    assert world.lines("get")[1][:4] == ["jobs", "Degraded", "Unknown", load]


def test_get_wide_shows_them_queue_by_queue_and_both_kinds_of_clusters_stand_in_one_table(world: World) -> None:
    put(world)
    remember(world)
    world.put()
    world.reconciled()
    header, demo, jobs = world.lines("get", "-o", "wide")
    at = header.index("NODES")
    assert (demo[at], jobs[at]) == ("compute=2/2", "main=3/10,big=1000/1000+")
