"""Instances that run: process trees in namespaces of their own, which execute their user data as cloud-init does.

Those are machines that the setting `machines` matches when they are launched: a glob pattern of clusters (tag
``muster:cluster``), or of clusters and kinds of nodes (tag ``muster:node``), such as ``demo/head``. What a machine is
made of is in `local.machine`: a root file system that is this host's, under a layer of the machine's own;
an eth0 with the address of its record on a bridge of its VPC; the metadata service and AWS's endpoint inside. A stop
ends the processes and keeps the files, a start boots again, and so does RebootInstances, of which no state tells; the
end of the instance removes all.

All is done in threads, one a machine, so that nobody who calls EC2 waits for it. ``GET /_local/machines`` tells of all.
"""

import contextlib
import ipaddress
import json
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from local import machine as below
from local import runtime
from local.additions import imds
from local.additions.emulator import ec2
from local.additions.launches import state_listeners
from local.additions.settings import settings
from local.machine import image, network

PATH = "/_local/machines"
CLUSTER, NODE = "muster:cluster", "muster:node"
HALT_SECONDS = 5.0
AWAY = ("stopped", "terminated")
logger = logging.getLogger(__name__)


class Shared:
    """What all machines of this local AWS have: the directory of their files, wires, and who answers."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="machines-")).resolve()
        self.switch = network.Switch()
        self.servers = network.Servers()


class Machine:
    """One instance's. What is asked of it is done one after the other."""

    def __init__(self, host: "Machines", instance: dict[str, Any], cluster: str) -> None:
        self.instance, self.cluster = instance, cluster
        self.error = ""
        self._host = host
        self._metadata = imds.Metadata(instance)
        self._power: subprocess.Popen[str] | None = None
        self._pid = 0
        self._ready = False
        self._closers: list[Callable[[], None]] = []
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=instance["InstanceId"])

    def boot(self) -> None:
        """Begin to."""
        config = {
            "instance": self.instance["InstanceId"],
            "hostname": self.instance["PrivateDnsName"].partition(".")[0],
            "address": self.instance["PrivateIpAddress"],
            "env": below.environment(_endpoint()),
            "user_data": imds.user_data(self.instance) or "",
        }
        self._worker.submit(self._guarded, self._boot, config, imds.vpc_network(self.instance))

    def halt(self, *, forget: bool) -> None:
        """Begin to end its processes, and its files if they are to be forgotten."""
        self._worker.submit(self._guarded, self._halt, forget)
        if forget:
            self._worker.shutdown(wait=False)

    def kill(self) -> None:
        """End its processes now, and wait until they are gone."""
        if self._power and self._power.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid or self._power.pid, signal.SIGKILL)
            self._power.wait()

    def shown(self) -> dict[str, Any]:
        """What is told of it."""
        running = self._ready and self._power is not None and self._power.poll() is None
        return {
            "cluster": self.cluster,
            "state": "failed" if self.error else "running" if running else "off",
            "error": self.error,
            "pid": self._pid if running else 0,
            "address": self.instance["PrivateIpAddress"],
            "files": str(self._directory() / "upper") if running else "",
            "root": f"/proc/{self._pid}/root" if running else "",
            "enter": below.enter(self._pid, below.environment(_endpoint())) if running else [],
        }

    def _directory(self) -> Path:
        return self._host.shared().directory / self.instance["InstanceId"]

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        try:
            step(*arguments)
        except Exception as error:
            said = getattr(error, "stderr", "") or ""
            self.error = f"{error} {said}".strip()
            logger.exception("machine %s: %s", self.instance["InstanceId"], said)
            self.kill()

    def _boot(self, config: dict[str, Any], vpc_network: str) -> None:
        shared, directory = self._host.shared(), self._directory()
        if not directory.exists():
            for name in ("work", "root"):
                (directory / name).mkdir(parents=True)
            image.make(directory / "upper")
        self._power = power = subprocess.Popen(
            [*below.UNSHARE, runtime.interpreter(), "-IS", str(Path(below.__file__).with_name("init.py"))],
            env={"PATH": below.PATH, "LANG": "C.UTF-8"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True, text=True,
        )  # fmt: skip
        places = {"directory": str(directory), "binds": image.binds()}
        _tell(power, json.dumps(config | places))
        if not power.stdout or power.stdout.readline() != "up\n":
            raise OSError(f"its first process ended with {power.wait()}")
        self._pid = pid = int(Path(f"/proc/{power.pid}/task/{power.pid}/children").read_text())
        length = ipaddress.ip_network(vpc_network).prefixlen
        shared.switch.connect(pid, self.instance["VpcId"], f"{config['address']}/{length}", imds.mac(self.instance))
        endpoint = os.environ["MINISTACK_HOST"], int(os.environ["GATEWAY_PORT"])
        metadata, aws = network.listen_inside(pid, (network.METADATA, 80), endpoint)
        self._closers = [
            shared.servers.serve(metadata, self._metadata.serve),
            shared.servers.serve(aws, network.piped(*endpoint)),
        ]
        _tell(power, "go")
        self._ready = True

    def _halt(self, forget: bool) -> None:
        self._ready = False
        if self._power:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                _tell(self._power, "halt")
                self._power.wait(HALT_SECONDS)
            self.kill()
        self._pid = 0
        for close in self._closers:
            close()
        self._closers = []
        if forget:
            shutil.rmtree(self._directory(), ignore_errors=True)


class Machines:
    """All of this local AWS."""

    def __init__(self) -> None:
        self._running: dict[str, Machine] = {}
        self._ending: list[Machine] = []
        self._ever: set[str] = set()
        self._lock = threading.Lock()
        self._shared: Shared | None = None

    def shared(self) -> Shared:
        """What all have. Raises OSError if no machine can run here."""
        with self._lock:
            if self._shared is None:
                if reason := below.unavailable():
                    raise OSError(reason)
                self._shared = Shared()
            return self._shared

    def on_state(self, instance_id: str, state: str) -> None:
        """An instance has this state now."""
        machine = self._running.get(instance_id)
        if state == "running":
            cluster = _tag(instance_id, CLUSTER)
            if machine is None and _matches(cluster, _tag(instance_id, NODE)):
                machine = self._running[instance_id] = Machine(self, ec2._instances[instance_id], cluster)
                self._ever.add(instance_id)
            if machine:
                machine.boot()
        elif machine and state in AWAY:
            machine.halt(forget=state == "terminated")
            if state == "terminated":
                self._ending.append(self._running.pop(instance_id))

    def reboot(self, instance_id: str) -> None:
        """An instance goes down and comes up again, and is running all the while (RebootInstances)."""
        if machine := self._running.get(instance_id):
            machine.halt(forget=False)
            machine.boot()

    def has_been(self, instance_id: str) -> bool:
        """Whether the instance is a machine, or was one until it was terminated."""
        return instance_id in self._ever

    def shown(self) -> dict[str, dict[str, Any]]:
        """By instance id."""
        return {instance_id: machine.shown() for instance_id, machine in self._running.items()}

    def end(self) -> None:
        """Kill them all: the local AWS ends. Their files go with its own."""
        for machine in (*self._running.values(), *self._ending):
            machine.kill()
        if self._shared:
            shutil.rmtree(self._shared.directory, ignore_errors=True)


machines = Machines()


def register() -> None:
    """Hear of instances."""
    state_listeners.append(machines.on_state)
    original = ec2._ACTION_MAP["RebootInstances"]

    def reboot(p: dict[str, Any]) -> Any:
        answer = original(p)
        for instance_id in ec2._parse_member_list(p, "InstanceId") if answer[0] == 200 else []:
            machines.reboot(instance_id)
        return answer

    ec2._ACTION_MAP["RebootInstances"] = reboot


def answer(_method: str, _body: bytes) -> tuple[int, bytes]:
    """All machines."""
    return 200, json.dumps(machines.shown()).encode()


def _tag(instance_id: str, key: str) -> str:
    return next((tag["Value"] for tag in ec2._tags.get(instance_id, []) if tag["Key"] == key), "")


def _matches(cluster: str, node: str) -> bool:
    names = (cluster, f"{cluster}/{node}") if cluster else ()
    return bool(settings.machines) and any(fnmatchcase(name, settings.machines) for name in names)


def _endpoint() -> str:
    return f"http://{os.environ['MINISTACK_HOST']}:{os.environ['GATEWAY_PORT']}"


def _tell(process: "subprocess.Popen[str]", line: str) -> None:
    print(line, file=process.stdin, flush=True)
