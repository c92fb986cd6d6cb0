"""Which messages published on one channel the broker has not confirmed yet.

It is pure. The broker counts the messages of a channel from 1 and confirms by that number,
often many at once: every one up to a number.
"""

from core.broker.base import PublishResult


class UnconfirmedMessages:
    """The messages of one channel that wait for the broker's word."""

    def __init__(self) -> None:
        self._tags: dict[int, int] = {}
        self._returned: dict[int, str] = {}
        self._last = 0
        self._oldest = 1

    def __len__(self) -> int:
        return len(self._tags)

    def add(self, tag: int) -> int:
        """Note the next message, by its publisher's tag; the broker's number of it."""
        self._last += 1
        self._tags[self._last] = tag
        return self._last

    def returned(self, number: int, reason: str) -> None:
        """Note that the broker gave a message back. It will confirm it all the same, for it has dealt with it."""
        if number in self._tags:
            self._returned[number] = reason

    def confirm(self, number: int, multiple: bool) -> list[PublishResult]:
        """Settle a message, or every one up to it, by the broker's confirmation."""
        return [self._confirmed(each, tag) for each, tag in self._take(number, multiple)]

    def refuse(self, number: int, multiple: bool, reason: str) -> list[PublishResult]:
        """Settle a message, or every one up to it, as not confirmed."""
        return [PublishResult(tag, confirmed=False, reason=reason) for _, tag in self._take(number, multiple)]

    def refuse_all(self, reason: str) -> list[PublishResult]:
        """Settle everything that is left as not confirmed."""
        return self.refuse(self._last, True, reason)

    def _confirmed(self, number: int, tag: int) -> PublishResult:
        if self._returned and number in self._returned:
            return PublishResult(tag, confirmed=False, reason=self._returned.pop(number))
        return PublishResult(tag, confirmed=True)

    def _take(self, number: int, multiple: bool) -> list[tuple[int, int]]:
        if not multiple:
            tag = self._tags.pop(number, None)
            return [] if tag is None else [(number, tag)]
        numbers = range(self._oldest, min(number, self._last) + 1)
        self._oldest = max(self._oldest, numbers.stop)
        return [(each, self._tags.pop(each)) for each in numbers if each in self._tags]
