"""The many connections of the hostile cases, and what tells attackers' tasks from honest ones."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from core.addresses import Address
from tests.faults.books import Books, Row
from tests.faults.siege import split
from tests.faults.swarm import Peer, Swarm


@pytest.fixture
def echoing() -> Iterator[Address]:
    """A server that sends back each line and ends the connection at the word `end`."""
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
    # Closing alone doesn't wake one who waits in accept.
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_peer_counts_answers_and_cuts_and_connects_anew(echoing: Address) -> None:
    pieces = {(0, 0): b"one\ntwo\nend\n", (2, 1): b"three\n"}
    peer = Peer(echoing, lambda peer: pieces.pop((peer.lines, peer.cut), None))
    with Swarm([peer], again=True) as swarm:
        assert swarm.run(lambda: swarm.lines == 3, 10.0)
        assert swarm.open == 1
    assert (peer.cut, peer.last, peer.sent) == (1, b"one\ntwo\nthree\n", 18)
    assert peer.socket is None


def test_a_peer_that_was_cut_stays_away_unless_told_otherwise(echoing: Address) -> None:
    pieces = iter([b"end\n", b"more\n"])
    peer = Peer(echoing, lambda _: next(pieces, None))
    with Swarm([peer]) as swarm:
        assert swarm.run(lambda: peer.cut == 1, 10.0)
        assert not swarm.run(lambda: peer.lines > 0, 0.1)
        assert swarm.open == 0


def test_a_peer_that_does_not_read_has_no_answers(echoing: Address) -> None:
    pieces = iter([b"one\n"])
    peer = Peer(echoing, lambda _: next(pieces, None), reads=False)
    with Swarm([peer]) as swarm:
        assert not swarm.run(lambda: peer.lines > 0, 0.2)
        assert (peer.sent, peer.cut) == (4, 0)


def test_the_tasks_of_attackers_are_told_from_honest_ones() -> None:
    rows = [Row(name, state, None, 1, None) for name, state in (("t-1", "done"), ("t-2", "done"), ("t-x", "queued"))]
    found = Books({row.id: row for row in rows}, 3, {"done": 2, "queued": 1}, "ok", 0)
    theirs, ours = split(found)
    assert (set(theirs.rows), theirs.count, theirs.ledger) == ({"t-x"}, 1, {"queued": 1})
    assert (set(ours.rows), ours.count) == ({"t-1", "t-2"}, 2)
    assert {state: count for state, count in ours.ledger.items() if count} == {"done": 2}


def test_a_peer_that_neither_reads_nor_sends_notices_that_it_was_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = Peer(Address("127.0.0.1", listener.getsockname()[1]), lambda _: None, reads=False)
        with Swarm([peer]) as swarm:
            assert not swarm.run(lambda: peer.cut > 0, 0.1)
            connected, _ = listener.accept()
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connected.close()
            assert swarm.run(lambda: peer.cut == 1, 10.0)
