"""The trace checker: what it lets pass, and that it finds each thing that it looks for."""

from typing import Any

import pytest

from tests.races.trace import check

Line = dict[str, Any]


def wake(at: int, name: str, cluster: str = "demo") -> Line:
    return {"message": "wake", "cluster": cluster, "id": name, "timestamp": f"1970-01-01 00:00:{at:02},000+0000"}


def ran(name: str, started: float, ended: float, fence: int = 0, cluster: str = "demo") -> Line:
    taken = started + 0.5 if fence else 0.0
    times = {"started": started, "ended": ended, "taken": taken, "fence": fence}
    return {"message": "pass", "cluster": cluster, "wake_id": name, **times}


GOOD = {
    "nothing": [],
    "one": [wake(1, "a"), ran("a", 2, 3, 1)],
    "other lines": [{"message": "sweep"}, {"level": "INFO"}, wake(1, "a"), ran("a", 2, 3)],
    "one after the other": [wake(1, "a"), wake(2, "b"), ran("a", 3, 4, 1), ran("b", 5, 6, 2)],
    "read while another acts": [wake(1, "a"), wake(2, "b"), ran("a", 3, 9, 1), ran("b", 5, 6)],
    "lease taken after the other's end": [wake(1, "a"), wake(2, "b"), ran("a", 3, 5.2, 1), ran("b", 5, 6, 2)],
    "two clusters at once": [
        wake(1, "a"),
        wake(1, "b", "other"),
        ran("a", 3, 9, 1),
        ran("b", 4, 8, 1, "other"),
    ],
    "answered by a later pass": [wake(1, "a"), ran("b", 2, 3)],
    "logged after the pass that it caused": [ran("a", 1, 2), wake(3, "a")],
    "told out of order": [ran("b", 5, 6, 2), wake(2, "b"), ran("a", 3, 4, 1), wake(1, "a")],
}
BAD = {
    "demo: wake-up a was lost": [wake(1, "a")],
    "demo: wake-up b was lost": [wake(1, "a"), wake(5, "b"), ran("a", 2, 6)],
    "demo: wake-up c was lost": [wake(9, "c"), ran("c", 10, 11, cluster="other"), ran("a", 2, 6)],
    "demo: fences 1 and 2 acted at once": [wake(1, "a"), wake(2, "b"), ran("a", 3, 9, 1), ran("b", 5, 6, 2)],
    "demo: fence 1 was given twice": [wake(1, "a"), wake(2, "b"), ran("a", 3, 4, 1), ran("b", 5, 6, 1)],
    "demo: fence 1 came after 2": [wake(1, "a"), wake(2, "b"), ran("a", 3, 4, 2), ran("b", 5, 6, 1)],
}


@pytest.mark.parametrize("lines", GOOD.values(), ids=GOOD)
def test_a_good_trace_passes(lines: list[Line]) -> None:
    assert check(lines) == []


@pytest.mark.parametrize(("wrong", "lines"), BAD.items(), ids=BAD)
def test_a_bad_trace_is_found(wrong: str, lines: list[Line]) -> None:
    assert check(lines) == [wrong]
