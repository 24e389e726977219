"""The cluster's stack: made, updated through a change set that is read first, and repaired, status by status."""

from collections.abc import Callable

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
from reconciler.plan.consent import holds
from reconciler.plan.draft import Draft
from reconciler.record import Failure, Rendering
from reconciler.statuses import (
    CHANGE_SET,
    CHANGE_SET_EXECUTABLE,
    CHANGE_SET_RUNNING,
    CHANGE_SET_SPENT,
    NO_CHANGES,
    STACK,
    STACK_FAILED,
    ChangeSetStep,
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


def rendering(draft: Draft) -> Rendering:
    """What a stack operation that starts now asks the stack to be."""
    rendered, desired = draft.rendered, draft.desired
    return Rendering(rendered.hash, desired.version, desired.stack_spec_hash, rendered.names, rendered.retained)


def _stack(draft: Draft) -> Stack:
    assert draft.actual.stack is not None
    return draft.actual.stack


def _create(draft: Draft) -> None:
    about, name = f"create {draft.rendered.hash}", stack_name(draft.desired.name)
    failure = draft.held_back(about)
    if failure:
        _failed(draft, "CreateFailed", failure)
        return
    if draft.record.stack_id and draft.failure_of(about) is None and draft.record.deleting_since is None:
        draft.tell(
            "StackMissing",
            f"Stack {name} is gone though its spec is there; it is made again.",
            name,
            warning=True,
        )
    tries = draft.failure_of(about)
    token = draft.token("create", draft.rendered.hash, tries.count if tries else 0)
    draft.act(
        CreateStack(name, draft.rendered.hash, token),
        "StackCreating",
        f"Creating stack {name}.",
        rendering=rendering(draft),
        sizes={},
        change_set="",
        unchanged="",
    )
    draft.condition("StackReady", False, "Creating", f"Stack {name} is being created.")
    draft.progress("Creating", f"Stack {name} is being created.")
    draft.phase("Creating")
    draft.look(LOOK_AT_STACK)


def _wait(draft: Draft) -> None:
    stack = _stack(draft)
    word = stack.status.split("_")[0].title()
    phase = {"Create": "Creating", "Update": "Updating"}.get(word, "Updating")
    reason = "RollingBack" if "ROLLBACK" in stack.status else {"Delete": "Deleting"}.get(word, phase)
    message = f"Stack {stack.name} is {stack.status}."
    draft.condition("StackReady", False, reason, message)
    draft.progress(reason, message)
    draft.phase(phase)
    draft.look(LOOK_AT_STACK)


def _recreate(draft: Draft) -> None:
    """A stack that can only be deleted. The same template is not tried for ever; another one is tried at once."""
    stack = _stack(draft)
    about = f"create {stack.tags.get(HASH_TAG, '')}"
    if stack.tags.get(HASH_TAG) == draft.rendered.hash:
        reason = stack.failure or stack.reason or stack.status
        draft.fail(about, reason, stack.id, tries=None if blocked_outside(reason) else 3)
        failure = draft.held_back(about)
        if failure:
            _failed(draft, "CreateFailed", failure)
            return
    token = draft.token("delete", stack.id, stack.status)
    message = f"Stack {stack.name} is {stack.status} and can only be deleted; it is deleted and made again."
    draft.act(DeleteStack(stack.id, token), "StackRecreating", message, warning=True)
    draft.condition("StackReady", False, "Recreating", message)
    draft.progress("Recreating", message)
    draft.phase("Creating")
    draft.look(LOOK_AT_STACK)


def _roll_back(draft: Draft) -> None:
    stack = _stack(draft)
    token = draft.token("rollback", draft.record.change_set, stack.status)
    message = f"Stack {stack.name} is {stack.status}; it is rolled back to its last good state."
    draft.act(RollbackStack(stack.name, token), "StackRollingBack", message, warning=True)
    draft.condition("StackReady", False, "RollingBack", message)
    draft.progress("RollingBack", message)
    draft.phase("Updating")
    draft.look(LOOK_AT_STACK)


def _continue_rollback(draft: Draft) -> None:
    stack = _stack(draft)
    about = f"continue rollback of {stack.id}"
    failure = draft.held_back(about)
    message = f"Stack {stack.name} is {stack.status}: {stack.failure or stack.reason or 'no reason is given'}."
    if failure is None:
        done = draft.failure_of(about)
        token = draft.token("continue", draft.record.change_set, done.count if done else 0)
        if not draft.paused:
            failure = draft.fail(about, stack.failure or stack.status, token)
        draft.act(
            ContinueUpdateRollback(stack.name, token),
            "RollbackContinued",
            f"{message} Its rollback is continued.",
        )
        draft.progress("RollingBack", message)
        draft.phase("Updating")
        draft.look(LOOK_AT_STACK)
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


_STEPS: dict[Step, Callable[[Draft], None]] = {
    Step.CREATE: _create,
    Step.WAIT: _wait,
    Step.RECREATE: _recreate,
    Step.ROLLBACK: _roll_back,
    Step.CONTINUE_ROLLBACK: _continue_rollback,
    Step.STOP: _stop,
}


def _steady(draft: Draft) -> None:
    stack, wanted = _stack(draft), draft.rendered.hash
    if wanted in (stack.tags.get(HASH_TAG), draft.record.unchanged):
        _settled(draft)
    elif not _asked(draft):
        _settled(draft)
        version = stack.tags.get("muster:version", "?")
        message = f"Rendered by {version}; `muster apply --upgrade` moves it to {draft.desired.version}."
        draft.condition("RenderingCurrent", False, "OlderVersion", message)
    else:
        _update(draft)


def _asked(draft: Draft) -> bool:
    """Whether the user asked for another stack: a new version of the operator by itself changes nothing."""
    last = draft.record.rendering
    return (
        last is None
        or draft.desired.upgrade
        or last.spec_hash != draft.desired.stack_spec_hash
        or last.hash != _stack(draft).tags.get(HASH_TAG)
    )


def _settled(draft: Draft) -> None:
    stack = _stack(draft)
    left = draft.actual.change_set
    if left and left.execution_status not in CHANGE_SET_SPENT:
        message = f"Change set {left.name} is no longer wanted."
        draft.act(DeleteChangeSet(stack.name, left.name), "ChangeSetDropped", message, change_set="")
    else:
        draft.remember(change_set="")
    failure = draft.record.failure
    if failure and failure.subject.split()[0] in ("create", "update", "continue"):
        draft.remember(failure=None)
    if draft.rendered.hash in (stack.tags.get(HASH_TAG), draft.record.unchanged):
        draft.remember(rendering=rendering(draft))
    draft.condition("StackReady", True, "UpToDate", f"Stack {stack.name} is {stack.status} and as rendered.")


def _update(draft: Draft) -> None:
    stack, wanted = _stack(draft), draft.rendered.hash
    about = f"update {wanted}"
    made, last = draft.record.change_set, draft.record.rendering
    if made and draft.actual.change_set is None and last and last.hash == wanted and stack.status in STACK_FAILED:
        draft.fail(about, stack.failure or stack.reason or stack.status, made)
        draft.remember(change_set="")
    failure = draft.held_back(about)
    if failure:
        _failed(draft, "UpdateFailed", failure)
        return
    tries = draft.failure_of(about)
    name = f"muster-{wanted[:16]}-{tries.count if tries else 0}"
    stale = draft.record.change_set
    if stale and stale != name:
        dropped = DeleteChangeSet(stack.name, stale)
        draft.act(dropped, "ChangeSetDropped", f"Change set {stale} is no longer wanted.", change_set="")
    seen = draft.actual.change_set
    if seen is None or seen.name != name:
        message = f"The spec changed: CloudFormation computes what that changes in stack {stack.name}."
        draft.act(CreateChangeSet(stack.name, name, wanted), "ChangeSetCreating", message, change_set=name)
        _updating(draft, message)
        draft.look(LOOK_AT_CHANGE_SET)
        return
    _read(draft, seen, about)


def _read(draft: Draft, seen: ChangeSet, about: str) -> None:
    stack = _stack(draft)
    step = CHANGE_SET.get(seen.status)
    if step is None:
        message = f"Change set {seen.name} has the status {seen.status}, which this version of Muster does not know."
        draft.condition("StackReady", False, "UnknownStatus", message)
        draft.stall("UnknownStatus", message)
        return
    if step is ChangeSetStep.WAIT or (step is ChangeSetStep.READ and seen.execution_status == CHANGE_SET_RUNNING):
        _updating(draft, f"Change set {seen.name} of stack {stack.name} is {seen.status}.")
        draft.look(LOOK_AT_CHANGE_SET)
    elif step is ChangeSetStep.READ and seen.execution_status == CHANGE_SET_EXECUTABLE:
        _judge(draft, seen)
    elif step is ChangeSetStep.FAILED and any(words in seen.reason for words in NO_CHANGES):
        message = "CloudFormation finds nothing to change."
        draft.act(
            DeleteChangeSet(stack.name, seen.name),
            "NoChanges",
            message,
            change_set="",
            unchanged=draft.rendered.hash,
        )
        _updating(draft, message)
        draft.look(LOOK_AT_CHANGE_SET)
    else:
        how = f"change set {seen.name} is {seen.status}, {seen.execution_status or 'not executable'}"
        reason = stack.failure or seen.reason or stack.reason or how
        if not draft.paused:
            draft.fail(about, reason, seen.name, tries=None if blocked_outside(reason) else 3)
        message = f"Change set {seen.name} cannot be carried out: {reason}"
        draft.act(DeleteChangeSet(stack.name, seen.name), "ChangeSetFailed", message, warning=True, change_set="")
        failure = draft.held_back(about)
        if failure:
            _failed(draft, "UpdateFailed", failure)
        else:
            _updating(draft, message)


def _judge(draft: Draft, seen: ChangeSet) -> None:
    stack = _stack(draft)
    old = draft.record.rendering
    names = {**(old.names if old else {}), **draft.rendered.names}
    held = holds(seen.changes, names, draft.actual, frozenset(draft.cluster.spec.consent))
    if held:
        message = "The update waits for consent. " + "; ".join(str(hold) for hold in held) + "."
        draft.condition("StackReady", False, "ConsentRequired", message)
        draft.stall("ConsentRequired", message, "Held")
        return
    message = f"Updating stack {stack.name}: {len(seen.changes)} changes."
    token = draft.token("execute", seen.name)
    draft.act(
        ExecuteChangeSet(stack.name, seen.name, token),
        "StackUpdating",
        message,
        rendering=rendering(draft),
    )
    _updating(draft, message)
    draft.look(LOOK_AT_STACK)


def _updating(draft: Draft, message: str) -> None:
    draft.condition("StackReady", False, "Updating", message)
    draft.progress("Updating", message)
    draft.phase("Updating")


def _failed(draft: Draft, reason: str, failure: Failure) -> None:
    if failure.retry_at is None:
        message = f"{failure.reason} (tried {failure.count} times; tried again when the spec changes)"
        draft.stall(reason, message)
    else:
        message = f"{failure.reason} (tried {failure.count} times; tried again in a while)"
        draft.progress(reason, message)
        draft.phase("Failed")
    draft.condition("StackReady", False, reason, message)
