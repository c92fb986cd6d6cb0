"""The poller, with its real thread."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from core.model import Ledger
from core.monitor.snapshot import Snapshot
from tests.services.waiting import wait_until
from tui.poller import IDLE_FACTOR, Poller, interval_factor
from tui.view import Health, View

LONG = 30.0
"""Seconds that no test waits: what happens, happens because it was asked for."""


class Scene:
    """A poller whose looks are counted and whose views are kept."""

    def __init__(self) -> None:
        self.looks = 0
        self.closed_in: list[str] = []
        self.views: queue.SimpleQueue[View] = queue.SimpleQueue()
        self.before: Callable[[], None] = lambda: None
        self.pollers: list[Poller] = []

    def poller(self, interval: float) -> Poller:
        """Begin to poll."""
        made = Poller(self._look, self.views.put, interval, self._close)
        self.pollers.append(made)
        made.start()
        return made

    def next(self) -> View:
        """The next view that is handed over."""
        return self.views.get(timeout=10)

    def _look(self, now: float, wall: float) -> View:
        self.looks += 1
        assert abs(now - time.monotonic()) < 5
        self.before()
        return View(number=self.looks, snapshot=Snapshot(taken_at=wall))

    def _close(self) -> None:
        self.closed_in.append(threading.current_thread().name)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """One scene; its pollers end with it."""
    made = Scene()
    yield made
    for poller in made.pollers:
        poller.stop()


def test_the_first_look_is_at_once_and_tells_the_time(scene: Scene) -> None:
    scene.poller(LONG)
    view = scene.next()
    assert view.number == 1
    assert abs(view.now - time.time()) < 5


def test_it_looks_again_when_a_view_was_taken_and_the_time_has_come(scene: Scene) -> None:
    poller = scene.poller(0.01)
    for number in (1, 2, 3):
        assert scene.next().number == number
        poller.request_next()


def test_nothing_piles_up_when_views_are_not_taken(scene: Scene) -> None:
    poller = scene.poller(0.001)
    scene.next()
    for _ in range(1000):
        poller.look_now()
    with pytest.raises(queue.Empty):
        scene.views.get(timeout=0.2)
    assert scene.looks == 1
    poller.request_next()
    assert scene.next().number == 2


def test_a_poke_makes_it_look_before_its_time(scene: Scene) -> None:
    poller = scene.poller(LONG)
    scene.next()
    poller.request_next()
    poller.look_now()
    assert scene.next().number == 2


def test_a_poke_during_a_look_makes_another_one_since_that_may_have_come_too_early(scene: Scene) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        looking.set()
        assert go_on.wait(10)

    scene.before = hold
    poller = scene.poller(LONG)
    assert looking.wait(10)
    poller.look_now()
    go_on.set()
    assert scene.next().number == 1
    poller.request_next()
    assert scene.next().number == 2


def test_pokes_between_two_looks_make_one_look(scene: Scene) -> None:
    poller = scene.poller(LONG)
    scene.next()
    for _ in range(100):
        poller.look_now()
    poller.request_next()
    assert scene.next().number == 2
    poller.request_next()
    with pytest.raises(queue.Empty):
        scene.views.get(timeout=0.1)


def test_an_error_is_told_and_the_next_look_goes_well(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("boom")

    scene.before = fail
    with caplog.at_level(logging.ERROR, "cauce.tui"):
        poller = scene.poller(0.01)
        view = scene.next()
    assert view.supervisor_trouble == "the system can't be looked at: RuntimeError: boom"
    assert view.light is Health.TROUBLED
    assert "boom" in caplog.text
    scene.before = lambda: None
    poller.request_next()
    after = scene.next()
    assert (after.number, after.supervisor_trouble) == (2, "")


def test_it_ends_at_once_and_lets_go_in_its_own_thread(scene: Scene) -> None:
    poller = scene.poller(LONG)
    scene.next()
    began = time.monotonic()
    poller.stop()
    assert time.monotonic() - began < 1.0
    assert scene.closed_in == ["poller"]


def test_a_look_that_hangs_does_not_hold_up_the_end_and_hands_nothing_over_any_more(scene: Scene) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        looking.set()
        go_on.wait(10)

    scene.before = hang
    poller = scene.poller(LONG)
    assert looking.wait(10)
    began = time.monotonic()
    poller.stop(timeout=0.05)
    assert time.monotonic() - began < 5.0
    assert scene.closed_in == []
    go_on.set()
    wait_until(lambda: scene.closed_in == ["poller"], "the thread to end")
    assert scene.views.empty()


def test_one_that_was_never_started_can_be_stopped() -> None:
    Poller(lambda now, wall: View(), lambda view: None, LONG, lambda: None).stop()


def test_it_looks_more_rarely_while_no_task_moves() -> None:
    views = [View(snapshot=Snapshot(taken_at=at, ledger=Ledger(done=done))) for at, done in enumerate((1, 1, 2))]
    assert interval_factor(None, views[0]) == 1
    assert interval_factor(views[0], views[1]) == IDLE_FACTOR > 1
    assert interval_factor(views[1], views[2]) == 1
