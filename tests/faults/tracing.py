"""Makes faults with strace: a process dies at a chosen system call, or the call fails or is slow.

strace counts calls per thread: `when=3` is the third call of the thread that gets there first.
A process dies before the call has an effect. Linux only.
"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from core.closeable import Closeable
from tests.services.waiting import wait_until

PROGRAM = "strace"
ATTACH_TIMEOUT = 60.0


def dying(call: str, number: int) -> str:
    """Return an injection that kills at the call of this number."""
    return f"{call}:signal=KILL:when={number}"


def failing(call: str, error: str, first: int, every: int) -> str:
    """Return an injection of an error at the call of this number, and at every `every` calls after it."""
    return f"{call}:error={error}:when={first}+{every}"


def slow(call: str, seconds: float) -> str:
    """Return an injection that delays every call."""
    return f"{call}:delay_enter={int(seconds * 1_000_000)}"


def command(injections: Iterable[str]) -> list[str]:
    """Return the strace command for some injections, without its target."""
    injections = list(injections)
    calls = ",".join(sorted({injection.split(":", 1)[0] for injection in injections}))
    faults = [part for injection in injections for part in ("-e", f"inject={injection}")]
    return [PROGRAM, "-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}", *faults]


class Tracer(Closeable):
    """Makes faults in a running process until it is closed; the process then goes on.

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
            wait_until(self._attached, f"strace to attach to {pid}", ATTACH_TIMEOUT)
        except BaseException:
            self.close()
            raise

    @property
    def over(self) -> bool:
        """Whether strace has ended."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Detach from the process, and end strace."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(ATTACH_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"strace did not detach from {self._pid}") from None

    def _attached(self) -> bool:
        # A process that died at its first call had been attached to.
        return self._process.poll() is not None or _traced(self._pid, self._process.pid)


def _traced(pid: int, tracer: int) -> bool:
    """Return whether the tracer is attached to every thread of a process, or the process is gone."""
    mark = f"TracerPid:\t{tracer}\n"
    try:
        files = [task / "status" for task in Path(f"/proc/{pid}/task").iterdir()]
        return all(mark in file.read_text("utf-8") for file in files)
    except FileNotFoundError:
        # Retry when a thread has just ended, but not when the process has died.
        return not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}
