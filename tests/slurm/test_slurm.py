"""Slurm's word for hosts and jobs, asked of the real one."""

import time
from typing import Any

import pytest

from node.lists import Host
from node.ranks import LAST
from node.slurm import Slurm
from tests.slurm.conftest import RealSlurm

SLURM = Slurm()


def state(name: str = "cpu-1") -> Host:
    return SLURM.hosts()[name].state


def until(real: RealSlurm, wanted: Host, name: str = "cpu-1") -> None:
    real.until(f"{name} {wanted.value}", lambda: state(name) is wanted)


def up(real: RealSlurm, name: str = "cpu-1") -> None:
    real.boot(name)
    until(real, Host.IDLE, name)


def test_hosts_without_instances_are_down_and_have_all_room(real: RealSlurm) -> None:
    found = SLURM.hosts()
    assert {name: host.state for name, host in found.items()} == dict.fromkeys(
        ("cpu-1", "cpu-2", "cpu-3", "gpu-1", "gpu-2"), Host.DOWN
    )
    assert (found["cpu-1"].queue, found["gpu-1"].queue) == ("cpu", "gpu")
    assert (found["cpu-1"].cpus, found["cpu-1"].memory, found["cpu-1"].gpus) == (4, 2000, 0)
    assert found["gpu-1"].gpus == 2


def test_a_host_is_used_from_the_moment_its_daemon_registers(real: RealSlurm) -> None:
    waits = real.submit("sleep 600", "-n1", "--mem=500")
    SLURM.bind({"cpu-1": "127.0.0.1"})
    assert state() is Host.DOWN, "an address is no daemon"
    real.boot("cpu-1")
    real.until("the job", lambda: real.job(waits) == "RUNNING")
    host = SLURM.hosts()["cpu-1"]
    assert (host.state, host.cpus, host.memory) == (Host.BUSY, 3, 1500)


def test_a_locked_host_lets_its_job_end_and_takes_no_other(real: RealSlurm) -> None:
    up(real)
    go = real.folder / "go"
    running = real.submit(f"until [ -e {go} ]; do sleep 0.1; done")
    until(real, Host.BUSY)
    SLURM.lock(["cpu-1"])
    assert state() is Host.LOCKED_BUSY
    waits = real.submit("true")
    go.touch()
    real.until("the end", lambda: real.job(running) in ("COMPLETED", ""))
    until(real, Host.LOCKED)
    assert real.job(waits) == "PENDING"
    SLURM.unlock(["cpu-1"])
    real.until("the other", lambda: real.job(waits) in ("COMPLETED", ""))
    go.unlink()


def test_jobs_go_to_hosts_of_the_lowest_rank_and_the_files_have_the_highest(real: RealSlurm) -> None:
    for number in (1, 2, 3):
        up(real, f"cpu-{number}")
    assert {host.rank for host in SLURM.hosts().values()} == {LAST}
    for first in ("cpu-3", "cpu-2"):
        SLURM.prefer(["cpu-1", "cpu-2", "cpu-3"], LAST)
        SLURM.prefer([first], 1)
        assert SLURM.hosts()[first].rank == 1
        real.submit("sleep 600", "-n1", "--mem=500")
        until(real, Host.BUSY, first)
    assert state() is Host.IDLE
    real.submit("sleep 600", "-N1", "-n4", "--mem=500")
    until(real, Host.BUSY)


def test_when_jobs_started_is_told_by_host(real: RealSlurm) -> None:
    for number in (1, 2):
        up(real, f"cpu-{number}")
    began = int(time.time())
    real.submit("sleep 600", "-N2", "-n2", "--mem=500")
    until(real, Host.BUSY, "cpu-2")
    first = SLURM.started()
    assert first.keys() == {"cpu-1", "cpu-2"}
    assert began <= first["cpu-1"][0] <= time.time()
    real.submit("sleep 600", "-N1", "-n2", "--mem=500", "--nodelist=cpu-2")
    real.until("the second", lambda: len(SLURM.started()["cpu-2"]) == 2)


def test_what_an_administrator_drains_is_his(real: RealSlurm) -> None:
    up(real)
    real.ask("scontrol", "update", "NodeName=cpu-1", "State=DRAIN", "Reason=bad disk | really")
    assert SLURM.hosts()["cpu-1"].reason == "bad disk | really"
    assert state() is Host.SET_ASIDE


def test_what_an_administrator_drains_may_have_jobs_yet(real: RealSlurm) -> None:
    up(real)
    job = real.submit("sleep 600")
    until(real, Host.BUSY)
    real.ask("scontrol", "update", "NodeName=cpu-1", "State=DRAIN", "Reason=bad disk")
    assert state() is Host.SET_ASIDE_BUSY
    real.ask("scancel", job)
    until(real, Host.SET_ASIDE)


def test_a_job_that_is_suspended_keeps_its_host(real: RealSlurm) -> None:
    up(real)
    job = real.submit("sleep 600")
    until(real, Host.BUSY)
    real.ask("scontrol", "suspend", job)
    real.until("its processors", lambda: SLURM.hosts()["cpu-1"].cpus == 4)
    assert state() is Host.BUSY


def test_jobs_of_a_host_that_is_no_more_are_queued_again(real: RealSlurm) -> None:
    up(real)
    job = real.submit("sleep 600", "--requeue")
    until(real, Host.BUSY)
    real.kill("cpu-1")
    SLURM.unbind(["cpu-1"])
    assert state() is Host.DOWN
    real.until("the queue", lambda: real.job(job) == "PENDING")


def test_who_has_the_name_next_is_not_drained(real: RealSlurm) -> None:
    up(real)
    SLURM.lock(["cpu-1"])
    assert state() is Host.LOCKED
    real.kill("cpu-1")
    SLURM.unbind(["cpu-1"])
    assert SLURM.hosts()["cpu-1"].state is Host.DOWN
    up(real)


def test_a_host_whose_daemon_died_is_silent(real: RealSlurm) -> None:
    up(real)
    real.kill("cpu-1")
    until(real, Host.SILENT)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-n2", "--mem=100"), {"nodes": 1, "cpus": 2, "memory": 100}),
        (("-n2", "--mem-per-cpu=100"), {"cpus": 2, "memory": 200}),
        ((), {"nodes": 1, "cpus": 1, "memory": 500, "gpus": 0, "exclusive": False, "able": True, "never": False}),
        (("-N2", "--exclusive"), {"nodes": 2, "exclusive": True}),
        (("-N2-3",), {"nodes": 2}),
        (("-N2-3", "-n12"), {"nodes": 2, "most": 3, "cpus": 12, "task": 1}),
        (("-N2-3", "-n3", "-c3"), {"nodes": 2, "most": 3, "cpus": 9, "task": 3}),
        (("-n6",), {"nodes": 2, "cpus": 6}),
        (("--array=0-199%10",), {"count": 10}),
        (("--array=1,3,5-9:2",), {"count": 5}),
        (("--partition=gpu", "--gres=gpu:1"), {"queue": "gpu", "gpus": 1}),
        (("--partition=gpu", "--gpus=3", "-N2", "-n2"), {"nodes": 2, "gpus": 3}),
        (("--partition=gpu", "--gpus=2", "-N1", "--cpus-per-gpu=2"), {"nodes": 1, "gpus": 2, "cpus": 4}),
        (("-n40",), {"able": False, "never": True, "reason": "PartitionConfig"}),
        (("-N4",), {"able": False, "never": True}),
        (("-N1", "--nodelist=cpu-3"), {"able": True, "hosts": ("cpu-3",)}),
        (("-N3", "--nodelist=cpu-[1-2]"), {"nodes": 3, "hosts": ("cpu-1", "cpu-2")}),
        (("--hold",), {"able": False, "never": False, "reason": "JobHeldUser"}),
        (("--begin=now+1hour",), {"able": False, "never": False}),
        (("-J", "a|b Reason=x"), {"able": True}),
        (("-N3", "--partition=cpu,gpu"), {"queue": "cpu,gpu", "able": True, "never": False}),
    ],
)
def test_what_waits(real: RealSlurm, options: tuple[str, ...], expected: dict[str, Any]) -> None:
    real.submit("true", *options)
    real.until("a reason", lambda: [each for each in SLURM.waiting() if each.reason != "None"])
    (job,) = SLURM.waiting()
    assert {name: getattr(job, name) for name in expected} == expected


def test_jobs_that_wait_for_others_need_no_host(real: RealSlurm) -> None:
    first = real.submit("true")
    real.submit("true", f"--dependency=afterok:{first}")
    real.until("a reason", lambda: {each.reason for each in SLURM.waiting()} >= {"Dependency"})
    assert sorted((each.able, each.count) for each in SLURM.waiting()) == [(False, 1), (True, 1)]
