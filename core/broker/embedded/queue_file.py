"""The file of the embedded queue: everything it does in SQL, one short transaction each.

A `QueueFile` holds one connection and belongs to one thread.
Its clock is the machine's monotonic one, which all processes of one boot share and nobody can set.

Who sleeps because a queue is empty is woken, by a datagram, when it no longer is.
A message is held by a consumer, and a consumer has one lease for all that it holds. When the lease is over, or its
process is seen to be dead, any other consumer may give its messages back.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import msgspec

from core.backoff import Backoff
from core.broker.base import Queue
from core.broker.embedded.wakeup import WakeupSender
from core.closeable import Closeable
from core.database import Database, Faults, Row
from core.errors import BrokerMisconfigured, BrokerUnavailable
from core.model import Depth

REOPEN_BACKOFF = Backoff(first=0.1, longest=2.0)
"""Between tries while the file can't be used."""

PATIENCE = 2.0
"""Seconds to wait for another process's transaction."""

BOOT_SLACK = 1.0
"""A lease that was renewed further ahead of now than this was so before the machine was started again."""

_NUMBERS = {Queue.TASKS: 1, Queue.DEAD: 2}
_CHUNKS = (256, 16, 1)
_INSERTS = {
    size: ",".join(["INSERT INTO messages (queue, body) VALUES (1, ?)", *["(1, ?)"] * (size - 1)]) for size in _CHUNKS
}
_OVER = """
    SELECT number, queue FROM consumers
    WHERE renewed_at + lease < ?1 OR renewed_at > ?1 + ?2 OR number IN (SELECT value FROM json_each(?3))
"""
_ADD_READY = "UPDATE queues SET ready = ready + ? WHERE queue = ? RETURNING ready"
_RENEW = "UPDATE consumers SET renewed_at = ? WHERE number = ? RETURNING number"
_READY = "SELECT id, redeliveries, body FROM messages WHERE queue = ? AND holder IS NULL ORDER BY id LIMIT ?"
_CLAIM = "UPDATE messages SET holder = ? WHERE queue = ? AND holder IS NULL AND id <= ?"
# A plus sign before a column keeps SQLite from using its index: the ids lead there sooner.
_FORGET = "DELETE FROM messages WHERE +holder = ? AND id IN (SELECT value FROM json_each(?))"
_BURY = """
    UPDATE messages SET queue = 2, holder = NULL, redeliveries = 0
    WHERE +holder = ? AND id IN (SELECT value FROM json_each(?))
"""
_BURY_WORN = """
    UPDATE messages SET queue = 2, holder = NULL, redeliveries = 0
    WHERE holder = ? AND redeliveries >= ? AND id NOT IN (SELECT value FROM json_each(?))
"""
_GIVE_BACK = """
    UPDATE messages SET holder = NULL, redeliveries = redeliveries + 1
    WHERE holder = ? AND id NOT IN (SELECT value FROM json_each(?))
"""


REMEDY = (
    "; the file is damaged: delete it, with those that end in -wal and -shm beside it, and a new one is filled from "
    "the journal"
)
"""What to do about a file that is damaged."""


class ClaimedMessage(msgspec.Struct, frozen=True):
    """A message that a consumer holds from now on."""

    id: int
    redeliveries: int
    body: bytes


class ConsumerLease(msgspec.Struct, frozen=True):
    """A consumer, as the file knows it."""

    number: int
    queue: Queue
    lease: float
    bell: int


class QueueFile(Closeable):
    """A connection to the file.

    What raises (`BrokerUnavailable` or `BrokerMisconfigured`) has changed nothing.

    Args:
        path: the file; created when missing.
        delivery_limit: how often a message is delivered again before it becomes a dead letter.
        clock: tells the time. It is asked within a transaction, never before: while a process waits for its turn,
            or is suspended, others renew their leases, which would then seem to lie in the future.
        patience: seconds to wait for another process's transaction.

    Attributes:
        born: the file was made by this opening of it.
    """

    def __init__(
        self,
        path: Path,
        delivery_limit: int,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._clock = clock
        self._delivery_limit = delivery_limit
        self._filled: set[Queue] = set()
        faults = Faults(BrokerUnavailable, BrokerMisconfigured, remedy=REMEDY)
        self._database = Database(path, faults, durable=False, patience=patience)
        try:
            schema = (files("core.broker.embedded") / "schema.sql").read_text(encoding="utf-8")
            self.born = self._database.migrate([schema]) == 0
            self._identity = _identity(path)
            self._ringer = WakeupSender()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._ringer.close()
        self._database.close()

    def check_place(self) -> None:
        """Make sure that the file is still the one at its path: another one there is what everybody else uses.

        Raises:
            BrokerUnavailable: it was deleted or replaced.
        """
        path = self._database.path
        if _identity(path) != self._identity:
            raise BrokerUnavailable(f"{path} was deleted or replaced while it was in use")

    def publish(self, bodies: Sequence[bytes]) -> None:
        """Append messages to the tasks queue."""
        with self._transaction():
            start = 0
            for size in _CHUNKS:
                while len(bodies) - start >= size:
                    self._database.execute(_INSERTS[size], bodies[start : start + size])
                    start += size
            self._add_ready(Queue.TASKS, len(bodies))

    def probe(self) -> None:
        """Write without changing anything, to learn whether the file can be written."""
        with self._transaction():
            self._database.execute("UPDATE queues SET ready = ready")

    def ready(self, queue: Queue) -> int:
        """How many messages nobody holds."""
        return self._database.number("SELECT ready FROM queues WHERE queue = ?", (_NUMBERS[queue],))

    def depth(self) -> Depth:
        """How many messages are ready on each queue, at one moment."""
        tasks, dead = self._database.execute("SELECT ready FROM queues ORDER BY queue")
        return Depth(_whole(tasks[0]), _whole(dead[0]))

    def enter(self, holder: ConsumerLease) -> None:
        """Begin a lease."""
        with self._transaction():
            self._database.execute(
                "INSERT INTO consumers (number, queue, bell, lease, renewed_at) VALUES (?, ?, ?, ?, ?)",
                (holder.number, _NUMBERS[holder.queue], holder.bell, holder.lease, self._clock()),
            )

    def exchange(
        self, holder: ConsumerLease, acks: Collection[int], rejects: Collection[int], room: int
    ) -> list[ClaimedMessage] | None:
        """Renew the lease, settle messages, and claim up to `room` others, the oldest first.

        Only a fair part of what is ready is claimed, so that a few long tasks are spread over all consumers.

        Returns:
            What was claimed; None when the lease was lost: then nothing was changed.
        """
        with self._transaction():
            if not self._database.execute(_RENEW, (self._clock(), holder.number)):
                return None
            self._settle(holder, acks, rejects)
            return self._claim(holder, room)

    def keep_only(self, holder: ConsumerLease, ids: Collection[int]) -> None:
        """Give back what is held beside `ids`: claimed by a transaction of which the consumer never heard the end."""
        with self._transaction():
            self._give_back(holder.number, holder.queue, ids)

    def leave(self, holder: ConsumerLease, acks: Collection[int], rejects: Collection[int]) -> None:
        """Settle messages, give back all others, and end the lease."""
        with self._transaction():
            self._settle(holder, acks, rejects)
            self._remove(holder.number, holder.queue)

    def holders(self) -> list[int]:
        """The numbers of all consumers that have a lease."""
        return [_whole(number) for (number,) in self._database.execute("SELECT number FROM consumers")]

    def any_over(self) -> bool:
        """Whether a lease is over. Writes nothing."""
        return bool(self._database.execute(_OVER, (self._clock(), BOOT_SLACK, "[]")))

    def end_those_over(self, dead: Collection[int] = ()) -> list[int]:
        """Give back the messages of all consumers whose lease is over or who are dead, and forget these consumers.

        Args:
            dead: the numbers of those whose process is gone.

        Returns:
            The numbers of those who were forgotten.
        """
        queues = {number: queue for queue, number in _NUMBERS.items()}
        with self._transaction():
            over = self._database.execute(_OVER, (self._clock(), BOOT_SLACK, _listed(dead)))
            for number, queue in over:
                self._remove(_whole(number), queues[_whole(queue)])
        return [_whole(number) for number, _ in over]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction after which those are woken who sleep because a queue was empty."""
        self._filled.clear()
        bells: list[Row] = []
        with self._database.transaction():
            yield
            for queue in self._filled:
                bells += self._database.execute("SELECT bell FROM consumers WHERE queue = ?", (_NUMBERS[queue],))
        self._ringer.ring(_whole(bell) for (bell,) in bells)

    def _claim(self, holder: ConsumerLease, room: int) -> list[ClaimedMessage]:
        ready = self.ready(holder.queue) if room > 0 else 0
        if not ready:
            return []
        queue = _NUMBERS[holder.queue]
        sharing = self._database.number("SELECT count(*) FROM consumers WHERE queue = ?", (queue,))
        # Read first, then changed: quicker than UPDATE ... RETURNING, and in order.
        rows = self._database.execute(_READY, (queue, min(room, -(-ready // sharing))))
        self._database.execute(_CLAIM, (holder.number, queue, rows[-1][0]))
        self._add_ready(holder.queue, -len(rows))
        return [ClaimedMessage(*row) for row in rows]  # type: ignore[arg-type]  # the columns are STRICT

    def _settle(self, holder: ConsumerLease, acks: Collection[int], rejects: Collection[int]) -> None:
        buried = rejects if holder.queue is Queue.TASKS else ()
        forgotten = acks if holder.queue is Queue.TASKS else [*acks, *rejects]
        if forgotten:
            self._database.execute(_FORGET, (holder.number, _listed(forgotten)))
        if buried:
            self._database.execute(_BURY, (holder.number, _listed(buried)))
            self._add_ready(Queue.DEAD, self._changed())

    def _remove(self, number: int, queue: Queue) -> None:
        self._give_back(number, queue, ())
        self._database.execute("DELETE FROM consumers WHERE number = ?", (number,))

    def _give_back(self, number: int, queue: Queue, kept: Collection[int]) -> None:
        if queue is Queue.TASKS:
            # What becomes a dead letter is counted from the beginning there.
            self._database.execute(_BURY_WORN, (number, self._delivery_limit, _listed(kept)))
            self._add_ready(Queue.DEAD, self._changed())
        self._database.execute(_GIVE_BACK, (number, _listed(kept)))
        self._add_ready(queue, self._changed())

    def _changed(self) -> int:
        return self._database.number("SELECT changes()")

    def _add_ready(self, queue: Queue, count: int) -> None:
        if count:
            [(ready,)] = self._database.execute(_ADD_READY, (count, _NUMBERS[queue]))
            if ready == count:
                self._filled.add(queue)


def _listed(ids: Collection[int]) -> str:
    return f"[{','.join(map(str, ids))}]"


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
