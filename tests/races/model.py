"""The protocol of a pass as a small machine, explored exhaustively: every order of every step of two workers.

One cluster, two FIFO queues (the users' and the background's), so that two of its messages can be in flight at once.
A pass is split at each of its calls:

    idle ─receive─▶ load ─spec and record─▶ look ─facts─▶ take ─lease─▶ announce ─▶ call ─▶ report ─▶ finish ─ack─▶ idle
                     └─ lease held: refused              └─ as it should be: finish, nothing written

Between any two steps come, in every order: the user's writes, one sweep, one expiry of a message's visibility, one
expiry of the lease, one crash. A version of the spec is a number; what AWS has and what the record says are the
version that they were last given. A call that changes what AWS has sends an event, as CloudFormation and Auto
Scaling do. `Rules` has what the protocol does; each of its fields, changed, is a weaker protocol.
"""

import gc
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

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


class Record(NamedTuple):
    """The record: the version that it speaks of (0: there is no record), its fence, who holds the lease, and
    whose calls were announced and not reported."""

    version: int = 0
    fence: int = 0
    owner: int = NOBODY
    pending: frozenset[int] = frozenset()


class State(NamedTuple):
    """Everything. `spent` are the fences that earlier lives used up."""

    spec: int = 1
    queues: tuple[Queue, Queue] = (Queue(1), Queue())
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    record: Record = Record()
    actual: int = 0
    spent: int = 0
    sweeps: int = 0
    expiries: int = 0
    lease_expiries: int = 0
    crashes: int = 0


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
    if order(state.workers[0]) <= order(state.workers[1]):
        return state
    wakes, background = state.queues
    queues = Queue(wakes.messages, OTHER[wakes.holder]), Queue(background.messages, OTHER[background.holder])
    version, fence, owner, pending = state.record
    record = Record(version, fence, OTHER[owner], other_way(pending))
    one, other = state.workers
    return State(state.spec, queues, (mirrored(other), mirrored(one)), record, *state[4:])


@cache
def mirrored(worker: Worker) -> Worker:
    return worker._replace(pending=other_way(worker.pending))


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
    still = all(worker.step == "idle" for worker in state.workers)
    empty = not any(queue.messages for queue in state.queues)
    if rules.begun_is_swept and state.record.version == BEGUN:
        return False
    return still and empty and state.spec == world.specs and state.sweeps == world.sweeps


def settled(state: State, world: World) -> bool:
    """The user's last word is in force and in the record; of a cluster that was deleted nothing is left."""
    if state.spec in world.absent:
        return state.record == Record() and state.actual in world.absent | {0}
    return state.actual == state.record.version == state.spec


def twice(state: State) -> bool:
    one, other = state.workers
    steps_ = {"announce", "call", "report"}
    return one.step in steps_ and other.step in steps_ and one.fence == other.fence > 0


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
        yield send(state._replace(spec=state.spec + 1), WAKES)
    quiet = all(worker.step == "idle" for worker in state.workers) and not any(queue.messages for queue in state.queues)
    if rules.begun_is_swept and state.record.version == BEGUN and quiet:
        yield send(state, BACKGROUND)
    if state.sweeps < world.sweeps:
        yield send(state._replace(sweeps=state.sweeps + 1), BACKGROUND)
    if state.record.owner != NOBODY and state.lease_expiries < world.lease_expiries:
        record = state.record._replace(owner=NOBODY)
        yield state._replace(record=record, lease_expiries=state.lease_expiries + 1)


def mishaps(state: State, me: int, world: World) -> Iterator[State]:
    """The message becomes visible under the live pass, or the pass ends without a word."""
    worker = state.workers[me]
    if state.queues[worker.queue].holder == me and state.expiries < world.expiries:
        yield give_back(state, me)._replace(expiries=state.expiries + 1)
    if state.crashes < world.crashes:
        # Its lease stays until it expires, which is bound to happen: it costs no expiry.
        # What it had announced does not land any more; a later pass of the same worker is another's.
        record = state.record._replace(pending=state.record.pending - {me})
        record = record._replace(owner=NOBODY) if record.owner == me else record
        yield to(give_back(state, me), me, Worker())._replace(record=record, crashes=state.crashes + 1)


def receive(state: State, me: int) -> Iterator[State]:
    for number, queue in enumerate(state.queues):
        if queue.messages and queue.holder == NOBODY:
            yield to(put(state, number, queue._replace(holder=me)), me, Worker("load", number))


def load(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    record = state.record
    if rules.lease and record.owner != NOBODY:
        return refused(state, me, rules)
    if state.spec in world.absent and not record.version:
        return to(state, me, worker._replace(step="finish"))
    read = worker._replace(step="look", spec=state.spec, known=record.version, fence=record.fence)
    flying = any(state.workers[each].step == "call" for each in record.pending)
    return to(state, me, read._replace(pending=record.pending, unsettled=flying))


def look(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    if worker.spec == worker.known == state.actual:
        return to(state, me, worker._replace(step="finish"))
    return to(state, me, worker._replace(step="take" if rules.lease else "call"))


def take(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    """The conditional write. A new record speaks of no version yet; it is told from none by BEGUN."""
    record = state.record
    if record.owner != NOBODY or (rules.take_checks_fence and record.fence != worker.fence):
        return refused(state, me, rules)
    if rules.forgets_late and record.pending != worker.pending:
        return refused(state, me, rules)
    if rules.forgets_late and worker.unsettled and worker.spec in world.absent:
        # It waits: a timer brings it back, here its own message.
        return to(give_back(state, me), me, Worker())
    made = not record.version
    fence = (state.spent if made and rules.fences_grow_on else record.fence) + 1
    held = state._replace(record=Record(record.version or BEGUN, fence, me, record.pending))
    return to(held, me, worker._replace(step="announce", fence=fence))


def announce(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    """The record as it was, once more: it is conditional on the fence, so a zombie ends here."""
    if not may_write(state, worker, rules):
        return refused(state, me, rules)
    announced = state._replace(record=state.record._replace(pending=state.record.pending | {me}))
    return to(announced, me, worker._replace(step="call"))


def call(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    """AWS knows no fence: a call that has begun lands, whoever holds the lease by then."""
    if state.actual != worker.spec:
        state = state._replace(actual=worker.spec)
        state = send(state, WAKES) if rules.changes_wake else state
    return to(state, me, worker._replace(step="report"))


def report(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    if rules.lease and not may_write(state, worker, rules):
        return refused(state, me, rules)
    if worker.spec in world.absent:
        state = state._replace(record=Record(), spent=max(state.spent, worker.fence))
    else:
        others = state.record.pending - {me}
        state = state._replace(record=Record(worker.spec, state.record.fence if rules.lease else 0, NOBODY, others))
    return to(state, me, worker._replace(step="finish"))


def finish(state: State, me: int, worker: Worker, rules: Rules, world: World) -> State:
    return to(acknowledge(state, me), me, Worker())


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
    return to(after, me, Worker())


def acknowledge(state: State, me: int) -> State:
    """A stale receipt has no effect, neither here nor in `give_back`."""
    number = state.workers[me].queue
    queue = state.queues[number]
    return put(state, number, Queue(queue.messages - 1)) if queue.holder == me else state


def give_back(state: State, me: int) -> State:
    number = state.workers[me].queue
    queue = state.queues[number]
    return put(state, number, Queue(queue.messages)) if queue.holder == me else state


def send(state: State, number: int) -> State:
    """A message behind one that nobody has received yet asks for nothing more, and is left out: it could only help."""
    queue = state.queues[number]
    waiting = queue.messages - (queue.holder != NOBODY)
    return state if waiting else put(state, number, Queue(queue.messages + 1, queue.holder))


def put(state: State, number: int, queue: Queue) -> State:
    wakes, background = state.queues
    queues = (queue, background) if number == WAKES else (wakes, queue)
    return State(state.spec, queues, *state[2:])


def to(state: State, me: int, worker: Worker) -> State:
    one, other = state.workers
    workers = (worker, other) if me == 0 else (one, worker)
    return State(state.spec, state.queues, workers, *state[3:])
