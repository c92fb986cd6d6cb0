"""TLS between a socket's transport and a connection, which does not know that it is encrypted.

It belongs to the event loop's thread. A client that does not complete the handshake in time is disconnected. One that
does not speak TLS gets an unencrypted error. asyncio's own TLS can't end one direction and keep the other, which a
server needs to send its last replies.
"""

import asyncio
import contextlib
import logging
import ssl

from core.protocol import TLS_HANDSHAKE, ErrorCode, error_line

HANDSHAKE_TIMEOUT = 10.0
"""Seconds a client has to complete the handshake."""

_RECORD_SIZE = 16 * 1024
"""Bytes of the largest TLS record."""

_NEEDS_TLS = error_line(
    None, ErrorCode.UNAUTHORIZED, "this server accepts only TLS: connect with --tls-ca FILE, or --tls"
)

_log = logging.getLogger("cauce.server")


class TlsProtocol(asyncio.Protocol):
    """The asyncio protocol of an encrypted connection.

    Args:
        inner: the protocol that reads and writes the decrypted bytes.
        context: the server's TLS context.
        handshake_timeout: seconds a client has to complete the handshake.
    """

    def __init__(
        self, inner: asyncio.Protocol, context: ssl.SSLContext, handshake_timeout: float = HANDSHAKE_TIMEOUT
    ) -> None:
        self._inner = inner
        self._handshake_timeout = handshake_timeout
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._ready = False
        self._started = False
        self._queued: list[bytes] = []
        self._eof_requested = False
        self._finished = False

    @property
    def unsent(self) -> int:
        """Bytes that the client has not read yet, or that wait for the end of the handshake."""
        waiting = sum(len(part) for part in self._queued)
        return waiting + (0 if self._transport is None else self._transport.get_write_buffer_size())

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client's handshake."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._deadline = asyncio.get_running_loop().call_later(self._handshake_timeout, self._handshake_timed_out)
        self._inner.connection_made(_TlsTransport(self, transport))

    def connection_lost(self, error: Exception | None) -> None:
        """End the inner protocol's connection."""
        self._transport = None
        self._cancel_deadline()
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """Pass on that the client does not read."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client reads again."""
        self._inner.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Decrypt what was received, and pass it on."""
        if self._finished or self._transport is None:
            return
        if not self._started and data[0] != TLS_HANDSHAKE:
            # Reading goes on until the deadline: closing with unread input would discard the error line.
            self._finished = True
            self._transport.write(_NEEDS_TLS)
            self._transport.write_eof()
            return
        self._started = True
        self._incoming.write(data)
        try:
            if self._ready or self._do_handshake():
                self._read()
        except ssl.SSLError as error:
            self._fail(error)

    def eof_received(self) -> bool:
        """Pass on that the client sends nothing more."""
        if not self._ready or self._finished:
            return False
        self._inner.eof_received()
        return True

    # Called by the connection, through its transport.

    def write(self, data: bytes) -> None:
        """Encrypt and send, or queue until the handshake is complete."""
        if not self._ready:
            self._queued.append(data)
        elif data and not self._finished:
            try:
                self._tls.write(data)
            except ssl.SSLError as error:
                self._fail(error)
            else:
                self._send()

    def write_eof(self) -> None:
        """End the sending direction, once everything is sent."""
        self._eof_requested = True
        if self._ready and not self._finished and self._transport is not None:
            self._send_close_notify()
            self._transport.write_eof()

    def close(self) -> None:
        """Send what is unsent, and close the connection."""
        if self._transport is not None:
            if self._ready and not self._finished:
                self._send_close_notify()
            self._transport.close()

    # TLS.

    def _do_handshake(self) -> bool:
        """Continue the handshake. Returns whether it is complete."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return False
        self._ready = True
        self._cancel_deadline()
        queued, self._queued = b"".join(self._queued), []
        self.write(queued)
        self._send()
        if self._eof_requested:
            self.write_eof()
        return True

    def _read(self) -> None:
        """Decrypt and pass on everything received: the event loop does not know of bytes that stay in the buffer."""
        parts: list[bytes] = []
        ended = False
        try:
            while not self._finished:
                part = self._tls.read(_RECORD_SIZE)
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

    def _send_close_notify(self) -> None:
        """Send TLS's close notification, so that a cut connection can't be mistaken for a normal end."""
        self._finished = True
        # OpenSSL wants the client's close notification too.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._send()

    def _send(self) -> None:
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())

    def _fail(self, error: ssl.SSLError) -> None:
        """End a connection that violates TLS, or that the client refused."""
        _log.debug("a TLS connection failed: %s", error.reason or error)
        self._finished = True
        # The alert with the reason.
        self._send()
        if self._transport is not None:
            self._transport.close()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _handshake_timed_out(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _TlsTransport(asyncio.Transport):
    """The transport of the inner protocol."""

    def __init__(self, encrypted: TlsProtocol, transport: asyncio.Transport) -> None:
        super().__init__()
        self._encrypted = encrypted
        self._transport = transport

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._transport.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._encrypted.unsent

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._encrypted.write(bytes(data))

    def write_eof(self) -> None:
        self._encrypted.write_eof()

    def close(self) -> None:
        self._encrypted.close()

    def abort(self) -> None:
        self._transport.abort()
