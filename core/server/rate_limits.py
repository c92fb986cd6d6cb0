"""How much one client may do: requests a second, connections, wrong tokens. Pure: the time is an argument.

A client is known by its address, where that tells something. Connections from this machine tell nothing: behind a
balancer on it they are everybody's. There each connection is a client of its own.
"""

import ipaddress
from collections import Counter, OrderedDict

BURST_SECONDS = 2.0
"""A client that was quiet may do as much at once as is allowed in so many seconds."""

MOST_CLIENTS = 10_000
"""How many addresses are remembered; of more, those are forgotten that were seen first."""

FREE_GUESSES = 5
"""Wrong tokens of one address that are answered at once."""

GUESS_DELAY = 1.0
"""Seconds that a further wrong token waits for its answer."""

FORGET_SECONDS = 60.0
"""After so long without a wrong token, an address begins anew."""

_HOME_NETWORK = 64
"""One customer has at least so large a part of IPv6: the first 64 bits name it."""


def client_of(host: str) -> str | None:
    """What a client is known by; None when its address tells nothing."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            network = ipaddress.ip_network((address, _HOME_NETWORK), strict=False)
            return None if address.is_loopback else str(network)
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)


class TokenBucket:
    """Fills at a steady rate, and each request takes one out.

    Args:
        rate: how much flows in a second.
        burst: how much there is room for.
        now: of the monotonic clock; the bucket is full then.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._at = now

    def take(self, wanted: int, now: float) -> int:
        """Take out as many as there are, at most so many; how many."""
        self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = now
        taken = min(wanted, int(self._level))
        self._level -= taken
        return taken

    def wait_for(self, wanted: int) -> float:
        """Seconds until there are so many, or as many as there is room for."""
        return max(0.0, min(float(wanted), self._burst) - self._level) / self._rate


class Limiter:
    """The limits of one server. It belongs to the event loop's thread.

    Args:
        rate: requests a second of one client; 0 for any.
        connections: connections of one client; 0 for any.
    """

    def __init__(self, rate: int = 0, connections: int = 0) -> None:
        self.rate = rate
        self._most = connections
        self._open: Counter[str] = Counter()
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._guesses: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Of how many addresses connections, requests and wrong tokens are remembered."""
        return len(self._open), len(self._buckets), len(self._guesses)

    def join(self, client: str | None) -> str:
        """Count a connection; why it can't stay, when it can't. It is to be taken off by `leave` either way."""
        if client is None or not self._most:
            return ""
        self._open[client] += 1
        return f"{client} has {self._most} connections already" if self._open[client] > self._most else ""

    def leave(self, client: str | None) -> None:
        """Take a connection off."""
        if client is None or not self._most:
            return
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]

    def bucket(self, client: str | None, now: float) -> TokenBucket | None:
        """What a connection's requests are taken out of; None when there is no limit."""
        if not self.rate:
            return None
        if client is None:
            return self._new_bucket(now)
        bucket = self._buckets.pop(client, None) or self._new_bucket(now)
        self._buckets[client] = bucket
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return bucket

    def _new_bucket(self, now: float) -> TokenBucket:
        return TokenBucket(self.rate, max(1.0, self.rate * BURST_SECONDS), now)

    def wrong_token(self, client: str, now: float) -> float:
        """Count a wrong token; for how many seconds its answer has to wait."""
        count, at = self._guesses.pop(client, (0, now))
        count = 1 if now - at > FORGET_SECONDS else count + 1
        self._guesses[client] = (count, now)
        if len(self._guesses) > MOST_CLIENTS:
            self._guesses.popitem(last=False)
        return GUESS_DELAY if count > FREE_GUESSES else 0.0
