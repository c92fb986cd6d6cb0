"""The publisher of the embedded queue: one transaction a batch, settled from within `send`.

While the file can't be written, a thread tries it again and again, and messages are refused at once meanwhile.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from core.backoff import RetryTimer
from core.broker.base import Message, OnPublishResults, Publisher, PublishResult
from core.broker.embedded.queue_file import REOPEN_BACKOFF, QueueFile
from core.errors import BrokerError

_log = logging.getLogger("cauce.broker")


class EmbeddedPublisher(Publisher):
    """Appends to the tasks queue.

    Args:
        open_file: opens a connection.
        on_settled: told what became of each message.
    """

    def __init__(self, open_file: Callable[[], QueueFile], on_settled: OnPublishResults) -> None:
        self._open_file = open_file
        self._on_settled = on_settled
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._file: QueueFile | None = None
        self._trouble = ""
        self._mender: threading.Thread | None = None
        with self._lock:
            try:
                self._file = open_file()
            except BrokerError as error:
                self._fail(error)

    @property
    def available(self) -> bool:
        """Whether messages can be sent now."""
        return not self._trouble and not self._closed.is_set()

    @property
    def trouble(self) -> str:
        """Why it is not available."""
        return "The publisher is closed." if self._closed.is_set() else self._trouble

    def send(self, messages: Sequence[Message]) -> None:
        """Append messages and settle them."""
        if not messages:
            return
        with self._lock:
            reason = self._append([message.body for message in messages])
        confirmed = not reason
        self._on_settled([PublishResult(message.tag, confirmed, reason) for message in messages])

    def close(self, timeout: float = 5.0) -> None:
        """Let go of the file; nothing is ever outstanding."""
        self._closed.set()
        with self._lock:
            mender = self._mender
        if mender is not None:
            mender.join(timeout)
        with self._lock:
            self._disconnect()

    def _append(self, bodies: Sequence[bytes]) -> str:
        """Write messages; why they are not written, empty when they are."""
        if self._closed.is_set() or self._file is None:
            return self.trouble
        try:
            self._file.check_place()
            self._file.publish(bodies)
        except BrokerError as error:
            self._fail(error)
        return self._trouble

    def _disconnect(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _fail(self, error: BrokerError) -> None:
        """Begin to mend: from here on the file belongs to the mender."""
        self._disconnect()
        self._trouble = str(error)
        _log.warning("The embedded queue is away: %s", error)
        self._mender = threading.Thread(target=self._mend, name="embedded-mender", daemon=True)
        self._mender.start()

    def _mend(self) -> None:
        timer = RetryTimer(REOPEN_BACKOFF)
        while not self._closed.wait(timer.next_delay()):
            file = self._try()
            if file is not None:
                self._resume(file)
                return

    def _try(self) -> QueueFile | None:
        """Open the file and write to it."""
        file = None
        try:
            file = self._open_file()
            file.probe()
        except BrokerError as error:
            self._trouble = str(error)
            if file is not None:
                file.close()
            return None
        return file

    def _resume(self, file: QueueFile) -> None:
        with self._lock:
            if self._closed.is_set():
                file.close()
                return
            self._file = file
            self._trouble = ""
            self._mender = None
        _log.info("The embedded queue is back.")
