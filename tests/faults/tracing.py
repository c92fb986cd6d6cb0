"""strace as a maker of faults: a process dies at a system call of our choice, is refused one, or waits for it.

strace counts the calls of each thread by itself: `when=3` is the third one of whichever thread gets there first.
A process that is to die does so before the call has done anything. Linux only.
"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from core.closeable import Closeable
from tests.services.waiting import wait_until

PROGRAM = "strace"
ATTACH_SECONDS = 20.0


def dying(call: str, number: int) -> str:
    """Death at the call of this number."""
    return f"{call}:signal=KILL:when={number}"


def failing(call: str, error: str, first: int, every: int) -> str:
    """An error instead of the call of this number, and of each one that comes `every` calls later."""
    return f"{call}:error={error}:when={first}+{every}"


def slow(call: str, seconds: float) -> str:
    """A call that takes longer, each time."""
    return f"{call}:delay_enter={int(seconds * 1_000_000)}"


def command(injections: Iterable[str]) -> list[str]:
    """How strace is called to make these faults, without whom to make them to."""
    wanted = list(injections)
    calls = ",".join(sorted({injection.split(":", 1)[0] for injection in wanted}))
    faults = [part for injection in wanted for part in ("-e", f"inject={injection}")]
    return [PROGRAM, "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}", *faults]


class Tracer(Closeable):
    """Makes faults in a process that runs, until it is closed; the process goes on without it.

    Args:
        pid: of the process.
        injections: of `dying`, `failing` and `slow`.

    Raises:
        AssertionError: the process can't be traced.
    """

    def __init__(self, pid: int, *injections: str) -> None:
        self._pid = pid
        self._process = subprocess.Popen(
            [*command(injections), "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(self._attached, f"strace to attach to {pid}", ATTACH_SECONDS)
        except BaseException:
            self.close()
            raise

    @property
    def over(self) -> bool:
        """Whether strace has ended."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Let go of the process, and make sure that strace has ended."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(ATTACH_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"strace did not let go of {self._pid}") from None

    def _attached(self) -> bool:
        # What died at its first call was attached to.
        return self._process.poll() is not None or _traced(self._pid, self._process.pid)


def _traced(pid: int, tracer: int) -> bool:
    """Whether every thread of a process is held by the tracer, or the process is gone."""
    mark = f"TracerPid:\t{tracer}\n"
    try:
        files = [task / "status" for task in Path(f"/proc/{pid}/task").iterdir()]
        return all(mark in file.read_text("utf-8") for file in files)
    except FileNotFoundError:
        # A thread that has just ended is looked for again; a process that has died is not.
        return not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}
