"""The thread that takes messages from the broker, checks them against the journal, and hands out the tasks to run."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from core.broker.base import Consumer, Delivery, Reference, parse_reference
from core.errors import JournalError
from core.logs import printable
from core.model import Assignment
from core.repository.base import OpenRepository, Repository
from core.threads import OnDeath, vital_thread
from core.worker.in_flight import InFlightTask, InFlightTasks
from core.worker.policy import is_wanted

MAX_BATCH = 500
RECEIVE_TIMEOUT = 0.25
"""Seconds to wait for a message before checking whether to stop."""

RETRY_INTERVAL = 0.5
"""Seconds between two attempts to read the journal."""

RECHECK_INTERVAL = 0.25
"""Seconds between two checks of the tasks in flight: they may have been cancelled."""

_log = logging.getLogger("cauce.worker")


class Fetcher:
    """The thread that fetches tasks.

    Args:
        consumer: a consumer of the tasks queue.
        open_repository: opens the journal read-only, in the thread.
        in_flight: the tasks that the worker has.
        on_task: called with each task to run.
        on_cancel: called with each task to stop, because it was cancelled while it ran.
        max_tasks: the number of tasks to take in all; 0 for no limit.
        on_death: called when the thread dies.
    """

    def __init__(
        self,
        consumer: Consumer,
        open_repository: OpenRepository,
        in_flight: InFlightTasks,
        on_task: Callable[[InFlightTask], None],
        on_cancel: Callable[[InFlightTask], None],
        max_tasks: int,
        on_death: OnDeath,
    ) -> None:
        self._consumer = consumer
        self._open = open_repository
        self._in_flight = in_flight
        self._on_task = on_task
        self._on_cancel = on_cancel
        self._max_tasks = max_tasks
        self._next_recheck = 0.0
        self._generation = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = vital_thread("fetcher", self._run, on_death)
        self.taken = 0
        self.discarded = 0
        self.idle_since: float | None = None
        """The monotonic time since which the queue has been empty; None while messages come or the broker is away."""
        self.away_since: float | None = None
        """The monotonic time since which the broker has been out of reach; None while it can be reached."""

    @property
    def exhausted(self) -> bool:
        """Whether it has taken as many tasks as it may."""
        return bool(self._max_tasks) and self.taken >= self._max_tasks

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more messages, and end the thread."""
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        with self._open() as repository:
            while not self._stopping.is_set() and not self.exhausted:
                limit = min(MAX_BATCH, self._max_tasks - self.taken) if self._max_tasks else MAX_BATCH
                deliveries = self._consumer.receive(limit, RECEIVE_TIMEOUT)
                self._note_idleness(bool(deliveries))
                if deliveries:
                    self._process(deliveries, repository)
                self._recheck(repository, time.monotonic())

    def _recheck(self, repository: Repository, now: float) -> None:
        """Mark the tasks that have waited here for a while and are unwanted now, and stop those that are cancelled.

        If the queue was lost meanwhile, all tasks that were in it are published again, and none of those here begins.
        """
        if now < self._next_recheck or not self._in_flight:
            return
        self._next_recheck = now + RECHECK_INTERVAL
        waiting = self._in_flight.waiting(time.time() - RECHECK_INTERVAL)
        try:
            generation = repository.generation()
            assignments = repository.assignments([task.assignment.seq for task in waiting]) if waiting else {}
            cancelling = repository.cancelling()
        except JournalError as error:
            _log.warning("the journal can't be read, so cancelled tasks are not noticed: %s", error)
            return
        self.leave_former_queue(generation)
        for task in self._in_flight.cancel(set(cancelling)) if cancelling else ():
            self._on_cancel(task)
        for task in waiting:
            wanted = is_wanted(task.reference, assignments.get(task.assignment.seq))
            self._in_flight.set_wanted(task, wanted=wanted)

    def leave_former_queue(self, generation: int) -> None:
        """Begin nothing of an earlier queue. Reconnect, once in each generation, if tasks of one are in flight.

        Any thread may call this.

        The broker may not have reported that the earlier queue is gone. Messages of it must not be acknowledged:
        RabbitMQ could take the acknowledgements for those of the new queue.
        """
        with self._lock:
            is_new, self._generation = generation > self._generation, max(self._generation, generation)
        if not is_new:
            return
        outdated = self._in_flight.outdated(generation)
        if any(map(self._consumer.holds, outdated)):
            self._consumer.renew()
            _log.warning("the queue was lost and its tasks are published again; giving back the earlier messages")
        self._in_flight.leave_former_queues(generation)

    def _note_idleness(self, busy: bool) -> None:
        now = time.monotonic()
        away = bool(self._consumer.trouble) and not busy
        self.away_since = (self.away_since or now) if away else None
        self.idle_since = None if busy or away else self.idle_since or now

    def _process(self, deliveries: Sequence[Delivery], repository: Repository) -> None:
        taken_at = time.time()
        readable = [(delivery, reference) for delivery in deliveries if (reference := self._read(delivery)) is not None]
        found = self._look_up([reference.seq for _, reference in readable], repository)
        if found is None:
            return
        assignments, generation = found
        discarded: list[Delivery] = []
        for delivery, reference in readable:
            assignment = assignments.get(reference.seq)
            if assignment is None or assignment.id != reference.id:
                _log.error("task %s is not in this journal; its message is rejected", printable(reference.id, 64))
                self._consumer.reject(delivery)
            elif not is_wanted(reference, assignment, generation):
                discarded.append(delivery)
            else:
                # The strikes are of this attempt: a message that was published again may have killed workers before.
                suspect = delivery.redeliveries > 0 or assignment.strikes > 0
                task = InFlightTask(assignment, reference, delivery, taken_at, suspect=suspect)
                former = self._in_flight.add(task)
                if former is None:
                    self.taken += 1
                    self._on_task(task)
                else:
                    discarded.append(former)
        if discarded:
            self.discarded += len(discarded)
            self._consumer.ack(discarded)

    def _read(self, delivery: Delivery) -> Reference | None:
        try:
            return parse_reference(delivery.body)
        except ValueError as error:
            _log.error("a message that is not Cauce's is rejected (%s): %s", error, delivery.body[:200])
            self._consumer.reject(delivery)
            return None

    def _look_up(self, seqs: Sequence[int], repository: Repository) -> tuple[Mapping[int, Assignment], int] | None:
        """Return these tasks as the journal has them, and the generation of the queue.

        Tries until the journal can be read. Returns None when the worker stops before.
        """
        while True:
            try:
                return repository.assignments(seqs), repository.generation()
            except JournalError as error:
                _log.warning("the journal can't be read; %d tasks wait: %s", len(seqs), error)
                if self._stopping.wait(RETRY_INTERVAL):
                    return None
