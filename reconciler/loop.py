"""One pass over one cluster: load, look, plan, take the lease, act, report, set the next timer.

A pass reads before it takes the lease, and the lease is granted only if the record is still the one that was read.
That is as good as taking it first, and spares a cluster that is as it should be every write: a pass that finds
nothing to do has seen all that its wake-up was about, for the wake-up came before the read. A pass that finds the
lease held, or loses the race for it, does not acknowledge its message.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler import agent
from reconciler.act import MARGIN, Hands, act
from reconciler.actions import MAKERS, Event, Forget, subject
from reconciler.cluster import Cluster, FieldError, Invalid, parse, spec_hash
from reconciler.cluster.document import from_item
from reconciler.cluster.updates import unchangeable
from reconciler.facts import Actual, digest
from reconciler.observe import observe
from reconciler.outcomes import AwsError
from reconciler.pins import Pins
from reconciler.plan import Desired, Plan, plan
from reconciler.plan.draft import words
from reconciler.plan.trouble import setback
from reconciler.record import Accepted, Pending, Record
from reconciler.render import Rendered, Site, render, required_images, required_zones
from reconciler.render.batch.images import ImageBuild, builds
from reconciler.resolve import resolve
from reconciler.slurm import facts_document, is_slurm, required_shapes
from reconciler.store import Refused, Store, content_hash
from reconciler.version import VERSION

if TYPE_CHECKING:
    from reconciler.clients import Clients
    from reconciler.settings import Settings

UPGRADE_ANNOTATION = "muster/upgrade"
# Seconds by which a lease outlives its pass.
LEASE_SLACK = 5.0
# Seconds: an SQS message can be delayed by this much at most; a later look takes several timers.
LONGEST_TIMER = 900
# Seconds between looks at references that do not exist (yet).
LOOK_AT_REFERENCES = 300
# The fields of a spec that no template depends on: they are put in force by the services' own APIs, or by the plan.
NOT_IN_STACK = {
    "consent": True,
    "paused": True,
    "deletion_protection": True,
    "deletion_policy": True,
    "idle_time": True,
    "fleet": True,
    "queues": {"__all__": {"size", "min_size", "max_size", "all_or_nothing"}},
    "batch": {"on_delete": True, "compute_environments": {"__all__": {"min_vcpus", "max_vcpus", "desired_vcpus"}}},
}


@dataclass(frozen=True, slots=True)
class Tools:
    """What a pass works with. `now` gives seconds since the epoch, `seconds_left` the function's remaining time."""

    clients: Clients
    settings: Settings
    store: Store
    now: Callable[[], float]
    seconds_left: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Considered:
    """A pass up to the moment of acting: what is wanted, what is there, and what would be done."""

    desired: Desired
    actual: Actual
    plan: Plan


@dataclass(frozen=True, slots=True)
class Report:
    """How a pass ended, for logs and metrics.

    `fence` and `taken` (seconds since the epoch) are of the lease, 0 for a pass that took none.
    """

    cluster: str
    result: str
    phase: str = ""
    actions: tuple[str, ...] = ()
    error: str = ""
    generation: int = 0
    fence: int = 0
    taken: float = 0.0


def reconcile(tools: Tools, name: str, owner: str) -> Report:
    """One pass. Raises Refused when the cluster is another pass's; the caller must not acknowledge its message then."""
    now = tools.now()
    item, loaded = tools.store.load(name)
    if item is None and loaded is None:
        return Report(name, "absent")
    if loaded and loaded.lease.held(now):
        raise Refused(name, loaded.lease.expires - now)
    record = unsettled(noticed(loaded or Record(name, uuid.uuid4().hex, created=now), item))
    try:
        considered = consider(tools, record, item, now)
    except AwsError as error:
        back = setback(record, record.status, error, "", now)
        held = _take(tools, record, owner)
        told = _told(held, tools.now())
        _report(tools, held, back.record, back.next_look, [], now)
        return told(error.outcome.name.lower(), back.record.phase, error=str(error))
    return _carry_out(tools, considered, loaded, owner, now)


def noticed(record: Record, item: Mapping[str, Any] | None) -> Record:
    """The record with the generation counted: a spec whose content is another is another generation."""
    content = content_hash(item)
    if content == record.spec_hash:
        return record
    grown = record.generation + (item is not None)
    return record.remember(spec_hash=content, generation=grown)


def unsettled(record: Record) -> Record:
    """The record, told apart if the last pass ended without a word after announcing a call that makes something."""
    pending = record.pending
    return record.remember(unsettled=pending.at) if pending and pending.action in MAKERS else record


def consider(tools: Tools, record: Record, item: Mapping[str, Any] | None, now: float) -> Considered:
    """Find out what is wanted and what is there, and plan. Changes nothing. Raises AwsError."""
    record, errors, refusal = _accept(tools, record, item)
    # Before a spec was accepted nothing can have been made, and the name may be none that AWS would take.
    known = record.accepted is not None
    cluster = accepted_cluster(record)
    wanted = builds(cluster.spec.batch) if cluster and cluster.spec.batch else ()
    tags, owner = [each.tag for each in wanted], tools.settings.owner
    table = tools.settings.state_table if cluster and is_slurm(cluster) else ""
    actual = (
        observe(tools.clients, owner, record, deleting=item is None, images=tags, table=table) if known else Actual()
    )
    record = record.remember(digest=digest(actual) if known else "")
    if cluster:
        record = record.remember(pins=serving(record.pins, wanted, actual))
    desired = _desired(tools.settings, record, cluster, item, errors, refusal)
    return Considered(desired, actual, plan(desired, actual, record, now))


def serving(pins: Pins, wanted: tuple[ImageBuild, ...], actual: Actual) -> Pins:
    """The pins with the images that jobs run: the wanted one as soon as it is there, else the one that was."""
    seen, before = actual.batch.images, pins.serving
    told = {each.name: each.tag if each.tag in seen else before.get(each.name, "") for each in wanted}
    return replace(pins, serving={name: tag for name, tag in told.items() if tag})


def _accept(tools: Tools, record: Record, item: Mapping[str, Any] | None) -> tuple[Record, tuple[FieldError, ...], str]:
    """The record with the spec accepted, or why it is not."""
    if item is None:
        return record, (), ""
    parsed = parse(from_item(item))
    if isinstance(parsed, Invalid):
        return record, parsed.errors, "InvalidSpec"
    if fixed := unchangeable(accepted_cluster(record), parsed):
        return record, fixed, "InvalidSpec"
    wanted = spec_hash(parsed)
    if record.accepted and record.accepted.spec_hash == wanted and _pinned(parsed, record.pins):
        return record.remember(accepted=accepted(record, parsed, wanted)), (), ""
    pins, errors = resolve(tools.clients, parsed, record.pins)
    if errors:
        return record, errors, "InvalidReference"
    return record.remember(accepted=accepted(record, parsed, wanted), pins=pins), (), ""


def _pinned(cluster: Cluster, pins: Pins) -> bool:
    """Whether nothing is left to be asked: a later version of Muster may need more than the one that accepted it."""
    return (
        required_images(cluster) <= pins.images.keys()
        and required_zones(cluster) <= pins.zones.keys()
        and required_shapes(cluster) <= pins.shapes.keys()
    )


def accepted(record: Record, cluster: Cluster, wanted: str) -> Accepted:
    """What the record keeps of a spec: as it was written, for defaults beside it may be refused."""
    written = cluster.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Accepted(record.generation, wanted, json.dumps(written, sort_keys=True))


def _desired(
    settings: Settings,
    record: Record,
    cluster: Cluster | None,
    item: Mapping[str, Any] | None,
    errors: tuple[FieldError, ...],
    refusal: str,
) -> Desired:
    known = cluster if cluster and _pinned(cluster, record.pins) else None
    return Desired(
        name=record.cluster,
        owner=settings.owner,
        version=VERSION,
        present=item is not None,
        cluster=cluster,
        rendered=rendered(settings, known, record.pins) if known else None,
        stack_spec_hash=stack_spec_hash(cluster, record.pins) if cluster else "",
        errors=tuple(str(error) for error in errors),
        refusal=refusal or "InvalidSpec",
        look_again=LOOK_AT_REFERENCES if refusal == "InvalidReference" else None,
        upgrade=bool(cluster and cluster.metadata.annotations.get(UPGRADE_ANNOTATION) == VERSION),
        facts=facts_document(known, record.pins) if known and is_slurm(known) else "",
    )


def accepted_cluster(record: Record) -> Cluster | None:
    """The cluster that was accepted; None if none was, or if this version of Muster cannot read it any more."""
    if record.accepted is None:
        return None
    parsed = parse(json.loads(record.accepted.document))
    return parsed if isinstance(parsed, Cluster) else None


def rendered(settings: Settings, cluster: Cluster, pins: Pins) -> Rendered:
    """The stack of a cluster under this control plane."""
    site = Site(
        owner=settings.owner,
        region=settings.region,
        partition=settings.partition,
        account=settings.account,
        artifacts_bucket=settings.artifacts_bucket,
        cleanup_function_arn=settings.cleanup_function_arn,
        state_table=settings.state_table,
        state_table_arn=settings.state_table_arn,
        agent=agent.digest() if is_slurm(cluster) else "",
    )
    return render(cluster, site, pins)


def stack_spec_hash(cluster: Cluster, pins: Pins) -> str:
    """A hash of the part of the spec that the stack's template depends on, and of what moves with it by itself: the
    images that are ready to serve, and the job definitions that have to be registered again.

    As in `spec_hash`, defaults do not count.
    """
    spec = cluster.spec.model_dump(mode="json", exclude=NOT_IN_STACK, exclude_defaults=True)
    moved = [pins.serving, pins.registrations] if pins.serving or pins.registrations else []
    text = json.dumps([spec, *moved] if moved else spec, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _carry_out(tools: Tools, considered: Considered, loaded: Record | None, owner: str, now: float) -> Report:
    plan = considered.plan
    phase = plan.phase
    timed, _ = _timer(plan.record.remember(pending=None), plan.next_look, now)
    if not plan.steps and not plan.events and timed == loaded:
        return Report(plan.record.cluster, "unchanged", phase, generation=plan.record.generation)
    held = _take(tools, plan.before, owner)
    told = _told(held, tools.now())
    record, done, events = plan.before, list[str](), list[Event]()
    hands = Hands(tools.clients, tools.settings, held.cluster, considered.desired.rendered, tools.seconds_left)
    for step in plan.steps:
        if tools.seconds_left() < MARGIN:
            _report(tools, held, record.remember(status=plan.record.status), now, [*events, *plan.events], now)
            return told("out of time", phase, tuple(done))
        call = Pending(type(step.action).__name__, subject(step.action), getattr(step.action, "token", ""), now)
        # What a call may make is remembered before it is made: its answer can be lost.
        record = record.remember(environments=step.after.environments, pins=step.after.pins)
        tools.store.announce(record.remember(pending=call, lease=held.lease))
        if isinstance(step.action, Forget):
            tools.store.forget(held, [*events, step.event], now)
            return told("forgotten", phase, (*done, words(step.action)))
        try:
            act(hands, step.action)
        except AwsError as error:
            if call.action in MAKERS and error.unclear:
                record = record.remember(unsettled=now)
            back = setback(record, plan.record.status, error, words(step.action), now)
            failed = Event("CallFailed", str(error), subject(step.action), warning=True)
            _report(tools, held, back.record, back.next_look, [*events, *plan.events, failed], now)
            return told(error.outcome.name.lower(), back.record.phase, tuple(done), str(error))
        record = step.after
        done.append(words(step.action))
        events.append(step.event)
    _report(tools, held, plan.record, plan.next_look, [*events, *plan.events], now)
    return told("acted" if done else "reported", phase, tuple(done))


def _told(held: Record, now: float) -> Callable[..., Report]:
    """Maker of the report of a pass that took the lease at this time."""
    return partial(Report, held.cluster, generation=held.generation, fence=held.lease.fence, taken=now)


def _take(tools: Tools, record: Record, owner: str) -> Record:
    """The lease, for as long as the function may still run: its clock is that of now, not of when the pass began."""
    return tools.store.take(record, owner, tools.seconds_left() + LEASE_SLACK, tools.now())


def _report(
    tools: Tools, held: Record, record: Record, next_look: float | None, events: list[Event], now: float
) -> None:
    record, delay = _timer(record.remember(pending=None, lease=held.lease), next_look, now)
    tools.store.report(record, events, now)
    if delay is not None:
        # After the record, not before: if this is lost the record still says when to look, and the sweep reads it.
        tools.clients.sqs.send_message(
            QueueUrl=tools.settings.inbox_queue_url,
            MessageBody=json.dumps({"timer": {"cluster": held.cluster}}),
            DelaySeconds=delay,
        )


def _timer(record: Record, next_look: float | None, now: float) -> tuple[Record, int | None]:
    """The record with its one pending timer, and the delay (seconds) of the message to send for it, if any."""
    if next_look is None:
        return record.remember(timer=None), None
    due = max(next_look, now + 1)
    if record.timer is not None and now < record.timer <= due:
        return record, None
    delay = int(min(due - now, LONGEST_TIMER) + 0.999)
    return record.remember(timer=round(now + delay, 3)), delay
