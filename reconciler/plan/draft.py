"""A plan while it is being made, and what it is when it is done."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.actions import Action, Event, subject
from reconciler.cluster import Cluster
from reconciler.facts import HASH_TAG, VERSION_TAG, Actual, stack_name
from reconciler.record import Failure, Record
from reconciler.render import Rendered

# Seconds to the first retry, doubled at each further one up to the ceiling, plus up to half as much of jitter.
BACKOFF_BASE, BACKOFF_CEILING = 30.0, 3600.0
# A failed stack operation is tried so often before it waits for the spec to change.
MAX_TRIES = 3

# The conditions that Ready stands on, of a cluster of nodes and of one of AWS Batch.
NODE_PARTS = ("SpecAccepted", "StackReady", "HeadNodeReady", "FleetReady")
BATCH_PARTS = ("SpecAccepted", "StackReady", "ImagesReady", "ComputeReady", "QueuesReady")
PARTS = frozenset(NODE_PARTS + BATCH_PARTS)


def parts_of(cluster: Cluster) -> tuple[str, ...]:
    """The conditions that Ready of a cluster stands on."""
    if not cluster.spec.batch:
        return NODE_PARTS
    return (*BATCH_PARTS, "HeadNodeReady") if cluster.spec.head_node else BATCH_PARTS


# When several stages name a phase, the one that stands first here is shown.
PHASES = (
    "Deleting",
    "Paused",
    "Invalid",
    "Held",
    "Failed",
    "Creating",
    "Updating",
    "Building",
    "Degraded",
    "Scaling",
    "Ready",
)


@dataclass(frozen=True, slots=True)
class Desired:
    """What the user wants, as far as it could be understood.

    `cluster` is the accepted spec and `rendered` its stack; `errors` say why the spec as it stands is refused, and
    `refusal` is the condition's reason for it. `look_again` (seconds) is set when the refusal may end by itself.
    `upgrade`: the user asked for a rendering by this version of the operator. `facts` is the document that the head
    node of a cluster with a scheduler of its own is told of its queues.
    """

    name: str
    owner: str
    version: str
    present: bool = True
    cluster: Cluster | None = None
    rendered: Rendered | None = None
    stack_spec_hash: str = ""
    errors: tuple[str, ...] = ()
    refusal: str = "InvalidSpec"
    look_again: float | None = None
    upgrade: bool = False
    facts: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition as kubectl's users know it."""

    type: str
    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """One action, what to tell once it is done, and the record as it is then."""

    action: Action
    event: Event
    after: Record


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in order; what to tell and to show; and when to look again (seconds since the epoch).

    `record` is what to remember when every step is done, `before` when none is.
    """

    steps: tuple[Step, ...]
    conditions: tuple[Condition, ...]
    next_look: float | None
    phase: str
    events: tuple[Event, ...]
    before: Record
    record: Record
    withheld: tuple[Action, ...] = ()

    @property
    def actions(self) -> tuple[Action, ...]:
        """The steps' actions."""
        return tuple(step.action for step in self.steps)


Trouble = tuple[str, str]
"""What is the matter with one thing: a condition's reason, and a message."""


def worst(troubles: Sequence[Trouble], rank: Sequence[str]) -> Trouble:
    """All messages under the reason that stands last in `rank`."""
    reason = max((reason for reason, _ in troubles), key=rank.index)
    return reason, "; ".join(message for _, message in troubles)


def backoff(count: int, salt: str) -> float:
    """Seconds before try number `count` + 1. The jitter is a hash of the salt, so that a plan stays a function."""
    spread = int.from_bytes(hashlib.sha256(f"{salt}/{count}".encode()).digest()[:4], "big") / 2**32
    return min(BACKOFF_BASE * 2 ** (count - 1), BACKOFF_CEILING) * (1 + spread / 2)


def iso(at: float) -> str:
    """A time as it stands in a status: UTC, whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class Draft:
    """The stages of a plan write into it; `close` makes the plan of it."""

    desired: Desired
    actual: Actual
    record: Record
    now: float
    before: Record = field(init=False)
    steps: list[Step] = field(default_factory=list[Step])
    withheld: list[Action] = field(default_factory=list[Action])
    events: list[Event] = field(default_factory=list[Event])
    conditions: dict[str, Condition] = field(default_factory=dict[str, Condition])
    phases: set[str] = field(default_factory=set[str])
    next_look: float | None = None
    retained: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    queues: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    shown: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    in_the_way: list[str] = field(default_factory=list[str])
    fixed: list[str] = field(default_factory=list[str])
    troubled: bool = False

    def __post_init__(self) -> None:
        self.before = self.record

    @property
    def cluster(self) -> Cluster:
        """The accepted cluster; stages that need one run only when there is one."""
        assert self.desired.cluster is not None
        return self.desired.cluster

    @property
    def rendered(self) -> Rendered:
        """The accepted cluster's stack, under the same condition."""
        assert self.desired.rendered is not None
        return self.desired.rendered

    @property
    def paused(self) -> bool:
        """Whether the user asked for eyes only. A deletion is asked for later than a pause, so it wins."""
        if self.desired.cluster is None:
            return False
        spec = self.desired.cluster.spec
        return spec.paused and (self.desired.present or spec.deletion_protection)

    def act(self, action: Action, reason: str, message: str, *, warning: bool = False, **remembered: Any) -> bool:
        """Ask for an action; once it is done, say so and remember what is then true. Returns whether it is to be done.

        When paused, or when the same call failed and its next time has not come, it is only noted.
        """
        if self.barred(action):
            self._hold(action)
            return False
        if self.paused:
            self.withheld.append(action)
            return False
        self.remember(**remembered)
        self.steps.append(Step(action, Event(reason, message, subject(action), warning), self.record))
        return True

    def barred(self, action: Action) -> bool:
        """Whether the same call failed, and its next time has not come."""
        trouble, source = self.record.trouble, str(self.record.generation)
        if trouble is None or (trouble.subject, trouble.source) != (words(action), source):
            return False
        return trouble.retry_at is None or trouble.retry_at > self.now

    def _hold(self, action: Action) -> None:
        trouble = self.record.trouble
        assert trouble is not None
        self.troubled = True
        self.withheld.append(action)
        (self.stall if trouble.stalled else self.progress)(trouble.code or "CallFailed", trouble.reason)
        if trouble.retry_at is not None:
            self.look(trouble.retry_at - self.now)

    def tell(self, reason: str, message: str, about: str, *, warning: bool = False) -> None:
        """Tell the user something that no action of ours goes with."""
        self.events.append(Event(reason, message, about, warning))

    def remember(self, **changes: Any) -> None:
        """Change the record that the pass will write."""
        self.record = self.record.remember(**changes)

    def show(self, kind: str, what: dict[str, Any]) -> None:
        """Put one thing of a kind (images, environments) into the status."""
        self.shown.setdefault(kind, []).append(what)

    def condition(self, kind: str, status: bool, reason: str, message: str) -> None:
        """Set a condition."""
        self.conditions[kind] = Condition(kind, status, reason, message)

    def progress(self, reason: str, message: str) -> None:
        """Say that something is under way."""
        self.condition("Reconciling", True, reason, message)

    def stall(self, reason: str, message: str, phase: str = "Failed") -> None:
        """Say that nothing more happens by itself. The first reason is kept."""
        if "Stalled" not in self.conditions:
            self.condition("Stalled", True, reason, message)
            self.phase(phase)

    def phase(self, name: str) -> None:
        """Name a phase; the most telling one is shown."""
        self.phases.add(name)

    def look(self, seconds: float) -> None:
        """Ask to look again after so many seconds; the soonest wish counts."""
        at = self.now + seconds
        self.next_look = at if self.next_look is None else min(at, self.next_look)

    def fail(self, about: str, reason: str, source: str, *, tries: int | None = MAX_TRIES) -> Failure:
        """Count a failure of `about`, and remember it."""
        failure = self.counted(about, reason, source, tries=tries)
        self.remember(failure=failure)
        return failure

    def counted(self, about: str, reason: str, source: str, *, tries: int | None = MAX_TRIES) -> Failure:
        """A failure of `about`, counted once for each `source`; after `tries` it waits for the spec to change."""
        old = self.record.failure
        if old and (old.subject, old.source) == (about, source):
            return old
        count = old.count + 1 if old and old.subject == about else 1
        final = tries is not None and count >= tries
        retry_at = None if final else self.now + backoff(count, f"{self.desired.name}/{about}")
        return Failure(about, reason, source, count, retry_at)

    def failure_of(self, about: str) -> Failure | None:
        """The failure remembered of a thing, if it is that thing which failed last."""
        return self.record.failure if self.record.failure and self.record.failure.subject == about else None

    def held_back(self, about: str) -> Failure | None:
        """The failure that forbids to try `about` now: its time has not come, or never comes by itself."""
        failure = self.failure_of(about)
        if failure is None or (failure.retry_at is not None and failure.retry_at <= self.now):
            return None
        if failure.retry_at is not None:
            self.look(failure.retry_at - self.now)
        return failure

    def token(self, *parts: object) -> str:
        """A client request token: the same for the same call of the same life of the cluster (at most 128 chars)."""
        text = "/".join(str(part) for part in (self.record.uid, self.record.stack_id, *parts))
        return f"muster-{hashlib.sha256(text.encode()).hexdigest()[:40]}"

    def close(self) -> Plan:
        """The finished plan, its record carrying the status to show."""
        self._summarise()
        before = self.record.status
        conditions = tuple(self.conditions[kind] for kind in sorted(self.conditions))
        self._tell_flips(before, conditions)
        if not self.troubled:
            self.remember(trouble=None)
        phase = next((name for name in PHASES if name in self.phases), "Pending")
        self.remember(status=self._status(before, conditions, phase))
        return Plan(
            tuple(self.steps),
            conditions,
            self.next_look,
            phase,
            tuple(self.events),
            self.before,
            self.record,
            tuple(self.withheld),
        )

    def _summarise(self) -> None:
        if self.paused:
            self.phase("Paused")
            withheld = f" {len(self.withheld)} actions are withheld." if self.withheld else ""
            self.condition("Reconciling", False, "Paused", f"spec.paused is true: observed, not changed.{withheld}")
        self.conditions.setdefault("Stalled", Condition("Stalled", False, "Going", "Nothing stands in the way."))
        self.conditions.setdefault("Reconciling", Condition("Reconciling", False, "Settled", "Nothing is under way."))
        cluster = self.desired.cluster
        parts = parts_of(cluster) if cluster else NODE_PARTS
        missing = [kind for kind in parts if kind not in self.conditions]
        bad = [self.conditions[kind] for kind in parts if kind in self.conditions and not self.conditions[kind].status]
        stalled = self.conditions["Stalled"]
        if stalled.status:
            self.condition("Ready", False, stalled.reason, stalled.message)
        elif bad:
            self.condition("Ready", False, bad[0].reason, bad[0].message)
        elif missing or self.conditions["Reconciling"].status or self.withheld:
            reconciling = self.conditions["Reconciling"]
            self.condition("Ready", False, reconciling.reason, reconciling.message)
        else:
            self.condition("Ready", True, "AsSpecified", "Everything is as specified.")
            self.phase("Ready")

    def _tell_flips(self, before: Mapping[str, Any], conditions: tuple[Condition, ...]) -> None:
        seen = {c["type"]: (c["status"], c["reason"], c["message"]) for c in before.get("conditions", ())}
        for now in conditions:
            news = (
                now.status if now.type == "Ready" else now.type in PARTS and not now.status and now.reason not in QUIET
            )
            if news and seen.get(now.type) != (_truth(now), now.reason, now.message):
                self.events.append(Event(now.reason, now.message, now.type, warning=not now.status))

    def _status(self, before: Mapping[str, Any], conditions: tuple[Condition, ...], phase: str) -> dict[str, Any]:
        seen = {c["type"]: c for c in before.get("conditions", ())}
        generation = self.record.generation
        status: dict[str, Any] = {
            "phase": phase,
            "observedGeneration": generation,
            "conditions": [_wire(c, seen.get(c.type), generation, self.now) for c in conditions],
            "queues": self.queues,
            **self.shown,
        }
        stack, head = self.actual.stack, self.actual.head
        if stack:
            status["stack"] = {
                "name": stack_name(self.desired.name),
                "id": stack.id,
                "status": stack.status,
                "hash": stack.tags.get(HASH_TAG, ""),
                "version": stack.tags.get(VERSION_TAG, ""),
            }
        if head:
            status["headNode"] = {
                "instanceId": head.id,
                "state": head.state,
                "privateIp": head.private_ip,
                "publicIp": head.public_ip,
            }
        if self.retained:
            status["retained"] = self.retained
        if self.steps:
            status["lastPlan"] = {"at": iso(self.now), "actions": [words(step.action) for step in self.steps]}
        elif "lastPlan" in before:
            status["lastPlan"] = before["lastPlan"]
        if self.withheld:
            status["withheld"] = [words(action) for action in self.withheld]
        return status


# Reasons of passing states: a status shows them, an event about each would only be noise.
QUIET = frozenset(
    {
        *("Creating", "Updating", "Deleting", "Scaling", "Waiting", "Starting", "NoAcceptedSpec", "RollingBack"),
        *("Withheld", "Building", "Changing"),
    }
)


def _truth(condition: Condition) -> str:
    return "True" if condition.status else "False"


def words(action: Action) -> str:
    """An action in a few words, as a status lists it."""
    return f"{type(action).__name__} {subject(action)}"


def _wire(now: Condition, was: Mapping[str, Any] | None, generation: int, at: float) -> dict[str, Any]:
    status = _truth(now)
    since = was["lastTransitionTime"] if was and was["status"] == status else iso(at)
    return {
        "type": now.type,
        "status": status,
        "reason": now.reason,
        "message": now.message,
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }
