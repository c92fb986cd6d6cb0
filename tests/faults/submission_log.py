"""The honest client's record of what it sent and of the answers, on disk before the client relies on it.

The submitting process writes it, with no code of the system under test.
"""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from core.closeable import Closeable


class Submissions(msgspec.Struct, frozen=True):
    """The contents of a record."""

    sent: frozenset[str]
    accepted: frozenset[str]
    repeated: frozenset[str]
    """Accepted tasks whose answer was that they had been submitted before."""
    refused: dict[str, str]
    """Error codes of refusals by task id."""

    @property
    def unknown(self) -> frozenset[str]:
        """Tasks sent and never answered: the journal may have them or not."""
        return self.sent - self.accepted - self.refused.keys()


class SubmissionLog(Closeable):
    """Writes a record. Several threads may.

    Args:
        path: of the file to create.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def record_sent(self, ids: Iterable[str]) -> None:
        """Record tasks about to be sent; they are on disk when this returns."""
        self._append(f"sent {task_id}" for task_id in ids)

    def record_answers(self, answers: Iterable[tuple[str, str]]) -> None:
        """Record answers: a task id, and `accepted`, `repeated` or an error code."""
        self._append(f"{answer} {task_id}" for task_id, answer in answers)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _append(self, lines: Iterable[str]) -> None:
        text = "".join(f"{line}\n" for line in lines).encode()
        with self._lock:
            os.write(self._file, text)
            os.fsync(self._file)


def read(path: Path) -> Submissions:
    """Read a record."""
    by_answer: dict[str, set[str]] = {"sent": set(), "accepted": set(), "repeated": set()}
    refused: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        answer, task_id = line.split(" ", 1)
        if answer in by_answer:
            by_answer[answer].add(task_id)
        else:
            refused[task_id] = answer
    accepted = by_answer["accepted"] | by_answer["repeated"]
    # A task refused first and accepted later, under the same id, was accepted.
    refused = {task_id: code for task_id, code in refused.items() if task_id not in accepted}
    return Submissions(frozenset(by_answer["sent"]), frozenset(accepted), frozenset(by_answer["repeated"]), refused)
