"""The thread that takes messages from the broker, asks the journal which are still wanted, and hands those out."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from core.broker.base import Consumer, Delivery, Reference
from core.errors import JournalError
from core.logs import printable
from core.model import Assignment
from core.repository.base import OpenRepository, Repository
from core.threads import OnDeath, vital_thread
from core.worker.in_flight import InFlightTask, InFlightTasks
from core.worker.policy import is_wanted

LARGEST_BATCH = 500
PATIENCE = 0.25
"""Seconds to wait for a message before looking whether it is time to leave."""

PAUSE = 0.5
"""Seconds to the next try when the journal can't be read."""

RECHECK = 0.25
"""Seconds after which a task that still waits for its turn is looked up again: it may have been cancelled."""

_log = logging.getLogger("cauce.worker")
_decode = msgspec.json.Decoder(Reference).decode


class Fetcher:
    """Owns the thread.

    Args:
        consumer: of the tasks queue.
        open_repository: opens the journal, in the thread.
        hold: what the worker holds.
        hand_out: takes a task that is to be run.
        most: how many tasks to take in all; 0 for no limit.
        on_death: called when the thread dies.
    """

    def __init__(
        self,
        consumer: Consumer,
        open_repository: OpenRepository,
        hold: InFlightTasks,
        hand_out: Callable[[InFlightTask], None],
        most: int,
        on_death: OnDeath,
    ) -> None:
        self._consumer = consumer
        self._open = open_repository
        self._hold = hold
        self._hand_out = hand_out
        self._most = most
        self._next_recheck = 0.0
        self._generation = 0
        self._leaving = threading.Event()
        self._thread = vital_thread("taker", self._run, on_death)
        self.taken = 0
        self.discarded = 0
        self.idle_since: float | None = None
        """Since when nothing was there to take, of the monotonic clock; None while the broker is away."""
        self.away_since: float | None = None
        """Since when the broker is away; None while it is not."""

    @property
    def exhausted(self) -> bool:
        """Whether it has taken as many as it may."""
        return bool(self._most) and self.taken >= self._most

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more."""
        self._leaving.set()
        self._thread.join(10)

    def _run(self) -> None:
        with self._open() as repository:
            while not self._leaving.is_set() and not self.exhausted:
                limit = min(LARGEST_BATCH, self._most - self.taken) if self._most else LARGEST_BATCH
                deliveries = self._consumer.receive(limit, PATIENCE)
                self._note_idleness(bool(deliveries))
                if deliveries:
                    self._sort(deliveries, repository)
                self._recheck(repository, time.monotonic())

    def _recheck(self, repository: Repository, now: float) -> None:
        """Mark those that are wanted no more among the tasks that have waited here for a while.

        If the queue was lost meanwhile, all that was published before is published again: nothing of it is begun.
        """
        if now < self._next_recheck or not self._hold:
            return
        self._next_recheck = now + RECHECK
        waiting = self._hold.waiting(time.time() - RECHECK)
        try:
            generation = repository.generation()
            wanted = repository.assignments([held.assignment.seq for held in waiting]) if waiting else {}
        except JournalError as error:
            _log.warning("the journal can't be read; not looking for cancelled tasks: %s", error)
            return
        self._leave_former_queue(generation)
        for held in waiting:
            self._hold.set_wanted(held, wanted=is_wanted(held.reference, wanted.get(held.assignment.seq)))

    def _leave_former_queue(self, generation: int) -> None:
        """Connect anew, once in each generation, if something is held of a queue before it.

        The broker may not have said that the former queue is gone. What was held of it is not acknowledged then:
        RabbitMQ could take that for messages of the new one.
        """
        before, self._generation = self._generation, generation
        if generation != before and any(map(self._consumer.holds, self._hold.outdated(generation))):
            _log.warning("tasks are published again; giving back what was published before")
            self._consumer.renew()

    def _note_idleness(self, busy: bool) -> None:
        now = time.monotonic()
        away = bool(self._consumer.trouble) and not busy
        self.away_since = (self.away_since or now) if away else None
        self.idle_since = None if busy or away else self.idle_since or now

    def _sort(self, deliveries: Sequence[Delivery], repository: Repository) -> None:
        taken_at = time.time()
        read = [(delivery, reference) for delivery in deliveries if (reference := self._read(delivery)) is not None]
        found = self._look_up([reference.seq for _, reference in read], repository)
        if found is None:
            return
        wanted, generation = found
        settled: list[Delivery] = []
        for delivery, reference in read:
            assignment = wanted.get(reference.seq)
            if assignment is None or assignment.id != reference.id:
                _log.error("task %s is not in this journal: a dead letter", printable(reference.id, 64))
                self._consumer.reject(delivery)
            elif not is_wanted(reference, assignment, generation):
                settled.append(delivery)
            else:
                # Its strikes are of this attempt: what was published anew since then may have killed workers before.
                suspect = delivery.redeliveries > 0 or assignment.strikes > 0
                held = InFlightTask(assignment, reference, delivery, taken_at, suspect=suspect)
                former = self._hold.add(held)
                if former is None:
                    self.taken += 1
                    self._hand_out(held)
                else:
                    settled.append(former)
        if settled:
            self.discarded += len(settled)
            self._consumer.ack(settled)

    def _read(self, delivery: Delivery) -> Reference | None:
        try:
            return _decode(delivery.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            _log.error("a foreign message is made a dead letter (%s): %s", error, delivery.body[:200])
            self._consumer.reject(delivery)
            return None

    def _look_up(self, seqs: Sequence[int], repository: Repository) -> tuple[Mapping[int, Assignment], int] | None:
        """What the journal says of these and of the queue; None when it can't be read and it is time to leave."""
        while True:
            try:
                return repository.assignments(seqs), repository.generation()
            except JournalError as error:
                _log.warning("the journal can't be read; holding %d tasks: %s", len(seqs), error)
                if self._leaving.wait(PAUSE):
                    return None
