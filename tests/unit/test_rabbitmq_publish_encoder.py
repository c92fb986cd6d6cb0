"""Published messages are encoded as pika encodes them."""

from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec

from core.broker.base import Message, Queue
from core.broker.rabbitmq.publish_encoder import MAX_BODY_BYTES, MAX_SHORT_STRING_BYTES, PublishEncoder, properties_of
from core.broker.rabbitmq.topology import EXCHANGE

BIG = 2**40


def encoded_by_pika(channel: int, number: int, message: Message) -> bytes:
    publish = spec.Basic.Publish(exchange=EXCHANGE, routing_key=Queue.TASKS.value, mandatory=True)
    header = frame.Header(channel, len(message.body), properties_of(number, message))
    frames = [frame.Method(channel, publish), header, frame.Body(channel, message.body)]
    return b"".join(each.marshal() for each in frames)


@given(
    st.integers(1, 65_535),
    st.integers(0, BIG),
    st.text(max_size=MAX_SHORT_STRING_BYTES // 4),
    st.text(max_size=MAX_SHORT_STRING_BYTES // 4),
    st.binary(min_size=1, max_size=MAX_BODY_BYTES),
)
def test_every_message_is_encoded_as_pika_would(channel: int, number: int, name: str, kind: str, body: bytes) -> None:
    message = Message(1, name, kind, body)
    assert PublishEncoder(channel).encode(number, message) == encoded_by_pika(channel, number, message)


def test_a_message_too_large_for_one_frame_is_left_to_pika() -> None:
    encoder = PublishEncoder(1)
    fits = Message(1, "i" * MAX_SHORT_STRING_BYTES, "k" * MAX_SHORT_STRING_BYTES, b"b" * MAX_BODY_BYTES)
    assert encoder.encode(1, fits) == encoded_by_pika(1, 1, fits)
    for too_large in (
        Message(1, "i" * (MAX_SHORT_STRING_BYTES + 1), "k", b"b"),
        Message(1, "i", "é" * (MAX_SHORT_STRING_BYTES // 2 + 1), b"b"),
        Message(1, "i", "k", b"b" * (MAX_BODY_BYTES + 1)),
        Message(1, "i", "k", b""),
    ):
        assert encoder.encode(1, too_large) is None
