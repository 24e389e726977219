"""`muster job logs`, and `hosts`: with moto's CloudWatch Logs, ECS and EC2."""

import json
import time
from typing import Any

import pytest

import cli.polling
from cli.job import logs
from tests.unit.cli.batch import Batch, child
from tests.unit.cli.conftest import World, client

GROUP = "/muster/demo/jobs"
CONFIGURATION = {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": GROUP}}}


class Writer:
    """Writes lines to log streams, as a container does."""

    def __init__(self) -> None:
        self.at = int(time.time() * 1000)
        self.logs = client("logs")
        self.logs.create_log_group(logGroupName=GROUP)
        self.logs.create_log_group(logGroupName=logs.DEFAULT_GROUP)

    def write(self, stream: str, *lines: str, group: str = GROUP) -> None:
        if not self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]:
            self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
        events = [{"timestamp": self.at + number, "message": line} for number, line in enumerate(lines)]
        self.at += len(lines)
        self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


@pytest.fixture
def writer(batch: Batch) -> Writer:
    return Writer()


def job(batch: Batch, stream: str = "s", status: str = "SUCCEEDED", **details: Any) -> dict[str, Any]:
    return batch.job("a", status, **{"container": {"logStreamName": stream, **CONFIGURATION}, **details})


def numbered(count: int) -> list[str]:
    return [f"line {number}" for number in range(count)]


def test_a_log_of_many_pages_is_shown_whole(world: World, batch: Batch, writer: Writer, monkeypatch: Any) -> None:
    monkeypatch.setattr(logs, "PAGE", 100)
    job(batch)
    writer.write("s", *numbered(250))
    assert world.run("job", "logs", "a").stdout.splitlines() == numbered(250)
    assert world.run("job", "logs", "a", "-hd", "130").stdout.splitlines() == numbered(130)
    assert world.run("job", "logs", "a", "-t", "130").stdout.splitlines() == numbered(250)[-130:]
    assert world.run("job", "logs", "a", "--tail", "999").stdout.splitlines() == numbered(250)
    assert world.run("job", "logs", "a", "--head", "3").stdout.splitlines() == numbered(3)
    assert world.run("job", "logs", "a", "--tail", "3").stdout.splitlines() == numbered(250)[-3:]


def test_the_group_is_batchs_own_when_the_definition_names_none(world: World, batch: Batch, writer: Writer) -> None:
    batch.job("a", container={"logStreamName": "s"})
    writer.write("s", "hello", group=logs.DEFAULT_GROUP)
    assert world.run("job", "logs", "a").stdout == "hello\n"


def test_lines_may_begin_with_their_time(world: World, batch: Batch, writer: Writer) -> None:
    job(batch)
    writer.at = writer.at // 1000 * 1000
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(writer.at / 1000))
    writer.write("s", "hello")
    assert world.run("job", "logs", "a", "--timestamps").stdout == f"{stamp} hello\n"


def test_an_attempt_has_a_log_of_its_own(world: World, batch: Batch, writer: Writer) -> None:
    attempts = [{"container": {"logStreamName": name}} for name in ("s1", "s2")]
    job(batch, "s2", attempts=attempts)
    writer.write("s1", "first")
    writer.write("s2", "second")
    assert world.run("job", "logs", "a").stdout == "second\n"
    assert world.run("job", "logs", "a", "--attempt", "1").stdout == "first\n"
    assert "had 2 attempts" in world.run("job", "logs", "a", "--attempt", "3", code=1).stderr


def test_a_child_has_a_log_and_its_array_has_none(world: World, batch: Batch, writer: Writer) -> None:
    parent = batch.job("a", arrayProperties={"size": 4})
    made = child(parent, 3, container={"logStreamName": "s", **CONFIGURATION})
    batch.jobs["a:3"] = made
    writer.write("s", "child")
    assert world.run("job", "logs", "a:3").stdout == "child\n"
    assert "name one of its children, a:0 to a:3" in world.run("job", "logs", "a", code=1).stderr


def test_of_several_nodes_the_main_one_speaks(world: World, batch: Batch, writer: Writer) -> None:
    batch.job("a", nodeProperties={"numNodes": 2, "mainNode": 1})
    for node in range(2):
        batch.job(f"a#{node}", container={"logStreamName": f"s{node}", **CONFIGURATION})
        writer.write(f"s{node}", f"node {node}")
    assert world.run("job", "logs", "a").stdout == "node 1\n"
    assert world.run("job", "logs", "a#0").stdout == "node 0\n"


def test_a_job_that_has_not_started_has_no_log(world: World, batch: Batch) -> None:
    batch.job("a", "RUNNABLE", statusReason="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    stderr = world.run("job", "logs", "a", code=1).stderr
    assert stderr == (
        "error: job a has no log: it is RUNNABLE: MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT; --follow waits for it\n"
    )


def test_a_job_that_wrote_nothing_shows_nothing(world: World, batch: Batch, writer: Writer) -> None:
    job(batch)
    assert world.run("job", "logs", "a").stdout == ""
    assert world.run("job", "logs", "a", "--tail", "3").stdout == ""


def test_a_log_that_goes_elsewhere_is_said_to_do_so(world: World, batch: Batch) -> None:
    batch.job("a", container={"logStreamName": "s", "logConfiguration": {"logDriver": "splunk"}})
    assert "sends it to splunk" in world.run("job", "logs", "a", code=1).stderr


@pytest.mark.parametrize(
    "args", [("--head", "1", "--tail", "1"), ("--head", "1", "-f"), ("-f", "--attempt", "1"), ("-sp", "3")]
)
def test_what_does_not_go_together_is_told(world: World, batch: Batch, args: tuple[str, ...]) -> None:
    world.run("job", "logs", "a", *args, code=2)


class Steps:
    """What happens between the looks of `logs -f`; then nothing does, and at last the test fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: Any) -> None:
        self.slept: list[float] = []
        self._steps = [*steps, *[lambda: None] * (logs.LAST_LOOKS + 1)]
        monkeypatch.setattr(cli.polling, "sleep", self)

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._steps.pop(0)()


@pytest.mark.parametrize("flag", ["-f", "--follow", "-s", "--stream"])
def test_following_begins_before_the_job_and_ends_after_it(
    world: World, batch: Batch, writer: Writer, monkeypatch: Any, flag: str
) -> None:
    batch.job("a", "RUNNABLE")
    steps = Steps(
        monkeypatch,
        lambda: None,
        lambda: job(batch, status="RUNNING"),
        lambda: writer.write("s", "one", "two"),
        lambda: writer.write("s", "three"),
        lambda: job(batch, status="FAILED"),
        lambda: writer.write("s", "late"),
    )
    result = world.run("job", "logs", "a", flag, "-sp", "7")
    assert result.stdout == "one\ntwo\nthree\nlate\n"
    assert result.stderr == "job/a is RUNNABLE\n"
    assert set(steps.slept) == {7.0}


def test_following_may_begin_with_the_last_lines(world: World, batch: Batch, writer: Writer, monkeypatch: Any) -> None:
    job(batch, status="RUNNING")
    writer.write("s", *numbered(10))
    Steps(monkeypatch, lambda: writer.write("s", "more"), lambda: job(batch))
    assert world.run("job", "logs", "a", "-f", "-t", "2").stdout.splitlines() == ["line 8", "line 9", "more"]


def test_following_goes_on_with_the_next_attempt(world: World, batch: Batch, writer: Writer, monkeypatch: Any) -> None:
    job(batch, "s1", "RUNNING")
    writer.write("s1", "first")
    Steps(
        monkeypatch, lambda: job(batch, "s2", "RUNNING"), lambda: writer.write("s2", "second"), lambda: job(batch, "s2")
    )
    assert world.run("job", "logs", "a", "-f").stdout == "first\nsecond\n"


def instances(count: int) -> list[dict[str, Any]]:
    ec2 = client("ec2")
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    return ec2.run_instances(ImageId=image, MinCount=count, MaxCount=count, InstanceType="c5.xlarge")["Instances"]


def host(monkeypatch: pytest.MonkeyPatch, machines: list[dict[str, Any]]) -> list[int]:
    """ECS in place of moto's, which makes no instances of a cluster by itself; how many were asked for at once."""
    asked: list[int] = []
    amounts = [{"name": "CPU", "integerValue": 4096}, {"name": "MEMORY", "integerValue": 7680}]
    members = {
        f"arn:aws:ecs:us-east-1:123456789012:container-instance/c/{number}": {
            "ec2InstanceId": machine["InstanceId"],
            "status": "ACTIVE",
            "runningTasksCount": number,
            "pendingTasksCount": 0,
            "registeredResources": [*amounts, {"name": "GPU", "stringSetValue": ["0", "1"]}],
            "remainingResources": [{"name": "CPU", "integerValue": 1024}, amounts[1]],
        }
        for number, machine in enumerate(machines)
    }

    class Ecs:
        def get_paginator(self, operation: str) -> Any:
            assert operation == "list_container_instances"
            return self

        def paginate(self, cluster: str) -> Any:
            assert cluster == "arn:ecs"
            arns = list(members)
            return ({"containerInstanceArns": arns[start : start + 100]} for start in range(0, len(arns), 100))

        def describe_container_instances(self, cluster: str, containerInstances: list[str]) -> Any:  # noqa: N803
            asked.append(len(containerInstances))
            return {"containerInstances": [members[arn] for arn in containerInstances]}

    monkeypatch.setattr("cli.job.batch.Aws.ecs", Ecs())
    return asked


def test_hosts_are_listed_with_what_runs_on_them(world: World, batch: Batch, monkeypatch: Any) -> None:
    batch.queues.clear()
    batch.queue("muster-demo_compute", "ec2", "fargate")
    batch.environment("ec2", ecsClusterArn="arn:ecs", computeResources={"type": "EC2"})
    batch.environment("fargate", ecsClusterArn="arn:other", computeResources={"type": "FARGATE_SPOT"})
    machines = instances(2)
    host(monkeypatch, machines)
    result = world.run("job", "hosts")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["INSTANCE", "TYPE", "STATUS", "PRIVATE", "IP", "JOBS", "ENVIRONMENT"]
    for number, machine in enumerate(machines):
        address = machine["PrivateIpAddress"]
        assert rows[number + 1] == [machine["InstanceId"], "c5.xlarge", "ACTIVE", address, str(number), "ec2"]
    assert result.stderr == "environment fargate is of type FARGATE_SPOT: it has no instances\n"
    identifier = machines[1]["InstanceId"]
    assert "1/4" in world.run("job", "hosts", "-d", identifier).stdout
    (shown,) = json.loads(world.run("job", "hosts", identifier, "-o", "json").stdout)["items"]
    assert shown["instanceId"] == identifier
    assert shown["registered"] == {"vcpus": 4.0, "memory": 7680, "gpus": 2}


def test_many_hosts_are_asked_for_by_the_hundred(world: World, batch: Batch, monkeypatch: Any) -> None:
    batch.queues.clear()
    batch.queue("muster-demo_compute", "ec2")
    batch.environment("ec2", ecsClusterArn="arn:ecs", computeResources={"type": "EC2"})
    machines = instances(3) * 80
    asked = host(monkeypatch, machines)
    assert len(world.lines("job", "hosts")) == 241
    assert asked == [100, 100, 40]


def test_a_host_that_ec2_knows_no_more_is_listed_all_the_same(world: World, batch: Batch, monkeypatch: Any) -> None:
    batch.queues.clear()
    batch.queue("muster-demo_compute", "ec2")
    batch.environment("ec2", ecsClusterArn="arn:ecs", computeResources={"type": "EC2"})
    host(monkeypatch, [{"InstanceId": "i-0123456789abcdef0"}])
    assert world.lines("job", "hosts")[1][:2] == ["i-0123456789abcdef0", "<none>"]
