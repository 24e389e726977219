"""A soak: many clusters on a local AWS with faults, users that never rest, and a look at what is left of it."""

# ruff: noqa: T201 - a command's

import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from local.aws import LocalAws, local_aws
from local.deploy import build, deploy
from local.fixtures import network
from tests.e2e.world import World
from tests.soak.agents import Agents
from tests.soak.end import leaks, unfinished
from tests.soak.memory import LEAST, Memory, leaking
from tests.soak.users import User, act

AT_ONCE = 12  # passes of a queue; most of a pass under faults is waiting, so that two cores do
# Users wait while so many wake-ups a cluster wait, so that it is they who are slowed down by a slow machine.
CROWD = 0.5
REST = 0.2  # seconds between two deeds
SWEEP_MINUTES = 2
SWEEP_GAP = 15.0  # seconds
# Seconds from the end of the faults until all is as it should be: a call of unknown end is waited for, 16 minutes.
PATIENCE = 1200.0


def soak(clusters: int, seconds: float, faults: float, seed: int) -> list[str]:
    """Run one; prints figures, and returns what did not hold."""
    with local_aws() as aws:
        build()
        world = World(aws, deploy(aws, SweepMinutes=str(SWEEP_MINUTES)), network(aws))
        random = Random(seed)
        users = [User(world, number, random) for number in range(clusters)]
        agents = Agents(users)
        agents.start()
        aws.set(faults=faults, groups_at_once=AT_ONCE)
        _told("made_seconds", _timed(lambda: _make(world, users)))
        memory = Memory(aws.pid)
        memory.watch()
        _told("deeds", _meddle(world, users, random, seconds))
        memory.stop()
        aws.set(faults=0.0)
        for user in users:
            user.settle()
        wrong = _settle(world, users)
        agents.stop()
        return [*wrong, *leaks(world, users), *_figures(aws, world, memory, seconds)]


def _told(name: str, value: Any) -> None:
    print(f"soak_{name} {value:.1f}" if isinstance(value, float) else f"soak_{name} {value}", flush=True)


def _timed(work: Callable[[], None]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _make(world: World, users: list[User]) -> None:
    """All specs at once; then until all are ready, or enough time has gone by for one to see that they will not be."""
    for user in users:
        user.write(user.spec)
    deadline = time.monotonic() + PATIENCE
    while unfinished(world, users) and time.monotonic() < deadline:
        time.sleep(2)


def _meddle(world: World, users: list[User], random: Random, seconds: float) -> dict[str, int]:
    done, ends = Counter[str](), time.monotonic() + seconds
    while time.monotonic() < ends:
        if _waiting(world) < CROWD * len(users):
            act(users, random, done)
        time.sleep(REST)
    return dict(done)


def _waiting(world: World) -> int:
    """How many wake-ups wait for a worker; those that were given back wait for their time."""
    kind, url = "ApproximateNumberOfMessages", world.out("WakesQueueUrl")
    answer = world.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[kind])
    return int(answer["Attributes"][kind])


def _settle(world: World, users: list[User]) -> list[str]:
    """Wait for the end. A sweep is run when all is quiet and something is amiss: nobody else would look at it."""
    started, last, swept = time.monotonic(), 0.0, 0
    while (left := unfinished(world, users)) and time.monotonic() - started < PATIENCE:
        if not world.under_way() and time.monotonic() - last > SWEEP_GAP:
            print("\n".join(left[:5]))
            _told("swept", world.sweep())
            last, swept = time.monotonic(), swept + 1
        time.sleep(2)
    _told("settled_seconds", time.monotonic() - started)
    _told("sweeps_to_settle", swept)
    return left


def _figures(aws: LocalAws, world: World, memory: Memory, seconds: float) -> list[str]:
    """Print what was seen; the processes whose memory grew."""
    _told("calls_and_faults", dict(aws.weather()))
    passes = [line for line in world.logs("reconcile") if "result" in line or "exception" in line]
    # MiniStack keeps the newest events of a log only.
    _told("passes_still_logged", dict(Counter(line.get("result", "broke") for line in passes)))
    _told("sweeps_still_logged", len([line for line in world.logs("sweep") if line.get("message") == "sweep"]))
    grown = memory.grown()
    for (function, process), (size, growth) in grown.items():
        _told(f"memory_{function}_{process}", f"{size:.1f} MB, {growth:+.2f} MB in the second half of its time")
    _told("processes", dict(Counter(function for function, _ in memory.samples)))
    if seconds > 2 * LEAST and not any("Reconcile" in function for function, _ in grown):
        return ["no process of the reconciler lived long enough to tell of its memory"]
    return [f"the memory of {function} {process} grew" for function, process in leaking(grown)]
