"""Kinds of task that no worker should be given: they kill it, raise and return what can't be stored, flood its log.

What they leave in the trace, and the results of those that end well, are as `honest` has them, so that one judge serves
for all.
"""

import ctypes
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from core.jsontext import Json
from core.tasks import TaskContext, task
from tests.faults.honest import leave_trace, result_of

EXIT_STATUS = 66
GREEDY_ROOM = 256 << 20
"""Bytes of address space that a greedy task leaves its worker."""


class _Mute(Exception):
    """Fails when it is asked what it says."""

    def __str__(self) -> str:
        raise RuntimeError(f"asked {self!r}")

    def __repr__(self) -> str:
        return str(self)


class _Endless(Exception):
    """Asks itself for ever."""

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return str(self)


class _Leaving(Exception):
    """Wants to end the program when it is shown."""

    def __str__(self) -> str:
        raise SystemExit(3)


class _Bare(BaseException):
    """None of those that `except Exception` takes."""


class _Strange(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # that it is read-only is the point
        raise OSError("no name")


class _Nameless(Exception, metaclass=_Strange):
    """Whose class won't tell its name."""


def _group() -> BaseException:
    return BaseExceptionGroup("many", [ValueError(str(number)) for number in range(1000)])


def _circle() -> BaseException:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def _deep() -> BaseException:
    def fall(depth: int) -> int:
        return fall(depth + 1) + 1

    try:
        fall(0)
    except RecursionError as error:
        return error
    raise AssertionError("there is no end to it")


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "value": lambda: ValueError("plain"),
    "nothing": Exception,
    "exit": lambda: SystemExit("bye"),
    "exit 0": lambda: SystemExit(0),
    "keyboard": KeyboardInterrupt,
    "generator": GeneratorExit,
    "bare": lambda: _Bare("bare"),
    "mute": _Mute,
    "endless": _Endless,
    "leaving": _Leaving,
    "nameless": _Nameless,
    "surrogate": lambda: ValueError("\ud800 and \udfff"),
    "nul": lambda: ValueError("a\0b"),
    "long": lambda: ValueError("x" * 50_000_000),
    "escape": lambda: ValueError("\x1b]52;c;cm0=\x07\x9b2J"),
    "arguments": lambda: ValueError({"a": object()}, [b"\xff"], 2**70),
    "group": _group,
    "circle": _circle,
    "recursion": _deep,
    "memory": MemoryError,
    "stop": StopIteration,
    "warning": lambda: DeprecationWarning("as an error"),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff" * 1000, 0, 1, "wrong"),
    "system": lambda: OSError(28, "No space left on device", "/tmp/\udcff"),  # noqa: S108 - only a text
}
"""What tasks raise, by name."""


def _cycle() -> object:
    ring: list[object] = []
    ring.append(ring)
    return ring


def _nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def _wide() -> object:
    """A little object that is very long as a text."""
    row: object = "x" * 1000
    for _ in range(12):
        row = [row] * 10
    return row


RESULTS: dict[str, Callable[[], object]] = {
    "surrogate": lambda: "\ud800",
    "surrogate key": lambda: {"\udc00": 1},
    "2^63": lambda: 2**63,
    "2^100": lambda: [2**100],
    "digits": lambda: 10**100_000,
    "nan": lambda: math.nan,
    "infinity": lambda: {"a": [-math.inf]},
    "100 MB": lambda: "x" * 100_000_000,
    "wide": _wide,
    "cycle": _cycle,
    "bytes": lambda: b"\xff",
    "object": object,
    "set": lambda: {1, 2},
    "keys": lambda: {1: "a", None: "b"},
    "nested": lambda: _nested(500),
    "very nested": lambda: _nested(100_000),
    "function": lambda: len,
    "generator": lambda: (number for number in range(3)),
    "class": lambda: ValueError,
    "module": lambda: sys,
}
"""What tasks return that can't be stored, by name."""


@task(retries=0)
def raises(payload: Json, context: TaskContext) -> NoReturn:
    """Raise one of `EXCEPTIONS`."""
    leave_trace(payload["trace"], context.id)
    raise EXCEPTIONS[payload["name"]]()


@task(retries=0)
def returns(payload: Json, context: TaskContext) -> object:
    """Return one of `RESULTS`."""
    leave_trace(payload["trace"], context.id)
    return RESULTS[payload["name"]]()


@task
def kills(payload: Json, context: TaskContext) -> NoReturn:
    """End the worker, in one of several ways."""
    leave_trace(payload["trace"], context.id)
    WAYS[payload["name"]]()
    raise AssertionError("it has outlived that")


@task(retries=1)
def greedy(payload: Json, context: TaskContext) -> NoReturn:
    """Take all the memory that the worker may have, and hold it for a moment."""
    import resource  # only here: Windows has none

    leave_trace(payload["trace"], context.id)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + GREEDY_ROOM, before[1]))
    taken = []
    try:
        while True:
            taken.append(bytearray(1 << 20))
    finally:
        context.wait(0.2)
        taken.clear()
        resource.setrlimit(resource.RLIMIT_AS, before)


@task(retries=3)
def unsteady(payload: Json, context: TaskContext) -> str:
    """Fail at the first attempt, and end well at the next."""
    leave_trace(payload["trace"], context.id)
    if context.attempt == 1:
        raise ConnectionError("the first time")
    return result_of(payload["number"])


@task
def prints(payload: Json, context: TaskContext) -> str:
    """Print so many megabytes, with all that a terminal obeys, and end well."""
    leave_trace(payload["trace"], context.id)
    line = "\x1b]2;flood\x07" + "x" * 1011 + "\n"
    block = line * 1024
    for _ in range(payload["megabytes"]):
        sys.stdout.write(block)
    sys.stdout.flush()
    return result_of(payload["number"])


@task(retries=0)
def says(payload: Json, context: TaskContext) -> NoReturn:
    """Print the text of the payload, raw, and fail with it."""
    leave_trace(payload["trace"], context.id)
    sys.stderr.buffer.write(payload["text"].encode("utf-8", "surrogatepass") + b"\n")
    sys.stderr.flush()
    raise RuntimeError(payload["text"])


@task
def repeats(payload: Json, context: TaskContext) -> Json:
    """Give the text of the payload back."""
    leave_trace(payload["trace"], context.id)
    return payload["text"]


def _segfault() -> None:
    ctypes.string_at(0)


def _signal(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


WAYS: dict[str, Callable[[], None]] = {
    "exit": lambda: os._exit(EXIT_STATUS),
    "exit 0": lambda: os._exit(0),
    "abort": os.abort,
    "null pointer": _segfault,
    "segmentation": _signal(signal.SIGSEGV),
}
"""How tasks end their worker, by name; besides SIGKILL, which Windows lacks."""
