"""Slurm's configuration: its lines, and what the controller needs to learn of each change."""

from dataclasses import replace
from typing import Any

import pytest

from node.conf import CGROUP, EXTRA, EXTRA_GRES, GRES, SLURM, Shape, Site, Step, render, shapes, step
from node.facts import Queue
from node.lists import Host
from node.machine import MachineError
from node.ranks import LAST
from node.scheduler import HostState
from node.slurm import NOWHERE
from node.slurm_files import Controller

SITE = Site("demo", "ip-10-0-0-5", "10.0.0.5")
CPU, GPU = Queue("cpu", "demo.cpu", 10, 4, 15564, 0), Queue("gpu", "demo.gpu", 2, 8, 30000, 4)


def lines(site: Site = SITE, *queues: Queue, held: bool = False, names: tuple[str, ...] = ()) -> list[str]:
    return render(site, queues or (CPU, GPU), names, held=held)[SLURM].splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "ClusterName=demo",
        "SlurmctldHost=ip-10-0-0-5(10.0.0.5)",
        "AuthType=auth/munge",
        "SlurmctldParameters=enable_configless,cloud_reg_addrs",
        "PrivateData=cloud",
        "ReturnToService=2",
        "ProctrackType=proctrack/cgroup",
        "TaskPlugin=task/cgroup,task/affinity",
        "GresTypes=gpu",
        f"NodeName=cpu-[1-10] CPUs=4 RealMemory=15564 State=CLOUD NodeAddr={NOWHERE} Weight={LAST}",
        f"NodeName=gpu-[1-2] CPUs=8 RealMemory=30000 Gres=gpu:4 State=CLOUD NodeAddr={NOWHERE} Weight={LAST}",
        "PartitionName=cpu Nodes=cpu-[1-10] DefMemPerCPU=3891 Default=YES State=UP",
        "PartitionName=gpu Nodes=gpu-[1-2] DefMemPerCPU=3750 State=UP",
    ],
)
def test_a_line(line: str) -> None:
    assert line in lines()


def test_without_gpus_there_is_no_word_of_them() -> None:
    assert not [line for line in lines(SITE, CPU) if "gpu" in line]
    assert render(SITE, (CPU,))[GRES] == ""


def test_gpus_are_named_by_their_devices() -> None:
    assert render(SITE, (CPU, GPU))[GRES] == "NodeName=gpu-[1-2] Name=gpu File=/dev/nvidia[0-3]\n"
    assert render(SITE, (replace(GPU, gpus=1),))[GRES] == "NodeName=gpu-[1-2] Name=gpu File=/dev/nvidia0\n"
    assert render(replace(SITE, extra_gres="Name=gpu File=/dev/dri/renderD128\n"), (GPU,))[GRES].startswith("Name=gpu")


def test_without_cgroups_jobs_are_followed_by_their_processes() -> None:
    bare = replace(SITE, cgroups=False)
    assert "ProctrackType=proctrack/linuxproc" in lines(bare)
    assert "TaskPlugin=task/none" in lines(bare)
    assert render(bare, (CPU,))[CGROUP] == ""
    assert "ConstrainRAMSpace=yes" in render(SITE, (CPU,))[CGROUP]


def test_an_administrators_lines_come_last() -> None:
    assert lines(replace(SITE, extra="KillWait=60\n"))[-1] == "KillWait=60"


def test_a_queue_that_may_have_no_nodes_is_there() -> None:
    assert "PartitionName=cpu DefMemPerCPU=3891 Default=YES State=UP" in lines(SITE, replace(CPU, max=0))
    assert not [line for line in lines(SITE, replace(CPU, max=0)) if line.startswith("NodeName")]


def test_no_job_starts_while_queues_are_held() -> None:
    assert [line.rpartition("State=")[2] for line in lines(held=True) if line.startswith("Part")] == ["DOWN", "DOWN"]


def test_hosts_of_instances_stay_beyond_a_limit() -> None:
    assert any(line.startswith("NodeName=cpu-[1-12] ") for line in lines(names=("cpu-12", "cpu-3", "cpu2-99", "gpu-1")))


def test_hosts_that_are_kept_stay_as_they_are() -> None:
    kept = {name: Shape(2, 900, 1) for name in ("cpu-2", "cpu-3", "cpu-7", "other-1")}
    files = render(SITE, (CPU,), (), kept)
    assert [line.partition(" State")[0] for line in files[SLURM].splitlines() if line.startswith("NodeName")] == [
        "NodeName=cpu-[1-1,4-6,8-10] CPUs=4 RealMemory=15564",
        "NodeName=cpu-[2-3,7-7] CPUs=2 RealMemory=900 Gres=gpu:1",
    ]
    assert "GresTypes=gpu" in files[SLURM].splitlines()
    assert files[GRES] == "NodeName=cpu-[2-3,7-7] Name=gpu File=/dev/nvidia0\n"
    found = shapes(files[SLURM])
    assert (found["cpu-1"], found["cpu-7"], len(found)) == (Shape(4, 15564, 0), Shape(2, 900, 1), 10)


@pytest.mark.parametrize("queues", [(CPU, GPU), (CPU,)])
def test_the_same_facts_give_the_same_bytes(queues: tuple[Queue, ...]) -> None:
    assert render(SITE, queues) == render(SITE, queues)
    assert step(render(SITE, queues), render(SITE, queues)) is Step.NOTHING


@pytest.mark.parametrize(
    ("site", "queues", "expected"),
    [
        (SITE, (replace(CPU, max=11), GPU), Step.RESTART),
        (SITE, (replace(CPU, max=9), GPU), Step.RESTART),
        (SITE, (replace(CPU, memory=16000), GPU), Step.RESTART),
        (SITE, (CPU,), Step.RESTART),
        (SITE, (CPU, GPU, replace(CPU, name="more")), Step.RESTART),
        (SITE, (GPU, CPU), Step.RECONFIGURE),  # the default is another
        (replace(SITE, cgroups=False), (CPU, GPU), Step.RESTART),
        (replace(SITE, extra="KillWait=60"), (CPU, GPU), Step.RECONFIGURE),
        (replace(SITE, extra="killwait = 60 # seconds"), (CPU, GPU), Step.RECONFIGURE),
        (replace(SITE, extra="PartitionName=all Nodes=ALL"), (CPU, GPU), Step.RECONFIGURE),
        (replace(SITE, extra="AccountingStorageType=accounting_storage/slurmdbd"), (CPU, GPU), Step.RESTART),
        (replace(SITE, extra="SomethingNew=1"), (CPU, GPU), Step.RESTART),
        (replace(SITE, extra="# a comment"), (CPU, GPU), Step.NOTHING),
        (replace(SITE, extra_gres="Name=gpu File=/dev/dri/renderD128"), (CPU, GPU), Step.RESTART),
    ],
)
def test_what_a_change_needs(site: Site, queues: tuple[Queue, ...], expected: Step) -> None:
    assert step(render(SITE, (CPU, GPU)), render(site, queues)) is expected


class FakeMachine:
    """Files in memory; the controller reads them when it is told to."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.done: list[str] = []
        self.broken = False

    def read(self, path: str) -> str:
        return self.files.get(path, "")

    def write(self, path: str, content: str) -> bool:
        self.files[path] = content
        return True

    def systemctl(self, *what: str) -> None:
        state = "held" if "State=DOWN" in self.files[SLURM] else "open"
        self.done.append(f"{what[0]} {what[1]}, {state}")
        if self.broken:
            raise MachineError("no")

    def has_cgroups(self) -> bool:
        return True


class FakeController(Controller):
    """Its commands are noted."""

    machine: FakeMachine
    found: dict[str, HostState]

    def hosts(self) -> dict[str, HostState]:
        return self.found

    def ping(self) -> None:
        self.machine.done.append("ping")

    def unbind(self, names: Any) -> None:
        self.machine.done.append(f"unbind {','.join(sorted(names))}")

    def reconfigure(self) -> None:
        state = "held" if "State=DOWN" in self.machine.files[SLURM] else "open"
        self.machine.done.append(f"reconfigure, {state}")


def at(address: str) -> HostState:
    return HostState(Host.IDLE, "cpu", 4, 1, 0, address=address)


@pytest.fixture
def controller() -> FakeController:
    machine: Any = FakeMachine()
    made = FakeController(machine, SITE, lambda: None)
    made.machine = machine
    made.found = {"cpu-1": at("10.0.0.1"), "cpu-2": at(NOWHERE), "cpu-3": at("10.0.0.3")}
    return made


def test_new_hosts_are_down_before_jobs_start(controller: FakeController) -> None:
    controller.shape([CPU], ["cpu-1", "cpu-2"])
    restart = ["restart slurmctld, held", "ping", "unbind cpu-2,cpu-3", "reconfigure, open"]
    assert controller.machine.done == restart
    controller.shape([CPU], ["cpu-1", "cpu-2"])
    assert controller.machine.done == restart
    controller.machine.files[EXTRA] = "KillWait=60"
    controller.shape([CPU], ["cpu-1", "cpu-2"])
    assert controller.machine.done == [*restart, "reconfigure, open"]
    controller.machine.files[EXTRA_GRES] = "AutoDetect=nvml"
    controller.shape([CPU], ["cpu-1", "cpu-2"])
    assert controller.machine.done == [*restart, "reconfigure, open", *restart]


def test_hosts_of_instances_keep_their_shape_until_these_are_gone(controller: FakeController) -> None:
    larger = replace(CPU, cpus=8)
    controller.shape([CPU], ["cpu-1", "cpu-2"])

    def cpus() -> list[int]:
        return [shapes(controller.machine.files[SLURM])[f"cpu-{number}"].cpus for number in (1, 2, 3)]

    for names, expected in ((("cpu-1", "cpu-2"), [4, 4, 8]), (("cpu-2", "cpu-3"), [8, 4, 8]), ((), [8, 8, 8])):
        again = FakeController(controller.machine, SITE, lambda: None)  # type: ignore[arg-type]
        again.machine, again.found = controller.machine, controller.found
        again.shape([larger], names)
        assert cpus() == expected, "an agent that begins knows it too"


def test_a_host_with_jobs_is_not_taken_for_a_new_one(controller: FakeController) -> None:
    controller.found["cpu-2"] = replace(at(NOWHERE), state=Host.BUSY)
    controller.shape([CPU], ["cpu-1", "cpu-2"])
    assert "unbind cpu-3" in controller.machine.done


def test_what_broke_off_is_done_again(controller: FakeController) -> None:
    controller.machine.broken = True
    with pytest.raises(MachineError):
        controller.shape([CPU], [])
    controller.machine.broken = False
    controller.shape([CPU], [])
    assert controller.machine.done[-1] == "reconfigure, open"
    assert "State=DOWN" not in controller.machine.files[SLURM]


def test_hosts_beyond_a_lowered_limit_go_together(controller: FakeController) -> None:
    controller.shape([CPU], ["cpu-12", "cpu-15"])
    before = len(controller.machine.done)
    controller.shape([CPU], ["cpu-12"])
    assert len(controller.machine.done) == before
    controller.shape([CPU], ["cpu-3"])
    assert len(controller.machine.done) > before
    assert "NodeName=cpu-[1-10] " in controller.machine.files[SLURM]
