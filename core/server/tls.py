"""A connection that is encrypted: TLS between a socket's transport and the connection that knows nothing of it.

It belongs to the event loop's thread. Who never shakes hands is cut; who doesn't speak TLS is told so in the clear.
asyncio's own TLS can't end one direction and leave the other, which is how a server says its last words.
"""

import asyncio
import contextlib
import logging
import ssl

from core.protocol import TLS_HANDSHAKE, ErrorCode, error_line

HANDSHAKE_SECONDS = 10.0
"""Seconds that a client has to shake hands."""

_RECORD = 16 * 1024
"""The most that is encrypted in one piece."""

_NEEDS_TLS = error_line(
    None, ErrorCode.UNAUTHORIZED, "this server speaks only TLS: connect with --tls-ca FILE, or --tls"
)

_log = logging.getLogger("cauce.server")


class TlsProtocol(asyncio.Protocol):
    """What the event loop sees of an encrypted connection.

    Args:
        inner: the connection, which reads and writes what is not encrypted.
        context: of the server.
        handshake_seconds: how long a client may take to shake hands.
    """

    def __init__(
        self, inner: asyncio.Protocol, context: ssl.SSLContext, handshake_seconds: float = HANDSHAKE_SECONDS
    ) -> None:
        self._inner = inner
        self._handshake_seconds = handshake_seconds
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._ready = False
        self._begun = False
        self._early: list[bytes] = []
        self._ending = False
        self._over = False

    @property
    def unsent(self) -> int:
        """Bytes that the client has not read yet, or that wait until it has shaken hands."""
        waiting = sum(len(part) for part in self._early)
        return waiting + (0 if self._transport is None else self._transport.get_write_buffer_size())

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; the client has to speak first."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._deadline = asyncio.get_running_loop().call_later(self._handshake_seconds, self._too_late)
        self._inner.connection_made(_TlsTransport(self, transport))

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._transport = None
        self._stop_waiting()
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """The client doesn't read."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._inner.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take what came, and hand on what it means."""
        if self._over or self._transport is None:
            return
        if not self._begun and data[0] != TLS_HANDSHAKE:
            # It is read on, and cut in the end: to close with something unread would throw the answer away.
            self._over = True
            self._transport.write(_NEEDS_TLS)
            self._transport.write_eof()
            return
        self._begun = True
        self._incoming.write(data)
        try:
            if self._ready or self._shake_hands():
                self._read()
        except ssl.SSLError as error:
            self._break(error)

    def eof_received(self) -> bool:
        """The client's socket sends nothing more."""
        if not self._ready or self._over:
            return False
        self._inner.eof_received()
        return True

    # What the connection calls, through its transport.

    def write(self, data: bytes) -> None:
        """Encrypt and send; before the handshake is over it waits for that."""
        if not self._ready:
            self._early.append(data)
        elif data and not self._over:
            try:
                self._tls.write(data)
            except ssl.SSLError as error:
                self._break(error)
            else:
                self._send()

    def end_writing(self) -> None:
        """Say that nothing more comes, once everything is sent."""
        self._ending = True
        if self._ready and not self._over and self._transport is not None:
            self._say_farewell()
            self._transport.write_eof()

    def close(self) -> None:
        """Send what is still to be sent, and end."""
        if self._transport is not None:
            if self._ready and not self._over:
                self._say_farewell()
            self._transport.close()

    # TLS.

    def _shake_hands(self) -> bool:
        """Go on with the handshake; whether it is over."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return False
        self._ready = True
        self._stop_waiting()
        early, self._early = b"".join(self._early), []
        self.write(early)
        self._send()
        if self._ending:
            self.end_writing()
        return True

    def _read(self) -> None:
        """Hand on everything that came: nothing stays behind that the event loop doesn't know of."""
        parts: list[bytes] = []
        ended = False
        try:
            while not self._over:
                part = self._tls.read(_RECORD)
                if not part:
                    ended = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        self._send()
        if parts:
            self._inner.data_received(b"".join(parts))
        if ended:
            self._inner.eof_received()

    def _say_farewell(self) -> None:
        """Tell the client, within what is encrypted, that this is the end: a cut can't be taken for it then."""
        self._over = True
        # It would like to have the client's farewell too.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._send()

    def _send(self) -> None:
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())

    def _break(self, error: ssl.SSLError) -> None:
        """End a connection on which something else than TLS came, or which the client refused."""
        _log.debug("a connection ends: %s", error.reason or error)
        self._over = True
        # The alert that tells the client why.
        self._send()
        if self._transport is not None:
            self._transport.close()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _TlsTransport(asyncio.Transport):
    """The transport that the connection sees."""

    def __init__(self, encrypted: TlsProtocol, outside: asyncio.Transport) -> None:
        super().__init__()
        self._encrypted = encrypted
        self._outside = outside

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._outside.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._outside.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._encrypted.unsent

    def is_closing(self) -> bool:
        return self._outside.is_closing()

    def pause_reading(self) -> None:
        self._outside.pause_reading()

    def resume_reading(self) -> None:
        self._outside.resume_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._encrypted.write(bytes(data))

    def write_eof(self) -> None:
        self._encrypted.end_writing()

    def close(self) -> None:
        self._encrypted.close()

    def abort(self) -> None:
        self._outside.abort()
