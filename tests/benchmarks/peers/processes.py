"""The publishing processes and the workers of a peer, started in its directory and ended by their ids."""

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
from tests.benchmarks.case import TasksLost
from tests.benchmarks.peers.publishing import Sent, Share, split

PATIENCE = 300.0
"""Seconds to wait for a line of a process."""

STOP_SECONDS = 20.0
_TOP = Path(__file__).resolve().parents[3]
_LOG_TAIL = 3000


class Publishers(Closeable):
    """Processes that publish together, connected and warmed up.

    Args:
        directory: to start them in, also for their log.
        module: of the peer, with `publish`.
        processes: number of processes.
        whole: what they publish together; `at_once` applies to each.

    Attributes:
        pids: of the processes, which live until `close`.

    Raises:
        TasksLost: one of them fails.
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
        except BaseException:  # the started processes are ended in any case
            self.close()
            raise
        self.pids = [process.pid for process in self._processes]

    def publish(self) -> Sent:
        """Start publishing, and wait until the last task is confirmed.

        Raises:
            TasksLost: one of them fails.
        """
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        sent = [msgspec.json.decode(self._read_line(process), type=Sent) for process in self._processes]
        return Sent(min(part.began for part in sent), max(part.ended for part in sent))

    def close(self) -> None:
        """End the processes."""
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
        # A pipe has no time limit on some platforms; killing the process ends the read.
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise TasksLost(f"a publishing process has failed: {tail(self._log)}")
        return line


@contextlib.contextmanager
def running_workers(
    directory: Path, arguments: Sequence[str], environment: Mapping[str, str]
) -> Iterator[psutil.Process]:
    """Run workers within the block. Provides the first of their processes.

    Args:
        directory: to start them in, also for their log.
        arguments: of Python.
        environment: additions to that of this process.
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
    """Return the end of a log as one line."""
    text = log.read_text("utf-8", "replace") if log.exists() else ""
    return " / ".join(text[-_LOG_TAIL:].split("\n"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate the process, and kill those of its children that remain."""
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
    """Return an environment in which processes in another directory find these modules."""
    return {**os.environ, "PYTHONPATH": str(_TOP), **more}
