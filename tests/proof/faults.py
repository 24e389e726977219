"""Disturbing a scenario at each of its AWS calls: the world forks there, and in the branch the call fails.

A branch is a process of its own, a copy of the world at that call, so that the way there is walked once. It lets the
fault happen, goes on as the queues, timers and one sweep have it, and compares its end with that of the undisturbed
run.
"""

import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from tests.proof.lives import Scenario
from tests.proof.world import Killed, World
from tests.unit.fakes import client_error

URL = "https://aws.example"


@dataclass(frozen=True)
class Fault:
    """What happens at a call: `raised` with its operation, before it leaves or after it took effect."""

    name: str
    after: bool
    raised: Callable[[str], BaseException]

    def strike(self, world: World, operation: str) -> None:
        """Let it happen."""
        raise self.raised(operation)

    def hold(self, world: World, scenario: Scenario, expected: Any) -> None:
        """The end is that of the undisturbed run."""
        compare(world, scenario, expected)


FAULTS = (
    Fault("kill before", False, Killed),
    Fault("kill after", True, Killed),
    Fault("throttle", False, lambda operation: client_error(operation, "Throttling", "Rate exceeded")),
    Fault("5xx", False, lambda operation: client_error(operation, "500", "Internal Server Error")),
    Fault("reset", False, lambda operation: ConnectionClosedError(endpoint_url=URL)),
    Fault("timeout after", True, lambda operation: ReadTimeoutError(endpoint_url=URL)),
    Fault("denied", False, lambda operation: client_error(operation, "AccessDeniedException", "not authorized")),
    Fault("malformed", True, lambda operation: ResponseParserError("not well-formed (invalid token)")),
)
# The operator's own table and queues.
STORE = {"UpdateItem", "TransactWriteItems", "DeleteItem", "SendMessage"}
READS = ("Describe", "List", "Get", "BatchGet", "Query")
# What a disturbed run may tell besides: that a call failed.
TOLD = {"CallFailed"}
# Passes that a fault may cost: the failed one, its repetitions, and what its sweep wakes.
MORE_PASSES = 12


def is_read(operation: str) -> bool:
    """Whether a call changes nothing, so that before and after are the same."""
    return operation.startswith(READS)


def every(index: int, operation: str) -> Sequence[Fault]:
    """All faults at each call, but for reads, of which a call that is lost before or after is one case."""
    return [fault for fault in FAULTS if not (fault.after and fault.name != "malformed" and is_read(operation))]


def sampled(index: int, operation: str) -> Sequence[Fault]:
    """One fault, in turn, at each call that changes something in AWS, and at every 50th of the others."""
    possible = every(index, operation)
    return [possible[index * 3 % len(possible)]] if changes(operation) or index % 50 == 0 else []


def changes(operation: str) -> bool:
    """Whether a call changes something that is not the operator's own."""
    return not is_read(operation) and operation not in STORE


@dataclass
class Outcome:
    """What the branches of a scenario came to."""

    cases: int = 0
    failures: list[str] = field(default_factory=list[str])


def forked(run: Callable[[], Any]) -> Any:
    """What `run` returns (JSON) in a copy of this process; an error there is an AssertionError here."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            answer = {"found": run()}
        except BaseException:  # noqa: BLE001 - the branch must not go on as a second test run
            answer = {"error": traceback.format_exc(limit=-6)}
        _leave(writer, answer)
    os.close(writer)
    return _answer(reader, child)


def _leave(writer: int, answer: Mapping[str, Any]) -> None:
    with os.fdopen(writer, "w") as pipe:
        json.dump(answer, pipe, default=str)
    os._exit(0)


def _answer(reader: int, child: int) -> Any:
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    answer = json.loads(text or '{"error": "the branch died"}')
    if "error" in answer:
        raise AssertionError(answer["error"])
    return answer["found"]


def undisturbed(world: World, scenario: Scenario) -> dict[str, Any]:
    """The end of a run that is left in peace, its passes, and the operations called. No sweep finds anything then."""
    calls: list[str] = []
    world.before = calls.append
    scenario.drive(world)
    world.rest()
    assert world.sweep() == {}, "a sweep finds something though nothing was lost"
    return {"end": world.end(), "passes": world.passes, "calls": calls}


class Strike(Protocol):
    """What can happen at a call of a pass, before it leaves or after it took effect."""

    @property
    def name(self) -> str: ...
    @property
    def after(self) -> bool: ...
    def strike(self, world: World, operation: str) -> None: ...
    def hold(self, world: World, scenario: Scenario, expected: Any) -> None:
        """Let the world come to rest, and hold its end against what it should be."""


Choose = Callable[[int, str], Sequence[Strike]]
Reference = Callable[[World, Scenario], Any]


class Branch:
    """The forks of a run: at each call, each strike of `choose`. In a branch, `struck` is set from its call on."""

    def __init__(self, world: World, choose: Choose) -> None:
        self.world, self.choose = world, choose
        self.outcome = Outcome()
        self.struck: Strike | None = None
        self.writer = -1
        self._index = -1
        world.before, world.after = self._before, self._after

    def _before(self, operation: str) -> None:
        self._index += 1
        self._branch(operation, after=False)

    def _after(self, operation: str) -> None:
        self._branch(operation, after=True)

    def _branch(self, operation: str, *, after: bool) -> None:
        for each in self.choose(self._index, operation):
            if each.after is after and self._fork(each, f"{each.name} {operation} (call {self._index})"):
                self.world.before = self.world.after = lambda operation: None
                each.strike(self.world, operation)
                return

    def _fork(self, struck: Strike, name: str) -> bool:
        """Whether this is the branch. The trunk waits for it, and takes its answer."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            self.struck, self.writer = struck, writer
            return True
        os.close(writer)
        self.outcome.cases += 1
        try:
            _answer(reader, child)
        except AssertionError as error:
            self.outcome.failures.append(f"{name}: {error}")
        return False


def explore(world: World, scenario: Scenario, choose: Choose, reference: Reference = undisturbed) -> Outcome:
    """Each call of a scenario with what is chosen to strike it. The world has been started."""
    # Copies share what they do not touch, and a collection touches everything.
    gc.collect()
    gc.disable()
    expected = forked(partial(reference, world, scenario))
    branch = Branch(world, choose)
    try:
        scenario.drive(world)
        world.rest()
        if branch.struck:
            branch.struck.hold(world, scenario, expected)
            _leave(branch.writer, {"found": None})
    except BaseException:
        if branch.struck:
            _leave(branch.writer, {"error": traceback.format_exc(limit=-6)})
        raise
    finally:
        gc.enable()
    return branch.outcome


def disturbed(world: World, scenario: Scenario, expected: Mapping[str, Any], faults: Mapping[int, Fault]) -> list[str]:
    """Run a scenario with faults at certain calls, and compare; the faults that came to pass."""
    met: list[str] = []
    index = -1

    def before(operation: str) -> None:
        nonlocal index
        index += 1
        meet(operation, after=False)

    def meet(operation: str, *, after: bool) -> None:
        fault = faults.get(index)
        if fault and fault.after is after:
            met.append(f"{fault.name} {operation} (call {index})")
            raise fault.raised(operation)

    world.before, world.after = before, lambda operation: meet(operation, after=True)
    world.most_passes += MORE_PASSES
    scenario.drive(world)
    compare(world, scenario, expected, faults=len(faults))
    return met


def lasting(world: World, scenario: Scenario, expected: Mapping[str, Any], operation: str, seconds: float) -> None:
    """Run a scenario with one operation denied throughout, for so many seconds; then it must come right by itself."""
    world.broken[operation] = "AccessDeniedException"
    world.at(seconds, world.broken.clear)
    world.most_passes += 100
    scenario.drive(world)
    compare(world, scenario, expected, faults=None)


def compare(world: World, scenario: Scenario, expected: Mapping[str, Any], faults: int | None = 1) -> None:
    """Let the world come to rest, with no more than one sweep for each fault, and hold its end against what it is."""
    world.settle(6 if faults is None else faults)
    end = json.loads(json.dumps(world.end(), default=str))
    wanted = dict(expected["end"])
    if scenario.racy:
        for key in ("history", "events", "builds"):
            del end[key], wanted[key]
    else:
        more = set(end.pop("events")) - set(wanted.pop("events")) - TOLD
        assert not more, f"events {more}"
    different = {key: (end[key], wanted[key]) for key in wanted if end[key] != wanted[key]}
    assert not different, f"another end (got, wanted): {different}"
    if faults is not None:
        most = expected["passes"] + faults * MORE_PASSES
        assert world.passes <= most, f"{world.passes} passes"
        assert not world.dead, "a message went to the dead letters"
