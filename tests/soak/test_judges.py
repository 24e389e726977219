"""What the soak judges with can tell good from bad: the soak itself is run by `make soak` alone."""

from tests.soak.memory import FLAT, growth


def test_a_process_that_grows_in_the_second_half_is_told_from_one_that_only_grew_at_first() -> None:
    settled = [(float(second), 60.0 + min(second, 100) / 5) for second in range(0, 400, 5)]
    leaking = [(float(second), 60.0 + second / 50) for second in range(0, 400, 5)]
    assert growth(settled) == (80.0, 0.0)
    size, grown = growth(leaking)
    assert grown > FLAT * size
