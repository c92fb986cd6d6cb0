"""When a process that died is restarted: a table of histories."""

import pytest

from core.supervisor.processes.restart_policy import (
    HEALTHY,
    MAX_DEATHS,
    WINDOW,
    Restart,
    StayDown,
    StopRestarting,
    UnexpectedExit,
    decide,
)


def died(*times: float, healthy: float = 0.0) -> list[UnexpectedExit]:
    return [UnexpectedExit(at, healthy) for at in times]


def killed(*times: float) -> list[UnexpectedExit]:
    return [UnexpectedExit(at, 0.0, passing=True) for at in times]


def left(*times: float) -> list[UnexpectedExit]:
    return [UnexpectedExit(at, 0.0, deliberate=True) for at in times]


@pytest.mark.parametrize(
    ("exits", "expected"),
    [
        pytest.param([], Restart(0.5), id="nothing remembered"),
        pytest.param(died(100), Restart(0.5), id="the first death"),
        pytest.param(died(99, 100), Restart(1.0), id="the second"),
        pytest.param(died(96, 98, 100), Restart(2.0), id="the third"),
        pytest.param(died(80, 85, 90, 95, 100), Restart(8.0), id="five within a minute are still mended"),
        pytest.param(died(40, 60, 70, 80, 90, 100), StopRestarting(6), id="six are not"),
        pytest.param(died(39, 60, 70, 80, 90, 100), Restart(16.0), id="one of six was more than a minute ago"),
        pytest.param(died(*range(-1000, 101, 20)), Restart(30.0), id="the wait has an upper end"),
        pytest.param([*died(97, 98, 99), UnexpectedExit(100, HEALTHY)], Restart(0.5), id="health lets the past be"),
        pytest.param(
            [*died(97, 98, 99), UnexpectedExit(100, HEALTHY - 0.1)], Restart(2.0), id="a moment of health doesn't"
        ),
        pytest.param(
            [UnexpectedExit(90, HEALTHY), UnexpectedExit(100, 1.0)],
            Restart(1.0),
            id="the death after health is the second",
        ),
        pytest.param(
            [UnexpectedExit(at, HEALTHY) for at in range(40, 101, 10)],
            Restart(0.5),
            id="who was healthy each time is mended",
        ),
        pytest.param(
            [*died(80, 82, 84, 86, 88), UnexpectedExit(100, HEALTHY)],
            Restart(0.5),
            id="five deaths and one after health",
        ),
        pytest.param(
            died(*range(40, 101, 10), healthy=0.5), Restart(2.0), id="what does get ready is mended again and again"
        ),
        pytest.param(
            [*died(50, healthy=0.5), *died(60, 70, 80, 90, 95, 100)], StopRestarting(6), id="until it does no more"
        ),
        pytest.param(killed(*range(40, 101, 10)), Restart(30.0), id="a cause that may pass is waited for"),
        pytest.param([*killed(*range(40, 100, 10)), *died(100)], Restart(30.0), id="such deaths are not counted"),
        pytest.param(
            [*died(40, 60, 70, 80, 90), *killed(95), *died(100)], StopRestarting(6), id="nor do they hide the others"
        ),
        pytest.param(left(*range(80, 101)), Restart(0.5), id="leaving is no death"),
        pytest.param([*died(98), *left(99), *died(100)], Restart(1.0), id="leaving between deaths changes nothing"),
        pytest.param([*died(94, 95, 96, 97, 98), *left(99, 100)], Restart(8.0), id="leaving is not the sixth death"),
    ],
)
def test_the_decision_after_an_exit(exits: list[UnexpectedExit], expected: Restart | StopRestarting) -> None:
    assert decide(exits, 100.0) == expected


@pytest.mark.parametrize("exits", [[], died(100), died(*range(90, 101)), left(100), [UnexpectedExit(100, 500.0)]])
def test_an_operators_stop_beats_every_restart(exits: list[UnexpectedExit]) -> None:
    assert decide(exits, 100.0, wanted=False) == StayDown()


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 0.4), (0.25, 0.45), (1.0, 0.6)])
def test_jitter_spreads_the_delays(jitter: float, delay: float) -> None:
    decision = decide(died(100), 100.0, jitter)
    assert isinstance(decision, Restart)
    assert decision.delay == pytest.approx(delay)


def test_a_process_that_cannot_run_is_given_up() -> None:
    """It is started a bounded number of times within the window, however it dies."""
    now, exits = 0.0, died(0.0)
    while isinstance(decision := decide(exits, now), Restart):
        now += decision.delay
        exits.append(UnexpectedExit(now, 0.0))
    assert len(exits) == MAX_DEATHS + 1
    assert now <= WINDOW
