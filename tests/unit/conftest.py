"""What the unit tests share."""

from collections.abc import Iterator

import pytest

from tests.unit.plane import Plane, control_plane


@pytest.fixture
def plane() -> Iterator[Plane]:
    """A control plane on moto, with nothing in it."""
    with control_plane() as made:
        yield made
