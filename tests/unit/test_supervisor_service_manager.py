"""The messages to a service manager, over a real socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.supervisor.service_manager import EXTENSION, ServiceNotifier, without_socket

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there is no such channel on this platform")


class Manager:
    """Listens as a service manager does."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{path[1:]}" if path.startswith("@") else path)
        self._socket.setblocking(False)

    def received(self) -> list[str]:
        """All messages since the last call."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(path: str) -> Iterator[Manager]:
    made = Manager(path)
    yield made
    made.close()


def test_readiness_and_a_stop_are_reported(path: str, manager: Manager) -> None:
    notifier = ServiceNotifier({"NOTIFY_SOCKET": path})
    notifier.notify_ready("4 processes")
    notifier.notify_stopping("ending servers")
    notifier.ping_watchdog(0.0)
    assert manager.received() == ["READY=1\nSTATUS=4 processes", "STOPPING=1\nSTATUS=ending servers"]


def test_a_text_cannot_hold_another_message(path: str, manager: Manager) -> None:
    ServiceNotifier({"NOTIFY_SOCKET": path}).notify_ready("x\nMAINPID=1\r\nERRNO=1")
    assert manager.received() == ["READY=1\nSTATUS=x MAINPID=1 ERRNO=1"]


def test_the_watchdog_is_pinged_twice_as_often_as_it_requires(path: str, manager: Manager) -> None:
    notifier = ServiceNotifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())})
    for now in (100.0, 101.0, 104.9, 105.0, 109.0, 110.0):
        notifier.ping_watchdog(now)
    assert manager.received() == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "settings", [{"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}]
)
def test_a_watchdog_that_does_not_watch_this_process_is_not_pinged(
    path: str, manager: Manager, settings: dict[str, str]
) -> None:
    ServiceNotifier({"NOTIFY_SOCKET": path, **settings}).ping_watchdog(100.0)
    assert manager.received() == []


def test_more_time_is_requested_at_intervals(path: str, manager: Manager) -> None:
    notifier = ServiceNotifier({"NOTIFY_SOCKET": path})
    for now in (100.0, 101.0, 105.0):
        notifier.extend_timeout("waiting for rabbitmq", now)
    more = f"EXTEND_TIMEOUT_USEC={EXTENSION * 1_000_000:.0f}\nSTATUS=waiting for rabbitmq"
    assert manager.received() == [more, more]


def test_a_manager_that_is_away_or_full_does_no_harm(path: str) -> None:
    ServiceNotifier({"NOTIFY_SOCKET": path}).notify_ready("no listener")
    ServiceNotifier({"NOTIFY_SOCKET": "relative"}).notify_ready("no address")
    ServiceNotifier({}).notify_ready("no manager")
    full = Manager(path)
    notifier = ServiceNotifier({"NOTIFY_SOCKET": path})
    for _ in range(5000):
        notifier.notify_ready("never waits")
    full.close()


@pytest.mark.skipif(not os.path.exists("/proc"), reason="only Linux has abstract socket names")
def test_an_abstract_socket_name_is_understood(tmp_path: Path) -> None:
    name = f"@cauce-{tmp_path.name}-{os.getpid()}"
    manager = Manager(name)
    ServiceNotifier({"NOTIFY_SOCKET": name}).notify_ready("here")
    assert manager.received() == ["READY=1\nSTATUS=here"]
    manager.close()


def test_children_do_not_inherit_the_variables() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    assert without_socket(environment) == {"PATH": "/bin"}
