"""What a test may tell a running local AWS to do, over HTTP: ``GET`` and ``PUT /_local/settings``."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

PATH = "/_local/settings"


@dataclass
class Settings:
    """How the additions behave; times in seconds."""

    slow_stacks: str = "muster-*"
    """The stacks (a glob pattern of names) whose operations take `stack_seconds` and more; others are done at once,
    since the AWS command line looks again at a stack in progress after 15 seconds only."""
    stack_seconds: float = 0.2
    """Such an operation stays in its ``*_IN_PROGRESS`` status for at least this long, so that it can be seen."""
    held_stacks: list[str] = field(default_factory=list)
    """Operations of these stacks (by name) stay in progress until the name is taken off the list."""
    complete_hooks: bool = True
    """Complete lifecycle actions (launching and terminating) at once, with CONTINUE: nothing runs on the instances
    that could do so. False leaves them to CompleteLifecycleAction and to the hook's heartbeat timeout, as it always is
    for instances that are machines."""
    machines: str = ""
    """The clusters (a glob pattern of names, an instance's tag ``muster:cluster``) whose instances are machines when
    they are launched: processes in namespaces of their own that execute their user data. With the tag ``muster:node``
    behind it, ``CLUSTER/head``, their head nodes alone are. Empty for none."""
    notices: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the metadata service of a machine (by instance id) tells of its future: ``spot``, ``rebalance``,
    ``maintenance``, each with the members that EC2's notice shall have; those that are left out are filled in."""
    no_capacity: list[dict[str, str]] = field(default_factory=list)
    """Launches that match one of these fail with InsufficientInstanceCapacity. Keys: ``InstanceType``,
    ``SubnetId``, ``AvailabilityZone``; all that are given have to match, so ``{}`` matches every launch."""
    failures: list[dict[str, str]] = field(default_factory=list)
    """Steps of stack operations that fail. Keys, of which all that are given have to match: ``Stack``,
    ``LogicalResourceId``, ``ResourceType``, ``Operation`` (create, update, tag, delete; rollback for any
    step that undoes a failed operation); ``Reason`` is what the stack's event then says. ``{}`` matches every step."""
    groups_at_once: int = 1
    """How many batches of a FIFO queue a Lambda function gets at once, where a batch holds one message; each is then of
    another message group."""
    faults: float = 0.0
    """The share of the calls of Lambda functions that fail, in one of the ways of `local.additions.weather`."""
    lost_messages: dict[str, int] = field(default_factory=dict)
    """SQS queues (a glob pattern of names) that lose messages, with n where each n-th one is lost."""
    retry_seconds: float = 1.0
    """An Auto Scaling group whose launch failed tries again after this time, doubled at each failure."""

    batch_seconds: float = 0.1
    """How long a compute environment or a job queue of AWS Batch stays CREATING, UPDATING or DELETING."""
    invalid_environments: dict[str, str] = field(default_factory=dict)
    """Compute environments (a glob pattern of names) that are INVALID, with the reason that they then give."""
    batch_processes: int = 16
    """At most about so many commands of Batch jobs run at once on this machine, whatever the vCPUs allow."""
    timeout_second: float = 1.0
    """How long a second of a Batch job's timeout lasts: AWS takes no timeout under 60 seconds."""
    build_seconds: float = 0.2
    """A CodeBuild build that runs no command shows its BUILD phase for at least this long."""
    held_builds: list[str] = field(default_factory=list)
    """Builds of these projects (by name) stay in their BUILD phase until the name is taken off the list."""
    build_token_seconds: float = 300.0
    """For how long StartBuild knows a token again."""
    builder_path: str = ""
    """Where CodeBuild looks for docker, podman and buildah, as in PATH; empty for this machine's own PATH."""
    build_failures: dict[str, str] = field(default_factory=dict)
    """Projects (a glob pattern of names) whose builds fail in their BUILD phase, with the message they then give."""


settings = Settings()


def answer(_method: str, body: bytes) -> tuple[int, bytes]:
    """Apply a JSON object of settings; returns HTTP status and answer (all settings, or what is wrong)."""
    known = {each.name for each in fields(Settings)}
    changes: dict[str, Any] = json.loads(body or b"{}")
    if unknown := changes.keys() - known:
        return 400, json.dumps({"error": f"unknown settings: {sorted(unknown)}", "known": sorted(known)}).encode()
    for name, value in changes.items():
        setattr(settings, name, value)
    return 200, json.dumps(asdict(settings)).encode()
