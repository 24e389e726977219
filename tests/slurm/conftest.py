"""A real Slurm: munged, slurmctld and, as the tests start them, the daemons of its nodes, all on this machine."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.conf import EXTRA as EXTRA_FILE
from node.conf import SLURM, Site
from node.facts import Queue
from node.machine import Machine
from node.slurm import host_names
from node.slurm_files import Controller

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo", "scancel")
PATIENCE = 180.0
# As the agent renders it, but for the places, the ports, and the times.
EXTRA = """
SlurmUser=root
SlurmctldPort={port}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdTimeout=5
MessageTimeout=3
SchedulerParameters=bf_interval=1
"""
CPU, GPU = Queue("cpu", "demo.cpu", 3, 4, 2000, 0), Queue("gpu", "demo.gpu", 2, 4, 2000, 2)
QUEUES = (CPU, GPU)
# The most nodes of a queue in any test.
MOST = 6


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Slurm's packages there is nothing to test."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    for item in items:
        if missing and "slurm" in item.path.parts:
            why = f"needs {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge"
            item.add_marker(pytest.mark.skip(reason=why))


class Here(Machine):
    """The controller's machine: a folder, in which each node has a port, and a daemon of its own."""

    def __init__(self, real: "RealSlurm") -> None:
        super().__init__(real.folder)
        self.real = real
        self.restarts = 0

    def write(self, path: str, content: str | bytes, mode: int = 0o644, owner: str = "") -> bool:
        text = content if isinstance(content, str) else content.decode()
        if path == SLURM:
            text = re.sub(r"^NodeName=.*", self._with_ports, text, flags=re.MULTILINE)
        return super().write(path, text, mode, owner)

    def _with_ports(self, line: re.Match[str]) -> str:
        names = [name.rpartition("-") for name in host_names(line[0].split()[0].partition("=")[2])]
        ports = [str(self.real.ports[queue][int(number) - 1]) for queue, _, number in names]
        return f"{line[0]} Port=[{','.join(ports)}]"

    def systemctl(self, *what: str) -> None:
        assert what == ("restart", "slurmctld")
        self.restarts += 1
        self.real.end("slurmctld")
        self.real.run("slurmctld", "slurmctld", "-D")


class RealSlurm:
    """The controller and its nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "state").mkdir()
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        port, *ports = _free_ports(1 + 2 * MOST)
        self.ports = {"cpu": ports[:MOST], "gpu": ports[MOST:]}
        (folder / EXTRA_FILE).parent.mkdir(parents=True)
        (folder / EXTRA_FILE).write_text(EXTRA.format(folder=folder, port=port))
        self.machine = Here(self)
        self.site = Site("demo", "localhost", "127.0.0.1")
        self.controller = Controller(self.machine, self.site, lambda: time.sleep(0.1))

    def start(self) -> None:
        """Munge, then the controller; no node has a daemon yet."""
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log"}
        options = [f"--{option}={self.folder}/{name}" for option, name in files.items()]
        self.run("munge", "munged", "--foreground", "--force", f"--seed-file={self.folder}/munge.seed", *options)
        self.until("munge", (self.folder / "munge.socket").exists)
        self.controller.shape(QUEUES, ())

    def run(self, name: str, *command: str) -> None:
        """Start a daemon."""
        with (self.folder / f"{name}.out").open("wb") as out:
            self.daemons[name] = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def boot(self, name: str) -> None:
        """The daemon of a node."""
        self.run(name, "slurmd", "-D", "-N", name)

    def kill(self, name: str) -> None:
        """End a daemon at once."""
        process = self.daemons.pop(name)
        process.kill()
        process.wait()

    def end(self, name: str) -> None:
        """Have a daemon end, as systemd does it."""
        if name in self.daemons:
            process = self.daemons.pop(name)
            process.terminate()
            process.wait()

    def stop(self) -> None:
        """End them all, the nodes first, and what is left of jobs whose node was killed under them."""
        for name in reversed(list(self.daemons)):
            self.kill(name)
        ours = str(self.folder).encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int(process.name) != os.getpid() and ours in (process / "environ").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)

    def ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of Slurm's."""
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def submit(self, script: str, *options: str) -> str:
        """The id of a job that runs this script."""
        text = f"#!/bin/sh\n{script}\n"
        command = ["sbatch", "--parsable", "--output=/dev/null", f"--chdir={self.folder}", *options]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
        if "Requested node configuration is not available" in done.stderr:
            pytest.skip("a newer Slurm refuses such a job when it is submitted")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, identifier: str) -> str:
        """A job's state, empty if it is no longer known."""
        return self.ask("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={identifier}").stdout.strip()

    def until(self, what: str, seen: Callable[[], object]) -> None:
        """Look again and again."""
        end = time.monotonic() + PATIENCE
        while not seen():
            if time.monotonic() > end:
                logs = [f"{path.name}: {path.read_text()[-1500:]}" for path in self.folder.glob("slurmctld.log")]
                states = self.ask("sinfo", "--all", "-N", "-l").stdout, self.ask("squeue", "--all", "-l").stdout
                raise AssertionError("\n".join([f"not within {PATIENCE:.0f} s: {what}", *states, *logs]))
            time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSlurm]:
    made = RealSlurm(tmp_path_factory.mktemp("slurm"))
    os.environ["SLURM_CONF"] = str(made.folder / SLURM)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        del os.environ["SLURM_CONF"]


@pytest.fixture
def real(running: RealSlurm) -> Iterator[RealSlurm]:
    """With no jobs, and no node up."""
    running.controller.shape(QUEUES, ())
    running.controller.unbind(running.controller.hosts())
    yield running
    running.ask("scancel", "--user=root")
    for name in [name for name in running.daemons if name.startswith(("cpu", "gpu"))]:
        running.kill(name)
    running.controller.unbind(running.controller.hosts())
    running.until("no jobs", lambda: not running.ask("squeue", "--noheader", "--all").stdout)
