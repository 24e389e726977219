"""The small AWS in memory, with AWS Batch and CodeBuild: they take their time, and refuse what the real ones do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler import actions
from reconciler.actions import Action, subject
from reconciler.batch import BatchFacts, Build, Environment, JobQueue
from reconciler.cluster.batch import FARGATE
from reconciler.facts import HASH_TAG, Actual
from reconciler.outcomes import AwsError, Outcome
from reconciler.plan import Desired
from reconciler.statuses import BUILD, STANDING, BuildStep, Standing
from tests.unit import batch_factories as batch
from tests.unit import factories as make
from tests.unit.plan.world import World

MOVING = (Standing.MOVING, Standing.GOING)
# How long ago every build ended, so that the next try is always due.
ENDED = make.NOW - 100_000


@dataclass
class BatchWorld(World):
    """`known` gives the hash of a template what it was rendered of. `refused` is what Batch would not do."""

    known: dict[str, Desired] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    job_queues: dict[str, JobQueue] = field(default_factory=dict)
    definitions: dict[str, bool] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    builds: tuple[Build, ...] = ()
    current: frozenset[str] = frozenset()
    refused: list[str] = field(default_factory=list)

    @classmethod
    def holding(cls, there: Actual, fate: Iterator[bool], wanted: Desired) -> "BatchWorld":
        """A world in which an operator may find these facts."""
        world = cls.of(there, {}, fate)
        assert isinstance(world, cls)
        if there.change_set and wanted.rendered:
            world.templates = {there.change_set.name: wanted.rendered.hash}
        seen = there.batch
        world.environments = {each.name: each for each in seen.environments}
        world.job_queues = {each.name: each for each in seen.queues}
        world.definitions, world.images = dict(seen.definitions), dict(seen.images)
        world.builds, world.current = seen.builds, seen.current
        return world

    def facts(self, change_set: str) -> Actual:
        there = super().facts(change_set)
        stands = there.stack is not None
        seen = BatchFacts(
            environments=tuple(self.environments[name] for name in sorted(self.environments)),
            queues=tuple(self.job_queues.values()) if stands else (),
            definitions=self.definitions if stands else {},
            images=self.images if stands else {},
            builds=self.builds if stands else (),
            current=self.current if stands else frozenset(),
        )
        return replace(there, batch=seen)

    @property
    def resting(self) -> bool:
        things = (*self.environments.values(), *self.job_queues.values())
        return (
            super().resting
            and not any(STANDING[each.status] in MOVING for each in things)
            and not any(each.tasks and not each.enabled for each in self.environments.values())
            and not any(each.jobs for each in self.job_queues.values())
            and not any(BUILD[each.status] is BuildStep.RUNNING for each in self.builds)
        )

    def tick(self) -> None:
        super().tick()
        self.environments = {name: _tick(each) for name, each in self.environments.items() if _stays(each)}
        self.job_queues = {
            name: replace(_tick(each), jobs={}) for name, each in self.job_queues.items() if _stays(each)
        }
        self.builds = tuple(self._tick_build(each) for each in self.builds)

    def _tick_build(self, build: Build) -> Build:
        if BUILD[build.status] is not BuildStep.RUNNING:
            return build
        if not next(self.fate, True):
            return replace(build, status="FAILED", phase="BUILD", ended=ENDED)
        self.images = {**self.images, build.tag: batch.DIGEST}
        return replace(build, status="SUCCEEDED", ended=ENDED)

    def _tick_stack(self) -> None:
        super()._tick_stack()
        if self.stack and self.stack.status in ("DELETE_COMPLETE", "ROLLBACK_COMPLETE"):
            # The environments are retained.
            self.job_queues, self.definitions, self.images, self.current = {}, {}, {}, frozenset()
            self.stack = replace(self.stack, outputs={})

    def _become(self, template: str) -> None:
        assert self.stack is not None
        wanted = self.known[template]
        whole = batch.facts(wanted)
        self.stack = replace(self.stack, tags={**self.stack.tags, HASH_TAG: template}, outputs=batch.outputs(wanted))
        made = {each.name: replace(each, min=0, max=7) for each in whole.environments if each.name not in self.current}
        assert not made.keys() & self.environments.keys(), "CloudFormation would find them there already"
        self.environments = {**self.environments, **made}
        self.current = whole.current
        self.job_queues = {each.name: self._queue(each) for each in whole.queues}
        self.definitions = dict(whole.definitions)

    def _queue(self, wanted: JobQueue) -> JobQueue:
        there = self.job_queues.get(wanted.name, wanted)
        return replace(there, environments=wanted.environments, priority=wanted.priority)

    def do(self, action: Action) -> None:
        """What AWS does when it is asked. Raises AwsError where Batch would refuse."""
        if type(action) not in _DO:
            super().do(action)
            return
        refusal = _DO[type(action)](self, action)
        if refusal:
            self.refused.append(refusal)
            raise AwsError(subject(action), type(action).__name__, "ClientException", refusal, Outcome.RETRY)

    def _start(self, action: actions.StartBuild) -> str:
        if action.token not in self.tokens:
            self.tokens.add(action.token)
            self.lives += 1
            self.builds = (batch.build(action.tag, "IN_PROGRESS", 1000 + self.lives), *self.builds)
        return ""

    def _stop(self, action: actions.StopBuild) -> str:
        self.builds = tuple(replace(b, status="STOPPED", ended=ENDED) if b.id == action.id else b for b in self.builds)
        return ""

    def _update_environment(self, action: actions.UpdateComputeEnvironment) -> str:
        there = self.environments.get(action.environment)
        if there is None or STANDING[there.status] in MOVING:
            return f"{action.environment} is not there, or is being modified"
        sizes = {"min": action.min, "max": action.max, "desired": action.desired}
        given = {name: size for name, size in sizes.items() if size is not None}
        if STANDING[there.status] is Standing.BROKEN and given:
            return f"{there.name} is INVALID, and only its state can be changed"
        if there.kind in FARGATE and given.keys() - {"max"}:
            return f"{there.name} is of Fargate and has no such size"
        if given.get("desired", there.desired) < there.desired:
            return f"desiredvCpus of {there.name} can only be raised"
        changed = replace(there, state=action.state or there.state, **given)
        # One that is broken stays so.
        status = there.status if STANDING[there.status] is Standing.BROKEN else "UPDATING"
        self.environments = {**self.environments, there.name: replace(changed, status=status)}
        return ""

    def _delete_environment(self, action: actions.DeleteComputeEnvironment) -> str:
        there = self.environments.get(action.environment)
        if there is None:
            return ""
        if there.enabled or STANDING[there.status] in MOVING:
            return f"{there.name} is enabled, or is being modified"
        if any(there.name in each.environments for each in self.job_queues.values()):
            return "found existing JobQueue relationship"
        assert not (there.tasks and self.job_queues), "a job is lost"
        self.environments = {**self.environments, there.name: replace(there, status="DELETING")}
        return ""

    def _update_queue(self, action: actions.UpdateJobQueue) -> str:
        there = self.job_queues.get(action.queue)
        if there is None or STANDING[there.status] in MOVING:
            return f"{action.queue} is not there, or is being modified"
        order = there.environments if action.environments is None else action.environments
        known = [self.environments.get(each) for each in (action.environments or ())]
        if any(each is None or STANDING[each.status] is not Standing.SOUND for each in known):
            return f"an environment of {there.name} is not VALID"
        priority = there.priority if action.priority is None else action.priority
        changed = replace(there, state=action.state or there.state, environments=order, priority=priority)
        status = there.status if STANDING[there.status] is Standing.BROKEN else "UPDATING"
        self.job_queues = {**self.job_queues, there.name: replace(changed, status=status)}
        return ""

    def _delete_queue(self, action: actions.DeleteJobQueue) -> str:
        there = self.job_queues.get(action.queue)
        if there is None:
            return ""
        if there.enabled or STANDING[there.status] in MOVING:
            return f"{there.name} is enabled, or is being modified"
        self.job_queues = {**self.job_queues, there.name: replace(there, status="DELETING")}
        return ""


def _stays(thing: Environment | JobQueue) -> bool:
    return STANDING[thing.status] is not Standing.GOING


def _tick(thing: Any) -> Any:
    """A thing of Batch after a while: what moves has settled, and where no work is taken it ends."""
    settled = replace(thing, status="VALID") if STANDING[thing.status] is Standing.MOVING else thing
    ends = isinstance(settled, Environment) and not settled.enabled and settled.tasks
    return replace(settled, tasks=settled.tasks - 1) if ends else settled


_DO: dict[type[Action], Callable[[BatchWorld, Any], str]] = {
    actions.StartBuild: BatchWorld._start,
    actions.StopBuild: BatchWorld._stop,
    actions.UpdateComputeEnvironment: BatchWorld._update_environment,
    actions.DeleteComputeEnvironment: BatchWorld._delete_environment,
    actions.UpdateJobQueue: BatchWorld._update_queue,
    actions.DeleteJobQueue: BatchWorld._delete_queue,
}
