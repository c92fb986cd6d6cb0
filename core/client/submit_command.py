"""The sub-command `submit`: a stream of tasks in, a line for each out, and a sum at the end.

With `--wait`, one thread submits and another waits for what was accepted. Between them is a bounded queue,
so that however many tasks there are, only so many are held.
"""

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from core.client import display, task_lines
from core.client.client import Client
from core.client.input_reader import read_file, read_pipe
from core.client.output import OutputWriter
from core.client.task_lines import BadLine, TaskTemplate
from core.client.values import Accepted, NewSubmission
from core.logs import printable

BETWEEN = 10_000
"""How many accepted tasks may be between the thread that submits and the one that waits."""

INTERRUPTED = 130
NOT_ENDED = 75

Progress = Callable[[OutputWriter], None]
"""Shows how far it is; called often."""


class SubmitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    texts: tuple[str, ...] = ()
    """The tasks, if they stand on the command line."""
    file: Path | None = None
    """The tasks' file; with neither, they come from standard input."""
    shape: TaskTemplate = TaskTemplate()
    wait: bool = False
    timeout: float | None = None
    """How long to wait for each; for ever when None."""


class SubmitCommand:
    """One run of the command.

    Args:
        client: submits.
        order: what to do.
        report: takes what happens.
        progress: shows it.
    """

    def __init__(self, client: Client, order: SubmitOptions, report: OutputWriter, progress: Progress) -> None:
        self._client = client
        self._order = order
        self._report = report
        self._progress = progress
        self._between: queue.Queue[str | None] = queue.Queue(BETWEEN)
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._began = time.monotonic()
        self._submitted_at = self._began

    def run(self) -> int:
        """Submit everything; the exit code.

        Raises:
            CauceError: it can't go on; the sum is written nevertheless.
        """
        waiter = threading.Thread(target=self._wait_guarded, name="results", daemon=True)
        if self._order.wait:
            waiter.start()
        try:
            self._submit()
            if self._order.wait:
                self._hand_over(None)
                while waiter.is_alive():
                    self._progress(self._report)
                    waiter.join(0.1)
                self._raise_error()
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            self._over.set()
            self._report.flush()
        return self._exit_code()

    def summary(self) -> str:
        """What came of it, in one line."""
        seconds = (self._submitted_at if self._submitted_at > self._began else time.monotonic()) - self._began
        ended: list[tuple[str, int]] = []
        if self._order.wait:
            counts = dict(self._report.ended)
            ended = [("done", counts.pop("done", 0)), ("failed", counts.pop("failed", 0))]
            ended += [(printable(name), count) for name, count in counts.items()]
        return display.summary(self._report.accepted, self._report.refused, seconds, ended)

    def _submit(self) -> None:
        for answer in self._client.submit_many(self._tasks()):
            if isinstance(answer, Accepted):
                self._report.take_accepted(answer)
                if self._order.wait:
                    self._hand_over(answer.id)
            else:
                self._report.take_refused(answer)
            self._progress(self._report)
        self._submitted_at = time.monotonic()

    def _hand_over(self, task_id: str | None) -> None:
        """Give the waiting thread one more; None is the end."""
        while True:
            self._raise_error()
            try:
                self._between.put(task_id, timeout=0.1)
            except queue.Full:
                self._progress(self._report)
            else:
                return

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    # Input.

    def _tasks(self) -> Iterator[NewSubmission | None]:
        for task in self._input():
            if isinstance(task, BadLine):
                self._report.refused += 1
                sys.stderr.write(f"line {task.number} is skipped: {printable(task.reason)}\n")
            else:
                if task is None:
                    self._report.flush()
                    self._progress(self._report)
                yield task

    def _input(self) -> Iterable[NewSubmission | BadLine | None]:
        shape = self._order.shape
        if self._order.texts:
            return (task_lines.of_text(number, text, shape) for number, text in enumerate(self._order.texts, 1))
        file = self._order.file
        return from_lines(read_pipe(sys.stdin.fileno()) if file is None else read_file(file), shape)

    # The waiting thread.

    def _wait_guarded(self) -> None:
        try:
            timeout = float("inf") if self._order.timeout is None else self._order.timeout
            for outcome in self._client.results(self._accepted(), timeout=timeout):
                self._report.take_outcome(outcome)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the main thread
            self._error = error

    def _accepted(self) -> Iterator[str | None]:
        """The ids that were handed over; None when there is none at this moment."""
        while not self._over.is_set():
            try:
                task_id = self._between.get_nowait()
            except queue.Empty:
                self._report.flush()
                yield None
                continue
            if task_id is None:
                return
            yield task_id

    def _exit_code(self) -> int:
        states = set(self._report.ended)
        if self._report.refused or states & {"failed", "cancelled", "lost"}:
            return 1
        return NOT_ENDED if states - {"done"} else 0


def from_lines(chunks: Iterable[bytes], shape: TaskTemplate) -> Iterator[NewSubmission | BadLine | None]:
    """Make tasks of what is read; None says that there is nothing more at this moment."""
    for numbered in task_lines.split(chunks):
        if numbered is None:
            yield None
            continue
        task = task_lines.submission(*numbered, shape)
        if task is not None:
            yield task
