"""The consumer of the embedded queue: a thread that does all its work with the file, and what others ask of it.

The thread claims, writes acknowledgements and renews the lease, in one transaction where they fall together.
It does so whether or not anybody calls `receive`, so that a long task never loses its lease.
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

FAIR_PAUSE = 0.005
"""Seconds to leave the others for taking their part, before taking more."""

LOOK_FOR_OVER = 0.5
"""Seconds between two looks for leases that are over; less where leases are short."""

FAREWELL = 5.0
"""Seconds that `close` keeps trying when the file can't be written."""

_log = logging.getLogger("cauce.broker")


class EmbeddedConsumer(Consumer):
    """Holds messages of one queue under one lease.

    Args:
        open_file: opens a connection for the thread.
        queue: whose messages.
        prefetch: how many to hold at most.
        lease: after how many seconds without a sign of life others may have its messages.
        lifelines: by which they see at once when its process dies.
    """

    def __init__(
        self, open_file: Callable[[], QueueFile], queue: Queue, prefetch: int, lease: float, lifelines: LivenessLocks
    ) -> None:
        self._open_file = open_file
        self._lifelines = lifelines
        self._lifeline: Closeable | None = None
        self._holder = ConsumerLease(0, queue, lease, 0)
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._hold = InFlightMessages(prefetch)
        self._trouble = ""
        self._closing = False
        self._may_be_more = True
        self._renew_at = 0.0
        self._renewed_at = 0.0
        self._overdue = False
        """A message was said to be held no more, as the lease was over: it is ended then, whatever others have seen."""
        self._look_for_over_at = 0.0
        self._bell = WakeupReceiver()
        self._asleep = False
        self._thread = threading.Thread(target=self._run, name=f"embedded-{queue}", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Why nothing can be received now."""
        return self._trouble

    def receive(self, limit: int, timeout: float) -> list[Delivery]:
        """Take up to `limit` messages, waiting up to `timeout` seconds for the first."""
        with self._lock:
            if not self._hold.waiting and timeout > 0:
                self._arrived.wait_for(lambda: self._hold.waiting or self._closing, timeout)
            return [] if self._closing else self._hold.take(limit)

    def holds(self, delivery: Delivery) -> bool:
        """Whether the lease under which it was claimed still counts, as far as the clock tells.

        Whoever was suspended learns it here, before the thread has looked whether others have taken the messages.
        """
        receipt = delivery.receipt
        if not isinstance(receipt, LeaseReceipt) or receipt.holder != self._holder.number:
            return False
        if time.monotonic() - self._renewed_at > self._holder.lease:
            self._overdue = True
        return not self._overdue

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Have these removed. Those of a lost lease are ignored."""
        with self._lock:
            if not self._closing and self._hold.ack(deliveries):
                self._wake()

    def reject(self, delivery: Delivery) -> None:
        """Have this made a dead letter."""
        with self._lock:
            if not self._closing and self._hold.reject(delivery):
                self._wake()

    def resize(self, prefetch: int) -> None:
        """Hold at most `prefetch` messages from now on."""
        with self._lock:
            self._hold.prefetch = prefetch
            self._wake()

    def close(self) -> None:
        """Write the acknowledgements made before and give back everything else."""
        with self._lock:
            self._closing = True
            self._bell.ring()
            self._arrived.notify_all()
        self._thread.join()
        self._bell.close()
        self._untie()

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            self._bell.ring()

    def _run(self) -> None:
        """Serve, and begin again after trouble."""
        timer = RetryTimer(REOPEN_BACKOFF)
        give_up_at = math.inf
        while time.monotonic() < give_up_at:
            try:
                with self._open_file() as file:
                    self._serve(file)
            except Exception as error:  # noqa: BLE001 - a thread that ended here would let the queue stand still, unseen
                self._report(error)
            else:
                return
            if self._closing:
                # Without a lease there is nothing to give back.
                give_up_at = min(give_up_at, time.monotonic() + (FAREWELL if self._holder.number else 0.0))
                timer.reset()
            self._bell.wait(timer.next_delay())

    def _report(self, error: Exception) -> None:
        if not self._trouble:
            unexpected = None if isinstance(error, BrokerError) else error
            _log.warning("The embedded queue is away: %s", error, exc_info=unexpected)
        self._trouble = str(error) or type(error).__name__

    def _serve(self, file: QueueFile) -> None:
        """Work with the file until the consumer is closed."""
        with self._lock:
            ids = self._hold.ids
        if self._holder.number:
            file.keep_only(self._holder, ids)
        self._renew_at = 0.0
        while not self._closing:
            self._step(file, time.monotonic())
            self._wait(time.monotonic())
        with self._lock:
            settling = self._hold.settling()
        file.leave(self._holder, settling.acks, settling.rejects)
        with self._lock:
            self._hold.begin(0)

    def _wait(self, now: float) -> None:
        """Wait until there is something to do, or something may have changed."""
        with self._lock:
            if self._hold.unwritten or self._closing:
                return
            until = min(self._renew_at, self._look_for_over_at) - now
            if self._may_be_more and self._hold.room:
                until = min(until, FAIR_PAUSE)
            self._asleep = True
        self._bell.wait(until)

    def _step(self, file: QueueFile, now: float) -> None:
        """Do whatever there is to do with the file."""
        with self._lock:
            self._asleep = False
            settling = self._hold.settling()
            room = self._hold.room
        due = now >= self._renew_at or bool(settling.acks or settling.rejects)
        self._may_be_more = False
        if due or (room and file.ready(self._holder.queue)):
            self._exchange(file, settling, room)
        if now >= self._look_for_over_at:
            self._look_for_over(file, now)
        if self._trouble:
            _log.info("The embedded queue is back.")
            self._trouble = ""

    def _exchange(self, file: QueueFile, settling: PendingSettlements, room: int) -> None:
        holder = self._holder
        now = time.monotonic()
        if self._overdue:
            file.leave(holder, settling.acks, settling.rejects)
            self._begin_lease(file)
            return
        claimed = file.exchange(holder, settling.acks, settling.rejects, room)
        if claimed is None:
            self._begin_lease(file)
            return
        self._renewed_at = now
        self._renew_at = now + holder.lease / 4
        # Perhaps this was a fair part only.
        self._may_be_more = bool(claimed)
        with self._lock:
            self._hold.written(settling)
            if claimed:
                self._hold.add(claimed)
                self._arrived.notify()

    def _begin_lease(self, file: QueueFile) -> None:
        """Begin at the beginning: what was held belongs to others now."""
        lost = self._holder.number
        holder = ConsumerLease(secrets.randbits(62), self._holder.queue, self._holder.lease, self._bell.port)
        self._untie()
        self._lifeline = self._lifelines.tie(holder.number)
        entered_at = time.monotonic()
        file.enter(holder)
        self._holder = holder
        self._renewed_at = entered_at
        self._overdue = False
        with self._lock:
            self._hold.begin(holder.number)
        self._may_be_more = True
        if lost:
            _log.warning(
                "A consumer of %s was away for longer than its lease: its messages went to others.", holder.queue
            )

    def _look_for_over(self, file: QueueFile, now: float) -> None:
        file.check_place()
        dead = [number for number in file.holders() if self._lifelines.is_cut(number)]
        if dead or file.any_over():
            for number in file.end_those_over(dead):
                self._lifelines.remove(number)
            self._may_be_more = True
        self._look_for_over_at = now + min(LOOK_FOR_OVER, self._holder.lease / 8)

    def _untie(self) -> None:
        """Cut the lifeline of a lease that has ended."""
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifelines.remove(self._holder.number)
            self._lifeline = None
