"""The configuration as the real Slurm takes it: whatever changes, no job is lost, and none starts where nobody is."""

from dataclasses import replace

import pytest

from node.conf import GRES, SLURM
from node.lists import Host
from node.slurm import NOWHERE, Slurm
from tests.slurm.conftest import CPU, GPU, MOST, QUEUES, RealSlurm

WIDER = (replace(CPU, max=MOST), GPU)


def up(real: RealSlurm, name: str) -> None:
    real.boot(name)
    real.until(name, lambda: Slurm().hosts()[name].state is Host.IDLE)


def states(*names: str) -> set[Host]:
    hosts = Slurm().hosts()
    return {hosts[name].state for name in names}


def test_a_restart_with_more_nodes_keeps_all_jobs_and_starts_none_on_new_ones(real: RealSlurm) -> None:
    up(real, "cpu-1")
    runs = real.submit("sleep 600")
    real.until("the job", lambda: real.job(runs) == "RUNNING")
    waits = [real.submit("sleep 600", f"-N{CPU.max}", "--exclusive"), real.submit("sleep 600", "--array=0-9", "-n4")]
    restarts = real.machine.restarts
    real.controller.shape(WIDER, ["cpu-1"])
    assert real.machine.restarts == restarts + 1
    assert states("cpu-1") == {Host.BUSY}
    assert states(*(f"cpu-{number}" for number in range(2, MOST + 1))) == {Host.DOWN}
    assert real.job(runs) == "RUNNING"
    assert {state for job in waits for state in real.job(job).split()} == {"PENDING"}
    assert "UP" in real.ask("scontrol", "show", "partition", "cpu").stdout
    real.controller.shape(WIDER, ["cpu-1"])
    assert real.machine.restarts == restarts + 1, "nothing has changed"


def test_a_lower_limit_leaves_the_hosts_of_instances(real: RealSlurm) -> None:
    real.controller.shape(WIDER, [])
    up(real, "cpu-5")
    runs = real.submit("sleep 600")
    real.until("the job", lambda: real.job(runs) == "RUNNING")
    real.controller.shape(QUEUES, ["cpu-5"])
    assert real.job(runs) == "RUNNING"
    assert "cpu-6" not in Slurm().hosts()
    restarts = real.machine.restarts
    real.controller.shape(QUEUES, ["cpu-4"])
    assert real.machine.restarts == restarts, "those beyond the limit go together"
    real.kill("cpu-5")
    Slurm().unbind(["cpu-5"])
    real.until("the queue", lambda: real.job(runs) == "PENDING")
    real.controller.shape(QUEUES, [])
    assert set(Slurm().hosts()) == {"cpu-1", "cpu-2", "cpu-3", "gpu-1", "gpu-2"}


def test_hosts_of_instances_keep_their_shape_and_their_jobs(real: RealSlurm) -> None:
    """A queue has got nodes of another type: Slurm aborts jobs on hosts whose processors change."""
    up(real, "cpu-2")
    runs = real.submit("sleep 600")
    real.until("the job", lambda: real.job(runs) == "RUNNING")
    larger = (replace(CPU, cpus=8, memory=4000), GPU)
    real.controller.shape(larger, ["cpu-2"])
    assert real.job(runs) == "RUNNING"
    found = Slurm().hosts()
    assert {name: found[name].cpus for name in ("cpu-1", "cpu-2", "cpu-3")} == {"cpu-1": 8, "cpu-2": 3, "cpu-3": 8}
    real.kill("cpu-2")
    Slurm().unbind(["cpu-2"])
    real.controller.shape(larger, [])
    assert Slurm().hosts()["cpu-2"].cpus == 8


def test_a_reconfigure_is_enough_for_what_is_no_node(real: RealSlurm) -> None:
    up(real, "cpu-1")
    runs = real.submit("sleep 600")
    waits = real.submit("sleep 600", "--exclusive")
    real.until("the job", lambda: real.job(runs) == "RUNNING")
    restarts = real.machine.restarts
    extra = real.folder / "etc/slurm/muster-extra.conf"
    before = extra.read_text()
    extra.write_text(before + "KillWait=17\n")
    try:
        real.controller.shape(QUEUES, ["cpu-1"])
        assert real.machine.restarts == restarts
        assert "17 sec" in real.ask("scontrol", "show", "config").stdout
        assert (real.job(runs), real.job(waits)) == ("RUNNING", "PENDING")
    finally:
        extra.write_text(before)


def test_an_agent_that_begins_restarts_the_controller_and_loses_nothing(real: RealSlurm) -> None:
    up(real, "cpu-1")
    runs = real.submit("sleep 600")
    real.until("the job", lambda: real.job(runs) == "RUNNING")
    real.controller = type(real.controller)(real.machine, real.site, real.controller._wait)
    real.controller.shape(QUEUES, ["cpu-1"])
    assert real.job(runs) == "RUNNING"
    assert states("cpu-1") == {Host.BUSY}


def test_a_host_is_where_its_daemon_registers_from(real: RealSlurm) -> None:
    assert Slurm().hosts()["cpu-1"].address == NOWHERE
    up(real, "cpu-1")
    assert Slurm().hosts()["cpu-1"].address == "127.0.0.1"
    real.kill("cpu-1")
    Slurm().unbind(["cpu-1"])
    assert Slurm().hosts()["cpu-1"].address == NOWHERE


def test_a_job_of_several_nodes_runs_on_all_of_them(real: RealSlurm) -> None:
    up(real, "cpu-1")
    up(real, "cpu-2")
    out = real.folder / "tasks"
    real.submit(f"srun sh -c 'echo $SLURMD_NODENAME' >{out}.new && mv {out}.new {out}", "-N2")
    real.until("the tasks", out.exists)
    assert sorted(out.read_text().split()) == ["cpu-1", "cpu-2"]


def test_gpus_are_devices_by_their_names(real: RealSlurm) -> None:
    """Their devices are the vendor's on a real node; any will do to see how Slurm counts them."""
    assert "NodeName=gpu-[1-2] Name=gpu File=/dev/nvidia[0-1]" in (real.folder / GRES).read_text()
    for number in range(2):
        (real.folder / f"nvidia{number}").touch()
    extra = real.folder / "etc/slurm/muster-gres.conf"
    extra.write_text(f"NodeName=gpu-[1-2] Name=gpu File={real.folder}/nvidia[0-1]\n")
    try:
        real.controller.shape(QUEUES, [])
        up(real, "gpu-1")
        runs = real.submit("sleep 600", "--partition=gpu", "--gres=gpu:1")
        real.until("the job", lambda: real.job(runs) == "RUNNING")
        assert Slurm().hosts()["gpu-1"].gpus == 1
    finally:
        extra.unlink()


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_all_partitions_are_there(real: RealSlurm, name: str) -> None:
    assert f"PartitionName={name}" in real.ask("scontrol", "show", "partition", name).stdout
    assert f"PartitionName={name}" in (real.folder / SLURM).read_text()
