"""AWS Batch on the local AWS: environments, queues and definitions, and jobs that run as local processes."""

import copy
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from local.additions.batch_resources import PERHAPS_REPLACING
from local.aws import ACCOUNT, LocalAws
from tests.integration.conftest import Stacks

SIZES = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]
FARGATE = {"type": "FARGATE", "maxvCpus": 64}


class Batch:
    """One compute environment, one queue and what runs in it."""

    def __init__(self, clients: Any, name: str, eventually: Callable[..., Any], network: Any) -> None:
        self.api, self.logs, self.name, self.eventually = clients("batch"), clients("logs"), name, eventually
        ec2 = clients("ec2")
        group = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])["SecurityGroups"]
        self.places = {"subnets": list(network.subnet_ids), "securityGroupIds": [group[0]["GroupId"]]}

    def named(self, name: str) -> "Batch":
        """The same account, for an environment of another name."""
        other = copy.copy(self)
        other.name = name
        return other

    def environment(self, **resources: Any) -> dict[str, Any]:
        self.api.create_compute_environment(
            computeEnvironmentName=self.name, type="MANAGED", computeResources=resources | self.places
        )
        return self.eventually(lambda: self.shown("VALID"))

    def shown(self, *statuses: str) -> dict[str, Any] | None:
        found = self.api.describe_compute_environments(computeEnvironments=[self.name])["computeEnvironments"]
        return next((each for each in found if not statuses or each["status"] in statuses), None)

    def queue(self, **more: Any) -> None:
        order = [{"order": 1, "computeEnvironment": self.name}]
        request = {"jobQueueName": self.name, "priority": 1, "computeEnvironmentOrder": order} | more
        self.api.create_job_queue(**request)
        self.eventually(lambda: self.queue_status() == "VALID")

    def queue_status(self) -> str:
        found = self.api.describe_job_queues(jobQueues=[self.name])["jobQueues"]
        return found[0]["status"] if found else "DELETED"

    def define(self, script: str = "", definition: str = "", **rest: Any) -> str:
        command = ["sh", "-c", script]
        container = {"image": "i", "command": command, "resourceRequirements": SIZES, **rest.pop("container", {})}
        kind = {"type": "container", "containerProperties": container} if "type" not in rest else {}
        name = definition or self.name
        return self.api.register_job_definition(jobDefinitionName=name, **kind, **rest)["jobDefinitionArn"]

    def submit(self, *command: str, **options: Any) -> str:
        overrides = {"containerOverrides": {"command": list(command)}} if command else {}
        request = {"jobName": self.name, "jobQueue": self.name, "jobDefinition": self.name} | overrides | options
        return self.api.submit_job(**request)["jobId"]

    def job(self, job_id: str) -> dict[str, Any]:
        return self.api.describe_jobs(jobs=[job_id])["jobs"][0]

    def over(self, job_id: str) -> dict[str, Any]:
        return self.eventually(lambda: (job := self.job(job_id))["status"] in ("SUCCEEDED", "FAILED") and job)

    def running(self, job_id: str) -> dict[str, Any]:
        return self.eventually(lambda: (job := self.job(job_id))["status"] == "RUNNING" and job)

    def lines(self, job: dict[str, Any], group: str = "/aws/batch/job") -> list[str]:
        stream = job["container"]["logStreamName"]
        events = self.logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in events]

    def listed(self, **what: Any) -> list[dict[str, Any]]:
        pages = self.api.get_paginator("list_jobs").paginate(**what)
        return [job for page in pages for job in page["jobSummaryList"]]

    def update(self, **changes: Any) -> None:
        self.api.update_compute_environment(computeEnvironment=self.name, **changes)
        self.eventually(lambda: self.shown("VALID", "INVALID"))


@pytest.fixture
def bare(aws, clients, eventually, network, name) -> Batch:
    """Without environment and queue."""
    aws.set(batch_seconds=0.02)
    return Batch(clients, name, eventually, network)


@pytest.fixture
def batch(bare) -> Iterator[Batch]:
    bare.environment(**FARGATE)
    bare.queue()
    bare.define("true")
    yield bare
    bare.api.update_job_queue(jobQueue=bare.name, state="DISABLED")
    bare.update(state="DISABLED")


# --- a job


def test_a_job_runs_its_command_and_its_output_is_in_its_log_stream(batch, inbox, eventually) -> None:
    script = 'echo "$GREETING $1"; echo "$AWS_BATCH_JQ_NAME $AWS_BATCH_JOB_ATTEMPT" >&2; env | grep -c SECRET; pwd'
    batch.define(
        definition="hello",
        container={"environment": [{"name": "GREETING", "value": "hi"}, {"name": "X", "value": "1"}],
                   "command": ["sh", "-c", script, "-", "Ref::who"]},
        parameters={"who": "nobody"},
    )  # fmt: skip
    overrides = {"environment": [{"name": "GREETING", "value": "hello"}]}
    job_id = batch.submit(jobDefinition="hello", parameters={"who": "world"}, containerOverrides=overrides)
    job = batch.over(job_id)
    assert (job["status"], job["container"]["exitCode"]) == ("SUCCEEDED", 0)
    *lines, directory = batch.lines(job)
    assert lines == ["hello world", f"{batch.name} 1", "0"]
    assert "batch-" in directory
    assert job["container"]["logStreamName"].startswith("hello/default/")
    assert {each["name"]: each["value"] for each in job["container"]["environment"]} == {"GREETING": "hello", "X": "1"}
    assert job["startedAt"] <= job["stoppedAt"]
    assert job["attempts"][0]["container"]["logStreamName"] == job["container"]["logStreamName"]

    def told() -> list[str]:
        details = [event["detail"] for event in inbox() if event["detail-type"] == "Batch Job State Change"]
        return [detail["status"] for detail in details if detail["jobId"] == job_id]

    eventually(lambda: told() == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"])


def test_lines_can_be_followed_while_the_job_runs_and_a_terminated_job_leaves_no_process(batch, eventually) -> None:
    job_id = batch.submit("sh", "-c", "sleep 600 & echo $! $$; wait")
    job = batch.running(job_id)
    eventually(lambda: batch.lines(job))
    batch.api.cancel_job(jobId=job_id, reason="no")
    assert batch.job(job_id)["status"] == "RUNNING", "what runs is not cancelled"
    batch.api.terminate_job(jobId=job_id, reason="enough")
    job = batch.over(job_id)
    assert (job["status"], job["statusReason"], job["isTerminated"]) == ("FAILED", "enough", True)
    assert job["container"]["exitCode"] == 143
    eventually(lambda: not any(_runs(int(each)) for each in batch.lines(job)[0].split()))


def test_a_job_is_over_with_its_command_whatever_that_left_running(batch, eventually) -> None:
    job = batch.over(batch.submit("sh", "-c", "sleep 600 & echo $!"))
    assert job["status"] == "SUCCEEDED"
    eventually(lambda: not _runs(int(batch.lines(job)[0])))


def _runs(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_failed_job_is_tried_again_as_its_strategy_says(batch) -> None:
    two = batch.submit("sh", "-c", "test $AWS_BATCH_JOB_ATTEMPT = 2", retryStrategy={"attempts": 3})
    conditions = [{"onExitCode": "4*", "action": "EXIT"}, {"onExitCode": "*", "action": "RETRY"}]
    strategy = {"attempts": 3, "evaluateOnExit": conditions}
    given_up = batch.submit("sh", "-c", "exit 42", retryStrategy=strategy)
    none = batch.submit("no-such-program", retryStrategy={"attempts": 2})
    job = batch.over(two)
    assert (job["status"], [each["container"]["exitCode"] for each in job["attempts"]]) == ("SUCCEEDED", [1, 0])
    job = batch.over(given_up)
    assert (job["status"], job["container"]["exitCode"], len(job["attempts"])) == ("FAILED", 42, 1)
    job = batch.over(none)
    assert (job["status"], len(job["attempts"])) == ("FAILED", 2)
    assert "no-such-program" in job["container"]["reason"]


def test_a_job_that_takes_too_long_is_ended_and_not_tried_again(aws, batch) -> None:
    aws.set(timeout_second=0.001)
    job_id = batch.submit("sleep", "600", timeout={"attemptDurationSeconds": 60}, retryStrategy={"attempts": 2})
    job = batch.over(job_id)
    assert (job["status"], len(job["attempts"])) == ("FAILED", 1)
    assert job["statusReason"] == "Job attempt duration exceeded timeout"


# --- arrays, dependencies, nodes


def test_each_child_of_an_array_has_its_index_and_its_own_end(batch) -> None:
    script = "echo $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE; test $AWS_BATCH_JOB_ARRAY_INDEX != 1"
    array = batch.submit("sh", "-c", script, arrayProperties={"size": 3})
    paired = batch.submit(arrayProperties={"size": 3}, dependsOn=[{"jobId": array, "type": "N_TO_N"}])
    after = batch.submit(dependsOn=[{"jobId": array}])
    job = batch.over(array)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Array Child Job failed")
    summary = {status: count for status, count in job["arrayProperties"]["statusSummary"].items() if count}
    assert (job["arrayProperties"]["size"], summary) == (3, {"SUCCEEDED": 2, "FAILED": 1})
    assert batch.lines(batch.job(f"{array}:2")) == ["2 of 3"]
    (failed,) = batch.listed(arrayJobId=array, jobStatus="FAILED")
    assert (failed["jobId"], failed["arrayProperties"]["index"]) == (f"{array}:1", 1)
    batch.over(paired)
    assert [batch.job(f"{paired}:{index}")["status"] for index in range(3)] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert batch.over(after)["statusReason"] == "Dependent Job failed"


def test_children_run_one_after_the_other_if_they_shall(batch) -> None:
    array = batch.submit("sh", "-c", "date +%s%N", arrayProperties={"size": 3}, dependsOn=[{"type": "SEQUENTIAL"}])
    assert batch.over(array)["status"] == "SUCCEEDED"
    children = [batch.job(f"{array}:{index}") for index in range(3)]
    for before, later in itertools.pairwise(children):
        assert before["stoppedAt"] <= later["startedAt"]


def test_a_job_waits_for_those_it_depends_on(batch, eventually) -> None:
    first = batch.submit("sleep", "600")
    second = batch.submit(dependsOn=[{"jobId": first}])
    batch.running(first)
    assert batch.job(second)["status"] == "PENDING"
    assert [job["jobId"] for job in batch.listed(jobQueue=batch.name)] == [first], "RUNNING ones, if none is named"
    assert [job["jobId"] for job in batch.listed(jobQueue=batch.name, jobStatus="PENDING")] == [second]
    batch.api.terminate_job(jobId=first, reason="enough")
    assert batch.over(second)["statusReason"] == "Dependent Job failed"


@pytest.fixture
def nodes(bare, clients) -> Batch:
    """An environment of EC2 instances, and a definition of two nodes."""
    iam = clients("iam")
    iam.create_role(RoleName=bare.name, AssumeRolePolicyDocument=json.dumps({"Statement": []}))
    iam.create_instance_profile(InstanceProfileName=bare.name)
    bare.environment(type="EC2", maxvCpus=8, minvCpus=2, instanceRole=bare.name, instanceTypes=["optimal"])
    bare.queue()
    script = "echo $AWS_BATCH_JOB_NODE_INDEX/$AWS_BATCH_JOB_NUM_NODES $AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"
    main = {"image": "i", "command": ["sh", "-c", f"{script}; $MORE"], "resourceRequirements": SIZES}
    other = main | {"command": ["sh", "-c", f"{script}; exec sleep 600"]}
    ranges = [{"targetNodes": "0:", "container": other}, {"targetNodes": "0:0", "container": main}]
    properties = {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": ranges}
    bare.define(type="multinode", nodeProperties=properties)
    return bare


def test_a_multi_node_job_ends_with_its_main_node(nodes, eventually) -> None:
    wait = [{"name": "MORE", "value": "sleep 600"}]
    overrides = {"numNodes": 3, "nodePropertyOverrides": [
        {"targetNodes": "0:0", "containerOverrides": {"environment": wait}}]}  # fmt: skip
    held = nodes.submit(nodeOverrides=overrides)
    nodes.running(held)
    assert [each["nodeProperties"]["nodeIndex"] for each in nodes.listed(multiNodeJobId=held)] == [0, 1, 2]
    assert nodes.shown()["computeResources"]["desiredvCpus"] == 3
    member = nodes.job(f"{held}#2")
    assert member["nodeDetails"] == {"nodeIndex": 2, "isMainNode": False}
    eventually(lambda: nodes.lines(member) == ["2/3 127.0.0.1"])
    nodes.api.terminate_job(jobId=held, reason="enough")
    assert nodes.over(held)["status"] == "FAILED"
    eventually(lambda: nodes.shown()["computeResources"]["desiredvCpus"] == 2)
    job = nodes.over(nodes.submit())
    assert (job["status"], job["nodeProperties"]["numNodes"]) == ("SUCCEEDED", 2)
    assert nodes.lines(nodes.job(f"{job['jobId']}#0")) == ["0/2"]


# --- what a job may


def test_a_job_has_the_rights_of_its_role_and_no_others(batch, clients) -> None:
    iam, s3 = clients("iam"), clients("s3")
    s3.create_bucket(Bucket=batch.name)
    s3.put_object(Bucket=batch.name, Key="in/one", Body=b"1")
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{batch.name}/in/*"}
    role = iam.create_role(RoleName=batch.name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    iam.put_role_policy(RoleName=batch.name, PolicyName="p", PolicyDocument=_policy(allowed))
    script = (
        "import boto3, sys\ns3 = boto3.client('s3')\nbucket = sys.argv[1]\n"
        "print(s3.get_object(Bucket=bucket, Key='in/one')['Body'].read(), flush=True)\n"
        "s3.get_object(Bucket=bucket, Key='out')"
    )
    command = ["python", "-c", script, batch.name]
    batch.define(definition="reader", container={"jobRoleArn": role["Arn"], "command": command})
    other = iam.create_role(RoleName=f"{batch.name}-o", AssumeRolePolicyDocument=json.dumps({"Statement": []}))["Role"]
    batch.define(definition="untrusted", container={"jobRoleArn": other["Arn"]})
    reads, untrusted = batch.submit(jobDefinition="reader"), batch.submit(jobDefinition="untrusted")
    lines = batch.lines(batch.over(reads))
    assert lines[0] == "b'1'"
    assert "AccessDenied" in lines[-1]
    assert "not authorized to perform: sts:AssumeRole" in batch.over(untrusted)["statusReason"]


def test_output_goes_to_the_group_of_the_log_configuration_if_there_is_one(batch) -> None:
    options = {"awslogs-group": batch.name, "awslogs-stream-prefix": "mine"}
    batch.define("echo here", "logs", container={"logConfiguration": {"logDriver": "awslogs", "options": options}})
    lost = batch.over(batch.submit(jobDefinition="logs"))
    assert f"log group does not exist: {batch.name}" in lost["statusReason"]
    batch.logs.create_log_group(logGroupName=batch.name)
    job = batch.over(batch.submit(jobDefinition="logs"))
    assert batch.lines(job, batch.name) == ["here"]
    assert job["container"]["logStreamName"].startswith("mine/default/")


LEAVING = """
import os, pathlib, signal
from local.additions.processes import Process
def told(line):
    print(line, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
running = Process(["sh", "-c", "sleep 600 & echo $!; wait"], {}, pathlib.Path("/"), told, print)
signal.pause()
"""


def test_no_process_outlives_a_server_that_is_killed(eventually) -> None:
    command = [sys.executable, "-c", LEAVING]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL
    eventually(lambda: not _runs(int(ended.stdout)))


# --- placing


def test_what_does_not_fit_waits_and_a_disabled_environment_takes_nothing(batch, eventually) -> None:
    batch.update(computeResources={"maxvCpus": 1})
    first, second = batch.submit("sleep", "600"), batch.submit("true")
    batch.running(first)
    assert batch.job(second)["status"] == "RUNNABLE"
    batch.update(state="DISABLED")
    batch.api.terminate_job(jobId=first, reason="enough")
    batch.over(first)
    assert batch.job(second)["status"] == "RUNNABLE"
    batch.update(state="ENABLED")
    assert batch.over(second)["status"] == "SUCCEEDED"


def test_the_queue_of_higher_priority_comes_first_and_in_a_fair_one_the_share_with_least(batch) -> None:
    name, fair = batch.name, batch.api.create_scheduling_policy(name=batch.name)["arn"]
    batch.queue(jobQueueName=f"{name}-fair", priority=2, schedulingPolicyArn=fair)
    batch.queue(jobQueueName=f"{name}-first", priority=3)
    batch.update(state="DISABLED", computeResources={"maxvCpus": 3})
    held = [batch.submit("sleep", "600", jobQueue=f"{name}-fair", shareIdentifier=share) for share in "aab"]
    first = batch.submit("sleep", "600", jobQueue=f"{name}-first")
    batch.update(state="ENABLED")
    for job_id in (first, held[0], held[2]):
        batch.running(job_id)
    assert batch.job(held[1])["status"] == "RUNNABLE"
    for job_id in (first, *held):
        batch.api.terminate_job(jobId=job_id, reason="enough")
        batch.over(job_id)


def test_a_multi_node_job_is_for_instances_on_demand(batch, eventually) -> None:
    node = {"targetNodes": "0:", "container": {"image": "i", "command": ["true"], "resourceRequirements": SIZES}}
    properties = {"numNodes": 1, "mainNode": 0, "nodeRangeProperties": [node]}
    batch.define(definition="nodes", type="multinode", nodeProperties=properties)
    waits = batch.submit(jobDefinition="nodes")
    assert batch.over(batch.submit())["status"] == "SUCCEEDED"
    assert batch.job(waits)["status"] == "RUNNABLE"


def test_an_array_of_ten_thousand_is_listed_in_pages_and_ended(batch, eventually) -> None:
    batch.update(state="DISABLED")
    array = batch.submit(arrayProperties={"size": 10_000})
    eventually(lambda: batch.job(array)["arrayProperties"]["statusSummary"]["RUNNABLE"] == 10_000, timeout=120)
    assert batch.job(array)["status"] == "PENDING"
    found = batch.listed(arrayJobId=array, jobStatus="RUNNABLE")
    assert [each["arrayProperties"]["index"] for each in found] == list(range(10_000))
    page = batch.api.list_jobs(arrayJobId=array, jobStatus="RUNNABLE")
    assert len(page["jobSummaryList"]) == 1000
    batch.api.terminate_job(jobId=array, reason="enough")
    job = eventually(lambda: (found := batch.job(array))["status"] == "FAILED" and found, timeout=120)
    assert (job["statusReason"], job["arrayProperties"]["statusSummary"]["FAILED"]) == ("enough", 10_000)


def test_jobs_of_a_queue_are_listed_newest_first_and_filtered(batch) -> None:
    batch.update(state="DISABLED")
    ids = [batch.submit(jobName=f"{kind}-{n}") for kind in ("fit", "scan") for n in range(2)]
    pages = batch.api.get_paginator("list_jobs").paginate(
        jobQueue=batch.name, filters=[{"name": "JOB_NAME", "values": ["*"]}], PaginationConfig={"PageSize": 3}
    )
    sizes = [[job["jobId"] for job in page["jobSummaryList"]] for page in pages]
    assert [len(each) for each in sizes] == [3, 1]
    assert [*itertools.chain(*sizes)] == ids[::-1]
    scans = batch.listed(jobQueue=batch.name, filters=[{"name": "JOB_NAME", "values": ["SCAN-*"]}])
    assert [job["jobId"] for job in scans] == [ids[3], ids[2]]
    batch.api.cancel_job(jobId=ids[0], reason="no need")
    job = batch.over(ids[0])
    assert (job["status"], job["statusReason"], job["isCancelled"]) == ("FAILED", "no need", True)


# --- environments, queues, definitions


def test_an_environment_and_a_queue_are_deleted_in_their_order_only(batch, eventually) -> None:
    api, name = batch.api, batch.name
    job_id = batch.submit("sleep", "600")
    batch.running(job_id)
    for call, options, message in (
        (api.delete_job_queue, {"jobQueue": name}, "must be DISABLED"),
        (api.delete_compute_environment, {"computeEnvironment": name}, "must be DISABLED"),
    ):
        with pytest.raises(ClientError, match=message):
            call(**options)
    batch.update(state="DISABLED")
    with pytest.raises(ClientError, match="found existing JobQueue relationship"):
        api.delete_compute_environment(computeEnvironment=name)
    api.update_job_queue(jobQueue=name, state="DISABLED")
    with pytest.raises(ClientError, match="is DISABLED"):
        batch.submit()
    eventually(lambda: batch.queue_status() == "VALID")
    api.delete_job_queue(jobQueue=name)
    eventually(lambda: batch.queue_status() == "DELETED")
    assert batch.job(job_id)["status"] == "FAILED", "a deleted queue's jobs are terminated"
    api.delete_compute_environment(computeEnvironment=name)
    eventually(lambda: batch.shown() is None)
    batch.environment(**FARGATE)
    batch.queue()


def test_a_cluster_of_ecs_counts_what_runs_in_its_environment(nodes, clients, eventually) -> None:
    ecs, arn = clients("ecs"), nodes.shown()["ecsClusterArn"]

    def counts() -> tuple[int, int, int]:
        (found,) = ecs.describe_clusters(clusters=[arn])["clusters"]
        return found["runningTasksCount"], found["pendingTasksCount"], found["registeredContainerInstancesCount"]

    assert counts() == (0, 0, 1), "instances for the 2 vCPUs that it keeps"
    held = {"environment": [{"name": "MORE", "value": "sleep 600"}]}
    main = [{"targetNodes": "0:0", "containerOverrides": held}]
    job_id = nodes.submit(nodeOverrides={"numNodes": 5, "nodePropertyOverrides": main})
    nodes.running(job_id)
    assert counts() == (5, 0, 2)
    nodes.api.terminate_job(jobId=job_id, reason="enough")
    nodes.over(job_id)
    eventually(lambda: counts() == (0, 0, 1))
    told = ecs.describe_clusters(clusters=[arn.rpartition("/")[2], "none"])
    assert [each["clusterArn"] for each in told["clusters"]] == [arn]
    assert [each["reason"] for each in told["failures"]] == ["MISSING"]


def test_an_environment_that_is_deleted_under_its_jobs(nodes, eventually) -> None:
    """On instances they lose their host, and are tried again where the queue has turned to."""
    api, name = nodes.api, nodes.name
    definition = nodes.define("sleep 600", f"{name}-one")
    job_id = nodes.submit(jobDefinition=definition, retryStrategy={"attempts": 2})
    nodes.running(job_id)
    other = nodes.named(f"{name}-next")
    other.environment(type="EC2", maxvCpus=8, minvCpus=0, instanceRole=name, instanceTypes=["optimal"])
    api.update_job_queue(jobQueue=name, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": other.name}])
    eventually(lambda: nodes.queue_status() == "VALID")
    nodes.update(state="DISABLED")
    assert nodes.job(job_id)["status"] == "RUNNING", "no job is lost by an environment that is left and disabled"
    api.delete_compute_environment(computeEnvironment=name)
    eventually(lambda: nodes.shown() is None)
    job = eventually(lambda: (found := nodes.running(job_id))["attempts"] and found)
    assert job["attempts"][0]["statusReason"].startswith("Host EC2")
    assert job["container"]["taskArn"].split("/")[1].startswith(f"AWSBatch-{other.name}")
    api.terminate_job(jobId=job_id, reason="enough")
    assert nodes.over(job_id)["statusReason"] == "enough"


def test_an_environment_of_fargate_that_is_deleted_under_its_jobs_is_invalid(batch, eventually) -> None:
    api, name = batch.api, batch.name
    job_id = batch.submit("sleep", "600")
    batch.running(job_id)
    other = batch.named(f"{name}-next")
    other.environment(**FARGATE)
    api.update_job_queue(jobQueue=name, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": other.name}])
    eventually(lambda: batch.queue_status() == "VALID")
    batch.update(state="DISABLED")
    api.delete_compute_environment(computeEnvironment=name)
    assert "Tasks are active" in eventually(lambda: batch.shown("INVALID"))["statusReason"]
    assert batch.job(job_id)["status"] == "RUNNING"
    api.terminate_job(jobId=job_id, reason="enough")
    batch.over(job_id)
    api.delete_compute_environment(computeEnvironment=name)
    eventually(lambda: batch.shown() is None)
    batch.environment(**FARGATE)


def test_statuses_pass_and_what_is_being_changed_cannot_be_changed(aws, batch, eventually) -> None:
    api, name = batch.api, batch.name
    order = [{"order": 1, "computeEnvironment": name}]
    aws.set(batch_seconds=0.5)
    api.update_compute_environment(computeEnvironment=name, computeResources={"maxvCpus": 8}, state="DISABLED")
    api.update_job_queue(jobQueue=name, priority=7, state="DISABLED", computeEnvironmentOrder=order)
    assert (batch.shown()["status"], batch.queue_status()) == ("UPDATING", "UPDATING")
    with pytest.raises(ClientError, match="resource is being modified"):
        api.update_compute_environment(computeEnvironment=name, state="ENABLED")
    with pytest.raises(ClientError, match="resource is being modified"):
        api.delete_job_queue(jobQueue=name)
    found = eventually(lambda: batch.shown("VALID"))
    assert (found["state"], found["computeResources"]["maxvCpus"]) == ("DISABLED", 8)
    eventually(lambda: batch.queue_status() == "VALID")
    queue = api.describe_job_queues(jobQueues=[name, "none"])["jobQueues"][0]
    assert (queue["state"], queue["priority"]) == ("DISABLED", 7)
    api.delete_job_queue(jobQueue=name)
    assert batch.queue_status() == "DELETING"
    eventually(lambda: batch.queue_status() == "DELETED")
    aws.set(batch_seconds=0.02)
    batch.queue()


def test_what_is_not_there_is_left_out_of_an_answer_and_refused_in_a_change(batch) -> None:
    api = batch.api
    names = ["none", batch.name]
    found = api.describe_compute_environments(computeEnvironments=names)["computeEnvironments"]
    assert [each["computeEnvironmentName"] for each in found] == [batch.name]
    assert api.describe_job_queues(jobQueues=["none"])["jobQueues"] == []
    arn = f"arn:aws:batch:us-east-1:{ACCOUNT}:job-definition/{batch.name}"
    found = api.describe_job_definitions(jobDefinitions=[f"{arn}:9", f"{arn}:1"])["jobDefinitions"]
    assert [each["revision"] for each in found] == [1]
    for call, options in (
        (api.update_compute_environment, {"computeEnvironment": "none", "state": "DISABLED"}),
        (api.delete_compute_environment, {"computeEnvironment": "none"}),
        (api.update_job_queue, {"jobQueue": "none", "state": "DISABLED"}),
        (api.delete_job_queue, {"jobQueue": "none"}),
        (api.list_jobs, {"jobQueue": "none"}),
    ):
        with pytest.raises(ClientError, match="does not exist") as refused:
            call(**options)
        assert refused.value.response["Error"]["Code"] == "ClientException"


def test_an_environment_says_why_it_is_invalid_and_takes_no_job_then(aws, bare, eventually) -> None:
    bare.environment(**FARGATE)
    bare.queue()
    bare.define("true")
    aws.set(invalid_environments={bare.name: "CLIENT_ERROR - not authorized"})
    assert bare.shown("INVALID")["statusReason"] == "CLIENT_ERROR - not authorized"
    job_id = bare.submit()
    eventually(lambda: bare.job(job_id)["status"] == "RUNNABLE")
    aws.set(invalid_environments={})
    assert bare.over(job_id)["status"] == "SUCCEEDED"
    bare.api.create_compute_environment(
        computeEnvironmentName=f"{bare.name}-2",
        type="MANAGED",
        computeResources=FARGATE | bare.places | {"subnets": ["subnet-none"]},
    )

    def second() -> dict[str, Any]:
        names = [f"{bare.name}-2"]
        return bare.api.describe_compute_environments(computeEnvironments=names)["computeEnvironments"][0]

    eventually(lambda: second()["status"] == "INVALID")
    assert "subnet-none" in second()["statusReason"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"desiredvCpus": 1}, "Manually scaling down"),
        ({"maxvCpus": 1}, "must be between minvCpus and maxvCpus"),
        ({"instanceTypes": ["c5.large"]}, "BEST_FIT"),
    ],
)
def test_what_an_environment_cannot_become_is_refused_and_changes_nothing(nodes, changes, message) -> None:
    before = nodes.shown()
    with pytest.raises(ClientError, match=message):
        nodes.update(computeResources=changes)
    assert nodes.shown() == before


def test_definitions_have_revisions(bare) -> None:
    first, second = bare.define("one"), bare.define("two")
    assert (first.rpartition(":")[2], second.rpartition(":")[2]) == ("1", "2")
    bare.api.deregister_job_definition(jobDefinition=second)

    def found(**what: Any) -> list[int]:
        return [each["revision"] for each in bare.api.describe_job_definitions(**what)["jobDefinitions"]]

    assert found(jobDefinitionName=bare.name) == [2, 1]
    assert found(jobDefinitionName=bare.name, status="ACTIVE") == [1]
    assert found(jobDefinitions=[f"{bare.name}:2"]) == [2]
    assert bare.define("three").endswith(":3")


def test_a_scheduling_policy_and_its_tags(bare) -> None:
    fair = {"shareDecaySeconds": 60, "computeReservation": 0}
    arn = bare.api.create_scheduling_policy(name=bare.name, fairsharePolicy=fair, tags={"a": "1"})["arn"]
    bare.api.tag_resource(resourceArn=arn, tags={"b": "2"})
    bare.api.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert bare.api.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    bare.environment(**FARGATE)
    bare.queue(schedulingPolicyArn=arn)
    bare.define("true")
    with pytest.raises(ClientError, match="used by a job queue"):
        bare.api.delete_scheduling_policy(arn=arn)
    with pytest.raises(ClientError, match="shareIdentifier must be provided"):
        bare.submit()
    assert bare.over(bare.submit(shareIdentifier="a"))["shareIdentifier"] == "a"


# --- as CloudFormation resources


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::Batch::{kind}", "Properties": properties}


@pytest.fixture
def template(bare) -> dict[str, Any]:
    places = {key[0].upper() + key[1:]: value for key, value in bare.places.items()}
    order = [{"Order": 1, "ComputeEnvironment": {"Ref": "Environment"}}]
    container = {"Image": "i", "Command": ["echo", "one"], "ResourceRequirements": [
        {"Type": "VCPU", "Value": "1"}, {"Type": "MEMORY", "Value": "64"}]}  # fmt: skip
    return {
        "Environment": _resource(
            "ComputeEnvironment", Type="MANAGED", ComputeResources={"Type": "FARGATE", "MaxvCpus": "4", **places}
        ),
        "Queue": _resource("JobQueue", JobQueueName=bare.name, Priority="1", ComputeEnvironmentOrder=order),
        "Definition": _resource("JobDefinition", Type="container", ContainerProperties=container),
    }


def test_a_stack_makes_changes_and_removes_what_runs_jobs(bare, stacks, template) -> None:
    name = bare.name
    template["Environment"]["Properties"]["Tags"] = {"owner": "mine"}
    assert stacks.create(name, template, Tags=[{"Key": "owner", "Value": "me"}]) == "CREATE_COMPLETE"
    definition, first = stacks.resource(name, "Definition"), stacks.resource(name, "Environment")
    tags = bare.api.list_tags_for_resource(resourceArn=stacks.resource(name, "Queue"))["tags"]
    assert (tags["owner"], tags["aws:cloudformation:logical-id"]) == ("me", "Queue")
    assert bare.api.list_tags_for_resource(resourceArn=first)["tags"] == {"owner": "mine"}, "its own goes before"
    assert bare.over(bare.submit(jobDefinition=definition))["status"] == "SUCCEEDED"

    template["Environment"]["Properties"]["ComputeResources"]["MaxvCpus"] = "8"
    template["Definition"]["Properties"]["ContainerProperties"]["Command"] = ["echo", "two"]
    assert stacks.changes(name, template)["Definition"]["Replacement"] == "False"
    assert stacks.update(name, template, Tags=[{"Key": "owner", "Value": "you"}]) == "UPDATE_COMPLETE"
    assert stacks.resource(name, "Environment") == first
    assert stacks.resource(name, "Definition") == f"{definition.rpartition(':')[0]}:2"
    status = bare.api.describe_job_definitions(jobDefinitions=[definition])["jobDefinitions"][0]["status"]
    assert status == "INACTIVE"
    assert bare.api.list_tags_for_resource(resourceArn=stacks.resource(name, "Queue"))["tags"]["owner"] == "you"

    template["Environment"]["Properties"]["ComputeResources"]["Subnets"].pop()
    assert stacks.update(name, template) == "UPDATE_COMPLETE"
    second = stacks.resource(name, "Environment")
    found = bare.api.describe_compute_environments(computeEnvironments=[first, second])["computeEnvironments"]
    assert [each["computeEnvironmentArn"] for each in found] == [second], "replaced, and the old one is gone"
    assert found[0]["computeResources"]["maxvCpus"] == 8

    job_id = bare.submit("sleep", "600", jobDefinition=stacks.resource(name, "Definition"))
    bare.running(job_id)
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert bare.job(job_id)["status"] == "FAILED"
    assert not bare.api.describe_compute_environments(computeEnvironments=[second])["computeEnvironments"]


def test_a_stack_is_deleted_though_somebody_deleted_its_parts_before(bare, stacks, template, eventually) -> None:
    name, api = bare.name, bare.api
    template["Environment"]["Properties"]["ComputeEnvironmentName"] = name
    template["Policy"] = _resource("SchedulingPolicy", Name=name)
    assert stacks.create(name, template) == "CREATE_COMPLETE"
    api.deregister_job_definition(jobDefinition=stacks.resource(name, "Definition"))
    api.update_job_queue(jobQueue=name, state="DISABLED")
    eventually(lambda: bare.queue_status() == "VALID")
    api.delete_job_queue(jobQueue=name)
    eventually(lambda: bare.queue_status() == "DELETED")
    bare.update(state="DISABLED")
    api.delete_compute_environment(computeEnvironment=name)
    eventually(lambda: bare.shown() is None)
    api.delete_scheduling_policy(arn=stacks.resource(name, "Policy"))
    assert stacks.delete(name) == "DELETE_COMPLETE", stacks.reasons(name)


def test_a_stack_is_deleted_though_its_parts_are_on_the_move(aws, bare, stacks, template) -> None:
    name = bare.name
    assert stacks.create(name, template) == "CREATE_COMPLETE"
    aws.set(batch_seconds=1)
    bare.api.update_job_queue(jobQueue=name, priority=2)
    environment = stacks.resource(name, "Environment")
    bare.api.update_compute_environment(computeEnvironment=environment, state="DISABLED")
    assert stacks.delete(name) == "DELETE_COMPLETE", stacks.reasons(name)


@pytest.mark.parametrize(("policy", "left"), [("Delete", 0), ("RetainExceptOnCreate", 0), ("Retain", 1)])
def test_what_a_failed_creation_leaves_behind(bare, stacks, template, policy: str, left: int) -> None:
    name = bare.name
    template["Environment"] |= {"DeletionPolicy": policy}
    template["Environment"]["Properties"]["ComputeEnvironmentName"] = name
    template["Queue"]["Properties"]["ComputeEnvironmentOrder"][0] = {"Order": 1, "ComputeEnvironment": "none"}
    template["Queue"]["DependsOn"] = "Environment"
    assert stacks.create(name, template) == "ROLLBACK_COMPLETE"
    assert len([each for each in [bare.shown()] if each]) == left
    stacks.delete(name)


def test_an_environment_that_is_retained_outlives_its_place_in_the_stack_and_the_stack(bare, stacks, template) -> None:
    """Blue and green: a queue turns to another environment, and the first one goes on with its jobs."""
    name = bare.name
    template["Environment"] |= {"DeletionPolicy": "RetainExceptOnCreate"}
    assert stacks.create(name, template) == "CREATE_COMPLETE"
    first, definition = stacks.resource(name, "Environment"), stacks.resource(name, "Definition")
    job_id = bare.submit("sleep", "600", jobDefinition=definition)
    bare.running(job_id)
    template["Next"] = template.pop("Environment")
    template["Queue"]["Properties"]["ComputeEnvironmentOrder"][0]["ComputeEnvironment"] = {"Ref": "Next"}
    assert stacks.update(name, template) == "UPDATE_COMPLETE"
    second = stacks.resource(name, "Next")
    (queue,) = bare.api.describe_job_queues(jobQueues=[name])["jobQueues"]
    assert [each["computeEnvironment"] for each in queue["computeEnvironmentOrder"]] == [second]
    assert bare.job(job_id)["status"] == "RUNNING"
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert bare.over(job_id)["status"] == "FAILED", "its queue is gone"
    found = bare.api.describe_compute_environments(computeEnvironments=[first, second])["computeEnvironments"]
    assert {each["status"] for each in found} == {"VALID"}
    assert len(found) == 2


def test_a_tag_of_the_stack_replaces_an_environment_and_cannot_replace_one_with_a_name(bare, stacks, template) -> None:
    def owner(value: str) -> list[dict[str, str]]:
        return [{"Key": "owner", "Value": value}]

    name = bare.name
    assert stacks.create(name, template, Tags=owner("me")) == "CREATE_COMPLETE"
    first = stacks.resource(name, "Environment")
    assert stacks.update(name, template, Tags=owner("you")) == "UPDATE_COMPLETE"
    assert stacks.resource(name, "Environment") != first
    stacks.delete(name)
    template["Environment"]["Properties"]["ComputeEnvironmentName"] = name
    assert stacks.create(name, template, Tags=owner("me")) == "CREATE_COMPLETE"
    assert stacks.update(name, template, Tags=owner("you")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "custom-named resource requires replacing" in stacks.reasons(name)
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_an_environment_that_becomes_invalid_rolls_the_stack_back(bare, stacks, template) -> None:
    template["Environment"]["Properties"]["ComputeResources"]["Subnets"] = ["subnet-none"]
    assert stacks.create(bare.name, template) == "ROLLBACK_COMPLETE"
    assert "went INVALID with error: CLIENT_ERROR - The subnet ID 'subnet-none'" in stacks.reasons(bare.name)
    stacks.delete(bare.name)


def test_what_replaces_an_environment_is_what_its_published_schema_says() -> None:
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", "AWS::Batch::ComputeEnvironment").schema
    prefix = "/properties/ComputeResources/"
    found = [
        {path.removeprefix(prefix) for path in schema[key] if path.startswith(prefix)}
        for key in ("createOnlyProperties", "conditionalCreateOnlyProperties")
    ]
    assert found == [{"SpotIamFleetRole"}, PERHAPS_REPLACING]


def test_a_stacks_role_needs_the_rights_that_its_resources_take_and_its_maker_does_not(
    bare, aws, clients, template, eventually
) -> None:
    iam, name = clients("iam"), bare.name
    services = ["cloudformation.amazonaws.com", "codebuild.amazonaws.com"]
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    template["Definition"]["Properties"]["ContainerProperties"]["JobRoleArn"] = role
    template["Project"] = {
        "Type": "AWS::CodeBuild::Project",
        "Properties": {
            "ServiceRole": role,
            "Source": {"Type": "NO_SOURCE"},
            "Environment": {"Type": "LINUX_CONTAINER"},
        },
    }
    iam.create_user(UserName=name)
    to_cloudformation = {"StringEquals": {"iam:PassedToService": services[0]}}
    maker = [
        {"Effect": "Allow", "Action": "cloudformation:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role, "Condition": to_cloudformation},
    ]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=_policy(*maker))
    stacks = Stacks(_as(aws, iam, name, "cloudformation"), eventually)
    allowed: dict[str, Any] = {"Effect": "Allow", "Action": ["batch:*", "codebuild:*"], "Resource": "*"}

    def allow() -> None:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=_policy(allowed))

    allow()
    assert stacks.create(name, template, RoleARN=role) == "ROLLBACK_COMPLETE"
    assert "is not authorized to perform: iam:PassRole" in stacks.reasons(name)
    stacks.delete(name)
    allowed["Action"].append("iam:PassRole")
    allow()
    assert stacks.create(name, template, RoleARN=role) == "CREATE_COMPLETE", stacks.reasons(name)
    project = stacks.resource(name, "Project")
    assert clients("codebuild").batch_get_projects(names=[project])["projects"][0]["serviceRole"] == role
    allowed["Action"][0] = "batch:Describe*"
    allow()
    assert stacks.delete(name) == "DELETE_FAILED"
    allowed["Action"][0] = "batch:*"
    allow()
    assert stacks.delete(name) == "DELETE_COMPLETE"


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _as(aws: LocalAws, iam: Any, user: str, service: str) -> Any:
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return aws.client(service, aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])


def test_a_user_submits_what_both_the_queue_and_the_definition_allow(batch, aws, clients, name) -> None:
    iam = clients("iam")
    iam.create_user(UserName=name)
    user = _as(aws, iam, name, "batch")
    batch.define("true", definition="other")
    batch.api.tag_resource(resourceArn=f"arn:aws:batch:us-east-1:{ACCOUNT}:job-queue/{name}", tags={"team": "a"})
    tagged = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    policy = [
        {"Effect": "Allow", "Action": "batch:SubmitJob", "Resource": "arn:aws:batch:*:*:job-queue/*",
         "Condition": tagged},
        {"Effect": "Allow", "Action": "batch:SubmitJob", "Resource": f"arn:aws:batch:*:*:job-definition/{name}"},
    ]  # fmt: skip
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=_policy(*policy))
    user.submit_job(jobName="j", jobQueue=name, jobDefinition=name)
    with pytest.raises(ClientError, match=r"batch:SubmitJob on resource: .*:job-definition/other"):
        user.submit_job(jobName="j", jobQueue=name, jobDefinition="other")
    with pytest.raises(ClientError, match="AccessDenied"):
        user.terminate_job(jobId="x", reason="y")
