"""`python -m tests.benchmarks.console`: the resources and response times of the console over a large journal in use.

The console runs in a pseudo-terminal; a response time is from a key to the text that it causes. The measurements are
only printed. Windows has no such pseudo-terminals.
"""

import argparse
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from fcntl import ioctl
from pathlib import Path

import psutil

from core.closeable import Closeable
from core.model import State
from core.repository.archive import MAX_RESULTS
from tests.benchmarks.filling import fill
from tests.benchmarks.journal_reader import JournalReader
from tests.services.system import LocalSystem

SIZE = (40, 120)
PATIENCE = 60.0
HZ = 4
"""Snapshots a second."""

KEYS = 60
FIRST_LETTER = 0x100
"""First of a hundred consecutive Latin letters with diacritics."""

FLOW_SECONDS = 120
_TOP = Path(__file__).resolve().parents[2]


class ConsoleTerminal(Closeable):
    """The console in a pseudo-terminal.

    Args:
        directory: of the system.
        options: of the console.

    Attributes:
        began: start time, of the performance counter.
        process: of the console.
    """

    def __init__(self, directory: Path, options: Sequence[str] = ()) -> None:
        self.began = time.perf_counter()
        self._unread = b""
        pid, self._terminal = pty.fork()
        if pid == 0:
            environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
            os.chdir(_TOP)
            arguments = [sys.executable, "-m", "tui", "--dir", str(directory), "--theme", "cauce", *options]
            os.execvpe(sys.executable, arguments, environment)  # noqa: S606 - no shell is used
        ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        self.process = psutil.Process(pid)

    def read_until(self, text: str) -> float:
        """Read until a text appears. Returns the seconds since the start."""
        expected, seen = text.encode(), self._unread
        deadline = time.perf_counter() + PATIENCE
        while expected not in seen:
            left = deadline - time.perf_counter()
            if left <= 0 or not select.select([self._terminal], [], [], left)[0]:
                raise TimeoutError(f"{text!r} did not appear; the last output was {seen[-500:]!r}")
            seen = seen[-4096:] + os.read(self._terminal, 1 << 20)
        self._unread = seen.partition(expected)[2]
        return time.perf_counter() - self.began

    def read_for(self, seconds: float) -> float:
        """Read for some seconds. Returns the console's share of one processor."""
        before, deadline = sum(self.process.cpu_times()[:2]), time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            if select.select([self._terminal], [], [], left)[0]:
                os.read(self._terminal, 1 << 20)
        return (sum(self.process.cpu_times()[:2]) - before) / seconds

    def press(self, keys: bytes, text: str) -> float:
        """Press keys. Returns the milliseconds until a text appears."""
        self._unread = b""
        began = time.perf_counter()
        os.write(self._terminal, keys)
        self.read_until(text)
        return (time.perf_counter() - began) * 1000

    def close(self) -> None:
        """Kill the console."""
        self.process.kill()
        os.waitpid(self.process.pid, 0)
        os.close(self._terminal)


def measure(directory: Path, rows: int, rate: int) -> list[tuple[str, str]]:
    """Measure everything. Returns names and values."""
    fill(directory / "resultados.db", rows)
    figures = []
    with (
        LocalSystem(directory, servers=1, workers=2) as system,
        ConsoleTerminal(directory, ("--hz", str(HZ))) as screen,
    ):
        figures.append(("start to first frame", f"{screen.read_until('Results') * 1000:.0f} ms"))
        screen.read_until(listed(rows))
        figures.append((f"start to all {rows:,} rows listed", f"{time.perf_counter() - screen.began:.2f} s"))
        screen.read_for(2.0)
        figures.append(("processor, idle", f"{screen.read_for(10.0):.1%} of one"))
        figures.append(("memory, idle", f"{screen.process.memory_info().rss / 2**20:.0f} MiB"))
        load = subprocess.Popen(
            [
                *(sys.executable, "-m", "core.client", "load", "--server", str(system.addresses[0])),
                *("--tasks", str(rate * FLOW_SECONDS), "--rate", str(rate), "--kind", "echo", "--connections", "2"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=_TOP,
        )
        try:
            screen.read_for(3.0)
            with JournalReader(system.journal) as journal:
                done, began = journal.count_in_state(State.DONE), time.perf_counter()
                figures.append((f"processor, {rate:,} tasks/s", f"{screen.read_for(10.0):.1%} of one"))
                figures += _measure_keys(screen)
                stored = (journal.count_in_state(State.DONE) - done) / (time.perf_counter() - began)
            figures.append((f"stored, of {rate:,} tasks/s submitted", f"{stored:,.0f}/s ({stored / rate:.1%})"))
            figures.append(("memory at the end", f"{screen.process.memory_info().rss / 2**20:.0f} MiB"))
        finally:
            load.kill()
            load.wait()
    return figures


def listed(rows: int) -> str:
    """Return the console's text for a listed journal of so many rows; at most the newest `MAX_RESULTS` are listed."""
    return f"{min(rows, MAX_RESULTS):,} tasks"


def _measure_keys(screen: ConsoleTerminal) -> list[tuple[str, str]]:
    """Measure response times while tasks flow: opening a row, typing a letter, and the description of the text.

    No letter appears elsewhere on the screen.
    """
    opened = []
    for _ in range(KEYS):
        opened.append(screen.press(b"\r", "Escape Close"))
        screen.read_for(0.1)
        screen.press(b"q", "Results")
        screen.read_for(0.15)
    screen.press(b"1", "New task")
    typed, described = [], []
    for length in range(1, KEYS + 1):
        screen.read_for(0.07)
        letter = chr(FIRST_LETTER + length)
        began = time.perf_counter()
        typed.append(screen.press(letter.encode(), letter))
        screen.read_until(f"a text of {length} characters")
        described.append((time.perf_counter() - began) * 1000)
    return [
        ("Enter to the task on the screen", _spread(opened)),
        ("a letter to the letter on the screen", _spread(typed)),
        ("a letter to the description of the text", _spread(described)),
    ]


def _spread(values: Sequence[float]) -> str:
    parts = statistics.quantiles(values, n=100, method="inclusive")
    return f"p50 {parts[49]:.0f} ms, p95 {parts[94]:.0f} ms, p99 {parts[98]:.0f} ms"


def main() -> int:
    """Measure and print. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.console", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="results in the journal (default: 1,000,000)")
    parser.add_argument("--rate", type=int, default=5000, help="tasks a second (default: 5,000)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cauce-") as directory:
        for name, figure in measure(Path(directory), arguments.rows, arguments.rate):
            sys.stdout.write(f"{name:<40}{figure}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
