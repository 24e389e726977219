"""What a plan can ask for. Each action is data; `act` knows how to carry each of them out.

Every action is safe to repeat: it names its target, and carries the token that makes AWS see a repetition
as the same request.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class CreateStack:
    """Upload the rendered template and create the cluster's stack from it."""

    stack: str
    hash: str
    token: str


@dataclass(frozen=True, slots=True)
class CreateChangeSet:
    """Upload the rendered template and let CloudFormation compute what an update to it would change."""

    stack: str
    name: str
    hash: str


@dataclass(frozen=True, slots=True)
class ExecuteChangeSet:
    """Carry out a change set that has been read and found harmless, or consented to."""

    stack: str
    name: str
    token: str


@dataclass(frozen=True, slots=True)
class DeleteChangeSet:
    """Drop a change set that is no longer wanted."""

    stack: str
    name: str


@dataclass(frozen=True, slots=True)
class ContinueUpdateRollback:
    """Let a stack in UPDATE_ROLLBACK_FAILED finish its rollback."""

    stack: str
    token: str


@dataclass(frozen=True, slots=True)
class RollbackStack:
    """Take a stack in UPDATE_FAILED back to its last stable state."""

    stack: str
    token: str


@dataclass(frozen=True, slots=True)
class DeleteStack:
    """Delete the cluster's stack, named by its id so that a successor of the same name is never meant."""

    stack_id: str
    token: str


@dataclass(frozen=True, slots=True)
class ResizeGroup:
    """Set a group's sizes, in instances; `desired` None leaves the desired capacity as it is."""

    group: str
    min: int
    max: int
    desired: int | None


@dataclass(frozen=True, slots=True)
class ResumeProcesses:
    """Resume a group's suspended processes."""

    group: str
    processes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PutFacts:
    """Tell the head node what it has to know of its cluster's queues."""

    cluster: str
    document: str


@dataclass(frozen=True, slots=True)
class DrainNodes:
    """Ask for nodes to take no more jobs. `at` (seconds since the epoch) is when it was decided."""

    cluster: str
    ids: tuple[str, ...]
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class EndNodes:
    """Terminate members of a group; `replace` leaves its desired capacity, so that others come in their place."""

    group: str
    ids: tuple[str, ...]
    replace: bool


@dataclass(frozen=True, slots=True)
class TerminateInstances:
    """Terminate instances with the cluster's ownership tags that outlived its stack."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteVolumes:
    """Delete volumes with the cluster's ownership tags that outlived its stack and are not to be kept."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteArtifacts:
    """Delete every version of the cluster's objects in the artifacts bucket."""

    prefix: str


@dataclass(frozen=True, slots=True)
class StartBuild:
    """Upload the source of an image, if it is a Dockerfile, and build it. `source` is BUCKET/KEY of an archive."""

    project: str
    tag: str
    dockerfile: str
    source: str
    architecture: str
    token: str


@dataclass(frozen=True, slots=True)
class StopBuild:
    """Stop a build."""

    id: str


@dataclass(frozen=True, slots=True)
class UpdateComputeEnvironment:
    """Set what is not None of a compute environment: its state, and its sizes in vCPUs."""

    environment: str
    state: str | None = None
    min: int | None = None
    max: int | None = None
    desired: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteComputeEnvironment:
    """Delete a compute environment that is disabled and in no queue; its instances go with it."""

    environment: str


@dataclass(frozen=True, slots=True)
class UpdateJobQueue:
    """Set what is not None of a job queue: its state, its priority, and its compute environments in their order."""

    queue: str
    state: str | None = None
    priority: int | None = None
    environments: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class DeleteJobQueue:
    """Delete a job queue that is disabled. Batch ends the jobs that are in it."""

    queue: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete the state record: the last act of a cluster's life."""

    cluster: str


Action = (
    CreateStack
    | CreateChangeSet
    | ExecuteChangeSet
    | DeleteChangeSet
    | ContinueUpdateRollback
    | RollbackStack
    | DeleteStack
    | ResizeGroup
    | ResumeProcesses
    | PutFacts
    | DrainNodes
    | EndNodes
    | TerminateInstances
    | DeleteVolumes
    | DeleteArtifacts
    | StartBuild
    | StopBuild
    | UpdateComputeEnvironment
    | DeleteComputeEnvironment
    | UpdateJobQueue
    | DeleteJobQueue
    | Forget
)

# What puts something into the account, by the name that a record announces it under: such a call that lands after the
# cluster was forgotten would leave something that nobody looks at. The template lies in the bucket before the call.
# Beside a build it is its source.
MAKERS = frozenset({CreateStack.__name__, CreateChangeSet.__name__, StartBuild.__name__})

SUBJECTS: dict[type[Action], str] = {
    CreateStack: "stack {stack}",
    CreateChangeSet: "change set {name} of stack {stack}",
    ExecuteChangeSet: "change set {name} of stack {stack}",
    DeleteChangeSet: "change set {name} of stack {stack}",
    ContinueUpdateRollback: "stack {stack}",
    RollbackStack: "stack {stack}",
    DeleteStack: "stack {stack_id}",
    ResizeGroup: "Auto Scaling group {group}",
    ResumeProcesses: "Auto Scaling group {group}",
    PutFacts: "facts of cluster {cluster}",
    DrainNodes: "nodes {ids}",
    EndNodes: "nodes {ids} of Auto Scaling group {group}",
    TerminateInstances: "instances {ids}",
    DeleteVolumes: "volumes {ids}",
    DeleteArtifacts: "artifacts {prefix}",
    StartBuild: "image {tag}",
    StopBuild: "build {id}",
    UpdateComputeEnvironment: "compute environment {environment}",
    DeleteComputeEnvironment: "compute environment {environment}",
    UpdateJobQueue: "job queue {queue}",
    DeleteJobQueue: "job queue {queue}",
    Forget: "state record {cluster}",
}


def subject(action: Action) -> str:
    """What an action is about, in the words an event or an error message uses."""
    return SUBJECTS[type(action)].format_map(asdict(action))


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling the user: a CamelCase reason, the object meant, one sentence."""

    reason: str
    message: str
    subject: str = ""
    warning: bool = False
