"""Standard output, one line a task, as text or JSON; and the count of what was written.

Two threads may write: what is submitted and what has ended come from one each.
"""

import json
import threading
from collections import Counter
from typing import TextIO

import msgspec

from core.client import display
from core.client.values import Accepted, Refused, TaskOutcome
from core.jsontext import Json
from core.logs import printable


def json_text(value: object, stream: TextIO) -> str:
    """A value as one line of JSON; only ASCII where a terminal would show it."""
    if stream.isatty():
        plain: Json = msgspec.to_builtins(value)
        return json.dumps(plain)
    return msgspec.json.encode(value).decode()


class OutputWriter:
    """Writes what happens to tasks.

    Args:
        stream: where to.
        as_json: a JSON object a line.
        quiet: only count.
        only_ends: say nothing of tasks that were accepted, since their end will be told.

    Attributes:
        accepted: how many tasks were.
        refused: how many were not, for whatever reason.
        ended: how many tasks came to which state.
    """

    def __init__(self, stream: TextIO, *, as_json: bool = False, quiet: bool = False, only_ends: bool = False) -> None:
        self._stream = stream
        self._as_json = as_json
        self._quiet = quiet
        self._only_ends = only_ends
        self._lock = threading.Lock()
        self.accepted = 0
        self.refused = 0
        self.ended: Counter[str] = Counter()

    def take_accepted(self, accepted: Accepted) -> None:
        """A task is stored."""
        self.accepted += 1
        if self._quiet or self._only_ends:
            return
        if self._as_json:
            self._write(json_text(accepted, self._stream))
        else:
            self._write(f"{accepted.id} {accepted.state}{' duplicate' if accepted.duplicate else ''}")

    def take_refused(self, refused: Refused) -> None:
        """A task is not stored, and will not be."""
        self.refused += 1
        self._tell_refused(refused)

    def take_outcome(self, outcome: TaskOutcome | Refused) -> None:
        """A task has ended, or was waited for long enough."""
        if isinstance(outcome, Refused):
            self.ended["lost"] += 1
            self._tell_refused(outcome)
            return
        self.ended[outcome.state] += 1
        if self._quiet:
            return
        if self._as_json:
            members: dict[str, object] = {"id": outcome.id, "state": outcome.state}
            if outcome.state == "done":
                members["result"] = outcome.result
            if outcome.error is not None:
                members["error"] = outcome.error
            self._write(json_text(members, self._stream))
        else:
            self._write(f"{outcome.id} {outcome.state} {display.outcome_text(outcome)}".rstrip())

    def flush(self) -> None:
        """Let out what was written: nothing more comes at this moment."""
        with self._lock:
            self._stream.flush()

    def _tell_refused(self, refused: Refused) -> None:
        if self._quiet:
            return
        if self._as_json:
            error = {"code": refused.code, "message": refused.message}
            self._write(json_text({"id": refused.id, "state": "refused", "error": error}, self._stream))
        else:
            self._write(f"{printable(refused.id)} refused {refused.code} {printable(refused.message)}")

    def _write(self, line: str) -> None:
        with self._lock:
            self._stream.write(f"{line}\n")
