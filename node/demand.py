"""What a cluster's jobs ask of its nodes, as the operator reads it: the same bytes for the same content."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from node.facts import Queue
from node.lists import Host, Row
from node.rows import NodeRow
from node.scheduler import HostState, Jobs


def document(
    facts: Sequence[Queue],
    rows: Mapping[str, NodeRow],
    hosts: Mapping[str, HostState],
    jobs: Iterable[Jobs],
    former: Mapping[str, float],
    now: float,
) -> str:
    """The document; `former` says since when nodes without jobs have had none, as it was seen before."""
    queues = {queue.name: queue for queue in facts}
    jobs = [_of_hosts(_spread(job, queues), queues, rows.values(), hosts) for job in jobs]
    ready = [row for row in rows.values() if row.state is Row.READY and row.name in hosts]
    asked: dict[str, Any] = {
        queue: {
            **_jobs([job for job in jobs if next(iter(_queues(job, queues)), "") == queue], queues),
            "rooms": _rooms(hosts[row.name] for row in ready if row.queue == queue),
            "idle": {
                row.id: int(former.get(row.id, now))
                for row in ready
                if row.queue == queue and hosts[row.name].state is Host.IDLE
            },
        }
        for queue in queues
    }
    states = Counter(row.state.value for row in rows.values())
    return json.dumps({"queues": asked, "nodes": states}, sort_keys=True, separators=(",", ":"))


def idle_since(text: str) -> dict[str, float]:
    """Since when nodes have no jobs, by a former document; an unreadable one knows of none."""
    try:
        queues = json.loads(text)["queues"].values()
        return {node: float(since) for queue in queues for node, since in queue["idle"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _queues(job: Jobs, queues: Collection[str]) -> list[str]:
    """Those that a job may start in, in its order, as far as the operator knows them."""
    return [name for name in job.queue.split(",") if name in queues]


def _spread(job: Jobs, queues: Mapping[str, Queue]) -> Jobs:
    """A job with as many nodes as the scheduler may give it, where it does not fit on as few as it may have."""
    queue = next((queues[name] for name in _queues(job, queues)), None)
    if queue is None or job.most <= job.nodes:
        return job
    usable = max(queue.cpus - queue.cpus % max(job.task, 1), 1)
    shares = ((job.cpus, usable), (job.memory, queue.memory), (job.gpus, queue.gpus))
    fits = all(want <= have * job.nodes for want, have in shares)
    return job if fits else replace(job, nodes=job.most)


def _of_hosts(job: Jobs, queues: Collection[str], rows: Iterable[NodeRow], hosts: Mapping[str, HostState]) -> Jobs:
    """A job that names its hosts waits for them, and is no reason to launch others.

    A node is launched for it alone, and gets one of the names, when that has none and no other is idle that would seem
    to do.
    """
    if not job.hosts or not job.able:
        return job
    queue = next(iter(_queues(job, queues)), "")
    names = {row.name for row in rows if row.queue == queue}
    idle = {name for name in names if name in hosts and hosts[name].state is Host.IDLE}
    wanted = set(job.hosts)
    there = len(wanted) >= max(job.nodes, 1) and names >= wanted and not idle >= wanted
    useless = bool(idle) and not idle & wanted
    return replace(job, able=False) if there or useless else replace(job, count=1, exclusive=True)


def _jobs(jobs: Sequence[Jobs], queues: Collection[str]) -> dict[str, Any]:
    pending: Counter[tuple[tuple[int, ...], tuple[str, ...]]] = Counter()
    waiting: Counter[str] = Counter()
    never: Counter[str] = Counter()
    for job in jobs:
        if job.never:
            never[job.reason] += job.count
        elif job.able:
            pending[_part(job), tuple(_queues(job, queues)[1:])] += job.count
        else:
            waiting[job.reason] += job.count
    # The count stands before the last, which says whether they share their nodes; then come the other queues, if any.
    shapes = [
        [*shape[:-1], count, shape[-1], *([[*others]] if others else [])]
        for (shape, others), count in sorted(pending.items())
    ]
    return {"pending": shapes, "waiting": waiting, "never": never}


def _part(job: Jobs) -> tuple[int, ...]:
    """What a job takes of one of its nodes."""
    nodes = max(job.nodes, 1)
    cpus, memory, gpus = (-(-total // nodes) for total in (job.cpus, job.memory, job.gpus))
    return max(cpus, 1), memory, gpus, nodes, int(job.exclusive)


def _rooms(hosts: Iterable[HostState]) -> list[list[int]]:
    """What is free on nodes that run jobs."""
    free = Counter(
        (max(host.cpus, 0), max(host.memory, 0), max(host.gpus, 0)) for host in hosts if host.state is Host.BUSY
    )
    return [[*room, count] for room, count in sorted(free.items())]
