"""What is deployed: how large it is, and what loading it costs against the least that any such function loads."""

import io
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from local.deploy import ROOT, build

RUNS = 9
FLOOR = "import boto3; [boto3.client(s, region_name='us-east-1') for s in {services}]"
OURS = (
    "import sys; sys.path.insert(0, {path!r}); import handlers.reconcile as h; "
    "clients = h.Clients('us-east-1'); [getattr(clients, s) for s in {services}]"
)
SERVICES = ["dynamodb", "cloudformation", "autoscaling", "ec2", "sqs"]


def measure() -> Iterator[Figure]:
    """The zip in MB, and the import of the reconciler with its clients as a ratio to boto3 with the same clients."""
    build()
    function = ROOT / ".aws-sam" / "build" / "ReconcileFunction"
    yield Figure("zip_mb", round(_zipped(function) / 1e6, 2), "MB")
    floor = FLOOR.format(services=SERVICES)
    ours = OURS.format(path=str(function), services=SERVICES)
    ratios = [_seconds(ours) / _seconds(floor) for _ in range(RUNS)]
    yield Figure("import_ratio", round(statistics.median(ratios), 2), "times boto3 and its clients alone")


def _zipped(folder: Path) -> int:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return len(buffer.getvalue())


def _seconds(code: str) -> float:
    """Seconds of processor time that a fresh interpreter spends on the code."""
    timed = f"import time\n{code}\nprint(time.process_time())"
    done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
