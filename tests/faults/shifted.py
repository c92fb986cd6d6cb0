"""`python -m tests.faults.shifted --role ROLE --clock FILE …`: a server or worker whose wall clock is wrong.

By how many seconds is in the file, and may change while it runs. The monotonic clock is right, as it stays when
somebody sets the time of a machine.
"""

import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

LOOK = 0.02
"""Seconds between two looks at the file."""


class WrongClock:
    """Tells a time that is wrong by what is in a file.

    Args:
        file: holds the seconds.
        right: tells the right time.
    """

    def __init__(self, file: Path, right: Callable[[], float]) -> None:
        self._file = file
        self._right = right
        self._offset = 0.0
        self._looked = -LOOK

    def time(self) -> float:
        """The time, in seconds since the epoch."""
        now = time.monotonic()
        if now - self._looked >= LOOK:
            self._looked = now
            self._offset = float(self._file.read_text("ascii"))
        return self._right() + self._offset

    def time_ns(self) -> int:
        """The same in nanoseconds."""
        return int(self.time() * 1e9)


def set_clock(file: Path, seconds: float) -> None:
    """Make the clocks that look at this file wrong by so many seconds."""
    half = file.with_name(f"{file.name}.half")
    half.write_text(str(seconds), "ascii")
    half.replace(file)


def main() -> None:
    """Set the clock wrong, and become the program."""
    role, file = _take("--role"), Path(_take("--clock"))
    clock = WrongClock(file, time.time)
    time.time, time.time_ns = clock.time, clock.time_ns
    runpy.run_module(f"core.{role}", run_name="__main__", alter_sys=True)


def _take(flag: str) -> str:
    place = sys.argv.index(flag)
    value = sys.argv[place + 1]
    del sys.argv[place : place + 2]
    return value


if __name__ == "__main__":
    main()
