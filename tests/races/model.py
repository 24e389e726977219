"""The protocol of a pass as a small machine, explored exhaustively: every order of every step of two workers.

One cluster, two FIFO queues (the users' and the background's), so that two of its messages can be in flight at once.
A pass is split at each of its calls:

    idle ─receive─▶ load ─spec and record─▶ look ─facts─▶ take ─lease─▶ announce ─▶ call ─▶ report ─▶ finish ─ack─▶ idle
                     └─ lease held: refused              └─ as it should be: finish, nothing written

Between any two steps come, in every order: the user's writes, one sweep, one expiry of a message's visibility, one
expiry of the lease, one crash. A version of the spec is a number; what AWS has and what the record says are the
version that they were last given. A call that changes what AWS has sends an event, as CloudFormation and Auto
Scaling do. `Rules` has what the protocol does; each of its fields, changed, is a weaker protocol.

There are millions of states and a few thousand different workers, records and queues. Of each of those there is one
instance, made by `the` and `changed`, so that two are equal only if they are the same: that is quick to see.
"""

import gc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

NOBODY = -1
BEGUN = -1  # the version in a record that was made and not written yet
WAKES, BACKGROUND = 0, 1
OTHER = {0: 1, 1: 0, NOBODY: NOBODY}


@dataclass(frozen=True)
class Rules:
    """A protocol. The defaults are that of `reconciler.loop` and `reconciler.store`.

    `fences_grow_on`: a record made after the last one was forgotten goes on above its fence, so that none comes twice.
    `changes_wake`: what a call changes in AWS sends an event. `begun_is_swept`: a record that was only
    begun (its pass was killed, or refused, before it wrote) is found by every later sweep. `forgets_late`: a cluster is
    not forgotten while a call that another pass announced may still land.
    """

    refused_acks: bool = False
    take_checks_fence: bool = True
    writes_check_fence: bool = True
    lease: bool = True
    fences_grow_on: bool = True
    changes_wake: bool = True
    begun_is_swept: bool = True
    forgets_late: bool = True


@dataclass(frozen=True)
class World:
    """What can happen. `specs` are the versions that the user writes one after the other; in `absent` it is deleted."""

    specs: int = 3
    absent: frozenset[int] = frozenset()
    sweeps: int = 1
    expiries: int = 1
    lease_expiries: int = 1
    crashes: int = 1


class Queue(NamedTuple):
    """A FIFO group: how many messages, and who holds the first (the rest wait behind it)."""

    messages: int = 0
    holder: int = NOBODY

    __eq__, __hash__ = object.__eq__, object.__hash__


class Worker(NamedTuple):
    """Where a pass stands: the queue of its message, and what it read (`absent` record: version 0, fence 0).

    `unsettled`: another's announced call may still land.
    """

    step: str = "idle"
    queue: int = 0
    spec: int = 0
    known: int = 0
    fence: int = 0
    pending: frozenset[int] = frozenset()
    unsettled: bool = False

    __eq__, __hash__ = object.__eq__, object.__hash__


class Record(NamedTuple):
    """The record: the version that it speaks of (0: there is no record), its fence, who holds the lease, and
    whose calls were announced and not reported."""

    version: int = 0
    fence: int = 0
    owner: int = NOBODY
    pending: frozenset[int] = frozenset()

    __eq__, __hash__ = object.__eq__, object.__hash__


Part = TypeVar("Part", Queue, Worker, Record)
PARTS: dict[Any, Any] = {}


@cache
def the(kind: type[Part], *values: Any) -> Part:
    """The one queue, worker or record that has these values."""
    made = kind(*values)
    return PARTS.setdefault((kind, tuple(made)), made)


@cache
def changed(part: Part, **values: Any) -> Part:
    """The one that is like it, but for these values."""
    return the(type(part), *part._replace(**values))


IDLE, NO_RECORD = the(Worker), the(Record)


class State(NamedTuple):
    """Everything. `spent` are the fences that earlier lives used up."""

    spec: int = 1
    queues: tuple[Queue, Queue] = (the(Queue, 1), the(Queue))
    workers: tuple[Worker, Worker] = (IDLE, IDLE)
    record: Record = NO_RECORD
    actual: int = 0
    spent: int = 0
    sweeps: int = 0
    expiries: int = 0
    lease_expiries: int = 0
    crashes: int = 0


# Past the function that a named tuple is made by otherwise, which is in Python.
state_of: Callable[[tuple[Any, ...]], State] = partial(tuple.__new__, State)


class Found(NamedTuple):
    """What an exploration found: states, states at rest, and how many of them or of the steps broke a promise."""

    states: int
    at_rest: int
    lost: int
    overwritten: int
    doubled: int
    example: tuple[State, ...]


def explore(rules: Rules, world: World, *, to_the_end: bool = True) -> Found:
    """Visit every state that can be reached, or only as many as there are up to the first broken promise.

    `lost`: at rest, with something else than the user's last word in AWS or in the record. `overwritten`: a step
    puts an older version over a newer one in the record. `doubled`: two workers hold the same fence, both to write.
    """
    with uncollected():
        return _explore(rules, world, to_the_end=to_the_end)


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is looked for: what is kept is millions of tuples, and none of them is any."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _explore(rules: Rules, world: World, *, to_the_end: bool) -> Found:
    first = State()
    came: dict[State, State | None] = {first: None}
    todo = deque([first])
    at_rest = lost = overwritten = doubled = 0
    bad: State | None = None
    while todo:
        state = todo.popleft()
        wrong = 0
        if rested(state, rules, world):
            at_rest += 1
            wrong = not settled(state, world)
            lost += wrong
        both = twice(state)
        doubled += both
        for following in map(canonical, steps(state, rules, world)):
            older = 0 < following.record.version < state.record.version
            overwritten += older
            wrong = wrong or older
            if following not in came:
                came[following] = state
                todo.append(following)
        if bad is None and (wrong or both):
            bad = state
            if not to_the_end:
                break
    return Found(len(came), at_rest, lost, overwritten, doubled, path(came, bad))


def canonical(state: State) -> State:
    """The workers are alike: of two states that differ by their order alone, one."""
    one, other = state.workers
    if in_order(one, other):
        return state
    wakes, background = state.queues
    queues, workers = (seen_by_other(wakes), seen_by_other(background)), (mirrored(other), mirrored(one))
    return state_of((state.spec, queues, workers, held_by_other(state.record), *state[4:]))


@cache
def in_order(one: Worker, other: Worker) -> bool:
    return order(one) <= order(other)


@cache
def mirrored(worker: Worker) -> Worker:
    return changed(worker, pending=other_way(worker.pending))


@cache
def seen_by_other(queue: Queue) -> Queue:
    return changed(queue, holder=OTHER[queue.holder])


@cache
def held_by_other(record: Record) -> Record:
    return changed(record, owner=OTHER[record.owner], pending=other_way(record.pending))


@cache
def order(worker: Worker) -> tuple[object, ...]:
    return (*worker[:5], sorted(worker.pending), worker.unsettled)


@cache
def other_way(workers: frozenset[int]) -> frozenset[int]:
    return frozenset(OTHER[each] for each in workers)


def path(came: dict[State, State | None], end: State | None) -> tuple[State, ...]:
    """How a state was come to, the first state first."""
    back: list[State] = []
    while end is not None:
        back.append(end)
        end = came[end]
    return tuple(reversed(back))


def rested(state: State, rules: Rules, world: World) -> bool:
    """Nothing is under way and nothing more will come."""
    if rules.begun_is_swept and state.record.version == BEGUN:
        return False
    return state.spec == world.specs and state.sweeps == world.sweeps and quiet(state)


def quiet(state: State) -> bool:
    """No worker is at work, and no message is left."""
    one, other = state.workers
    wakes, background = state.queues
    return one.step == other.step == "idle" and wakes.messages == background.messages == 0


def settled(state: State, world: World) -> bool:
    """The user's last word is in force and in the record; of a cluster that was deleted nothing is left."""
    if state.spec in world.absent:
        return state.record is NO_RECORD and state.actual in world.absent | {0}
    return state.actual == state.record.version == state.spec


WRITING = frozenset({"announce", "call", "report"})


def twice(state: State) -> bool:
    one, other = state.workers
    return one.fence == other.fence > 0 and one.step in WRITING and other.step in WRITING


def steps(state: State, rules: Rules, world: World) -> Iterator[State]:
    """Every state that can follow."""
    yield from happenings(state, rules, world)
    for me in (0, 1):
        worker = state.workers[me]
        if worker.step == "idle":
            yield from receive(state, me)
        else:
            yield STEPS[worker.step](state, me, worker, rules, world)
            yield from mishaps(state, me, world)


def happenings(state: State, rules: Rules, world: World) -> Iterator[State]:
    if state.spec < world.specs:
        yield send(State(state.spec + 1, *state[1:]), WAKES)
    if rules.begun_is_swept and state.record.version == BEGUN and quiet(state):
        yield send(state, BACKGROUND)
    if state.sweeps < world.sweeps:
        yield send(state._replace(sweeps=state.sweeps + 1), BACKGROUND)
    if state.record.owner != NOBODY and state.lease_expiries < world.lease_expiries:
        left = state._replace(lease_expiries=state.lease_expiries + 1)
        yield wrote(left, changed(state.record, owner=NOBODY))


def mishaps(state: State, me: int, world: World) -> Iterator[State]:
    """The message becomes visible under the live pass, or the pass ends without a word."""
    worker = state.workers[me]
    if state.queues[worker.queue].holder == me and state.expiries < world.expiries:
        yield give_back(state, me)._replace(expiries=state.expiries + 1)
    if state.crashes < world.crashes:
        # Its lease stays until it expires, which is bound to happen: it costs no expiry.
        # What it had announced does not land any more; a later pass of the same worker is another's.
        ended = to(give_back(state, me), me, IDLE)._replace(crashes=state.crashes + 1)
        yield wrote(ended, left_by(state.record, me))


@cache
def left_by(record: Record, me: int) -> Record:
    owner = NOBODY if record.owner == me else record.owner
    return changed(record, owner=owner, pending=record.pending - {me})


def receive(state: State, me: int) -> Iterator[State]:
    for number, queue in enumerate(state.queues):
        if queue.messages and queue.holder == NOBODY:
            yield to(put(state, number, changed(queue, holder=me)), me, the(Worker, "load", number))


def load(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    record = state.record
    if rules.lease and record.owner != NOBODY:
        return refused(state, me, rules)
    if state.spec in world.absent and not record.version:
        return to(state, me, at(worker, "finish"))
    flying = any(state.workers[each].step == "call" for each in record.pending)
    read = the(Worker, "look", worker.queue, state.spec, record.version, record.fence, record.pending, flying)
    return to(state, me, read)


def look(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    if worker.spec == worker.known == state.actual:
        return to(state, me, at(worker, "finish"))
    return to(state, me, at(worker, "take" if rules.lease else "call"))


def take(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    """The conditional write. A new record speaks of no version yet; it is told from none by BEGUN."""
    record = state.record
    if record.owner != NOBODY or (rules.take_checks_fence and record.fence != worker.fence):
        return refused(state, me, rules)
    if rules.forgets_late and record.pending != worker.pending:
        return refused(state, me, rules)
    if rules.forgets_late and worker.unsettled and worker.spec in world.absent:
        # It waits: a timer brings it back, here its own message.
        return to(give_back(state, me), me, IDLE)
    made = not record.version
    fence = (state.spent if made and rules.fences_grow_on else record.fence) + 1
    held = wrote(state, the(Record, record.version or BEGUN, fence, me, record.pending))
    return to(held, me, changed(worker, step="announce", fence=fence))


def announce(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    """The record as it was, once more: it is conditional on the fence, so a zombie ends here."""
    if not may_write(state, worker, rules):
        return refused(state, me, rules)
    announced = wrote(state, changed(state.record, pending=state.record.pending | {me}))
    return to(announced, me, at(worker, "call"))


def call(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    """AWS knows no fence: a call that has begun lands, whoever holds the lease by then."""
    if state.actual != worker.spec:
        state = state._replace(actual=worker.spec)
        state = send(state, WAKES) if rules.changes_wake else state
    return to(state, me, at(worker, "report"))


def report(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    if rules.lease and not may_write(state, worker, rules):
        return refused(state, me, rules)
    if worker.spec in world.absent:
        state = wrote(state._replace(spent=max(state.spent, worker.fence)), NO_RECORD)
    else:
        others = state.record.pending - {me}
        fence = state.record.fence if rules.lease else 0
        state = wrote(state, the(Record, worker.spec, fence, NOBODY, others))
    return to(state, me, at(worker, "finish"))


def finish(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    return to(acknowledge(state, me), me, IDLE)


STEPS = {
    "load": load,
    "look": look,
    "take": take,
    "announce": announce,
    "call": call,
    "report": report,
    "finish": finish,
}


def may_write(state: State, worker: Worker, rules: Rules) -> bool:
    return not rules.writes_check_fence or state.record.fence == worker.fence


def refused(state: State, me: int, rules: Rules) -> State:
    after = acknowledge(state, me) if rules.refused_acks else give_back(state, me)
    return to(after, me, IDLE)


def acknowledge(state: State, me: int) -> State:
    """A stale receipt has no effect, neither here nor in `give_back`."""
    number = state.workers[me].queue
    queue = state.queues[number]
    return put(state, number, the(Queue, queue.messages - 1)) if queue.holder == me else state


def give_back(state: State, me: int) -> State:
    number = state.workers[me].queue
    queue = state.queues[number]
    return put(state, number, the(Queue, queue.messages)) if queue.holder == me else state


def send(state: State, number: int) -> State:
    """A message behind one that nobody has received yet asks for nothing more, and is left out: it could only help."""
    queue = state.queues[number]
    waiting = queue.messages - (queue.holder != NOBODY)
    return state if waiting else put(state, number, the(Queue, queue.messages + 1, queue.holder))


def put(state: State, number: int, queue: Queue) -> State:
    wakes, background = state.queues
    queues = (queue, background) if number == WAKES else (wakes, queue)
    return state_of((state.spec, queues, *state[2:]))


def to(state: State, me: int, worker: Worker) -> State:
    one, other = state.workers
    workers = (worker, other) if me == 0 else (one, worker)
    return state_of((*state[:2], workers, *state[3:]))


def wrote(state: State, record: Record) -> State:
    return state_of((*state[:3], record, *state[4:]))


@cache
def at(worker: Worker, step: str) -> Worker:
    return changed(worker, step=step)
