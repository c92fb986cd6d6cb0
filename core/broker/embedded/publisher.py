"""The publisher of the embedded queue: one transaction per batch, settled from within `send`.

While the file can't be written, a thread tries to reopen it, and `send` refuses messages at once.
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
    """A publisher that appends messages to the tasks queue in the file.

    Args:
        open_file: opens a connection to the file.
        on_settled: called with the results of a batch.
    """

    def __init__(self, open_file: Callable[[], QueueFile], on_settled: OnPublishResults) -> None:
        self._open_file = open_file
        self._on_settled = on_settled
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._file: QueueFile | None = None
        self._trouble = ""
        self._reopening: threading.Thread | None = None
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
        """The reason why it is not available."""
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
        """Close the file; `send` has settled everything already."""
        self._closed.set()
        with self._lock:
            reopening = self._reopening
        if reopening is not None:
            reopening.join(timeout)
        with self._lock:
            self._disconnect()

    def _append(self, bodies: Sequence[bytes]) -> str:
        """Append messages. Returns the reason when they are not written, or an empty string."""
        if self._closed.is_set() or self._file is None:
            return self.trouble
        try:
            self._file.check_identity()
            self._file.publish(bodies)
        except BrokerError as error:
            self._fail(error)
        return self._trouble

    def _disconnect(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _fail(self, error: BrokerError) -> None:
        """Close the file and start the thread that reopens it."""
        self._disconnect()
        self._trouble = str(error)
        _log.warning("The embedded queue is unavailable: %s", error)
        self._reopening = threading.Thread(target=self._reopen, name="embedded-reopen", daemon=True)
        self._reopening.start()

    def _reopen(self) -> None:
        timer = RetryTimer(REOPEN_BACKOFF)
        while not self._closed.wait(timer.next_delay()):
            file = self._open_and_probe()
            if file is not None:
                self._resume(file)
                return

    def _open_and_probe(self) -> QueueFile | None:
        """Open the file and write to it. Returns None when that fails."""
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
            self._reopening = None
        _log.info("The embedded queue is available again.")
