"""What a cold start costs: the init phase under Lambda's runtime interface emulator and Lambda's own runtime client.

The emulator comes with aws-sam-cli. As on Lambda, Python has the SDK and the runtime client beside it and nothing
else, and the function's folder cannot be written to, so what is not compiled there is compiled again at each start.
"""

import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import samcli

from bench.figure import Figure
from local import runtime
from local.deploy import ROOT, build

RUNS = 15
PATIENCE = 30.0  # seconds
CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
SERVICES = ["dynamodb", "cloudformation", "autoscaling", "ec2", "sqs"]
# Both make the clients of a pass with nothing to do, and that of the queue.
FLOOR = f"""\
import boto3
clients = {{service: boto3.client(service) for service in {SERVICES}}}
def handler(calls, context):
    for service, operation, arguments in calls or ():
        getattr(clients[service], operation)(**arguments)
"""
OURS = f"""\
import handlers.reconcile as ours
clients = [getattr(ours.Clients(), service) for service in {SERVICES}]
def handler(event, context):
    pass
"""
REPORT = r"INIT REPORT\(durationMs: ([\d.]+)\).*INVOKE RTDONE\(status: success.*? duration: ([\d.]+)ms\)"
UNCHANGED = '"result":"unchanged"'
NOTHING: Mapping[str, str] = {}
Call = tuple[str, str, dict[str, Any]]  # service, operation in snake case, arguments


def measure() -> Iterator[Figure]:
    """Init of the reconciler with its clients, as a ratio to boto3 with the same clients; medians, taken in turns."""
    with _package() as (task, sdk):
        pairs = [(_start(task, sdk, "ours.handler")[0], _start(task, sdk, "floor.handler")[0]) for _ in range(RUNS)]
        for bytecode in task.rglob("*.pyc"):
            bytecode.unlink()
        bare = [(_start(task, sdk, "ours.handler")[0], _start(task, sdk, "floor.handler")[0]) for _ in range(RUNS)]
    ours, floor = (statistics.median(each) for each in zip(*pairs, strict=True))
    yield Figure("cold_start_ratio", _ratio(pairs), "times the init of boto3 and the same clients")
    yield Figure("cold_start_ms", round(ours), "ms of init under the emulator")
    yield Figure("cold_start_floor_ms", round(floor), "ms of init of boto3 and the same clients")
    yield Figure("cold_start_without_bytecode_ratio", _ratio(bare), "the same, if the package held no bytecode")


def measure_first_pass(environment: Mapping[str, str], message: Any, calls: list[Call]) -> Iterator[Figure]:
    """Init and the first pass, one with nothing to do, as a ratio to boto3 with the same clients and AWS calls."""
    with _package() as (task, sdk):
        pairs = [
            (
                sum(_start(task, sdk, "handlers.reconcile.handler", message, environment, UNCHANGED)),
                sum(_start(task, sdk, "floor.handler", calls, environment)),
            )
            for _ in range(RUNS)
        ]
    unit = "times boto3 with the same clients and calls: init and a first pass with nothing to do"
    yield Figure("cold_first_pass_ratio", _ratio(pairs), unit)


@contextmanager
def _package() -> Iterator[tuple[Path, Path]]:
    """Folders: the function's code with ours and the floor in it, and what Lambda has beside it."""
    build()
    with tempfile.TemporaryDirectory() as scratch:
        task, sdk = Path(scratch) / "task", Path(scratch) / "sdk"
        shutil.copytree(ROOT / ".aws-sam" / "build" / "ReconcileFunction", task)
        (task / "ours.py").write_text(OURS)
        (task / "floor.py").write_text(FLOOR)
        sdk.mkdir()
        runtime.link(sdk, *runtime.SDK, *CLIENT)
        yield task, sdk


def _ratio(pairs: list[tuple[float, float]]) -> float:
    return round(statistics.median(ours / floor for ours, floor in pairs), 2)


def _start(
    task: Path, sdk: Path, handler: str, event: Any = None, environment: Mapping[str, str] = NOTHING, logs: str = ""
) -> tuple[float, float]:
    """Milliseconds of init and of the first invocation, as the emulator reports them; `logs` has to be in its log."""
    ports = [_free_port(), _free_port()]
    command = [
        str(_emulator()),
        *("--runtime-interface-emulator-address", f"127.0.0.1:{ports[0]}"),
        *("--runtime-api-address", f"127.0.0.1:{ports[1]}"),
        *(runtime.interpreter(), "-m", "awslambdaric", handler),
    ]
    with tempfile.TemporaryFile("w+") as log:
        env = {**_environment(task, sdk), **environment}
        running = subprocess.Popen(command, cwd=task, env=env, stdout=log, stderr=log)
        try:
            _invoke(f"http://127.0.0.1:{ports[0]}/2015-03-31/functions/function/invocations", event)
        finally:
            running.terminate()
            running.wait()
        log.seek(0)
        said = log.read()
    found = re.search(REPORT, said, re.DOTALL)
    assert found, said
    assert logs in said, said
    return float(found[1]), float(found[2])


def _emulator() -> Path:
    machine = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    return Path(samcli.__file__).parent / "local" / "rapid" / f"aws-lambda-rie-{machine}"


def _environment(task: Path, sdk: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "POWERTOOLS_SERVICE_NAME": "muster",
        "POWERTOOLS_METRICS_NAMESPACE": "Muster",
        "LAMBDA_TASK_ROOT": str(task),
        "PYTHONPATH": f"{task}{os.pathsep}{sdk}",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _invoke(url: str, event: Any) -> None:
    """The emulator starts the function with its first event."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(url, json.dumps(event).encode(), timeout=PATIENCE).read()  # noqa: S310 - the address is made above
            return
        except OSError:
            assert time.monotonic() < deadline, "the emulator does not answer"
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
