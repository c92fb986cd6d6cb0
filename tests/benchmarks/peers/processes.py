"""The processes of a peer, started in its directory and ended by their ids: those that publish, and those that work."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from core.closeable import Closeable
from tests.benchmarks.case import Lost
from tests.benchmarks.peers.publishing import Sent, Share, split

PATIENCE = 300.0
"""Seconds after which a process that has not answered never will."""

STOP_SECONDS = 20.0
_TOP = Path(__file__).resolve().parents[3]
_LOG_TAIL = 3000


class Publishers(Closeable):
    """Processes that publish together: they are connected and warm when this is made.

    Args:
        directory: where they are started; their log goes there.
        module: what each of them publishes with.
        processes: how many.
        whole: what they publish together; `at_once` is for each of them.

    Attributes:
        pids: of the processes, which live until this is closed.

    Raises:
        Lost: one of them fails.
    """

    def __init__(self, directory: Path, module: str, processes: int, whole: Share) -> None:
        self._log = directory / "publishers.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        parts = zip(split(whole.tasks, processes), split(whole.warm_up, processes), strict=True)
        try:
            for tasks, warm_up in parts:
                numbers = map(str, (tasks, warm_up, whole.at_once))
                self._processes.append(self._start(directory, ["-m", "tests.benchmarks.peers", module, *numbers]))
            for process in self._processes:
                self._read_line(process)
        except BaseException:  # whatever it is: the processes that are there are not left running
            self.close()
            raise
        self.pids = [process.pid for process in self._processes]

    def publish(self) -> Sent:
        """Have them all begin, and wait until the last task is confirmed.

        Raises:
            Lost: one of them fails.
        """
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        sent = [msgspec.json.decode(self._read_line(process), type=Sent) for process in self._processes]
        return Sent(min(each.began for each in sent), max(each.ended for each in sent))

    def close(self) -> None:
        """Have them end, and make sure that they do."""
        for process in self._processes:
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()
        for process in self._processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _start(self, directory: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=directory,
                env=_environment({}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def _read_line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        # A pipe has no time limit of its own on every platform; one that is killed ends the line.
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise Lost(f"what publishes has failed: {tail(self._log)}")
        return line


@contextlib.contextmanager
def working(directory: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    """Have workers work within the block; the first of their processes.

    Args:
        directory: where they are started; their log goes there.
        arguments: for Python.
        environment: what is added to that of this process.
    """
    with (directory / "workers.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=directory,
            env=_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        _end(process)


def tail(log: Path) -> str:
    """The end of a log, as one line."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return " / ".join(text[-_LOG_TAIL:].split("\n"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask them to leave, and end those that stay."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _gone, alive = psutil.wait_procs(children, 1.0)
    for child in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(alive, STOP_SECONDS)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """They are started elsewhere, and have to find these modules all the same."""
    return {**os.environ, "PYTHONPATH": str(_TOP), **more}
