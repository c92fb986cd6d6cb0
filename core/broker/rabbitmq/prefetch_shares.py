"""The prefetch of a channel, shared by several consumers so that it can change.

It is pure. The prefetch of a consumer is fixed, and quorum queues have none for a whole channel. So a larger prefetch
adds a consumer for the difference; a smaller one cancels all consumers and begins again.
"""


class PrefetchShares:
    """The consumers of one channel, and the prefetch of each.

    Attributes:
        prefetch: the number of messages that they may hold together.
    """

    def __init__(self, prefetch: int) -> None:
        self.prefetch = prefetch
        self._shares: dict[str, int] = {}
        self._cancelling: set[str] = set()

    @property
    def is_cancelling(self) -> bool:
        """Whether the broker has yet to confirm that a consumer is cancelled."""
        return bool(self._cancelling)

    @property
    def is_below_prefetch(self) -> bool:
        """Whether a consumer can be added once older deliveries are settled."""
        return not self._cancelling and sum(self._shares.values()) < self.prefetch

    def add(self, consumer_tag: str, share: int) -> None:
        """Add a new consumer."""
        self._shares[consumer_tag] = share

    def cancel_excess(self) -> list[str]:
        """Mark all consumers as being cancelled if together they may hold too much. Returns those to cancel."""
        if sum(self._shares.values()) <= self.prefetch:
            return []
        cancelled = list(self._shares)
        self._shares.clear()
        self._cancelling.update(cancelled)
        return cancelled

    def mark_cancelled(self, consumer_tag: str) -> None:
        """Note that the broker has cancelled a consumer."""
        self._cancelling.discard(consumer_tag)

    def next_share(self, older: int) -> int:
        """Return the prefetch of a consumer to add now, or 0 when none should be added.

        `older` is the number of unsettled deliveries of cancelled consumers. While they are settled one by one,
        a consumer is added only when it at least doubles the total, so that there are only a few consumers.
        """
        if not self.is_below_prefetch:
            return 0
        present = sum(self._shares.values())
        share = self.prefetch - present - older
        return share if share > 0 and (not older or share >= present) else 0
