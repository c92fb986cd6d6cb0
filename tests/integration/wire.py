"""A client made of nothing but a socket, so that a test has every byte in its hands."""

import json
import socket
from collections.abc import Iterator
from typing import TypeAlias

from core.addresses import Address
from core.closeable import Closeable
from core.jsontext import Json

Reply: TypeAlias = dict[str, Json]


class Wire(Closeable):
    """One connection.

    Args:
        address: of the server.
        timeout: seconds to wait for a line.
    """

    def __init__(self, address: Address, timeout: float = 15.0) -> None:
        self.socket = socket.create_connection(address.pair, timeout)
        self._begun = b""
        self._next_ref = 0
        self.asides: list[Reply] = []
        """What came while a reply to something else was waited for."""

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()

    def send(self, *requests: Reply) -> None:
        """Send requests, all at once."""
        self.send_bytes(b"".join(json.dumps(request).encode() + b"\n" for request in requests))

    def send_bytes(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(raw)

    def half_close(self) -> None:
        """Say that nothing more comes, as `nc` does at the end of its input."""
        self.socket.shutdown(socket.SHUT_WR)

    def line(self) -> Reply | None:
        """The next line; None at the end."""
        while b"\n" not in self._begun:
            more = self.socket.recv(1 << 16)
            if not more:
                assert not self._begun, f"the connection ended within {self._begun!r}"
                return None
            self._begun += more
        line, _, self._begun = self._begun.partition(b"\n")
        reply: Reply = json.loads(line)
        return reply

    def reply(self) -> Reply:
        """The next line, which must be there."""
        line = self.line()
        assert line is not None, "the connection ended"
        return line

    def rest(self) -> list[Reply]:
        """All lines to the end."""
        return list(self._rest())

    def _rest(self) -> Iterator[Reply]:
        while (line := self.line()) is not None:
            yield line

    def ask(self, operation: str, **fields: Json) -> Reply:
        """Send one request and wait for its own reply."""
        self._next_ref += 1
        ref = f"ask-{self._next_ref}"
        self.send({"op": operation, "ref": ref, **fields})
        while (reply := self.reply()).get("ref") != ref:
            self.asides.append(reply)
        return reply

    def ok(self, operation: str, **fields: Json) -> Reply:
        """The members of a good reply."""
        reply = self.ask(operation, **fields)
        assert "ok" in reply, reply
        members: Reply = reply["ok"]
        return members

    def error(self, operation: str, **fields: Json) -> Reply:
        """The error in a reply."""
        reply = self.ask(operation, **fields)
        assert "error" in reply, reply
        error: Reply = reply["error"]
        return error


def once(address: Address, operation: str, **fields: Json) -> Reply:
    """Ask one thing over a connection of its own; the members of the good reply."""
    with Wire(address) as wire:
        return wire.ok(operation, **fields)
