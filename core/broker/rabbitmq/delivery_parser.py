"""Parses plain deliveries directly from the received bytes.

pika makes three objects for each message and looks up a callback for each; that took more than half of a busy worker's
time. A plain delivery is complete, in three frames, and has no headers; all other frames are left to pika.
A test compares the result with pika's.
The source is AMQP 0-9-1: section 4.2.3 (frames), 4.2.6 (content header), and basic.deliver in its list of methods.
"""

from struct import Struct

import msgspec
from pika import BasicProperties, spec

_method = Struct(">BHIIB").unpack_from
"""Frame type, channel, size, method; length of the consumer tag."""

_METHOD_SIZE = Struct(">BHIIB").size
_delivery = Struct(">QB").unpack_from
"""Delivery tag and flags."""

_DELIVERY_SIZE = Struct(">QB").size
_header = Struct(">BHIHHQH").unpack_from
"""Frame type, channel, size, class, weight; bytes of the body, property flags."""

_HEADER_SIZE = Struct(">BHIHHQH").size
_body = Struct(">BHI").unpack_from
_FRAME_OVERHEAD = 8
"""Bytes of a frame around its content: seven before it, one after it."""

# Module names are faster to look up than attributes, and some are needed for each message.
_METHOD_FRAME = spec.FRAME_METHOD
_HEADER_FRAME = spec.FRAME_HEADER
_BODY_FRAME = spec.FRAME_BODY
_FRAME_END = spec.FRAME_END
_DELIVER = spec.Basic.Deliver.INDEX
_BASIC = BasicProperties.INDEX
_NOT_PLAIN = BasicProperties.FLAG_HEADERS | 1
"""The flag of headers, and that of a further flags word."""


class ParsedDelivery(msgspec.Struct, frozen=True):
    """A plain delivery."""

    end: int
    """The position of the next frame."""
    consumer_tag: bytes
    tag: int
    redeliveries: int
    """1 when it was delivered before, else 0. Only headers carry the count."""
    body: bytes


def parse(buffer: bytes, start: int, channel: int) -> ParsedDelivery | None:
    """Parse the delivery that begins at `start`.

    Args:
        buffer: the received bytes.
        start: the position of a frame.
        channel: the number of the consuming channel.

    Returns:
        The delivery. None when another frame begins there, or the delivery is incomplete or not plain.
    """
    length = len(buffer)
    if length < start + _METHOD_SIZE:
        return None
    kind, number, size, method, tag_size = _method(buffer, start)
    if kind != _METHOD_FRAME or method != _DELIVER or number != channel:
        return None
    header_at = start + _FRAME_OVERHEAD + size
    if length < header_at + _HEADER_SIZE or buffer[header_at - 1] != _FRAME_END:
        return None
    kind, number, size, of_class, _, body_size, flags = _header(buffer, header_at)
    if kind != _HEADER_FRAME or number != channel or of_class != _BASIC or flags & _NOT_PLAIN:
        return None
    body_at = header_at + _FRAME_OVERHEAD + size
    end = body_at + _FRAME_OVERHEAD + body_size
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
