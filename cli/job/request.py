"""From what the user wants to the request that SubmitJob takes. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import typer

from cli.failures import Failure
from cli.job.dependencies import Dependency
from reconciler.batch import ARRAY_SIZE

Request = dict[str, Any]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
# Seconds; AWS Batch API reference, JobTimeout.
SHORTEST = 60
# Characters of JSON that ECS takes for a container's overrides (Amazon ECS API reference, RunTask), less what Batch
# adds of its own. Batch itself accepts more, and then fails the job when it is to start.
OVERRIDES = 8192 - 512


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as its user wants it. None, empty or 0 leaves it to the definition. Memory in MiB, timeout in seconds."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    vcpus: float | None = None
    memory: int | None = None
    gpus: int | None = None
    array: int | None = None
    nodes: int | None = None
    depends_on: Sequence[Dependency] = ()
    timeout: float | None = None
    retries: int | None = None
    share: str = ""


def job_name(text: str) -> str:
    """A name that Batch takes, made of any text."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).lstrip("-_")[:128] or "job"


def checked_name(text: str) -> str:
    """The name that a user gave, or none. Raises BadParameter when Batch would not take it."""
    if text and not NAME.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is no name of a job: up to 128 letters, digits, - and _, the first of them a letter or digit"
        )
    return text


def request(wanted: Wanted, queue: Mapping[str, Any], definition: Mapping[str, Any]) -> Request:
    """What SubmitJob takes. Raises Failure when queue or definition cannot take such a job."""
    _check_share(wanted, queue)
    if wanted.array is None and not wanted.nodes:
        wanted = replace(wanted, array=_usual_array(definition))
    made: Request = {
        "jobName": wanted.name,
        "jobQueue": queue["jobQueueArn"],
        "jobDefinition": definition["jobDefinitionArn"],
        **_overrides(wanted, definition),
    }
    if wanted.array and wanted.array > 1:
        made["arrayProperties"] = {"size": wanted.array}
    if wanted.depends_on:
        made["dependsOn"] = list(wanted.depends_on)
    if wanted.timeout is not None:
        made["timeout"] = {"attemptDurationSeconds": _timeout(wanted.timeout)}
    if wanted.retries:
        made["retryStrategy"] = {"attempts": wanted.retries}
    if wanted.share:
        made["shareIdentifier"] = wanted.share
    return made


def _usual_array(definition: Mapping[str, Any]) -> int | None:
    """The size of an array that the spec gives the definition, if it does."""
    given = definition.get("parameters", {}).get(ARRAY_SIZE, "")
    return int(given) if given.isdecimal() else None


def _timeout(seconds: float) -> int:
    if seconds < SHORTEST:
        raise typer.BadParameter(f"a timeout of {seconds:g} s: Batch takes {SHORTEST} s or more")
    return int(seconds)


def _check_share(wanted: Wanted, queue: Mapping[str, Any]) -> None:
    fair, name = bool(queue.get("schedulingPolicyArn")), queue["jobQueueName"]
    if fair and not wanted.share:
        raise Failure(f"queue {name} shares its capacity fairly: say whose share the job takes with --share")
    if wanted.share and not fair:
        raise Failure(f"queue {name} has no shares: leave out --share")


def _overrides(wanted: Wanted, definition: Mapping[str, Any]) -> Request:
    container = _container(wanted)
    length = len(json.dumps(container))
    if length > OVERRIDES:
        raise Failure(
            f"command and environment are {length} characters long; ECS takes {OVERRIDES}: send long arguments in a "
            "file (--input-file, --command-file), and variables with -e all"
        )
    if definition["type"] != "multinode":
        if wanted.nodes and wanted.nodes > 1:
            name = definition["jobDefinitionName"]
            raise Failure(f"job definition {name} is for one node: choose one of type multinode with --definition")
        return {"containerOverrides": container}
    if wanted.array and wanted.array > 1:
        raise Failure("a job of several nodes can be no array: leave out --array-size, or choose another --definition")
    # The ranges are the definition's own, so that each node gets the overrides whatever its range is.
    ranges = [each["targetNodes"] for each in definition["nodeProperties"]["nodeRangeProperties"]]
    nodes: Request = {"nodePropertyOverrides": [{"targetNodes": r, "containerOverrides": container} for r in ranges]}
    return {"nodeOverrides": {**nodes, **({"numNodes": wanted.nodes} if wanted.nodes else {})}}


def _container(wanted: Wanted) -> Request:
    needs = {"VCPU": wanted.vcpus, "MEMORY": wanted.memory, "GPU": wanted.gpus}
    return {
        "command": list(wanted.command),
        "environment": [{"name": name, "value": value} for name, value in wanted.environment.items()],
        "resourceRequirements": [
            {"type": kind, "value": f"{n:g}" if isinstance(n, float) else str(n)} for kind, n in needs.items() if n
        ],
    }
