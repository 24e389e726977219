"""Elastic queues under the real Slurm while something changes: the agent, the head node, the fleet, nodes, queues.

Each scenario ends with all jobs done or explained, the three lists equal, and no node left.
"""

import uuid
from collections.abc import Callable

import pytest

from local.demo_slurm import unavailable
from tests.e2e.slurm_world import Slurm, busy_node, spec, until_leaving

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())


def test_the_head_nodes_agent_killed_midway_goes_on(slurm: Slurm) -> None:
    job = slurm.submit("true", "--array=0-19")
    slurm.until("nodes on their way", lambda: slurm.members("small"))
    slurm.type("pkill", "--signal=KILL", "--full", "node.pyz head")
    slurm.until_job(job, "COMPLETED")


def reboot(slurm: Slurm) -> None:
    slurm.world.client("ec2").reboot_instances(InstanceIds=[slurm.head])


def stop_and_start(slurm: Slurm) -> None:
    """By hand; the status says so meanwhile."""
    ec2 = slurm.world.client("ec2")
    ec2.stop_instances(InstanceIds=[slurm.head])
    slurm.until("its condition", lambda: slurm.cluster.condition("HeadNodeReady").get("reason") == "HeadNodeDown")
    ec2.start_instances(InstanceIds=[slurm.head])


@pytest.mark.parametrize("go_away", [reboot, stop_and_start])
def test_a_head_node_that_was_away_finds_its_jobs_and_nodes_again(
    slurm: Slurm, go_away: Callable[[Slurm], None]
) -> None:
    job = slurm.submit("until [ -e /tmp/go ]; do sleep 0.2; done")
    node, after = busy_node(slurm), slurm.submit("true", f"--dependency=afterok:{job}")
    boot = slurm.boot()
    go_away(slurm)
    slurm.until("another boot", lambda: slurm.boot() not in (0, boot))
    slurm.until("Slurm", lambda: slurm.answers("scontrol", "ping"))
    slurm.until_job(job, "RUNNING")
    slurm.type("touch", "/tmp/go", instance=node)
    for each in (job, after):
        slurm.until_job(each, "COMPLETED")
    assert "Restarts=0" in slurm.type("scontrol", "show", "job", job)
    slurm.until("readiness", lambda: slurm.holds("Ready"))


def test_a_fleet_that_is_stopped_lets_its_jobs_end_and_takes_no_others_until_it_is_started(slurm: Slurm) -> None:
    first = slurm.submit("until [ -e /tmp/go ]; do sleep 0.2; done")
    node = busy_node(slurm)
    slurm.cluster.put(spec(slurm.world, fleet="stopped"))
    until_leaving(slurm, node)
    second = slurm.submit("true")
    slurm.type("touch", "/tmp/go", instance=node)
    slurm.until_job(first, "COMPLETED")
    slurm.until_at_rest()
    slurm.until_job(second, "PENDING")
    slurm.cluster.put(spec(slurm.world))
    slurm.until_job(second, "COMPLETED")


def test_nodes_of_an_older_launch_template_are_replaced_after_their_job(slurm: Slurm) -> None:
    job = slurm.submit("until [ -e /tmp/go ]; do sleep 0.2; done")
    node = busy_node(slurm)
    slurm.cluster.put(spec(slurm.world, tags={"project": uuid.uuid4().hex[:5]}))
    until_leaving(slurm, node)
    slurm.until_job(job, "RUNNING")
    slurm.type("touch", "/tmp/go", instance=node)
    slurm.until_job(job, "COMPLETED")
    slurm.until("its end", lambda: node not in slurm.rows())


def test_a_queue_that_is_taken_out_goes_after_its_job_and_may_come_again(slurm: Slurm) -> None:
    job = slurm.submit("until [ -e /tmp/go ]; do sleep 0.2; done", "--partition=large")
    node = busy_node(slurm)
    whole = spec(slurm.world)
    slurm.cluster.put({**whole, "queues": whole["queues"][:1], "consent": ["queues/large"]})
    until_leaving(slurm, node)
    slurm.until_job(slurm.submit("true"), "COMPLETED")
    slurm.until_job(job, "RUNNING")
    slurm.type("touch", "/tmp/go", instance=node)
    slurm.until_job(job, "COMPLETED")
    slurm.until("the end of the queue", lambda: "large" not in slurm.groups() and "large" not in partitions(slurm))
    slurm.cluster.put(whole)
    slurm.until("the queue", lambda: "large" in partitions(slurm))
    slurm.until_job(slurm.submit("true", "--partition=large"), "COMPLETED")


def test_a_queue_that_is_taken_out_without_consent_serves_until_it_has_no_job(slurm: Slurm) -> None:
    # Without idle time a node may be asked to go in the moment before its job.
    slurm.cluster.put(spec(slurm.world, idleTime=1))
    job = slurm.submit("until [ -e /tmp/go ]; do sleep 0.2; done", "--partition=large")
    node = busy_node(slurm)
    whole = spec(slurm.world)
    slurm.cluster.put({**whole, "queues": whole["queues"][:1]})
    slurm.until("the hold", lambda: slurm.cluster.condition("StackReady").get("reason") == "ConsentRequired")
    slurm.until_job(slurm.submit("true", "--partition=large"), "COMPLETED")
    slurm.until_job(job, "RUNNING")
    assert slurm.rows()[node]["state"] == "ready"
    slurm.type("touch", "/tmp/go", instance=node)
    slurm.until_job(job, "COMPLETED")
    slurm.until("the end of the queue", lambda: "large" not in slurm.groups() and "large" not in partitions(slurm))


def partitions(slurm: Slurm) -> list[str]:
    return slurm.type("sinfo", "--all", "--noheader", "--format=%R").split()
