"""The balancer with a real NGINX, before small servers that reply with their name."""

import os
import socket
import socketserver
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread

import pytest

from core.addresses import Address
from tests.services.nginx import NginxProcess, accepts, free_address
from tests.services.nginx_fixtures import StartNginx
from tests.services.waiting import wait_until

pytestmark = [
    pytest.mark.nginx,
    pytest.mark.skipif(os.name == "nt", reason="process groups and signals are how these tests end NGINX"),
]


class Listener(socketserver.ThreadingTCPServer):
    """Replies to each line with a name, until the client or the listener closes the connection."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: Address, name: str) -> None:
        super().__init__(address.pair, Answerer)
        self.name = name
        self.lock = Lock()
        self.connections: set[socket.socket] = set()


class Answerer(socketserver.StreamRequestHandler):
    """One connection of a `Listener`."""

    server: Listener

    def handle(self) -> None:
        """Reply until the client ends its sending side."""
        with self.server.lock:
            self.server.connections.add(self.connection)
        try:
            for line in self.rfile:
                self.wfile.write(f"{self.server.name} ".encode() + line)
        except ConnectionError:
            pass  # the tests cut connections on purpose
        finally:
            with self.server.lock:
                self.server.connections.discard(self.connection)


class Peer:
    """A server behind the balancer that can be stopped and restarted at the same address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = free_address()
        self._listener: Listener | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Listen."""
        self._listener = Listener(self.address, self.name)
        self._thread = Thread(target=self._listener.serve_forever, args=(0.01,), name=f"peer {self.name}")
        self._thread.start()

    def stop(self) -> None:
        """Close the connections and stop listening. A second call does nothing."""
        if self._listener is None or self._thread is None:
            return
        self._listener.shutdown()
        self._thread.join()
        with self._listener.lock:
            for connection in self._listener.connections:
                # The client may have closed it at this moment.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._listener.server_close()
        self._listener = None


class Client:
    """A connection through the balancer."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address.pair, timeout=60.0)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self) -> str:
        """Send a line and return the name of the server that answered; empty when the connection was cut."""
        try:
            self.socket.sendall(b"hello\n")
            answer = self.socket.recv(100)
        except ConnectionError:
            return ""
        return answer.decode().partition(" ")[0]


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    """Three servers, running."""
    three = [Peer(name) for name in ("one", "two", "three")]
    for peer in three:
        peer.start()
    yield three
    for peer in three:
        peer.stop()


@pytest.fixture
def nginx(start_nginx: StartNginx, peers: list[Peer]) -> NginxProcess:
    """A balancer before the three servers."""
    return start_nginx([peer.address for peer in peers])


@contextmanager
def clients(address: Address, number: int) -> Iterator[list[str]]:
    """Open so many connections one after the other, and keep them. Gives the server of each."""
    with ExitStack() as stack:
        yield [stack.enter_context(Client(address)).ask() for _ in range(number)]


def ask_once(address: Address) -> str:
    with Client(address) as client:
        return client.ask()


def test_connections_are_spread_evenly(nginx: NginxProcess) -> None:
    with clients(nginx.address, 12) as names:
        assert Counter(names) == {"one": 4, "two": 4, "three": 4}


def test_the_log_has_the_client_and_the_server_of_each_connection(nginx: NginxProcess, peers: list[Peer]) -> None:
    with Client(nginx.address) as client:
        client_port = client.socket.getsockname()[1]
        name = client.ask()
    address = next(peer.address for peer in peers if peer.name == name)
    expected = f"127.0.0.1:{client_port} -> {address} 200 received=6 sent={len(name) + 7} "
    wait_until(lambda: expected in nginx.access_log, f"{expected!r} in the log")


def test_a_dead_server_is_skipped_unnoticed(nginx: NginxProcess, peers: list[Peer]) -> None:
    peers[1].stop()
    with clients(nginx.address, 12) as names:
        assert Counter(names) == {"one": 6, "three": 6}


def test_a_recovered_server_is_used_again(nginx: NginxProcess, peers: list[Peer]) -> None:
    peers[1].stop()
    with clients(nginx.address, 4) as names:
        assert "two" not in names
        peers[1].start()
        wait_until(lambda: ask_once(nginx.address) == "two", "the recovered server to be used")


def test_with_all_servers_dead_a_client_is_cut_at_once_and_served_when_one_is_back(
    nginx: NginxProcess, peers: list[Peer]
) -> None:
    for peer in peers:
        peer.stop()
    assert [ask_once(nginx.address) for _ in range(3)] == ["", "", ""]
    peers[2].start()
    wait_until(lambda: ask_once(nginx.address) == "three", "the server that is back to be used")


def test_a_connection_whose_server_dies_is_cut(nginx: NginxProcess, peers: list[Peer]) -> None:
    with Client(nginx.address) as client:
        name = client.ask()
        next(peer for peer in peers if peer.name == name).stop()
        assert client.ask() == ""


def test_a_reload_keeps_old_connections_and_sends_new_ones_to_the_new_servers(
    nginx: NginxProcess, peers: list[Peer]
) -> None:
    with Client(nginx.address) as client:
        first = client.ask()
        stays = [peer for peer in peers if peer.name != first]
        nginx.reload([peer.address for peer in stays])
        wait_until(
            lambda: {ask_once(nginx.address) for _ in range(8)} == {peer.name for peer in stays},
            "only the new servers to be used",
        )
        assert client.ask() == first


def test_a_silent_connection_outlives_the_short_limits(nginx: NginxProcess) -> None:
    with Client(nginx.address) as client:
        name = client.ask()
        client.socket.settimeout(3.5)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        assert client.ask() == name


def test_a_client_that_has_ended_its_sending_side_still_reads_its_replies(nginx: NginxProcess) -> None:
    with Client(nginx.address) as client:
        client.socket.sendall(b"hello\n" * 1000)
        client.socket.shutdown(socket.SHUT_WR)
        answers = client.socket.makefile("rb").read()
    assert answers.count(b" hello\n") == 1000


def test_after_the_master_was_killed_the_group_is_ended_and_a_new_one_starts(nginx: NginxProcess) -> None:
    # The master listens before it has started all of its workers.
    wait_until(lambda: len(nginx.workers()) == 2, "both workers to run")
    orphans = nginx.workers()
    nginx.kill_master()
    assert nginx.workers() == orphans
    assert accepts(nginx.address), "the port is free; if workers no longer outlive their master, stop() is simpler"
    nginx.stop()
    assert not accepts(nginx.address)
    nginx.start()
    assert ask_once(nginx.address) != ""


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="the other tests run unprivileged already")
def test_it_runs_for_an_ordinary_user(nginx_program: Path, peers: list[Peer]) -> None:
    # The directory of tmp_path is closed to other users.
    with tempfile.TemporaryDirectory() as directory:
        nginx = NginxProcess(nginx_program, Path(directory), [peer.address for peer in peers], owner="nobody")
        nginx.start()
        try:
            assert ask_once(nginx.address) != ""
        finally:
            nginx.stop()
