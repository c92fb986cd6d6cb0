"""A writer of journals for the tests of the console. Tasks end in it now."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from core.model import Failure, State
from core.repository.archive import Archive
from core.repository.base import Repository
from core.repository.journal import Journal
from tests.contract.repositories import mark, new_task, outcome, store_outcomes

BROKEN = Failure(type="ValueError", message="broken", traceback="line 1", signature="abc")


class JournalWriter:
    """Writes to a journal.

    Args:
        directory: where its file is.
    """

    def __init__(self, directory: Path) -> None:
        self.journal = Journal("resultados.db", directory)
        self.repository: Repository = self.journal.open()

    def close(self) -> None:
        """Close the file."""
        self.repository.close()

    def enter(self, *ids: str, payload: str = "1", kind: str = "echo") -> list[int]:
        """Accept tasks. Returns their numbers."""
        now = time.time()
        with self.repository.transaction():
            tasks = [new_task(each, payload, kind=kind) for each in ids]
            seqs = [receipt.seq for receipt in self.repository.accept(tasks, 1, now)]
        mark(self.repository, seqs, now=now)
        return seqs

    def finish(self, seqs: Sequence[int], *, ago: float = 0.0, result: str = "42") -> None:
        """Store the results of tasks, `ago` seconds ago."""
        store_outcomes(self.repository, *[outcome(seq, result=result) for seq in seqs], now=time.time() - ago)

    def end(self, *ids: str, ago: float = 0.0, payload: str = "1", kind: str = "echo") -> list[int]:
        """Accept tasks and store their results. Returns their numbers."""
        seqs = self.enter(*ids, payload=payload, kind=kind)
        self.finish(seqs, ago=ago)
        return seqs

    def fail(self, *ids: str, ago: float = 0.0, failure: Failure = BROKEN) -> list[int]:
        """Accept tasks and store their failures. Returns their numbers."""
        seqs = self.enter(*ids)
        failed = [replace(outcome(seq, state=State.FAILED), failure=failure) for seq in seqs]
        store_outcomes(self.repository, *failed, now=time.time() - ago)
        return seqs

    @contextmanager
    def archive(self) -> Iterator[Archive]:
        """Open its archive for writing."""
        with self.journal.open_archive(readonly=False) as archive:
            yield archive
