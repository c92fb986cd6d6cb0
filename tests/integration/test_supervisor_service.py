"""`up` in the foreground under a service manager, with a real socket."""

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.closeable import Closeable
from core.supervisor import commands
from core.supervisor.processes import process_identity
from core.supervisor.status import SystemStatus
from tests.integration.commanding import Command
from tests.integration.supervised import Supervised, settled
from tests.services.waiting import wait_until

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there is no such channel on this platform")

PATIENCE = 60.0
WATCHDOG = 1.0
"""Seconds within which the manager expects a sign of life."""


class Manager(Closeable):
    """A service manager's socket, as systemd has one.

    Args:
        path: the path of the socket.
    """

    def __init__(self, path: Path) -> None:
        self._received: list[str] = []
        self._ending = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._listen, name="service-manager")
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        """The lines of all messages, in order."""
        return [line for message in tuple(self._received) for line in message.split("\n")]

    def close(self) -> None:
        """Stop listening."""
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        # The socket's buffer holds only a few messages.
        while not self._ending.is_set():
            try:
                self._received.append(self._socket.recv(4096).decode())
            except TimeoutError:
                continue


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


@pytest.fixture
def manager(system: Supervised, tmp_path: Path) -> Iterator[Manager]:
    path = tmp_path / "notify"
    system.environment["NOTIFY_SOCKET"] = str(path)
    system.environment["WATCHDOG_USEC"] = str(int(WATCHDOG * 1_000_000))
    with Manager(path) as listening:
        yield listening


def report_of(system: Supervised) -> SystemStatus:
    report = commands.status(system.home)
    assert report is not None
    return report


def test_a_service_reports_readiness_and_signs_of_life_and_ends_in_order(system: Supervised, manager: Manager) -> None:
    with Command(system, "up", "--no-attach", "--json", *system.sizes(1, 1)) as service:
        wait_until(lambda: "READY=1" in manager.lines, "it to be ready", PATIENCE)
        report = report_of(system)
        assert settled(report)
        assert report.pid == service.process.pid
        before = manager.lines[: manager.lines.index("READY=1")]
        assert any(line.startswith("STATUS=starting; waiting for ") for line in before)
        assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in before)
        after = manager.lines[manager.lines.index("READY=1") + 1]
        assert after == f"STATUS=2 processes, clients connect to {report.listen}"
        assert "STOPPING=1" not in manager.lines

        alive = manager.lines.count("WATCHDOG=1")
        wait_until(lambda: manager.lines.count("WATCHDOG=1") >= alive + 3, "signs of life", PATIENCE)
        for unit in report.processes:
            # The children send no messages.
            assert unit.pid is not None
            assert {"NOTIFY_SOCKET", "WATCHDOG_USEC"}.isdisjoint(psutil.Process(unit.pid).environ())

        service.process.send_signal(signal.SIGTERM)
        assert service.end().code == 0
    wait_until(lambda: "STOPPING=1" in manager.lines, "the end to be reported", PATIENCE)
    phases = [line for line in manager.lines if line in {"READY=1", "STOPPING=1"}]
    assert phases == ["READY=1", "STOPPING=1"]
    assert "Traceback" not in service.errors
    system.assert_nothing_left(report)


def test_a_service_that_can_not_start_is_never_ready_and_ends_with_its_code(
    system: Supervised, manager: Manager
) -> None:
    system.environment["CAUCE_SERVER_MAX_LINE"] = "plenty"
    with Command(system, "up", "--no-attach", *system.sizes(1, 1)) as service:
        ended = service.end()
    assert ended.code == 1
    assert "s1 ended with code 2 before everything was ready" in ended.errors
    wait_until(lambda: "STOPPING=1" in manager.lines, "the end to be reported", PATIENCE)
    assert "READY=1" not in manager.lines
    assert process_identity.processes_of(system.home) == []


def test_a_service_that_is_ended_while_it_starts_is_never_ready(
    system: Supervised, manager: Manager, tmp_path: Path
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import threading\nthreading.Event().wait()\n", "utf-8")
    with Command(system, "up", "--no-attach", *system.sizes(1, 1), "--tasks", str(slow)) as service:
        wait_until(lambda: any(line.startswith("STATUS=starting") for line in manager.lines), "the start", PATIENCE)
        service.process.send_signal(signal.SIGTERM)
        assert service.end().code == 1
    wait_until(lambda: "STOPPING=1" in manager.lines, "the end to be reported", PATIENCE)
    assert "READY=1" not in manager.lines
    assert process_identity.processes_of(system.home) == []


def test_a_manager_that_is_gone_does_no_harm(system: Supervised, tmp_path: Path) -> None:
    system.environment["NOTIFY_SOCKET"] = str(tmp_path / "gone")
    with Command(system, "up", "--no-attach", "--json", *system.sizes(1, 0)) as service:
        wait_until(lambda: service.output != "", "it to be ready", PATIENCE)
        report = report_of(system)
        service.process.send_signal(signal.SIGTERM)
        assert service.end().code == 0
    system.assert_nothing_left(report)


def test_a_second_service_in_the_same_directory_ends_with_its_own_code(system: Supervised, manager: Manager) -> None:
    report = system.up(1, 0)
    with Command(system, "up", "--no-attach") as service:
        ended = service.end()
    assert ended.code == 4
    assert f"a supervisor (pid {report.pid}) runs in" in ended.errors
    assert settled(system.status())
