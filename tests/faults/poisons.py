"""Poisonous kinds of task: they kill their worker, raise and return values that can't be stored, or flood its log.

They record their runs, and return their results, as `honest` does, so that the same judge can check them.
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
from tests.faults.honest import record_run, result_of

EXIT_STATUS = 66
GREEDY_HEADROOM = 256 << 20
"""Bytes of address space that a greedy task allows its worker."""


class _UnprintableError(Exception):
    """An error whose text can't be made."""

    def __str__(self) -> str:
        raise RuntimeError(f"no text for {self!r}")

    def __repr__(self) -> str:
        return str(self)


class _RecursiveReprError(Exception):
    """An error whose text is endless recursion."""

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return str(self)


class _ExitingError(Exception):
    """An error whose text ends the program."""

    def __str__(self) -> str:
        raise SystemExit(3)


class _BareError(BaseException):
    """An error that `except Exception` does not catch."""


class _NamelessMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]  # that it is read-only is the point
        raise OSError("no name")


class _NamelessError(Exception, metaclass=_NamelessMeta):
    """An error whose class has no name."""


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
    raise AssertionError("the recursion did not end")


EXCEPTIONS: dict[str, Callable[[], BaseException]] = {
    "value": lambda: ValueError("plain"),
    "nothing": Exception,
    "exit": lambda: SystemExit("bye"),
    "exit 0": lambda: SystemExit(0),
    "keyboard": KeyboardInterrupt,
    "generator": GeneratorExit,
    "bare": lambda: _BareError("bare"),
    "mute": _UnprintableError,
    "endless": _RecursiveReprError,
    "leaving": _ExitingError,
    "nameless": _NamelessError,
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
"""Exceptions that tasks raise, by name."""


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
    """Return a small object whose text is very long."""
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
"""Results that can't be stored, by name."""


@task(retries=0)
def raises(payload: Json, context: TaskContext) -> NoReturn:
    """Raise one of `EXCEPTIONS`."""
    record_run(payload["trace"], context.id)
    raise EXCEPTIONS[payload["name"]]()


@task(retries=0)
def returns(payload: Json, context: TaskContext) -> object:
    """Return one of `RESULTS`."""
    record_run(payload["trace"], context.id)
    return RESULTS[payload["name"]]()


@task
def kills(payload: Json, context: TaskContext) -> NoReturn:
    """Kill the worker, in one of the ways of `CRASHES`."""
    record_run(payload["trace"], context.id)
    CRASHES[payload["name"]]()
    raise AssertionError("the worker survived")


@task(retries=1)
def greedy(payload: Json, context: TaskContext) -> NoReturn:
    """Allocate all the memory that the worker may have, and hold it for a moment."""
    import resource  # only here: Windows has none

    record_run(payload["trace"], context.id)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + GREEDY_HEADROOM, before[1]))
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
    """Fail at the first attempt, and succeed at the next."""
    record_run(payload["trace"], context.id)
    if context.attempt == 1:
        raise ConnectionError("the first time")
    return result_of(payload["number"])


@task
def prints(payload: Json, context: TaskContext) -> str:
    """Print so many megabytes with terminal escapes, and succeed."""
    record_run(payload["trace"], context.id)
    line = "\x1b]2;flood\x07" + "x" * 1011 + "\n"
    block = line * 1024
    for _ in range(payload["megabytes"]):
        sys.stdout.write(block)
    sys.stdout.flush()
    return result_of(payload["number"])


@task(retries=0)
def says(payload: Json, context: TaskContext) -> NoReturn:
    """Print the raw text of the payload, and fail with it."""
    record_run(payload["trace"], context.id)
    sys.stderr.buffer.write(payload["text"].encode("utf-8", "surrogatepass") + b"\n")
    sys.stderr.flush()
    raise RuntimeError(payload["text"])


@task
def repeats(payload: Json, context: TaskContext) -> Json:
    """Return the text of the payload."""
    record_run(payload["trace"], context.id)
    return payload["text"]


def _segfault() -> None:
    ctypes.string_at(0)


def _signal(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


CRASHES: dict[str, Callable[[], None]] = {
    "exit": lambda: os._exit(EXIT_STATUS),
    "exit 0": lambda: os._exit(0),
    "abort": os.abort,
    "null pointer": _segfault,
    "segmentation": _signal(signal.SIGSEGV),
}
"""Ways to kill the worker, by name; without SIGKILL, which Windows lacks."""
