"""Deliveries read straight from the bytes that arrived, where they are of the plain kind.

pika makes three objects of each message and asks for each whether anybody waits for it; that took more than half of a
busy worker's time. What is read here is whole, in three frames and without headers; everything else is left to pika.
A test holds what is read against pika's own reading.
The source is AMQP 0-9-1: section 4.2.3 (frames), 4.2.6 (content header), and basic.deliver in its list of methods.
"""

from struct import Struct

import msgspec
from pika import BasicProperties, spec

_method = Struct(">BHIIB").unpack_from
"""Type of the frame, channel, size, method; the length of the consumer's tag."""

_METHOD_SIZE = Struct(">BHIIB").size
_delivery = Struct(">QB").unpack_from
"""The delivery's tag, and its flags."""

_DELIVERY_SIZE = Struct(">QB").size
_header = Struct(">BHIHHQH").unpack_from
"""Type of the frame, channel, size, class, weight; bytes of the body, flags of the properties."""

_HEADER_SIZE = Struct(">BHIHHQH").size
_body = Struct(">BHI").unpack_from
_FRAME = 8
"""Bytes of a frame beside what it holds: seven before it, one after it."""

# By names of their own: for each message some are looked up.
_METHOD_FRAME = spec.FRAME_METHOD
_HEADER_FRAME = spec.FRAME_HEADER
_BODY_FRAME = spec.FRAME_BODY
_FRAME_END = spec.FRAME_END
_DELIVER = spec.Basic.Deliver.INDEX
_BASIC = BasicProperties.INDEX
_NOT_PLAIN = BasicProperties.FLAG_HEADERS | 1
"""Flags of headers, and of more flags."""


class ParsedDelivery(msgspec.Struct, frozen=True):
    """A message that was delivered."""

    end: int
    """Where the next frame begins."""
    consumer: bytes
    """Whose it is."""
    tag: int
    redeliveries: int
    """1 when it was delivered before, as far as this tells; how often only headers say."""
    body: bytes


def read(buffer: bytes, start: int, channel: int) -> ParsedDelivery | None:
    """Read the message that begins at `start`.

    Args:
        buffer: what arrived.
        start: where a frame begins.
        channel: the number of the channel that consumes.

    Returns:
        The message; None when something else begins there, or it has not arrived whole, or it is not of the plain kind.
    """
    length = len(buffer)
    if length < start + _METHOD_SIZE:
        return None
    kind, number, size, method, tag_size = _method(buffer, start)
    if kind != _METHOD_FRAME or method != _DELIVER or number != channel:
        return None
    header_at = start + _FRAME + size
    if length < header_at + _HEADER_SIZE or buffer[header_at - 1] != _FRAME_END:
        return None
    kind, number, size, of_class, _, body_size, flags = _header(buffer, header_at)
    if kind != _HEADER_FRAME or number != channel or of_class != _BASIC or flags & _NOT_PLAIN:
        return None
    body_at = header_at + _FRAME + size
    end = body_at + _FRAME + body_size
    if length < end or buffer[body_at - 1] != _FRAME_END or buffer[end - 1] != _FRAME_END:
        return None
    if not body_size or _body(buffer, body_at) != (_BODY_FRAME, channel, body_size):
        return None
    tag_at = start + _METHOD_SIZE
    if tag_at + tag_size + _DELIVERY_SIZE >= header_at:
        return None
    tag, redelivered = _delivery(buffer, tag_at + tag_size)
    return ParsedDelivery(
        end, buffer[tag_at : tag_at + tag_size], tag, redelivered & 1, buffer[end - 1 - body_size : end - 1]
    )
