"""The dispatcher: from the journal to the broker.

It belongs to the thread that writes a server's journal, and works around that thread's transactions:
inside one it notes what the broker has confirmed and claims what is due; after the commit it publishes.
A task is in its hand from the moment it owns it until the confirmation is written down, so it never publishes a
confirmed task a second time. What it has no room for stays in the journal, owned by nobody.
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
"""How many tasks it holds at once, at most."""

CLAIM_INTERVAL = 0.2
"""Seconds between two looks for tasks that have become due."""

ORPHAN_INTERVAL = 1.0
"""Seconds between two looks for tasks of servers that have died."""

CLOCK_STEP = 1.0
"""Seconds by which the wall clock has to be set back for it to matter to what waits for its time."""

CLOCK_PATIENCE = 5.0
"""Seconds for which it looks after that for what was written meanwhile."""

PATIENCE = 2.0
"""Seconds for which it keeps its tasks while the broker is away, before it leaves them to whoever can publish."""

_UNKNOWN = -1
"""The generation of the queue before the journal was asked for it."""

_log = logging.getLogger("cauce.dispatcher")
_encode = msgspec.json.Encoder().encode


class _Sent(msgspec.Struct, frozen=True):
    """A task that was published."""

    task: Dispatch
    generation: int
    """Of the queue, as far as was known then."""
    at: float
    """Seconds since the epoch, as its message tells."""


class Dispatcher:
    """Publishes what the journal holds for one server.

    Args:
        open_publisher: makes the publisher, given what to call when messages are settled.
        owner: the server's number in the journal.
        now: the monotonic time.
        births: tells how often the tasks queue was missing and was made: what was queued is published again then.
    """

    def __init__(
        self,
        open_publisher: Callable[[OnPublishResults], Publisher],
        owner: int,
        now: float,
        recreations: Callable[[], int] = lambda: 0,
    ) -> None:
        self._owner = owner
        self._births = recreations
        self._births_seen = 0
        self._births_written = 0
        self._settled: queue.SimpleQueue[Sequence[PublishResult]] = queue.SimpleQueue()
        self._publisher = open_publisher(self._settled.put)
        self._in_hand: dict[int, Dispatch] = {}
        self._tags = itertools.count(1)
        self._sent: dict[int, _Sent] = {}
        self._to_publish: deque[Dispatch] = deque()
        self._to_mark: list[_Sent] = []
        self._generation = _UNKNOWN
        self._generation_read = _UNKNOWN
        self._claimed: list[Dispatch] = []
        self._releasing = False
        # Wall clock less monotonic clock. The first look counts as a step: the clock may have been ahead before.
        self._offset_seen = math.inf
        self._offset_written = math.inf
        self._stepped_at = now
        self._next_claim = now
        self._next_look = now
        self._away_since: float | None = None
        self._refusals = 0
        self._publish_after = now
        self._liveness = Liveness()
        self.published = 0
        self.alive: set[int] = {owner}
        """The numbers of the processes that are alive, as of the last look."""

    @property
    def room(self) -> int:
        """How many tasks more it can hold; none while the broker is away."""
        return 0 if self._away_since is not None else max(0, CAPACITY - len(self._in_hand))

    @property
    def in_hand(self) -> int:
        """How many tasks it holds."""
        return len(self._in_hand)

    @property
    def trouble(self) -> str:
        """Why nothing can be published now; empty when it can."""
        return self._publisher.trouble

    def take(self, tasks: Iterable[Dispatch]) -> None:
        """Hold tasks that were entered into the journal with this owner; they are published at the next `flush`."""
        for task in tasks:
            self._in_hand[task.seq] = task
            self._to_publish.append(task)

    def has_to_write(self, now: float, is_due: Callable[[], bool]) -> bool:
        """Whether a transaction should be made for it now.

        Args:
            now: the monotonic time.
            is_due: looks whether the journal has anything to claim, which is cheaper than to try.
        """
        self._collect(now)
        self._watch(now)
        return (
            bool(self._to_mark)
            or self._generation == _UNKNOWN
            or self._births() > self._births_seen
            or now >= self._next_look
            or self._overdue(now)
            or self._should_claim(now, is_due)
        )

    def write(self, repository: Repository, now: float, wall: float) -> None:
        """Write, inside a transaction, what was confirmed, and claim what is due.

        Args:
            repository: in a transaction.
            now: the monotonic time.
            wall: seconds since the epoch.
        """
        self._collect(now)
        self._watch(now)
        self._redispatch(repository)
        self._reschedule(repository, now, wall)
        self._generation_read = repository.generation()
        self._mark(repository, self._generation_read)
        self._claimed = []
        self._releasing = self._overdue(now)
        if self._releasing:
            repository.release(self._owner)
        elif self._may_claim(now):
            self._claimed = repository.claim(self._owner, wall, self.room)
        if now >= self._next_look:
            self._release_orphans(repository, now)

    def committed(self, now: float) -> None:
        """The transaction of the last `write` is stored."""
        self._births_seen = self._births_written
        self._offset_seen = self._offset_written
        self._generation = self._generation_read
        for sent in self._to_mark:
            if not self._holds(sent.task):
                continue
            if sent.generation == self._generation:
                del self._in_hand[sent.task.seq]
            else:
                # Confirmed, and lost with the former queue all the same.
                self._to_publish.append(sent.task)
        self._to_mark.clear()
        if self._releasing:
            self._in_hand.clear()
            self._to_publish.clear()
        if now >= self._next_claim:
            self._next_claim = now + (0 if self._claimed else CLAIM_INTERVAL)
        if now >= self._next_look:
            self._next_look = now + ORPHAN_INTERVAL
        self.take(self._claimed)
        self._claimed = []

    def flush(self, now: float, wall: float) -> None:
        """Publish what is waiting for it, if the broker takes messages."""
        if not self._to_publish or now < self._publish_after or not self._publisher.available:
            return
        if self._generation == _UNKNOWN:
            # Known with the next transaction; without it nothing that is confirmed could be noted.
            return
        messages = [self._message(task, wall) for task in self._to_publish if self._holds(task)]
        self._to_publish.clear()
        self._publisher.send(messages)

    def close(self, repository: Repository, timeout: float, now: float, wall: float) -> None:
        """Wait up to `timeout` seconds for confirmations, write them down, and leave the rest to others."""
        try:
            self._generation = repository.generation()
            self.flush(now, wall)
        finally:
            self._publisher.close(timeout)
        self._collect(now)
        with repository.transaction():
            self._mark(repository, repository.generation())
            repository.release(self._owner)
        self._to_mark.clear()
        self._to_publish.clear()
        self._in_hand.clear()

    def _mark(self, repository: Repository, generation: int) -> None:
        """Note what is on the queue of this generation by now, and by which message: others of it are surplus."""
        published: dict[float, list[Dispatch]] = {}
        for sent in self._to_mark:
            if sent.generation == generation:
                published.setdefault(sent.at, []).append(sent.task)
        for at, tasks in published.items():
            repository.mark_queued(tasks, at)

    def _redispatch(self, repository: Repository) -> None:
        """Have everything published again that was on a queue which is gone."""
        self._births_written = self._births()
        if self._births_written > self._births_seen:
            moved = repository.redispatch()
            if moved:
                _log.warning("the broker had lost its queue: %d tasks are published again", moved)

    def _reschedule(self, repository: Repository, now: float, wall: float) -> None:
        """Have nothing wait for the time of a clock that was ahead, once it is set back.

        Others may write for a moment yet what they had computed before: so for some seconds it is looked at again.
        """
        self._offset_written = wall - now
        if self._offset_written < self._offset_seen - CLOCK_STEP:
            self._stepped_at = now
        elif now < self._next_look or now - self._stepped_at > CLOCK_PATIENCE:
            return
        moved = repository.reschedule(wall)
        if moved:
            _log.warning("the clock was set back: the waits of %d tasks are counted from now on", moved)

    def _message(self, task: Dispatch, wall: float) -> Message:
        # Not tagged by its number: a task that was released and claimed again can be on its way twice.
        tag = next(self._tags)
        self._sent[tag] = _Sent(task, self._generation, wall)
        reference = Reference(task.id, task.seq, task.attempt, wall, self._generation)
        return Message(tag, task.id, task.kind, _encode(reference))

    def _holds(self, task: Dispatch) -> bool:
        """Whether this task is in its hand, not the same one claimed anew."""
        return self._in_hand.get(task.seq) is task

    def _collect(self, now: float) -> None:
        """Take in what the publisher has settled since the last time."""
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
                elif self._holds(sent.task):
                    self._to_publish.append(sent.task)
                    self._refuse(settled.reason, now)

    def _confirm(self, sent: "_Sent") -> None:
        task = sent.task
        self._to_mark.append(sent)
        self.published += 1
        self._refusals = 0
        if self._in_hand.get(task.seq) == task:
            # If it was released and claimed again meanwhile, it need not be published a second time.
            self._in_hand[task.seq] = task

    def _refuse(self, reason: str, now: float) -> None:
        if now >= self._publish_after:
            self._publish_after = now + RECONNECT_BACKOFF.delay(self._refusals, random.random())  # noqa: S311 - to spread servers
            self._refusals += 1
            if self._refusals == 1:
                _log.warning("the broker did not confirm: %s; publishing again", reason)

    def _watch(self, now: float) -> None:
        """Note since when the broker is away."""
        if self._publisher.available:
            self._away_since = None
        elif self._away_since is None:
            self._away_since = now

    def _overdue(self, now: float) -> bool:
        return self._away_since is not None and bool(self._in_hand) and now - self._away_since > PATIENCE

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
            _log.warning("%d tasks of servers that have died are published by others", released)
