"""The head node's agent, by whose word a fleet is moved: what it is told, and whether its word can be relied on."""

from reconciler.actions import PutFacts
from reconciler.nodes import NodeFacts
from reconciler.plan.draft import Draft, iso
from reconciler.slurm import keeping

# Seconds. The agent writes its row every 60; a cluster that is at rest is looked at to see that it still does, and
# because the message that would have told of its jobs may be lost. A head node that has said nothing so long after its
# start says nothing any more: as long as a compute node has.
SILENT, LOOK_AT_AGENT, LOOK_FOR_AGENT, BOOT = 300, 300, 60, 1800


def document(draft: Draft, facts: NodeFacts) -> str:
    """What the head node has to know: the queues of the spec, and those whose groups are there yet."""
    there, settled = {group.queue for group in draft.actual.groups}, draft.conditions["StackReady"].status
    return keeping(draft.desired.facts, facts.facts_document, there, settled=settled)


def tell(draft: Draft, facts: NodeFacts) -> None:
    """Tell the head node of its queues, if that is not what it was told last."""
    told = document(draft, facts)
    if told and told != facts.facts_document:
        message = "The head node is told of the queues as they are specified."
        draft.act(PutFacts(draft.desired.name, told), "FactsTold", message)


def speaks(draft: Draft, facts: NodeFacts) -> bool:
    """Whether the head node says anything. Without its word no node is taken and none is added."""
    if not draft.conditions["HeadNodeReady"].status:
        return False
    if facts.agent_at is None and draft.now - _started(draft) <= BOOT:
        message = "The head node runs; its agent has not reported yet."
        draft.condition("HeadNodeReady", False, "Waiting", message)
        draft.progress("Waiting", message)
        draft.phase("Creating")
        draft.look(LOOK_FOR_AGENT)
        return False
    if facts.agent_at is None:
        never = f"has reported nothing since it was started at {iso(_started(draft))}"
        return _silent(draft, never, "the log of its first boot, which the cluster's log group has,")
    if draft.now - facts.agent_at > SILENT:
        return _silent(draft, f"has reported nothing since {iso(facts.agent_at)}", "the log of muster-head.service")
    if facts.agent_reason:
        message = f"The scheduler does not serve: {facts.agent_reason}"
        draft.condition("HeadNodeReady", False, "SchedulerFailing", message)
        draft.progress("SchedulerFailing", message)
        draft.phase("Degraded")
        draft.look(LOOK_FOR_AGENT)
    draft.look(LOOK_AT_AGENT)
    return True


def _started(draft: Draft) -> float:
    return draft.actual.head.launched if draft.actual.head else draft.now


def _silent(draft: Draft, what: str, where: str) -> bool:
    message = (
        f"The head node runs, but its agent {what}; the queues are left as they are. See {where} on the head node."
    )
    draft.condition("HeadNodeReady", False, "AgentSilent", message)
    draft.stall("AgentSilent", message, "Degraded")
    draft.look(LOOK_FOR_AGENT)
    return False
