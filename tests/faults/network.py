"""Troubles of a link, made on its proxy: cut, reset, refused and a black hole; and what answers may cost meanwhile."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit, urlunsplit

import msgspec

from core.addresses import Address
from tests.faults.driver import Driver
from tests.faults.proxy import FAIR, Proxy, Weather
from tests.faults.values import Finding, Invariant
from tests.services.waiting import wait_until

CUT = "cut"
RESET = "reset"
REFUSED = "refused"
HOLE = "black hole"
TROUBLES = (CUT, RESET, REFUSED, HOLE)

SHORTEST = 0.2
"""Seconds for which a link refuses at least."""


class Spans(msgspec.Struct, frozen=True, kw_only=True):
    """How many seconds of it."""

    least: float = 1.0
    most: float
    """Of a black hole; refusing is over sooner."""

    def draw(self, chance: random.Random) -> float:
        """One span; short ones are more frequent, since many troubles have to find room in minutes."""
        return self.least + (self.most - self.least) * chance.random() ** 3


def pause(seconds: float, over: Callable[[], bool] = lambda: False) -> None:
    """Let some time pass, or less when there is nothing more to wait for."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end or over(), "the time to pass", seconds + 5.0)


def deck(chance: random.Random, count: int) -> list[str]:
    """So many troubles, each as often as the others, in an order of chance."""
    names = [TROUBLES[number % len(TROUBLES)] for number in range(count)]
    chance.shuffle(names)
    return names


def make(trouble: str, proxy: Proxy, chance: random.Random, spans: Spans) -> float:
    """Make one trouble, and return when it is over; how many seconds the link was of no use."""
    if trouble in {CUT, RESET}:
        proxy.cut(reset=trouble == RESET)
        return 0.0
    seconds = spans.draw(chance) if trouble == HOLE else SHORTEST + chance.random()
    return darken([proxy], Weather(swallows=trouble == HOLE, refuses=trouble == REFUSED), seconds)


def darken(proxies: Sequence[Proxy], weather: Weather, seconds: float) -> float:
    """Have this weather on links for a while; who is to be refused loses the connection first. Returns `seconds`."""
    for proxy in proxies:
        proxy.weather = weather
        if weather.refuses:
            proxy.cut(reset=True)
    try:
        pause(seconds)
    finally:
        for proxy in proxies:
            proxy.weather = FAIR
    return seconds


def through(url: str, proxy: Address) -> str:
    """The same URL of a broker, by way of a proxy. Pure."""
    parts = urlsplit(url)
    name, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{name}@{proxy}"))


def late(driver: Driver, most: float) -> Iterator[Finding]:
    """What is to be said when answers took longer than they may."""
    slow = [seconds for seconds in driver.seconds if seconds > most]
    if slow:
        text = f"{len(slow):,} answers took up to {max(slow):.1f} s, which is more than {most:.1f} s"
        yield Finding(Invariant.ANSWERED, text)


def refused(codes: dict[str, str]) -> Iterator[Finding]:
    """What is to be said when a server refused an honest task: a bad network is no reason to."""
    if codes:
        text = f"{len(codes):,} honest tasks were refused: {', '.join(sorted(set(codes.values())))}"
        yield Finding(Invariant.HARMLESS, text)
