"""Jobs: one cancellable job of a name at a time, the one that was started last is cancelled first."""

import queue
import threading
from collections.abc import Iterator

import pytest
from textual.message import Message

from core.errors import ConfigurationError
from tui.jobs import Jobs, ScreenCall
from tui.translations import Translations


class JobsBench:
    """Jobs without a screen: what they show is noted, and what is for the screen's thread waits for `run_calls`."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[ScreenCall] = queue.SimpleQueue()
        self.notifications: list[str] = []
        self.progress = ""
        self.refreshes = 0
        self.results: list[tuple[str, bool]] = []
        self.cancelled: dict[str, threading.Event] = {}
        self._released: dict[str, threading.Event] = {}
        self.jobs = Jobs(Translations(), self._post, self._notify, self._refresh, self._show_progress)

    def _post(self, message: Message) -> None:
        assert isinstance(message, ScreenCall)
        self.calls.put(message)

    def _notify(self, text: str, *, trouble: bool = False) -> None:
        self.notifications.append(text)

    def _refresh(self) -> None:
        self.refreshes += 1

    def _show_progress(self, text: str) -> None:
        self.progress = text

    def start(self, name: str) -> None:
        """Start a job that runs until it is released."""
        released = threading.Event()

        def work(cancelled: threading.Event) -> str:
            self.cancelled[name] = cancelled
            started.set()
            assert released.wait(30)
            return name

        started = threading.Event()
        before = len(self.notifications)
        self.jobs.start_cancellable(name, work, lambda result, cancelled: self.results.append((result, cancelled)))
        if len(self.notifications) == before:
            self._released[name] = released
            assert started.wait(30)

    def finish(self, name: str) -> None:
        """Release a job, and take its result in."""
        self._released.pop(name).set()
        self.run_call()

    def run_call(self) -> None:
        """Make the next call that is for the screen's thread."""
        self.calls.get(timeout=60).call()

    def close(self) -> None:
        """Release every job."""
        for released in self._released.values():
            released.set()


@pytest.fixture
def bench() -> Iterator[JobsBench]:
    """Jobs without a screen."""
    made = JobsBench()
    yield made
    made.close()


def test_only_one_job_of_a_name_runs_at_a_time(bench: JobsBench) -> None:
    bench.start("export")
    assert bench.notifications == []
    bench.start("export")
    assert bench.notifications == ["This is running already; F8 cancels it."]
    bench.start("load")
    bench.finish("export")
    bench.start("export")
    assert len(bench.notifications) == 1


def test_the_last_job_is_cancelled_first(bench: JobsBench) -> None:
    bench.jobs.cancel_last()
    assert bench.notifications.pop() == "There is nothing to cancel."
    bench.start("load")
    bench.start("export")
    load, export = bench.cancelled["load"], bench.cancelled["export"]
    bench.jobs.cancel_last()
    assert bench.notifications.pop() == "Cancelling …"
    assert (load.is_set(), export.is_set()) == (False, True)
    # It takes a moment to end; the next command is for the other.
    bench.jobs.cancel_last()
    assert load.is_set()
    assert bench.notifications.pop() == "Cancelling …"
    bench.jobs.cancel_last()
    assert bench.notifications.pop() == "There is nothing to cancel."


def test_all_jobs_can_be_cancelled_at_once(bench: JobsBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.jobs.CLEANUP_TIMEOUT", 0.01)
    bench.start("load")
    bench.start("export")
    bench.jobs.cancel_all()
    assert all(event.is_set() for event in bench.cancelled.values())
    bench.finish("load")
    assert bench.results == [("load", True)]


def test_the_progress_of_each_job_is_shown_until_it_ends(bench: JobsBench) -> None:
    bench.jobs.set_progress("export", "it has not begun")
    assert bench.progress == ""
    bench.start("export")
    bench.start("load")
    bench.jobs.set_progress("export", "3 of 9")
    bench.jobs.set_progress("load", "5 of 6")
    bench.jobs.set_progress("export", "4 of 9")
    assert bench.progress == "4 of 9 · 5 of 6"
    bench.finish("export")
    assert bench.progress == "5 of 6"


def test_a_failure_is_notified_unless_handled_and_the_system_is_refreshed(bench: JobsBench) -> None:
    def fail() -> None:
        raise ConfigurationError("no such file")

    def break_down() -> None:
        raise ValueError("a fault")

    reasons: list[str] = []
    bench.jobs.start("one", fail, lambda _: None)
    bench.run_call()
    bench.jobs.start("two", break_down, lambda _: None, reasons.append)
    bench.run_call()
    assert (bench.notifications, reasons, bench.refreshes) == (["no such file"], ["ValueError: a fault"], 2)
    bench.jobs.start("three", lambda: None, lambda _: None, refresh=False)
    bench.run_call()
    assert bench.refreshes == 2
