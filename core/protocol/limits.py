"""The limits of a connection, which the server states in its reply to `hello`.

The protocol enforces sizes and counts. The owner of the socket and the clock enforces times.
"""

import msgspec

from core.errors import ConfigurationError

VERSION = 1
"""The version of the protocol."""

MAX_HELLO = 64 * 1024
"""Bytes of the longest line from a client that has not sent its token yet."""

MAX_REPLY = 16 * 1024 * 1024
"""Bytes of the longest line from a server. A result may be larger than any request."""

_MIN_LINE = 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a connection.

    Raises:
        ConfigurationError: no client could work with one of the limits.
    """

    max_line: int = 1024 * 1024
    """Bytes of the longest line from a client, without its newline."""
    max_open_requests: int = 1024
    """Requests that may be without a reply. At this number the server reads nothing more until one is answered."""
    max_wait: float = 60.0
    """Seconds that a `result` request may wait."""
    idle_seconds: float = 900.0
    """Seconds without a request, and with none open, after which the connection is closed."""
    hello_seconds: float = 10.0
    """Seconds within which a required token must be sent."""
    frame_seconds: float = 20.0
    """Seconds within which a line that has begun must end."""

    def __post_init__(self) -> None:
        if self.max_line < _MIN_LINE:
            raise ConfigurationError(f"max_line is {self.max_line}: it must be at least {_MIN_LINE} bytes")
        for name in ("max_open_requests", "idle_seconds", "hello_seconds", "frame_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}: it must be more than 0")
        if not self.max_wait >= 0:
            raise ConfigurationError(f"max_wait is {self.max_wait}: it must not be less than 0")
