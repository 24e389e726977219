"""`muster job submit`: what Batch is asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

import cli.polling
from cli.job import following
from cli.options import hoisted
from reconciler.facts import CLUSTER_TAG, OWNER_TAG
from tests.unit.cli.batch import Batch, arn
from tests.unit.cli.conftest import OUTPUTS, World, client

BUCKET = OUTPUTS["ArtifactsBucket"]


def submitted(batch: Batch) -> dict[str, Any]:
    (asked,) = batch.submitted
    return asked


def container(batch: Batch) -> dict[str, Any]:
    return submitted(batch)["containerOverrides"]


def environment(batch: Batch) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(batch)["environment"]}


def objects() -> dict[str, bytes]:
    """The objects in the artifacts bucket, by their keys without the random part."""
    s3 = client("s3")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())]
    return {key.split("/", 4)[4]: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def said_by(result: Any) -> str:
    """What is in the box that an error of usage stands in, in one line."""
    return " ".join(result.stderr.replace("│", " ").split())


def test_a_plain_command_is_passed_as_it_is_with_no_shell(world: World, batch: Batch) -> None:
    assert world.run("job", "submit", "-jn", "hello", "echo", "a b", "$HOME").stdout == "job/job-1 submitted\n"
    asked = submitted(batch)
    assert asked["jobName"] == "hello"
    assert asked["jobQueue"] == arn("job-queue", "muster-demo_compute")
    assert asked["jobDefinition"] == arn("job-definition", "muster-demo_default") + ":1"
    assert container(batch)["command"] == ["echo", "a b", "$HOME"]
    assert container(batch)["resourceRequirements"] == []
    assert objects() == {}


def test_the_container_is_told_its_cluster_and_where_its_files_are(world: World, batch: Batch) -> None:
    world.run("job", "submit", "-jn", "hello", "true")
    told = environment(batch)
    assert told["MUSTER_CLUSTER"] == "demo"
    assert told["MUSTER_JOB_S3_URL"].startswith(f"s3://{BUCKET}/clusters/demo/jobs/hello-")
    assert told["PCLUSTER_JOB_S3_URL"] == told["MUSTER_JOB_S3_URL"]


def test_what_stands_behind_the_command_is_the_commands(world: World, batch: Batch) -> None:
    world.run("job", "submit", "-p", "2", "mpirun", "-p", "3", "--region", "x", "--stack", "y", "--", "-n")
    assert container(batch)["command"] == ["mpirun", "-p", "3", "--region", "x", "--stack", "y", "--", "-n"]
    assert container(batch)["resourceRequirements"] == [{"type": "VCPU", "value": "2"}]


@pytest.mark.parametrize("place", [("job", "submit", "--stack", "other"), ("--stack", "other", "job", "submit")])
def test_the_control_plane_may_be_named_on_either_side_of_the_verb(
    world: World, batch: Batch, place: tuple[str, ...]
) -> None:
    assert "no stack other" in world.run(*place, "true", code=1).stderr
    assert hoisted(["job", "list", "--stack", "other"]) == ["--stack", "other", "job", "list"]
    between = ["job", "--region", "r", "submit", "-p", "2", "aws", "--region", "x", "--", "y"]
    assert hoisted(between) == ["--region", "r", "job", "submit", "-p", "2", "aws", "--region", "x", "--", "y"]


def test_the_flags_of_awsbsub_are_taken(world: World, batch: Batch, tmp_path: Path, monkeypatch: Any) -> None:
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\ntrue\n")
    monkeypatch.setenv("A", "1")
    monkeypatch.setenv("B", "2")
    flags = "-jn n -c demo -pw /scratch -p 4 -m 1024 -e A,B -r 3 -t 60 -a 10 -d jobId=x,type=N_TO_N;jobId=y"
    world.run("job", "submit", *flags.split(), "-if", str(script), "-cf", str(script), "arg")
    asked = submitted(batch)
    needs = {each["type"]: each["value"] for each in container(batch)["resourceRequirements"]}
    assert needs == {"VCPU": "4", "MEMORY": "1024"}
    assert environment(batch)["A"] == "1"
    assert environment(batch)["B"] == "2"
    assert asked["retryStrategy"] == {"attempts": 3}
    assert asked["timeout"] == {"attemptDurationSeconds": 60}
    assert asked["arrayProperties"] == {"size": 10}
    assert asked["dependsOn"] == [{"jobId": "x", "type": "N_TO_N"}, {"jobId": "y"}]
    assert container(batch)["command"][3:] == ["muster", "", "/scratch", "us-east-1", "files", "script", "arg"]


def test_what_awsbsub_could_not_say(world: World, batch: Batch) -> None:
    world.run("job", "submit", "-g", "2", "-p", "0.5", "-e", "LIST=1,2=3", "--timeout", "1h30m", "true")
    needs = {each["type"]: each["value"] for each in container(batch)["resourceRequirements"]}
    assert needs == {"VCPU": "0.5", "GPU": "2"}
    assert environment(batch)["LIST"] == "1,2=3"
    assert submitted(batch)["timeout"] == {"attemptDurationSeconds": 5400}


def test_a_script_is_sent_with_its_inputs(world: World, batch: Batch, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "x").write_bytes(b"\x00\xff")
    (tmp_path / "solver").write_text("binary")
    (tmp_path / "solver").chmod(0o755)
    (tmp_path / "job.sh").write_bytes(b"true\n")
    world.run("job", "submit", "-if", "data", "-if", str(tmp_path / "solver"), "-cf", "job.sh")
    assert objects() == {
        "run/script": b"true\n",
        "run/executables": b"solver\n",
        "input/data/deep/x": b"\x00\xff",
        "input/solver": b"binary",
    }
    assert submitted(batch)["jobName"] == "job-sh"


@pytest.mark.parametrize("args", [(), ("-cf", "-", "arg")])
def test_standard_input_is_the_script_when_there_is_no_command(
    world: World, batch: Batch, args: tuple[str, ...]
) -> None:
    world.run("job", "submit", *args, stdin="echo hi\n")
    assert objects()["run/script"] == b"echo hi\n"
    assert container(batch)["command"][9:] == list(args[2:])


def test_standard_input_is_left_alone_beside_a_command(world: World, batch: Batch) -> None:
    world.run("job", "submit", "cat", stdin="not a script")
    assert container(batch)["command"] == ["cat"]


def test_all_of_the_environment_goes_in_a_file_without_what_is_the_machines_own(
    world: World, batch: Batch, monkeypatch: Any
) -> None:
    monkeypatch.setenv("QUOTED", "it's $HOME\n`x`")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    world.run("job", "submit", "-e", "all", "-e", "X=1", "true")
    sent = objects()["run/variables"].decode()
    assert "export QUOTED='it'\"'\"'s $HOME\n`x`'\n" in sent
    assert "secret" not in sent
    assert "export PATH=" not in sent
    assert environment(batch)["X"] == "1"


def test_names_to_leave_out_take_the_place_of_the_usual_ones(world: World, batch: Batch, monkeypatch: Any) -> None:
    monkeypatch.setenv("QUIET", "1")
    world.run("job", "submit", "-e", "all", "-eb", "QUIET, OTHER", "true")
    sent = objects()["run/variables"].decode()
    assert "QUIET" not in sent
    assert "export PATH=" in sent


def test_of_a_job_that_batch_refuses_no_file_stays(world: World, batch: Batch) -> None:
    stderr = world.run("job", "submit", "-jn", "refuse", "-if", __file__, stdin="true", code=1).stderr
    assert stderr == "error: SubmitJob answered ClientException: no such thing\n"
    assert objects() == {}


def test_a_file_that_cannot_be_read_is_told(world: World, batch: Batch, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "secret").write_text("")
    whole = Path.open

    def closed(self: Path, *args: Any, **options: Any) -> Any:
        if self.name == "secret":
            raise PermissionError(13, "Permission denied")
        return whole(self, *args, **options)

    monkeypatch.setattr(Path, "open", closed)
    stderr = world.run("job", "submit", "-if", str(tmp_path / "secret"), "true", code=1).stderr
    assert stderr == f"error: {tmp_path / 'secret'}: Permission denied\n"
    assert objects() == {}
    assert batch.submitted == []


def test_a_bucket_that_is_not_there_is_one_line(world: World, batch: Batch) -> None:
    client("s3").delete_bucket(Bucket=BUCKET)
    stderr = world.run("job", "submit", "-if", __file__, "true", code=1).stderr
    assert stderr.startswith("error: PutObject answered NoSuchBucket")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-jn", "no name", "true"), "'no name' is no name of a job"),
        (("-a", "0", "true"), "than or equal to 1"),
        (("-a", "10001", "true"), "less than or equal to 10000"),
        (("-t", "59", "true"), "Batch takes 60 s or more"),
        (("-r", "11", "true"), "less than or equal to 10"),
        (("-w", "/a", "-pw", "/b", "true"), "not both"),
        (("-eb", "A", "true"), "goes with -e all"),
        (("-e", "NOT_SET_HERE", "true"), "NOT_SET_HERE is not set"),
        (("-e", "a-b=1", "true"), "no name of a variable"),
        (("-cf",), "needs the file's name"),
        (("-cf", "/no/such/file"), "No such file"),
        (("-if", "/no/such/file", "true"), "no such file or folder"),
        (("-d", "type=N_TO_N", "true"), "names no job"),
        (("-d", "N_TO_N", "true"), "is no dependency"),
        (("-d", "when=never", "true"), "is no dependency"),
        (("-d", "jobId=a,type=LATER", "true"), "is no type of a dependency"),
        (("-d", ",".join("abcdefghijklmnopqrstu"), "true"), "at most 20"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_sent(
    world: World, batch: Batch, args: tuple[str, ...], said: str
) -> None:
    assert said in said_by(world.run("job", "submit", *args, code=2))
    assert batch.submitted == []


def test_two_files_of_one_name_are_refused(world: World, batch: Batch, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_text(folder)
    files = ["-if", str(tmp_path / "a" / "x"), "-if", str(tmp_path / "b" / "x")]
    assert "would both be x" in said_by(world.run("job", "submit", *files, "true", code=2))


def test_several_nodes_need_a_definition_with_nodes(world: World, batch: Batch) -> None:
    assert "is for one node" in world.run("job", "submit", "-n", "2", "true", code=1).stderr
    ranges = [{"targetNodes": "0:0"}, {"targetNodes": "1:"}]
    batch.definition("muster-demo_mpi", type="multinode", nodeProperties={"nodeRangeProperties": ranges})
    world.run("job", "submit", "-jd", "mpi", "-n", "4", "true")
    nodes = submitted(batch)["nodeOverrides"]
    assert nodes["numNodes"] == 4
    assert [each["targetNodes"] for each in nodes["nodePropertyOverrides"]] == ["0:0", "1:"]
    assert {each["containerOverrides"]["command"][0] for each in nodes["nodePropertyOverrides"]} == {"true"}
    assert "can be no array" in world.run("job", "submit", "-jd", "mpi", "-a", "2", "true", code=1).stderr


@pytest.mark.parametrize(("flags", "size"), [((), 50), (("-a", "7"), 7), (("-a", "1"), None), (("-jd", "plain"), None)])
def test_a_definition_may_say_of_what_size_arrays_are(
    world: World, batch: Batch, flags: tuple[str, ...], size: int | None
) -> None:
    batch.definition("muster-demo_sweep", parameters={"muster-array-size": "50"})
    batch.definition("muster-demo_plain", parameters={"muster-registrations": "2"})
    world.run("job", "submit", *(flags if "-jd" in flags else ("-jd", "sweep", *flags)), "true")
    assert submitted(batch).get("arrayProperties") == ({"size": size} if size else None)


def test_a_share_is_for_a_fair_share_queue(world: World, batch: Batch) -> None:
    assert "has no shares" in world.run("job", "submit", "--share", "s", "true", code=1).stderr
    batch.queue("muster-demo_fair", schedulingPolicyArn="arn:policy")
    assert "with --share" in world.run("job", "submit", "-q", "fair", "true", code=1).stderr
    world.run("job", "submit", "-q", "muster-demo_fair", "--share", "s", "true")
    assert submitted(batch)["shareIdentifier"] == "s"


def test_of_several_queues_one_has_to_be_chosen(world: World, batch: Batch) -> None:
    batch.queue("muster-demo_other")
    assert "choose one with --queue: compute, other" in world.run("job", "submit", "true", code=1).stderr
    assert 'no queue "nope": there is compute, other' in world.run("job", "submit", "-q", "nope", "true", code=1).stderr


def test_the_newest_active_revision_of_a_definition_is_taken(world: World, batch: Batch) -> None:
    for revision in (3, 2):
        batch.definition(revision=revision)
    batch.definition(revision=4, status="INACTIVE")
    world.run("job", "submit", "true")
    assert submitted(batch)["jobDefinition"].endswith(":3")
    assert (
        "no active job definition muster-demo_nope" in world.run("job", "submit", "-jd", "nope", "true", code=1).stderr
    )


@pytest.mark.parametrize("tags", [{OWNER_TAG: "another"}, {CLUSTER_TAG: "another"}])
def test_what_is_marked_as_anothers_is_not_taken(world: World, batch: Batch, tags: dict[str, str]) -> None:
    batch.queues[0]["tags"] = tags
    assert "no job queue muster-demo_* in us-east-1" in world.run("job", "submit", "true", code=1).stderr


def test_a_cluster_whose_name_begins_another_ones_is_not_mistaken(world: World, batch: Batch) -> None:
    assert "no job queue muster-dem_*" in world.run("job", "submit", "-c", "cluster/dem", "true", code=1).stderr


def test_queues_and_definitions_of_later_pages_are_found(world: World, batch: Batch) -> None:
    for number in range(250):
        batch.queue(f"another-{number}")
        batch.definition(f"another-{number}")
    batch.queues.reverse()
    batch.definitions.reverse()
    world.run("job", "submit", "true")


def test_a_cluster_has_to_be_named(world: World, batch: Batch, monkeypatch: Any) -> None:
    monkeypatch.delenv("MUSTER_CLUSTER")
    assert "name it with -c, or set MUSTER_CLUSTER" in world.run("job", "submit", "true", code=1).stderr


def test_more_than_ecs_takes_is_refused_here_and_not_when_the_job_starts(world: World, batch: Batch) -> None:
    assert "characters long" in world.run("job", "submit", "echo", "x" * 8000, code=1).stderr
    world.run("job", "submit", "-w", "/tmp", "-if", __file__, "echo", "x" * 4000)


@pytest.mark.parametrize(
    ("output", "shown"),
    [("name", "job/job-1\n"), ("table", "job/job-1 submitted\n"), ("wide", "job/job-1 submitted\n")],
)
def test_what_is_shown_of_a_job_that_was_submitted(world: World, batch: Batch, output: str, shown: str) -> None:
    assert world.run("job", "submit", "-o", output, "true").stdout == shown


def test_json_is_what_batch_answered(world: World, batch: Batch) -> None:
    shown = json.loads(world.run("job", "submit", "-o", "json", "/bin/true").stdout)
    assert shown == {"jobArn": arn("job", "job-1"), "jobId": "job-1", "jobName": "true"}


class Life:
    """What becomes of job-1 at each look; after the last the user presses Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, batch: Batch, *steps: dict[str, Any] | None) -> None:
        self._batch, self._steps = batch, list(steps)
        monkeypatch.setattr(cli.polling, "sleep", self)

    def __call__(self, seconds: float) -> None:
        if not self._steps:
            raise KeyboardInterrupt
        step = self._steps.pop(0)
        if step is None:
            self._batch.jobs.pop("job-1", None)
        else:
            self._batch.job("job-1", **step)


def test_the_wait_ends_when_the_job_has_succeeded(world: World, batch: Batch, monkeypatch: Any) -> None:
    Life(monkeypatch, batch, None, {"status": "RUNNING"}, {"status": "RUNNING"}, {"status": "SUCCEEDED"})
    result = world.run("job", "submit", "--wait", "true")
    assert result.stdout == "job/job-1 submitted\n"
    assert result.stderr.splitlines() == [f"job/job-1 {s}" for s in ("SUBMITTED", "RUNNING", "SUCCEEDED")]


def test_a_job_that_failed_is_a_failure_with_its_reasons(world: World, batch: Batch, monkeypatch: Any) -> None:
    failed = {"statusReason": "Essential container in task exited", "container": {"exitCode": 3, "reason": "oom"}}
    Life(monkeypatch, batch, {"status": "FAILED", **failed})
    stderr = world.run("job", "submit", "--wait", "false", code=1).stderr
    assert stderr.splitlines()[-1] == (
        "error: job/job-1 FAILED: Essential container in task exited, oom, exit code 3; "
        "`muster job show job-1` says more"
    )


def test_children_of_an_array_are_counted_by_their_states(world: World, batch: Batch, monkeypatch: Any) -> None:
    def array(status: str, **summary: int) -> dict[str, Any]:
        return {"status": status, "arrayProperties": {"size": 3, "statusSummary": {"FAILED": 0, **summary}}}

    Life(monkeypatch, batch, array("PENDING", RUNNING=1, RUNNABLE=2), array("SUCCEEDED", SUCCEEDED=3))
    stderr = world.run("job", "submit", "-a", "3", "--wait", "true").stderr
    assert stderr.splitlines()[1:] == [
        "job/job-1 0/3 ended: 1 RUNNING, 2 RUNNABLE",
        "job/job-1 3/3 ended: 3 SUCCEEDED",
    ]


def test_ctrl_c_leaves_the_job(world: World, batch: Batch, monkeypatch: Any) -> None:
    Life(monkeypatch, batch)
    stderr = world.run("job", "submit", "--wait", "true", code=130).stderr
    assert "job/job-1 goes on" in stderr
    assert batch.ended == []


def test_a_job_that_never_shows_is_not_waited_for_for_ever(world: World, batch: Batch, monkeypatch: Any) -> None:
    Life(monkeypatch, batch, *[None] * (following.PATIENCE + 1))
    monkeypatch.setattr(batch, "submit_job", lambda _: {"jobArn": "a", "jobId": "job-1", "jobName": "n"})
    assert "cannot be found any more" in world.run("job", "submit", "--wait", "true", code=1).stderr


def test_a_terminal_gets_a_bar(world: World, batch: Batch, monkeypatch: Any) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    array = {"size": 4, "statusSummary": {"SUCCEEDED": 4}}
    Life(monkeypatch, batch, {"status": "SUCCEEDED", "arrayProperties": array})
    assert "4/4" in world.run("job", "submit", "-a", "4", "--wait", "true").stderr
