"""Nodes of a Slurm cluster that fail while they boot: their queue launches no more and says why, until it is told."""

import uuid
from collections.abc import Iterator

import pytest

from local.demo_slurm import unavailable
from tests.e2e.slurm_world import Slurm, running, spec
from tests.e2e.world import World

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

# The head node is of another type.
NO_LICENCE = """#!/bin/bash
service=http://169.254.169.254/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $service/api/token)
type=$(curl -sf -H "X-aws-ec2-metadata-token: $token" $service/meta-data/instance-type)
[[ $type == t3.* ]] || { echo "no licence for $type"; exit 3; }
"""


@pytest.fixture
def bucket(world: World) -> Iterator[str]:
    """A bucket of the user's, whose script fails on compute nodes."""
    s3, name = world.client("s3"), f"scripts-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="setup.sh", Body=NO_LICENCE)
    yield name
    s3.delete_object(Bucket=name, Key="setup.sh")
    s3.delete_bucket(Bucket=name)


def test_a_queue_whose_nodes_fail_to_boot_launches_no_more_until_the_spec_is_edited(world: World, bucket: str) -> None:
    """They fail before anything of Slurm is there."""
    bootstrap = {"preInstall": {"url": f"s3://{bucket}/setup.sh", "args": []}}
    with running(world, f"slurm-{uuid.uuid4().hex[:5]}", bootstrap=bootstrap) as slurm:
        job = slurm.submit("true", "--array=0-3", "--exclusive")
        slurm.until("that it launches no more", lambda: fleet(slurm).get("reason") == "BootstrapFailing")
        assert "no licence for c6i.large" in fleet(slurm)["message"]
        slurm.until_at_rest()
        slurm.until_job(job, "PENDING")
        world.client("s3").put_object(Bucket=bucket, Key="setup.sh", Body="#!/bin/sh\n")
        slurm.cluster.put(spec(world, bootstrap=bootstrap, tags={"licence": "bought"}))
        slurm.until_job(job, "COMPLETED")
        slurm.until("its end", lambda: fleet(slurm).get("status") == "True")
        slurm.until_at_rest()


def fleet(slurm: Slurm) -> dict[str, str]:
    return slurm.cluster.condition("FleetReady")
