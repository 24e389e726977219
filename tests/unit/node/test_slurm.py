"""Slurm's word for nodes, by their states: what the lists make of each."""

from pathlib import Path

import pytest

from node.lists import Host
from node.scheduler import HostState, SchedulerError
from node.slurm import LOCKED, UNBOUND, Slurm, host_state, parse_hosts, parse_jobs, parse_started

LINE = (
    "NodeName=gpu-1 Arch=x86_64 CoresPerSocket=1  CPUAlloc=3 CPUEfctv=4 CPUTot=4 CPULoad=0.01 "
    "AvailableFeatures=(null) ActiveFeatures=(null) Gres=gpu:a100:4(S:0) GresDrain=N/A GresUsed=gpu:a100:1(IDX:0) "
    "NodeAddr=10.0.0.7 NodeHostName=ip-10-0-0-7 Version=22.05.8 OS=Linux 6.1.0 #1 SMP (2023-05-08)  "
    "RealMemory=2000 AllocMem=500 FreeMem=N/A Sockets=4 Boards=1 State={} ThreadsPerCore=1 Weight=3 "
    "Partitions=gpu,all  BootTime=1 SlurmdStartTime=2 CfgTRES=cpu=4,mem=2000M,billing=4 AllocTRES=cpu=3 CapWatts=n/a{}"
)
ADMINISTRATOR = "bad disk [really] State=IDLE"


@pytest.mark.parametrize(
    ("state", "reason", "busy", "expected"),
    [
        ("IDLE+CLOUD", "", False, Host.IDLE),
        ("IDLE", "", False, Host.IDLE),
        ("MIXED+CLOUD", "", True, Host.BUSY),
        ("ALLOCATED+CLOUD", "", True, Host.BUSY),
        ("IDLE+CLOUD+COMPLETING", "", False, Host.BUSY),
        ("IDLE+CLOUD+PLANNED", "", False, Host.IDLE),
        ("DOWN+CLOUD+POWERED_DOWN+NOT_RESPONDING", UNBOUND, False, Host.DOWN),
        ("DOWN+CLOUD+NOT_RESPONDING", UNBOUND, False, Host.DOWN),
        ("DOWN+CLOUD+INVALID_REG", UNBOUND, False, Host.DOWN),
        ("IDLE+CLOUD+POWERED_DOWN", "", False, Host.SET_ASIDE),
        ("DOWN+CLOUD", ADMINISTRATOR, False, Host.SET_ASIDE),
        ("DOWN+CLOUD+NOT_RESPONDING", "Not responding", False, Host.SILENT),
        ("DOWN*+CLOUD", "Not responding", False, Host.SILENT),
        ("MIXED+CLOUD+NOT_RESPONDING", "", True, Host.SILENT),
        ("IDLE+CLOUD+DRAIN+INVALID_REG", "Low RealMemory", False, Host.SILENT),
        ("ERROR+CLOUD", "", False, Host.SILENT),
        ("IDLE+CLOUD+DRAIN", LOCKED, False, Host.LOCKED),
        ("MIXED+CLOUD+DRAIN", LOCKED, True, Host.LOCKED_BUSY),
        ("IDLE+CLOUD+COMPLETING+DRAIN", LOCKED, False, Host.LOCKED_BUSY),
        ("MIXED+CLOUD+DRAIN", ADMINISTRATOR, True, Host.SET_ASIDE_BUSY),
        ("IDLE+CLOUD+DRAIN", ADMINISTRATOR, False, Host.SET_ASIDE),
        ("IDLE+CLOUD+DRAIN", "Kill task failed", False, Host.SILENT),
        ("MIXED+CLOUD+DRAIN", "Kill task failed", True, Host.SET_ASIDE_BUSY),
    ],
)
def test_a_state(state: str, reason: str, busy: bool, expected: Host) -> None:
    assert host_state(state, reason, busy=busy) is expected


def test_a_line_is_read_by_its_words() -> None:
    text = LINE.format("IDLE+DRAIN", f" Reason={ADMINISTRATOR} [root@1700000000] Comment=State=DOWN")
    found = parse_hosts(text)
    assert found == {"gpu-1": HostState(Host.SET_ASIDE_BUSY, "gpu", 1, 1500, 3, ADMINISTRATOR, "10.0.0.7")}
    assert found["gpu-1"].rank == 3


@pytest.mark.parametrize(("owner", "free"), [("N/A", 1), ("alice(1000)", 0)])
def test_a_host_of_one_user_has_no_room_for_others(owner: str, free: int) -> None:
    line = LINE.format("MIXED", "").replace("Weight=3 ", f"Weight=3 Owner={owner} ")
    assert parse_hosts(line)["gpu-1"].cpus == free


def test_jobs_that_run_are_known_by_host() -> None:
    text = "1700000000 cpu-[1-3,9]\n1700000060 cpu-9,a-1-7\nN/A \n\n"
    early, late = 1_700_000_000.0, 1_700_000_060.0
    assert parse_started(text) == {
        **{name: [early] for name in ("cpu-1", "cpu-2", "cpu-3")},
        "cpu-9": [early, late],
        "a-1-7": [late],
    }


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [
        ("gres:gpu:2", 2),
        ("gres:gpu", 1),
        ("gres/gpu:a100:4", 4),
        ("gres/gpu:a100=4", 4),
        ("gres/gpu=3,gres/shard=1", 3),
        ("gres/gpu:2080ti", 1),
        ("gres/gpu:1g.5gb:3", 3),
        ("gres/gpu:a100:1,gres/gpu:v100:2", 3),
        ("gres/shard:8", 0),
    ],
)
def test_gpus_are_counted_whatever_their_kind(asked: str, gpus: int) -> None:
    (job,) = parse_jobs(f"7|gpu|cpu=1,mem=1G,node=1|1|1|N/A|OK|N/A|{asked}|N/A|gres/gpu=3|(null)|0|Resources", 1.0)
    assert (job.gpus, job.cpus) == (gpus, max(1, 3 * gpus))


def test_what_is_no_text_of_ours_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = LINE.format("IDLE+DRAIN", " Reason=Ger\\344t [root@1]")
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\nprintf '{line}\\n'\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert Slurm().hosts()["gpu-1"].reason == "Ger\N{REPLACEMENT CHARACTER}t"


def test_a_line_without_a_reason() -> None:
    assert parse_hosts(LINE.format("MIXED", ""))["gpu-1"].reason == ""
    assert parse_hosts("No nodes in the system\n") == {}


@pytest.mark.parametrize("word", ["CPUAlloc=", "State=", "NodeAddr=", "RealMemory="])
def test_an_unreadable_line_is_an_error(word: str) -> None:
    with pytest.raises(SchedulerError, match="unreadable"):
        parse_hosts(LINE.format("IDLE", "").replace(word, "Other="))


def test_a_controller_that_is_down_says_so_and_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so by its usual output, the first line of several."""
    (tmp_path / "scontrol").write_text("#!/bin/sh\nprintf 'Slurmctld(primary) at head is DOWN\\n***\\n'\nexit 1\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SchedulerError, match=r"scontrol ping: Slurmctld\(primary\) at head is DOWN\. See `journalctl"):
        Slurm().ping()
