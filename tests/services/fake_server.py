"""A server that follows a test's scripts, for faults that a real server does not have on demand."""

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from core.addresses import Address
from core.closeable import Closeable
from core.protocol import ErrorCode, Hello, Limits, Refusal, Request, ServerConnection, Submit

_SECONDS = 60.0


class Conversation:
    """A connection of one client.

    Attributes:
        protocol: the server's end.
        socket: the socket, to send what the protocol does not allow.
    """

    def __init__(self, connected: socket.socket, limits: Limits, token: str | None, seen: Counter[str]) -> None:
        connected.settimeout(_SECONDS)
        self.socket = connected
        self.protocol = ServerConnection(server="fake", limits=limits, token=token)
        self._seen = seen

    def requests(self) -> Iterator[Request]:
        """Yield the client's requests up to the end of its input. `hello` is answered here."""
        while True:
            data = self.socket.recv(65536)
            if not data:
                return
            for event in self.protocol.receive(data):
                if isinstance(event, Refusal):
                    self.send(event.reply)
                elif isinstance(event, Hello):
                    self.send(self.protocol.welcome(event))
                else:
                    if isinstance(event, Submit):
                        self._seen[str(event.id)] += 1
                    yield event

    def send(self, line: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(line)

    def accept(self, request: Request) -> None:
        """Reply to a submission as accepted."""
        assert isinstance(request, Submit)
        self.send(self.accepted_line(request))

    def accepted_line(self, request: Submit) -> bytes:
        """Return the reply to an accepted submission."""
        assert request.id is not None
        duplicate = self._seen[request.id] > 1
        return self.protocol.ok(request.ref, {"id": request.id, "state": "accepted", "duplicate": duplicate})

    def refuse(self, request: Request, code: ErrorCode, retry_after: float | None = None) -> None:
        """Reply with an error."""
        self.send(self.protocol.error(request.ref, code, "as the test wants it", retry_after))

    def reset(self) -> None:
        """Reset the connection, as a crash does. Bytes in flight are lost."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Script: TypeAlias = Callable[[Conversation], None]


def accept_all(conversation: Conversation) -> None:
    """Accept every submission."""
    for request in conversation.requests():
        conversation.accept(request)


class FakeServer(Closeable):
    """A listening server that runs one script for each connection, in order, and the last one for all others.

    Args:
        scripts: what to do with each connection, which is closed when its script ends.
        limits: the limits in the reply to `hello`.
        token: the token that clients must send, or None.

    Attributes:
        address: the address to connect to.
        seen: how often each id was submitted.
        connections: the number of connections so far.
        errors: the unexpected errors of scripts.
    """

    def __init__(self, *scripts: Script, limits: Limits | None = None, token: str | None = None) -> None:
        self.seen: Counter[str] = Counter()
        self.connections = 0
        self.errors: list[Exception] = []
        self._scripts: Sequence[Script] = scripts or (accept_all,)
        self._limits = limits or Limits()
        self._token = token
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def close(self) -> None:
        """Close the listener and all connections. Fails if a script raised an unexpected error."""
        if self._closing:
            return
        self._closing = True
        # Our own connection wakes the thread that waits for one.
        socket.create_connection(self.address.pair, _SECONDS).close()
        self._listening.join(_SECONDS)
        self._listener.close()
        for connected in self._open:
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(_SECONDS)
            assert not thread.is_alive()
        assert not self.errors, self.errors

    def _listen(self) -> None:
        while True:
            connected, _ = self._listener.accept()
            if self._closing:
                connected.close()
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._open.append(connected)
            thread = threading.Thread(target=self._run_script, args=(connected, script))
            self._threads.append(thread)
            thread.start()

    def _run_script(self, connected: socket.socket, script: Script) -> None:
        try:
            script(Conversation(connected, self._limits, self._token, self.seen))
        except OSError:
            # The client has left, or the test is over.
            pass
        except Exception as error:  # noqa: BLE001 - raised at the end, in the test's thread
            self.errors.append(error)
        finally:
            connected.close()
