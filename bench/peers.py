"""Others' figures beside ours: the `pcluster` command, its rendering of a cluster, the import of kopf.

Their packages are installed into an environment of their own for the time of the measurement. Where the package index
cannot be reached, or they do not run, nothing is reported but why.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.planning import QUEUES
from local import runtime
from local.deploy import ROOT, build

PEERS = ("aws-parallelcluster==3.16.1", "kopf==1.45.2", "moto[cloudformation,ec2,iam,s3,ssm,sts]==5.2.5")
RUNS = 7
OURS = ROOT / ".aws-sam" / "build" / "ReconcileFunction"
HANDLER = "import handlers.reconcile"
# Runs in their environment. Prints the seconds of each rendering, and last the number of resources.
RENDER = """\
import sys, time
import boto3
from moto import mock_aws
with mock_aws():
    ec2 = boto3.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    boto3.client("s3").create_bucket(Bucket="bucket")
    from pcluster.models.s3_bucket import S3Bucket
    from pcluster.schemas.cluster_schema import ClusterSchema
    from pcluster.templates.cdk_builder import CDKTemplateBuilder
    nodes = {"Name": "c", "InstanceType": "c6i.large", "MinCount": 20, "MaxCount": 20}
    there = {"SubnetIds": [subnet]}
    queues = [{"Name": f"q{n}", "ComputeResources": [nodes], "Networking": there} for n in range(int(sys.argv[1]))]
    document = {
        "Region": "us-east-1",
        "Image": {"Os": "alinux2023", "CustomAmi": image},
        "HeadNode": {"InstanceType": "c6i.large", "Networking": {"SubnetId": subnet}},
        "Scheduling": {"Scheduler": "slurm", "SlurmQueues": queues},
    }
    bucket = S3Bucket("bench", "bench", "artifacts", name="bucket")
    for _ in range(8):
        config = ClusterSchema(cluster_name="bench").load(document)
        started = time.perf_counter()
        template, _ = CDKTemplateBuilder().build_cluster_template(config, bucket, "bench")
        print(time.perf_counter() - started)
print(len(template["Resources"]))
"""


def measure() -> Iterator[Figure]:
    """Seconds of whole processes, medians, taken in turns; and milliseconds of a rendering."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            theirs = _installed(Path(scratch))
            sdk = Path(scratch) / "sdk"
            sdk.mkdir()
            runtime.link(sdk, *runtime.SDK)
            yield from _starts(theirs, sdk)
            yield from _renderings(theirs)
        except subprocess.CalledProcessError as error:
            print(f"peers: not taken, {error}\n{str(error.stderr)[-1000:]}", file=sys.stderr)


def _installed(scratch: Path) -> Path:
    """The folder of commands of an environment with the peers in it."""
    _run([sys.executable, "-m", "venv", str(scratch / "venv")], scratch)
    commands = scratch / "venv" / "bin"
    pip = [str(commands / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "install", *PEERS], scratch)
    return commands


def _starts(theirs: Path, sdk: Path) -> Iterator[Figure]:
    build()
    ours = Path(sys.executable).parent
    commands = {
        "pcluster_start_seconds": [str(theirs / "pcluster"), "version"],
        "muster_start_seconds": [str(ours / "muster"), "--help"],
        "kopf_import_seconds": [str(theirs / "python"), "-c", "import kopf"],
        "handler_import_seconds": [runtime.interpreter(), "-c", f"import sys; sys.path.append('{sdk}'); {HANDLER}"],
    }
    turns = [[_seconds(command) for command in commands.values()] for _ in range(RUNS + 1)][1:]
    for name, taken in zip(commands, zip(*turns, strict=True), strict=True):
        yield Figure(name, round(statistics.median(taken), 2), "seconds of a process")


def _renderings(theirs: Path) -> Iterator[Figure]:
    """The peer's rendering of as many queues of one type, by its own CDK on node, against moto."""
    *seconds, resources = _run([str(theirs / "python"), "-c", RENDER, str(QUEUES)], theirs).split()
    first, *others = map(float, seconds)
    unit = f"ms of a rendering of {QUEUES} queues, {resources} resources"
    yield Figure("pcluster_render_ms", round(statistics.median(others) * 1000), unit)
    yield Figure("pcluster_first_render_ms", round(first * 1000), "ms of the first, with the import of its CDK")


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    _run(command, OURS if HANDLER in command[-1] else Path(command[0]).parent)
    return time.perf_counter() - started


def _run(command: list[str], cwd: Path) -> str:
    """What a command prints. Raises CalledProcessError."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    env |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    env |= {"POWERTOOLS_SERVICE_NAME": "muster", "POWERTOOLS_METRICS_NAMESPACE": "Muster"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout
