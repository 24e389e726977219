"""What the status shows of a queue's nodes, and of the jobs that do not start."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from reconciler.demand import Pending
from reconciler.facts import Group
from reconciler.nodes import QueueDemand
from reconciler.plan.draft import Draft
from reconciler.plan.moves import Moves
from reconciler.plan.tally import Tally

# Of what keeps jobs of a queue from starting: kinds of jobs that no node fits, and reasons, that are told at a time.
MOST_TOLD = 8


def counts(group: Group, tally: Tally) -> dict[str, Any]:
    """How many nodes a queue has, by what they do."""
    nodes = {
        "desired": group.desired,
        "inService": group.in_service,
        "total": len(group.members),
        "ready": tally.ready,
        "idle": len(tally.idle),
        "booting": len(tally.booting) + len(tally.rowless),
        "draining": len(tally.draining) + len(tally.drained),
        "failed": len(tally.failed),
    }
    return {**nodes, **({"outdated": group.outdated} if group.outdated else {})}


def judged(draft: Draft, queue: str, demand: QueueDemand, planned: Moves, shown: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of jobs that do not start: why they wait, and those that never can; of these an event as well."""
    full = sum(job.count for job in planned.need.waiting)
    waiting = {**demand.waiting, **({"QueueFull": full} if full else {})}
    unfit, never = planned.need.unfit[:MOST_TOLD], _most(demand.never)
    told = {
        "waiting": _most(waiting),
        "unfit": [_shape(job) for job in unfit],
        "never": never,
    }
    before: Sequence[Mapping[str, Any]] = draft.record.status.get("queues", ())
    last = next((each for each in before if each.get("name") == queue), cast("Mapping[str, Any]", {}))
    known: Mapping[str, int] = last.get("never", {})
    for job in unfit:
        if _shape(job) not in last.get("unfit", ()):
            message = (
                f"Jobs ask for {_words(job)}, and no node of the queue, of which it may have {shown['max']}, has that."
            )
            draft.tell("JobsUnfit", message, f"queue {queue}", warning=True)
    for reason in sorted(never.keys() - known.keys()):
        message = f"Jobs can never run in this queue; the scheduler says {reason}."
        draft.tell("JobsUnfit", message, f"queue {queue}", warning=True)
    return {key: value for key, value in told.items() if value}


def _most(counts: Mapping[str, int]) -> dict[str, int]:
    """Those that count most."""
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MOST_TOLD])


def _shape(job: Pending) -> dict[str, Any]:
    each = {"cpus": job.each.cpus, "memory": job.each.memory, "gpus": job.each.gpus}
    return {**each, "nodes": job.nodes, "count": job.count}


def _words(job: Pending) -> str:
    parts = ((job.each.cpus, "vCPUs"), (job.each.memory, "MiB"), (job.each.gpus, "GPUs"))
    each = ", ".join(f"{number} {unit}" for number, unit in parts if number)
    return f"{job.nodes} nodes with {each} each" if job.nodes > 1 else each
