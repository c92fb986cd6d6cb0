"""The sub-command `submit`: submits a stream of tasks, writes a line for each, and a summary at the end.

With `--wait`, one thread submits and another waits for the accepted tasks. A bounded queue between them limits the
memory in use, however many tasks there are.
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
from core.client.watching import TaskWatch
from core.errors import ResultNotReady
from core.logs import printable

MAX_QUEUED = 10_000
"""Accepted tasks in the queue between the submitting and the waiting thread."""

POLL_INTERVAL = 0.1
"""Seconds between updates of the progress while the main thread waits."""

INTERRUPTED = 130

Progress = Callable[[OutputWriter], None]
"""Shows the progress; called often."""


class SubmitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command line."""

    texts: tuple[str, ...] = ()
    """The tasks given on the command line."""
    file: Path | None = None
    """The file with the tasks; without texts or a file, they are read from standard input."""
    template: TaskTemplate = TaskTemplate()
    wait: bool = False
    timeout: float | None = None
    """Seconds to wait for each task; None for no limit."""

    @property
    def is_single(self) -> bool:
        """Whether there is one task only, as far as the command line says."""
        return len(self.texts) == 1


class SubmitCommand:
    """One run of the command.

    Args:
        client: submits the tasks and waits for them.
        options: the options of the command line.
        output: writes and counts the results.
        progress: shows the progress.
    """

    def __init__(self, client: Client, options: SubmitOptions, output: OutputWriter, progress: Progress) -> None:
        self._client = client
        self._options = options
        self._output = output
        self._progress = progress
        self._accepted_ids: queue.Queue[str | None] = queue.Queue(MAX_QUEUED)
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._watch: TaskWatch | None = None
        self._started_at = time.monotonic()
        self._submitted_at = self._started_at

    def run(self) -> int:
        """Submit all tasks, and wait for them if requested. Returns the exit code.

        Raises:
            CauceError: the run can't be completed; the results so far are written.
        """
        waiter = threading.Thread(target=self._wait, name="results", daemon=True)
        if self._options.wait:
            waiter.start()
        try:
            self._submit()
            if self._options.wait:
                self._enqueue(None)
                while waiter.is_alive():
                    self._progress(self._output)
                    if self._watch is not None:
                        self._watch.look()
                    waiter.join(POLL_INTERVAL)
                self._raise_error()
        except KeyboardInterrupt:
            return INTERRUPTED
        finally:
            self._stopped.set()
            self._output.flush()
        return self._exit_code()

    def summary(self) -> str:
        """Return the counts and the rate in one line."""
        ended_at = self._submitted_at if self._submitted_at > self._started_at else time.monotonic()
        ended: list[tuple[str, int]] = []
        if self._options.wait:
            counts = dict(self._output.ended)
            ended = [("done", counts.pop("done", 0)), ("failed", counts.pop("failed", 0))]
            ended += [(printable(name), count) for name, count in counts.items()]
        return display.summary(self._output.accepted, self._output.refused, ended_at - self._started_at, ended)

    def _submit(self) -> None:
        for answer in self._client.submit_many(self._tasks()):
            if isinstance(answer, Accepted):
                self._output.write_accepted(answer)
                if self._options.wait and self._options.is_single:
                    self._watch = TaskWatch(self._client, answer.id, sys.stderr)
                if self._options.wait:
                    self._enqueue(answer.id)
            else:
                self._output.write_refused(answer)
            self._progress(self._output)
        self._submitted_at = time.monotonic()

    def _enqueue(self, task_id: str | None) -> None:
        """Pass an id to the waiting thread; None ends it."""
        while True:
            self._raise_error()
            try:
                self._accepted_ids.put(task_id, timeout=POLL_INTERVAL)
            except queue.Full:
                self._progress(self._output)
            else:
                return

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    # Input.

    def _tasks(self) -> Iterator[NewSubmission | None]:
        for task in self._read_input():
            if isinstance(task, BadLine):
                self._output.refused += 1
                sys.stderr.write(f"line {task.number} is skipped: {printable(task.reason)}\n")
            else:
                if task is None:
                    self._output.flush()
                    self._progress(self._output)
                yield task

    def _read_input(self) -> Iterable[NewSubmission | BadLine | None]:
        template = self._options.template
        if self._options.texts:
            return (
                task_lines.task_from_text(number, text, template) for number, text in enumerate(self._options.texts, 1)
            )
        file = self._options.file
        return tasks_from_chunks(read_pipe(sys.stdin.fileno()) if file is None else read_file(file), template)

    # The waiting thread.

    def _wait(self) -> None:
        try:
            timeout = float("inf") if self._options.timeout is None else self._options.timeout
            for outcome in self._client.results(self._ids(), timeout=timeout):
                if self._watch is not None:
                    self._watch.close()
                self._output.write_outcome(outcome)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the main thread
            self._error = error

    def _ids(self) -> Iterator[str | None]:
        """Yield the queued ids, and None when there are no more for now."""
        while not self._stopped.is_set():
            try:
                task_id = self._accepted_ids.get_nowait()
            except queue.Empty:
                self._output.flush()
                yield None
                continue
            if task_id is None:
                return
            yield task_id

    def _exit_code(self) -> int:
        states = set(self._output.ended)
        if self._output.refused or states & {"failed", "cancelled", "lost"}:
            return 1
        return ResultNotReady.exit_code if states - {"done"} else 0


def tasks_from_chunks(chunks: Iterable[bytes], template: TaskTemplate) -> Iterator[NewSubmission | BadLine | None]:
    """Yield the tasks of an input, and None when there is no input for now."""
    for numbered_line in task_lines.split_lines(task_lines.only_utf8(chunks)):
        if numbered_line is None:
            yield None
            continue
        task = task_lines.task_from_line(*numbered_line, template)
        if task is not None:
            yield task
