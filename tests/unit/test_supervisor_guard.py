"""The guard ends what a killed supervisor has left, and nothing else, and never while a supervisor runs."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.supervisor import guard, state
from core.supervisor.home import Home
from core.supervisor.lock import Lock
from core.supervisor.plan import MARK
from core.supervisor.processes import process_identity
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.state import SupervisorState
from tests.services.waiting import wait_until

WAITS = "import sys; print('here', flush=True); sys.stdin.read()"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "one")
    made.create()
    return made


@contextmanager
def child(directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that works for a data directory."""
    with subprocess.Popen(
        [sys.executable, "-c", WAITS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, MARK: str(directory)},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def leave_state(home: Home) -> None:
    """Write the file that a killed supervisor leaves."""
    state.save(home.state, SupervisorState(ProcessIdentity(1, 0.0), "127.0.0.1:1", "token"))


def test_after_an_orderly_end_nothing_is_touched(home: Home) -> None:
    with child(home.directory) as process:
        assert guard.run(home, 5.0) == 0
        assert process.poll() is None


def test_what_a_killed_supervisor_has_left_is_ended_and_nothing_else(home: Home, tmp_path: Path) -> None:
    leave_state(home)
    with child(home.directory) as own, child(tmp_path / "two") as other:
        assert guard.run(home, 5.0) == 0
        assert own.wait(10) != 0
        assert other.poll() is None
    assert not home.state.exists()


def test_a_new_supervisor_that_comes_first_is_waited_for(home: Home) -> None:
    leave_state(home)
    codes: list[int] = []
    with child(home.directory) as process:
        with Lock(home.lock):
            waiting = threading.Thread(target=lambda: codes.append(guard.run(home, 5.0)))
            waiting.start()
            waiting.join(3 * guard.LOCK_INTERVAL)
            assert waiting.is_alive()
            assert process.poll() is None
            # The supervisor ends in order.
            state.remove(home.state)
        waiting.join(10)
        assert codes == [0]
        assert process.poll() is None
    wait_until(lambda: not process_identity.processes_of(home), "the child to end")
