"""The raw clients of the hostile cases, and the split between attackers' tasks and honest ones."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from core.addresses import Address
from tests.faults.attack_scene import split
from tests.faults.journal_reader import JournalContents, Row
from tests.faults.raw_clients import ClientGroup, RawClient


@pytest.fixture
def echo_server() -> Iterator[Address]:
    """Provide a server that returns each line, and closes the connection at the line `end`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return
            with connected, connected.makefile("rb") as stream, contextlib.suppress(ConnectionError):
                for line in stream:
                    if line == b"end\n":
                        break
                    connected.sendall(line)

    thread = threading.Thread(target=serve)
    thread.start()
    yield Address("127.0.0.1", listener.getsockname()[1])
    # Closing alone doesn't wake a thread in accept.
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_client_counts_replies_and_cuts_and_connects_again(echo_server: Address) -> None:
    pieces = {(0, 0): b"one\ntwo\nend\n", (2, 1): b"three\n"}
    client = RawClient(echo_server, lambda client: pieces.pop((client.lines, client.cut), None))
    with ClientGroup([client], again=True) as group:
        assert group.run(lambda: group.lines == 3, 10.0)
        assert group.open == 1
    assert (client.cut, client.last, client.sent) == (1, b"one\ntwo\nthree\n", 18)
    assert client.socket is None


def test_a_client_that_was_cut_stays_away_unless_again_is_set(echo_server: Address) -> None:
    pieces = iter([b"end\n", b"more\n"])
    client = RawClient(echo_server, lambda _: next(pieces, None))
    with ClientGroup([client]) as group:
        assert group.run(lambda: client.cut == 1, 10.0)
        assert not group.run(lambda: client.lines > 0, 0.1)
        assert group.open == 0


def test_a_client_that_does_not_read_has_no_answers(echo_server: Address) -> None:
    pieces = iter([b"one\n"])
    client = RawClient(echo_server, lambda _: next(pieces, None), reads=False)
    with ClientGroup([client]) as group:
        assert not group.run(lambda: client.lines > 0, 0.2)
        assert (client.sent, client.cut) == (4, 0)


def test_the_tasks_of_attackers_are_separated_from_honest_ones() -> None:
    rows = [Row(name, state, None, 1, None) for name, state in (("t-1", "done"), ("t-2", "done"), ("t-x", "queued"))]
    contents = JournalContents({row.id: row for row in rows}, 3, {"done": 2, "queued": 1}, "ok", 0)
    attackers, honest = split(contents)
    assert (set(attackers.rows), attackers.count, attackers.ledger) == ({"t-x"}, 1, {"queued": 1})
    assert (set(honest.rows), honest.count) == ({"t-1", "t-2"}, 2)
    assert {state: count for state, count in honest.ledger.items() if count} == {"done": 2}


def test_a_client_that_neither_reads_nor_sends_notices_that_it_was_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = RawClient(Address("127.0.0.1", listener.getsockname()[1]), lambda _: None, reads=False)
        with ClientGroup([client]) as group:
            assert not group.run(lambda: client.cut > 0, 0.1)
            connected, _ = listener.accept()
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connected.close()
            assert group.run(lambda: client.cut == 1, 10.0)
