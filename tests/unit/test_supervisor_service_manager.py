"""What a service manager is told, over a real socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.supervisor.service_manager import MORE_TIME, ServiceNotifier, without_socket

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there is no such channel on this platform")


class Manager:
    """Listens as a service manager does."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{path[1:]}" if path.startswith("@") else path)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """All messages since the last call."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(path: str) -> Iterator[Manager]:
    made = Manager(path)
    yield made
    made.close()


def test_it_is_told_what_is_ready_and_what_stops(path: str, manager: Manager) -> None:
    notifier = ServiceNotifier({"NOTIFY_SOCKET": path})
    notifier.ready("4 processes")
    notifier.stopping("ending servers")
    notifier.alive(0.0)
    assert manager.heard() == ["READY=1\nSTATUS=4 processes", "STOPPING=1\nSTATUS=ending servers"]


def test_a_text_says_nothing_to_the_manager_itself(path: str, manager: Manager) -> None:
    ServiceNotifier({"NOTIFY_SOCKET": path}).ready("x\nMAINPID=1\r\nERRNO=1")
    assert manager.heard() == ["READY=1\nSTATUS=x MAINPID=1 ERRNO=1"]


def test_a_sign_of_life_comes_twice_as_often_as_it_is_wanted(path: str, manager: Manager) -> None:
    notifier = ServiceNotifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())})
    for now in (100.0, 101.0, 104.9, 105.0, 109.0, 110.0):
        notifier.alive(now)
    assert manager.heard() == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "settings", [{"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}]
)
def test_a_sign_of_life_that_is_not_wanted_of_us_is_not_given(
    path: str, manager: Manager, settings: dict[str, str]
) -> None:
    ServiceNotifier({"NOTIFY_SOCKET": path, **settings}).alive(100.0)
    assert manager.heard() == []


def test_time_is_asked_for_while_something_takes_long(path: str, manager: Manager) -> None:
    notifier = ServiceNotifier({"NOTIFY_SOCKET": path})
    for now in (100.0, 101.0, 105.0):
        notifier.busy("waiting for rabbitmq", now)
    more = f"EXTEND_TIMEOUT_USEC={MORE_TIME * 1_000_000:.0f}\nSTATUS=waiting for rabbitmq"
    assert manager.heard() == [more, more]


def test_a_manager_that_is_away_or_full_is_nobodys_trouble(path: str) -> None:
    ServiceNotifier({"NOTIFY_SOCKET": path}).ready("nobody listens")
    ServiceNotifier({"NOTIFY_SOCKET": "relative"}).ready("no address")
    ServiceNotifier({}).ready("no manager")
    full = Manager(path)
    notifier = ServiceNotifier({"NOTIFY_SOCKET": path})
    for _ in range(5000):
        notifier.ready("never waits")
    full.close()


@pytest.mark.skipif(not os.path.exists("/proc"), reason="names without a file are Linux's own")
def test_a_name_without_a_file_is_understood(tmp_path: Path) -> None:
    name = f"@cauce-{tmp_path.name}-{os.getpid()}"
    manager = Manager(name)
    ServiceNotifier({"NOTIFY_SOCKET": name}).ready("here")
    assert manager.heard() == ["READY=1\nSTATUS=here"]
    manager.close()


def test_children_don_t_speak_in_our_name() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    assert without_socket(environment) == {"PATH": "/bin"}
