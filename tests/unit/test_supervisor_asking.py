"""What a caller asks a supervisor, and how often. The supervisor is a control channel that a script answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import SupervisorError
from core.supervisor import commands, launching, state
from core.supervisor.control import ControlRequest, ControlServer, SystemStatusRequest
from core.supervisor.home import Home
from core.supervisor.lock import Lock
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.state import SupervisorState
from core.supervisor.status import Phase, SystemStatus
from tests.unit.test_supervisor_plan import settings_of

TOKEN = "the token"  # noqa: S105 - it opens nothing but this test's own channel


class Scripted:
    """A supervisor that holds the lock of a directory, and reports these phases one after the other."""

    def __init__(self, directory: Path, lock: Lock, phases: list[Phase]) -> None:
        self.requests: list[ControlRequest] = []
        self._directory = directory
        self._lock = lock
        self._phases = phases

    def handle(self, request: ControlRequest) -> SystemStatus:
        """Report the next phase. The lock is free after the last one."""
        self.requests.append(request)
        if len(self.requests) == len(self._phases):
            self._lock.close()
        return SystemStatus(
            phase=self._phases[len(self.requests) - 1],
            listen="",
            servers=(),
            broker="",
            directory=str(self._directory),
            pid=4711,
            processes=(),
        )


@contextmanager
def scripted(home: Home, *phases: Phase) -> Iterator[Scripted]:
    deaths: list[BaseException] = []
    home.create()
    with Lock(home.lock) as lock:
        supervisor = Scripted(home.directory, lock, list(phases))
        with ControlServer(TOKEN, supervisor.handle, deaths.append) as server:
            state.save(home.state, SupervisorState(ProcessIdentity(4711, 0.0), str(server.address), TOKEN))
            yield supervisor
    assert deaths == []


def test_the_status_is_asked_for_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with scripted(home, Phase.RUNNING, Phase.RUNNING) as supervisor:
        report = commands.status(home)
    assert report is not None
    assert report.pid == 4711
    assert supervisor.requests == [SystemStatusRequest(token=TOKEN)]


def test_who_attaches_to_a_system_that_stops_waits_for_its_end(tmp_path: Path) -> None:
    with scripted(Home(tmp_path), Phase.STOPPING, Phase.STOPPING, Phase.STOPPING) as supervisor:
        assert launching.attach(settings_of(tmp_path)) is None
    assert len(supervisor.requests) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"identity": {"pid": 1',
        b'{"identity": {"pid": 1, "started": 1.0}, "control": "nowhere", "token": ""}',
        b'{"identity": {"pid": 1, "started": 1.0}, "control": "127.0.0.1:99999999", "token": ""}',
        b'{"identity": {"pid": -1, "started": 1e308}, "control": "127.0.0.1:1", "token": "x"}',
        b'{"identity": {"pid": 123456789012345678901234567890, "started": 0}, "control": "127.0.0.1:1", "token": "x"}',
    ],
)
def test_a_file_that_is_truncated_or_hostile_is_one_error_and_ends_nothing(tmp_path: Path, content: bytes) -> None:
    home = Home(tmp_path)
    home.create()
    home.state.write_bytes(content)
    assert commands.status(home) is None
    assert commands.down(home).stopped == ()
    home.state.write_bytes(content)
    with Lock(home.lock), pytest.raises(SupervisorError, match="can't be reached"):
        commands.status(home, 0.1)
