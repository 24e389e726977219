"""The head node: watched, reported, and never rebuilt by the operator's own decision."""

from reconciler.plan.draft import Draft
from reconciler.statuses import HEAD_NODE, HeadNode

WAY_OUT = "Start it, or restore it from its volumes; the operator does not rebuild a head node by itself."


def plan(draft: Draft) -> None:
    """Say how the head node is. Nothing is done about it."""
    head = draft.actual.head
    if head is None:
        _down(draft, "HeadNodeMissing", f"No instance bears the head node's tags. {WAY_OUT}")
        return
    state = HEAD_NODE.get(head.state)
    if state is HeadNode.RUNNING:
        draft.condition("HeadNodeReady", True, "Running", f"Instance {head.id} is running.")
    elif state is HeadNode.STARTING:
        draft.condition("HeadNodeReady", False, "Starting", f"Instance {head.id} is {head.state}.")
        draft.progress("Starting", f"The head node {head.id} is {head.state}.")
        draft.look(30)
    elif state in (HeadNode.DOWN, HeadNode.GONE):
        _down(draft, "HeadNodeDown", f"Instance {head.id} is {head.state}. {WAY_OUT}")
    else:
        message = f"Instance {head.id} is {head.state}, a state this version of Muster does not know."
        _down(draft, "UnknownStatus", message)


def _down(draft: Draft, reason: str, message: str) -> None:
    draft.condition("HeadNodeReady", False, reason, message)
    draft.stall(reason, message, "Degraded")
