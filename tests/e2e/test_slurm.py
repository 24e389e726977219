"""Elastic queues under the real Slurm: a job comes, nodes come; the work ends, nodes go; a node dies, nobody notices.

Each scenario ends with all jobs done or explained, the three lists equal, and no node left.
"""

import pytest

from local.demo_slurm import unavailable
from local.slurm import CommandError
from tests.e2e.slurm_world import QUEUES, Slurm, busy_node

LONG = "sleep 600"
pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())


def test_one_job_brings_one_node_which_goes_again(slurm: Slurm) -> None:
    job = slurm.submit("hostname")
    slurm.until_job(job, "COMPLETED")
    slurm.until_at_rest()


def test_an_array_of_200_is_done_by_the_nodes_that_the_queue_may_have(slurm: Slurm) -> None:
    job = slurm.submit("true", "--array=0-199")
    most = 0

    def done() -> bool:
        nonlocal most
        most = max(most, len(slurm.members("small")))
        return slurm.job(job) == ["COMPLETED"]

    slurm.until("the array", done)
    assert most == QUEUES["small"]


def test_a_job_of_four_nodes_runs_on_all_of_them_at_once(slurm: Slurm) -> None:
    said = slurm.type("srun", "--nodes=4", "--ntasks-per-node=1", "--mem=100", "--chdir=/tmp", "hostname")
    assert len(set(said.split())) == 4


def test_jobs_of_two_queues_bring_nodes_to_both(slurm: Slurm) -> None:
    jobs = [slurm.submit("true", f"--partition={queue}", *more) for queue, more in (("small", ()), ("large", ("-c4",)))]
    for job in jobs:
        slurm.until_job(job, "COMPLETED")


def test_a_job_of_two_queues_runs_in_the_one_that_gets_nodes(slurm: Slurm) -> None:
    with slurm.world.behaving(no_capacity=[{"InstanceType": "c6i.large"}]):
        job = slurm.submit("true", "--partition=small,large")
        slurm.until_job(job, "COMPLETED")
    assert slurm.type("scontrol", "show", "job", job).count("Partition=large") == 1


def test_a_job_that_no_node_could_run_is_said_and_brings_none(slurm: Slurm) -> None:
    """The operator says so of one that Slurm takes; a newer Slurm does not take it, and says so itself."""
    try:
        too_large = slurm.submit("true", "--cpus-per-task=64")
    except CommandError as refusal:
        if "node configuration is not available" not in str(refusal):
            raise
    else:
        slurm.until("what is said of it", lambda: slurm.cluster.event("JobsUnfit"))
        assert slurm.at_rest()
        assert slurm.job(too_large) == ["PENDING"]


def test_a_job_that_is_held_is_seen_in_the_status_and_brings_no_node(slurm: Slurm) -> None:
    held = slurm.submit("true", "--hold")
    slurm.until_job(slurm.submit("true"), "COMPLETED")
    slurm.until_at_rest()
    slurm.until("what it waits for", lambda: waiting(slurm, "small") == {"JobHeldUser": 1})
    assert slurm.job(held) == ["PENDING"]


def test_a_job_that_is_cancelled_while_its_nodes_come_leaves_none(slurm: Slurm) -> None:
    job = slurm.submit(LONG, "--nodes=2")
    slurm.until("nodes on their way", lambda: len(slurm.members("small")) == 2)
    slurm.type("scancel", job)
    slurm.until_at_rest()


def test_slurmd_killed_under_a_job_comes_again_and_the_job_ends(slurm: Slurm) -> None:
    job = slurm.submit("until [ -e /tmp/go ]; do sleep 0.2; done")
    node = busy_node(slurm)
    slurm.type("pkill", "--signal=KILL", "--exact", "slurmd", instance=node)
    slurm.type("touch", "/tmp/go", instance=node)
    slurm.until_job(job, "COMPLETED")


def test_a_node_that_dies_under_a_job_is_replaced_and_the_job_runs_again(slurm: Slurm) -> None:
    job = slurm.submit('[ "$SLURM_RESTART_COUNT" ] || sleep 600')
    node = busy_node(slurm)
    slurm.world.client("ec2").terminate_instances(InstanceIds=[node])
    slurm.until_job(job, "COMPLETED")
    slurm.until("the end of the node", lambda: node not in slurm.rows())


def test_a_spot_notice_under_a_job_queues_it_again_elsewhere(slurm: Slurm) -> None:
    job = slurm.submit('[ "$SLURM_RESTART_COUNT" ] || sleep 600')
    node = busy_node(slurm)
    notice = {"action": "terminate", "time": "2030-01-01T00:00:00Z"}
    with slurm.world.behaving(notices={node: {"spot": notice}}):
        slurm.until_job(job, "COMPLETED")
        slurm.until("the end of the node", lambda: node not in slurm.rows())


def test_lost_messages_change_nothing_but_the_delay(slurm: Slurm) -> None:
    """Each third is lost, the groups' notifications and the nodes' own words alike."""
    queue = slurm.output("QueueUrl").rpartition("/")[2]
    before = slurm.aws.weather()["lost"]
    with slurm.world.behaving(lost_messages={queue: 3}):
        job = slurm.submit("true", "--array=0-19")
        slurm.until_job(job, "COMPLETED")
        slurm.until_at_rest()
        assert slurm.aws.weather()["lost"] > before


def waiting(slurm: Slurm, queue: str) -> dict[str, int]:
    return next(each.get("waiting", {}) for each in slurm.cluster.status["queues"] if each["name"] == queue)
