"""Every decision of the operator: what is wanted and what is there, in; what to do about it, out.

A pure function. No clock, no network, no randomness: the caller gives the time, and a jitter is a hash. So every
decision can stand in a table, be fuzzed, and be shown to the user before it is taken.
"""

from reconciler.facts import Actual
from reconciler.plan import batch, deletion, drain, elastic, fleet, head_node, images, stack
from reconciler.plan.draft import Condition, Desired, Draft, Plan
from reconciler.record import Record
from reconciler.slurm import is_slurm

__all__ = ["Condition", "Desired", "Plan", "plan"]


def plan(desired: Desired, actual: Actual, record: Record, now: float) -> Plan:
    """What the next pass does for a cluster, and what it tells its user.

    `now` is in seconds since the epoch. The plan's record is what to remember once the actions are done.
    """
    draft = Draft(desired, actual, record, now)
    if desired.present and deletion.is_halfway(draft):
        _accept(draft)
        deletion.finish(draft)
    elif desired.present:
        _keep(draft)
    else:
        deletion.plan(draft, keep=_watch)
    return draft.close()


def _keep(draft: Draft) -> None:
    draft.remember(deleting_since=None)
    _accept(draft)
    if draft.desired.cluster is None:
        draft.condition("StackReady", False, "NoAcceptedSpec", "No spec of this cluster has been accepted yet.")
        draft.condition("Reconciling", False, "NoAcceptedSpec", "Nothing is done before a spec is accepted.")
        draft.phase("Invalid")
        return
    _watch(draft)


def _accept(draft: Draft) -> None:
    desired, accepted = draft.desired, draft.record.accepted
    if not desired.errors:
        draft.condition("SpecAccepted", True, "Accepted", f"Generation {draft.record.generation} is accepted.")
        return
    kept = f" Generation {accepted.generation} stays in force." if accepted else ""
    draft.condition("SpecAccepted", False, desired.refusal, "; ".join(desired.errors) + "." + kept)
    draft.stall(desired.refusal, f"The spec is refused.{kept}")
    draft.phase("Invalid")
    if desired.look_again:
        draft.look(desired.look_again)


def _watch(draft: Draft) -> None:
    if draft.desired.rendered is None:
        message = (
            "This version of Muster has to ask AWS more about the accepted spec than its predecessor had asked, and "
            "asks when a spec is accepted. Correct the spec, or put it back."
        )
        draft.condition("StackReady", False, "NotRendered", message)
        draft.stall("NotRendered", message)
        return
    seen = draft.actual.stack
    if seen and not seen.owned_by(draft.desired.owner, draft.desired.name):
        message = (
            f"A stack {seen.name} exists that this operator did not make (its {'muster:owner'} tag is not "
            f"{draft.desired.owner!r}). Delete or rename it, or give the cluster another name."
        )
        draft.condition("StackReady", False, "StackNotOwned", message)
        draft.stall("StackNotOwned", message)
        draft.look(3600)
        return
    if draft.cluster.spec.batch:
        _watch_batch(draft)
    elif is_slurm(draft.cluster):
        if stack.plan(draft):
            head_node.plan(draft)
            elastic.plan(draft)
    elif stack.plan(draft):
        fleet.plan(draft)
        head_node.plan(draft)


def _watch_batch(draft: Draft) -> None:
    if stack.at_rest(draft):
        drain.replaced(draft)
    images.plan(draft)
    batch.judge(draft)
    if stack.plan(draft):
        batch.plan(draft)
        if draft.cluster.spec.head_node:
            head_node.plan(draft)
