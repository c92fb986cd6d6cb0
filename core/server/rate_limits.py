"""Limits of one client: requests a second, connections, wrong tokens. Pure: the time is an argument.

A client is identified by its address. Connections from this machine may be any client's, through a balancer on it,
so each of them counts as a client; only their wrong tokens are counted together.
"""

import ipaddress
from collections import Counter, OrderedDict

BURST_SECONDS = 2.0
"""Seconds of the allowed rate that a client may use at once after a pause."""

MAX_CLIENTS = 10_000
"""Addresses that are remembered. Beyond that the oldest are forgotten."""

FREE_GUESSES = 5
"""Wrong tokens from one address that are answered without delay."""

GUESS_DELAY = 1.0
"""Seconds by which the reply to a further wrong token is delayed."""

GUESS_LIFETIME = 60.0
"""Seconds without a wrong token after which an address's count is reset."""

_IPV6_PREFIX = 64
"""Bits of an IPv6 address that identify a client: a customer has at least a network of this size."""


def client_key(host: str) -> str | None:
    """Return the key of a client in the limits, or None when its address does not identify it."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            network = ipaddress.ip_network((address, _IPV6_PREFIX), strict=False)
            return None if address.is_loopback else str(network)
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)


class TokenBucket:
    """A token bucket: it fills at a steady rate, and each request takes one token.

    Args:
        rate: tokens added each second.
        burst: the capacity.
        now: the time of the monotonic clock, at which the bucket is full.
    """

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._at = now

    def take(self, wanted: int, now: float) -> int:
        """Take up to `wanted` tokens. Returns the number taken."""
        self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = now
        taken = min(wanted, int(self._level))
        self._level -= taken
        return taken

    def seconds_until(self, wanted: int) -> float:
        """Return the seconds until the bucket has `wanted` tokens, or is full."""
        return max(0.0, min(float(wanted), self._burst) - self._level) / self._rate


class Limiter:
    """The limits of a server's clients. It belongs to the event loop's thread.

    Args:
        rate: requests a second of one client; 0 for no limit.
        connections: connections of one client; 0 for no limit.
    """

    def __init__(self, rate: int = 0, connections: int = 0) -> None:
        self.rate = rate
        self._max_connections = connections
        self._open: Counter[str] = Counter()
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._guesses: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The numbers of addresses whose connections, rates and wrong tokens are remembered."""
        return len(self._open), len(self._buckets), len(self._guesses)

    def add_connection(self, client: str | None) -> str:
        """Count a connection. Returns the reason when it is refused, or an empty string.

        `remove_connection` must follow in both cases.
        """
        if client is None or not self._max_connections:
            return ""
        self._open[client] += 1
        if self._open[client] > self._max_connections:
            return f"{client} has {self._max_connections} connections already"
        return ""

    def remove_connection(self, client: str | None) -> None:
        """Count a closed connection."""
        if client is None or not self._max_connections:
            return
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]

    def bucket(self, client: str | None, now: float) -> TokenBucket | None:
        """Return the bucket of a connection's requests, or None when there is no limit."""
        if not self.rate:
            return None
        if client is None:
            return self._new_bucket(now)
        bucket = self._buckets.pop(client, None) or self._new_bucket(now)
        self._buckets[client] = bucket
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return bucket

    def _new_bucket(self, now: float) -> TokenBucket:
        return TokenBucket(self.rate, max(1.0, self.rate * BURST_SECONDS), now)

    def count_wrong_token(self, client: str, now: float) -> float:
        """Count a wrong token. Returns the seconds by which the reply must be delayed."""
        count, at = self._guesses.pop(client, (0, now))
        count = 1 if now - at > GUESS_LIFETIME else count + 1
        self._guesses[client] = (count, now)
        if len(self._guesses) > MAX_CLIENTS:
            self._guesses.popitem(last=False)
        return GUESS_DELAY if count > FREE_GUESSES else 0.0
