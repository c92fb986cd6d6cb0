"""How long to wait before the next try."""

import pytest

from core.backoff import Backoff, RetryTimer
from core.broker.base import RECONNECT_BACKOFF


@pytest.mark.parametrize(
    ("failures", "chance", "expected"),
    [
        (0, 1.0, 0.2),
        (0, 0.5, 0.1),
        (1, 1.0, 0.4),
        (2, 1.0, 0.8),
        (4, 1.0, 3.2),
        (5, 1.0, 5.0),
        (5, 0.25, 1.25),
        (1_000_000, 1.0, 5.0),
        (3, 0.0, 0.0),
    ],
)
def test_the_wait_doubles_up_to_its_limit_and_is_spread(failures: int, chance: float, expected: float) -> None:
    assert RECONNECT_BACKOFF.delay(failures, chance) == pytest.approx(expected)


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 1.5), (0.5, 2.0), (1.0, 2.5)])
def test_jitter_may_lengthen_the_wait_too(chance: float, expected: float) -> None:
    assert Backoff(first=1.0, longest=2.0, low=0.75, high=1.25).delay(3, chance) == pytest.approx(expected)


def test_a_series_of_tries_waits_longer_each_time_until_it_is_reset() -> None:
    timer = RetryTimer(Backoff(first=0.02, longest=0.05))

    assert [timer.next_delay() for _ in range(3)] == [0.02, 0.04, 0.05]

    timer.reset()
    assert timer.next_delay() == 0.02
