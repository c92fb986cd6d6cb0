"""Rates by the second and delays, for the chart and the rows of the workers."""

import pytest

from core.model import Counters, Role
from core.monitor.delays import Delays, by_worker, percentile
from core.monitor.history import GAP, RateHistory
from core.repository.archive import Timing
from core.repository.base import Sample

NOW = 1000


def sample(second: int, count: int, number: int = 1, role: Role = Role.WORKER) -> Sample:
    """Return what a process had handled by a second."""
    counters = Counters(done=count) if role is Role.WORKER else Counters(accepted=count)
    return Sample(second, number, role, f"w{number}", counters, 0)


def steady(rate: int, first: int = NOW - 20, end: int = NOW + 1, number: int = 1) -> list[Sample]:
    """Return the samples of a process with a constant rate."""
    return [sample(second, rate * (second - first), number) for second in range(first, end)]


def test_a_new_history_is_all_zeros() -> None:
    history = RateHistory()
    assert history.rates(1, NOW, 5) == (0.0,) * 5
    assert history.chart(NOW, 3).ended == (0.0,) * 3
    assert history.chart(NOW, 3).taken_in == (0.0,) * 3


def test_a_steady_process_has_a_steady_rate() -> None:
    history = RateHistory()
    history.observe(steady(7), NOW)
    assert history.rates(1, NOW, 10) == (7.0,) * 10


def test_the_last_second_is_the_newest_complete_one() -> None:
    history = RateHistory()
    history.observe([sample(NOW - 2, 0), sample(NOW - 1, 50), sample(NOW, 50)], NOW)
    assert history.rates(1, NOW, 4) == (0.0, 0.0, 0.0, 50.0)
    assert history.rates(1, NOW + 1, 4) == (0.0, 0.0, 50.0, 0.0)


def test_a_short_gap_is_filled_evenly() -> None:
    history = RateHistory()
    history.observe([sample(NOW - 4, 100), sample(NOW - 4 + 3, 130)], NOW)
    assert history.rates(1, NOW, 5) == (0.0, 0.0, 10.0, 10.0, 10.0)


def test_a_long_gap_is_zero() -> None:
    history = RateHistory()
    history.observe([*steady(4, NOW - 20, NOW - 9), *[sample(NOW - 3 + each, 900 + each) for each in range(4)]], NOW)
    assert history.rates(1, NOW, 12) == (*(4.0,) * 3, *(0.0,) * 7, *(1.0,) * 2)


def test_a_gap_of_exactly_the_limit_is_filled() -> None:
    history = RateHistory()
    history.observe([sample(NOW - 1 - GAP, 0), sample(NOW - 1, 10 * GAP)], NOW)
    assert history.rates(1, NOW, GAP) == (10.0,) * GAP
    further = RateHistory()
    further.observe([sample(NOW - 2 - GAP, 0), sample(NOW - 1, 10 * GAP)], NOW)
    assert further.rates(1, NOW, GAP) == (0.0,) * GAP


def test_a_counter_that_restarts_gives_no_negative_rate() -> None:
    history = RateHistory()
    counts = [1000, 1010, 3, 13, 23]
    history.observe([sample(NOW - 5 + index, count) for index, count in enumerate(counts)], NOW)
    assert history.rates(1, NOW, 5) == (0.0, 10.0, 0.0, 10.0, 10.0)


def test_samples_seen_twice_count_once() -> None:
    history = RateHistory()
    samples = steady(3)
    for _ in range(3):
        history.observe(samples, NOW)
    history.observe(samples[5:9], NOW)
    assert history.rates(1, NOW, 10) == (3.0,) * 10


def test_samples_of_a_late_process_still_count() -> None:
    history = RateHistory()
    history.observe(steady(5, number=1), NOW)
    late = steady(2, NOW - 20, NOW - 2, number=2)
    assert history.next_second == NOW - GAP
    history.observe([each for each in late if each.second >= NOW - 20], NOW)
    history.observe([sample(each, 2 * (each - NOW + 20), 2) for each in range(history.next_second, NOW + 1)], NOW)
    assert history.rates(2, NOW, 10) == (2.0,) * 10


def test_a_clock_that_is_ahead_does_not_stop_the_others() -> None:
    history = RateHistory()
    history.observe([sample(NOW + 86_400, 5, number=9)], NOW)
    assert history.next_second <= NOW
    history.observe(steady(6), NOW)
    assert history.rates(1, NOW, 5) == (6.0,) * 5
    assert history.rates(9, NOW, 5) == (0.0,) * 5


def test_the_chart_adds_up_servers_and_workers_separately() -> None:
    history = RateHistory()
    served = [sample(NOW - 10 + each, 100 * each, 3, Role.SERVER) for each in range(11)]
    history.observe([*steady(5, number=1), *steady(6, number=2), *served], NOW)
    chart = history.chart(NOW, 5)
    assert chart.ended == (11.0,) * 5
    assert chart.taken_in == (100.0,) * 5


def test_the_number_of_seconds_kept_is_bounded() -> None:
    history = RateHistory(length=30)
    for second in range(2000):
        history.observe([sample(second, second * 2)], second)
    assert history.rates(1, 1999, 30) == (2.0,) * 30
    assert history.rates(1, 1999, 100)[:50] == (0.0,) * 50


def test_the_seconds_of_a_process_whose_clock_is_ahead_are_bounded_too() -> None:
    history = RateHistory(length=30)
    ahead = 1_000_000
    for second in range(2000):
        history.observe([sample(ahead + second, second)], second)
    # Only the last minute of that clock is kept.
    found = history.rates(1, ahead + 2000, 2000)
    assert sum(found) < 60
    assert found[-20:-2] == (1.0,) * 18


def test_a_process_that_left_long_ago_is_forgotten() -> None:
    history = RateHistory(length=30)
    history.observe(steady(5), NOW)
    history.observe([], NOW + 30 + 2 * GAP)
    assert history.rates(1, NOW, 5) == (0.0,) * 5


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.5, 5.0),
        ([5.0], 0.95, 5.0),
        ([2.0, 1.0], 0.5, 1.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([float(each) for each in range(1, 101)], 0.50, 50.0),
        ([float(each) for each in range(1, 101)], 0.95, 95.0),
        ([float(each) for each in range(1, 21)], 0.95, 19.0),
        ([1.0, 2.0, 3.0], 0.0, 1.0),
        ([1.0, 2.0, 3.0], 1.0, 3.0),
    ],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected
    assert percentile(iter(reversed(values)), share) == expected


def test_delays_are_given_for_each_worker_and_for_all() -> None:
    timings = [Timing("w1", each / 10, each) for each in range(1, 11)] + [Timing("w2", 5.0, 50.0)]
    delays = by_worker(timings)
    assert set(delays) == {"w1", "w2", ""}
    assert (delays["w1"].took_p50, delays["w1"].took_p95) == (5.0, 10.0)
    assert (delays["w1"].waited_p50, delays["w1"].waited_p95) == (0.5, 1.0)
    assert delays["w2"].took_p50 == delays["w2"].took_p95 == 50.0
    assert (delays[""].took_p50, delays[""].took_p95) == (6.0, 50.0)


def test_waits_that_are_not_known_are_left_out() -> None:
    known = [Timing("w1", 4.0, 2.0), Timing("w1", None, 3.0), Timing("w2", None, 9.0)]
    delays = by_worker([Timing("w1", None, 1.0), *known])
    assert delays["w1"] == Delays(4.0, 4.0, 2.0, 3.0)
    assert delays["w2"] == Delays(None, None, 9.0, 9.0)
    assert (delays[""].waited_p50, delays[""].took_p95) == (4.0, 9.0)


def test_without_tasks_there_are_no_delays() -> None:
    assert by_worker([]) == {}
