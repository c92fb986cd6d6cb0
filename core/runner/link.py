"""The runner's end of the socket to its worker."""

import os
import queue
import signal
import socket
import stat
import sys
from collections.abc import Sequence

from core.runner.frames import FrameReader, ToRunner, ToWorker, encode, runner_reader
from core.runner.task_threads import leave_broken, own_thread

_READ = 1 << 18
_MAX_BATCH = 1000


def take_over(arguments: Sequence[str]) -> socket.socket:
    """Return the end of the socket that the worker gave to this process."""
    if sys.platform == "win32":
        return socket.fromshare(sys.stdin.buffer.read())
    return socket.socket(fileno=int(arguments[0]))


class WorkerLink:
    """The socket to the worker. What is sent goes through a thread, which sends all that has come by then at once."""

    def __init__(self, end: socket.socket) -> None:
        end.set_inheritable(False)
        self._socket = end
        self._identity = self._look()
        self._reader: FrameReader[ToRunner] = runner_reader()
        self._outbox: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self._sender = own_thread("sender", self._send_all)

    def send(self, message: ToWorker) -> None:
        """Send a message soon. Never blocks."""
        self._outbox.put(message)

    def receive(self) -> list[ToRunner]:
        """Wait for messages. The process ends when the worker has gone."""
        while True:
            try:
                data = self._socket.recv(_READ)
                self._check()
            except OSError:
                leave_broken()
            if not data:
                leave_alone()
            if messages := self._reader.feed(data):
                return messages

    def close(self) -> None:
        """Send what is left, and close the socket."""
        self._outbox.put(None)
        self._sender.join()
        self._socket.close()

    def _send_all(self) -> None:
        going_on = True
        while going_on:
            batch = [self._outbox.get()]
            while len(batch) < _MAX_BATCH and not self._outbox.empty():
                batch.append(self._outbox.get())
            going_on = None not in batch
            self._check()
            self._socket.sendall(encode([message for message in batch if message is not None]))

    def _check(self) -> None:
        """Check that the descriptor is still the socket's. A task may have closed it and opened a file with its number.

        Raises:
            OSError: it is not.
        """
        if self._look() != self._identity:
            raise OSError("a task has closed the descriptor of the socket to the worker")

    def _look(self) -> tuple[int, int]:
        if sys.platform == "win32":
            return 0, 0  # a socket is no descriptor there
        status = os.fstat(self._socket.fileno())
        if not stat.S_ISSOCK(status.st_mode):
            raise OSError("a task has closed the descriptor of the socket to the worker")
        return status.st_dev, status.st_ino


def leave_alone() -> None:
    """End this process and those that its tasks started, because the worker has gone."""
    if sys.platform != "win32":
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
