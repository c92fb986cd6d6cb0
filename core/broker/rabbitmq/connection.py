"""A pika connection that batches writes, reads plain deliveries quickly, and can be aborted at once."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pika import SelectConnection
from pika.channel import Channel

from core.broker.rabbitmq import delivery_parser

OnDelivery: TypeAlias = Callable[[int, int, bytes], None]
"""Called with a delivery: its tag, the number of earlier deliveries, its body."""


MAX_RECEIVE_BYTES = 65_536
"""Bytes read from the socket by one system call. A delivery that is cut at their end is left to pika."""


class RabbitConnection(SelectConnection):  # type: ignore[misc]  # pika ships no types, so its classes are Any
    """A connection that sends many frames by one system call, and makes few Python calls for a delivery.

    pika sends each frame by its own system call: three for a message. If a later pika sent or received frames by other
    methods than those overridden here, each frame would be handled as pika handles it.
    """

    _batched_frames: list[bytes] | None = None
    _consuming_channel = 0
    """The number of the channel whose plain deliveries are parsed here; 0 for none."""

    _delivery_callbacks: dict[bytes, OnDelivery]

    def set_delivery_callback(self, channel: Channel, consumer_tag: str, on_delivery: OnDelivery) -> None:
        """Call `on_delivery` with the plain deliveries of a consumer on this channel, the only one that consumes.

        Other deliveries go to the consumer's callback as usual, in their order.
        """
        if self._consuming_channel != channel.channel_number:
            self._consuming_channel, self._delivery_callbacks = channel.channel_number, {}
        self._delivery_callbacks[consumer_tag.encode()] = on_delivery

    @contextlib.contextmanager
    def batch_writes(self) -> Iterator[None]:
        """Send all frames of the block together, at its end."""
        self._batched_frames = []
        try:
            yield
        finally:
            frames, self._batched_frames = self._batched_frames, None
            if frames:
                super()._adapter_emit_data(b"".join(frames))

    def send_frames(self, frames: bytes) -> None:
        """Send frames that are already marshalled."""
        self._output_marshaled_frames([frames])

    def abort(self, error: Exception) -> None:
        """Close the socket without AMQP's closing handshake, because of `error`: for a broker that does not respond."""
        self._terminate_stream(error)

    def _proto_connection_made(self, transport: Any) -> None:
        # pika reads 4096 bytes at a time. A pika without this attribute would ignore it.
        transport._MAX_RECV_BYTES = MAX_RECEIVE_BYTES  # noqa: SLF001 - pika has no public setting for it
        super()._proto_connection_made(transport)

    def _on_data_available(self, data_in: bytes) -> None:
        if not self._consuming_channel:
            super()._on_data_available(data_in)
            return
        self._frame_buffer += data_in
        while self._frame_buffer:
            self._trim_frame_buffer(self._read_deliveries(self._frame_buffer))
            consumed, frame = self._read_frame()
            if not frame:
                return
            self._trim_frame_buffer(consumed)
            self._process_frame(frame)

    def _read_deliveries(self, buffer: bytes) -> int:
        """Pass on the plain deliveries at the beginning of the buffer. Returns the number of their bytes."""
        end = 0
        while (delivery := delivery_parser.parse(buffer, end, self._consuming_channel)) is not None:
            on_delivery = self._delivery_callbacks.get(delivery.consumer_tag)
            if on_delivery is None:
                break
            end = delivery.end
            on_delivery(delivery.tag, delivery.redeliveries, delivery.body)
        return end

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._batched_frames is None:
            super()._adapter_emit_data(data)
        else:
            self._batched_frames.append(data)


def quiet_pika() -> None:
    """Silence pika's own log, which writes tracebacks where Cauce logs one line.

    This changes the logging of the whole process, so a program calls it, never this package.
    """
    logger = logging.getLogger("pika")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
