"""`python -m tests.faults.shifted --role ROLE --clock FILE …`: a server or worker whose wall clock is wrong.

The file has the error in seconds, and may change meanwhile. The monotonic clock is right, as it is when
the time of a machine is set.
"""

import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

READ_INTERVAL = 0.02
"""Seconds between reads of the file."""


class WrongClock:
    """A clock that is wrong by the seconds in a file.

    Args:
        file: with the seconds.
        right: returns the right time.
    """

    def __init__(self, file: Path, right: Callable[[], float]) -> None:
        self._file = file
        self._right = right
        self._offset = 0.0
        self._read_at = -READ_INTERVAL

    def time(self) -> float:
        """Return the time in seconds since the epoch."""
        now = time.monotonic()
        if now - self._read_at >= READ_INTERVAL:
            self._read_at = now
            self._offset = float(self._file.read_text("ascii"))
        return self._right() + self._offset

    def time_ns(self) -> int:
        """Return the time in nanoseconds since the epoch."""
        return int(self.time() * 1e9)


def set_clock(file: Path, seconds: float) -> None:
    """Set the error of the clocks that read this file."""
    new_file = file.with_name(f"{file.name}.new")
    new_file.write_text(str(seconds), "ascii")
    new_file.replace(file)


def main() -> None:
    """Replace the clock, and run the program."""
    role, file = _pop_flag("--role"), Path(_pop_flag("--clock"))
    clock = WrongClock(file, time.time)
    time.time, time.time_ns = clock.time, clock.time_ns
    runpy.run_module(f"core.{role}", run_name="__main__", alter_sys=True)


def _pop_flag(flag: str) -> str:
    index = sys.argv.index(flag)
    value = sys.argv[index + 1]
    del sys.argv[index : index + 2]
    return value


if __name__ == "__main__":
    main()
