"""The rates of the system, from the ledger as it was seen."""

import pytest

from core.model import Ledger
from core.monitor.history import GAP, RateSeries
from core.monitor.rates import WINDOW
from core.monitor.totals import LedgerHistory

NOW = 1_795_000_000.0


def observed(*looks: tuple[float, Ledger]) -> LedgerHistory:
    """The history of these ledgers, each with the seconds after `NOW`."""
    history = LedgerHistory()
    for seconds, ledger in looks:
        history.observe(NOW + seconds, ledger)
    return history


PRESENT: dict[str, tuple[list[tuple[float, Ledger]], tuple[float, float] | None]] = {
    "nothing was seen": ([], None),
    "one look": ([(0.0, Ledger(done=5))], None),
    "looks that are too near": ([(0.0, Ledger()), (0.5, Ledger(done=5))], None),
    "two looks": ([(0.0, Ledger(done=5)), (2.0, Ledger(queued=10, done=9, failed=2))], (8.0, 3.0)),
    "only what is recent": (
        [(0.0, Ledger()), (1.0, Ledger(done=900)), (1.0 + WINDOW, Ledger(done=900 + WINDOW))],
        (1.0, 1.0),
    ),
    "failed tasks are retried": (
        [(0.0, Ledger(failed=500)), (1.0, Ledger(queued=490, done=10)), (2.0, Ledger(queued=480, done=20))],
        (0.0, 10.0),
    ),
    "another journal": ([(0.0, Ledger(done=9)), (1.0, Ledger(done=8)), (3.0, Ledger(done=10))], (1.0, 1.0)),
    "the clock was set back": ([(5.0, Ledger(done=1)), (0.0, Ledger(done=2)), (2.0, Ledger(done=4))], (1.0, 1.0)),
}


@pytest.mark.parametrize(("looks", "rates"), PRESENT.values(), ids=PRESENT)
def test_the_present_rates_come_from_the_ledger(
    looks: list[tuple[float, Ledger]], rates: tuple[float, float] | None
) -> None:
    assert observed(*looks).present == rates


def test_the_chart_is_corrected_where_whole_seconds_were_observed() -> None:
    history = observed((0.5, Ledger()), (1.5, Ledger(done=10)), (2.5, Ledger(done=30)), (3.5, Ledger(done=30)))
    samples = RateSeries((1.0,) * 5, (2.0,) * 5)
    corrected = history.correct(samples, int(NOW))
    assert corrected.taken_in == pytest.approx((1.0, 15.0, 10.0, 1.0, 1.0))
    assert corrected.ended == pytest.approx((2.0, 15.0, 10.0, 2.0, 2.0))


def test_the_chart_is_not_corrected_over_a_pause() -> None:
    history = observed((0.0, Ledger()), (GAP + 1.0, Ledger(done=10)))
    samples = RateSeries((1.0,) * 4, (2.0,) * 4)
    assert history.correct(samples, int(NOW)) == samples
