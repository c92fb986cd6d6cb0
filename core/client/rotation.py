"""Which server to ask next, how long to wait before, and when to give up. Pure: time and chance are arguments."""

from collections.abc import Sequence

from core.addresses import Address
from core.backoff import Backoff
from core.errors import ConfigurationError
from core.protocol import ErrorCode

BACKOFF = Backoff(first=0.1, longest=3.0, low=0.5)
"""Between tries at a server that can't be reached."""


def pause_after(failures: int, random: float) -> float:
    """Say how many seconds to wait after so many failures in a row.

    Args:
        failures: 0 before the first.
        random: between 0 and 1; it spreads clients that lost the same server over half of the wait.
    """
    if failures <= 0:
        return 0.0
    return BACKOFF.delay(failures - 1, random)


def belongs_elsewhere(code: ErrorCode) -> bool:
    """Whether what was refused so may go well at another server at once."""
    return code in {ErrorCode.OVERLOADED, ErrorCode.SHUTTING_DOWN}


class ServerRotation:
    """Takes turns among the servers, and lets those rest that did not work.

    Args:
        addresses: of the servers.
        spread: take turns; otherwise the first that works is the one.
        start: where to begin, so that not every client begins at the same server.

    Raises:
        ConfigurationError: there are none.
    """

    def __init__(self, addresses: Sequence[Address], *, spread: bool = True, start: int = 0) -> None:
        if not addresses:
            raise ConfigurationError("a client needs the address of at least one server")
        self.addresses = tuple(dict.fromkeys(addresses))
        self._spread = spread
        self._turn = start % len(self.addresses) if spread else 0
        self._failures = dict.fromkeys(self.addresses, 0)
        self._rests_until = dict.fromkeys(self.addresses, 0.0)

    def choose(self, now: float) -> tuple[Address, float]:
        """Say whose turn it is, and how many seconds to wait before."""
        count = len(self.addresses)
        turns = [self.addresses[(self._turn + step) % count] for step in range(count)]
        address = min(turns, key=lambda each: max(now, self._rests_until[each]))
        if self._spread:
            self._turn = (self.addresses.index(address) + 1) % count
        return address, max(0.0, self._rests_until[address] - now)

    def failed(self, address: Address, now: float, random: float, at_least: float = 0.0) -> None:
        """Let a server rest: it could not be reached, or sent us away."""
        self._failures[address] += 1
        self._rests_until[address] = now + max(at_least, pause_after(self._failures[address], random))

    def worked(self, address: Address) -> None:
        """Note that a server answered."""
        self._failures[address] = 0
        self._rests_until[address] = 0.0


class GiveUpTimer:
    """Tells when to give up: after `limit` seconds in which nothing but trouble came."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.reason = ""
        """The last trouble."""
        self.failures = 0
        """How many there were in a row."""
        self._since: float | None = None

    def trouble(self, reason: str, since: float) -> None:
        """Note what went wrong, and from when on nothing had come."""
        self.reason = reason
        self.failures += 1
        if self._since is None:
            self._since = since

    def progress(self) -> None:
        """Note that something went well."""
        self._since = None
        self.failures = 0

    def left(self, now: float) -> float:
        """For how many seconds to go on trying."""
        return self.limit if self._since is None else self.limit - (now - self._since)
