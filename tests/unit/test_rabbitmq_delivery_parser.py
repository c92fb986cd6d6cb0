"""What is read quickly of the bytes that arrive is what pika would have read, in the same order."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec
from pika.adapters.utils import io_services_utils
from pika.channel import ContentFrameAssembler

from core.broker.rabbitmq import delivery_parser
from core.broker.rabbitmq.connection import RECEIVE, RabbitConnection

CHANNEL = 3
OURS = ("ctag1", "ctag2")


class Got(NamedTuple):
    """A message, as it comes out either way."""

    consumer: str
    tag: int
    redelivered: bool
    body: bytes


class Reader(RabbitConnection):
    """A connection without a socket, which notes what comes out of it.

    Args:
        quick: whether anything is read by our own code.
    """

    def __init__(self, *, quick: bool) -> None:
        self._frame_buffer = b""
        self.bytes_received = 0
        self.got: list[Got | str] = []
        self.quick = 0
        self._assembler = ContentFrameAssembler()
        if quick:
            self._consuming = CHANNEL
            self._takers = {name.encode(): self._taker(name) for name in OURS}

    def feed(self, data: bytes) -> None:
        """Take what arrives."""
        self._on_data_available(data)

    def _taker(self, name: str):  # type: ignore[no-untyped-def]  # a Taker
        def take(tag: int, redeliveries: int, body: bytes) -> None:
            self.quick += 1
            self.got.append(Got(name, tag, redeliveries > 0, body))

        return take

    def _process_frame(self, value: frame.Frame) -> None:
        if isinstance(value, frame.Heartbeat):
            self.got.append("heartbeat")
        elif isinstance(value, frame.Method) and not isinstance(value.method, spec.Basic.Deliver):
            self.got.append(value.method.NAME)
        elif found := self._assembler.process(value):
            method = found[0].method
            self.got.append(Got(method.consumer_tag, method.delivery_tag, method.redelivered, found[2]))


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
    """The frames of a message, made by pika."""
    method = spec.Basic.Deliver(consumer, tag, redelivered, "exchange", "routing.key")
    properties = BasicProperties(content_type="application/json", message_id="an-id", headers=headers)
    size = -(-len(body) // pieces) or 1
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    frames = [frame.Method(channel, method), frame.Header(channel, len(body), properties)]
    return b"".join(each.marshal() for each in [*frames, *(frame.Body(channel, part) for part in parts)])


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
def test_however_it_is_cut_up_everything_comes_out_as_pika_reads_it(frames: Sequence[bytes], cuts: list[int]) -> None:
    stream = b"".join(frames)
    plain, quick = Reader(quick=False), Reader(quick=True)
    plain.feed(stream)
    ends = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    for begin, end in zip([0, *ends], ends, strict=False):
        quick.feed(stream[begin:end])
    assert quick.got == plain.got
    assert quick.bytes_received == plain.bytes_received == len(stream)


def test_whole_plain_messages_are_read_quickly() -> None:
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
def test_what_is_not_plain_is_left_to_pika(other: bytes) -> None:
    assert delivery_parser.read(other, 0, CHANNEL) is None


@given(st.binary(max_size=200), st.integers(0, 20))
def test_bytes_of_any_kind_break_nothing(noise: bytes, start: int) -> None:
    delivery_parser.read(noise, start, CHANNEL)
    delivery_parser.read(delivery()[:40] + noise, 0, CHANNEL)


def test_pika_still_has_the_bound_that_is_raised() -> None:
    bound = io_services_utils._AsyncTransportBase._MAX_RECV_BYTES  # noqa: SLF001 - it has no other name
    assert bound < RECEIVE
