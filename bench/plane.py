"""The control plane on a simulated clock: the real wake, sweep and passes, and template.yaml's queues.

Assumed, in seconds: a call takes `LATENCY`, a record of the stream or an event is with the function after `TRIGGER`, a
message after `RECEIVE`. Functions are warm. SQS and Lambda are as documented: of a FIFO queue's message group one
message is worked on at a time, and of each queue as many as its MaximumConcurrency.
"""

# ruff: noqa: SLF001 - what the handlers do with a batch, without their logs and metrics

import json
import os
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from unittest.mock import Mock, patch

from botocore.exceptions import ClientError

from bench.account import SETTINGS, Account, Item, client_error
from bench.clock import Clock
from handlers import wake
from handlers.reconcile import FIRST_WAIT, LONGEST_WAIT
from local.template import read_template
from reconciler.clients import PATIENT_RETRIES
from reconciler.loop import Report, Tools, reconcile
from reconciler.outcomes import AwsError
from reconciler.store import Refused, Store, decode, encode, partition
from reconciler.sweep import sweep

LATENCY, TRIGGER, RECEIVE = 0.05, 0.25, 0.05
PASS_SECONDS = 60.0
LONGEST_RETRY = 20.0  # seconds between two tries of botocore's standard mode
INBOX_WORKERS = 5  # Lambda begins with so many for a queue without a limit, and adds more


def is_describe(operation: str) -> bool:
    """Whether an operation is a describe call."""
    return operation.startswith("describe")


@dataclass
class Throttle:
    """A token bucket of so many calls a second, which holds as many; `limited` says which operations need a token.

    A refused call is made again as botocore's standard mode does it.
    """

    clock: Clock
    rate: float = float("inf")
    limited: Callable[[str], bool] = is_describe
    granted: int = 0
    refused: int = 0
    _tokens: float = field(init=False)
    _filled: float = 0.0
    _dice: random.Random = field(default_factory=lambda: random.Random(1))

    def __post_init__(self) -> None:
        self._tokens = self.rate

    def call(self, operation: str, retries: int) -> None:
        """One call with its retries. Raises ClientError when they run out."""
        for attempt in range(retries + 1):
            self.clock.sleep(LATENCY)
            if not self.limited(operation) or self._grant():
                return
            self.refused += 1
            if attempt < retries:
                self.clock.sleep(min(self._dice.random() * 2**attempt, LONGEST_RETRY))
        raise client_error(operation, "Throttling", message="Rate exceeded")

    def _grant(self) -> bool:
        if self.rate == float("inf"):
            return True
        self._tokens = min(self.rate, self._tokens + (self.clock.now - self._filled) * self.rate)
        self._filled = self.clock.now
        granted = self._tokens >= 1
        self._tokens -= granted
        self.granted += granted
        return granted


@dataclass
class Message:
    """A message, the times (seconds) at which it was sent, first received and done with, and how often it came."""

    body: str
    group: str
    sent: float
    started: float = 0.0
    done: float = 0.0
    tries: int = 0


Back = Mapping[int, float]
"""Which messages of a batch are given back, by their place, and for how many seconds."""


@dataclass
class Queue:
    """A queue and the workers that its function may have: `work` is given so many messages at most at a time."""

    clock: Clock
    workers: int
    work: Callable[[list[Message]], Back]
    batch: int = 1
    tries: int = 10
    dead: list[Message] = field(default_factory=list[Message])
    done: list[Message] = field(default_factory=list[Message])
    _groups: dict[str, deque[Message]] = field(default_factory=dict[str, deque[Message]])
    _ready: deque[str] = field(default_factory=deque[str])
    _sent: int = 0
    _running: int = 0

    def send(self, body: str, group: str) -> None:
        """Put a message; one without a group is alone in its own."""
        self._sent += 1
        message = Message(body, group or str(self._sent), self.clock.now)
        waiting = self._groups.setdefault(message.group, deque())
        waiting.append(message)
        if len(waiting) == 1:
            self._offer(message.group)

    @property
    def empty(self) -> bool:
        """Whether no message waits, is worked on, or was given back."""
        return not self._groups

    def _offer(self, group: str) -> None:
        self._ready.append(group)
        self._next()

    def _next(self) -> None:
        while self._ready and self._running < self.workers:
            groups = [self._ready.popleft() for _ in range(min(self.batch, len(self._ready)))]
            self._running += 1
            self.clock.spawn(partial(self._work, [self._groups[group][0] for group in groups]))

    def _work(self, messages: list[Message]) -> None:
        self.clock.sleep(RECEIVE)
        for message in messages:
            message.tries += 1
            message.started = message.started or self.clock.now
        back = self.work(messages)
        self._running -= 1
        for place, message in enumerate(messages):
            self._settle(message, back.get(place))
        self._next()

    def _settle(self, message: Message, back: float | None) -> None:
        if back is not None and message.tries < self.tries:
            self.clock.at(back, partial(self._offer, message.group))
            return
        message.done = self.clock.now
        (self.done if back is None else self.dead).append(message)
        waiting = self._groups[message.group]
        waiting.popleft()
        if waiting:
            self._ready.append(message.group)
        else:
            del self._groups[message.group]


class Plane:
    """A control plane over an account. `seen` is called with the report of each pass.

    `template` is the control plane's, as it is read from template.yaml.
    """

    def __init__(self, account: Account, clock: Clock, throttle: Throttle, template: Mapping[str, Any]) -> None:
        self.account, self.clock, self.throttle = account, clock, throttle
        self.passes: dict[str, int] = {}
        self.broken: list[ClientError] = []
        self.sweeps_broken = self.lost = 0
        self.seen: Callable[[Report], None] = lambda _: None
        self._clients = account.clients()
        self._store = Store(self._clients.dynamodb, SETTINGS.specs_table, SETTINGS.state_table)
        self._dice = random.Random(2)
        self._template = template
        self.queues = self._queues()
        account.before, account.later = throttle.call, clock.at
        account.tell, account.deliver = self._event, self._deliver
        self.wakes_to = _variables(template, "WakeFunction")["MUSTER_WAKES_QUEUE_URL"]["Ref"]
        self._sweeps_to = _variables(template, "SweepFunction")["MUSTER_BACKGROUND_QUEUE_URL"]["Ref"]

    def _queues(self) -> dict[str, Queue]:
        """The queues that functions read, by their names in the template."""
        found = {"InboxQueue": Queue(self.clock, INBOX_WORKERS, self._inbox, batch=10, tries=self._tries("InboxQueue"))}
        for event in self._template["Resources"]["ReconcileFunction"]["Properties"]["Events"].values():
            name = event["Properties"]["Queue"]["Fn::GetAtt"][0]
            most = event["Properties"]["ScalingConfig"]["MaximumConcurrency"]["Ref"]
            workers = self._template["Parameters"][most]["Default"]
            found[name] = Queue(self.clock, workers, self._pass, tries=self._tries(name))
        return found

    def _tries(self, queue: str) -> int:
        return int(self._template["Resources"][queue]["Properties"]["RedrivePolicy"]["maxReceiveCount"])

    # What happens.

    def write(self, specs: Mapping[str, Mapping[str, Any]]) -> None:
        """Users write specs, all at this moment; the stream tells of them, a hundred at a time."""
        self.account.specs |= {name: encode({"name": name, "spec": spec}) for name, spec in specs.items()}
        names = [*specs]
        for start in range(0, len(names), 100):
            records = [_record(name, self.clock.now) for name in names[start : start + 100]]
            self.clock.at(TRIGGER, partial(self.clock.spawn, partial(self._stream, records)))

    def sweep(self) -> None:
        """Run the sweep, now."""
        self.clock.spawn(self._sweep)

    def sweep_every(self, seconds: float) -> None:
        """Run it on a schedule, without end."""
        self.clock.at(seconds, partial(self.sweep_every, seconds))
        self.clock.at(seconds, self.sweep)

    @property
    def dead(self) -> list[Message]:
        """The messages that were given up."""
        return [message for queue in self.queues.values() for message in queue.dead]

    def status(self, cluster: str) -> dict[str, Any]:
        """A cluster's status as its user reads it, empty if there is none yet."""
        row = self.account.records.get(partition(cluster))
        return decode(row).get("status", {}) if row else {}

    def _sweep(self) -> None:
        try:
            settings = replace(SETTINGS, background_queue_url=self._sweeps_to)
            sweep(self.account.clients(PATIENT_RETRIES), settings, self.clock.now)
        except (AwsError, ClientError):
            self.sweeps_broken += 1

    def _event(self, event: Item) -> None:
        self.clock.at(TRIGGER, partial(self.queues["InboxQueue"].send, json.dumps(event), ""))

    def _deliver(self, queue: str, body: str, group: str, seconds: float) -> None:
        self.clock.at(seconds, partial(self.queues[queue].send, body, group))

    # What the functions do.

    def _inbox(self, messages: list[Message]) -> Back:
        records = [{"messageId": str(place), "body": message.body} for place, message in enumerate(messages)]
        seconds = float(self._template["Resources"]["InboxQueue"]["Properties"]["VisibilityTimeout"])
        try:
            failed = wake._inbox(records)
        except ClientError:
            failed = [record["messageId"] for record in records]
        return dict.fromkeys(map(int, failed), seconds)

    def _stream(self, records: list[Item], tries: int = 10) -> None:
        """A batch that fails is tried again, so often; then it goes to a queue of failures."""
        try:
            assert not wake._streams(records)
        except ClientError:
            self.clock.sleep(1.0)
            if tries:
                self._stream(records, tries - 1)
            else:
                self.lost += len(records)

    def _pass(self, messages: list[Message]) -> Back:
        (message,) = messages
        cluster, began = json.loads(message.body)["cluster"], self.clock.now
        self.passes[cluster] = self.passes.get(cluster, 0) + 1
        tools = Tools(
            self._clients, SETTINGS, self._store, lambda: self.clock.now, lambda: began + PASS_SECONDS - self.clock.now
        )
        try:
            self.seen(reconcile(tools, cluster, f"pass-{cluster}-{self.passes[cluster]}"))
        except Refused as refused:
            return {0: min(refused.seconds, self._wait(message))}
        except ClientError as error:
            self.broken.append(error)
            return {0: self._wait(message)}
        finally:
            assert self.clock.now < began + PASS_SECONDS, "Lambda would have ended this pass"
        return {}

    def _wait(self, message: Message) -> float:
        """As handlers/reconcile.py gives a message back."""
        return min(FIRST_WAIT * 2 ** (message.tries - 1), LONGEST_WAIT) * (1 + self._dice.random() / 2)


@contextmanager
def plane(
    rate: float = float("inf"), limited: Callable[[str], bool] = is_describe, template: Mapping[str, Any] | None = None
) -> Iterator[Plane]:
    """A control plane over an empty account, in which so many of the limited calls a second are answered."""
    clock, account = Clock(), Account()
    throttle = Throttle(clock, rate, limited)
    made = Plane(account, clock, throttle, template or read_template())
    names = {"MUSTER_OWNER": SETTINGS.owner, "MUSTER_WAKES_QUEUE_URL": made.wakes_to}
    quiet = {"clients": account.clients(), "logger": Mock(), "metrics": Mock()}
    with patch.dict(os.environ, names), patch.multiple(wake, **quiet):
        yield made


def _variables(template: Mapping[str, Any], function: str) -> dict[str, Any]:
    return template["Resources"][function]["Properties"]["Environment"]["Variables"]


def _record(name: str, now: float) -> Item:
    return {
        "eventID": f"{name}-{now}",
        "dynamodb": {"SequenceNumber": name, "Keys": {"name": {"S": name}}},
    }
