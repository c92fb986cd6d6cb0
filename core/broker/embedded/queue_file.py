"""The file of the embedded queue: all its SQL, in one short transaction per operation.

A `QueueFile` holds one connection and belongs to one thread.
Its clock is the machine's monotonic clock, which all processes of one boot share and which can't be set.

A consumer has one lease for all the messages it holds. When the lease expires, or its process is found to be dead,
any other consumer may requeue those messages. Consumers that wait for a queue are woken, by a datagram,
when it is no longer empty.
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
"""The delays between attempts to open a file that can't be used."""

LOCK_TIMEOUT = 2.0
"""Seconds to wait for another process's transaction."""

BOOT_SLACK = 1.0
"""Seconds. A lease whose renewal lies further in the future than this was renewed before the last boot."""

_QUEUE_NUMBERS = {Queue.TASKS: 1, Queue.DEAD: 2}
_CHUNK_SIZES = (256, 16, 1)
_INSERTS = {
    size: ",".join(["INSERT INTO messages (queue, body) VALUES (1, ?)", *["(1, ?)"] * (size - 1)])
    for size in _CHUNK_SIZES
}
_SELECT_EXPIRED = """
    SELECT number, queue FROM consumers
    WHERE renewed_at + lease < ?1 OR renewed_at > ?1 + ?2 OR number IN (SELECT value FROM json_each(?3))
"""
_ADD_READY = "UPDATE queues SET ready = ready + ? WHERE queue = ? RETURNING ready"
_RENEW = "UPDATE consumers SET renewed_at = ? WHERE number = ? RETURNING number"
_SELECT_READY = "SELECT id, redeliveries, body FROM messages WHERE queue = ? AND holder IS NULL ORDER BY id LIMIT ?"
_CLAIM = "UPDATE messages SET holder = ? WHERE queue = ? AND holder IS NULL AND id <= ?"
# A plus sign before a column keeps SQLite from using its index: looking up the ids is faster.
_DELETE = "DELETE FROM messages WHERE +holder = ? AND id IN (SELECT value FROM json_each(?))"
_DEAD_LETTER = """
    UPDATE messages SET queue = 2, holder = NULL, redeliveries = 0
    WHERE +holder = ? AND id IN (SELECT value FROM json_each(?))
"""
_DEAD_LETTER_BY_LIMIT = """
    UPDATE messages SET queue = 2, holder = NULL, redeliveries = 0
    WHERE holder = ? AND redeliveries >= ? AND id NOT IN (SELECT value FROM json_each(?))
"""
_REQUEUE = """
    UPDATE messages SET holder = NULL, redeliveries = redeliveries + 1
    WHERE holder = ? AND id NOT IN (SELECT value FROM json_each(?))
"""


REMEDY = (
    "; the file is damaged: delete it, and the files beside it that end in -wal and -shm; a new one is filled from "
    "the journal"
)
"""The end of an error message about a damaged file: what to do."""


class ClaimedMessage(msgspec.Struct, frozen=True):
    """A message that a consumer has claimed."""

    id: int
    redeliveries: int
    body: bytes


class ConsumerLease(msgspec.Struct, frozen=True):
    """A consumer's lease, as the file stores it."""

    number: int
    queue: Queue
    duration: float
    """Seconds after a renewal at which it expires."""
    wakeup_port: int


class QueueFile(Closeable):
    """A connection to the file.

    A method that raises (`BrokerUnavailable` or `BrokerMisconfigured`) has changed nothing.

    Args:
        path: the file; created when missing.
        delivery_limit: the redeliveries of a message before it becomes a dead letter.
        clock: returns the time. It is read inside a transaction, never before: while a process waits for the lock,
            or is suspended, others renew their leases, and those renewals would seem to lie in the future.
        lock_timeout: seconds to wait for another process's transaction.

    Attributes:
        created: whether the file was missing and this connection created it.
    """

    def __init__(
        self,
        path: Path,
        delivery_limit: int,
        clock: Callable[[], float] = time.monotonic,
        lock_timeout: float = LOCK_TIMEOUT,
    ) -> None:
        self._clock = clock
        self._delivery_limit = delivery_limit
        self._no_longer_empty: set[Queue] = set()
        faults = Faults(BrokerUnavailable, BrokerMisconfigured, remedy=REMEDY)
        self._database = Database(path, faults, durable=False, lock_timeout=lock_timeout)
        try:
            schema = (files("core.broker.embedded") / "schema.sql").read_text(encoding="utf-8")
            self.created = self._database.migrate([schema]) == 0
            self._identity = _identity(path)
            self._wakeup_sender = WakeupSender()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._wakeup_sender.close()
        self._database.close()

    def check_identity(self) -> None:
        """Make sure that the file is still the one at its path, which all other processes open.

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
            for size in _CHUNK_SIZES:
                while len(bodies) - start >= size:
                    self._database.execute(_INSERTS[size], bodies[start : start + size])
                    start += size
            self._add_ready(Queue.TASKS, len(bodies))

    def probe(self) -> None:
        """Check that the file can be written, by a write that changes nothing."""
        with self._transaction():
            self._database.execute("UPDATE queues SET ready = ready")

    def count_ready(self, queue: Queue) -> int:
        """Return how many messages no consumer holds."""
        return self._database.number("SELECT ready FROM queues WHERE queue = ?", (_QUEUE_NUMBERS[queue],))

    def depth(self) -> Depth:
        """Return how many messages are ready on each queue, at one moment."""
        tasks, dead = self._database.execute("SELECT ready FROM queues ORDER BY queue")
        return Depth(_integer(tasks[0]), _integer(dead[0]))

    def begin_lease(self, lease: ConsumerLease) -> None:
        """Store a new lease."""
        with self._transaction():
            self._database.execute(
                "INSERT INTO consumers (number, queue, bell, lease, renewed_at) VALUES (?, ?, ?, ?, ?)",
                (lease.number, _QUEUE_NUMBERS[lease.queue], lease.wakeup_port, lease.duration, self._clock()),
            )

    def exchange(
        self, lease: ConsumerLease, acks: Collection[int], rejects: Collection[int], room: int
    ) -> list[ClaimedMessage] | None:
        """Renew the lease, settle messages, and claim up to `room` others, the oldest first.

        Only a fair share of the ready messages is claimed, so that a few long tasks are spread over all consumers.

        Returns:
            The claimed messages, or None when the lease was lost and nothing was changed.
        """
        with self._transaction():
            if not self._database.execute(_RENEW, (self._clock(), lease.number)):
                return None
            self._settle(lease, acks, rejects)
            return self._claim(lease, room)

    def requeue_all_but(self, lease: ConsumerLease, ids: Collection[int]) -> None:
        """Requeue what the lease holds besides `ids`: its consumer never learned that the claim was committed."""
        with self._transaction():
            self._requeue(lease.number, lease.queue, ids)

    def end_lease(self, lease: ConsumerLease, acks: Collection[int], rejects: Collection[int]) -> None:
        """Settle messages, requeue all others, and delete the lease."""
        with self._transaction():
            self._settle(lease, acks, rejects)
            self._delete_lease(lease.number, lease.queue)

    def lease_numbers(self) -> list[int]:
        """Return the numbers of all leases."""
        return [_integer(number) for (number,) in self._database.execute("SELECT number FROM consumers")]

    def has_expired_lease(self) -> bool:
        """Return whether any lease has expired. Writes nothing."""
        return bool(self._database.execute(_SELECT_EXPIRED, (self._clock(), BOOT_SLACK, "[]")))

    def end_expired_leases(self, dead: Collection[int] = ()) -> list[int]:
        """Requeue the messages of all leases that have expired or whose process is dead, and delete these leases.

        Args:
            dead: the numbers of the leases whose process is gone.

        Returns:
            The numbers of the deleted leases.
        """
        queues = {number: queue for queue, number in _QUEUE_NUMBERS.items()}
        with self._transaction():
            expired = self._database.execute(_SELECT_EXPIRED, (self._clock(), BOOT_SLACK, _json_array(dead)))
            for number, queue in expired:
                self._delete_lease(_integer(number), queues[_integer(queue)])
        return [_integer(number) for number, _ in expired]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run a transaction, then wake the consumers of queues that are no longer empty."""
        self._no_longer_empty.clear()
        ports: list[Row] = []
        with self._database.transaction():
            yield
            for queue in self._no_longer_empty:
                ports += self._database.execute("SELECT bell FROM consumers WHERE queue = ?", (_QUEUE_NUMBERS[queue],))
        self._wakeup_sender.send(_integer(port) for (port,) in ports)

    def _claim(self, lease: ConsumerLease, room: int) -> list[ClaimedMessage]:
        ready = self.count_ready(lease.queue) if room > 0 else 0
        if not ready:
            return []
        queue = _QUEUE_NUMBERS[lease.queue]
        consumers = self._database.number("SELECT count(*) FROM consumers WHERE queue = ?", (queue,))
        # Select, then update: faster than UPDATE ... RETURNING, and in order.
        rows = self._database.execute(_SELECT_READY, (queue, min(room, -(-ready // consumers))))
        self._database.execute(_CLAIM, (lease.number, queue, rows[-1][0]))
        self._add_ready(lease.queue, -len(rows))
        return [ClaimedMessage(*row) for row in rows]  # type: ignore[arg-type]  # the columns are STRICT

    def _settle(self, lease: ConsumerLease, acks: Collection[int], rejects: Collection[int]) -> None:
        dead_lettered = rejects if lease.queue is Queue.TASKS else ()
        deleted = acks if lease.queue is Queue.TASKS else [*acks, *rejects]
        if deleted:
            self._database.execute(_DELETE, (lease.number, _json_array(deleted)))
        if dead_lettered:
            self._database.execute(_DEAD_LETTER, (lease.number, _json_array(dead_lettered)))
            self._add_ready(Queue.DEAD, self._changed_rows())

    def _delete_lease(self, number: int, queue: Queue) -> None:
        self._requeue(number, queue, ())
        self._database.execute("DELETE FROM consumers WHERE number = ?", (number,))

    def _requeue(self, number: int, queue: Queue, kept: Collection[int]) -> None:
        if queue is Queue.TASKS:
            # A dead letter's redeliveries are counted from 0 again.
            self._database.execute(_DEAD_LETTER_BY_LIMIT, (number, self._delivery_limit, _json_array(kept)))
            self._add_ready(Queue.DEAD, self._changed_rows())
        self._database.execute(_REQUEUE, (number, _json_array(kept)))
        self._add_ready(queue, self._changed_rows())

    def _changed_rows(self) -> int:
        return self._database.number("SELECT changes()")

    def _add_ready(self, queue: Queue, count: int) -> None:
        if count:
            [(ready,)] = self._database.execute(_ADD_READY, (count, _QUEUE_NUMBERS[queue]))
            if ready == count:
                self._no_longer_empty.add(queue)


def _json_array(ids: Collection[int]) -> str:
    return f"[{','.join(map(str, ids))}]"


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
