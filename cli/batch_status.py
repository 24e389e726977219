"""AWS Batch in a cluster's status as rows of tables, with what the spec has and the status has not (yet)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli.job.states import ACTIVE

if TYPE_CHECKING:
    from reconciler.cluster import Batch
    from reconciler.cluster.batch import ContainerImage

Row = list[object]
Status = Mapping[str, Any]

IMAGES = ("NAME", "TAG", "SERVING", "DIGEST", "SOURCE")
BUILDS = ("IMAGE", "STATUS", "PHASE", "ID", "REASON")
# Sizes are in vCPUs.
ENVIRONMENTS = ("NAME", "TYPE", "STATE", "STATUS", "MIN", "MAX", "DESIRED", "DRAINING", "ENVIRONMENT", "REASON")
QUEUES = ("NAME", "STATE", "STATUS", *ACTIVE, "ENVIRONMENTS", "QUEUE", "REASON")
# Characters of a digest: sha256: and twelve more, as Docker shows it.
DIGEST = 19


def shows(status: Status) -> bool:
    """Whether a status is one of a cluster of AWS Batch."""
    return "environments" in status or "images" in status or any(map(counted, status.get("queues", ())))


def counted(queue: Status) -> bool:
    """Whether a queue of a status is one of AWS Batch: it has jobs, where another has nodes."""
    return "jobs" in queue


def images(status: Status, spec: Batch | None) -> list[Row]:
    """A row an image: what jobs run, and what it is made of."""
    wanted = {image.name: image for image in spec.images} if spec else {}
    found = {image["name"]: image for image in status.get("images", ())}
    return [
        [
            name,
            found.get(name, {}).get("tag", ""),
            found.get(name, {}).get("serving", ""),
            found.get(name, {}).get("digest", "")[:DIGEST],
            _source(wanted[name]) if name in wanted else "",
        ]
        for name in dict.fromkeys((*wanted, *found))
    ]


def _source(image: ContainerImage) -> str:
    return image.uri or image.archive or "dockerfile"


def builds(status: Status) -> list[Row]:
    """A row a build that a status tells of."""
    return [[name, *_of(build, "status", "phase", "id", "reason")] for name, build in _builds(status)]


def logs(status: Status) -> list[tuple[str, object]]:
    """Where the builds are written down, by their images."""
    return [(name, build["log"]) for name, build in _builds(status) if build.get("log")]


def _builds(status: Status) -> list[tuple[str, Status]]:
    return [(image["name"], image["build"]) for image in status.get("images", ()) if image.get("build")]


def environments(status: Status, spec: Batch | None) -> list[Row]:
    """A row an environment; one that drains may have the name of the one that came after it."""
    found: Sequence[Status] = status.get("environments", ())
    keys = ("name", "type", "state", "status", "min", "max", "desired", "draining", "environment", "reason")
    rows = [_of(each, *keys) for each in found]
    missing = _missing(spec.compute_environments if spec else (), found)
    return [*rows, *([each.name, each.type, *[""] * 8] for each in missing)]


def queues(status: Status, spec: Batch | None) -> list[Row]:
    """A row a queue with its jobs by state; a + after a number says that there are at least so many."""
    wanted = {queue.name: ",".join(queue.compute_environments) for queue in spec.queues} if spec else {}
    found: Sequence[Status] = status.get("queues", ())
    rows = [
        [
            *_of(each, "name", "state", "status"),
            *(_number(each, state) for state in ACTIVE),
            wanted.get(each["name"], ""),
            *_of(each, "queue", "reason"),
        ]
        for each in found
    ]
    missing = _missing(spec.queues if spec else (), found)
    return [*rows, *([each.name, "", "", *[""] * len(ACTIVE), wanted[each.name], "", ""] for each in missing)]


def _number(queue: Status, state: str) -> str:
    """How many jobs of a queue are in a state."""
    return f"{queue.get('jobs', {}).get(state, 0)}{'+' if queue.get('more') else ''}"


def load(*queues: Status) -> str:
    """Jobs that run of those that have not ended, over queues."""
    running, active = (
        sum(queue.get("jobs", {}).get(state, 0) for queue in queues for state in states)
        for states in (("RUNNING",), ACTIVE)
    )
    return f"{running}/{active}{'+' if any(queue.get('more') for queue in queues) else ''}"


def _missing(wanted: Iterable[Any], found: Iterable[Status]) -> list[Any]:
    names = {each["name"] for each in found}
    return [each for each in wanted if each.name not in names]


def _of(status: Status, *keys: str) -> Row:
    return [status.get(key, "") for key in keys]
