"""The bytes of published messages are those that pika makes."""

from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec

from core.broker.base import Message, Queue
from core.broker.rabbitmq.publish_encoder import LONGEST_BODY, LONGEST_TEXT, PublishEncoder, properties_of
from core.broker.rabbitmq.topology import EXCHANGE

BIG = 2**40


def drawn_by_pika(channel: int, number: int, message: Message) -> bytes:
    publish = spec.Basic.Publish(exchange=EXCHANGE, routing_key=Queue.TASKS.value, mandatory=True)
    header = frame.Header(channel, len(message.body), properties_of(number, message))
    frames = [frame.Method(channel, publish), header, frame.Body(channel, message.body)]
    return b"".join(each.marshal() for each in frames)


@given(
    st.integers(1, 65_535),
    st.integers(0, BIG),
    st.text(max_size=LONGEST_TEXT // 4),
    st.text(max_size=LONGEST_TEXT // 4),
    st.binary(min_size=1, max_size=LONGEST_BODY),
)
def test_every_message_is_what_pika_would_send(channel: int, number: int, name: str, kind: str, body: bytes) -> None:
    message = Message(1, name, kind, body)
    assert PublishEncoder(channel).draw(number, message) == drawn_by_pika(channel, number, message)


def test_what_does_not_fit_is_left_to_pika() -> None:
    stencil = PublishEncoder(1)
    fits = Message(1, "i" * LONGEST_TEXT, "k" * LONGEST_TEXT, b"b" * LONGEST_BODY)
    assert stencil.draw(1, fits) == drawn_by_pika(1, 1, fits)
    for too_large in (
        Message(1, "i" * (LONGEST_TEXT + 1), "k", b"b"),
        Message(1, "i", "é" * (LONGEST_TEXT // 2 + 1), b"b"),
        Message(1, "i", "k", b"b" * (LONGEST_BODY + 1)),
        Message(1, "i", "k", b""),
    ):
        assert stencil.draw(1, too_large) is None
