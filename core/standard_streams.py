"""Standard input, output and error, made safe to use: closed ones, encodings that lack characters, full disks.

A program prepares them before anything else. A closed descriptor is opened to the null device, so that no other file
gets its number. Reading a closed input, or writing to a closed or full output, raises `StreamUnusable`.
"""

import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from core.errors import StreamUnusable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_DESCRIPTORS = (0, 1, 2)


def prepare() -> None:
    """Make the standard streams safe to use. A second call changes nothing."""
    for descriptor in _DESCRIPTORS:
        _occupy(descriptor)
    # Python has no stream for a descriptor that was closed when it started.
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_ClosedInput()), encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it lasts as long as the program
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(_Output(closed=True)), encoding="utf-8")
    elif isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        python = sys.stdout
        python.flush()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Output()),
            encoding=python.encoding,
            errors="backslashreplace",
            line_buffering=python.line_buffering or python.write_through,
        )


def _occupy(descriptor: int) -> None:
    """Open a closed descriptor to the null device."""
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)


class _ClosedInput(io.RawIOBase):
    """A standard input that was closed when the program started."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> NoReturn:
        raise StreamUnusable("standard input is closed")

    def fileno(self) -> NoReturn:
        raise StreamUnusable("standard input is closed")

    def isatty(self) -> bool:
        return False


class _Output(io.FileIO):
    """Standard output. Its failure raises `StreamUnusable` once; afterwards nothing more is written.

    Args:
        closed: whether it was closed when the program started.
    """

    def __init__(self, *, closed: bool = False) -> None:
        super().__init__(sys.__stdout__.fileno() if sys.__stdout__ is not None else 1, "wb", closefd=False)
        self._was_closed = closed
        self._failed = False

    def write(self, data: "ReadableBuffer") -> int | None:  # type: ignore[override]  # as RawIOBase has it
        if self._failed:
            return len(memoryview(data))
        try:
            if not self._was_closed:
                return super().write(data)
        except BrokenPipeError:
            # The reader has gone, which is no error: a pipeline may end early.
            raise
        except OSError as error:
            self._failed = True
            raise StreamUnusable(f"standard output can't be written: {error.strerror or error}") from error
        self._failed = True
        raise StreamUnusable("standard output is closed")
