"""A pass that is killed right after it made a record, for a spec that is gone by then, its message gone too."""

from collections.abc import Iterator

import pytest

from reconciler.record import Record
from reconciler.sweep import sweep
from tests.unit.factories import NAME
from tests.unit.plane import Plane, control_plane


@pytest.fixture
def plane() -> Iterator[Plane]:
    with control_plane() as made:
        yield made


def test_the_sweep_finds_a_record_that_speaks_of_no_spec(plane: Plane) -> None:
    plane.store.take(Record(NAME, "uid"), "zombie", 60, plane.now)
    plane.now += 61
    assert sweep(plane.clients, plane.settings, plane.now) == {NAME: "spec"}
    assert plane.go().result == "forgotten"
    assert plane.store.load(NAME) == (None, None)
    assert sweep(plane.clients, plane.settings, plane.now) == {}
