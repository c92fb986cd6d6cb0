"""One pika connection, which can gather what it is given to send, and be dropped at once."""

import contextlib
import logging
from collections.abc import Iterator

from pika import SelectConnection


class Connection(SelectConnection):  # type: ignore[misc]  # pika ships no types, so its classes are Any
    """A connection that sends many frames by one system call.

    pika sends each frame by itself: three for a message. Should a later pika give its frames to another method
    than the one overridden here, they go out one by one, as before.
    """

    _gathered: list[bytes] | None = None

    @contextlib.contextmanager
    def gather(self) -> Iterator[None]:
        """Send everything that is given within the block together, at its end."""
        self._gathered = []
        try:
            yield
        finally:
            frames, self._gathered = self._gathered, None
            if frames:
                super()._adapter_emit_data(b"".join(frames))

    def drop(self, error: Exception) -> None:
        """Close the socket without a word, because of `error`: for a broker that does not answer."""
        self._terminate_stream(error)

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._gathered is None:
            super()._adapter_emit_data(data)
        else:
            self._gathered.append(data)


def quiet_pika() -> None:
    """Keep pika's own log to itself; it writes tracebacks where Cauce says the same in one line.

    It changes the logging of the whole process, so it is for programs to call, not for this package.
    """
    logger = logging.getLogger("pika")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
