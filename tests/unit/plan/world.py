"""A small AWS in memory: stacks that take their time, groups that follow their sizes, and a fate that fails things.

It is as true as a plan can tell: operations go through their statuses one `tick` at a time, a client token that was
seen before makes CloudFormation do nothing, an executed change set takes all others with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler import actions
from reconciler.actions import Action
from reconciler.facts import HASH_TAG, Actual, Change, ChangeSet, Group, Instance, Leftover, Member, Stack
from reconciler.statuses import HEAD_NODE, LIFECYCLE, HeadNode, MemberStep
from tests.unit import factories as make

# What a moving status becomes by itself: when all goes well, and when it does not.
WELL = {
    "CREATE_IN_PROGRESS": "CREATE_COMPLETE",
    "ROLLBACK_IN_PROGRESS": "ROLLBACK_COMPLETE",
    "DELETE_IN_PROGRESS": "DELETE_COMPLETE",
    "UPDATE_IN_PROGRESS": "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_IN_PROGRESS": "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_IN_PROGRESS": "IMPORT_ROLLBACK_COMPLETE",
}
BADLY = {
    "CREATE_IN_PROGRESS": "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_IN_PROGRESS": "ROLLBACK_FAILED",
    "DELETE_IN_PROGRESS": "DELETE_FAILED",
    "UPDATE_IN_PROGRESS": "UPDATE_ROLLBACK_IN_PROGRESS",
    "UPDATE_ROLLBACK_IN_PROGRESS": "UPDATE_ROLLBACK_FAILED",
}
DELETABLE = {"CREATE_IN_PROGRESS"}


@dataclass
class World:
    """`queues` are those of each template, `lost` what a change set finds, `fate` whether the next thing goes well."""

    queues: dict[str, tuple[str, ...]]
    fate: Iterator[bool]
    lost: tuple[Change, ...] = ()
    stack: Stack | None = None
    target: str = ""
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    lives: int = 0
    forgotten: bool = False

    @classmethod
    def of(cls, there: Actual, queues: dict[str, tuple[str, ...]], fate: Iterator[bool]) -> "World":
        """A world in which an operator may find these facts."""
        world = cls(queues, fate, stack=there.stack, volumes={volume.id for volume in there.volumes})
        world.groups = {group.queue: group for group in there.groups}
        world.instances = {instance.id: instance for instance in there.instances}
        if there.change_set:
            world.change_sets[there.change_set.name] = there.change_set
            world.lost = there.change_set.changes
            # Plans name a change set by its template.
            name = there.change_set.name
            world.templates = {name: next((template for template in queues if template[:16] in name), "")}
        return world

    def facts(self, change_set: str) -> Actual:
        """What an observer sees."""
        seen = self.stack if self.stack and self.stack.status != "DELETE_COMPLETE" else None
        return Actual(
            stack=seen,
            change_set=self.change_sets.get(change_set) if seen else None,
            groups=tuple(self.groups.values()),
            instances=tuple(self.instances.values()),
            volumes=() if seen else tuple(Leftover("volume", volume) for volume in sorted(self.volumes)),
        )

    @property
    def resting(self) -> bool:
        """Whether nothing moves any more by itself."""
        before = replace(self, groups=dict(self.groups), instances=dict(self.instances))
        before.change_sets, before.fate = dict(self.change_sets), iter(())
        before.tick()
        same = (self.stack, self.groups, self.instances, self.change_sets)
        return same == (before.stack, before.groups, before.instances, before.change_sets)

    def tick(self) -> None:
        """Let everything take its next step."""
        self._tick_stack()
        for name, seen in self.change_sets.items():
            if seen.status in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                self.change_sets[name] = replace(
                    seen, status="CREATE_COMPLETE", execution_status="AVAILABLE", changes=self.lost
                )
        for name in [n for n, seen in self.change_sets.items() if seen.status.startswith("DELETE_")]:
            del self.change_sets[name]
        for name, seen in self.change_sets.items():
            if seen.execution_status == "EXECUTE_IN_PROGRESS":
                self.change_sets[name] = replace(seen, execution_status="EXECUTE_COMPLETE")
        self.groups = {queue: self._tick_group(group) for queue, group in self.groups.items()}
        self.instances = {name: _tick_instance(instance) for name, instance in self.instances.items()}

    def _tick_stack(self) -> None:
        if self.stack is None or self.stack.status not in WELL:
            return
        was = self.stack.status
        well = was not in BADLY or next(self.fate, True)
        becomes = (WELL if well else BADLY)[was]
        failure = self.stack.failure if well else "Thing (AWS::Some::Thing): fate"
        self.stack = replace(self.stack, status=becomes, failure=failure)
        if becomes in ("CREATE_COMPLETE", "UPDATE_COMPLETE") and self.target:
            self._become(self.target)
        if becomes in ("DELETE_COMPLETE", "ROLLBACK_COMPLETE"):
            self.groups, self.instances = {}, {}

    def _become(self, template: str) -> None:
        assert self.stack is not None
        self.stack = replace(self.stack, tags={**self.stack.tags, HASH_TAG: template})
        wanted = self.queues.get(template, ())
        self.groups = {queue: self.groups.get(queue) or make.bare_group(queue) for queue in wanted}
        if not any(instance.node == "head" and instance.alive for instance in self.instances.values()):
            self.instances["i-new"] = make.head("pending", id="i-new")

    def _tick_group(self, group: Group) -> Group:
        steps = {
            MemberStep.COMING: "InService",
            MemberStep.GOING: "",
        }
        stay: list[Member] = []
        for member in group.members:
            becomes = steps.get(LIFECYCLE.get(member.lifecycle, MemberStep.PARKED), member.lifecycle)
            stay += [replace(member, lifecycle=becomes)] if becomes else []
        usable = [member for member in stay if member.lifecycle == "InService"]
        if "Terminate" not in group.suspended:
            for member in usable[group.desired :]:
                stay[stay.index(member)] = replace(member, lifecycle="Terminating")
        if "Launch" not in group.suspended:
            for _ in range(group.desired - len(stay)):
                self.lives += 1
                stay.append(Member(f"i-new-{self.lives}", "Pending"))
        return replace(group, members=tuple(stay), activity="", activity_message="")

    def do(self, action: Action) -> None:
        """What AWS does when it is asked."""
        token = getattr(action, "token", "")
        if token and token in self.tokens:
            return
        self.tokens |= {token} if token else set()
        _DO[type(action)](self, action)

    def _create(self, action: actions.CreateStack) -> None:
        if self.stack is None or self.stack.status == "DELETE_COMPLETE":
            self.lives += 1
            self.stack = make.stack("CREATE_IN_PROGRESS", action.hash, id=f"life-{self.lives}")
            self.target, self.change_sets = action.hash, {}

    def _create_change_set(self, action: actions.CreateChangeSet) -> None:
        if action.name not in self.change_sets:
            self.lives += 1
            identifier = f"arn:{action.name}/{self.lives}"
            self.change_sets[action.name] = ChangeSet(action.name, "CREATE_PENDING", "UNAVAILABLE", id=identifier)
            self.templates[action.name] = action.hash

    def _execute(self, action: actions.ExecuteChangeSet) -> None:
        if action.name in self.change_sets and self.stack:
            assert self.stack.status.endswith("_COMPLETE"), "CloudFormation would refuse"
            self.target = self.templates[action.name]
            self.change_sets = {}
            self.stack = replace(self.stack, status="UPDATE_IN_PROGRESS")

    def _delete_change_set(self, action: actions.DeleteChangeSet) -> None:
        self.change_sets.pop(action.name, None)

    def _roll_back(self, action: actions.RollbackStack | actions.ContinueUpdateRollback) -> None:
        assert self.stack is not None
        assert self.stack.status in ("UPDATE_FAILED", "UPDATE_ROLLBACK_FAILED"), "CloudFormation would refuse"
        self.stack = replace(self.stack, status="UPDATE_ROLLBACK_IN_PROGRESS")

    def _delete(self, action: actions.DeleteStack) -> None:
        if self.stack and self.stack.id == action.stack_id and self.stack.status != "DELETE_COMPLETE":
            moving = self.stack.status.endswith("_IN_PROGRESS") and self.stack.status != "REVIEW_IN_PROGRESS"
            assert not moving or self.stack.status in DELETABLE, "CloudFormation would refuse"
            self.stack = replace(self.stack, status="DELETE_IN_PROGRESS")

    def _group(self, name: str, **changes: Any) -> None:
        for queue, group in self.groups.items():
            if group.name == name:
                self.groups[queue] = replace(group, **changes)

    def _resize(self, action: actions.ResizeGroup) -> None:
        self._group(action.group, min=action.min, max=action.max, desired=action.desired)

    def _resume(self, action: actions.ResumeProcesses) -> None:
        left = {p for group in self.groups.values() if group.name == action.group for p in group.suspended}
        self._group(action.group, suspended=tuple(sorted(left - set(action.processes))))

    def _terminate(self, action: actions.TerminateInstances) -> None:
        for name in action.ids:
            self.instances[name] = replace(self.instances[name], state="shutting-down")

    def _delete_volumes(self, action: actions.DeleteVolumes) -> None:
        self.volumes -= set(action.ids)

    def _forget(self, action: actions.Forget) -> None:
        self.forgotten = True


def _tick_instance(instance: Instance) -> Instance:
    becomes = {"pending": "running", "stopping": "stopped", "shutting-down": "terminated"}
    assert set(becomes) <= set(HEAD_NODE)
    assert HEAD_NODE["running"] is HeadNode.RUNNING
    return replace(instance, state=becomes.get(instance.state, instance.state))


_DO: dict[type[Action], Callable[[World, Any], None]] = {
    actions.CreateStack: World._create,
    actions.CreateChangeSet: World._create_change_set,
    actions.ExecuteChangeSet: World._execute,
    actions.DeleteChangeSet: World._delete_change_set,
    actions.RollbackStack: World._roll_back,
    actions.ContinueUpdateRollback: World._roll_back,
    actions.DeleteStack: World._delete,
    actions.ResizeGroup: World._resize,
    actions.ResumeProcesses: World._resume,
    actions.TerminateInstances: World._terminate,
    actions.DeleteVolumes: World._delete_volumes,
    actions.DeleteArtifacts: lambda world, action: None,
    actions.Forget: World._forget,
}
