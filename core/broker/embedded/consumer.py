"""The consumer of the embedded queue: one thread does all work with the file, and other threads call its methods.

The thread claims messages, writes settlements and renews the lease, together in one transaction where it can.
It does so whether or not `receive` is called, so that a long task never loses its lease.
"""

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from core.backoff import RetryTimer
from core.broker.base import Consumer, Delivery, Queue
from core.broker.embedded.in_flight import InFlightMessages, LeaseReceipt, PendingSettlements
from core.broker.embedded.liveness_lock import LivenessLocks
from core.broker.embedded.queue_file import REOPEN_BACKOFF, ConsumerLease, QueueFile
from core.broker.embedded.wakeup import WakeupReceiver
from core.closeable import Closeable
from core.errors import BrokerError

FAIRNESS_DELAY = 0.005
"""Seconds for other consumers to claim their share before this one claims more."""

LEASE_CHECK_INTERVAL = 0.5
"""Seconds between checks for expired leases; shorter where leases are short."""

CLOSE_TIMEOUT = 5.0
"""Seconds for which `close` retries while the file can't be written."""

_log = logging.getLogger("cauce.broker")


class EmbeddedConsumer(Consumer):
    """A consumer of one queue, which holds its messages under one lease.

    Args:
        open_file: opens a connection to the file, for the thread.
        queue: the queue to consume.
        prefetch: the number of messages that may be held.
        lease: seconds without a renewal after which other consumers may have its messages.
        liveness_locks: the locks by which other consumers notice at once that its process has died.
    """

    def __init__(
        self,
        open_file: Callable[[], QueueFile],
        queue: Queue,
        prefetch: int,
        lease: float,
        liveness_locks: LivenessLocks,
    ) -> None:
        self._open_file = open_file
        self._liveness_locks = liveness_locks
        self._liveness_lock: Closeable | None = None
        self._lease = ConsumerLease(0, queue, lease, 0)
        self._lock = threading.Lock()
        self._not_empty = threading.Condition(self._lock)
        self._in_flight = InFlightMessages(prefetch)
        self._trouble = ""
        self._closing = False
        self._may_be_more = True
        self._renew_at = 0.0
        self._renewed_at = 0.0
        self._expired = False
        """Whether `holds` has found the lease expired. It must then end, even if no other consumer has noticed."""
        self._check_leases_at = 0.0
        self._wakeup = WakeupReceiver()
        self._waiting = False
        self._thread = threading.Thread(target=self._run, name=f"embedded-{queue}", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        """The reason why nothing can be received now."""
        return self._trouble

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first."""
        with self._lock:
            if not self._in_flight.waiting and timeout > 0:
                self._not_empty.wait_for(lambda: self._in_flight.waiting or self._closing, timeout)
            return [] if self._closing else self._in_flight.take(limit)

    def holds(self, delivery: Delivery) -> bool:
        """Return whether the lease under which it was claimed is still valid by the clock.

        A process that was suspended notices here that its lease has expired, before its thread checks the file.
        """
        receipt = delivery.receipt
        if not isinstance(receipt, LeaseReceipt) or receipt.lease_number != self._lease.number:
            return False
        if time.monotonic() - self._renewed_at > self._lease.duration:
            self._expired = True
        return not self._expired

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge deliveries. Those of a lost lease are ignored."""
        with self._lock:
            if not self._closing and self._in_flight.ack(deliveries):
                self._wake()

    def reject(self, delivery: Delivery) -> None:
        """Make this a dead letter."""
        with self._lock:
            if not self._closing and self._in_flight.reject(delivery):
                self._wake()

    def resize(self, prefetch: int) -> None:
        """Hold at most `prefetch` messages from now on."""
        with self._lock:
            self._in_flight.prefetch = prefetch
            self._wake()

    def close(self) -> None:
        """Write the settlements made before, and requeue everything else."""
        with self._lock:
            self._closing = True
            self._wakeup.wake()
            self._not_empty.notify_all()
        self._thread.join()
        self._wakeup.close()
        self._release_liveness_lock()

    def _wake(self) -> None:
        if self._waiting:
            self._waiting = False
            self._wakeup.wake()

    def _run(self) -> None:
        """Serve until closed; reopen the file after an error."""
        timer = RetryTimer(REOPEN_BACKOFF)
        give_up_at = math.inf
        while time.monotonic() < give_up_at:
            try:
                with self._open_file() as file:
                    self._serve(file)
            except Exception as error:  # noqa: BLE001 - a thread that ended here would stop the queue unnoticed
                self._report(error)
            else:
                return
            if self._closing:
                # Without a lease there is nothing to requeue.
                give_up_at = min(give_up_at, time.monotonic() + (CLOSE_TIMEOUT if self._lease.number else 0.0))
                timer.reset()
            self._wakeup.wait(timer.next_delay())

    def _report(self, error: Exception) -> None:
        if not self._trouble:
            unexpected = None if isinstance(error, BrokerError) else error
            _log.warning("The embedded queue is unavailable: %s", error, exc_info=unexpected)
        self._trouble = str(error) or type(error).__name__

    def _serve(self, file: QueueFile) -> None:
        """Work with the file until the consumer is closed."""
        with self._lock:
            ids = self._in_flight.ids
        if self._lease.number:
            file.requeue_all_but(self._lease, ids)
        self._renew_at = 0.0
        while not self._closing:
            self._step(file, time.monotonic())
            self._wait(time.monotonic())
        with self._lock:
            pending = self._in_flight.pending()
        file.end_lease(self._lease, pending.acks, pending.rejects)
        with self._lock:
            self._in_flight.reset(0)

    def _wait(self, now: float) -> None:
        """Wait for a wakeup, or until the next renewal or check is due."""
        with self._lock:
            if self._in_flight.has_pending or self._closing:
                return
            timeout = min(self._renew_at, self._check_leases_at) - now
            if self._may_be_more and self._in_flight.room:
                timeout = min(timeout, FAIRNESS_DELAY)
            self._waiting = True
        self._wakeup.wait(timeout)

    def _step(self, file: QueueFile, now: float) -> None:
        """Do the work with the file that is due."""
        with self._lock:
            self._waiting = False
            pending = self._in_flight.pending()
            room = self._in_flight.room
        is_due = now >= self._renew_at or bool(pending.acks or pending.rejects)
        self._may_be_more = False
        if is_due or (room and file.count_ready(self._lease.queue)):
            self._exchange(file, pending, room)
        if now >= self._check_leases_at:
            self._check_leases(file, now)
        if self._trouble:
            _log.info("The embedded queue is available again.")
            self._trouble = ""

    def _exchange(self, file: QueueFile, pending: PendingSettlements, room: int) -> None:
        lease = self._lease
        now = time.monotonic()
        if self._expired:
            file.end_lease(lease, pending.acks, pending.rejects)
            self._begin_lease(file)
            return
        claimed = file.exchange(lease, pending.acks, pending.rejects, room)
        if claimed is None:
            self._begin_lease(file)
            return
        self._renewed_at = now
        self._renew_at = now + lease.duration / 4
        # This may have been only a fair share.
        self._may_be_more = bool(claimed)
        with self._lock:
            self._in_flight.mark_written(pending)
            if claimed:
                self._in_flight.add(claimed)
                self._not_empty.notify()

    def _begin_lease(self, file: QueueFile) -> None:
        """Begin a new lease and forget all messages of the former one."""
        former = self._lease.number
        lease = ConsumerLease(secrets.randbits(62), self._lease.queue, self._lease.duration, self._wakeup.port)
        self._release_liveness_lock()
        self._liveness_lock = self._liveness_locks.acquire(lease.number)
        began_at = time.monotonic()
        file.begin_lease(lease)
        self._lease = lease
        self._renewed_at = began_at
        self._expired = False
        with self._lock:
            self._in_flight.reset(lease.number)
        self._may_be_more = True
        if former:
            _log.warning("A consumer of %s did not renew its lease in time: its messages went to others.", lease.queue)

    def _check_leases(self, file: QueueFile, now: float) -> None:
        """End the leases of other consumers that have expired or whose process is dead."""
        file.check_identity()
        dead = [number for number in file.lease_numbers() if self._liveness_locks.is_released(number)]
        if dead or file.has_expired_lease():
            for number in file.end_expired_leases(dead):
                self._liveness_locks.remove(number)
            self._may_be_more = True
        self._check_leases_at = now + min(LEASE_CHECK_INTERVAL, self._lease.duration / 8)

    def _release_liveness_lock(self) -> None:
        """Release and remove the liveness lock of a lease that has ended."""
        if self._liveness_lock is not None:
            self._liveness_lock.close()
            self._liveness_locks.remove(self._lease.number)
            self._liveness_lock = None
