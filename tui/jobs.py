"""The jobs of the console: work in threads of their own, whose results are handed to the screen's thread.

Textual's thread workers share a limited pool, and the program can't end before they do; daemon threads avoid both.
Nothing here draws.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from textual.message import Message

from core.errors import CauceError, reason_of
from tui.submission_events import SubmissionProgress
from tui.translations import Translations

THREAD_PREFIX = "job-"
"""Prefix of the threads' names."""

PROGRESS_INTERVAL = 0.2
"""Seconds between two reports of a job's progress."""

CLEANUP_TIMEOUT = 2.0
"""Seconds that cancelled jobs have to clean up when the console is left."""

T = TypeVar("T")
_log = logging.getLogger("cauce.tui")


class ScreenCall(Message):
    """A call to make in the screen's thread."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self.call = call


class Notify(Protocol):
    """Shows a notification to the user."""

    def __call__(self, text: str, *, trouble: bool = False) -> None:
        """Show the text, as an error when it is trouble."""


class Job(Generic[T]):
    """Work in a thread of its own, which starts at once.

    Args:
        name: the name of the thread.
        post: posts a message to the screen, from any thread.
        work: runs in the thread.
        on_done: takes the result, in the screen's thread.
        on_failed: takes the reason of a failure, in the screen's thread.
    """

    def __init__(
        self,
        name: str,
        post: Callable[[Message], object],
        work: Callable[[], T],
        on_done: Callable[[T], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._post = post
        self._work = work
        self._on_done = on_done
        self._on_failed = on_failed
        self._thread = threading.Thread(target=self._run, name=f"{THREAD_PREFIX}{name}", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> None:
        """Wait until the work is over, for at most `timeout` seconds."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            result = self._work()
        except CauceError as error:
            reason = str(error)
            self._post(ScreenCall(lambda: self._on_failed(reason)))
        except Exception as error:  # noqa: BLE001 - the user waits for an answer, whatever went wrong
            _log.exception("%s failed", threading.current_thread().name)
            fault = f"{type(error).__name__}: {reason_of(error)}"
            self._post(ScreenCall(lambda: self._on_failed(fault)))
        else:
            self._post(ScreenCall(lambda: self._on_done(result)))


class ProgressReporter:
    """Reports a job's progress to the screen's thread, once an interval at most. It is called in the job's thread.

    Args:
        total: the number of tasks, or None when it is unknown.
        on_progress: takes the progress, in the screen's thread.
        call_in_screen: makes a call in the screen's thread.
        share: gives the share that is done, between 0 and 1, when it is known although the total is not.
    """

    def __init__(
        self,
        total: int | None,
        on_progress: Callable[[SubmissionProgress], None],
        call_in_screen: Callable[[Callable[[], None]], None],
        share: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._total = total
        self._on_progress = on_progress
        self._call_in_screen = call_in_screen
        self._share = share
        self._started_at = self._reported_at = time.monotonic()

    def __call__(self, count: int) -> None:
        """Report that `count` tasks are done."""
        now = time.monotonic()
        if now - self._reported_at < PROGRESS_INTERVAL:
            return
        self._reported_at = now
        progress = SubmissionProgress(count, self._total, now - self._started_at, self._share())
        self._call_in_screen(lambda: self._on_progress(progress))


@dataclass
class _Running:
    """A cancellable job that is running."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    progress: str = ""
    wait: Callable[[float], None] | None = None


class Jobs:
    """The jobs of one screen. It belongs to the screen's thread; only the work of the jobs runs in others.

    Args:
        tr: translates the texts of the console.
        post: posts a message to the screen, from any thread.
        notify: shows a notification to the user.
        refresh: requests a new view of the system, after a job.
        show_progress: shows the progress of the cancellable jobs, an empty text when there is none.
    """

    def __init__(
        self,
        tr: Translations,
        post: Callable[[Message], object],
        notify: Notify,
        refresh: Callable[[], None],
        show_progress: Callable[[str], None],
    ) -> None:
        self._tr = tr
        self._post = post
        self._notify = notify
        self._refresh = refresh
        self._show_progress = show_progress
        self._running: dict[str, _Running] = {}

    def start(
        self,
        name: str,
        work: Callable[[], T],
        on_done: Callable[[T], None],
        on_failed: Callable[[str], None] | None = None,
        *,
        refresh: bool = True,
    ) -> Job[T]:
        """Start a job.

        Args:
            name: the name of the thread.
            work: runs in the thread.
            on_done: takes the result.
            on_failed: takes the reason of a failure; by default it is shown as a notification.
            refresh: whether to request a new view afterwards.
        """

        def done(result: T) -> None:
            on_done(result)
            if refresh:
                self._refresh()

        def failed(reason: str) -> None:
            if on_failed is None:
                self._notify(reason, trouble=True)
            else:
                on_failed(reason)
            if refresh:
                self._refresh()

        return Job(name, self._post, work, done, failed)

    def start_cancellable(
        self,
        name: str,
        work: Callable[[threading.Event], T],
        on_done: Callable[[T, bool], None],
        on_failed: Callable[[str], None] | None = None,
    ) -> None:
        """Start a long job, unless one of the same name is running.

        Args:
            name: the name of this kind of job.
            work: runs in the thread, and ends early when the event is set.
            on_done: takes the result, and whether the job was cancelled.
            on_failed: takes the reason of a failure; by default it is shown as a notification.
        """
        if name in self._running:
            self._notify(self._tr("This is running already; {key:app.cancel} cancels it."), trouble=True)
            return
        running = self._running[name] = _Running()

        def done(result: T) -> None:
            self._end(name)
            on_done(result, running.cancelled.is_set())

        def failed(reason: str) -> None:
            self._end(name)
            if on_failed is None:
                self._notify(reason, trouble=True)
            else:
                on_failed(reason)

        running.wait = self.start(name, lambda: work(running.cancelled), done, failed).wait

    def _end(self, name: str) -> None:
        self._running.pop(name, None)
        self._show_all_progress()

    def reporter(
        self,
        total: int | None,
        on_progress: Callable[[SubmissionProgress], None],
        share: Callable[[], float | None] = lambda: None,
    ) -> ProgressReporter:
        """Make a reporter whose reports go to `on_progress`."""
        return ProgressReporter(total, on_progress, self.call_in_screen, share)

    def header_reporter(self, name: str, total: int) -> ProgressReporter:
        """Make a reporter for a cancellable job whose reports go to `show_progress`. Any thread may call this."""

        def on_progress(progress: SubmissionProgress) -> None:
            count, of = self._tr.amount(progress.count), self._tr.amount(total)
            self.set_progress(name, self._tr("{count} of {total} · {key:app.cancel} cancels", count=count, total=of))

        return self.reporter(total, on_progress)

    def set_progress(self, name: str, text: str) -> None:
        """Show the progress of a cancellable job, unless it is over."""
        if name in self._running:
            self._running[name].progress = text
        self._show_all_progress()

    def _show_all_progress(self) -> None:
        self._show_progress(" · ".join(job.progress for job in self._running.values() if job.progress))

    @property
    def is_busy(self) -> bool:
        """Whether a cancellable job is running."""
        return bool(self._running)

    def cancel_last(self) -> None:
        """Cancel the job that was started last. What it has done stays done."""
        for job in reversed(self._running.values()):
            if not job.cancelled.is_set():
                job.cancelled.set()
                self._notify(self._tr("Cancelling …"))
                return
        self._notify(self._tr("There is nothing to cancel."))

    def cancel_all(self) -> None:
        """Cancel all jobs and let them clean up, before the console ends."""
        for job in self._running.values():
            job.cancelled.set()
        deadline = time.monotonic() + CLEANUP_TIMEOUT
        for job in self._running.values():
            if job.wait is not None:
                job.wait(max(0.0, deadline - time.monotonic()))

    def call_in_screen(self, call: Callable[[], None]) -> None:
        """Make a call in the screen's thread. Any thread may ask for it."""
        self._post(ScreenCall(call))
