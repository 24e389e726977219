"""What a cold start costs: the init phase under Lambda's runtime interface emulator and Lambda's own runtime client.

The emulator comes with aws-sam-cli. As on Lambda, Python has the SDK and the runtime client beside it and nothing
else, and the function's folder cannot be written to, so what is not compiled there is compiled again at each start.
"""

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
from collections.abc import Iterator
from pathlib import Path

import samcli

from bench.figure import Figure
from local import runtime
from local.deploy import ROOT, build

RUNS = 15
PATIENCE = 30.0  # seconds
CLIENT = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
SERVICES = ["dynamodb", "cloudformation", "autoscaling", "ec2", "sqs"]
ANSWER = "\n\ndef handler(event, context):\n    return None\n"
# Both make the clients of a pass with nothing to do, and that of the queue.
FLOOR = f"import boto3\n[boto3.client(s) for s in {SERVICES}]{ANSWER}"
OURS = f"import handlers.reconcile as ours\n[getattr(ours.Clients(), s) for s in {SERVICES}]{ANSWER}"


def measure() -> Iterator[Figure]:
    """Init of the reconciler with its clients, as a ratio to boto3 with the same clients; medians, taken in turns."""
    build()
    with tempfile.TemporaryDirectory() as scratch:
        task, sdk = Path(scratch) / "task", Path(scratch) / "sdk"
        shutil.copytree(ROOT / ".aws-sam" / "build" / "ReconcileFunction", task)
        (task / "ours.py").write_text(OURS)
        (task / "floor.py").write_text(FLOOR)
        sdk.mkdir()
        runtime.link(sdk, *runtime.SDK, *CLIENT)
        pairs = [(_init(task, sdk, "ours"), _init(task, sdk, "floor")) for _ in range(RUNS)]
        for bytecode in task.rglob("*.pyc"):
            bytecode.unlink()
        bare = [(_init(task, sdk, "ours"), _init(task, sdk, "floor")) for _ in range(RUNS)]
    ours, floor = (statistics.median(each) for each in zip(*pairs, strict=True))
    yield Figure("cold_start_ratio", _ratio(pairs), "times the init of boto3 and the same clients")
    yield Figure("cold_start_ms", round(ours), "ms of init under the emulator")
    yield Figure("cold_start_floor_ms", round(floor), "ms of init of boto3 and the same clients")
    yield Figure("cold_start_without_bytecode_ratio", _ratio(bare), "the same, if the package held no bytecode")


def _ratio(pairs: list[tuple[float, float]]) -> float:
    return round(statistics.median(ours / floor for ours, floor in pairs), 2)


def _init(task: Path, sdk: Path, module: str) -> float:
    """Milliseconds that the emulator reports of one start."""
    ports = [_free_port(), _free_port()]
    command = [
        str(_emulator()),
        *("--runtime-interface-emulator-address", f"127.0.0.1:{ports[0]}"),
        *("--runtime-api-address", f"127.0.0.1:{ports[1]}"),
        *(runtime.interpreter(), "-m", "awslambdaric", f"{module}.handler"),
    ]
    with tempfile.TemporaryFile("w+") as log:
        running = subprocess.Popen(command, cwd=task, env=_environment(task, sdk), stdout=log, stderr=log)
        try:
            _invoke(f"http://127.0.0.1:{ports[0]}/2015-03-31/functions/function/invocations")
        finally:
            running.terminate()
            running.wait()
        log.seek(0)
        said = log.read()
    assert "INIT RTDONE(status: success)" in said, said
    found = re.search(r"INIT REPORT\(durationMs: ([\d.]+)\)", said)
    assert found, said
    return float(found[1])


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


def _invoke(url: str) -> None:
    """The emulator starts the function with its first event."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(url, b"{}", timeout=PATIENCE).read()  # noqa: S310 - the address is made above
            return
        except OSError:
            assert time.monotonic() < deadline, "the emulator does not answer"
            time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
