"""The unsettled deliveries of one channel, and how to acknowledge many with few frames.

It is pure. A delivery tag is valid only on the channel that delivered it, so each channel has its own window.
"""

from collections.abc import Iterable
from itertools import takewhile

_UNKNOWN = object()
"""What `dict.pop` returns for a settled or unknown tag."""


class AckWindow:
    """The deliveries of one channel that are neither acknowledged nor rejected."""

    def __init__(self) -> None:
        # In the order of delivery, which is the order of the tags.
        self._unsettled: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._unsettled)

    def add(self, tag: int) -> None:
        """Add a delivery. Tags increase."""
        self._unsettled[tag] = None

    def ack(self, tags: Iterable[int]) -> list[tuple[int, bool]]:
        """Settle deliveries. Returns the acknowledgements to send: a tag, and whether it covers all tags below it.

        They cover only tags that were acknowledged or rejected here. Settled and unknown tags are ignored.
        """
        settle = self._unsettled.pop
        fresh = [tag for tag in tags if settle(tag, _UNKNOWN) is None]
        oldest_unsettled = next(iter(self._unsettled), None)
        below = fresh if oldest_unsettled is None else [tag for tag in fresh if tag < oldest_unsettled]
        if len(below) < 2:
            return [(tag, False) for tag in fresh]
        # Everything up to `top` is settled, and `top` itself was not yet sent to the broker:
        # RabbitMQ closes the channel when the acknowledged tag was settled before.
        top = max(below)
        rest = [] if oldest_unsettled is None else [tag for tag in fresh if tag > oldest_unsettled]
        return [(top, True), *((tag, False) for tag in rest)]

    def count_up_to(self, last: int) -> int:
        """Return how many deliveries up to this tag are unsettled."""
        return sum(1 for _ in takewhile(last.__ge__, self._unsettled))

    def settle(self, tag: int) -> bool:
        """Settle one delivery. Returns whether it was unsettled."""
        return self._unsettled.pop(tag, _UNKNOWN) is None
