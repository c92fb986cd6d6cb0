"""The messages published on one channel that the broker has not confirmed yet.

It is pure. The broker numbers the messages of a channel from 1, and confirms one number, or all up to a number.
"""

from core.broker.base import PublishResult


class UnconfirmedMessages:
    """The messages of one channel that wait for a publisher confirm."""

    def __init__(self) -> None:
        self._tags: dict[int, int] = {}
        self._returned: dict[int, str] = {}
        self._last = 0
        self._oldest = 1

    def __len__(self) -> int:
        return len(self._tags)

    def add(self, tag: int) -> int:
        """Add the next message, by its publisher's tag. Returns the broker's number for it."""
        self._last += 1
        self._tags[self._last] = tag
        return self._last

    def mark_returned(self, number: int, reason: str) -> None:
        """Note that the broker returned a message as unroutable. It still confirms it afterwards."""
        if number in self._tags:
            self._returned[number] = reason

    def confirm(self, number: int, multiple: bool) -> list[PublishResult]:
        """Settle a message, or all up to it, as confirmed."""
        return [self._result(each, tag) for each, tag in self._pop(number, multiple)]

    def refuse(self, number: int, multiple: bool, reason: str) -> list[PublishResult]:
        """Settle a message, or all up to it, as not confirmed."""
        return [PublishResult(tag, confirmed=False, reason=reason) for _, tag in self._pop(number, multiple)]

    def refuse_all(self, reason: str) -> list[PublishResult]:
        """Settle all remaining messages as not confirmed."""
        return self.refuse(self._last, True, reason)

    def _result(self, number: int, tag: int) -> PublishResult:
        if self._returned and number in self._returned:
            return PublishResult(tag, confirmed=False, reason=self._returned.pop(number))
        return PublishResult(tag, confirmed=True)

    def _pop(self, number: int, multiple: bool) -> list[tuple[int, int]]:
        if not multiple:
            tag = self._tags.pop(number, None)
            return [] if tag is None else [(number, tag)]
        numbers = range(self._oldest, min(number, self._last) + 1)
        self._oldest = max(self._oldest, numbers.stop)
        return [(each, self._tags.pop(each)) for each in numbers if each in self._tags]
