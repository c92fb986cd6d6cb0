"""Decides which server to use next, how long to wait before a retry, and when to give up.

Pure: the time and random numbers are arguments.
"""

from collections.abc import Sequence

from core.addresses import Address
from core.backoff import Backoff
from core.errors import ConfigurationError
from core.protocol import ErrorCode

BACKOFF = Backoff(first=0.1, longest=3.0, low=0.5)
"""Delays between attempts to reach a server."""


def retry_delay(failures: int, random: float) -> float:
    """Return the seconds to wait after some failures in a row.

    Args:
        failures: the number of failures; 0 before the first.
        random: a number from 0 to 1, which spreads clients that lost the same server over half of the delay.
    """
    if failures <= 0:
        return 0.0
    return BACKOFF.delay(failures - 1, random)


def belongs_elsewhere(code: ErrorCode) -> bool:
    """Return whether another server may accept at once what this error refused."""
    return code in {ErrorCode.OVERLOADED, ErrorCode.SHUTTING_DOWN}


class ServerRotation:
    """The order in which servers are used; a server that failed is skipped for a while.

    Args:
        addresses: the addresses of the servers.
        spread: whether to use the servers in turn instead of always the first that works.
        start: the index of the first server to use, so that not every client begins at the same one.

    Raises:
        ConfigurationError: there are no addresses.
    """

    def __init__(self, addresses: Sequence[Address], *, spread: bool = True, start: int = 0) -> None:
        if not addresses:
            raise ConfigurationError("a client needs the address of at least one server")
        self.addresses = tuple(dict.fromkeys(addresses))
        self._spread = spread
        self._next = start % len(self.addresses) if spread else 0
        self._failures = dict.fromkeys(self.addresses, 0)
        self._retry_at = dict.fromkeys(self.addresses, 0.0)

    def choose(self, now: float) -> tuple[Address, float]:
        """Return the server to use next, and the seconds to wait before using it."""
        count = len(self.addresses)
        candidates = [self.addresses[(self._next + step) % count] for step in range(count)]
        address = min(candidates, key=lambda candidate: max(now, self._retry_at[candidate]))
        if self._spread:
            self._next = (self.addresses.index(address) + 1) % count
        return address, max(0.0, self._retry_at[address] - now)

    def mark_failed(self, address: Address, now: float, random: float, min_delay: float = 0.0) -> None:
        """Skip a server for a while, because it was unreachable or refused work."""
        self._failures[address] += 1
        self._retry_at[address] = now + max(min_delay, retry_delay(self._failures[address], random))

    def mark_working(self, address: Address) -> None:
        """Forget the failures of a server that replied."""
        self._failures[address] = 0
        self._retry_at[address] = 0.0


class GiveUpTimer:
    """Decides when to give up: after `limit` seconds without a success since the first failure."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.reason = ""
        """The last failure."""
        self.failures = 0
        """The number of failures in a row."""
        self._since: float | None = None

    def record_failure(self, reason: str, since: float) -> None:
        """Record a failure, and the time since when nothing has succeeded."""
        self.reason = reason
        self.failures += 1
        if self._since is None:
            self._since = since

    def record_success(self) -> None:
        """Record a success, which restarts the timer."""
        self._since = None
        self.failures = 0

    def remaining(self, now: float) -> float:
        """Return the seconds left before giving up."""
        return self.limit if self._since is None else self.limit - (now - self._since)
