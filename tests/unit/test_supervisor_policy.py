"""When a process that died is started again: a table of histories."""

import pytest

from core.supervisor.policy import Exit, GiveUp, Restart, decide


def died(*times: float, healthy: float = 0.0) -> list[Exit]:
    return [Exit(at, healthy) for at in times]


@pytest.mark.parametrize(
    ("exits", "expected"),
    [
        pytest.param(died(100), Restart(0.5), id="the first death"),
        pytest.param(died(99, 100), Restart(1.0), id="the second"),
        pytest.param(died(96, 98, 100), Restart(2.0), id="the third"),
        pytest.param(died(80, 85, 90, 95, 100), Restart(8.0), id="five within a minute are still mended"),
        pytest.param(died(40, 60, 70, 80, 90, 100), GiveUp(6), id="six are not"),
        pytest.param(died(39, 60, 70, 80, 90, 100), Restart(16.0), id="one of six was more than a minute ago"),
        pytest.param(died(*range(-1000, 101, 20)), Restart(30.0), id="the wait has an upper end"),
        pytest.param([*died(97, 98, 99), Exit(100, 60.0)], Restart(0.5), id="a healthy minute lets the past be"),
        pytest.param([*died(97, 98, 99), Exit(100, 59.0)], Restart(4.0), id="a shorter one doesn't"),
        pytest.param([Exit(90, 70.0), Exit(100, 1.0)], Restart(1.0), id="the death after health counts as the first"),
        pytest.param([Exit(at, 0.1, clean=True) for at in range(80, 101)], Restart(0.5), id="leaving is no death"),
        pytest.param(
            [*died(98), Exit(99, 0.0, clean=True), *died(100)],
            Restart(1.0),
            id="leaving between deaths changes nothing",
        ),
        pytest.param([], Restart(0.5), id="nothing remembered"),
    ],
)
def test_what_is_done_after_a_death(exits: list[Exit], expected: Restart | GiveUp) -> None:
    assert decide(exits, 100.0) == expected


@pytest.mark.parametrize(("jitter", "wait"), [(0.0, 0.4), (0.25, 0.45), (1.0, 0.6)])
def test_chance_spreads_the_waits(jitter: float, wait: float) -> None:
    decision = decide(died(100), 100.0, jitter)
    assert isinstance(decision, Restart)
    assert decision.after == pytest.approx(wait)
