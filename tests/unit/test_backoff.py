"""How long to wait before the next try at a broker."""

import pytest

from core.broker.backoff import delay


@pytest.mark.parametrize(
    ("attempt", "random", "expected"),
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
def test_the_wait_doubles_up_to_its_limit_and_is_spread(attempt: int, random: float, expected: float) -> None:
    assert delay(attempt, random) == pytest.approx(expected)
