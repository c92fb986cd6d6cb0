"""Writes one line per task to standard output, as text or JSON, and counts the tasks.

Two threads may write: one reports submissions, the other outcomes.
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
    """Return a value as one line of JSON; in ASCII when the stream is a terminal."""
    if stream.isatty():
        plain: Json = msgspec.to_builtins(value)
        return json.dumps(plain)
    return msgspec.json.encode(value).decode()


class OutputWriter:
    """Writes and counts accepted tasks, refusals and outcomes.

    Args:
        stream: the stream to write to.
        as_json: whether to write a JSON object per line.
        quiet: whether to count without writing.
        only_outcomes: whether to write no line for an accepted task, because its outcome will follow.

    Attributes:
        accepted: the number of accepted tasks.
        refused: the number of refused tasks and of skipped lines.
        ended: the number of outcomes by state.
    """

    def __init__(
        self, stream: TextIO, *, as_json: bool = False, quiet: bool = False, only_outcomes: bool = False
    ) -> None:
        self._stream = stream
        self._as_json = as_json
        self._quiet = quiet
        self._only_outcomes = only_outcomes
        self._lock = threading.Lock()
        self.accepted = 0
        self.refused = 0
        self.ended: Counter[str] = Counter()

    def write_accepted(self, accepted: Accepted) -> None:
        """Report an accepted task."""
        self.accepted += 1
        if self._quiet or self._only_outcomes:
            return
        if self._as_json:
            self._write(json_text(accepted, self._stream))
        else:
            self._write(f"{accepted.id} {accepted.state}{' duplicate' if accepted.duplicate else ''}")

    def write_refused(self, refused: Refused) -> None:
        """Report a refused task."""
        self.refused += 1
        self._write_refusal(refused)

    def write_outcome(self, outcome: TaskOutcome | Refused) -> None:
        """Report a task that has ended or whose timeout has passed."""
        if isinstance(outcome, Refused):
            self.ended["lost"] += 1
            self._write_refusal(outcome)
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
        """Flush the stream, because no more output is expected for now."""
        with self._lock:
            self._stream.flush()

    def _write_refusal(self, refused: Refused) -> None:
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
