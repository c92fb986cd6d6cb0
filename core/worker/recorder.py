"""The thread that writes a worker's journal: outcomes are committed together, and only then acknowledged.

What has come when the journal's lock is got is committed together: other processes can have it for a while.
Nothing is dropped while the journal can't be written: what is not stored is tried again until it is.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from core.errors import JournalError
from core.model import Counters, Outcome, State
from core.repository.base import OpenRepository, Repository
from core.threads import OnDeath, vital_thread
from core.worker.in_flight import InFlightTask
from core.worker.policy import has_ended

LARGEST_BATCH = 1000
PAUSE = 0.5
"""Seconds to the next try when the journal can't be written."""

_log = logging.getLogger("cauce.worker")


class Finished(msgspec.Struct):
    """A task that has ended, one way or the other."""

    held: InFlightTask
    outcome: Outcome


class Strike(msgspec.Struct):
    """A task that is about to begin after a redelivery; `noted` is set when that is stored."""

    held: InFlightTask
    noted: threading.Event


class Pardon(msgspec.Struct):
    """Tasks that are given back in good order: their strikes are taken back; `noted` is set when that is stored."""

    seqs: Sequence[int]
    noted: threading.Event


class Dropped(msgspec.Struct):
    """A task that was not begun, because nobody wants it any more."""

    held: InFlightTask


class QueueLost(msgspec.Struct):
    """The broker had lost its queue: what was on it has to be published again."""


Item = Finished | Strike | Pardon | Dropped | QueueLost


class _Batch:
    """What is committed and acknowledged together."""

    def __init__(self) -> None:
        self.finished: list[Finished] = []
        self.strikes: list[Strike | Pardon] = []
        self.dropped: list[Dropped] = []
        self.lost = False

    def __len__(self) -> int:
        return len(self.finished) + len(self.strikes) + len(self.dropped)

    def add(self, item: Item) -> None:
        """Have this stored."""
        if isinstance(item, Finished):
            self.finished.append(item)
        elif isinstance(item, Dropped):
            self.dropped.append(item)
        elif isinstance(item, QueueLost):
            self.lost = True
        else:
            self.strikes.append(item)

    @property
    def has_to_be_written(self) -> bool:
        """Whether it changes the journal."""
        return bool(self.finished or self.strikes) or self.lost


class Recorder:
    """Owns the thread.

    Args:
        open_repository: opens the journal, in the thread.
        acknowledge: tells the broker that these are settled; called from the thread.
        on_death: called when the thread dies.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        acknowledge: Callable[[Sequence[InFlightTask]], None],
        on_death: OnDeath,
    ) -> None:
        self._open = open_repository
        self._acknowledge = acknowledge
        self._inbox: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._leaving = False
        self._thread = vital_thread("journal", self._run, on_death)
        self.counters = Counters()
        self.trouble = ""
        """Why the journal can't be written now; empty when it can."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self, held: InFlightTask, outcome: Outcome) -> None:
        """Have an outcome stored and acknowledged."""
        self._inbox.put(Finished(held, outcome))

    def drop(self, held: InFlightTask) -> None:
        """Have a task acknowledged that was not begun, because it was cancelled or ended elsewhere."""
        self._inbox.put(Dropped(held))

    def add_strike(self, held: InFlightTask) -> None:
        """Write down that a task is about to begin that was delivered before; returns when it is.

        It is marked as unwanted instead, when it has ended meanwhile: another copy of it may have been run elsewhere.
        """
        noted = threading.Event()
        self._inbox.put(Strike(held, noted))
        noted.wait()

    def redispatch(self) -> None:
        """Have everything published again that was on a queue which is gone."""
        self._inbox.put(QueueLost())

    def remove_strikes(self, seqs: Sequence[int], timeout: float) -> None:
        """Write down that tasks which began under suspicion are given back; waits for it up to `timeout` seconds."""
        if seqs:
            noted = threading.Event()
            self._inbox.put(Pardon(seqs, noted))
            noted.wait(timeout)

    def stop(self, timeout: float) -> None:
        """Store what came before, and end."""
        self._inbox.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        with self._open() as repository:
            while not self._leaving:
                batch = _Batch()
                self._take(self._inbox.get(), batch)
                self._gather(batch)
                self._store(batch, repository)

    def _gather(self, batch: _Batch) -> None:
        """Add all that has come by now."""
        with suppress(queue.Empty):
            while len(batch) < LARGEST_BATCH and not self._leaving:
                self._take(self._inbox.get_nowait(), batch)

    def _take(self, item: Item | None, batch: _Batch) -> None:
        if item is None:
            self._leaving = True
        else:
            batch.add(item)

    def _store(self, batch: _Batch, repository: Repository) -> None:
        counted: list[bool] = []
        while batch.has_to_be_written:
            try:
                counted = self._write(batch, repository)
                break
            except JournalError as error:
                if not self.trouble:
                    _log.error("the journal can't be written; holding %d outcomes: %s", len(batch.finished), error)
                self.trouble = str(error)
                time.sleep(PAUSE)
        self.trouble = ""
        for item in batch.strikes:
            item.noted.set()
        if batch.finished or batch.dropped:
            self._acknowledge([item.held for item in batch.finished] + [item.held for item in batch.dropped])
            self._count(batch.finished, counted, len(batch.dropped))

    def _write(self, batch: _Batch, repository: Repository) -> list[bool]:
        """Store everything together, and what has come by then; for each outcome whether it counted."""
        with repository.transaction():
            self._gather(batch)
            for item in batch.strikes:
                if isinstance(item, Pardon):
                    repository.remove_strikes(item.seqs)
                else:
                    _strike(item.held, repository)
            counted = (
                repository.store_outcomes([item.outcome for item in batch.finished], time.time())
                if batch.finished
                else []
            )
            if batch.lost:
                moved = repository.redispatch()
                if moved:
                    _log.warning("the broker had lost its queue: %d tasks are published again", moved)
            return counted

    def _count(self, finished: Sequence[Finished], counted: Sequence[bool], discarded: int) -> None:
        done = failed = retried = 0
        busy = 0.0
        for item, counts in zip(finished, counted, strict=True):
            outcome = item.outcome
            busy += max(0.0, outcome.finished_at - outcome.started_at)
            if not counts:
                discarded += 1
            elif outcome.state is State.DONE:
                done += 1
            elif outcome.state is State.FAILED:
                failed += 1
            else:
                retried += 1
        before = self.counters
        self.counters = msgspec.structs.replace(
            before,
            done=before.done + done,
            failed=before.failed + failed,
            retried=before.retried + retried,
            discarded=before.discarded + discarded,
            busy_seconds=before.busy_seconds + busy,
        )


def _strike(held: InFlightTask, repository: Repository) -> None:
    """Note the strike of a task that has not ended; else say so."""
    seq = held.assignment.seq
    booked = repository.assignments([seq]).get(seq)
    if booked is None or has_ended(held.reference, booked):
        held.unwanted = True
    else:
        repository.add_strikes([seq])
