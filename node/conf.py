"""Slurm's configuration, from what the operator says of the queues: text alone.

Every node that may ever be has its line: `<queue>-<number>`, of state CLOUD, with the weight of an idle one. Nodes know
each other's addresses by the controller alone, which therefore speaks with each itself (TreeWidth), and has a node's
address from the connection by which it registers (cloud_reg_addrs): no job can meet a host whose address is not known
yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import NamedTuple

from node.facts import Queue
from node.ranks import LAST
from node.slurm import NOWHERE, host_names

SLURM, CGROUP, GRES = "etc/slurm/slurm.conf", "etc/slurm/cgroup.conf", "etc/slurm/gres.conf"
# An administrator's: lines that are added to slurm.conf (the last of a name counts), and what takes gres.conf's place.
EXTRA, EXTRA_GRES = "etc/slurm/muster-extra.conf", "etc/slurm/muster-gres.conf"


class Step(IntEnum):
    """What the controller needs to learn of a change. A restart loses no job, and interrupts none."""

    NOTHING = 0
    RECONFIGURE = 1
    RESTART = 2


# What the controller takes over while it runs (slurm.conf(5): "Changes to the configuration file take effect upon
# restart of Slurm daemons, receipt of SIGHUP or `scontrol reconfigure` unless otherwise noted"). All else, and first of
# all the set of nodes, waits for a restart: in doubt the dearer step.
LEARNED = {
    name.lower(): Step.RECONFIGURE
    for name in (
        "BatchStartTimeout",
        "DebugFlags",
        "DefMemPerCPU",
        "DefMemPerNode",
        "EnforcePartLimits",
        "Epilog",
        "InactiveLimit",
        "JobRequeue",
        "KillWait",
        "LaunchParameters",
        "MaxMemPerCPU",
        "MaxMemPerNode",
        "MessageTimeout",
        "MinJobAge",
        "OverTimeLimit",
        "PartitionName",
        "PriorityFavorSmall",
        "PriorityWeightAge",
        "PriorityWeightJobSize",
        "PriorityWeightPartition",
        "PrivateData",
        "Prolog",
        "PropagateResourceLimitsExcept",
        "ReturnToService",
        "SchedulerParameters",
        "SlurmctldDebug",
        "SlurmctldTimeout",
        "SlurmdDebug",
        "SlurmdTimeout",
        "TaskEpilog",
        "TaskProlog",
        "UnkillableStepTimeout",
        "WaitTime",
    )
}
OTHER_FILES = {CGROUP: Step.RECONFIGURE, GRES: Step.RESTART}


# A line of hosts, as it is written here.
HOSTS = re.compile(r"^NodeName=(\S+) CPUs=(\d+) RealMemory=(\d+)(?: Gres=gpu:(\d+))? State=CLOUD", re.MULTILINE)


class Shape(NamedTuple):
    """What a host has for jobs: vCPUs, MiB of memory, GPUs."""

    cpus: int
    memory: int
    gpus: int


# Hosts of one shape, as Slurm folds their names.
Hosts = tuple[str, Shape]


@dataclass(frozen=True)
class Site:
    """Where the controller runs. `cgroups`: jobs can be kept in them; `extra` and `extra_gres`: an administrator's."""

    cluster: str
    host: str
    address: str
    cgroups: bool = True
    extra: str = ""
    extra_gres: str = ""


def render(
    site: Site,
    queues: Sequence[Queue],
    names: Iterable[str] = (),
    kept: Mapping[str, Shape] | None = None,
    *,
    held: bool = False,
) -> dict[str, str]:
    """The files by their paths.

    `names` are hosts of instances, which stay although the queue's limit was lowered; those that are `kept` stay as
    they are although the queue's nodes have become others. Of queues that are `held`, no job starts: a host that is new
    is idle until it is told that it is down.
    """
    tops = {queue.name: _top(queue, names) for queue in queues}
    hosts = [each for queue in queues for each in _hosts(queue, tops[queue.name], kept or {})]
    lines = [
        "# Written by Muster's agent. What is to be added belongs into muster-extra.conf, beside this file.",
        *(f"{key}={value}" for key, value in _settings(site, hosts)),
        *(_node(*each) for each in hosts),
        *(_partition(queue, tops[queue.name], default=not place, held=held) for place, queue in enumerate(queues)),
        *([f"# {EXTRA}", site.extra.strip()] if site.extra.strip() else []),
    ]
    return {SLURM: "\n".join(lines) + "\n", CGROUP: _cgroup(site), GRES: _gres(site, hosts)}


def shapes(text: str) -> dict[str, Shape]:
    """What each host has by a configuration that was written here."""
    return {
        name: Shape(int(cpus), int(memory), int(gpus or 0))
        for names, cpus, memory, gpus in HOSTS.findall(text)
        for name in host_names(names)
    }


def _hosts(queue: Queue, top: int, kept: Mapping[str, Shape]) -> Iterator[Hosts]:
    own = Shape(queue.cpus, queue.memory, queue.gpus)
    numbers: dict[Shape, list[int]] = {own: []}
    for number in range(1, top + 1):
        numbers.setdefault(kept.get(f"{queue.name}-{number}", own), []).append(number)
    return ((f"{queue.name}-[{_folded(some)}]", shape) for shape, some in numbers.items() if some)


def _folded(numbers: Sequence[int]) -> str:
    """`1-3,7-7` for 1, 2, 3 and 7."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda each: each[1] - each[0])]
    return ",".join(f"{run[0]}-{run[-1]}" for run in runs)


def _settings(site: Site, hosts: Sequence[Hosts]) -> Iterator[tuple[str, str]]:
    yield from {
        "ClusterName": site.cluster,
        "SlurmctldHost": f"{site.host}({site.address})",
        "SlurmUser": "slurm",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "StateSaveLocation": "/var/lib/slurm/slurmctld",
        "SlurmdSpoolDir": "/var/lib/slurm/slurmd",
        "SlurmctldPidFile": "/run/slurmctld.pid",
        "SlurmdPidFile": "/run/slurmd.pid",
        "SlurmctldLogFile": "/var/log/slurm/slurmctld.log",
        "SlurmdLogFile": "/var/log/slurm/slurmd.log",
        # Nodes have the controller's files from it.
        "SlurmctldParameters": "enable_configless,cloud_reg_addrs",
        # What the operator says of a node counts, not what each machine finds: the kernel keeps some memory.
        "SlurmdParameters": "config_overrides",
        "PrivateData": "cloud",
        "TreeWidth": "65533",
        "ReturnToService": "2",
        "SlurmctldTimeout": "120",
        "SlurmdTimeout": "180",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CPU_Memory",
        "SchedulerType": "sched/backfill",
        "SchedulerParameters": "bf_interval=10,bf_continue,batch_sched_delay=1",
        "ProctrackType": "proctrack/cgroup" if site.cgroups else "proctrack/linuxproc",
        "TaskPlugin": "task/cgroup,task/affinity" if site.cgroups else "task/none",
        "JobRequeue": "1",
        "MpiDefault": "none",
        "PropagateResourceLimitsExcept": "MEMLOCK",
        "UnkillableStepTimeout": "180",
    }.items()
    if any(shape.gpus for _, shape in hosts):
        yield "GresTypes", "gpu"


def _node(names: str, shape: Shape) -> str:
    gres = f" Gres=gpu:{shape.gpus}" if shape.gpus else ""
    has = f"CPUs={shape.cpus} RealMemory={shape.memory}{gres}"
    return f"NodeName={names} {has} State=CLOUD NodeAddr={NOWHERE} Weight={LAST}"


def _partition(queue: Queue, top: int, *, default: bool, held: bool) -> str:
    nodes = f" Nodes={queue.name}-[1-{top}]" if top else ""
    marks = (" Default=YES" if default else "") + (" State=DOWN" if held else " State=UP")
    return f"PartitionName={queue.name}{nodes} DefMemPerCPU={max(queue.memory // queue.cpus, 1)}{marks}"


def _cgroup(site: Site) -> str:
    wanted = ("ConstrainCores", "ConstrainRAMSpace", "ConstrainDevices") if site.cgroups else ()
    return "".join(f"{name}=yes\n" for name in wanted)


def _gres(site: Site, hosts: Sequence[Hosts]) -> str:
    """Without a library of the vendor's only its devices' names say what a node has; one that lacks them stays away."""
    if site.extra_gres.strip():
        return site.extra_gres
    some = [(names, shape.gpus) for names, shape in hosts if shape.gpus]
    return "".join(f"NodeName={names} Name=gpu File=/dev/nvidia{_span(gpus)}\n" for names, gpus in some)


def _span(count: int) -> str:
    return f"[0-{count - 1}]" if count > 1 else "0"


def beyond(queues: Iterable[Queue], names: Iterable[str]) -> set[str]:
    """Hosts of instances that their queues' limits leave out."""
    names = set(names)
    return {name for queue in queues for name, number in _numbers(queue, names) if number > queue.max}


def _top(queue: Queue, names: Iterable[str]) -> int:
    return max([queue.max, *(number for _, number in _numbers(queue, names))])


def _numbers(queue: Queue, names: Iterable[str]) -> Iterator[tuple[str, int]]:
    pattern = re.compile(rf"{re.escape(queue.name)}-(\d+)")
    found = (pattern.fullmatch(name) for name in names)
    return ((match[0], int(match[1])) for match in found if match)


def step(old: Mapping[str, str], new: Mapping[str, str]) -> Step:
    """What the controller needs to learn of these files, having those."""
    others = (how for path, how in OTHER_FILES.items() if old.get(path, "") != new[path])
    changed = _lines(old.get(SLURM, "")) ^ _lines(new[SLURM])
    return max([Step.NOTHING, *others, *(_step_of(line) for line in changed)])


def _step_of(line: str) -> Step:
    return LEARNED.get(line.partition("=")[0].strip().lower(), Step.RESTART)


def _lines(text: str) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {line for line in lines if line}
