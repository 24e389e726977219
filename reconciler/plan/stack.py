"""The cluster's stack: made, updated through a change set that is read first, and repaired, status by status."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from reconciler.actions import (
    ContinueUpdateRollback,
    CreateChangeSet,
    CreateStack,
    DeleteChangeSet,
    DeleteStack,
    ExecuteChangeSet,
    RollbackStack,
)
from reconciler.facts import HASH_TAG, ChangeSet, Stack, stack_name
from reconciler.outcomes import blocked_outside
from reconciler.plan import deletion, groups
from reconciler.plan.consent import holds, purchases
from reconciler.plan.draft import MAX_TRIES, Draft
from reconciler.record import Failure, Rendering
from reconciler.slurm import is_slurm
from reconciler.statuses import (
    CHANGE_SET,
    EXECUTION,
    NO_CHANGES,
    STACK,
    STACK_FAILED,
    UNDER_WAY,
    ChangeSetStep,
    Execution,
    Step,
)

# Seconds. CloudFormation's events say when a stack is done, so looking is only the backstop; nothing says when a
# change set is.
LOOK_AT_STACK, LOOK_AT_CHANGE_SET = 120, 5


def plan(draft: Draft) -> bool:
    """Plan for the stack. True when it stands still, so that what it holds can be looked at and moved."""
    stack = draft.actual.stack
    step = STACK.get(stack.status) if stack else Step.CREATE
    if stack:
        draft.remember(stack_id=stack.id)
    if step is None:
        _unknown(draft)
    elif step is Step.STEADY:
        _steady(draft)
    else:
        _STEPS[step](draft)
    return step is Step.STEADY


def at_rest(draft: Draft) -> bool:
    """Whether CloudFormation neither works on the stack nor left it halfway, so that its outputs are what it has."""
    stack = draft.actual.stack
    return stack is None or STACK.get(stack.status) in (Step.CREATE, Step.RECREATE, Step.STEADY)


def rendering(draft: Draft) -> Rendering:
    """What a stack operation that starts now asks the stack to be."""
    rendered, desired = draft.rendered, draft.desired
    return Rendering(rendered.hash, desired.version, desired.stack_spec_hash, rendered.names, rendered.retained)


def _stack(draft: Draft) -> Stack:
    assert draft.actual.stack is not None
    return draft.actual.stack


def _try_of(draft: Draft, verb: str) -> str:
    """What failures are counted for: one template for one generation, so that an edit of the spec starts anew."""
    accepted = draft.record.accepted
    return f"{verb} {draft.rendered.hash} of generation {accepted.generation if accepted else 0}"


def _tries(reason: str) -> int | None:
    """How often a stack operation that failed for this reason is tried: rights and quotas change without the spec."""
    return None if blocked_outside(reason) else MAX_TRIES


def _create(draft: Draft) -> None:
    about, name = _try_of(draft, "create"), stack_name(draft.desired.name)
    failure = draft.held_back(about)
    if failure:
        _failed(draft, "CreateFailed", failure)
        return
    if _in_the_way(draft):
        return
    tries = draft.failure_of(about)
    lost = bool(draft.record.stack_id and draft.record.rendering and tries is None)
    reason = "StackMissing" if lost else "StackCreating"
    message = f"Stack {name} is {'gone though its spec is there; it is made again' if lost else 'being created'}."
    create = CreateStack(name, draft.rendered.hash, draft.token(about, tries.count if tries else 0))
    remembered: dict[str, Any] = {"rendering": rendering(draft), "sizes": {}, "change_set": "", "unchanged": ""}
    remembered |= _environments(draft)
    if draft.act(create, reason, message, warning=lost, **remembered):
        _under_way(draft, "Creating", message, "Creating", LOOK_AT_STACK)
    else:
        _withheld(draft, f"Stack {name} does not exist.")


def _wait(draft: Draft) -> None:
    stack = _stack(draft)
    reason, phase = UNDER_WAY[stack.status]
    _under_way(draft, reason, f"Stack {stack.name} is {stack.status}.", phase, LOOK_AT_STACK)


def _recreate(draft: Draft) -> None:
    """A stack that can only be deleted. The same template is not tried for ever; another one is tried at once."""
    stack = _stack(draft)
    if stack.tags.get(HASH_TAG) == draft.rendered.hash:
        about = _try_of(draft, "create")
        reason = stack.failure or stack.reason or stack.status
        draft.fail(about, reason, stack.id, tries=_tries(reason))
        failure = draft.held_back(about)
        if failure:
            _failed(draft, "CreateFailed", failure)
            return
    message = f"Stack {stack.name} is {stack.status} and can only be deleted; it is deleted and made again."
    delete = DeleteStack(stack.id, draft.token("delete", stack.id, stack.status))
    # Without its rendering, the next pass knows that the stack is gone because of this.
    if draft.act(delete, "StackRecreating", message, warning=True, rendering=None):
        _under_way(draft, "Recreating", message, "Creating", LOOK_AT_STACK)
    else:
        _withheld(draft, message)


def _roll_back(draft: Draft) -> None:
    stack = _stack(draft)
    rollback = RollbackStack(stack.name, draft.token("rollback", draft.record.change_set, stack.status))
    cause = stack.failure or stack.reason or "no reason is given"
    message = f"Stack {stack.name} is {stack.status}: {cause}. It is rolled back to its last good state."
    if draft.act(rollback, "StackRollingBack", message, warning=True):
        _under_way(draft, "RollingBack", message, "Updating", LOOK_AT_STACK)
    else:
        _withheld(draft, message)


def _continue_rollback(draft: Draft) -> None:
    stack = _stack(draft)
    about = f"continue rollback of {stack.id}"
    message = f"Stack {stack.name} is {stack.status}: {stack.failure or stack.reason or 'no reason is given'}."
    failure, tried = draft.held_back(about), draft.failure_of(about)
    if failure is None:
        token = draft.token("continue", draft.record.change_set, tried.count if tried else 0)
        counted = draft.counted(about, stack.failure or stack.status, token)
        told = f"{message} Its rollback is continued."
        if draft.act(ContinueUpdateRollback(stack.name, token), "RollbackContinued", told, failure=counted):
            _under_way(draft, "RollingBack", message, "Updating", LOOK_AT_STACK)
    elif failure.retry_at is None:
        way_out = "Repair or delete the resource that it names, then continue the rollback in CloudFormation."
        draft.stall("RollbackStuck", f"{message} {failure.count} tries did not help. {way_out}")
    else:
        draft.progress("RollingBack", message)
    draft.condition("StackReady", False, "RollbackFailed", message)


def _stop(draft: Draft) -> None:
    stack = _stack(draft)
    message = (
        f"Stack {stack.name} is {stack.status}, which the operator does not touch: {stack.reason or 'look at it'}."
    )
    draft.condition("StackReady", False, "StackStopped", message)
    draft.stall("StackStopped", message)
    draft.look(3600)


def _unknown(draft: Draft) -> None:
    stack = _stack(draft)
    message = f"Stack {stack.name} has the status {stack.status}, which this version of Muster does not know."
    draft.condition("StackReady", False, "UnknownStatus", message)
    draft.stall("UnknownStatus", f"{message} Update the control plane.")
    draft.look(3600)


def _delete_again(draft: Draft) -> None:
    deletion.retry(draft, _stack(draft))


_STEPS: dict[Step, Callable[[Draft], None]] = {
    Step.DELETE_AGAIN: _delete_again,
    Step.CREATE: _create,
    Step.WAIT: _wait,
    Step.RECREATE: _recreate,
    Step.ROLLBACK: _roll_back,
    Step.CONTINUE_ROLLBACK: _continue_rollback,
    Step.STOP: _stop,
}


def _steady(draft: Draft) -> None:
    stack = _stack(draft)
    if _is(draft, draft.rendered.hash):
        _settled(draft)
    elif not _asked(draft):
        _settled(draft)
        version = stack.tags.get("muster:version", "?")
        message = f"Rendered by {version}; `muster apply --upgrade` moves it to {draft.desired.version}."
        draft.condition("RenderingCurrent", False, "OlderVersion", message)
    else:
        _update(draft)


def _is(draft: Draft, template: str) -> bool:
    """Whether the stack is what a template asks for: made from it, or found by CloudFormation not to differ."""
    made = _stack(draft).tags.get(HASH_TAG, "")
    return template == made or draft.record.unchanged == f"{made}/{template}"


def _asked(draft: Draft) -> bool:
    """Whether the user asked for another stack: a new version of the operator by itself changes nothing."""
    last = draft.record.rendering
    return (
        last is None
        or draft.desired.upgrade
        or last.spec_hash != draft.desired.stack_spec_hash
        or not _is(draft, last.hash)
    )


def _settled(draft: Draft) -> None:
    stack = _stack(draft)
    left = draft.actual.change_set
    if left and EXECUTION.get(left.execution_status) not in (Execution.RUNNING, Execution.SPENT):
        message = f"Change set {left.name} is no longer wanted."
        draft.act(DeleteChangeSet(stack.name, left.name), "ChangeSetDropped", message, change_set="")
    else:
        draft.remember(change_set="")
    draft.remember(failure=None)
    if _is(draft, draft.rendered.hash):
        draft.remember(rendering=rendering(draft))
    draft.condition("StackReady", True, "UpToDate", f"Stack {stack.name} is {stack.status} and as rendered.")


def _update(draft: Draft) -> None:
    stack, wanted = _stack(draft), draft.rendered.hash
    about = _try_of(draft, "update")
    made, last = draft.record.change_set, draft.record.rendering
    if made and draft.actual.change_set is None and last and last.hash == wanted and stack.status in STACK_FAILED:
        reason = stack.failure or stack.reason or stack.status
        draft.fail(about, reason, made, tries=_tries(reason))
        draft.remember(change_set="")
    failure = draft.held_back(about)
    if failure:
        _failed(draft, "UpdateFailed", failure)
        return
    if _in_the_way(draft):
        return
    name = _change_set_name(draft, about)
    stale = draft.record.change_set
    if stale and stale != name:
        dropped = DeleteChangeSet(stack.name, stale)
        draft.act(dropped, "ChangeSetDropped", f"Change set {stale} is no longer wanted.", change_set="")
    seen = draft.actual.change_set
    if seen and seen.name == name:
        _read(draft, seen, about)
        return
    message = f"The spec changed: CloudFormation computes what that changes in stack {stack.name}."
    if draft.act(CreateChangeSet(stack.name, name, wanted), "ChangeSetCreating", message, change_set=name):
        _updating(draft, message, LOOK_AT_CHANGE_SET)
    else:
        _withheld(draft, message)


def _change_set_name(draft: Draft, about: str) -> str:
    """A name of its own for each try, for the failures are told apart by it."""
    accepted, tried = draft.record.accepted, draft.failure_of(about)
    generation, tries = accepted.generation if accepted else 0, tried.count if tried else 0
    return f"muster-{draft.rendered.hash[:16]}-{generation}-{tries}"


def _read(draft: Draft, seen: ChangeSet, about: str) -> None:
    step, execution = CHANGE_SET.get(seen.status), EXECUTION.get(seen.execution_status)
    state = f"{seen.status}, {seen.execution_status or 'with no execution status'}"
    if step is None or (step is ChangeSetStep.READ and execution is None):
        message = f"Change set {seen.name} is {state}, which this version of Muster does not know."
        draft.condition("StackReady", False, "UnknownStatus", message)
        draft.stall("UnknownStatus", message)
    elif step is ChangeSetStep.WAIT or (step is ChangeSetStep.READ and execution is Execution.RUNNING):
        _updating(draft, f"Change set {seen.name} of stack {_stack(draft).name} is {state}.", LOOK_AT_CHANGE_SET)
    elif step is ChangeSetStep.READ and execution is Execution.READY:
        _judge(draft, seen)
    elif step is ChangeSetStep.FAILED and any(words in seen.reason for words in NO_CHANGES):
        _unchanged(draft, seen)
    else:
        _refused(draft, seen, about, state)


def _unchanged(draft: Draft, seen: ChangeSet) -> None:
    message = "CloudFormation finds nothing to change."
    stack = _stack(draft)
    dropped = DeleteChangeSet(stack.name, seen.name)
    unchanged = f"{stack.tags.get(HASH_TAG, '')}/{draft.rendered.hash}"
    if draft.act(dropped, "NoChanges", message, change_set="", unchanged=unchanged):
        _updating(draft, message, LOOK_AT_CHANGE_SET)
    else:
        _withheld(draft, message)


def _refused(draft: Draft, seen: ChangeSet, about: str, state: str) -> None:
    stack = _stack(draft)
    # A change set that could not be made has its own reason; the stack's is then of an earlier operation.
    failed = CHANGE_SET.get(seen.status) is ChangeSetStep.FAILED
    reason = (seen.reason if failed else stack.failure or stack.reason) or f"change set {seen.name} is {state}"
    failure = draft.counted(about, reason, seen.name, tries=_tries(reason))
    message = f"Change set {seen.name} cannot be carried out: {reason}"
    dropped = DeleteChangeSet(stack.name, seen.name)
    draft.act(dropped, "ChangeSetFailed", message, warning=True, change_set="", failure=failure)
    _failed(draft, "UpdateFailed", failure)


def _judge(draft: Draft, seen: ChangeSet) -> None:
    stack = _stack(draft)
    old = draft.record.rendering
    names = {**(old.names if old else {}), **draft.rendered.names}
    spec, consent = draft.cluster.spec, frozenset(draft.cluster.spec.consent)
    held = holds(seen.changes, names, draft.actual, consent) + purchases(spec.queues, draft.actual, consent)
    if held:
        message = "The update waits for consent. " + "; ".join(str(hold) for hold in held) + "."
        draft.condition("StackReady", False, "ConsentRequired", message)
        draft.stall("ConsentRequired", message, "Held")
        return
    if left := _nodes_of_removed_queues(draft):
        _updating(draft, f"The update of stack {stack.name} waits for {left}.", LOOK_AT_STACK)
        return
    message = f"Updating stack {stack.name}: {len(seen.changes)} changes."
    execute = ExecuteChangeSet(stack.name, seen.name, draft.token("execute", seen.id))
    # Until the update has ended well, the stack may hold what the old spec named as well as what the new one names.
    retained = {**(old.retained if old else {}), **draft.rendered.retained}
    asked = replace(rendering(draft), names=names, retained=retained)
    if draft.act(execute, "StackUpdating", message, rendering=asked, **_environments(draft)):
        _updating(draft, message, LOOK_AT_STACK)
    else:
        _withheld(draft, message)


def _nodes_of_removed_queues(draft: Draft) -> str:
    """What has to go before CloudFormation removes a group: it cannot end protected nodes, and these may have jobs."""
    left = [group for group in groups.removed(draft) if group.members] if is_slurm(draft.cluster) else []
    return " and ".join(f"{len(group.members)} nodes of {group.name} to go" for group in left)


def _environments(draft: Draft) -> dict[str, Any]:
    """What to remember of the compute environments that an operation may make: they can outlive the stack."""
    batch = draft.rendered.batch
    if batch is None:
        return {}
    known = {*draft.record.environments, *batch.environments}
    pins = draft.record.pins
    vcpus = {name: most for name, most in {**pins.vcpus, **batch.vcpus}.items() if name in known}
    return {"environments": tuple(sorted(known)), "pins": replace(pins, vcpus=vcpus)}


def _in_the_way(draft: Draft) -> bool:
    """Whether AWS would refuse what the stack is to become: because of what stands already, on its way out or not."""
    if draft.fixed:
        message = f"{'; '.join(draft.fixed)}."
        draft.condition("StackReady", False, "CannotChange", message)
        draft.stall("CannotChange", message, "Invalid")
        return True
    if draft.in_the_way:
        message = f"What the spec wants again is still on its way out: {'; '.join(draft.in_the_way)}."
        _updating(draft, message, LOOK_AT_STACK)
    return bool(draft.in_the_way)


def _under_way(draft: Draft, reason: str, message: str, phase: str, seconds: float) -> None:
    draft.condition("StackReady", False, reason, message)
    draft.progress(reason, message)
    draft.phase(phase)
    draft.look(seconds)


def _updating(draft: Draft, message: str, seconds: float) -> None:
    _under_way(draft, "Updating", message, "Updating", seconds)


def _withheld(draft: Draft, message: str) -> None:
    """Something is to be done, and is not: the draft says why."""
    draft.condition("StackReady", False, "Withheld", message)


def _failed(draft: Draft, reason: str, failure: Failure) -> None:
    if failure.retry_at is None:
        message = f"{failure.reason} (tried {failure.count} times; tried again when the spec changes)"
        draft.stall(reason, message)
    else:
        message = f"{failure.reason} (tried {failure.count} times; tried again in a while)"
        draft.progress(reason, message)
        draft.phase("Failed")
        draft.look(failure.retry_at - draft.now)
    draft.condition("StackReady", False, reason, message)
