"""The lines that run in a container, run here by the real shells, with a stand-in for the copy from S3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.job.bootstrap import LINES, Start, command, exports

AWKWARD = ["", " ", "a b", "$HOME", "`id`", "$(id)", "'", '"', "\\", "\n", "*", "-n", "--", "é", "; exit 3", "%s", "!!"]
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
# Copies as `aws s3 cp --recursive` does: aws --region R s3 cp --recursive --only-show-errors s3://bucket/prefix/ FOLDER
AWS = """#!/bin/sh
from=${7#s3://}
[ "$2" = us-east-1 ] || exit 9
[ -d "$BUCKETS/$from" ] || exit 0
cp -R "$BUCKETS/$from." "$8"
"""
BOTO3 = """
import os, pathlib, shutil
class Object:
    def __init__(self, key): self.key = key
class Bucket:
    def __init__(self, name): self.root, self.objects = pathlib.Path(os.environ["BUCKETS"], name), self
    def filter(self, Prefix):
        keys = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())
        return [Object(key) for key in keys if key.startswith(Prefix)]
    def download_file(self, key, path): shutil.copyfile(self.root / key, path)
def resource(service, region_name):
    assert (service, region_name) == ("s3", "us-east-1")
    return type("Resource", (), {"Bucket": staticmethod(Bucket)})
"""


class Container:
    """A place to run the command of a container in, with its own PATH, and a bucket to fetch from."""

    def __init__(self, root: Path) -> None:
        self.home, self.bin, self.job = root / "home", root / "bin", root / "buckets" / "b" / "job"
        for folder in (self.home, self.bin, self.job / "run"):
            folder.mkdir(parents=True)
        for tool in ("sh", "mkdir", "mktemp", "chmod", "cp", "cat", "env", "pwd", "python3"):
            found = sys.executable if tool == "python3" else shutil.which(tool)
            assert found
            (self.bin / tool).symlink_to(found)
        self.env = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "BUCKETS": str(root / "buckets"),
            "AWS_BATCH_JOB_ID": "1:2",
            "MUSTER_JOB_S3_URL": "s3://b/job",
        }
        (self.job / "run" / "executables").write_text("")

    def tool(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, start: Start, *words: str, shell: str = "sh", code: int = 0, **env: str) -> str:
        made = command(start, words)
        assert made[0] == "/bin/sh"
        first = [shutil.which(shell) or shell, *(["sh"] if shell == "busybox" else [])]
        done = subprocess.run(
            [*first, *made[1:]], env={**self.env, **env}, cwd=self.home, capture_output=True, check=False
        )
        assert done.returncode == code, done.stderr.decode()
        return (done.stdout if code == 0 else done.stderr).decode()


@pytest.fixture
def container(tmp_path: Path) -> Container:
    made = Container(tmp_path)
    made.tool("aws", AWS)
    return made


def start(**changes: Any) -> Start:
    return Start("us-east-1", **changes)


SHOW = f"#!{sys.executable}\nimport sys\nprint(sys.argv[1:])\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_arguments_reach_the_script_as_they_are(container: Container, shell: str) -> None:
    (container.job / "run" / "script").write_text(SHOW)
    shown = container.run(start(files=True, script=True), *AWKWARD, shell=shell)
    assert shown == f"{AWKWARD}\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_arguments_reach_a_command_as_they_are(container: Container, shell: str) -> None:
    container.tool("show", SHOW)
    assert container.run(start(work="work"), "show", *AWKWARD, shell=shell) == f"{AWKWARD}\n"


@pytest.mark.parametrize("folder", ["it's", "a b", "-n", "$(id)", "a\nb"])
def test_the_working_directory_may_have_any_name(container: Container, folder: str) -> None:
    assert container.run(start(work=folder), "pwd") == f"{container.home}/{folder}\n"


@pytest.mark.parametrize("text", AWKWARD)
def test_variables_arrive_as_they_are(container: Container, text: str) -> None:
    (container.job / "run" / "variables").write_text(exports({"V": text, "W": "w"}))
    script = f"#!{sys.executable}\nimport os, sys\nsys.stdout.write(os.environ['V'] + '|' + os.environ['W'])\n"
    (container.job / "run" / "script").write_text(script)
    assert container.run(start(files=True, script=True)) == f"{text}|w"


def test_without_a_folder_it_is_one_of_its_own_in_the_home(container: Container) -> None:
    container.tool("aws", AWS)
    assert container.run(start(files=True), "pwd") == f"{container.home}/job-1:2\n"
    assert container.run(start(parent=str(container.home / "p")), "pwd") == f"{container.home}/p/job-1:2\n"


def test_inputs_lie_in_the_working_directory_and_programs_can_be_run(container: Container) -> None:
    (container.job / "input" / "d").mkdir(parents=True)
    (container.job / "input" / "d" / "my solver").write_text("#!/bin/sh\ncat 'x y'\n")
    (container.job / "input" / "x y").write_text("data")
    (container.job / "run" / "executables").write_text("d/my solver\n")
    assert container.run(start(files=True), "./d/my solver") == "data"


def test_a_script_without_a_first_line_is_run_by_the_shell(container: Container) -> None:
    (container.job / "run" / "script").write_text('echo "$1"; pwd\n')
    assert container.run(start(files=True, script=True, work="w"), "a") == f"a\n{container.home}/w\n"


def test_the_script_takes_the_place_of_the_shell_so_that_signals_reach_it(container: Container) -> None:
    script = f"#!{sys.executable}\nimport os\nprint(os.getppid() == {os.getpid()})\n"
    (container.job / "run" / "script").write_text(script)
    assert container.run(start(files=True, script=True)) == "True\n"


def test_the_exit_code_is_the_scripts(container: Container) -> None:
    (container.job / "run" / "script").write_text("exit 7\n")
    container.run(start(files=True, script=True), code=7)


def test_without_the_aws_command_boto3_fetches(container: Container, tmp_path: Path) -> None:
    (container.bin / "aws").unlink()
    (tmp_path / "boto3.py").write_text(BOTO3)
    (container.job / "input" / "d").mkdir(parents=True)
    (container.job / "input" / "d" / "x").write_text("data")
    (container.job / "run" / "script").write_text("cat d/x\n")
    assert container.run(start(files=True, script=True), PYTHONPATH=str(tmp_path)) == "data"


def test_an_image_with_neither_is_told_what_it_lacks(container: Container) -> None:
    for tool in ("aws", "python3"):
        (container.bin / tool).unlink()
    assert "neither aws nor python3 with boto3" in container.run(start(files=True), "pwd", code=1)


def test_files_that_cannot_be_fetched_end_the_job(container: Container) -> None:
    container.tool("aws", "#!/bin/sh\nexit 1\n")
    assert container.run(start(files=True), "pwd", code=1) == "muster: cannot fetch s3://b/job/run/\n"


def test_a_folder_that_cannot_be_made_ends_the_job(container: Container) -> None:
    (container.home / "file").write_text("")
    container.run(start(work="file/w"), "pwd", code=1)


def test_the_lines_leave_room_for_the_users_words() -> None:
    assert len(LINES) < 2500


def test_no_word_of_the_users_is_part_of_the_lines() -> None:
    made = command(start(work="w", parent="p", files=True, script=True), ["a"])
    assert made == ["/bin/sh", "-c", LINES, "muster", "w", "p", "us-east-1", "files", "script", "a"]
