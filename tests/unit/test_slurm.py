"""What the operator tells a Slurm cluster's head node, and what it knows of the nodes itself."""

import json
from typing import Any

import pytest

from reconciler.demand import Shape
from reconciler.pins import Pins
from reconciler.slurm import facts_document, idle_seconds, keeping, node_shape, required_shapes
from tests.unit.render.support import SLURM, cluster

PINS = Pins(
    shapes={
        "c5.xlarge": (4, 2, 8192, 0),
        "c5.2xlarge": (8, 4, 16384, 0),
        "r5.large": (2, 1, 16384, 0),
        "p3.8xlarge": (32, 16, 249856, 4),
        "g4dn.12xlarge": (48, 24, 196608, 4),
        "g5.xlarge": (4, 2, 16384, 1),
    }
)


def queue(*types: str, **fields: Any) -> dict[str, Any]:
    return {"name": "cpu", "instanceTypes": list(types), **fields}


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        (queue("c5.2xlarge"), Shape(8, 15564, 0)),
        (queue("c5.2xlarge", disableHyperthreading=True), Shape(4, 15564, 0)),
        (queue("c5.2xlarge", "c5.xlarge"), Shape(4, 7782, 0)),
        # Whichever comes, it has the least of each: no type of the queue is like this.
        (queue("c5.xlarge", "r5.large"), Shape(2, 7782, 0)),
        (queue("p3.8xlarge", "g4dn.12xlarge"), Shape(32, 186777, 4)),
        (queue("p3.8xlarge", "g5.xlarge"), Shape(4, 15564, 1)),
        (queue("g5.xlarge", "c5.xlarge"), Shape(4, 7782, 0)),
    ],
    ids=lambda value: str(value.get("instanceTypes", value)) if isinstance(value, dict) else "",
)
def test_a_node_has_the_least_of_each_of_its_types(fields: dict[str, Any], shape: Shape) -> None:
    assert node_shape(cluster(**SLURM, queues=[fields]).spec.queues[0], PINS) == shape


def test_the_head_node_is_told_of_all_queues() -> None:
    of = cluster(**SLURM, queues=[queue("c5.xlarge", maxSize=7), {**queue("p3.8xlarge", size=2), "name": "gpu"}])
    text = facts_document(of, PINS)
    assert json.loads(text) == {
        "queues": [
            {"name": "cpu", "group": "muster-demo.cpu", "max": 7, "cpus": 4, "memory": 7782, "gpus": 0},
            {"name": "gpu", "group": "muster-demo.gpu", "max": 2, "cpus": 32, "memory": 237363, "gpus": 4},
        ],
    }
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def named(*names: str, most: int = 1) -> str:
    return json.dumps({"queues": [{"name": name, "max": most} for name in names]}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("former", "there", "expected"),
    [
        (named("a"), {"a"}, named("a")),
        (named("a", "b"), {"a", "b"}, named("a", "b")),
        (named("b", "a"), {"a"}, named("a")),
        (named("a", "b", "c"), {"c"}, named("a", "c")),
        ("", {"a", "b"}, named("a")),
        ("[]", {"a", "b"}, named("a")),
        ('{"queues":[{}]}', {"a", "b"}, named("a")),
    ],
)
def test_a_queue_whose_group_is_there_stays_known(former: str, there: set[str], expected: str) -> None:
    assert json.loads(keeping(named("a"), former, there)) == json.loads(expected)
    assert json.loads(keeping(named("a", most=7), named("a"), there)) == json.loads(named("a", most=7))


def test_shapes_are_needed_for_slurm_alone() -> None:
    queues = [queue("c5.xlarge", "c5.2xlarge"), {**queue("c5.xlarge"), "name": "other"}]
    assert required_shapes(cluster(**SLURM, queues=queues)) == {"c5.xlarge", "c5.2xlarge"}
    assert required_shapes(cluster(queues=queues)) == set()


def test_an_idle_node_stays_for_a_moment_or_as_long_as_asked() -> None:
    assert idle_seconds(cluster(**SLURM).spec) == 30
    assert idle_seconds(cluster(**SLURM, idleTime=10).spec) == 600
