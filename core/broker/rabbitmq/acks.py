"""Which deliveries of one channel are still open, and with how few words the broker can be told of those that are not.

It is pure. A delivery tag means something on the channel that delivered it and nowhere else,
so there is one window for each channel, and it dies with it.
"""

from collections.abc import Iterable
from itertools import takewhile

_UNKNOWN = object()
"""In the place of a tag that is not open."""


class AckWindow:
    """The deliveries of one channel that are neither acknowledged nor rejected."""

    def __init__(self) -> None:
        # In the order of delivery, which is the order of the tags.
        self._open: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, tag: int) -> None:
        """Note a delivery. Tags grow."""
        self._open[tag] = None

    def ack(self, tags: Iterable[int]) -> list[tuple[int, bool]]:
        """Take deliveries as acknowledged; what to tell the broker: tags, and for each whether all below it are meant.

        No tag is covered that was not acknowledged or rejected here; tags that are not open are passed over.
        """
        settle = self._open.pop
        fresh = [tag for tag in tags if settle(tag, _UNKNOWN) is None]
        oldest_open = next(iter(self._open), None)
        below = fresh if oldest_open is None else [tag for tag in fresh if tag < oldest_open]
        if len(below) < 2:
            return [(tag, False) for tag in fresh]
        # Everything up to `top` is settled, and `top` itself is unknown to the broker as yet:
        # RabbitMQ closes the channel when the tag it is told was settled before.
        top = max(below)
        rest = [] if oldest_open is None else [tag for tag in fresh if tag > oldest_open]
        return [(top, True), *((tag, False) for tag in rest)]

    def open_up_to(self, last: int) -> int:
        """How many of the deliveries up to this tag are open."""
        return sum(1 for _ in takewhile(last.__ge__, self._open))

    def settle(self, tag: int) -> bool:
        """Take one delivery as settled; whether it was open."""
        return self._open.pop(tag, _UNKNOWN) is None
