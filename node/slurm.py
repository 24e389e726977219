"""Slurm behind the agent: its commands, and what they print.

Every host is of state CLOUD (its address is told when an instance has it) and DOWN while no instance stands for it: so
jobs may ask for it, and wait. Seen with Slurm 22.05 and 24.11; of what is printed only fields that users cannot write
are read.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from node.lists import Host
from node.scheduler import HostState, Jobs, SchedulerError

# Seconds that a command may take. The peer took a slow answer for a host that is down.
PATIENCE = 60
# Begin the reasons that are ours; others are an administrator's.
OURS = "muster:"
UNBOUND, LOCKED = f"{OURS} no instance", f"{OURS} leaving"
# Begin the reasons for which Slurm itself drains a node (slurm.conf(5): UnkillableStepTimeout, Prolog, Epilog; a batch
# script that could not be started or ended): nobody set it aside, and nobody gives it back.
SPOILT = ("Kill task failed", "Prolog error", "Epilog error", "batch job complete failure")
# Where nobody answers: the address of hosts without instances. Their names are in no DNS, and an address of one that
# is no more may be somebody else's.
NOWHERE = "127.255.255.254"
# How many hosts one command names: an argument has 128 KiB at most.
TOGETHER = 1000
# The widths are limits: what is longer is cut off.
JOB_FIELDS = (
    "JobArrayID:4000|,Partition:100|,tres-alloc:400|,NumNodes:20|,NumTasks:20|,cpus-per-task:20|,OverSubscribe:20|,"
    "tres-per-job:200|,tres-per-node:200|,tres-per-task:200|,cpus-per-tres:200|,ReqNodes:4000|,EligibleTime:40|,Reason:200"
)
# Reasons of jobs that start as soon as there is room (job reason codes, squeue(1)); others wait for something else.
ABLE = ("None", "Resources", "Priority", "Nodes required for job are DOWN", "ReqNodeNotAvail", "NodeDown")
NEVER = ("PartitionConfig", "PartitionNodeLimit", "BadConstraints", "Requested node configuration is not available")
# `gres:gpu:2`, `gres/gpu:a100:2`, `gpu:a100:2(IDX:0-1)`, newer `gres/gpu:a100=2`, and `gres:gpu`, which is one.
GPUS = re.compile(r"\bgpu(?::([^:=,(]+))?(?:[:=](\d+))?")
# A node's `Key=value`, and the reason, after which stands who gave it and when.
WORDS = re.compile(r"(?:^| )(\w+)=(\S*)")
REASON = re.compile(r" Reason=(.*?) \[[^@\]]+@[^\]]+\]")
# Names of hosts, or what they begin with and the numbers at their ends.
FOLDED = re.compile(r"([^\s,\[\]]+)(?:\[([\d,-]+)\])?")
# Flags of a node that says nothing, or nothing of use (sinfo(1), node state codes).
SILENT = frozenset({"NOT_RESPONDING", "INVALID_REG", "FAIL"})
MULTIPLES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}


class Slurm:
    """The controller that this machine's commands speak to."""

    def hosts(self) -> Mapping[str, HostState]:
        """All hosts by their names."""
        # Not sinfo, which compares each node with each other: a second for 4,000 of them, and this is a tenth of it.
        return parse_hosts(_output("scontrol", "--details", "--oneliner", "show", "nodes"))

    def waiting(self) -> list[Jobs]:
        """The jobs that wait, like ones together."""
        text = _output("squeue", "--all", "--noheader", "--states=PENDING", f"--Format={JOB_FIELDS}")
        return parse_jobs(text, time.time())

    def started(self) -> Mapping[str, Sequence[float]]:
        """When the jobs that run have started, by host."""
        return parse_started(_output("squeue", "--all", "--noheader", "--states=RUNNING,SUSPENDED", "--format=%S %N"))

    def version(self) -> str:
        """Such as `slurm 23.11.4`."""
        return _output("sinfo", "--version").strip()

    def ping(self) -> None:
        """Whether the controller is there."""
        try:
            _output("scontrol", "ping")
        except SchedulerError as error:
            raise SchedulerError(f"{error}. See `journalctl -u slurmctld` on the head node") from error

    def reconfigure(self) -> None:
        """Have the controller read its files again, and hand them to the nodes."""
        _output("scontrol", "reconfigure")

    def bind(self, addresses: Mapping[str, str]) -> None:
        """Tell where hosts are."""
        _move(addresses)

    def unbind(self, names: Iterable[str]) -> None:
        """Take hosts for down, and queue their jobs again. That they were drained is not for who has the name next.

        A daemon that lives on is not asked again whether it does: its answer would bring the host back.
        """
        names = list(names)
        _update(names, "State=DOWN", f"Reason={UNBOUND}")
        _update(names, "State=UNDRAIN")
        _move(dict.fromkeys(names, NOWHERE))

    def lock(self, names: Iterable[str]) -> None:
        """Drain hosts."""
        _update(names, "State=DRAIN", f"Reason={LOCKED}")

    def unlock(self, names: Iterable[str]) -> None:
        """Resume hosts."""
        _update(names, "State=RESUME")

    def prefer(self, names: Iterable[str], rank: int) -> None:
        """Have jobs go to hosts of a lower weight first."""
        _update(names, f"Weight={rank}")


def _update(names: Iterable[str], *what: str) -> None:
    for together in _parts(sorted(names)):
        _output("scontrol", "update", f"NodeName={','.join(together)}", *what)


def _move(addresses: Mapping[str, str]) -> None:
    for names in _parts(sorted(addresses)):
        together, there = ",".join(names), ",".join(addresses[name] for name in names)
        _output("scontrol", "update", f"NodeName={together}", f"NodeAddr={there}", f"NodeHostName={together}")


def _parts(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + TOGETHER] for start in range(0, len(names), TOGETHER))


def _output(*command: str) -> str:
    # Without it lists of an array's indexes are cut off (squeue(1), SLURM_BITSTR_LEN).
    environment = {"SLURM_BITSTR_LEN": "0", "SLURM_TIME_FORMAT": "%s"}
    try:
        done = subprocess.run(  # noqa: S603 - no shell; what it is given is ours
            command,
            capture_output=True,
            # What an administrator wrote may be in any encoding.
            encoding="utf-8",
            errors="replace",
            timeout=PATIENCE,
            check=False,
            env={**os.environ, **environment},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SchedulerError(f"{command[0]}: {error}") from error
    if done.returncode:
        raise SchedulerError(f"{' '.join(command[:3])}: {_said(done) or done.returncode}")
    return done.stdout


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """Why a command failed; scontrol's ping tells it by its usual output."""
    return done.stderr.strip()[-500:] or done.stdout.strip().partition("\n")[0][:500]


def parse_hosts(text: str) -> dict[str, HostState]:
    """What scontrol prints of nodes, a line each. Raises SchedulerError."""
    return dict(_host(line) for line in text.splitlines() if line.startswith("NodeName="))


def _host(line: str) -> tuple[str, HostState]:
    # Of a word that comes twice the first counts: what is free text comes last, or is root's.
    found = dict(reversed(WORDS.findall(line)))
    reason = REASON.search(line)
    try:
        allocated, total, held = (int(found[key]) for key in ("CPUAlloc", "CPUTot", "AllocMem"))
        free = HostState(
            # A job that is suspended has given back its processors, and holds its memory.
            host_state(found["State"], reason[1] if reason else "", busy=allocated + held > 0),
            found.get("Partitions", "").partition(",")[0],
            # With `--exclusive=user` what is free is for one user's jobs alone.
            total - allocated if found.get("Owner", "N/A") == "N/A" else 0,
            int(found["RealMemory"]) - held,
            _gpus(found["Gres"]) - _gpus(found.get("GresUsed", "")),
            reason[1] if reason else "",
            found["NodeAddr"],
            int(found["Weight"]),
        )
    except (KeyError, ValueError) as error:
        raise SchedulerError(f"unreadable line of Slurm's: {line[:200]!r}") from error
    return found["NodeName"], free


def host_state(state: str, reason: str, *, busy: bool) -> Host:
    """Slurm's state of a node with its flags (`MIXED+CLOUD+DRAIN`), as the lists know it."""
    base, *marks = state.replace("*", "+NOT_RESPONDING").split("+")
    flags = frozenset(marks)
    if reason == UNBOUND and base == "DOWN":
        return Host.DOWN
    if flags & SILENT or base == "ERROR":
        return Host.SILENT
    if base in ("DOWN", "UNKNOWN", "FUTURE") or "POWERED_DOWN" in flags:
        return Host.SET_ASIDE
    busy = busy or "COMPLETING" in flags
    if "DRAIN" in flags:
        return _drained(reason, busy=busy)
    return Host.BUSY if busy else Host.IDLE


def _drained(reason: str, *, busy: bool) -> Host:
    if reason.startswith(OURS):
        return Host.LOCKED_BUSY if busy else Host.LOCKED
    if busy:
        return Host.SET_ASIDE_BUSY
    return Host.SILENT if reason.startswith(SPOILT) else Host.SET_ASIDE


class _Line(NamedTuple):
    """A line of squeue's, in JOB_FIELDS."""

    identifier: str
    queue: str
    asked: str
    nodes: str
    tasks: str
    task: str
    shared: str
    per_job: str
    per_node: str
    per_task: str
    cpus_per: str
    required: str
    eligible: str
    reason: str


def parse_jobs(text: str, now: float) -> list[Jobs]:
    """What squeue prints in JOB_FIELDS, a line a job or the rest of an array; like jobs together.

    `now` is in seconds since the epoch. Raises SchedulerError.
    """
    counts: Counter[Jobs] = Counter()
    for line in text.splitlines():
        if line.strip():
            job = _Line(*_fields(line, len(_Line._fields)))
            counts[_job(job, now)] += array_size(job.identifier)
    return [replace(job, count=count) for job, count in counts.items()]


def _job(job: _Line, now: float) -> Jobs:
    wants = dict(_pair(part) for part in job.asked.split(","))
    reason = job.reason.partition(",")[0]
    # A job that leaves the number to Slurm has the fewest nodes in the one field, and those it would be given in the
    # other; one that says its tasks alone needs these.
    given = int(job.nodes.partition("-")[0])
    nodes = int(wants["node"]) if wants.get("node", "1") != "1" else given
    # Slurm counts GPUs among a job's resources only with a database, so they are taken from how they were asked for.
    gpus = _gpus(job.per_job) or _gpus(job.per_node) * nodes or _gpus(job.per_task) * int(job.tasks)
    # While no host is up, that is the reason of a job that is to begin later, too.
    later = job.eligible.isdecimal() and int(job.eligible) > now
    # Of a job that may start in several partitions the reason is about the one that was tried last.
    never = reason.startswith(NEVER)
    elsewhere = never and "," in job.queue
    return Jobs(
        job.queue,
        nodes,
        # What is asked for by GPU is not counted before the job starts.
        max(int(wants.get("cpu", 1)), gpus * _gpus(job.cpus_per)),
        mebibytes(wants.get("mem", "0")),
        gpus,
        job.shared in ("NO", "EXCLUSIVE"),
        (reason.startswith(ABLE) or elsewhere) and not later,
        never and not elsewhere,
        reason,
        most=max(given, nodes),
        task=int(job.task) if job.task.isdecimal() else 1,
        hosts=() if job.required in ("N/A", "(null)") else tuple(host_names(job.required)),
    )


def parse_started(text: str) -> dict[str, list[float]]:
    """What squeue prints of jobs that run, a start (seconds since the epoch) and the hosts a line; by host."""
    found: dict[str, list[float]] = {}
    for line in text.splitlines():
        start, _, names = line.partition(" ")
        if start.isdecimal():
            for name in host_names(names):
                found.setdefault(name, []).append(float(start))
    return found


def host_names(text: str) -> Iterator[str]:
    """Each of a list that Slurm has folded: `gpu-7,cpu-[1-3,9]`."""
    for stem, indexes in FOLDED.findall(text):
        for part in indexes.split(","):
            first, _, last = part.partition("-")
            numbers = range(int(first), int(last or first) + 1) if first else [""]
            yield from (f"{stem}{number}" for number in numbers)


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def array_size(identifier: str) -> int:
    """How many jobs may run at once of what an identifier stands for: 7, 7_3, 7_[0-199%10], 7_[1,5,9-21:4]."""
    _, bracket, rest = identifier.partition("_[")
    if not bracket:
        return 1
    indexes, _, limit = rest.rstrip("]").partition("%")
    count = sum(_range_size(part) for part in indexes.split(","))
    return min(count, int(limit)) if limit else count


def _range_size(part: str) -> int:
    ends, _, step = part.partition(":")
    first, _, last = ends.partition("-")
    return 1 + (int(last) - int(first)) // int(step or 1) if last else 1


def mebibytes(text: str) -> int:
    """`1.50G`, `100M`, `0` in MiB, rounded up."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in MULTIPLES else (text, "M")
    return -int(-float(number or 0) * MULTIPLES[unit] // 1)


def _gpus(gres: str) -> int:
    return sum(int(count or (kind if kind.isdecimal() else 1)) for kind, count in GPUS.findall(gres))


def _fields(line: str, count: int) -> list[str]:
    found = [field.strip() for field in line.split("|", count - 1)]
    if len(found) != count:
        raise SchedulerError(f"unreadable line of Slurm's: {line[:200]!r}")
    return found
