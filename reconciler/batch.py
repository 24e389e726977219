"""What a pass sees of the AWS Batch half of a cluster: plain values in Batch's, ECR's and CodeBuild's own words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.statuses import ENABLED

# Begin the names of the stack's outputs whose values are the ARNs of what Batch holds.
ENVIRONMENT, QUEUE, DEFINITION = "Environment", "JobQueue", "JobDefinition"
REPOSITORY, PROJECT = "Repository", "BuildProject"
# A build's environment variable that holds the tag of its image.
TAG_VARIABLE = "MUSTER_TAG"
# A job definition's parameter that holds the size of the arrays that `muster job submit` makes.
ARRAY_SIZE = "muster-array-size"


@dataclass(frozen=True, slots=True)
class Environment:
    """A compute environment; sizes in vCPUs. `tasks` are those that run or start in it, None where nobody asked."""

    name: str
    arn: str
    state: str
    status: str
    reason: str = ""
    kind: str = "EC2"
    min: int = 0
    max: int = 0
    desired: int = 0
    ecs_cluster: str = ""
    tasks: int | None = None

    @property
    def enabled(self) -> bool:
        """Whether it takes work; a state that no table knows does not."""
        return ENABLED.get(self.state, False)


@dataclass(frozen=True, slots=True)
class JobQueue:
    """A job queue. `environments` are names in their order; `jobs` counts those not ended, by status, of at most 1,000.

    `more` says that there were more than were counted, `fair_share` that it has a scheduling policy.
    """

    name: str
    arn: str
    queue: str
    state: str
    status: str
    reason: str = ""
    priority: int = 1
    environments: tuple[str, ...] = ()
    jobs: Mapping[str, int] = field(default_factory=dict[str, int])
    more: bool = False
    fair_share: bool = False

    @property
    def enabled(self) -> bool:
        """Whether jobs can be submitted to it; a state that no table knows cannot."""
        return ENABLED.get(self.state, False)


@dataclass(frozen=True, slots=True)
class Build:
    """A build of the cluster's project: which image (by its tag), how it stands, where it is written down.

    `ended` is in seconds since the epoch.
    """

    id: str
    tag: str
    status: str
    phase: str = ""
    reason: str = ""
    log: str = ""
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """All that one pass saw. `images` maps the wanted tags that are in the repository to their digests.

    `definitions` maps the ARNs of the stack's job definitions to whether they are active. `builds` are newest first,
    asked for only when an image is missing. `current` are the names of the environments that the stack holds.
    """

    environments: tuple[Environment, ...] = ()
    queues: tuple[JobQueue, ...] = ()
    definitions: Mapping[str, bool] = field(default_factory=dict[str, bool])
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    builds: tuple[Build, ...] = ()
    current: frozenset[str] = frozenset()

    def environment(self, name: str) -> Environment | None:
        """The environment of that name, if there is one."""
        return next((each for each in self.environments if each.name == name), None)

    def job_queue(self, name: str) -> JobQueue | None:
        """The job queue of that name in AWS, if there is one."""
        return next((each for each in self.queues if each.name == name), None)

    @property
    def left_over(self) -> tuple[Environment, ...]:
        """Environments of the cluster that its stack does not hold (any more)."""
        return tuple(each for each in self.environments if each.name not in self.current)


def arns(outputs: Mapping[str, str], kind: str) -> list[str]:
    """The ARNs that a stack's outputs give of one kind, sorted."""
    return sorted(value for key, value in outputs.items() if key.startswith(kind))


def names(arns: Iterable[str]) -> list[str]:
    """The names in ARNs (`arn:...:kind/name`)."""
    return [arn.rpartition("/")[2] for arn in arns]
