"""The bad network itself: each weather is seen to work on real sockets, between a client and a server of the test."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from core.addresses import LOOPBACK, Address
from tests.faults.proxy import FAIR, Proxy, Weather
from tests.services.waiting import wait_until

SECONDS = 5.0
SHORT = 0.2
"""Seconds in which nothing arrives, where nothing may."""


class Far:
    """A server that takes one connection after the other and keeps them for the test to use."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = Address(LOOPBACK, self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def one(self, number: int = 0) -> socket.socket:
        """The connection of this number, once it is there."""
        wait_until(lambda: len(self.connections) > number, "the connection to arrive")
        return self.connections[number]

    def close(self) -> None:
        """End all of them."""
        with contextlib.suppress(OSError):
            # Closing alone doesn't wake one who waits in accept.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self.connections:
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(SECONDS)
                self.connections.append(connection)


@pytest.fixture
def far() -> Iterator[Far]:
    server = Far()
    yield server
    server.close()


@pytest.fixture
def proxy(far: Far) -> Iterator[Proxy]:
    with Proxy(far.address, seed=1) as made:
        yield made


@pytest.fixture
def near(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(proxy.address.pair, SECONDS) as connection:
        yield connection


def read(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or those until the end."""
    data = b""
    while len(data) < count and (piece := connection.recv(count - len(data))):
        data += piece
    return data


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing comes for a moment, not even the end."""
    connection.settimeout(SHORT)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(SECONDS)
    return False


def test_in_fair_weather_everything_arrives_both_ways_and_so_does_the_end(far: Far, near: socket.socket) -> None:
    large = bytes(range(256)) * 4_000
    sender = threading.Thread(target=near.sendall, args=(large,))
    sender.start()
    assert read(far.one(), len(large)) == large
    sender.join()
    far.one().sendall(b"answer\nhalf a line")
    assert read(near, 18) == b"answer\nhalf a line"
    near.shutdown(socket.SHUT_WR)
    assert far.one().recv(1) == b""
    far.one().sendall(b"late")
    far.one().close()
    assert read(near, 10) == b"late"


def test_a_cut_ends_both_sides_after_what_was_on_its_way(far: Far, proxy: Proxy, near: socket.socket) -> None:
    near.sendall(b"x")
    assert read(far.one(), 1) == b"x"
    assert proxy.cut() == 1
    assert near.recv(1) == b""
    assert far.one().recv(1) == b""
    wait_until(lambda: proxy.cut() == 0, "the cut connection to be forgotten")
    assert (proxy.carried, proxy.cuts) == (1, 1)


def test_a_reset_is_one_on_both_sides(far: Far, proxy: Proxy, near: socket.socket) -> None:
    near.sendall(b"x")
    assert read(far.one(), 1) == b"x"
    assert proxy.cut(reset=True) == 1
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    with pytest.raises(ConnectionResetError):
        far.one().recv(1)


def test_who_is_refused_learns_it_at_once_and_others_go_on(far: Far, proxy: Proxy, near: socket.socket) -> None:
    near.sendall(b"x")
    far.one()
    proxy.weather = Weather(refuses=True)
    with socket.create_connection(proxy.address.pair, SECONDS) as refused, pytest.raises(ConnectionResetError):
        refused.recv(1)
    near.sendall(b"y")
    assert read(far.one(), 2) == b"xy"
    assert len(far.connections) == 1


def test_a_black_hole_holds_everything_and_the_end_too_until_it_is_over(
    far: Far, proxy: Proxy, near: socket.socket
) -> None:
    near.sendall(b"x")
    assert read(far.one(), 1) == b"x"
    proxy.weather = Weather(swallows=True)
    near.sendall(b"question")
    far.one().sendall(b"answer")
    near.shutdown(socket.SHUT_WR)
    assert is_silent(near)
    assert is_silent(far.one())
    proxy.weather = FAIR
    assert read(near, 6) == b"answer"
    assert read(far.one(), 100) == b"question"


def test_a_connection_that_is_left_in_a_black_hole_is_not_told_of(far: Far, proxy: Proxy, near: socket.socket) -> None:
    near.sendall(b"x")
    assert read(far.one(), 1) == b"x"
    proxy.weather = Weather(swallows=True)
    near.close()
    assert is_silent(far.one())
    proxy.weather = FAIR
    assert far.one().recv(1) == b""


def test_a_connection_can_be_cut_in_a_black_hole_and_counts_once(far: Far, proxy: Proxy, near: socket.socket) -> None:
    proxy.weather = Weather(swallows=True)
    near.sendall(b"x")
    far.one()
    assert is_silent(far.one())
    assert proxy.cut() == 1
    assert near.recv(1) == b""
    assert far.one().recv(1) == b""
    assert proxy.cut() == 0
    assert proxy.cuts == 1


def test_each_piece_comes_later_by_about_the_delay(far: Far, proxy: Proxy, near: socket.socket) -> None:
    proxy.weather = Weather(delay=SHORT)
    began = time.monotonic()
    near.sendall(b"x")
    assert read(far.one(), 1) == b"x"
    assert 0.5 * SHORT <= time.monotonic() - began < SECONDS


def test_sliced_data_comes_in_pieces_of_that_size_and_whole(far: Far, proxy: Proxy, near: socket.socket) -> None:
    proxy.weather = Weather(slice=3, delay=0.02)
    near.sendall(b"0123456789")
    pieces = [far.one().recv(100)]
    while sum(map(len, pieces)) < 10:
        pieces.append(far.one().recv(100))
    assert b"".join(pieces) == b"0123456789"
    assert len(pieces) >= 3
    assert pieces[0] == b"012"


def test_a_connection_that_is_cut_between_two_slices_brings_a_part(far: Far, proxy: Proxy, near: socket.socket) -> None:
    proxy.weather = Weather(slice=1, delay=0.05)
    near.sendall(b"0123456789" * 10)
    begun = read(far.one(), 2)
    proxy.cut()
    arrived = begun + read(far.one(), 100)
    assert arrived.startswith(b"01")
    assert len(arrived) < 50


def test_lost_lines_are_lost_whole_and_the_others_come_in_their_order(
    far: Far, proxy: Proxy, near: socket.socket
) -> None:
    sent = [b"%d\n" % number for number in range(1_000)]
    proxy.weather = Weather(lose_lines=0.2)
    near.sendall(b"x")
    far.one().sendall(b"".join(sent) + b"no end")
    far.one().shutdown(socket.SHUT_WR)
    *arrived, end = read(near, 100_000).splitlines(keepends=True)
    assert end == b"no end"
    assert set(arrived) < set(sent)
    assert arrived == sorted(arrived, key=int)
    assert len(sent) - len(arrived) == proxy.lines_lost
    assert 120 < proxy.lines_lost < 280


def test_a_line_that_has_begun_is_not_lost_in_half(far: Far, proxy: Proxy, near: socket.socket) -> None:
    near.sendall(b"x")
    far.one().sendall(b"half a ")
    assert read(near, 7) == b"half a "
    proxy.weather = Weather(lose_lines=1.0)
    far.one().sendall(b"line\n")
    assert read(near, 5) == b"line\n"
    far.one().sendall(b"another\n")
    assert is_silent(near)
    assert proxy.lines_lost == 1


def test_lines_to_the_server_are_not_lost(far: Far, proxy: Proxy, near: socket.socket) -> None:
    proxy.weather = Weather(lose_lines=1.0)
    near.sendall(b"one\ntwo\n")
    assert read(far.one(), 8) == b"one\ntwo\n"


@pytest.mark.parametrize("most", [0, 1, 5, 9])
@pytest.mark.parametrize("whole", [True, False])
def test_a_connection_is_cut_after_exactly_so_many_bytes(far: Far, proxy: Proxy, most: int, whole: bool) -> None:
    proxy.weather = Weather(cut_after=most)
    with socket.create_connection(proxy.address.pair, SECONDS) as near:
        for piece in [b"0123456789"] if whole else [b"%d" % digit for digit in range(10)]:
            with contextlib.suppress(OSError):
                near.sendall(piece)
        assert read(far.one(), 100) == b"0123456789"[:most]
        with contextlib.suppress(ConnectionResetError):
            assert near.recv(1) == b""
    assert proxy.cuts == 1


def test_a_cut_after_more_than_is_sent_is_none(far: Far, proxy: Proxy, near: socket.socket) -> None:
    proxy.weather = Weather(cut_after=11)
    near.sendall(b"0123456789")
    assert read(far.one(), 10) == b"0123456789"
    assert is_silent(far.one())
    assert proxy.cuts == 0


def test_a_client_of_a_server_that_is_not_there_is_let_go() -> None:
    far = Far()
    far.close()
    with Proxy(far.address) as proxy, socket.create_connection(proxy.address.pair, SECONDS) as near:
        assert near.recv(1) == b""


def test_a_closed_proxy_takes_nobody_and_leaves_no_thread(far: Far) -> None:
    before = threading.active_count()
    with Proxy(far.address) as proxy, socket.create_connection(proxy.address.pair, SECONDS) as near:
        proxy.weather = Weather(swallows=True)
        near.sendall(b"x")
        far.one()
        proxy.close()
        with contextlib.suppress(ConnectionResetError):
            assert near.recv(1) == b""
    assert threading.active_count() == before
    with socket.socket() as probe:
        assert probe.connect_ex(proxy.address.pair) != 0
