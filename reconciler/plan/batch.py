"""Compute environments, job queues and job definitions: their sizes and states, and whether they are sound."""

from dataclasses import replace
from typing import Any

from reconciler.actions import UpdateComputeEnvironment, UpdateJobQueue
from reconciler.batch import DEFINITION, Environment, JobQueue, arns
from reconciler.cluster import batch as cluster
from reconciler.cluster.batch import FARGATE, ComputeEnvironment
from reconciler.cluster.errors import MISSING, FieldError
from reconciler.facts import job_definition_name, job_queue_name
from reconciler.plan.draft import Draft, Trouble, worst
from reconciler.render.batch import BatchRendered
from reconciler.statuses import ENABLED, STANDING, Standing

# Seconds between looks: at what Batch moves, for which there are no events, and at queues that have jobs, whose numbers
# the status shows; and at a word that nobody knows, for there may be another by then.
LOOK_AT_BATCH, LOOK_AT_JOBS, LOOK_AT_UNKNOWN = 10, 300, 3600
RANK = ("Changing", "Withheld", "Missing", "Deregistered", "Invalid", "UnknownStatus")
ENABLE = "ENABLED"

Sizes = tuple[int, int, int | None]


def plan(draft: Draft) -> None:
    """Plan for all that the stack holds of Batch, which stands still."""
    rendered = draft.rendered.batch
    assert rendered is not None
    spec = draft.cluster.spec.batch
    assert spec is not None
    known = {each.name: each for each in spec.compute_environments}
    # An older rendering's, as long as no update was asked for.
    held = draft.actual.batch.current
    found = [_environment(draft, known[of], name) for name, of in rendered.environments.items() if name in held]
    draft.remember(sizes={name: size for name, size in draft.record.sizes.items() if name in held})
    _sum_up(draft, "ComputeReady", found, "Every compute environment is as specified.")
    queues = [_queue(draft, each, rendered) for each in spec.queues]
    definitions = [_definition(draft, each.name) for each in spec.job_definitions]
    _sum_up(draft, "QueuesReady", [*queues, *definitions], "Jobs can be submitted to every queue.")


def judge(draft: Draft) -> None:
    """Find what Batch would refuse to change, so that no update of the stack is begun that could only fail.

    A queue keeps the way of scheduling that it was made with (UpdateJobQueue, schedulingPolicyArn).
    """
    spec = draft.cluster.spec.batch
    for index, wanted in enumerate(spec.queues if spec else ()):
        seen = draft.actual.batch.job_queue(job_queue_name(draft.desired.name, wanted.name))
        if seen and seen.fair_share != bool(wanted.fair_share):
            has, fix = ("set", "put it back") if seen.fair_share else ("not set", "remove it")
            rule = f"it was {has} when job queue {seen.name} was made, and AWS Batch cannot change that"
            error = FieldError(
                f"spec.batch.queues[{index}].fairShare",
                "set" if wanted.fair_share else MISSING,
                rule,
                f"{fix}, or give the queue another name",
            )
            draft.fixed.append(str(error))


def _sum_up(draft: Draft, kind: str, found: list[Trouble | None], well: str) -> None:
    troubles = [trouble for trouble in found if trouble]
    if troubles:
        draft.condition(kind, False, *worst(troubles, RANK))
    else:
        draft.condition(kind, True, "AsSpecified", well)


def show_environment(draft: Draft, seen: Environment, name: str, **more: Any) -> None:
    """Put an environment into the status."""
    shown = {
        "name": name,
        "environment": seen.name,
        "type": seen.kind,
        "state": seen.state,
        "status": seen.status,
        "min": seen.min,
        "max": seen.max,
        "desired": seen.desired,
    }
    draft.show("environments", {**shown, **({"reason": seen.reason} if seen.reason else {}), **more})


def show_queue(draft: Draft, seen: JobQueue) -> None:
    """Put a queue with the numbers of its jobs into the status."""
    shown: dict[str, Any] = {"name": seen.queue, "queue": seen.name, "state": seen.state, "status": seen.status}
    shown |= {"jobs": dict(seen.jobs)}
    shown |= {"reason": seen.reason} if seen.reason else {}
    draft.queues.append({**shown, **({"more": True} if seen.more else {})})


def strange(draft: Draft, what: str, seen: Environment | JobQueue) -> str:
    """What is said of something of Batch's whose status or state no table knows; empty if they do."""
    unknown = seen.status if seen.status not in STANDING else "" if seen.state in ENABLED else seen.state
    if not unknown:
        return ""
    message = f"{what} is {unknown}, which this version of Muster does not know"
    draft.stall("UnknownStatus", f"{message}. Update the control plane.", "Degraded")
    draft.look(LOOK_AT_UNKNOWN)
    return message


def standing(draft: Draft, what: str, seen: Environment | JobQueue) -> Trouble | None:
    """What is the matter with the status or the state of something of Batch's; None if it can be changed."""
    if told := strange(draft, what, seen):
        return "UnknownStatus", told
    step = STANDING[seen.status]
    if step is Standing.BROKEN:
        message = f"{what} is {seen.status}: {seen.reason or 'Batch gives no reason'}"
        draft.stall("Invalid", message, "Degraded")
        return "Invalid", message
    if step in (Standing.MOVING, Standing.GOING):
        return changing(draft, f"{what} is {seen.status}")
    return None


def changing(draft: Draft, message: str) -> Trouble:
    """Something is under way in Batch, which sends no event at its end."""
    draft.look(LOOK_AT_BATCH)
    draft.progress("Changing", f"{message}.")
    draft.phase("Updating")
    return "Changing", message


def _missing(draft: Draft, what: str) -> Trouble:
    message = f"{what} is gone though the stack has it. Remove it from the spec, let the update end, and add it again"
    draft.stall("Missing", message, "Degraded")
    return "Missing", message


def _environment(draft: Draft, wanted: ComputeEnvironment, name: str) -> Trouble | None:
    seen, what = draft.actual.batch.environment(name), f"compute environment {name}"
    if seen is None:
        return _missing(draft, what)
    show_environment(draft, seen, wanted.name)
    if trouble := standing(draft, what, seen):
        return trouble
    sizes = _sizes(wanted)
    update = _difference(draft, wanted, seen, sizes)
    if update is None:
        _applied(draft, name, sizes)
        return None
    last = draft.record.sizes.get(name)
    by_hand = last is not None and (last == sizes or not seen.enabled)
    was = f"{seen.state}, min {seen.min}, max {seen.max}, desired {seen.desired}"
    now = f"{ENABLE}, min {sizes[0]}, max {sizes[1]}"
    reason = "EnvironmentRestored" if by_hand else "SizesApplied"
    message = f"Set from {was} to {now}."
    remembered = {**draft.record.sizes, name: sizes}
    if draft.act(update, reason, message, warning=by_hand, sizes=remembered):
        return changing(draft, f"{what} is being set to {now}")
    return "Withheld", f"{what} has {was}, and is to have {now}"


def _sizes(wanted: ComputeEnvironment) -> Sizes:
    return wanted.min_vcpus or 0, wanted.max_vcpus, wanted.desired_vcpus


def _applied(draft: Draft, name: str, sizes: Sizes) -> None:
    if draft.record.sizes.get(name) != sizes and not draft.paused:
        draft.remember(sizes={**draft.record.sizes, name: sizes})


def _difference(
    draft: Draft, wanted: ComputeEnvironment, seen: Environment, sizes: Sizes
) -> UpdateComputeEnvironment | None:
    low, high, start = sizes
    fargate = wanted.type in FARGATE
    state = None if seen.enabled else ENABLE
    least = None if fargate or seen.min == low else low
    most = None if seen.max == high else high
    # Batch moves it with the jobs, and lets nobody lower it ("Error message when you update the desiredvCpus setting",
    # AWS Batch user guide): it is set when the user asks, and never put back.
    _, _, applied = draft.record.sizes.get(seen.name, (0, 0, None))
    asked = start is not None and start != applied and start > seen.desired
    desired = start if asked and not fargate else None
    if (state, least, most, desired) == (None, None, None, None):
        return None
    return UpdateComputeEnvironment(seen.name, state, least, most, desired)


def _queue(draft: Draft, wanted: cluster.JobQueue, rendered: BatchRendered) -> Trouble | None:
    name = job_queue_name(draft.desired.name, wanted.name)
    seen, what = draft.actual.batch.job_queue(name), f"job queue {name}"
    if seen is None:
        # An update that is on its way may be what brings it.
        settled = draft.conditions["StackReady"].status
        return _missing(draft, what) if settled else ("Withheld", f"{what} is not in the stack yet")
    show_queue(draft, seen)
    if seen.jobs:
        draft.look(LOOK_AT_JOBS)
    if trouble := standing(draft, what, seen):
        return trouble
    # What an update of the stack may be about to change is no drift.
    judged, state = _as_rendered(draft), None if seen.enabled else ENABLE
    priority = wanted.priority if judged and wanted.priority != seen.priority else None
    order = rendered.orders[name] if judged and rendered.orders[name] != seen.environments else None
    if (state, priority, order) == (None, None, None):
        return None
    was = f"{seen.state}, priority {seen.priority}, environments {', '.join(seen.environments)}"
    if order and not all(_sound(draft, each) for each in order):
        # "The compute environments must be in the VALID state before you can associate them" (CreateJobQueue).
        return "Withheld", f"{what} has {was}, and is put back once its environments are VALID"
    message = f"Set from {was}, to what the spec says."
    if draft.act(UpdateJobQueue(name, state, priority, order), "QueueRestored", message, warning=True):
        return changing(draft, f"{what} is being put back as specified")
    return "Withheld", f"{what} has {was}"


def _sound(draft: Draft, environment: str) -> bool:
    seen = draft.actual.batch.environment(environment)
    return seen is not None and STANDING.get(seen.status) is Standing.SOUND


def _as_rendered(draft: Draft) -> bool:
    ready = draft.conditions.get("StackReady")
    return ready is not None and ready.status and "RenderingCurrent" not in draft.conditions


def _definition(draft: Draft, of: str) -> Trouble | None:
    """One that was deregistered is registered anew by an update of the stack."""
    if not _as_rendered(draft):
        return None
    name = job_definition_name(draft.desired.name, of)
    held = arns(draft.actual.stack.outputs if draft.actual.stack else {}, DEFINITION)
    arn = next((each for each in held if each.rpartition("/")[2].rpartition(":")[0] == name), "")
    if not arn:
        return _missing(draft, f"job definition {name}")
    if draft.actual.batch.definitions.get(arn, False):
        return None
    message = f"Job definition {arn.rpartition('/')[2]} was deregistered"
    if not draft.paused:
        pins = draft.record.pins
        again = {**pins.registrations, of: pins.registrations.get(of, 0) + 1}
        draft.remember(pins=replace(pins, registrations=again))
        told = f"{message}; it is registered anew."
        draft.tell("DefinitionDeregistered", told, f"job definition {name}", warning=True)
        draft.progress("Deregistered", told)
        draft.look(1)
    return "Deregistered", f"{message}; an update of the stack registers it anew"
