"""The socket protocol, without sockets: one JSON object a line, requests with a `ref`, and a reply to each.

`ServerConnection` and `ClientConnection` are the two ends of a connection: they take bytes, and return events and
bytes to send. Nothing here knows a socket, a clock, a thread or a log.
"""

from core.protocol.client import ClientConnection, ServerEvent, Welcome
from core.protocol.limits import MAX_REPLY, VERSION, Limits
from core.protocol.replies import Error, ErrorCode, Goaway, Reply, embed, error_line
from core.protocol.requests import Cancel, Hello, Kinds, Ref, Request, Result, Stats, Status, Submit
from core.protocol.server import TLS_HANDSHAKE, Event, Refusal, ServerConnection

__all__ = [
    "MAX_REPLY",
    "TLS_HANDSHAKE",
    "VERSION",
    "Cancel",
    "ClientConnection",
    "Error",
    "ErrorCode",
    "Event",
    "Goaway",
    "Hello",
    "Kinds",
    "Limits",
    "Ref",
    "Refusal",
    "Reply",
    "Request",
    "Result",
    "ServerConnection",
    "ServerEvent",
    "Stats",
    "Status",
    "Submit",
    "Welcome",
    "embed",
    "error_line",
]
