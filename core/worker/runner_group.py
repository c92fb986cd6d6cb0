"""The processes of a worker's runners: their start, their sockets and their end."""

import contextlib
import logging
import selectors
import socket
import time
from collections.abc import Callable, Iterator

from core.backoff import Backoff
from core.repository.beginnings import WorkerBeginnings
from core.runner.frames import GiveBack, Ready
from core.worker.runner_process import RunnerProcess

_START_BACKOFF = Backoff(first=0.2, longest=10.0, low=1.0)

_log = logging.getLogger("cauce.worker")

LaunchRunner = Callable[[int], RunnerProcess]
"""Starts a runner with this number of threads."""


class RunnerGroup:
    """The runners of a worker: those that share the tasks, and those that run one suspect at a time.

    All methods belong to one thread, but `wake`, `all` and the lists.

    Args:
        launch: starts a runner.
        beginnings: where the runners note what begins.
        first: a runner that is ready.
        count: the number of runners that share the tasks.
    """

    def __init__(self, launch: LaunchRunner, beginnings: WorkerBeginnings, first: RunnerProcess, count: int) -> None:
        self._launch_runner = launch
        self._beginnings = beginnings
        self.count = count
        """The number of runners that are to share the tasks."""
        self._threads = first.threads
        self.shared = [first]
        """The runners that share the tasks."""
        self.solo: list[RunnerProcess] = []
        """The runners with one thread, for suspects."""
        self.trouble = ""
        """The reason why no runner can be started now, or an empty string."""
        self._failed_starts = 0
        self._next_start = 0.0
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._count_started = 1
        first.number = 1
        first.attach(beginnings)
        self._selector.register(first.socket, selectors.EVENT_READ, first)

    @property
    def all(self) -> list[RunnerProcess]:
        """All runners."""
        return [*self.shared, *self.solo]

    def wake(self) -> None:
        """End a `wait` of the thread that this belongs to."""
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")

    def wait(self, timeout: float) -> Iterator[RunnerProcess]:
        """Wait until something happens, and send what sockets take. Yields the runners that have sent something."""
        for key, mask in self._selector.select(timeout):
            runner: RunnerProcess | None = key.data
            if runner is None:
                with contextlib.suppress(BlockingIOError):
                    self._wake_in.recv(4096)
                continue
            if mask & selectors.EVENT_WRITE:
                runner.flush()
                self.watch(runner)
            if mask & selectors.EVENT_READ:
                yield runner

    def watch(self, runner: RunnerProcess) -> None:
        """Watch a runner's socket for what can be done with it. Call this after something was sent."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if runner.wants_write else 0)
        if self._selector.get_key(runner.socket).events != events:
            self._selector.modify(runner.socket, events, runner)

    def ask_back(self, runner: RunnerProcess) -> None:
        """Ask a runner for the tasks that have not begun, unless it has not answered the last time."""
        if not runner.asked_back:
            runner.asked_back = True
            runner.send(GiveBack())
            self.watch(runner)

    def let_go(self, runner: RunnerProcess) -> None:
        """Give a runner no more tasks, and let it leave when those that it has begun have ended."""
        runner.leaving = True
        self.ask_back(runner)

    def start_missing(self) -> None:
        """Start the runners that are missing among those that share the tasks, unless starts fail."""
        if time.monotonic() >= self._next_start:
            for _ in range(self.count - sum(not (runner.leaving or runner.outdated) for runner in self.shared)):
                self.shared.append(self._launch(self._threads))

    def start_solo(self, wanted: int) -> None:
        """Start runners for suspects until there are as many as wanted, unless starts fail."""
        if time.monotonic() >= self._next_start:
            for _ in range(wanted - len(self.solo)):
                self.solo.append(self._launch(1))

    def start_at_once(self) -> None:
        """Try again to start runners without a delay, because the reason why starts fail may be gone."""
        self._failed_starts = 0
        self._next_start = 0.0

    def set_ready(self, runner: RunnerProcess, message: Ready) -> None:
        """Note that a runner has imported and started the modules with tasks."""
        runner.set_ready(message)
        self._failed_starts = 0
        if self.trouble:
            _log.warning("a new runner is ready")
        self.trouble = ""

    def note_trouble(self, reason: str) -> None:
        """Note why a runner can't be started."""
        if not self.trouble:
            _log.error("%s", reason)
        self.trouble = reason

    def remove(self, runner: RunnerProcess) -> None:
        """End a runner and the processes that its tasks have started, if it has not died already."""
        runner.kill()
        self._selector.unregister(runner.socket)
        (self.solo if runner in self.solo else self.shared).remove(runner)
        runner.close()
        if not runner.ready and not runner.outdated:
            self._failed_starts += 1
            self._next_start = time.monotonic() + _START_BACKOFF.delay(self._failed_starts - 1, 0.5)
            if not self.trouble:
                self.note_trouble(f"a new runner ended ({runner.exit_status}) before it was ready")

    def close(self) -> None:
        """End all runners."""
        for runner in self.all:
            runner.kill()
            runner.close()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _launch(self, threads: int) -> RunnerProcess:
        runner = self._launch_runner(threads)
        self._count_started += 1
        runner.number = self._count_started
        runner.attach(self._beginnings)
        self._selector.register(runner.socket, selectors.EVENT_READ, runner)
        return runner
