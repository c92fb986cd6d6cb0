"""The prompt: each line that is typed is a task, and what came of it is told when it has ended.

The main thread reads what is typed. Another one waits for the results, and writes them above the prompt.
"""

import queue
import sys
import threading
import time
from collections.abc import Iterator

from core import formatting
from core.client import display
from core.client.client import Client
from core.client.line_editing import begun_line
from core.client.prompt_commands import HELP, PromptAction, PromptLine, read_typed
from core.client.values import Refused, TaskOutcome
from core.errors import CauceError
from core.logs import printable
from core.model import State

PROMPT = "cauce> "
FOREVER = 1e9
IDLE = 0.02
REST = 1.0
"""Seconds between giving up on the servers and the next try."""

MOST_SHOWN = 5

_MARKS = {State.DONE: "✓", State.FAILED: "✗", State.CANCELLED: "-"}


class Prompt:
    """One session at a terminal.

    Args:
        client: submits and waits.
        kind: of the tasks, until another is chosen; the server's default when None.
    """

    def __init__(self, client: Client, kind: str | None = None) -> None:
        self._client = client
        self._kind = kind
        self._open: dict[str, float] = {}
        self._fresh: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._left = threading.Event()
        self._reading = False
        self._lock = threading.Lock()

    def run(self) -> int:
        """Read lines until the user leaves; the exit code."""
        waiter = threading.Thread(target=self._wait, name="results", daemon=True)
        waiter.start()
        self._say("Each line is a task. /help lists the commands, Ctrl-D leaves.")
        while True:
            try:
                typed = read_typed(self._read())
                if typed.action is PromptAction.QUIT:
                    break
                self._do(typed)
            except KeyboardInterrupt:
                self._say("")
            except EOFError:
                self._say("")
                break
            except CauceError as error:
                self._say(printable(str(error)))
        self._left.set()
        self._fresh.put(None)
        self._farewell()
        return 0

    def _read(self) -> str:
        self._reading = True
        try:
            return input(PROMPT)
        finally:
            self._reading = False

    def _do(self, typed: PromptLine) -> None:
        match typed.action:
            case PromptAction.SUBMIT:
                handle = self._client.submit(self._kind, typed.text)
                self._open[handle.id] = time.monotonic()
                self._fresh.put(handle.id)
                self._say(f"… {handle.id}")
            case PromptAction.KIND:
                self._kind = typed.text or None
                self._say(f"lines are tasks of kind {printable(self._kind)}" if self._kind else "the server's own kind")
            case PromptAction.STATUS:
                self._say("\n".join(display.status_lines(self._client.status(typed.text), time.time())))
            case PromptAction.CANCEL:
                self._client.cancel(typed.text)
                self._say(f"{printable(typed.text)} cancelled")
            case PromptAction.STATS:
                self._say("\n".join(display.statistics_lines(self._client.stats())))
            case PromptAction.HELP:
                self._say(HELP)
            case PromptAction.WRONG:
                self._say(printable(typed.text))

    def _farewell(self) -> None:
        left = list(self._open)
        if left:
            shown = ", ".join(left[:MOST_SHOWN]) + (", …" if len(left) > MOST_SHOWN else "")
            task = "1 task is" if len(left) == 1 else f"{len(left)} tasks are"
            self._say(f"{task} still on the way, and will be done without you: {shown}")

    # The waiting thread.

    def _wait(self) -> None:
        while True:
            try:
                for outcome in self._client.results(self._ids(), timeout=FOREVER):
                    self._tell(outcome)
            except CauceError as error:
                self._say(printable(str(error)))
                if self._left.wait(REST):
                    return
            else:
                return

    def _ids(self) -> Iterator[str | None]:
        """What is on the way, and what is submitted from now on. Ends when the user leaves.

        None says that there is nothing more at this moment.
        """
        before = set(self._open)
        yield from tuple(before)
        while True:
            try:
                # While nothing is on the way there is no answer to wait for either.
                task_id = self._fresh.get(timeout=IDLE if self._open else None)
            except queue.Empty:
                yield None
                continue
            if task_id is None:
                return
            if task_id in before:
                before.remove(task_id)
            else:
                yield task_id

    def _tell(self, outcome: TaskOutcome | Refused) -> None:
        began = self._open.pop(outcome.id, None)
        took = "" if began is None else f"  ({formatting.precise_duration(time.monotonic() - began)})"
        if isinstance(outcome, Refused):
            self._say(f"✗ {outcome.id}  {printable(outcome.message)}{took}")
            return
        text = display.outcome_text(outcome) or str(outcome.state)
        self._say(f"{_MARKS.get(outcome.state, '?')} {outcome.id}  {printable(text)}{took}")

    def _say(self, text: str) -> None:
        """Write lines; above the prompt, if there is one with a line begun."""
        with self._lock:
            if self._reading:
                sys.stdout.write(f"\r\x1b[K{text}\n{PROMPT}{printable(begun_line())}")
            else:
                sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
