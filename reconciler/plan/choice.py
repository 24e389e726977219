"""Jobs that may start in any of several queues: each counts in the one where it starts soonest.

That is the first of its queues, in the order that its user gave them, which has room for it or is about to; if none
has, the first that may launch nodes for it. So what one queue cannot launch (its types, its zones, its way of purchase)
the next one does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.demand import Pending
from reconciler.plan.sizing import Fleet, need


@dataclass(frozen=True, slots=True)
class Choice:
    """A queue that jobs may choose: what it has, the most nodes that it may have, and whether it may launch any now."""

    fleet: Fleet
    most: int
    launching: bool = True

    def lacks(self, job: Pending, beside: Sequence[Pending], *, grows: bool) -> int:
        """How many of these jobs have no place beside those, which have no other queues."""
        found = need([*beside, job], self.fleet, self.most, grows=grows and self.launching)
        return sum(each.count for each in (*found.waiting, *found.unfit) if each.others)


def settle(wanted: Mapping[str, Sequence[Pending]], queues: Mapping[str, Choice]) -> dict[str, tuple[Pending, ...]]:
    """The jobs that wait in each queue, by its name, without others to choose from.

    `wanted` has them where their users want them first; queues that are not in `queues` are no choice.
    """
    settled = {name: [job for job in jobs if not job.others] for name, jobs in wanted.items()}
    # Until they are settled, `others` has all queues of a job, the first one too.
    left = [replace(job, others=(name, *job.others)) for name, jobs in wanted.items() for job in jobs if job.others]
    for grows in (False, True):
        for place in range(max((len(job.others) for job in left), default=0)):
            left = [over for job in left for over in _placed(job, place, settled, queues, grows=grows)]
    for job in left:
        settled[_home(job, queues)].append(replace(job, others=()))
    return {name: tuple(jobs) for name, jobs in settled.items()}


def _placed(
    job: Pending, place: int, settled: dict[str, list[Pending]], queues: Mapping[str, Choice], *, grows: bool
) -> list[Pending]:
    """Settle as many of these jobs as their queue of this place takes; the others."""
    name = job.others[place] if place < len(job.others) else ""
    if name not in queues or name not in settled:
        return [job]
    over = queues[name].lacks(job, settled[name], grows=grows)
    if over < job.count:
        settled[name].append(replace(job, count=job.count - over, others=()))
    return [replace(job, count=over)] if over else []


def _home(job: Pending, queues: Mapping[str, Choice]) -> str:
    """Where a job waits that has no place: the first queue that could ever run it, or the first of all."""
    fitting = [name for name in job.others if name in queues and _fits(job, queues[name])]
    return (fitting or job.others)[0]


def _fits(job: Pending, queue: Choice) -> bool:
    return job.nodes <= queue.most and bool(queue.fleet.node.holds(job.each))
