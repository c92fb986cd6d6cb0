"""The dispatcher: publishes the tasks of the journal to the broker.

It runs in the thread that writes a server's journal, around the transactions of that thread: inside one it marks the
confirmed tasks as queued and claims those that are due; after the commit it publishes. It owns a task until the confirm
is stored, so it never publishes a confirmed task again. Tasks that it has no room for stay unclaimed in the journal.
"""

import itertools
import logging
import math
import queue
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from core.broker.base import RECONNECT_BACKOFF, Message, OnPublishResults, Publisher, PublishResult, Reference
from core.heartbeat import Liveness
from core.model import Dispatch
from core.repository.base import Repository

CAPACITY = 10_000
"""The largest number of tasks that a dispatcher owns."""

CLAIM_INTERVAL = 0.2
"""Seconds between checks for tasks that have become due."""

ORPHAN_INTERVAL = 1.0
"""Seconds between checks for tasks of dead servers."""

CLOCK_STEP = 1.0
"""Seconds that the wall clock must be set back before waiting tasks are rescheduled."""

CLOCK_RECHECK_TIME = 5.0
"""Seconds after such a step in which newly stored tasks are rescheduled too."""

RELEASE_DELAY = 2.0
"""Seconds that the broker may be unavailable before its tasks are released to other servers."""

_UNKNOWN = -1
"""The queue's generation before it is read from the journal."""

_log = logging.getLogger("cauce.dispatcher")
_encode = msgspec.json.Encoder().encode


class _PublishedTask(msgspec.Struct, frozen=True):
    """A task that was published."""

    task: Dispatch
    generation: int
    """The queue's generation, as known when it was published."""
    at: float
    """When it was published, in seconds since the epoch, as in its message."""


class Dispatcher:
    """The dispatcher of one server, which publishes tasks from the journal.

    Args:
        open_publisher: makes the publisher, given the callback for settled messages.
        owner: the server's number in the journal.
        now: the monotonic time.
        recreations: returns how often the tasks queue was recreated. Each time the queued tasks are redispatched.
    """

    def __init__(
        self,
        open_publisher: Callable[[OnPublishResults], Publisher],
        owner: int,
        now: float,
        recreations: Callable[[], int] = lambda: 0,
    ) -> None:
        self._owner = owner
        self._recreations = recreations
        self._recreations_seen = 0
        self._recreations_written = 0
        self._settled: queue.SimpleQueue[Sequence[PublishResult]] = queue.SimpleQueue()
        self._publisher = open_publisher(self._settled.put)
        self._owned: dict[int, Dispatch] = {}
        self._tags = itertools.count(1)
        self._sent: dict[int, _PublishedTask] = {}
        self._to_publish: deque[Dispatch] = deque()
        self._to_mark: list[_PublishedTask] = []
        self._generation = _UNKNOWN
        self._generation_read = _UNKNOWN
        self._claimed: list[Dispatch] = []
        self._releasing = False
        # Wall clock minus monotonic clock. The first check counts as a step: the clock may have been ahead before.
        self._clock_offset_seen = math.inf
        self._clock_offset_written = math.inf
        self._clock_stepped_at = now
        self._next_claim = now
        self._next_orphan_check = now
        self._unavailable_since: float | None = None
        self._refusals = 0
        self._publish_after = now
        self._liveness = Liveness()
        self.published = 0
        self.alive: set[int] = {owner}
        """The numbers of the processes that were alive at the last check."""

    @property
    def room(self) -> int:
        """The number of tasks that it can still take; 0 while the broker is unavailable."""
        return 0 if self._unavailable_since is not None else max(0, CAPACITY - len(self._owned))

    @property
    def owned(self) -> int:
        """The number of tasks that it owns."""
        return len(self._owned)

    @property
    def trouble(self) -> str:
        """The reason why nothing can be published now, or an empty string when it can."""
        return self._publisher.trouble

    def add(self, tasks: Iterable[Dispatch]) -> None:
        """Take ownership of tasks that the journal stored for this owner; the next `flush` publishes them."""
        for task in tasks:
            self._owned[task.seq] = task
            self._to_publish.append(task)

    def needs_write(self, now: float, is_due: Callable[[], bool]) -> bool:
        """Return whether it needs a transaction now.

        Args:
            now: the monotonic time.
            is_due: returns whether the journal has anything to claim. This is cheaper than claiming.
        """
        self._collect_results(now)
        self._observe_publisher(now)
        return (
            bool(self._to_mark)
            or self._generation == _UNKNOWN
            or self._recreations() > self._recreations_seen
            or now >= self._next_orphan_check
            or self._should_release(now)
            or self._should_claim(now, is_due)
        )

    def write(self, repository: Repository, now: float, wall: float) -> None:
        """Inside a transaction, mark the confirmed tasks as queued, and claim those that are due.

        Args:
            repository: the journal, in a transaction.
            now: the monotonic time.
            wall: seconds since the epoch.
        """
        self._collect_results(now)
        self._observe_publisher(now)
        self._redispatch(repository)
        self._reschedule(repository, now, wall)
        self._generation_read = repository.generation()
        self._mark_queued(repository, self._generation_read)
        self._claimed = []
        self._releasing = self._should_release(now)
        if self._releasing:
            repository.release(self._owner)
        elif self._may_claim(now):
            self._claimed = repository.claim(self._owner, wall, self.room)
        if now >= self._next_orphan_check:
            self._release_orphans(repository, now)

    def after_commit(self, now: float) -> None:
        """Apply the last `write`, whose transaction is committed."""
        self._recreations_seen = self._recreations_written
        self._clock_offset_seen = self._clock_offset_written
        self._generation = self._generation_read
        for sent in self._to_mark:
            if not self._owns(sent.task):
                continue
            if sent.generation == self._generation:
                del self._owned[sent.task.seq]
            else:
                # Confirmed, but lost with the former queue.
                self._to_publish.append(sent.task)
        self._to_mark.clear()
        if self._releasing:
            self._owned.clear()
            self._to_publish.clear()
        if now >= self._next_claim:
            self._next_claim = now + (0 if self._claimed else CLAIM_INTERVAL)
        if now >= self._next_orphan_check:
            self._next_orphan_check = now + ORPHAN_INTERVAL
        self.add(self._claimed)
        self._claimed = []

    def flush(self, now: float, wall: float) -> None:
        """Publish the tasks that wait for it, if the broker is available."""
        if not self._to_publish or now < self._publish_after or not self._publisher.available:
            return
        if self._generation == _UNKNOWN:
            # The next transaction reads it; without it no confirmed task could be marked.
            return
        messages = [self._message(task, wall) for task in self._to_publish if self._owns(task)]
        self._to_publish.clear()
        self._publisher.send(messages)

    def close(self, repository: Repository, timeout: float, now: float, wall: float) -> None:
        """Wait up to `timeout` seconds for confirms, store them, and release the other tasks."""
        try:
            self._generation = repository.generation()
            self.flush(now, wall)
        finally:
            self._publisher.close(timeout)
        self._collect_results(now)
        with repository.transaction():
            self._mark_queued(repository, repository.generation())
            repository.release(self._owner)
        self._to_mark.clear()
        self._to_publish.clear()
        self._owned.clear()

    def _mark_queued(self, repository: Repository, generation: int) -> None:
        """Mark the confirmed tasks of this generation as queued by their message: any other message is surplus."""
        published: dict[float, list[Dispatch]] = {}
        for sent in self._to_mark:
            if sent.generation == generation:
                published.setdefault(sent.at, []).append(sent.task)
        for at, tasks in published.items():
            repository.mark_queued(tasks, at)

    def _redispatch(self, repository: Repository) -> None:
        """Redispatch the queued tasks when their queue was lost."""
        self._recreations_written = self._recreations()
        if self._recreations_written > self._recreations_seen:
            count = repository.redispatch()
            if count:
                _log.warning("the broker had lost its queue: %d tasks are published again", count)

    def _reschedule(self, repository: Repository, now: float, wall: float) -> None:
        """Once the clock is set back, reschedule the tasks whose times were computed while it was ahead.

        Other processes may still store such times for a moment, so it is repeated for some seconds.
        """
        self._clock_offset_written = wall - now
        if self._clock_offset_written < self._clock_offset_seen - CLOCK_STEP:
            self._clock_stepped_at = now
        elif now < self._next_orphan_check or now - self._clock_stepped_at > CLOCK_RECHECK_TIME:
            return
        count = repository.reschedule(wall)
        if count:
            _log.warning("the clock was set back: the waits of %d tasks are counted from now on", count)

    def _message(self, task: Dispatch, wall: float) -> Message:
        # The tag is not the task's number: a task that was released and claimed again can be unconfirmed twice.
        tag = next(self._tags)
        self._sent[tag] = _PublishedTask(task, self._generation, wall)
        reference = Reference(task.id, task.seq, task.attempt, wall, self._generation)
        return Message(tag, task.id, task.kind, _encode(reference))

    def _owns(self, task: Dispatch) -> bool:
        """Return whether it owns this task object: a task that was claimed again is another one."""
        return self._owned.get(task.seq) is task

    def _collect_results(self, now: float) -> None:
        """Process the results that the publisher has settled since the last call."""
        while True:
            try:
                batch = self._settled.get_nowait()
            except queue.Empty:
                return
            for settled in batch:
                sent = self._sent.pop(settled.tag, None)
                if sent is None:
                    continue
                if settled.confirmed:
                    self._confirm(sent)
                elif self._owns(sent.task):
                    self._to_publish.append(sent.task)
                    self._back_off(settled.reason, now)

    def _confirm(self, sent: "_PublishedTask") -> None:
        task = sent.task
        self._to_mark.append(sent)
        self.published += 1
        self._refusals = 0
        if self._owned.get(task.seq) == task:
            # If it was released and claimed again meanwhile, it need not be published again.
            self._owned[task.seq] = task

    def _back_off(self, reason: str, now: float) -> None:
        if now >= self._publish_after:
            self._publish_after = now + RECONNECT_BACKOFF.delay(self._refusals, random.random())  # noqa: S311 - to spread servers
            self._refusals += 1
            if self._refusals == 1:
                _log.warning("the broker did not confirm: %s; publishing again", reason)

    def _observe_publisher(self, now: float) -> None:
        """Track since when the broker is unavailable."""
        if self._publisher.available:
            self._unavailable_since = None
        elif self._unavailable_since is None:
            self._unavailable_since = now

    def _should_release(self, now: float) -> bool:
        return (
            self._unavailable_since is not None and bool(self._owned) and now - self._unavailable_since > RELEASE_DELAY
        )

    def _should_claim(self, now: float, is_due: Callable[[], bool]) -> bool:
        if not self._may_claim(now):
            return False
        if is_due():
            return True
        self._next_claim = now + CLAIM_INTERVAL
        return False

    def _may_claim(self, now: float) -> bool:
        return now >= self._next_claim and self.room > 0

    def _release_orphans(self, repository: Repository, now: float) -> None:
        records = repository.processes()
        self._liveness.observe(records, now)
        self.alive = {record.number for record in records if self._liveness.is_alive(record, now)} | {self._owner}
        released = repository.release_orphans(self.alive)
        if released:
            _log.warning("%d tasks of dead servers are released to the other servers", released)
