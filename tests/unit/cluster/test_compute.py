"""Names of instance types, and sizes of queues."""

import gzip
import json
from pathlib import Path
from typing import Any

import moto
import pytest

from reconciler.cluster import Bounds, Queue, architecture
from reconciler.cluster.rules.compute import BURSTABLE_OR_FLEX
from reconciler.cluster.text import INSTANCE_TYPE
from tests.unit.cluster.test_text import holds

TYPES: dict[str, Any] = json.loads(
    gzip.decompress((Path(moto.__file__).parent / "ec2/resources/instance_types.json.gz").read_bytes())
)
LINUX = {name: kind for name, kind in TYPES.items() if not name.startswith("mac")}


def test_architecture_of_all_types_that_ec2_knows() -> None:
    assert len(LINUX) > 1000
    wrong = {
        name: kind["ProcessorInfo"]["SupportedArchitectures"]
        for name, kind in LINUX.items()
        if architecture(name) not in kind["ProcessorInfo"]["SupportedArchitectures"]
    }

    assert wrong == {}


def test_types_without_placement_groups_are_known() -> None:
    """But for the generations before the names told it, which EC2 itself refuses."""
    lacking = {n for n, kind in LINUX.items() if "cluster" not in kind["PlacementGroupInfo"]["SupportedStrategies"]}
    old = {name for name in lacking if name.split(".")[0] in {"c1", "m1", "m2", "m3", "vt1"}}

    assert {name for name in LINUX if BURSTABLE_OR_FLEX.match(name)} == lacking - old


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a1.large", "arm64"),
        ("c7gn.16xlarge", "arm64"),
        ("im4gn.large", "arm64"),
        ("g5g.xlarge", "arm64"),
        ("p6e-gb200.36xlarge", "arm64"),
        ("g5.xlarge", "x86_64"),
        ("p6-b200.48xlarge", "x86_64"),
        ("u-6tb1.metal", "x86_64"),
        ("c7i-flex.large", "x86_64"),
        ("trn1.2xlarge", "x86_64"),
    ],
)
def test_architecture_by_name(name: str, expected: str) -> None:
    assert architecture(name) == expected


def test_names_of_all_types_are_instance_types() -> None:
    assert [name for name in TYPES if not holds(INSTANCE_TYPE, name)] == []


@pytest.mark.parametrize(
    ("fields", "bounds"),
    [
        ({}, Bounds(0, 10, None)),
        ({"size": 0}, Bounds(0, 0, 0)),
        ({"size": 3}, Bounds(3, 3, 3)),
        ({"minSize": 2}, Bounds(2, 10, None)),
        ({"maxSize": 0}, Bounds(0, 0, None)),
        ({"minSize": 2, "maxSize": 5000}, Bounds(2, 5000, None)),
    ],
)
def test_bounds(fields: dict[str, int], bounds: Bounds) -> None:
    queue = Queue.model_validate({"name": "a", "instanceTypes": ["c7i.large"], **fields})

    assert queue.bounds == bounds
