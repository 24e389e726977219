"""The `muster` command as its users type it, and the examples that they begin with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.fixtures import image
from tests.e2e.world import Cluster, Json, World, queue

MUSTER = Path(sys.executable).with_name("muster")
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


def muster(world: World, *arguments: str, exit_code: int = 0, stdin: str = "") -> str:
    """Run the command; what it printed, and on a failure what it said."""
    done = subprocess.run(
        [MUSTER, *arguments], env=world.aws.environ(), input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == exit_code, f"muster {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout if exit_code == 0 else done.stdout + done.stderr


def document(name: str, spec: Json) -> str:
    return yaml.safe_dump({"apiVersion": "muster/v1", "kind": "Cluster", "metadata": {"name": name}, "spec": spec})


def test_a_cluster_is_applied_watched_changed_and_deleted_with_the_command(cluster: Cluster, world: World) -> None:
    name, spec = cluster.name, world.spec()
    assert muster(world, "apply", "-f", "-", stdin=document(name, spec)) == f"cluster/{name} created\n"
    muster(world, "wait", name, "--for=condition=Ready", "--timeout=40s")
    assert "unchanged" in muster(world, "apply", "-f", "-", stdin=document(name, spec))
    muster(world, "diff", "-f", "-", stdin=document(name, spec))

    row = muster(world, "get", name).splitlines()[-1].split()
    assert row[:3] == [name, "Ready", "True"]
    assert "2/2" in row
    shown = json.loads(muster(world, "get", name, "-o", "json"))
    assert shown["spec"] == spec
    assert shown["status"]["headNode"]["instanceId"] == cluster.head
    described = muster(world, "describe", name)
    assert all(word in described for word in (cluster.head, "HeadNodeReady", "SizesApplied", cluster.stack_name))

    edited = document(name, {**spec, "queues": [queue(size=3)]})
    picture = cluster.picture
    plan = muster(world, "diff", "-f", "-", stdin=edited, exit_code=1)
    assert "+    size: 3" in plan
    assert f"ResizeGroup Auto Scaling group {cluster.group_name()}" in plan
    assert cluster.picture == picture
    assert cluster.record
    assert cluster.record["generation"] == 1, "diff writes nothing"
    assert "configured" in muster(world, "apply", "-f", "-", stdin=edited)
    muster(world, "wait", name, "--for=condition=Ready", "--timeout=40s")
    assert cluster.sizes() == (3, 3, 3, 3)

    muster(world, "delete", name, "--wait", "--timeout=40s")
    assert "Deleted" in muster(world, "events", name)
    assert "not found" in muster(world, "get", name, exit_code=1)
    assert world.tagged(name) == []


def test_a_wrong_file_is_refused_by_the_command_before_anything_is_written(cluster: Cluster, world: World) -> None:
    wrong = document(cluster.name, {**world.spec(), "sheduler": "slurm"})
    said = muster(world, "apply", "-f", "-", stdin=wrong, exit_code=1)
    assert "spec.sheduler" in said
    assert "did you mean scheduler?" in said
    assert cluster.record is None


@pytest.fixture(scope="module")
def real(world: World) -> dict[str, str]:
    """What the examples name, by their names for it: it exists in no account but the reader's."""
    ec2, iam, kms = world.client("ec2"), world.client("iam"), world.client("kms")
    vpc = [{"Name": "vpc-id", "Values": [world.net.vpc_id]}]
    subnets = [each["SubnetId"] for each in ec2.describe_subnets(Filters=vpc)["Subnets"]]
    first, second = world.net.subnet_ids
    third = next(each for each in subnets if each not in world.net.subnet_ids)
    zone = ec2.describe_subnets(SubnetIds=[first])["Subnets"][0]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=8)["VolumeId"]
    ec2.create_key_pair(KeyName="ops")
    ec2.create_placement_group(GroupName="shared-with-storage", Strategy="cluster")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/genomics", TargetKeyId=key)
    anything: Json = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}], "Version": "2012-10-17"}
    iam.create_policy(PolicyName="research-boundary", PolicyDocument=json.dumps(anything))
    return {
        "vpc-0123456789abcdef0": world.net.vpc_id,
        "subnet-0123456789abcdef0": first,
        "subnet-0123456789abcdef1": second,
        "subnet-0123456789abcdef2": third,
        "sg-0123456789abcdef0": _security_group(ec2, world.net.vpc_id),
        "ami-0123456789abcdef0": image(world.aws, "ubuntu2204"),
        "ami-0123456789abcdef1": image(world.aws, "ubuntu2204"),
        "vol-0123456789abcdef0": volume,
        "snap-0123456789abcdef0": ec2.create_snapshot(VolumeId=volume)["SnapshotId"],
        "1234abcd-12ab-34cd-56ef-1234567890ab": key,
    }


def _security_group(ec2: Any, vpc: str) -> str:
    return ec2.create_security_group(GroupName="nodes", Description="Nodes", VpcId=vpc)["GroupId"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_makes_a_cluster(world: World, real: dict[str, str], example: Path) -> None:
    text = example.read_text()
    for name, existing in real.items():
        text = text.replace(name, existing)
    cluster = Cluster(world, yaml.safe_load(text)["metadata"]["name"])
    assert muster(world, "apply", "-f", "-", stdin=text) == f"cluster/{cluster.name} created\n"
    spec = yaml.safe_load(text)["spec"]
    # A head node that has to say something would have to run, and no volumes can be attached to what runs here.
    waits = spec.get("scheduler") == "slurm"
    cluster.until_condition("HeadNodeReady", False, "Waiting") if waits else cluster.until_ready(1)
    queues = [each["name"] for each in cluster.status["queues"]]
    assert queues == [each["name"] for each in spec.get("batch", spec)["queues"]]
