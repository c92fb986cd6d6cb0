"""The thread that stores outcomes in the journal, and acknowledges their messages only then.

All outcomes that have come by the time the journal's write lock is acquired are committed together.
While the journal can't be written, the thread keeps what it has and tries again.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from core.callbacks import ignore
from core.errors import JournalError
from core.model import Beginning, Counters, KindDescription, Outcome, State
from core.repository.base import OpenRepository, Repository
from core.threads import OnDeath, vital_thread
from core.worker.in_flight import InFlightTask
from core.worker.policy import has_ended

MAX_BATCH = 1000
RETRY_INTERVAL = 0.5
"""Seconds between two attempts to write the journal."""

_log = logging.getLogger("cauce.worker")


class Finished(msgspec.Struct):
    """A task whose attempt has ended."""

    task: InFlightTask
    outcome: Outcome


class Strike(msgspec.Struct):
    """A task that gets a strike. `on_stored` is called when it is stored."""

    task: InFlightTask
    beginning: Beginning
    on_stored: Callable[[], None]


class StrikeRemoval(msgspec.Struct):
    """Suspects that did not begin, or that the worker gives back. `on_stored` is called when that is stored."""

    seqs: Sequence[int]
    on_stored: Callable[[], None]


class Dropped(msgspec.Struct):
    """A task that was not begun, because it is unwanted."""

    task: InFlightTask


class GivenUp(msgspec.Struct):
    """A task that must not begin again: it was cancelled, or is a suspect that has had too many strikes."""

    task: InFlightTask


class QueueLost(msgspec.Struct):
    """The broker has lost its queue: all queued tasks must be published again."""


class KindsTold(msgspec.Struct):
    """What kinds of task the worker runs."""

    kinds: Sequence[KindDescription]


Item = Finished | Strike | StrikeRemoval | Dropped | GivenUp | QueueLost | KindsTold


class _Batch:
    """The items that are committed and acknowledged together."""

    def __init__(self) -> None:
        self.finished: list[Finished] = []
        self.strikes: list[Strike | StrikeRemoval] = []
        self.dropped: list[Dropped] = []
        self.given_up: list[GivenUp] = []
        self.queue_lost = False
        self.kinds: Sequence[KindDescription] = ()

    def __len__(self) -> int:
        return len(self.finished) + len(self.strikes) + len(self.dropped) + len(self.given_up)

    def add(self, item: Item) -> None:
        """Add an item."""
        if isinstance(item, Finished):
            self.finished.append(item)
        elif isinstance(item, Dropped):
            self.dropped.append(item)
        elif isinstance(item, GivenUp):
            self.given_up.append(item)
        elif isinstance(item, QueueLost):
            self.queue_lost = True
        elif isinstance(item, KindsTold):
            self.kinds = item.kinds
        else:
            self.strikes.append(item)

    @property
    def changes_journal(self) -> bool:
        """Whether the journal must be written for it."""
        return bool(self.finished or self.strikes or self.given_up or self.kinds) or self.queue_lost


class Recorder:
    """The thread that stores outcomes.

    Args:
        open_repository: opens the journal, in the thread.
        acknowledge: acknowledges the messages of tasks; called from the thread.
        on_generation: takes the generation of the queue after each commit, before anything is acknowledged; called
            from the thread.
        on_death: called when the thread dies.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        acknowledge: Callable[[Sequence[InFlightTask]], None],
        on_generation: Callable[[int], None],
        on_death: OnDeath,
    ) -> None:
        self._open = open_repository
        self._acknowledge = acknowledge
        self._on_generation = on_generation
        self._inbox: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._stopping = False
        self._thread = vital_thread("recorder", self._run, on_death)
        self.counters = Counters()
        self.trouble = ""
        """The reason why the journal can't be written now, or an empty string when it can."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def finish(self, task: InFlightTask, outcome: Outcome) -> None:
        """Queue an outcome to be stored. Its message is acknowledged afterwards."""
        self._inbox.put(Finished(task, outcome))

    def drop(self, task: InFlightTask) -> None:
        """Queue an unwanted task, so that its message is acknowledged."""
        self._inbox.put(Dropped(task))

    def give_up(self, task: InFlightTask) -> None:
        """Queue a task that must not begin again, so that it ends and its message is acknowledged.

        It was cancelled, or is a suspect that has had too many strikes.
        """
        self._inbox.put(GivenUp(task))

    def add_strike(self, task: InFlightTask, beginning: Beginning, on_stored: Callable[[], None]) -> None:
        """Queue a strike for a suspect that is about to begin, or for a task whose runner has died.

        A task that has ended meanwhile, because it was delivered elsewhere too, is marked as unwanted instead.
        """
        self._inbox.put(Strike(task, beginning, on_stored))

    def remove_strike(self, task: InFlightTask) -> None:
        """Queue the removal of the strike of a suspect that did not begin after all."""
        self._inbox.put(StrikeRemoval([task.assignment.seq], ignore))

    def redispatch(self) -> None:
        """Queue a redispatch of all queued tasks, because the broker has lost its queue."""
        self._inbox.put(QueueLost())

    def tell_kinds(self, kinds: Sequence[KindDescription]) -> None:
        """Queue what kinds of task the worker runs."""
        self._inbox.put(KindsTold(kinds))

    def remove_strikes(self, seqs: Sequence[int], timeout: float) -> None:
        """Remove a strike from suspects that are given back in good order. Waits for it up to `timeout` seconds."""
        if seqs:
            stored = threading.Event()
            self._inbox.put(StrikeRemoval(seqs, stored.set))
            stored.wait(timeout)

    def stop(self, timeout: float) -> None:
        """Store what came before, and stop the thread. Waits for it up to `timeout` seconds."""
        self._inbox.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        with self._open() as repository:
            while not self._stopping:
                batch = _Batch()
                self._take(self._inbox.get(), batch)
                self._gather(batch)
                self._store(batch, repository)

    def _gather(self, batch: _Batch) -> None:
        """Add all items that have come by now."""
        with suppress(queue.Empty):
            while len(batch) < MAX_BATCH and not self._stopping:
                self._take(self._inbox.get_nowait(), batch)

    def _take(self, item: Item | None, batch: _Batch) -> None:
        if item is None:
            self._stopping = True
        else:
            batch.add(item)

    def _store(self, batch: _Batch, repository: Repository) -> None:
        stored, given_up = list[bool](), 0
        while batch.changes_journal:
            try:
                stored, given_up = self._write(batch, repository)
                break
            except JournalError as error:
                if not self.trouble:
                    _log.error("the journal can't be written; %d outcomes wait: %s", len(batch.finished), error)
                self.trouble = str(error)
                time.sleep(RETRY_INTERVAL)
        self.trouble = ""
        for item in batch.strikes:
            item.on_stored()
        over = [item.task for items in (batch.finished, batch.dropped, batch.given_up) for item in items]
        if over:
            self._acknowledge(over)
            discarded = len(batch.dropped) + len(batch.given_up) - given_up
            self._count(batch.finished, stored, discarded, given_up)

    def _write(self, batch: _Batch, repository: Repository) -> tuple[list[bool], int]:
        """Write the batch, and what has come by the time the lock is acquired.

        Returns:
            Which outcomes were stored, and how many tasks have failed because they were given up.
        """
        with repository.transaction():
            self._gather(batch)
            for item in batch.strikes:
                if isinstance(item, StrikeRemoval):
                    repository.remove_strikes(item.seqs)
                else:
                    _add_strike(item, repository)
            stored = (
                repository.store_outcomes([item.outcome for item in batch.finished], time.time())
                if batch.finished
                else []
            )
            ended = [
                item.task
                for item in batch.given_up
                if repository.give_up(item.task.assignment.seq, item.task.assignment.attempts, time.time())
            ]
            given_up = sum(not task.cancelling for task in ended)  # the others were cancelled
            if batch.kinds:
                repository.tell_kinds(batch.kinds)
            if batch.queue_lost:
                moved = repository.redispatch()
                if moved:
                    _log.warning("the broker had lost its queue: %d tasks are published again", moved)
            generation = repository.generation()
        self._on_generation(generation)
        return stored, given_up

    def _count(self, finished: Sequence[Finished], stored: Sequence[bool], discarded: int, failed: int) -> None:
        done = retried = 0
        busy = 0.0
        for item, was_stored in zip(finished, stored, strict=True):
            outcome = item.outcome
            busy += max(0.0, outcome.finished_at - outcome.started_at)
            if not was_stored:
                discarded += 1
            elif outcome.state is State.DONE:
                done += 1
            elif outcome.state is State.FAILED:
                failed += 1
            elif outcome.state is State.CANCELLED:
                discarded += 1
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


def _add_strike(strike: Strike, repository: Repository) -> None:
    """Add a strike to a task, or mark it as unwanted when it has ended."""
    task = strike.task
    assignment = repository.assignments([task.assignment.seq]).get(task.assignment.seq)
    if assignment is None or has_ended(task.reference, assignment):
        task.unwanted = True
    else:
        task.number = repository.add_strike(strike.beginning)
