"""A queue's nodes, counted: what its group has of them, what their rows say, and what the scheduler says of their jobs.

Which queue a node belongs to is its group's word: a row says what its node is doing, and no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.facts import Group
from reconciler.nodes import NodeRow, NodeState, QueueDemand
from reconciler.plan.sizing import Idle
from reconciler.statuses import MemberStep

THERE = (MemberStep.COMING, MemberStep.USABLE)


@dataclass(frozen=True, slots=True)
class Tally:
    """The members of a queue's group that are there, each in one of the lists; `rowless` have nothing known of them.

    `fresh` are ready, and the scheduler's word is from before. `begun` is since when the booting ones boot (seconds).
    `desired` is the group's capacity, `unborn` what of it is asked for and not there yet; of the `parked`, which
    somebody has set aside, nothing else is counted. `outdated` are members of an older launch template.
    """

    idle: tuple[Idle, ...] = ()
    busy: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    booting: tuple[str, ...] = ()
    rowless: tuple[str, ...] = ()
    draining: tuple[str, ...] = ()
    drained: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    desired: int = 0
    unborn: int = 0
    begun: tuple[float, ...] = ()
    parked: int = 0
    outdated: frozenset[str] = frozenset()

    @property
    def ready(self) -> int:
        """Nodes that take jobs."""
        return len(self.idle) + len(self.busy) + len(self.fresh)

    @property
    def coming(self) -> int:
        """Nodes that will be idle: none of them has a job, as far as is known."""
        return len(self.fresh) + len(self.booting) + len(self.rowless) + self.unborn

    @property
    def free(self) -> int:
        """Nodes that pending jobs can have."""
        return len(self.idle) + self.coming

    @property
    def staying(self) -> int:
        """Nodes that are there for jobs, or will be."""
        return len(self.busy) + self.free

    @property
    def ending(self) -> int:
        """Nodes that have no job and get none any more."""
        return len(self.drained) + len(self.failed)

    @property
    def there(self) -> int:
        """Members, but for those that go already and those set aside."""
        return self.staying - self.unborn + len(self.draining) + self.ending


def count(group: Group, rows: Mapping[str, NodeRow], demand: QueueDemand, told: float) -> Tally:
    """The members of a group, counted. `told` is when the scheduler's word was last up to date (seconds)."""
    there = [member.id for member in group.members if member.step in THERE]
    known = [rows[each] for each in there if each in rows]
    ready = [row for row in known if row.state is NodeState.READY]
    idle = [row.id for row in ready if row.id in demand.idle]
    # A node that became ready since may have a job or none; it is not taken for one that is full.
    fresh = [row.id for row in ready if row.id not in demand.idle and row.since > told]
    by_state = {state: tuple(row.id for row in known if row.state is state) for state in NodeState}
    return Tally(
        idle=tuple(Idle(each, demand.idle[each]) for each in idle),
        busy=tuple(row.id for row in ready if row.id not in idle and row.id not in fresh),
        fresh=tuple(fresh),
        booting=by_state[NodeState.BOOTING],
        rowless=tuple(each for each in there if each not in rows),
        draining=by_state[NodeState.DRAINING],
        drained=by_state[NodeState.DRAINED],
        failed=by_state[NodeState.FAILED],
        desired=group.desired,
        begun=tuple(row.since for row in known if row.state is NodeState.BOOTING),
        unborn=max(group.desired - len(there), 0),
        parked=sum(1 for member in group.members if member.step is MemberStep.PARKED),
        outdated=frozenset(member.id for member in group.members if group.is_outdated(member)),
    )
