"""Sizes of volumes with their defaults, and what exists already."""

from typing import Any

import pytest

from reconciler.cluster import SharedStorage
from tests.unit.cluster.documents import FILE_SYSTEM, VOLUME


def entry(**kind: Any) -> SharedStorage:
    return SharedStorage.model_validate({"name": "a", "mountDir": "/a", **kind})


@pytest.mark.parametrize(
    ("ebs", "size"),
    [
        ({}, 20),
        ({"type": "st1"}, 500),
        ({"type": "sc1"}, 500),
        ({"size": 7}, 7),
        ({"snapshotId": "snap-01234567"}, None),
        ({"snapshotId": "snap-01234567", "size": 7}, 7),
    ],
)
def test_size_of_ebs(ebs: dict[str, Any], size: int | None) -> None:
    volume = entry(ebs=ebs).ebs

    assert volume is not None
    assert volume.size_gib == size


@pytest.mark.parametrize(("raid", "size"), [({}, 20), ({"type": "st1"}, 500), ({"size": 7}, 7)])
def test_size_of_raid(raid: dict[str, Any], size: int) -> None:
    array = entry(raid={"level": 0, **raid}).raid

    assert array is not None
    assert array.size_gib == size


@pytest.mark.parametrize(
    ("kind", "identity"),
    [
        ({"ebs": {}}, None),
        ({"ebs": {"volumeId": VOLUME}}, VOLUME),
        ({"raid": {"level": 1}}, None),
        ({"efs": {}}, None),
        ({"efs": {"fileSystemId": FILE_SYSTEM}}, FILE_SYSTEM),
        ({"fsxLustre": {"storageCapacity": 1200}}, None),
        ({"fsxLustre": {"fileSystemId": FILE_SYSTEM, "mountName": "a"}}, FILE_SYSTEM),
    ],
)
def test_what_exists_already(kind: dict[str, Any], identity: str | None) -> None:
    assert list(entry(**kind).kinds) == list(kind)
    assert entry(**kind).existing == identity
