"""The client's prompt at a real terminal."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.scene import KINDS
from tests.services.suspension import resume, suspend
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")

TOP = Path(__file__).resolve().parents[2]


class Terminal:
    """A program at its own pseudo-terminal."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._master, slave = os.openpty()
        os.set_blocking(self._master, False)
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=TOP, env=environment, start_new_session=True
        )
        os.close(slave)
        self.seen = ""

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._master, text.encode())

    def expect(self, text: str) -> None:
        """Wait until a text is shown, after the texts that were expected before."""

        def is_there() -> bool:
            self._read()
            return text in self.seen

        wait_until(is_there, f"{text!r} on the terminal")
        self.seen = self.seen.partition(text)[2]

    def close(self) -> None:
        """Kill the program."""
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self) -> None:
        try:
            self.seen += os.read(self._master, 65536).decode("utf-8", "replace")
        except OSError:
            # There is no output now, or the program has ended.
            return


@pytest.fixture(name="system", scope="module")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    with LocalSystem(tmp_path_factory.mktemp("prompt"), worker_arguments=("--tasks", KINDS)) as running:
        yield running


@contextmanager
def at_terminal(home: Path, *arguments: str) -> Iterator[Terminal]:
    """Run the client at a terminal, and kill it at the end of the block."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CAUCE_")}
    environment |= {"XDG_STATE_HOME": str(home), "TERM": "xterm", "COLUMNS": "120", "PYTHONUTF8": "1"}
    running = Terminal([sys.executable, "-m", "core.client", *arguments], environment)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def terminal(system: LocalSystem, tmp_path: Path) -> Iterator[Terminal]:
    with at_terminal(tmp_path, "--server", str(system.addresses[0])) as running:
        running.expect("cauce> ")
        yield running


def test_each_line_is_a_task_whose_outcome_is_printed(terminal: Terminal, tmp_path: Path) -> None:
    terminal.type("/kind wordcount\n")
    terminal.expect("lines are tasks of kind wordcount")
    terminal.type("uno dos tres\n")
    terminal.expect("✓ ")
    terminal.expect("  3  (")
    terminal.type("/quit\n")
    assert terminal.process.wait(20) == 0
    history = tmp_path / "cauce" / "client-history"
    assert "uno dos tres" in history.read_text("utf-8")
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_who_waits_for_one_task_sees_how_far_it_is(system: LocalSystem, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    payload = json.dumps({"gate": str(gate)})
    address = str(system.addresses[0])
    submit = ("submit", "--id", "watched", "--kind", "telling", "--json-payload", payload, "--wait")
    with at_terminal(tmp_path, "--server", address, *submit) as submitting:
        submitting.expect("watched runs on w1 for ")
        submitting.expect(": 3/10 (30%) resizing")
        with at_terminal(tmp_path, "--server", address, "result", "watched", "--wait", "60") as asking:
            asking.expect(": 3/10 (30%) resizing")
            gate.touch()
            asking.expect("\r\x1b[Kwatched\r\n")
            assert asking.process.wait(20) == 0
        submitting.expect('\r\x1b[Kwatched done "watched"')
        assert submitting.process.wait(20) == 0


def test_an_outcome_does_not_overwrite_the_line_being_typed(terminal: Terminal) -> None:
    terminal.type("/kind sleep\n")
    terminal.expect("lines are tasks of kind sleep")
    terminal.type("not a number\n")
    terminal.expect("… ")
    terminal.type("/sta")
    terminal.expect("✗ ")
    terminal.expect("cauce> /sta")
    terminal.type("ts\n")
    terminal.expect("accepted ")


def test_control_c_clears_the_line_and_control_d_lists_unfinished_tasks(
    terminal: Terminal, system: LocalSystem
) -> None:
    terminal.type("half a li")
    terminal.expect("half a li")
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.expect("cauce> ")
    terminal.type("/status unknown\n")
    terminal.expect("there is no task unknown")
    terminal.type("/nonsense\n")
    terminal.expect("/nonsense is not a command")
    terminal.type("/kind unknown-kind\n")
    terminal.expect("lines are tasks of kind")
    terminal.type("/help\n")
    terminal.expect("a task of the current kind")
    terminal.type("/kind simulate\n")
    terminal.expect("cauce> ")
    worker = system.process("w1")
    suspend(worker.pid)
    try:
        terminal.type("a task that takes its time\n")
        terminal.expect("… ")
        # A key that is typed while no line is read may be lost.
        terminal.expect("cauce> ")
        terminal.type("\x04")
        terminal.expect("1 task has not ended yet")
    finally:
        resume(worker.pid)
    assert terminal.process.wait(60) == 0
