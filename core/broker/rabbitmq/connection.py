"""One pika connection that gathers what it is given to send, reads plain deliveries quickly, can be dropped at once."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pika import SelectConnection
from pika.channel import Channel

from core.broker.rabbitmq import delivery_parser

Taker: TypeAlias = Callable[[int, int, bytes], None]
"""Takes a delivery: its tag, how often it was delivered before, its body."""


RECEIVE = 65_536
"""Bytes taken from the socket by one system call. Of what is cut off at the end, pika has to read the frames."""


class RabbitConnection(SelectConnection):  # type: ignore[misc]  # pika ships no types, so its classes are Any
    """A connection that sends many frames by one system call, and makes few calls of its own for a delivery.

    pika sends each frame by itself: three for a message. Should a later pika give its frames to another method
    than the one overridden here, they go out one by one, as before; the same goes for what arrives.
    """

    _gathered: list[bytes] | None = None
    _consuming = 0
    """The number of the channel whose plain deliveries are read quickly; 0 for none."""

    _takers: dict[bytes, Taker]

    def deliver(self, channel: Channel, consumer: str, taker: Taker) -> None:
        """Give plain deliveries to a consumer of this channel, the only one that consumes, straight to `taker`.

        What is not plain goes the usual way, to the consumer's callback, in its turn.
        """
        if self._consuming != channel.channel_number:
            self._consuming, self._takers = channel.channel_number, {}
        self._takers[consumer.encode()] = taker

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

    def emit(self, frames: bytes) -> None:
        """Send frames that are marshalled already."""
        self._output_marshaled_frames([frames])

    def drop(self, error: Exception) -> None:
        """Close the socket without a word, because of `error`: for a broker that does not answer."""
        self._terminate_stream(error)

    def _proto_connection_made(self, transport: Any) -> None:
        # pika takes 4096 by one call. Where it has no such attribute, it is not looked at.
        transport._MAX_RECV_BYTES = RECEIVE  # noqa: SLF001 - there is no other way to say it
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        if not self._consuming:
            super()._on_data_available(data_in)
            return
        self._frame_buffer += data_in
        while self._frame_buffer:
            self._trim_frame_buffer(self._take_deliveries(self._frame_buffer))
            consumed, frame = self._read_frame()
            if not frame:
                return
            self._trim_frame_buffer(consumed)
            self._process_frame(frame)

    def _take_deliveries(self, buffer: bytes) -> int:
        """Hand over what is plain at the beginning of what arrived; the number of its bytes."""
        end = 0
        while (arrival := delivery_parser.read(buffer, end, self._consuming)) is not None:
            taker = self._takers.get(arrival.consumer)
            if taker is None:
                break
            end = arrival.end
            taker(arrival.tag, arrival.redeliveries, arrival.body)
        return end

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
