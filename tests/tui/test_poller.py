"""The poller, with its real thread."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from core.model import Ledger, Part, Trouble
from core.monitor.snapshot import Snapshot
from tests.services.waiting import wait_until
from tui.poller import IDLE_FACTOR, Poller, interval_factor
from tui.view import Health, View

THREAD_TIMEOUT = 60.0
"""Seconds for a thread to end, on a busy machine."""

LONG = 3600.0
"""An interval that no test waits for."""


class PollerBench:
    """A poller whose builds are counted and whose views are queued."""

    def __init__(self) -> None:
        self.builds = 0
        self.began = time.monotonic()
        self.closed_in: list[str] = []
        self.views: queue.SimpleQueue[View] = queue.SimpleQueue()
        self.before: Callable[[], None] = lambda: None
        self.pollers: list[Poller] = []

    def poller(self, interval: float) -> Poller:
        """Start a poller."""
        made = Poller(self._build, self.views.put, interval, self._close)
        self.pollers.append(made)
        made.start()
        return made

    def next(self) -> View:
        """Return the next view that is handed over."""
        return self.views.get(timeout=THREAD_TIMEOUT)

    def _build(self, now: float, wall: float) -> View:
        self.builds += 1
        assert self.began <= now <= time.monotonic()
        self.before()
        return View(number=self.builds, snapshot=Snapshot(taken_at=wall))

    def _close(self) -> None:
        self.closed_in.append(threading.current_thread().name)


@pytest.fixture
def bench() -> Iterator[PollerBench]:
    """A bench whose pollers end with it."""
    made = PollerBench()
    yield made
    for poller in made.pollers:
        poller.stop()


def test_the_first_view_is_built_at_once_and_has_the_time(bench: PollerBench) -> None:
    began = time.time()
    bench.poller(LONG)
    view = bench.next()
    assert view.number == 1
    assert began <= view.now <= time.time()


def test_the_next_view_follows_after_the_interval_once_it_was_requested(bench: PollerBench) -> None:
    poller = bench.poller(0.01)
    for number in (1, 2, 3):
        assert bench.next().number == number
        poller.request_next()


def test_no_views_queue_up_when_none_is_requested(bench: PollerBench) -> None:
    poller = bench.poller(0.001)
    bench.next()
    for _ in range(1000):
        poller.look_now()
    with pytest.raises(queue.Empty):
        bench.views.get(timeout=0.2)
    assert bench.builds == 1
    poller.request_next()
    assert bench.next().number == 2


def test_a_view_can_be_requested_before_the_interval_has_passed(bench: PollerBench) -> None:
    poller = bench.poller(LONG)
    bench.next()
    poller.request_next()
    poller.look_now()
    assert bench.next().number == 2


def test_look_now_during_a_build_leads_to_another_view(bench: PollerBench) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        looking.set()
        assert go_on.wait(10)

    bench.before = hold
    poller = bench.poller(LONG)
    assert looking.wait(10)
    poller.look_now()
    go_on.set()
    assert bench.next().number == 1
    poller.request_next()
    assert bench.next().number == 2


def test_several_calls_of_look_now_lead_to_one_view(bench: PollerBench) -> None:
    poller = bench.poller(LONG)
    bench.next()
    for _ in range(100):
        poller.look_now()
    poller.request_next()
    assert bench.next().number == 2
    poller.request_next()
    with pytest.raises(queue.Empty):
        bench.views.get(timeout=0.1)


def test_an_error_is_shown_and_the_next_view_is_built(bench: PollerBench, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("boom")

    bench.before = fail
    with caplog.at_level(logging.ERROR, "cauce.tui"):
        poller = bench.poller(0.01)
        view = bench.next()
    assert view.troubles_seen == (Trouble(Part.CONSOLE, "the state of the system can't be read: RuntimeError: boom"),)
    assert view.light is Health.TROUBLED
    assert "boom" in caplog.text
    bench.before = lambda: None
    poller.request_next()
    after = bench.next()
    assert (after.number, after.troubles_seen) == (2, ())


def test_it_stops_at_once_and_closes_in_its_own_thread(bench: PollerBench) -> None:
    poller = bench.poller(LONG)
    bench.next()
    poller.stop(THREAD_TIMEOUT)
    assert bench.closed_in == ["poller"]


def test_a_build_that_hangs_does_not_delay_the_stop_and_hands_nothing_over(bench: PollerBench) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        looking.set()
        go_on.wait(10)

    bench.before = hang
    poller = bench.poller(LONG)
    assert looking.wait(10)
    poller.stop(timeout=0.05)
    assert bench.closed_in == []
    go_on.set()
    wait_until(lambda: bench.closed_in == ["poller"], "the thread to end")
    assert bench.views.empty()


def test_a_poller_that_was_never_started_can_be_stopped() -> None:
    Poller(lambda now, wall: View(), lambda view: None, LONG, lambda: None).stop()


def test_views_are_rarer_while_no_task_moves() -> None:
    views = [View(snapshot=Snapshot(taken_at=at, ledger=Ledger(done=done))) for at, done in enumerate((1, 1, 2))]
    assert interval_factor(None, views[0]) == 1
    assert interval_factor(views[0], views[1]) == IDLE_FACTOR > 1
    assert interval_factor(views[1], views[2]) == 1
