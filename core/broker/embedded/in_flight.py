"""What one consumer of the embedded queue holds: pure bookkeeping, without a lock, a clock or a file."""

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from core.broker.base import Delivery
from core.broker.embedded.queue_file import ClaimedMessage


class LeaseReceipt(msgspec.Struct, frozen=True):
    """Which message, held under which lease."""

    holder: int
    id: int


class PendingSettlements(msgspec.Struct, frozen=True):
    """What the file has to be told."""

    acks: list[int]
    rejects: list[int]


class InFlightMessages:
    """The messages of one consumer, from the claim to the acknowledgement being written.

    Args:
        prefetch: how many may be held.
    """

    def __init__(self, prefetch: int) -> None:
        self.prefetch = prefetch
        self._holder = 0
        self._waiting: deque[Delivery] = deque()
        self._open: set[int] = set()
        self._acks: list[int] = []
        self._rejects: list[int] = []

    @property
    def room(self) -> int:
        """How many more may be claimed."""
        return max(0, self.prefetch - len(self._open))

    @property
    def waiting(self) -> int:
        """How many were claimed and not taken yet."""
        return len(self._waiting)

    @property
    def ids(self) -> list[int]:
        """Everything that is held, also what is acknowledged and not written yet."""
        return [*self._open, *self._acks, *self._rejects]

    def begin(self, holder: int) -> None:
        """Forget everything, and hold under this lease from now on."""
        self._holder = holder
        self._waiting.clear()
        self._open.clear()
        self._acks.clear()
        self._rejects.clear()

    def add(self, claimed: Sequence[ClaimedMessage]) -> None:
        """Hold what was claimed."""
        holder = self._holder
        self._waiting.extend(
            [Delivery(each.body, each.redeliveries, LeaseReceipt(holder, each.id)) for each in claimed]
        )
        self._open.update([each.id for each in claimed])

    def take(self, limit: int) -> list[Delivery]:
        """Hand out the oldest that wait."""
        if limit >= len(self._waiting):
            taken = list(self._waiting)
            self._waiting.clear()
            return taken
        return [self._waiting.popleft() for _ in range(limit)]

    def ack(self, deliveries: Iterable[Delivery]) -> bool:
        """Note acknowledgements; whether there is anything new to tell. Those of another lease are nothing."""
        return self._close(deliveries, self._acks)

    def reject(self, delivery: Delivery) -> bool:
        """Note a rejection; whether there is anything new to tell."""
        return self._close((delivery,), self._rejects)

    def _close(self, deliveries: Iterable[Delivery], ids: list[int]) -> bool:
        before = len(ids)
        for delivery in deliveries:
            receipt = delivery.receipt
            if isinstance(receipt, LeaseReceipt) and receipt.holder == self._holder and receipt.id in self._open:
                self._open.remove(receipt.id)
                ids.append(receipt.id)
        return len(ids) > before

    @property
    def unwritten(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._acks or self._rejects)

    def settling(self) -> PendingSettlements:
        """What is to be written; it stays noted until `written`."""
        return PendingSettlements(self._acks.copy(), self._rejects.copy())

    def written(self, settling: PendingSettlements) -> None:
        """This has been written."""
        del self._acks[: len(settling.acks)]
        del self._rejects[: len(settling.rejects)]
