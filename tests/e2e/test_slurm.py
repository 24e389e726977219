"""Elastic queues under the real Slurm: a job comes, nodes come; the work ends, nodes go; a node dies, nobody notices.

Each scenario ends with all jobs done or explained, the three lists equal, and no node left.
"""

import threading
import uuid
from collections.abc import Callable, Iterator

import pytest

from local.demo_slurm import unavailable
from local.slurm import CommandError
from tests.e2e.slurm_world import QUEUES, Slurm, running, spec
from tests.e2e.world import World

LONG = "sleep 600"
pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())


@pytest.fixture(scope="module")
def made(world: World) -> Iterator[Slurm]:
    with running(world, f"slurm-{uuid.uuid4().hex[:5]}") as slurm:
        yield slurm


@pytest.fixture
def slurm(made: Slurm) -> Iterator[Slurm]:
    """At rest before and after."""
    made.until_at_rest()
    yield made
    made.type("scancel", "--user=root")
    made.cluster.put(spec(made.world))
    made.until_at_rest()


def busy_node(slurm: Slurm) -> str:
    """The instance that runs something, once there is one."""

    def seen() -> str | None:
        busy = [name for name, state in slurm.hosts().items() if state.startswith(("mixed", "allocated"))]
        return next((i for i, row in slurm.rows().items() if row["name"] in busy), None)

    return slurm.until("a node with a job", seen)


def until_leaving(slurm: Slurm, node: str) -> None:
    """Until no job is started on a node any more."""

    def seen() -> bool:
        row = slurm.rows().get(node, {})
        return row.get("state") == "draining" and slurm.hosts()[row["name"]].startswith("drain")

    slurm.until("the node to be drained", seen)


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
    """Nor does one that is held, and both are seen in the status."""
    try:
        too_large = slurm.submit("true", "--cpus-per-task=64")
    except CommandError:
        pytest.skip("a newer Slurm refuses such a job when it is submitted")
    held = slurm.submit("true", "--hold")
    slurm.until("what is said of it", lambda: slurm.cluster.event("JobsUnfit"))
    slurm.until_job(slurm.submit("true"), "COMPLETED")
    slurm.until_at_rest()
    assert (slurm.job(too_large), slurm.job(held)) == (["PENDING"], ["PENDING"])
    shown = {each["name"]: each for each in slurm.cluster.status["queues"]}
    assert shown["small"]["waiting"] == {"JobHeldUser": 1}


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
    assert node not in slurm.rows()


def test_a_spot_notice_under_a_job_queues_it_again_elsewhere(slurm: Slurm) -> None:
    job = slurm.submit('[ "$SLURM_RESTART_COUNT" ] || sleep 600')
    node = busy_node(slurm)
    notice = {"action": "terminate", "time": "2030-01-01T00:00:00Z"}
    with slurm.world.behaving(notices={node: {"spot": notice}}):
        slurm.until_job(job, "COMPLETED")
        slurm.until("the end of the node", lambda: node not in slurm.rows())


def test_lost_messages_change_nothing_but_the_delay(slurm: Slurm) -> None:
    """Somebody takes what he can from the queue, which is more than every tenth message."""
    sqs = slurm.world.client("sqs")
    url = slurm.output("QueueUrl")
    over, stolen = threading.Event(), 0

    def steal() -> None:
        nonlocal stolen
        while not over.is_set():
            for each in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
                stolen += 1
            over.wait(0.05)

    thief = threading.Thread(target=steal)
    thief.start()
    try:
        job = slurm.submit("true", "--array=0-19")
        slurm.until_job(job, "COMPLETED")
        slurm.until_at_rest()
    finally:
        over.set()
        thief.join()
    assert stolen


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
    assert slurm.job(job) == ["RUNNING"]
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
    assert slurm.job(second) == ["PENDING"]
    slurm.cluster.put(spec(slurm.world))
    slurm.until_job(second, "COMPLETED")


def test_nodes_of_an_older_launch_template_are_replaced_after_their_job(slurm: Slurm) -> None:
    job = slurm.submit("until [ -e /tmp/go ]; do sleep 0.2; done")
    node = busy_node(slurm)
    slurm.cluster.put(spec(slurm.world, tags={"project": uuid.uuid4().hex[:5]}))
    until_leaving(slurm, node)
    assert slurm.job(job) == ["RUNNING"]
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
    assert slurm.job(job) == ["RUNNING"]
    slurm.type("touch", "/tmp/go", instance=node)
    slurm.until_job(job, "COMPLETED")
    slurm.until("the end of the queue", lambda: "large" not in slurm.groups() and "large" not in partitions(slurm))
    slurm.cluster.put(whole)
    slurm.until("the queue", lambda: "large" in partitions(slurm))
    slurm.until_job(slurm.submit("true", "--partition=large"), "COMPLETED")


def test_a_queue_that_is_taken_out_without_consent_serves_until_it_has_no_job(slurm: Slurm) -> None:
    job = slurm.submit("until [ -e /tmp/go ]; do sleep 0.2; done", "--partition=large")
    node = busy_node(slurm)
    whole = spec(slurm.world)
    slurm.cluster.put({**whole, "queues": whole["queues"][:1]})
    slurm.until("the hold", lambda: slurm.cluster.condition("StackReady").get("reason") == "ConsentRequired")
    slurm.until_job(slurm.submit("true", "--partition=large"), "COMPLETED")
    assert slurm.job(job) == ["RUNNING"]
    assert slurm.rows()[node]["state"] == "ready"
    slurm.type("touch", "/tmp/go", instance=node)
    slurm.until_job(job, "COMPLETED")
    slurm.until("the end of the queue", lambda: "large" not in slurm.groups() and "large" not in partitions(slurm))


def partitions(slurm: Slurm) -> list[str]:
    return slurm.type("sinfo", "--all", "--noheader", "--format=%R").split()
