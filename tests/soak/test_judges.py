"""What the soak judges with can tell good from bad: the soak itself is run by `make soak` alone."""

from tests.soak.memory import FLAT, growth, leaking


def test_a_process_that_grows_in_the_second_half_is_told_from_one_that_only_grew_at_first() -> None:
    settled = [(float(second), 60.0 + min(second, 100) / 5) for second in range(0, 400, 5)]
    leaking = [(float(second), 60.0 + second / 50) for second in range(0, 400, 5)]
    assert growth(settled) == (80.0, 0.0)
    size, grown = growth(leaking)
    assert grown > FLAT * size


def test_a_process_that_rises_late_to_where_the_others_are_does_not_leak() -> None:
    idle, late, still = ("Reconcile", 1), ("Reconcile", 2), ("Reconcile", 3)
    grown = {idle: (92.0, 0.5), late: (104.0, 7.2), still: (104.5, 1.0)}
    assert leaking(grown) == []
    assert leaking({**grown, late: (104.6, 7.2)}) == [late]
    assert leaking({**grown, ("Wake", 4): (80.0, 7.2)}) == [("Wake", 4)], "no other of its function to be held against"


def test_when_all_that_do_something_rise_they_leak() -> None:
    busy, busier, idle = ("Reconcile", 1), ("Reconcile", 2), ("Reconcile", 3)
    assert leaking({busy: (110.0, 6.0), busier: (120.0, 9.0), idle: (92.0, 0.5)}) == [busy, busier]
