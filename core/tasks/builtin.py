"""The kinds of task that every worker knows, to try the system with.

The console shows the first line of each docstring beside the name of the kind.
"""

import hashlib
import math
import zlib
from collections.abc import Iterable
from typing import NoReturn

from core import jsontext
from core.jsontext import Json
from core.tasks import files, payloads
from core.tasks.context import TaskContext
from core.tasks.definition import task

DEFAULT_KIND = "simulate"
"""The kind of a task that is submitted without one."""

MAX_SECONDS = 3600
"""The most seconds that `simulate` and `sleep` take."""

MAX_PRIMES_BELOW = 50_000_000
"""The highest number below which `primes` counts."""

_TIMEOUT = MAX_SECONDS + 60.0
_CHUNK = 1 << 20
_SEGMENT = 1 << 22


class SimulatedFailure(Exception):
    """The failure that a task of the kind `simulate` asked for."""


@task("simulate", timeout=_TIMEOUT)
def simulate(payload: Json, context: TaskContext) -> dict[str, Json]:
    """Take about a second; {"seconds": n} takes n seconds, {"fail": "why"} fails."""
    if isinstance(payload, dict) and "fail" in payload:
        return _fail(dict(payload), context)
    if isinstance(payload, dict) or (isinstance(payload, int | float) and not isinstance(payload, bool)):
        seconds = payloads.number(payloads.member(payload, "seconds"), MAX_SECONDS, "seconds")
    else:
        seconds = plausible_seconds(_as_text(payload))
    context.wait(seconds)
    text = _as_text(payload)
    return {"text": text if len(text) <= 200 else f"{text[:199]}…", "seconds": seconds}


def _fail(payload: dict[str, Json], context: TaskContext) -> NoReturn:
    message = payloads.text(payload.pop("fail"), "fail")
    if payload:
        context.wait(payloads.number(payloads.member(payload, "seconds"), MAX_SECONDS, "seconds"))
    raise SimulatedFailure(message)


@task("echo")
def echo(payload: Json) -> Json:
    """Give the payload back."""
    return payload


@task("sleep", timeout=_TIMEOUT)
def sleep(payload: Json, context: TaskContext) -> dict[str, float]:
    """Sleep for a number of seconds, up to an hour."""
    seconds = payloads.number(payloads.member(payload, "seconds"), MAX_SECONDS, "seconds")
    context.wait(seconds)
    return {"seconds": seconds}


@task("wordcount")
def wordcount(payload: Json) -> int:
    """Count the words of a text."""
    return len(payloads.text(payloads.member(payload, "text")).split())


@task("sha256")
def sha256(payload: Json, context: TaskContext) -> dict[str, Json]:
    """Compute the SHA-256 of a text, or of {"file": "name"} under the worker's directory of files."""
    if not isinstance(payload, dict):
        raw = payloads.text(payload).encode()
        return {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    digest = hashlib.sha256()
    size = 0
    name = payloads.text(payloads.member(payload, "file"), "file")
    with files.open_inside(context.files_root, name) as file:
        while chunk := file.read(_CHUNK):
            context.check()
            digest.update(chunk)
            size += len(chunk)
    return {"sha256": digest.hexdigest(), "bytes": size}


@task("primes")
def primes(payload: Json, context: TaskContext) -> int:
    """Count the prime numbers below n, up to 50,000,000: work for the processor."""
    below = payloads.whole_number(payloads.member(payload, "below"), MAX_PRIMES_BELOW, "below")
    return count_primes(below, context)


def plausible_seconds(text: str) -> float:
    """Return a time between half a second and two seconds, the same for the same text."""
    return round(0.5 + 1.5 * zlib.crc32(text.encode()) / 0xFFFFFFFF, 3)


def count_primes(below: int, context: TaskContext) -> int:
    """Count the primes below a number with a sieve, segment by segment, so that the task can stop in between."""
    root = math.isqrt(max(below - 1, 0))
    primes_to_root = [
        number for number, prime in enumerate(_sieve(0, root + 1, range(2, math.isqrt(root) + 1))) if prime
    ]
    count = 0
    for start in range(0, below, _SEGMENT):
        context.check()
        count += _sieve(start, min(start + _SEGMENT, below), primes_to_root).count(1)
    return count


def _sieve(start: int, stop: int, factors: Iterable[int]) -> bytearray:
    """Return a 1 for each prime from `start` up to `stop`, and a 0 for each other number.

    Args:
        start: the first number.
        stop: the number after the last one.
        factors: the primes up to the root of `stop`.
    """
    sieve = bytearray(b"\1") * (stop - start)
    if start == 0:
        sieve[:2] = bytes(len(sieve[:2]))
    for factor in factors:
        first = max(factor * factor, -(-start // factor) * factor) - start
        sieve[first::factor] = bytes(len(range(first, len(sieve), factor)))
    return sieve


def _as_text(payload: Json) -> str:
    return payload if isinstance(payload, str) else jsontext.write(payload)
