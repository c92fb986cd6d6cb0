"""Plain deliveries are parsed as pika would parse them, in the same order."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec
from pika.adapters.utils import io_services_utils
from pika.channel import ContentFrameAssembler

from core.broker.rabbitmq import delivery_parser
from core.broker.rabbitmq.connection import MAX_RECEIVE_BYTES, RabbitConnection

CHANNEL = 3
OURS = ("ctag1", "ctag2")


class Received(NamedTuple):
    """A message, parsed by pika or by us."""

    consumer: str
    tag: int
    redelivered: bool
    body: bytes


class Reader(RabbitConnection):
    """A connection without a socket, which collects what it parses.

    Args:
        quick: whether our parser is used.
    """

    def __init__(self, *, quick: bool) -> None:
        self._frame_buffer = b""
        self.bytes_received = 0
        self.received: list[Received | str] = []
        self.quick = 0
        self._assembler = ContentFrameAssembler()
        if quick:
            self._consuming_channel = CHANNEL
            self._delivery_callbacks = {name.encode(): self._callback(name) for name in OURS}

    def feed(self, data: bytes) -> None:
        """Receive bytes."""
        self._on_data_available(data)

    def _callback(self, name: str):  # type: ignore[no-untyped-def]  # an OnDelivery
        def on_delivery(tag: int, redeliveries: int, body: bytes) -> None:
            self.quick += 1
            self.received.append(Received(name, tag, redeliveries > 0, body))

        return on_delivery

    def _process_frame(self, value: frame.Frame) -> None:
        if isinstance(value, frame.Heartbeat):
            self.received.append("heartbeat")
        elif isinstance(value, frame.Method) and not isinstance(value.method, spec.Basic.Deliver):
            self.received.append(value.method.NAME)
        elif message := self._assembler.process(value):
            method = message[0].method
            self.received.append(Received(method.consumer_tag, method.delivery_tag, method.redelivered, message[2]))


def delivery(
    consumer: str = OURS[0],
    tag: int = 1,
    body: bytes = b"x",
    headers: dict[str, int] | None = None,
    channel: int = CHANNEL,
    pieces: int = 1,
    *,
    redelivered: bool = False,
) -> bytes:
    """Return the frames of a message, encoded by pika."""
    method = spec.Basic.Deliver(consumer, tag, redelivered, "exchange", "routing.key")
    properties = BasicProperties(content_type="application/json", message_id="an-id", headers=headers)
    size = -(-len(body) // pieces) or 1
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    frames = [frame.Method(channel, method), frame.Header(channel, len(body), properties)]
    return b"".join(each.marshal() for each in [*frames, *(frame.Body(channel, chunk) for chunk in chunks)])


DELIVERIES = st.builds(
    delivery,
    consumer=st.sampled_from([*OURS, "another"]),
    tag=st.integers(1, 2**63),
    body=st.binary(max_size=300),
    headers=st.sampled_from([None, None, {}, {"x-delivery-count": 2}]),
    pieces=st.integers(1, 3),
    redelivered=st.booleans(),
)
METHODS = (spec.Basic.Ack(7, True), spec.Basic.QosOk())
OTHERS = st.sampled_from(
    [frame.Heartbeat().marshal(), *(frame.Method(CHANNEL, method).marshal() for method in METHODS)]
)


@given(st.lists(st.one_of(DELIVERIES, OTHERS), max_size=12), st.lists(st.integers(0, 4000), max_size=8))
def test_a_stream_cut_anywhere_is_parsed_as_pika_parses_it(frames: Sequence[bytes], cuts: list[int]) -> None:
    stream = b"".join(frames)
    plain, quick = Reader(quick=False), Reader(quick=True)
    plain.feed(stream)
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    for begin, end in zip([0, *ends], ends, strict=False):
        quick.feed(stream[begin:end])
    assert quick.received == plain.received
    assert quick.bytes_received == plain.bytes_received == len(stream)


def test_plain_messages_are_parsed_here() -> None:
    reader = Reader(quick=True)
    reader.feed(b"".join(delivery(tag=tag, body=b"body") for tag in range(1, 6)))
    assert reader.quick == 5


@pytest.mark.parametrize(
    "other",
    [
        delivery(headers={"x-delivery-count": 1}),
        delivery(body=b""),
        delivery(body=b"in two", pieces=2),
        delivery(channel=CHANNEL + 1),
        delivery()[:-1],
        frame.Heartbeat().marshal(),
        b"",
    ],
    ids=["headers", "empty", "pieces", "channel", "not whole", "heartbeat", "nothing"],
)
def test_other_frames_are_left_to_pika(other: bytes) -> None:
    assert delivery_parser.parse(other, 0, CHANNEL) is None


@given(st.binary(max_size=200), st.integers(0, 20))
def test_any_bytes_are_parsed_without_an_error(noise: bytes, start: int) -> None:
    delivery_parser.parse(noise, start, CHANNEL)
    delivery_parser.parse(delivery()[:40] + noise, 0, CHANNEL)


def test_pika_still_has_the_limit_that_is_raised() -> None:
    limit = io_services_utils._AsyncTransportBase._MAX_RECV_BYTES  # noqa: SLF001 - pika has no public name for it
    assert limit < MAX_RECEIVE_BYTES
