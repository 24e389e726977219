"""The agent as instances have it: one file that Python runs."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.machine import Machine, MachineError
from reconciler import agent


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("opt") / "node.pyz"
    path.write_bytes(agent.archive())
    return path


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd="/", check=False)


@pytest.mark.parametrize("verb", ["head", "join", "watch"])
def test_a_machine_without_a_document_says_so_in_one_line(archive: Path, verb: str) -> None:
    done = run(str(archive), verb)
    assert done.returncode == 1
    assert done.stderr == f"ERROR muster: {verb}: /etc/muster/node.json: No such file or directory\n"


def test_the_archive_knows_its_version(archive: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(archive)!r}); from node.__main__ import version; print(version())"
    assert run("-c", code).stdout.strip() == agent.digest() == hashlib.sha256(archive.read_bytes()).hexdigest()


def systemctl(folder: Path, script: str) -> None:
    path = folder / "systemctl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"


def test_daemons_are_systemds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    systemctl(tmp_path, f'echo "$@" >>{tmp_path}/asked; [ "$1" = restart ] || exit 3')
    machine = Machine(tmp_path)
    machine.systemctl("restart", "slurmd")
    assert not machine.is_active("slurmd")
    assert (tmp_path / "asked").read_text() == "restart slurmd\nis-active --quiet slurmd\n"


def test_a_daemon_that_does_not_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    systemctl(tmp_path, "echo no such unit >&2; exit 5")
    with pytest.raises(MachineError, match="systemctl restart slurmd: no such unit"):
        Machine(tmp_path).systemctl("restart", "slurmd")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MachineError, match="systemctl"):
        Machine(tmp_path).systemctl("restart", "slurmd")


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("")
    with pytest.raises(MachineError, match=r"/etc/slurm/slurm\.conf"):
        Machine(tmp_path).write("etc/slurm/slurm.conf", "x")
    assert Machine(tmp_path).read("etc/slurm/slurm.conf") == ""


def test_cgroups_are_used_where_systemd_hands_them_out(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert not machine.has_cgroups()
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("cpuset cpu memory pids\n")
    assert not machine.has_cgroups()
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert machine.has_cgroups()
