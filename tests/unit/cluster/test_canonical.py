"""The hash of a spec: the same for the same meaning, another for another."""

from typing import Any

import pytest

from reconciler.cluster import Cluster, parse, spec_hash
from tests.unit.cluster.documents import document, queue, storage


def hash_of(spec: dict[str, Any] | None = None, **parts: Any) -> str:
    cluster = parse(document(spec, **parts))
    assert isinstance(cluster, Cluster), str(cluster)
    return spec_hash(cluster)


SAME = [
    {"paused": False},
    {"image": {}},
    {"image": {"os": "alinux2023"}},
    {"headNode": {"rootVolume": {"size": 40, "type": "gp3"}}},
    {"tags": {}, "sharedStorage": [], "bootstrap": {}, "scratch": {"mountDir": "/scratch"}},
    queue(size=2.0, efa=False, rootVolume={"size": 40}),
]


@pytest.mark.parametrize("spec", SAME, ids=str)
def test_defaults_written_out_are_the_same_spec(spec: dict[str, Any]) -> None:
    assert hash_of(spec) == hash_of()


def test_only_the_spec_counts() -> None:
    assert hash_of(metadata={"name": "other", "labels": {"a": "b"}}) == hash_of()


def test_order_of_fields_does_not_count() -> None:
    backwards = {"spec": dict(reversed(document()["spec"].items()))}

    assert hash_of() == spec_hash(parse({**document(), **backwards}))  # type: ignore[arg-type]


def test_every_difference_counts() -> None:
    different = [
        {},
        {"paused": True},
        {"tags": {"a": "b"}},
        {"tags": {"a": "c"}},
        {"headNode": {"rootVolume": {"size": 41}}},
        queue(size=3),
        queue(size=0),
        queue(minSize=0),
        queue(),
        queue(instanceTypes=["c7i.large", "c7a.large"], size=2),
        queue(instanceTypes=["c7a.large", "c7i.large"], size=2),
        storage({"ebs": {}}),
        storage({"efs": {}}),
        {"consent": ["headNode"]},
    ]

    assert len({hash_of(spec) for spec in different}) == len(different)


def test_hash_does_not_move() -> None:
    """A version of Muster that gives another hash to this spec would count a change that nobody made."""
    assert hash_of() == "17f486dd061c0babe60944f1919db1636a084844914b7200ccb24cc42c316b5e"
