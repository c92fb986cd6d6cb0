"""The prompt: each line typed is a task, and its outcome is printed when it has ended.

The main thread reads lines. Another one waits for the results, and prints them above the prompt.
"""

import queue
import sys
import threading
import time
from collections.abc import Iterator

from core import formatting
from core.client import display
from core.client.client import Client
from core.client.line_editing import current_line
from core.client.prompt_commands import HELP, PromptAction, PromptLine, parse_line
from core.client.values import Refused, TaskOutcome
from core.errors import CauceError
from core.logs import printable
from core.model import State

PROMPT = "cauce> "

POLL_INTERVAL = 0.02
"""Seconds between checks for new tasks while results are awaited."""

RETRY_DELAY = 1.0
"""Seconds to wait before the next attempt when no server has answered."""

MAX_SHOWN = 5
"""Ids of unfinished tasks that are printed at the end."""

_MARKS = {State.DONE: "✓", State.FAILED: "✗", State.CANCELLED: "-"}


class Prompt:
    """One session at a terminal.

    Args:
        client: submits the tasks and waits for them.
        kind: the kind of the tasks, until another is chosen; None for the server's default.
    """

    def __init__(self, client: Client, kind: str | None = None) -> None:
        self._client = client
        self._kind = kind
        self._open: dict[str, float] = {}
        self._submitted: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._reading = False
        self._lock = threading.Lock()

    def run(self) -> int:
        """Read and execute lines until the user leaves. Returns the exit code."""
        waiter = threading.Thread(target=self._wait, name="results", daemon=True)
        waiter.start()
        self._print("Each line is a task. /help lists the commands, Ctrl-D leaves.")
        while True:
            try:
                line = parse_line(self._read())
                if line.action is PromptAction.QUIT:
                    break
                self._execute(line)
            except KeyboardInterrupt:
                self._print("")
            except EOFError:
                self._print("")
                break
            except CauceError as error:
                self._print(printable(str(error)))
        self._stopped.set()
        self._submitted.put(None)
        self._print_unfinished()
        return 0

    def _read(self) -> str:
        self._reading = True
        try:
            return input(PROMPT)
        finally:
            self._reading = False

    def _execute(self, line: PromptLine) -> None:
        match line.action:
            case PromptAction.SUBMIT:
                handle = self._client.submit(self._kind, line.text)
                self._open[handle.id] = time.monotonic()
                self._submitted.put(handle.id)
                self._print(f"… {handle.id}")
            case PromptAction.KIND:
                self._kind = line.text or None
                kind = f"of kind {printable(self._kind)}" if self._kind else "of the server's default kind"
                self._print(f"lines are tasks {kind}")
            case PromptAction.STATUS:
                self._print("\n".join(display.status_lines(self._client.status(line.text), time.time())))
            case PromptAction.CANCEL:
                state = self._client.cancel(line.text)
                self._print(f"{printable(line.text)} {state}")
            case PromptAction.STATS:
                self._print("\n".join(display.statistics_lines(self._client.stats())))
            case PromptAction.HELP:
                self._print(HELP)
            case PromptAction.INVALID:
                self._print(printable(line.text))

    def _print_unfinished(self) -> None:
        unfinished = list(self._open)
        if unfinished:
            ids = ", ".join(unfinished[:MAX_SHOWN]) + (", …" if len(unfinished) > MAX_SHOWN else "")
            tasks = "1 task has" if len(unfinished) == 1 else f"{len(unfinished)} tasks have"
            self._print(f"{tasks} not ended yet and will still run: {ids}")

    # The waiting thread.

    def _wait(self) -> None:
        while True:
            try:
                for outcome in self._client.results(self._ids(), timeout=float("inf")):
                    self._print_outcome(outcome)
            except CauceError as error:
                self._print(printable(str(error)))
                if self._stopped.wait(RETRY_DELAY):
                    return
            else:
                return

    def _ids(self) -> Iterator[str | None]:
        """Yield the ids of open and of newly submitted tasks, until the user leaves.

        Yields None when there are no more for now.
        """
        already_open = set(self._open)
        yield from tuple(already_open)
        while True:
            try:
                # Without open tasks there are no replies to wait for, so this may block.
                task_id = self._submitted.get(timeout=POLL_INTERVAL if self._open else None)
            except queue.Empty:
                yield None
                continue
            if task_id is None:
                return
            if task_id in already_open:
                already_open.remove(task_id)
            else:
                yield task_id

    def _print_outcome(self, outcome: TaskOutcome | Refused) -> None:
        started_at = self._open.pop(outcome.id, None)
        took = "" if started_at is None else f"  ({formatting.precise_duration(time.monotonic() - started_at)})"
        if isinstance(outcome, Refused):
            self._print(f"✗ {outcome.id}  {printable(outcome.message)}{took}")
            return
        text = display.outcome_text(outcome) or str(outcome.state)
        self._print(f"{_MARKS.get(outcome.state, '?')} {outcome.id}  {printable(text)}{took}")

    def _print(self, text: str) -> None:
        """Write lines, above the prompt and its partly typed line when they are shown."""
        with self._lock:
            if self._reading:
                sys.stdout.write(f"\r\x1b[K{text}\n{PROMPT}{printable(current_line())}")
            else:
                sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
