"""`muster job` as its users type it, against a Batch that runs its jobs as processes of this machine."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli.polling
from cli.main import app
from reconciler.facts import job_definition_name, job_queue_name, jobs_prefix
from reconciler.version import VERSION

MUSTER = Path(sys.executable).with_name("muster")
GROUP, BUCKET = "/muster/{}/jobs", "jobs-artifacts"
NEEDS = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]
TRUST = {
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]
}
# What a job needs to fetch its files.
RIGHTS = {"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}]}
PLACE = ("-q", "compute", "-jd", "default")
# Arguments that a shell would take apart.
AWKWARD = ["a b", "$HOME", "`id`", "it's", '"', "", "*"]


class Jobs:
    """A cluster's queue and definitions, and `muster job` for it."""

    def __init__(self, aws: Any, cluster: str, folder: Path) -> None:
        self.cluster, self.folder, self._aws = cluster, folder, aws

    @property
    def env(self) -> dict[str, str]:
        return {**self._aws.environ(), "MUSTER_CLUSTER": self.cluster, "MUSTER_STACK": self.cluster, "NO_COLOR": "1"}

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """The command as a process of its own."""
        return subprocess.Popen(
            [MUSTER, "job", *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )

    def run(self, *args: str, code: int = 0, stdin: str | None = None) -> str:
        """What it printed; of a failure what it said."""
        result = CliRunner().invoke(app, ["job", *args], input=stdin, env=self.env)
        assert result.exit_code == code, f"muster job {' '.join(args)}: {result.output}{result.exception!r}"
        return result.stdout if code == 0 else result.stderr

    def submit(self, *args: str, stdin: str | None = None) -> str:
        """The id of a job that has succeeded."""
        made = self.run("submit", *PLACE, "-o", "name", "--wait", "-w", ".", *args, stdin=stdin)
        return made.strip().removeprefix("job/")

    def output(self, *args: str, stdin: str | None = None) -> list[str]:
        """What a job wrote."""
        return self.run("logs", self.submit(*args, stdin=stdin)).splitlines()


@pytest.fixture(scope="module")
def cluster(running: Any, clients: Any, network: Any, eventually: Callable[..., Any]) -> Iterator[str]:
    """A cluster's two queues and two definitions, and a stack with the outputs of a control plane; all of one name."""
    name, batch = "jobs", clients("batch")
    plane(clients("cloudformation"), name, eventually)
    arn = roles(clients("iam"), name)
    clients("logs").create_log_group(logGroupName=GROUP.format(name))
    groups = clients("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])
    places = {"subnets": list(network.subnet_ids), "securityGroupIds": [groups["SecurityGroups"][0]["GroupId"]]}
    kinds = {
        "compute": {"type": "EC2", "minvCpus": 0, "instanceRole": name, "instanceTypes": ["optimal"]},
        "light": {"type": "FARGATE"},
    }
    for queue, kind in kinds.items():
        batch.create_compute_environment(
            computeEnvironmentName=queue, type="MANAGED", computeResources={"maxvCpus": 64, **kind, **places}
        )
        eventually(lambda queue=queue: environment(batch, queue)["status"] == "VALID")
        batch.create_job_queue(
            jobQueueName=job_queue_name(name, queue),
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": queue}],
        )
    container = {
        "image": "image",
        "resourceRequirements": NEEDS,
        "jobRoleArn": arn,
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": GROUP.format(name)}},
    }
    batch.register_job_definition(
        jobDefinitionName=job_definition_name(name, "default"), type="container", containerProperties=container
    )
    nodes = {"numNodes": 2, "mainNode": 0, "nodeRangeProperties": [{"targetNodes": "0:", "container": container}]}
    batch.register_job_definition(
        jobDefinitionName=job_definition_name(name, "mpi"), type="multinode", nodeProperties=nodes
    )
    yield name
    for queue in kinds:
        batch.update_job_queue(jobQueue=job_queue_name(name, queue), state="DISABLED")
        batch.update_compute_environment(computeEnvironment=queue, state="DISABLED")


def environment(batch: Any, name: str) -> dict[str, Any]:
    return batch.describe_compute_environments(computeEnvironments=[name])["computeEnvironments"][0]


def plane(cloudformation: Any, name: str, eventually: Callable[..., Any]) -> None:
    outputs = {output: {"Value": "none"} for output in ("SpecsTable", "StateTable", "CleanupFunctionArn")}
    outputs |= {"Version": {"Value": VERSION}, "ArtifactsBucket": {"Value": BUCKET}}
    resources = {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}}
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources, "Outputs": outputs}))
    eventually(lambda: cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE")


def roles(iam: Any, name: str) -> str:
    """The instances' profile, and the jobs' role, whose ARN is the answer."""
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="files", PolicyDocument=json.dumps(RIGHTS))
    iam.create_instance_profile(InstanceProfileName=name)
    return made


@pytest.fixture
def jobs(running: Any, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.polling, "INTERVAL", 0.05)
    return Jobs(running, cluster, tmp_path)


def test_a_command_a_script_and_standard_input_run_with_their_arguments(jobs: Jobs) -> None:
    show = f"#!{sys.executable}\nimport sys\nfor word in sys.argv[1:]:\n    print(repr(word))\n"
    (jobs.folder / "show").write_text(show)
    identifier = jobs.run("submit", *PLACE, "-o", "name", "--wait", "printf", "%s|", *AWKWARD).strip()
    assert jobs.run("logs", identifier) == "".join(f"{word}|" for word in AWKWARD) + "\n"
    words = [repr(word) for word in AWKWARD]
    assert jobs.output("-cf", "show", *AWKWARD) == words
    assert jobs.output("-cf", "-", *AWKWARD, stdin=show) == words


def test_files_and_variables_are_where_the_script_looks_for_them(jobs: Jobs) -> None:
    (jobs.folder / "data").mkdir()
    (jobs.folder / "data" / "x y").write_text("input\n")
    (jobs.folder / "solver").write_text("#!/bin/sh\ncat 'data/x y'\necho \"$GREETING $MUSTER_CLUSTER\"\n")
    (jobs.folder / "solver").chmod(0o755)
    script = './solver\necho "${MUSTER_JOB_S3_URL%-*}"\n[ "$PCLUSTER_JOB_S3_URL" = "$MUSTER_JOB_S3_URL" ]\n'
    (jobs.folder / "job.sh").write_text(script)
    flags = ("-jn", "n", "-if", "data", "-if", "solver", "-e", "GREETING=hello you")
    assert jobs.output(*flags, "-cf", "job.sh") == [
        "input",
        f"hello you {jobs.cluster}",
        f"s3://{BUCKET}/{jobs_prefix(jobs.cluster)}n",
    ]


def test_an_image_without_the_aws_command_fetches_with_boto3(jobs: Jobs) -> None:
    """The program's folder is taken off the path but for its python3."""
    (jobs.folder / "bin").mkdir()
    (jobs.folder / "bin" / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (jobs.folder / "bin" / "python3").chmod(0o755)
    (jobs.folder / "x").write_text("input\n")
    path = f"PATH={jobs.folder / 'bin'}:/usr/bin:/bin"
    assert jobs.output("-e", path, "-if", "x", "sh", "-c", "command -v aws; cat x") == ["input"]


def test_a_job_that_fails_is_a_failure_and_shown_with_its_reason(jobs: Jobs) -> None:
    said = jobs.run("submit", *PLACE, "-jn", "seven", "-r", "2", "--wait", "sh", "-c", "exit 7", code=1)
    assert "FAILED" in said
    assert "exit code 7" in said
    failed = json.loads(jobs.run("list", "-s", "FAILED", "-o", "json"))["items"]
    (identifier,) = (job["jobId"] for job in failed if job["jobName"] == "seven")
    assert len(json.loads(jobs.run("show", identifier, "-o", "json"))["attempts"]) == 2


def test_children_of_an_array_are_listed_and_have_logs(jobs: Jobs) -> None:
    identifier = jobs.submit("-a", "3", "sh", "-c", "echo $AWS_BATCH_JOB_ARRAY_INDEX")
    rows = [line.split() for line in jobs.run("list", identifier).splitlines()[1:]]
    assert [row[0] for row in rows] == [f"{identifier}:{index}" for index in range(3)]
    assert jobs.run("logs", f"{identifier}:2") == "2\n"
    assert "SUCCEEDED:" in jobs.run("show", identifier)


def test_a_job_on_several_nodes(jobs: Jobs) -> None:
    """The main node ends the job, so it waits for what the last one has to say."""
    (jobs.folder / "x").write_text("input\n")
    script = """
        cat x
        echo node $AWS_BATCH_JOB_NODE_INDEX of $AWS_BATCH_JOB_NUM_NODES
        case $AWS_BATCH_JOB_NODE_INDEX in
            0) while [ ! -e "$SAID" ]; do sleep 0.05; done;;
            2) touch "$SAID"; exec sleep 600;;
        esac
    """
    said = f"SAID={jobs.folder / 'said'}"
    identifier = jobs.submit("-jd", "mpi", "-n", "3", "-if", "x", "-e", said, "sh", "-c", script)
    assert jobs.run("logs", identifier).splitlines() == ["input", "node 0 of 3"]
    assert jobs.run("logs", f"{identifier}#2").splitlines() == ["input", "node 2 of 3"]


def test_a_job_is_followed_and_cancelled_with_those_that_wait_for_it(jobs: Jobs) -> None:
    first = jobs.run("submit", *PLACE, "-o", "name", "sh", "-c", "echo begun; sleep 600").strip()
    second = jobs.run("submit", *PLACE, "-o", "name", "-d", first, "true").strip()
    following = jobs.start("logs", "-f", "-sp", "1", first)
    assert following.stdout
    assert following.stdout.readline() == "begun\n"
    rows = {line.split()[0]: line.split()[2] for line in jobs.run("list").splitlines()[1:]}
    assert rows == {first.removeprefix("job/"): "RUNNING", second.removeprefix("job/"): "PENDING"}
    assert jobs.run("queues", "compute").splitlines()[1].split()[:3] == ["compute", "ENABLED", "VALID"]
    assert jobs.run("queues", "compute").splitlines()[1].split()[4:9] == ["0", "1", "0", "0", "1"]
    assert jobs.run("cancel", first, "-r", "enough") == f"{first} terminated\n"
    following.communicate(timeout=60)
    assert following.returncode == 0
    assert "enough" in jobs.run("show", first)
    assert "FAILED" in jobs.run("show", second)


def test_no_instances_are_no_hosts(jobs: Jobs) -> None:
    assert [jobs.run("hosts", "-q", queue) for queue in ("light", "compute")] == ["", ""]


def test_what_there_is_not_is_told(jobs: Jobs) -> None:
    assert "no job queue muster-nope_*" in jobs.run("list", "-c", "nope", code=1)
    assert "choose one with --queue: compute, light" in jobs.run("submit", "true", code=1)
    assert "no job nope" in jobs.run("show", "nope", code=1)
