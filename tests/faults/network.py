"""Faults of a link, made in its proxy (cut, reset, refused, black hole), and findings on late or refused answers."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit, urlunsplit

import msgspec

from core.addresses import Address
from tests.faults.driver import Driver
from tests.faults.proxy import NORMAL, NetworkConditions, Proxy
from tests.faults.values import Finding, Invariant
from tests.services.waiting import wait_until

CUT = "cut"
RESET = "reset"
REFUSED = "refused"
BLACK_HOLE = "black hole"
FAULTS = (CUT, RESET, REFUSED, BLACK_HOLE)

MIN_REFUSAL = 0.2
"""Shortest time for which a link refuses, in seconds."""


class DurationRange(msgspec.Struct, frozen=True, kw_only=True):
    """Range of the duration of a fault, in seconds."""

    min: float = 1.0
    max: float
    """Longest black hole; refusing is shorter."""

    def draw(self, rng: random.Random) -> float:
        """Return a random duration; short ones are more frequent, so that many faults fit into minutes."""
        return self.min + (self.max - self.min) * rng.random() ** 3


def pause(seconds: float, over: Callable[[], bool] = lambda: False) -> None:
    """Wait for some time, or until `over`."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end or over(), "the time to pass", seconds + 5.0)


def shuffled_faults(rng: random.Random, count: int) -> list[str]:
    """Return so many faults, each as often as the others, in random order."""
    names = [FAULTS[number % len(FAULTS)] for number in range(count)]
    rng.shuffle(names)
    return names


def make(fault: str, proxy: Proxy, rng: random.Random, durations: DurationRange) -> float:
    """Make one fault, and wait until it is over. Returns the seconds for which the link was down."""
    if fault in {CUT, RESET}:
        proxy.cut(reset=fault == RESET)
        return 0.0
    seconds = durations.draw(rng) if fault == BLACK_HOLE else MIN_REFUSAL + rng.random()
    return impose([proxy], NetworkConditions(stalls=fault == BLACK_HOLE, refuses=fault == REFUSED), seconds)


def impose(proxies: Sequence[Proxy], conditions: NetworkConditions, seconds: float) -> float:
    """Impose conditions on links for a while. A link that refuses also loses its connections. Returns `seconds`."""
    for proxy in proxies:
        proxy.conditions = conditions
        if conditions.refuses:
            proxy.cut(reset=True)
    try:
        pause(seconds)
    finally:
        for proxy in proxies:
            proxy.conditions = NORMAL
    return seconds


def through(url: str, proxy: Address) -> str:
    """Return the URL of a broker by way of a proxy. Pure."""
    parts = urlsplit(url)
    name, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{name}@{proxy}"))


def late(driver: Driver, max_seconds: float) -> Iterator[Finding]:
    """Yield a finding when answers took too long."""
    slow = [seconds for seconds in driver.seconds if seconds > max_seconds]
    if slow:
        text = f"{len(slow):,} answers took up to {max(slow):.1f} s, which is more than {max_seconds:.1f} s"
        yield Finding(Invariant.ANSWERED, text)


def refused(codes: dict[str, str]) -> Iterator[Finding]:
    """Yield a finding when a server refused an honest task because of the network."""
    if codes:
        text = f"{len(codes):,} honest tasks were refused: {', '.join(sorted(set(codes.values())))}"
        yield Finding(Invariant.HARMLESS, text)
