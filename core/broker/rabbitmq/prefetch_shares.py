"""How a prefetch is changed where none can be: by several consumers on one channel, of which each holds a share.

It is pure. The prefetch of a consumer is fixed, and quorum queues know none for a whole channel. So to hold more is
to add a consumer for the difference; to hold less is to end all of them, and to begin again with what is left.
"""


class PrefetchShares:
    """The consumers of one channel and how many messages each may hold.

    Attributes:
        wanted: how many they may hold together.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self._held_by: dict[str, int] = {}
        self._leaving: set[str] = set()

    @property
    def leaving(self) -> bool:
        """Whether the broker has yet to answer that a consumer has ended."""
        return bool(self._leaving)

    @property
    def short(self) -> bool:
        """Whether a consumer could be added as soon as older deliveries are settled."""
        return not self._leaving and sum(self._held_by.values()) < self.wanted

    def add(self, consumer: str, share: int) -> None:
        """Note a new consumer."""
        self._held_by[consumer] = share

    def end(self) -> list[str]:
        """Say which consumers have to end because together they may hold too much."""
        if sum(self._held_by.values()) <= self.wanted:
            return []
        ending = list(self._held_by)
        self._held_by.clear()
        self._leaving.update(ending)
        return ending

    def ended(self, consumer: str) -> None:
        """Note that the broker has ended a consumer."""
        self._leaving.discard(consumer)

    def room(self, older: int) -> int:
        """How much a consumer that is added now may hold; 0 when none is to be added.

        `older` is how many deliveries of consumers that have ended are still open. While they are settled one by one,
        a consumer is added only when it at least doubles what may come, so that there is a handful of them at most.
        """
        if not self.short:
            return 0
        present = sum(self._held_by.values())
        room = self.wanted - present - older
        return room if room > 0 and (not older or room >= present) else 0
