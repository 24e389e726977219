"""The protocol, explored to the end: it keeps its promises, and each weaker one is found out."""

import pytest

from tests.races.model import Rules, World, explore

EDITED = World()
DELETED = World(absent=frozenset({2}))
GONE = World(specs=2, absent=frozenset({2}))
WORLDS = {"edited twice": EDITED, "deleted and made again": DELETED, "deleted": GONE}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_no_wake_up_is_lost_nothing_newer_overwritten_and_no_fence_held_twice(world: World) -> None:
    found = explore(Rules(), world)
    assert found.at_rest > 0
    assert (found.lost, found.overwritten, found.doubled) == (0, 0, 0), found.example


WEAKER = {
    "a refused pass acknowledges": (Rules(refused_acks=True), EDITED, "lost"),
    "the lease is taken whatever the fence": (Rules(take_checks_fence=False), EDITED, "overwritten"),
    "writes do not look at the fence": (Rules(writes_check_fence=False), EDITED, "overwritten"),
    "no lease": (Rules(lease=False), EDITED, "overwritten"),
    "fences start again with a new record": (Rules(fences_grow_on=False), DELETED, "doubled"),
    "a record only begun is nobody's": (Rules(begun_is_swept=False), GONE, "lost"),
    "a cluster is forgotten under a call": (Rules(forgets_late=False), GONE, "lost"),
    "what changes in AWS wakes nobody": (Rules(changes_wake=False), EDITED, "lost"),
}


@pytest.mark.parametrize(("rules", "world", "broken"), WEAKER.values(), ids=WEAKER)
def test_a_weaker_protocol_breaks_a_promise(rules: Rules, world: World, broken: str) -> None:
    found = explore(rules, world, to_the_end=False)
    assert getattr(found, broken) > 0
    assert found.example
