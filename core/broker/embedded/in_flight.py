"""The messages that one consumer of the embedded queue holds: pure bookkeeping, without a lock, a clock or a file."""

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from core.broker.base import Delivery
from core.broker.embedded.queue_file import ClaimedMessage


class LeaseReceipt(msgspec.Struct, frozen=True):
    """Identifies a delivery: its message, and the lease under which it is held."""

    lease_number: int
    message_id: int


class PendingSettlements(msgspec.Struct, frozen=True):
    """The ids of messages whose acknowledgement or rejection is not yet written to the file."""

    acks: list[int]
    rejects: list[int]


class InFlightMessages:
    """The messages of one consumer, from the claim until their settlement is written.

    Attributes:
        prefetch: the number of messages that may be held.
    """

    def __init__(self, prefetch: int) -> None:
        self.prefetch = prefetch
        self._lease_number = 0
        self._waiting: deque[Delivery] = deque()
        self._unsettled: set[int] = set()
        self._acks: list[int] = []
        self._rejects: list[int] = []

    @property
    def room(self) -> int:
        """The number of messages that may still be claimed."""
        return max(0, self.prefetch - len(self._unsettled))

    @property
    def waiting(self) -> int:
        """The number of messages that are claimed and not yet taken."""
        return len(self._waiting)

    @property
    def ids(self) -> list[int]:
        """The ids of all messages that are held, including those whose settlement is not yet written."""
        return [*self._unsettled, *self._acks, *self._rejects]

    def reset(self, lease_number: int) -> None:
        """Forget everything, and hold messages under this lease from now on."""
        self._lease_number = lease_number
        self._waiting.clear()
        self._unsettled.clear()
        self._acks.clear()
        self._rejects.clear()

    def add(self, claimed: Sequence[ClaimedMessage]) -> None:
        """Hold messages that were claimed."""
        number = self._lease_number
        self._waiting.extend(
            [Delivery(each.body, each.redeliveries, LeaseReceipt(number, each.id)) for each in claimed]
        )
        self._unsettled.update([each.id for each in claimed])

    def take(self, limit: int) -> list[Delivery]:
        """Take up to `limit` waiting messages, the oldest first."""
        if limit >= len(self._waiting):
            taken = list(self._waiting)
            self._waiting.clear()
            return taken
        return [self._waiting.popleft() for _ in range(limit)]

    def ack(self, deliveries: Iterable[Delivery]) -> bool:
        """Note acknowledgements, except those of another lease. Returns whether any was new."""
        return self._settle(deliveries, self._acks)

    def reject(self, delivery: Delivery) -> bool:
        """Note a rejection, except one of another lease. Returns whether it was new."""
        return self._settle((delivery,), self._rejects)

    def _settle(self, deliveries: Iterable[Delivery], ids: list[int]) -> bool:
        before = len(ids)
        for delivery in deliveries:
            receipt = delivery.receipt
            if (
                isinstance(receipt, LeaseReceipt)
                and receipt.lease_number == self._lease_number
                and receipt.message_id in self._unsettled
            ):
                self._unsettled.remove(receipt.message_id)
                ids.append(receipt.message_id)
        return len(ids) > before

    @property
    def has_pending(self) -> bool:
        """Whether any settlement is not yet written."""
        return bool(self._acks or self._rejects)

    def pending(self) -> PendingSettlements:
        """Return the settlements to write; they stay pending until `mark_written`."""
        return PendingSettlements(self._acks.copy(), self._rejects.copy())

    def mark_written(self, settlements: PendingSettlements) -> None:
        """Forget settlements that are written."""
        del self._acks[: len(settlements.acks)]
        del self._rejects[: len(settlements.rejects)]
