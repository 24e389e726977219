"""What the operator knows of the queues of a Slurm cluster: what their nodes have, and what the head node is told."""

import json
from collections.abc import Collection, Mapping, Sequence

from reconciler.cluster import Cluster, Queue, Spec
from reconciler.demand import Shape
from reconciler.facts import group_name
from reconciler.pins import Pins

SLURM = "slurm"
# In percent. What Slurm gives out of a machine's memory: the kernel and the daemons have the rest.
MEMORY = 95
# What of a queue is its nodes', by its launch template.
HAS = ("cpus", "memory", "gpus")
# Seconds that idle nodes share before they go, where the spec says nothing: a part of what the boot of one takes, for
# few are used again.
IDLE_TIME = 30


def is_slurm(cluster: Cluster) -> bool:
    """Whether Slurm runs the cluster's jobs."""
    return cluster.spec.scheduler == SLURM


def idle_seconds(spec: Spec) -> float:
    """How long a node is idle before it goes; without a word of the spec's, how long idle nodes are together."""
    return float(IDLE_TIME) if spec.idle_time is None else 60.0 * spec.idle_time


def required_shapes(cluster: Cluster) -> set[str]:
    """The instance types whose shape has to be pinned: those of the queues."""
    return {kind for queue in cluster.spec.queues for kind in queue.instance_types} if is_slurm(cluster) else set()


def node_shape(queue: Queue, pins: Pins) -> Shape:
    """What each node of a queue has for jobs at least, whichever of its types it is. Raises KeyError without pins."""
    shapes = [pins.shapes[kind] for kind in queue.instance_types]
    place = 1 if queue.disable_hyperthreading else 0
    return Shape(
        min(shape[place] for shape in shapes),
        min(shape[2] for shape in shapes) * MEMORY // 100,
        min(shape[3] for shape in shapes),
    )


def facts_document(cluster: Cluster, pins: Pins) -> str:
    """What the head node has to know to configure Slurm: the same bytes for the same cluster.

    Raises KeyError when `pins` lacks what `required_shapes` names.
    """
    spec = cluster.spec
    queues = [
        {
            "name": queue.name,
            "group": group_name(cluster.metadata.name, queue.name),
            "max": queue.bounds.max,
            "cpus": shape.cpus,
            "memory": shape.memory,
            "gpus": shape.gpus,
        }
        for queue, shape in ((queue, node_shape(queue, pins)) for queue in spec.queues)
    ]
    return _written(queues)


def keeping(document: str, former: str, there: Collection[str], *, settled: bool = True) -> str:
    """A document with those queues of a former one that are `there` yet, and not in it: jobs run on their nodes.

    Until the stack has `settled`, nodes are launched as before, and have what the former document says. Nothing is
    taken from a former document that cannot be read.
    """
    try:
        queues, others = json.loads(document)["queues"], json.loads(former)["queues"]
        names = {queue["name"] for queue in queues}
        had = {queue["name"]: {key: queue[key] for key in HAS} for queue in others if not settled}
        kept = [queue for queue in others if queue["name"] in there and queue["name"] not in names]
    except (ValueError, LookupError, TypeError):
        return document
    return _written([*({**queue, **had.get(queue["name"], {})} for queue in queues), *kept])


def _written(queues: Sequence[Mapping[str, object]]) -> str:
    return json.dumps({"queues": queues}, sort_keys=True, separators=(",", ":"))
