"""`muster job list`, `show`, `cancel` and `queues`."""

import json
from typing import Any

import pytest
import yaml

from cli.job.states import ACTIVE, STATUSES
from tests.unit.cli.batch import PAGE, Batch, arn, child
from tests.unit.cli.conftest import World

MANY = 10_000


def ids(world: World, *args: str) -> list[str]:
    return [row[0] for row in world.lines("job", "list", *args)[1:]]


def test_active_jobs_are_listed_state_by_state(world: World, batch: Batch) -> None:
    for status in reversed(STATUSES):
        batch.job(status.lower(), status)
    assert ids(world) == [status.lower() for status in ACTIVE]
    assert ids(world, "-s", "ALL") == [status.lower() for status in STATUSES]
    assert ids(world, "-s", "failed, Running") == ["running", "failed"]


def test_ten_thousand_jobs_are_listed_page_by_page(world: World, batch: Batch) -> None:
    for number in range(MANY):
        batch.job(f"j{number:05}", ("RUNNING", "RUNNABLE")[number % 2])
    assert sorted(ids(world)) == [f"j{number:05}" for number in range(MANY)]
    assert batch.calls["ListJobs"] == MANY // PAGE + len(ACTIVE) - 2
    assert batch.calls["DescribeJobs"] == 0
    assert len(world.run("job", "list", "-o", "name").stdout.splitlines()) == MANY


def test_rows_of_all_pages_stand_in_the_same_columns(world: World, batch: Batch) -> None:
    for number in range(PAGE + 1):
        batch.job(f"j{number:05}", statusReason="because")
    rows = world.run("job", "list").stdout.splitlines()
    assert len({row.index("RUNNING") for row in rows[1:]}) == 1


def test_a_page_is_shown_before_the_next_is_asked_for(world: World, batch: Batch, monkeypatch: Any) -> None:
    for number in range(PAGE + 1):
        batch.job(f"j{number:05}")
    whole = batch.list_jobs

    def broken(asked: dict[str, Any]) -> Any:
        if "nextToken" in asked:
            raise KeyboardInterrupt
        return whole(asked)

    monkeypatch.setattr(batch, "list_jobs", broken)
    assert len(world.lines("job", "list", "-s", "RUNNING", code=130)) == 1 + PAGE


def test_the_columns(world: World, batch: Batch) -> None:
    batch.job("a", "FAILED", stoppedAt=62_000, statusReason="Task failed", container={"exitCode": 0})
    batch.job("b", "FAILED", arrayProperties={"size": 7}, startedAt=None)
    batch.job("c", "FAILED", nodeProperties={"numNodes": 3})
    rows = world.lines("job", "list", "-s", "FAILED")
    assert rows[0] == ["JOB", "NAME", "STATUS", "SIZE", "AGE", "RUN", "TIME", "EXIT", "REASON"]
    assert rows[1][:4] == ["a", "name", "FAILED", "<none>"]
    assert rows[1][5:] == ["60s", "0", "Task", "failed"]
    assert rows[2][3:6] == ["array", "of", "7"]
    assert rows[2][7:] == ["<none>", "<none>", "<none>"]
    assert rows[3][3:5] == ["3", "nodes"]


def test_details_are_asked_for_by_the_hundred(world: World, batch: Batch) -> None:
    needs = [{"type": "GPU", "value": "8"}]
    for number in range(2 * PAGE):
        container = {"vcpus": 4, "memory": 512, "resourceRequirements": needs, "command": ["a", "b c"]}
        batch.job(f"j{number:05}", container=container)
    header, row, *rows = world.run("job", "list", "-d").stdout.splitlines()
    assert len(rows) == 2 * PAGE - 1
    assert "QUEUE" in header
    assert row.split()[8:13] == ["muster-demo_compute", "muster-demo_default:1", "4", "512", "8"]
    assert row.endswith("a 'b c'")
    assert batch.calls["DescribeJobs"] == 2
    assert world.run("job", "list", "-o", "wide").stdout.splitlines()[0] == header


def test_children_take_the_place_of_their_array_when_asked_for(world: World, batch: Batch) -> None:
    parent = batch.job("a", "PENDING", arrayProperties={"size": 150})
    for index in range(150):
        made = child(parent, index, "RUNNING" if index % 2 else "SUCCEEDED")
        batch.jobs[made["jobId"]] = made
    batch.job("alone")
    nodes = batch.job("n", nodeProperties={"numNodes": 2})
    for node in range(2):
        batch.jobs[f"n#{node}"] = {**nodes, "jobId": f"n#{node}", "nodeProperties": {}}
    assert ids(world) == ["a", "alone", "n"]
    running = [f"a:{index}" for index in range(1, 150, 2)]
    assert ids(world, "-e") == [*running, "alone", "n#0", "n#1"]
    assert ids(world, "a") == [f"a:{index}" for index in range(150)]
    assert ids(world, "a", "-s", "RUNNING") == running


def test_jobs_are_named_by_id_or_arn(world: World, batch: Batch) -> None:
    batch.job("a", "FAILED")
    batch.job("b")
    assert ids(world, arn("job", "b"), "job/a") == ["b", "a"]
    stderr = world.run("job", "list", "a", "c", "d", code=1).stderr
    assert [line[:15] for line in stderr.splitlines()] == ["error: no job c", "error: no job d"]


def test_all_queues_are_listed_unless_one_is_named(world: World, batch: Batch) -> None:
    batch.queue("muster-demo_other")
    batch.queue("muster-foreign_q")
    batch.job("a")
    batch.job("b", queue="muster-demo_other")
    batch.job("c", queue="muster-foreign_q")
    assert ids(world) == ["a", "b"]
    assert ids(world, "-q", "other") == ["b"]
    assert ids(world, "-c", "foreign") == ["c"]


def test_lists_for_programs(world: World, batch: Batch) -> None:
    assert world.run("job", "list").stderr == "No jobs found.\n"
    assert json.loads(world.run("job", "list", "-o", "json").stdout)["items"] == []
    for number in range(PAGE + 1):
        batch.job(f"j{number}")
    shown = json.loads(world.run("job", "list", "-o", "json").stdout)
    assert shown["kind"] == "List"
    assert [item["jobId"] for item in shown["items"]] == [f"j{number}" for number in range(PAGE + 1)]
    assert yaml.safe_load(world.run("job", "list", "-o", "yaml").stdout) == shown


def test_a_state_that_is_none_is_told(world: World, batch: Batch) -> None:
    assert "DONE is no state" in world.run("job", "list", "-s", "RUNNING,DONE", code=2).stderr


def test_a_table_shows_no_control_characters(world: World, batch: Batch) -> None:
    batch.job("a", statusReason="\x1b[31mred")
    assert "\x1b" not in world.run("job", "list").stdout


DETAILS: dict[str, Any] = {
    "statusReason": "Essential container in task exited",
    "stoppedAt": 62_000,
    "dependsOn": [{"jobId": "z", "type": "N_TO_N"}, {"type": "SEQUENTIAL"}],
    "timeout": {"attemptDurationSeconds": 60},
    "retryStrategy": {"attempts": 2},
    "container": {
        "image": "image:1",
        "command": ["sh", "-c", "a b"],
        "environment": [{"name": "K", "value": "V"}],
        "resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "128"}],
        "exitCode": 3,
        "reason": "OutOfMemoryError",
        "logStreamName": "d/default/2",
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/muster/demo/jobs"}},
    },
    "attempts": [
        {"startedAt": 2_000, "stoppedAt": 5_000, "container": {"exitCode": 9, "logStreamName": "d/default/1"}},
        {"startedAt": 6_000, "stoppedAt": 62_000, "container": {"exitCode": 3, "reason": "OutOfMemoryError"}},
    ],
}


def test_all_of_a_job_is_shown(world: World, batch: Batch) -> None:
    batch.job("a", "FAILED", **DETAILS)
    shown = world.run("job", "show", "a").stdout
    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert lines >= {
        "ID: a",
        "Status: FAILED",
        "Reason: Essential container in task exited",
        "Queue: muster-demo_compute",
        "Definition: muster-demo_default:1",
        "Created: 1970-01-01T00:00:01Z",
        "Run Time: 60s",
        "Depends On: N_TO_N:z, SEQUENTIAL",
        "Timeout: 60s",
        "Command: sh -c 'a b'",
        "vCPUs: 2",
        "Memory: 128 MiB",
        "Exit Code: 3",
        "Log Group: /muster/demo/jobs",
        "Log Stream: d/default/2",
        "K: V",
        "1 1970-01-01T00:00:02Z 3s 9 d/default/1 <none>",
        "2 1970-01-01T00:00:06Z 56s 3 <none> OutOfMemoryError",
    }


def test_the_children_of_an_array_are_summed_up(world: World, batch: Batch) -> None:
    summary = {"SUCCEEDED": 2, "FAILED": 0, "RUNNING": 1}
    batch.job("a", "PENDING", arrayProperties={"size": 3, "statusSummary": summary})
    shown = world.run("job", "show", "a").stdout
    assert shown[shown.index("Children:") :].split() == ["Children:", "RUNNING:", "1", "SUCCEEDED:", "2"]


def test_one_job_is_itself_for_programs_and_several_are_a_list(world: World, batch: Batch) -> None:
    job = batch.job("a", **DETAILS)
    other = batch.job("b")
    assert json.loads(world.run("job", "show", "a", "-o", "json").stdout) == job
    assert yaml.safe_load(world.run("job", "show", "b", "a", "-o", "yaml").stdout)["items"] == [other, job]
    assert world.run("job", "show", "b", "a", "-o", "name").stdout == "job/b\njob/a\n"
    assert world.run("job", "show", "b", "a").stdout.count("ID:") == 2


def test_a_job_whose_log_goes_elsewhere_is_shown_all_the_same(world: World, batch: Batch) -> None:
    container = {"logStreamName": "s", "logConfiguration": {"logDriver": "syslog"}}
    batch.job("a", container=container)
    shown = world.run("job", "show", "a").stdout
    assert "Log Stream:" in shown
    assert "Log Group:" not in shown


@pytest.mark.parametrize("verb", ["show", "logs", "cancel"])
def test_a_job_of_another_cluster_is_not_touched(world: World, batch: Batch, verb: str) -> None:
    batch.job("a", queue="muster-other_q")
    assert "job a is in queue muster-other_q, not in cluster demo" in world.run("job", verb, "a", code=1).stderr
    assert batch.ended == []


@pytest.mark.parametrize("verb", ["show", "logs", "cancel"])
def test_no_cluster_is_needed_for_a_job_by_its_id(world: World, batch: Batch, verb: str, monkeypatch: Any) -> None:
    monkeypatch.delenv("MUSTER_CLUSTER")
    assert "no job a in us-east-1" in world.run("job", verb, "a", code=1).stderr


def test_jobs_are_terminated_with_a_reason(world: World, batch: Batch) -> None:
    batch.job("a", "RUNNING")
    batch.job("b", "PENDING", arrayProperties={"size": 2})
    batch.job("c", "SUCCEEDED")
    shown = world.run("job", "cancel", "a", "b", "c", "-r", "enough").stdout
    assert shown == "job/a terminated\njob/b terminated\njob/c has ended already: SUCCEEDED\n"
    assert batch.ended == [{"call": "terminate", "jobId": each, "reason": "enough"} for each in "ab"]


def test_jobs_that_run_may_go_on(world: World, batch: Batch) -> None:
    batch.job("a", "RUNNING")
    batch.job("b", "RUNNABLE")
    shown = world.run("job", "cancel", "a", "b", "--keep-running").stdout
    assert shown == "job/a goes on: RUNNING\njob/b cancelled\n"
    assert [(each["call"], each["jobId"]) for each in batch.ended] == [("cancel", "b")]
    assert batch.ended[0]["reason"]


def test_no_job_is_ended_when_one_of_them_is_not_there(world: World, batch: Batch) -> None:
    batch.job("a")
    world.run("job", "cancel", "a", "nope", code=1)
    assert batch.ended == []


def test_a_queue_is_shown_with_its_environments_in_order_and_its_jobs_counted(world: World, batch: Batch) -> None:
    batch.queues.clear()
    batch.queue("muster-demo_compute", "second", "first", state="DISABLED", status="INVALID", statusReason="Broken")
    batch.queues[0]["computeEnvironmentOrder"][0]["order"] = 3
    vcpus = {"type": "SPOT", "minvCpus": 0, "desiredvCpus": 4, "maxvCpus": 16}
    batch.environment("first", state="ENABLED", status="VALID", computeResources=vcpus)
    batch.environment("second", state="ENABLED", status="INVALID", computeResources={"type": "FARGATE", "maxvCpus": 8})
    for number in range(PAGE + 3):
        batch.job(f"r{number}", "RUNNABLE")
    batch.job("done", "SUCCEEDED")
    lines = world.lines("job", "queues")
    row = dict(zip(lines[0], lines[1], strict=True))
    assert row == {
        "QUEUE": "compute",
        "STATE": "DISABLED",
        "STATUS": "INVALID",
        "PRIORITY": "1",
        "SUBMITTED": "0",
        "PENDING": "0",
        "RUNNABLE": str(PAGE + 3),
        "STARTING": "0",
        "RUNNING": "0",
        "REASON": "Broken",
    }
    assert lines[4] == ["first", "compute", "2", "SPOT", "ENABLED", "VALID", "0/4/16", "<none>"]
    assert lines[5] == ["second", "compute", "3", "FARGATE", "ENABLED", "INVALID", "-/-/8", "<none>"]
    shown = json.loads(world.run("job", "queues", "compute", "-o", "json").stdout)["items"]
    assert [each["computeEnvironmentName"] for each in shown[0]["computeEnvironments"]] == ["first", "second"]
    assert shown[0]["jobs"]["RUNNABLE"] == PAGE + 3
    assert world.run("job", "queues", "-o", "name").stdout == "queue/compute\n"
    assert "muster-demo_compute" in world.run("job", "queues", "-d").stdout
    assert 'no queue "nope"' in world.run("job", "queues", "nope", code=1).stderr
