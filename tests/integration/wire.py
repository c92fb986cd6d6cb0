"""A client that is only a socket, so that a test controls every byte."""

import json
import socket
from collections.abc import Iterator
from typing import TypeAlias

from core.addresses import Address
from core.closeable import Closeable
from core.jsontext import Json

Reply: TypeAlias = dict[str, Json]


class Wire(Closeable):
    """A connection to a server.

    Args:
        address: the server's address.
        timeout: seconds to wait for a line.
    """

    def __init__(self, address: Address, timeout: float = 60.0) -> None:
        self.socket = socket.create_connection(address.pair, timeout)
        self._partial = b""
        self._next_ref = 0
        self.asides: list[Reply] = []
        """The lines that arrived while another reply was awaited."""

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def send(self, *requests: Reply) -> None:
        """Send requests in one piece."""
        self.send_bytes(b"".join(json.dumps(request).encode() + b"\n" for request in requests))

    def send_bytes(self, raw: bytes) -> None:
        """Send raw bytes."""
        self.socket.sendall(raw)

    def half_close(self) -> None:
        """End the sending direction, as `nc` does at the end of its input."""
        self.socket.shutdown(socket.SHUT_WR)

    def line(self) -> Reply | None:
        """Return the next line, or None at the end."""
        while b"\n" not in self._partial:
            more = self.socket.recv(1 << 16)
            if not more:
                assert not self._partial, f"the connection ended within {self._partial!r}"
                return None
            self._partial += more
        line, _, self._partial = self._partial.partition(b"\n")
        reply: Reply = json.loads(line)
        return reply

    def reply(self) -> Reply:
        """Return the next line, which must exist."""
        line = self.line()
        assert line is not None, "the connection ended"
        return line

    def rest(self) -> list[Reply]:
        """Return all lines up to the end."""
        return list(self._rest())

    def _rest(self) -> Iterator[Reply]:
        while (line := self.line()) is not None:
            yield line

    def ask(self, operation: str, **fields: Json) -> Reply:
        """Send a request. Returns its reply."""
        self._next_ref += 1
        ref = f"ask-{self._next_ref}"
        self.send({"op": operation, "ref": ref, **fields})
        while (reply := self.reply()).get("ref") != ref:
            self.asides.append(reply)
        return reply

    def ok(self, operation: str, **fields: Json) -> Reply:
        """Send a request. Returns the members of its successful reply."""
        reply = self.ask(operation, **fields)
        assert "ok" in reply, reply
        members: Reply = reply["ok"]
        return members

    def error(self, operation: str, **fields: Json) -> Reply:
        """Send a request. Returns the error in its reply."""
        reply = self.ask(operation, **fields)
        assert "error" in reply, reply
        error: Reply = reply["error"]
        return error


def once(address: Address, operation: str, **fields: Json) -> Reply:
    """Send one request over a new connection. Returns the members of its successful reply."""
    with Wire(address) as wire:
        return wire.ok(operation, **fields)
