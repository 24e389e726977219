"""Taking compute environments away: those that a new one has replaced, and all of them when the cluster goes.

Batch's own order: a queue takes no more jobs, its jobs end, it goes; an environment that is in no queue takes no more
work, its jobs end, it goes.
"""

from reconciler.actions import (
    Action,
    DeleteComputeEnvironment,
    DeleteJobQueue,
    StopBuild,
    UpdateComputeEnvironment,
    UpdateJobQueue,
)
from reconciler.batch import Environment, JobQueue
from reconciler.cluster.batch import FARGATE
from reconciler.plan.batch import LOOK_AT_BATCH, LOOK_AT_JOBS, show_environment, show_queue, strange
from reconciler.plan.draft import Draft
from reconciler.statuses import BUILD, STANDING, BuildStep, Standing

DISABLE = "DISABLED"


def replaced(draft: Draft) -> None:
    """Drain and remove what the stack does not hold any more. What it is to hold again has to go first as well."""
    rendered = draft.rendered.batch
    batch = draft.actual.batch
    left = batch.left_over
    draft.remember(environments=tuple(sorted(batch.current.union(each.name for each in left))))
    for each in left:
        show_environment(draft, each, _named(each), draining=True)
        told = _remove(draft, each, at_once=False)
        if rendered and each.name in rendered.environments:
            draft.in_the_way.append(told)


def _named(environment: Environment) -> str:
    """The name in the spec that an environment had: its name in AWS is muster-CLUSTER_NAME_HASH."""
    return environment.name.split("_")[1] if environment.name.count("_") == 2 else environment.name


def gone(draft: Draft) -> bool:
    """Empty Batch for a cluster that is deleted, a step a pass; True when nothing of it is left but its definitions."""
    batch = draft.actual.batch
    for build in batch.builds:
        if BUILD.get(build.status) is BuildStep.RUNNING:
            draft.act(StopBuild(build.id), "BuildStopped", "Stopped: the cluster is deleted.")
    waits = [_end_queue(draft, queue) for queue in batch.queues]
    if not batch.queues:
        waits = [_remove(draft, each, at_once=True) for each in batch.environments]
    draft.remember(environments=tuple(each.name for each in batch.environments))
    for each in batch.environments:
        show_environment(draft, each, _named(each), draining=True)
    if not waits:
        return True
    message = "; ".join(waits) + "."
    draft.condition("StackReady", False, "Deleting", message)
    draft.progress("Deleting", message)
    return False


def _end_queue(draft: Draft, queue: JobQueue) -> str:
    """One step towards the end of a queue; the answer says what is waited for."""
    show_queue(draft, queue)
    what, jobs = f"job queue {queue.name}", sum(queue.jobs.values())
    if told := _not_now(draft, what, queue):
        return told
    if queue.enabled:
        message = "Takes no more jobs: the cluster is deleted."
        return _ask(draft, what, UpdateJobQueue(queue.name, DISABLE), "QueueClosed", message)
    batch = draft.cluster.spec.batch
    if jobs and batch and batch.on_delete == "WaitForJobs":
        draft.look(LOOK_AT_JOBS)
        return f"{what} has {jobs} jobs that are waited for (spec.batch.onDelete is WaitForJobs)"
    message = f"Deleted with {jobs} jobs in it, which Batch ends." if jobs else "Deleted: it has no jobs."
    return _ask(draft, what, DeleteJobQueue(queue.name), "QueueDeleted", message)


def _remove(draft: Draft, environment: Environment, *, at_once: bool) -> str:
    """One step towards the end of an environment that is in no queue; the answer says what is waited for.

    `at_once` does not wait for what runs there: its queue is gone, and Batch has ended its jobs.
    """
    name = environment.name
    what = f"compute environment {name}"
    if told := _not_now(draft, what, environment):
        return told
    if environment.enabled:
        broken = STANDING[environment.status] is Standing.BROKEN
        least = None if environment.kind in FARGATE or broken else 0
        message = "Takes no more jobs; it is removed once those that run there have ended."
        return _ask(draft, what, UpdateComputeEnvironment(name, DISABLE, least), "EnvironmentClosed", message)
    if environment.tasks and not at_once:
        draft.look(LOOK_AT_JOBS)
        return f"{what} still runs {environment.tasks} jobs"
    message = "Deleted: nothing runs there any more."
    return _ask(draft, what, DeleteComputeEnvironment(name), "EnvironmentDeleted", message)


def _ask(draft: Draft, what: str, action: Action, reason: str, message: str) -> str:
    """Ask for a step of what is to go; the answer says what is waited for."""
    step = "deleted" if isinstance(action, DeleteJobQueue | DeleteComputeEnvironment) else "closed"
    if not draft.act(action, reason, message):
        return f"{what} is to be {step}"
    draft.look(LOOK_AT_BATCH)
    return f"{what} is being {step}"


def _not_now(draft: Draft, what: str, seen: Environment | JobQueue) -> str:
    """Why nothing can be done about it now, if so."""
    if told := strange(draft, what, seen):
        return told
    if STANDING[seen.status] not in (Standing.MOVING, Standing.GOING):
        return ""
    draft.look(LOOK_AT_BATCH)
    return f"{what} is {seen.status}"
