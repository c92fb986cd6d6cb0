"""The bad network: each condition on real sockets, between a client and a server of the test."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from core.addresses import LOOPBACK, Address
from tests.faults.proxy import NORMAL, NetworkConditions, Proxy
from tests.services.waiting import wait_until

SOCKET_TIMEOUT = 60.0
NEVER = 3600.0
SHORT = 0.2
"""Seconds for which nothing may arrive."""


class Upstream:
    """A server that accepts connections and keeps them for the test."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = Address(LOOPBACK, self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def one(self, number: int = 0) -> socket.socket:
        """Wait for the connection of this number, and return it."""
        wait_until(lambda: len(self.connections) > number, "the connection to arrive")
        return self.connections[number]

    def close(self) -> None:
        """Close the server and its connections."""
        with contextlib.suppress(OSError):
            # Closing alone doesn't wake a thread in accept.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self.connections:
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(SOCKET_TIMEOUT)
                self.connections.append(connection)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[Proxy]:
    with Proxy(upstream.address, seed=1) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(proxy.address.pair, SOCKET_TIMEOUT) as connection:
        yield connection


def read(connection: socket.socket, count: int) -> bytes:
    """Return so many bytes, or those until the end."""
    data = b""
    while len(data) < count and (chunk := connection.recv(count - len(data))):
        data += chunk
    return data


def is_silent(connection: socket.socket) -> bool:
    """Return whether nothing arrives for a moment, not even the end."""
    connection.settimeout(SHORT)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(SOCKET_TIMEOUT)
    return False


def test_under_normal_conditions_everything_arrives_both_ways_and_so_does_the_end(
    upstream: Upstream, client: socket.socket
) -> None:
    large = bytes(range(256)) * 4_000
    sender = threading.Thread(target=client.sendall, args=(large,))
    sender.start()
    assert read(upstream.one(), len(large)) == large
    sender.join()
    upstream.one().sendall(b"answer\nhalf a line")
    assert read(client, 18) == b"answer\nhalf a line"
    client.shutdown(socket.SHUT_WR)
    assert upstream.one().recv(1) == b""
    upstream.one().sendall(b"late")
    upstream.one().close()
    assert read(client, 10) == b"late"


def test_a_cut_ends_both_sides_after_what_was_on_its_way(
    upstream: Upstream, proxy: Proxy, client: socket.socket
) -> None:
    client.sendall(b"x")
    assert read(upstream.one(), 1) == b"x"
    assert proxy.cut() == 1
    assert client.recv(1) == b""
    assert upstream.one().recv(1) == b""
    wait_until(lambda: proxy.cut() == 0, "the cut connection to be forgotten")
    assert (proxy.connection_count, proxy.cuts) == (1, 1)


def test_a_reset_is_one_on_both_sides(upstream: Upstream, proxy: Proxy, client: socket.socket) -> None:
    client.sendall(b"x")
    assert read(upstream.one(), 1) == b"x"
    assert proxy.cut(reset=True) == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionResetError):
        upstream.one().recv(1)


def test_a_refused_connection_ends_at_once_and_others_go_on(
    upstream: Upstream, proxy: Proxy, client: socket.socket
) -> None:
    client.sendall(b"x")
    upstream.one()
    proxy.conditions = NetworkConditions(refuses=True)
    # The reset may come before connecting has returned.
    with pytest.raises(ConnectionResetError), socket.create_connection(proxy.address.pair, SOCKET_TIMEOUT) as refused:
        refused.recv(1)
    client.sendall(b"y")
    assert read(upstream.one(), 2) == b"xy"
    assert len(upstream.connections) == 1


def test_a_black_hole_holds_everything_and_the_end_too_until_it_is_over(
    upstream: Upstream, proxy: Proxy, client: socket.socket
) -> None:
    client.sendall(b"x")
    assert read(upstream.one(), 1) == b"x"
    proxy.conditions = NetworkConditions(stalls=True)
    client.sendall(b"question")
    upstream.one().sendall(b"answer")
    client.shutdown(socket.SHUT_WR)
    assert is_silent(client)
    assert is_silent(upstream.one())
    proxy.conditions = NORMAL
    assert read(client, 6) == b"answer"
    assert read(upstream.one(), 100) == b"question"


def test_a_connection_that_is_left_in_a_black_hole_is_not_reported(
    upstream: Upstream, proxy: Proxy, client: socket.socket
) -> None:
    client.sendall(b"x")
    assert read(upstream.one(), 1) == b"x"
    proxy.conditions = NetworkConditions(stalls=True)
    client.close()
    assert is_silent(upstream.one())
    proxy.conditions = NORMAL
    assert upstream.one().recv(1) == b""


def test_a_connection_can_be_cut_in_a_black_hole_and_counts_once(
    upstream: Upstream, proxy: Proxy, client: socket.socket
) -> None:
    proxy.conditions = NetworkConditions(stalls=True)
    client.sendall(b"x")
    upstream.one()
    assert is_silent(upstream.one())
    assert proxy.cut() == 1
    assert client.recv(1) == b""
    assert upstream.one().recv(1) == b""
    assert proxy.cut() == 0
    assert proxy.cuts == 1


def test_each_chunk_is_delayed(upstream: Upstream, proxy: Proxy, client: socket.socket) -> None:
    proxy.conditions = NetworkConditions(delay=SHORT)
    client.sendall(b"x")
    assert read(upstream.one(), 1) == b"x"
    proxy.conditions = NetworkConditions(delay=NEVER)
    client.sendall(b"y")
    assert is_silent(upstream.one())


def test_sliced_data_comes_in_chunks_of_that_size_and_whole(
    upstream: Upstream, proxy: Proxy, client: socket.socket
) -> None:
    proxy.conditions = NetworkConditions(slice=3, delay=0.02)
    client.sendall(b"0123456789")
    chunks = [upstream.one().recv(100)]
    while sum(map(len, chunks)) < 10:
        chunks.append(upstream.one().recv(100))
    assert b"".join(chunks) == b"0123456789"
    assert len(chunks) >= 3
    assert chunks[0] == b"012"


def test_a_connection_that_is_cut_between_two_slices_brings_a_part(
    upstream: Upstream, proxy: Proxy, client: socket.socket
) -> None:
    proxy.conditions = NetworkConditions(slice=1, delay=0.05)
    client.sendall(b"0123456789" * 10)
    start = read(upstream.one(), 2)
    proxy.cut()
    arrived = start + read(upstream.one(), 100)
    assert arrived.startswith(b"01")
    assert len(arrived) < 50


def test_lost_lines_are_lost_whole_and_the_others_come_in_their_order(
    upstream: Upstream, proxy: Proxy, client: socket.socket
) -> None:
    sent = [b"%d\n" % number for number in range(1_000)]
    proxy.conditions = NetworkConditions(lose_lines=0.2)
    client.sendall(b"x")
    upstream.one().sendall(b"".join(sent) + b"no end")
    upstream.one().shutdown(socket.SHUT_WR)
    *arrived, end = read(client, 100_000).splitlines(keepends=True)
    assert end == b"no end"
    assert set(arrived) < set(sent)
    assert arrived == sorted(arrived, key=int)
    assert len(sent) - len(arrived) == proxy.lines_lost
    assert 120 < proxy.lines_lost < 280


def test_a_line_that_has_start_is_not_lost_in_half(upstream: Upstream, proxy: Proxy, client: socket.socket) -> None:
    client.sendall(b"x")
    upstream.one().sendall(b"half a ")
    assert read(client, 7) == b"half a "
    proxy.conditions = NetworkConditions(lose_lines=1.0)
    upstream.one().sendall(b"line\n")
    assert read(client, 5) == b"line\n"
    upstream.one().sendall(b"another\n")
    assert is_silent(client)
    assert proxy.lines_lost == 1


def test_lines_to_the_server_are_not_lost(upstream: Upstream, proxy: Proxy, client: socket.socket) -> None:
    proxy.conditions = NetworkConditions(lose_lines=1.0)
    client.sendall(b"one\ntwo\n")
    assert read(upstream.one(), 8) == b"one\ntwo\n"


@pytest.mark.parametrize("limit", [0, 1, 5, 9])
@pytest.mark.parametrize("whole", [True, False])
def test_a_connection_is_cut_after_the_exact_number_of_bytes(
    upstream: Upstream, proxy: Proxy, limit: int, whole: bool
) -> None:
    proxy.conditions = NetworkConditions(cut_after=limit)
    with socket.create_connection(proxy.address.pair, SOCKET_TIMEOUT) as client:
        for chunk in [b"0123456789"] if whole else [b"%d" % digit for digit in range(10)]:
            with contextlib.suppress(OSError):
                client.sendall(chunk)
        assert read(upstream.one(), 100) == b"0123456789"[:limit]
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert proxy.cuts == 1


def test_a_cut_after_more_than_is_sent_is_none(upstream: Upstream, proxy: Proxy, client: socket.socket) -> None:
    proxy.conditions = NetworkConditions(cut_after=11)
    client.sendall(b"0123456789")
    assert read(upstream.one(), 10) == b"0123456789"
    assert is_silent(upstream.one())
    assert proxy.cuts == 0


def test_a_client_of_a_server_that_is_not_there_is_disconnected() -> None:
    upstream = Upstream()
    upstream.close()
    with Proxy(upstream.address) as proxy, socket.create_connection(proxy.address.pair, SOCKET_TIMEOUT) as client:
        assert client.recv(1) == b""


def test_a_closed_proxy_accepts_nothing_and_leaves_no_thread(upstream: Upstream) -> None:
    before = threading.active_count()
    with Proxy(upstream.address) as proxy, socket.create_connection(proxy.address.pair, SOCKET_TIMEOUT) as client:
        proxy.conditions = NetworkConditions(stalls=True)
        client.sendall(b"x")
        upstream.one()
        proxy.close()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert threading.active_count() == before
    with socket.socket() as probe:
        assert probe.connect_ex(proxy.address.pair) != 0
