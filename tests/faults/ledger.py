"""The driver's own book: what was sent and what was answered, on the disk before anybody relies on it.

It is written by the process that submits and knows nothing of the system, which is not to judge itself.
"""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from core.closeable import Closeable


class Noted(msgspec.Struct, frozen=True):
    """What a ledger holds."""

    sent: frozenset[str]
    accepted: frozenset[str]
    repeated: frozenset[str]
    """Of the accepted ones, those whose answer said that they had been submitted before."""
    refused: dict[str, str]
    """The codes of refusals by the ids of tasks."""

    @property
    def unknown(self) -> frozenset[str]:
        """Sent, and never answered: they may be in the books or not."""
        return self.sent - self.accepted - self.refused.keys()


class Ledger(Closeable):
    """Writes the book. Several threads may.

    Args:
        path: of its file, which is made here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def sending(self, ids: Iterable[str]) -> None:
        """Note tasks that are about to be sent; on the disk when this returns."""
        self._note(f"sent {task_id}" for task_id in ids)

    def answered(self, answers: Iterable[tuple[str, str]]) -> None:
        """Note answers: the task's id, and `accepted`, `repeated` or a code of refusal."""
        self._note(f"{word} {task_id}" for task_id, word in answers)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _note(self, lines: Iterable[str]) -> None:
        text = "".join(f"{line}\n" for line in lines).encode()
        with self._lock:
            os.write(self._file, text)
            os.fsync(self._file)


def read(path: Path) -> Noted:
    """Read a book."""
    words: dict[str, set[str]] = {"sent": set(), "accepted": set(), "repeated": set()}
    refused: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        word, task_id = line.split(" ", 1)
        if word in words:
            words[word].add(task_id)
        else:
            refused[task_id] = word
    accepted = words["accepted"] | words["repeated"]
    # What was refused first and accepted later, under the same id, was accepted.
    refused = {task_id: code for task_id, code in refused.items() if task_id not in accepted}
    return Noted(frozenset(words["sent"]), frozenset(accepted), frozenset(words["repeated"]), refused)
