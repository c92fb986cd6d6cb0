"""How much one connection may ask for: the numbers that the server states in its answer to `hello`.

Sizes and counts are enforced here, in the protocol. Times are enforced by whoever owns the socket and the clock.
"""

import msgspec

from core.errors import ConfigurationError

VERSION = 1
"""The version of the protocol that this package speaks."""

MAX_HELLO = 64 * 1024
"""The longest line, in bytes, of a client that has not shown its token yet: strangers get little memory."""

MAX_REPLY = 16 * 1024 * 1024
"""The longest line, in bytes, that a server sends. A result may be larger than any request."""

_LEAST_LINE = 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one connection.

    Raises:
        ConfigurationError: a number with which no client could work.
    """

    max_line: int = 1024 * 1024
    """The longest line a client may send, in bytes, without its line end."""
    max_open_requests: int = 1024
    """How many requests may wait for their reply. The server reads no further until one of them has it."""
    max_wait: float = 60.0
    """The longest time, in seconds, that a `result` request may wait."""
    idle_seconds: float = 900.0
    """After this time without a request and with nothing open, the connection is closed."""
    hello_seconds: float = 10.0
    """Where a token is needed, it has to be shown within this time."""
    frame_seconds: float = 20.0
    """A line that has begun has to end within this time, however many pieces it comes in."""

    def __post_init__(self) -> None:
        if self.max_line < _LEAST_LINE:
            raise ConfigurationError(f"max_line is {self.max_line}: it must be at least {_LEAST_LINE} bytes")
        for name in ("max_open_requests", "idle_seconds", "hello_seconds", "frame_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}: it must be more than 0")
        if not self.max_wait >= 0:
            raise ConfigurationError(f"max_wait is {self.max_wait}: it must not be less than 0")
