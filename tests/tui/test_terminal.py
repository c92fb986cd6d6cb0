"""The real console, in a real terminal, over a real system."""

import fcntl
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.addresses import LOOPBACK
from core.client import Client
from core.model import State
from core.repository.journal import Journal
from core.supervisor import commands
from core.supervisor.home import Home
from core.supervisor.processes import process_identity
from core.supervisor.status import SystemStatus
from tests.integration.supervised import Supervised
from tests.services.waiting import wait_until
from tests.tui.terminal import TIMEOUT, Terminal

_TOP = Path(__file__).resolve().parents[2]
UP = ("--up", "--servers", "1", "--workers", "2", "-c", "2", "--listen", "127.0.0.1:0", "--server-port", "0")
HOSTILE = (
    "\x1b]2;PWNED\x07",
    "\x1b[2J\x1b[?1049l",
    "\x9b31m\x00\x07",
    "[red]x[/red] [/foo] [@click=app.quit]click[/]",
    "a\u202egnp.exe \u200b\u2066",
    "\ud83d\ude00 👩‍👩‍👧 ﷽ ｗｉｄｅ",
    "x" * 20_000,
    "line\nline\r\n\tend",
)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


def report(home: Home) -> SystemStatus:
    """Return the status of the system."""
    status = commands.status(home)
    assert status is not None
    return status


@pytest.mark.timeout(240)
def test_one_command_starts_the_system_and_keys_do_the_rest(system: Supervised) -> None:
    directory = system.home.directory
    with Terminal(UP, directory) as terminal:
        terminal.wait_for(r"● ready")
        before = report(system.home)
        terminal.keys("1")
        terminal.wait_for("Type a task and press Enter")
        terminal.type("hello river")
        terminal.keys("Enter")
        terminal.wait_for(r"simulate +hello river.*✓ done")
        assert "1 of 1 have ended" in terminal.screen()

        # Kill a worker, and see that it comes back and that work goes on.
        terminal.leave("To the list")
        terminal.keys("3")
        terminal.wait_for(r"w2 .*● ready")
        terminal.keys("End", "X")
        terminal.wait_for(r"Kill w2\?")
        terminal.keys("Right", "Enter")
        wait_until(lambda: _worker_pid(system.home) not in {None, before.processes[-1].pid}, "another worker", TIMEOUT)
        terminal.wait_for(r"w2 .*● ready")
        terminal.keys("1")
        terminal.wait_for("New task")
        terminal.type("still works")
        terminal.keys("Enter")
        terminal.wait_for(r"still works.*✓ done")
        terminal.leave("To the list")
        terminal.keys("2")
        terminal.wait_for(r"2 done")
        terminal.wait_for("─ Results ─")

        # Leave it, and everything with it.
        terminal.keys("q")
        terminal.wait_for(r"Stop it and leave")
        terminal.keys("Right")
        terminal.keys("Right")
        terminal.keys("Enter")
        assert terminal.wait_for_end() == 0
        assert terminal.value("alternate_on") == "0"
        assert terminal.value("mouse_any_flag") == "0"
    assert process_identity.processes_of(system.home) == []
    assert commands.status(system.home) is None


def _worker_pid(home: Home) -> int | None:
    return next((part.pid for part in report(home).processes if part.name == "w2"), None)


def test_a_start_that_fails_is_explained_in_the_console_and_can_be_tried_again(system: Supervised) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        listen = f"{LOOPBACK}:{taken.getsockname()[1]}"
        flags = ("--up", "--servers", "1", "--workers", "1", "--listen", listen, "--no-nginx", "--server-port", "0")
        with Terminal(flags, system.home.directory) as terminal:
            terminal.wait_for("The system could not be started")
            shown = terminal.wait_for("press u to start again")
            assert listen in shown
            assert commands.status(system.home) is None
            terminal.keys("3")
            terminal.wait_for(rf"supervisor core.supervisor: {listen} is held by")
            terminal.keys("2")
            taken.close()
            terminal.keys("u")
            terminal.wait_for("● ready")
            assert "could not be started" not in terminal.screen()


def test_a_system_with_other_settings_is_refused_before_the_console_opens(system: Supervised) -> None:
    system.up(1, 1)
    with Terminal(("--up", "--workers", "3"), system.home.directory) as terminal:
        assert terminal.wait_for_end() == 4
        assert "--workers: 1 runs, 3 was asked for" in terminal.screen().replace("\n", " ")
        assert b"\x1b[?1049h" not in terminal.raw.read_bytes()
    with Terminal(("--up", "--workers", "1"), system.home.directory) as terminal:
        terminal.wait_for("● ready")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--nginx", "--servers", "0"), "NGINX needs at least one server"),
        (("--broker", "pigeon://here"), "pigeon"),
    ],
)
def test_invalid_settings_are_refused_before_the_console_opens(
    tmp_path: Path, flags: tuple[str, ...], reason: str
) -> None:
    with Terminal(("--up", *flags), tmp_path) as terminal:
        assert terminal.wait_for_end() == 2
        assert reason in terminal.screen()
        assert b"\x1b[?1049h" not in terminal.raw.read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_payload_is_edited_in_the_persons_editor(system: Supervised, tmp_path: Path) -> None:
    system.up(1, 1)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "in the editor"; printf "changed" >> "$1"\n', "utf-8")
    editor.chmod(0o700)
    with Terminal((), system.home.directory, environment={"EDITOR": str(editor), "VISUAL": ""}) as terminal:
        terminal.wait_for("● ready")
        terminal.keys("1")
        terminal.wait_for("New task")
        terminal.type("un")
        terminal.wait_for("a text of 2 characters")
        terminal.keys("C-n")
        terminal.wait_for("unchanged")
        terminal.keys("Enter")
        terminal.wait_for(r"unchanged.*✓ done")
        terminal.leave("To the list")
        terminal.keys("q")
        terminal.wait_for("Leave it running")
        terminal.keys("Right")
        terminal.keys("Enter")
        assert terminal.wait_for_end() == 0


def test_ctrl_z_returns_to_the_shell_and_fg_to_the_console(system: Supervised) -> None:
    system.up(1, 1)
    with (
        Terminal((), system.home.directory, job_control=True) as terminal,
        Client(report(system.home).listen) as client,
    ):
        terminal.wait_for("● ready")
        terminal.keys("1")
        terminal.wait_for("New task")
        # In a field of text, too.
        terminal.keys("C-z")
        terminal.wait_for("SUSPENDED")
        assert terminal.value("alternate_on") == "0"
        assert terminal.value("cursor_flag") == "1"
        assert client.submit("echo", "meanwhile").result(timeout=TIMEOUT) == "meanwhile"
        terminal.keys("Enter")
        terminal.wait_for("New task")
        terminal.keys("F3")
        terminal.wait_for("meanwhile")
        terminal.keys("q")
        terminal.wait_for("Leave it running")
        terminal.keys("C-z")
        terminal.wait_for("SUSPENDED")
        terminal.keys("Enter")
        terminal.wait_for("Leave it running")
        terminal.keys("Escape")
        terminal.wait_for("Results")


def test_ctrl_z_without_a_shell_to_return_to_suspends_nothing(tmp_path: Path) -> None:
    with Terminal((), tmp_path) as terminal:
        terminal.wait_for("nothing runs")
        terminal.keys("C-z", "1")
        terminal.wait_for("New task")
        # There it undoes, as it does in an editor.
        terminal.type("one ")
        terminal.wait_for("one")
        terminal.keys("C-z")
        terminal.wait_for("Type a task and press Enter")
        assert psutil.Process(terminal.pid).status() != psutil.STATUS_STOPPED
        terminal.leave("To the list")
        terminal.keys("q")
        assert terminal.wait_for_end() == 0
        # Nothing runs, so that nothing is said about it.
        assert terminal.screen().strip() == ""


def test_leaving_says_what_still_runs(system: Supervised, tmp_path: Path) -> None:
    system.up(1, 1)
    directory = system.home.directory
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for language, still, stop in (
        ("en", "Still running in", "Stop the system:"),
        ("es", "Sigue en marcha en", "Detener el sistema:"),
    ):
        with Terminal(("--dir", str(directory), "--lang", language), elsewhere, size=(80, 24)) as terminal:
            terminal.wait_for(r"● (ready|listo)")
            terminal.keys("q")
            terminal.wait_for("Leave it running|Dejarlo en marcha")
            terminal.keys("Right", "Enter")
            assert terminal.wait_for_end() == 0
            shown = terminal.screen().replace("\n", "")
            assert f"{still} {directory}: s1, w1." in shown
            assert f"{stop} python -m core.supervisor down --dir {directory}" in shown
            assert f"python -m tui --dir {directory}" in shown


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_restores_the_terminal_and_stops_nothing(
    system: Supervised, number: signal.Signals, code: int
) -> None:
    before = system.up(1, 1)
    with Terminal((), system.home.directory) as terminal:
        terminal.wait_for("● ready")
        os.kill(terminal.pid, number)
        assert terminal.wait_for_end() == code
        assert terminal.value("alternate_on") == "0"
        assert terminal.value("mouse_any_flag") == "0"
        assert terminal.value("cursor_flag") == "1"
    assert [part.pid for part in report(system.home).processes] == [part.pid for part in before.processes]


def test_a_killed_console_or_a_closed_terminal_stops_nothing(system: Supervised) -> None:
    before = system.up(1, 1)
    with Terminal((), system.home.directory) as terminal:
        terminal.wait_for("● ready")
        pid = terminal.pid
    wait_until(lambda: not psutil.pid_exists(pid), "the console to end with its terminal", TIMEOUT)
    with Terminal((), system.home.directory) as terminal:
        terminal.wait_for("● ready")
        os.kill(terminal.pid, signal.SIGKILL)
        assert terminal.wait_for_end() == 137
    assert [part.pid for part in report(system.home).processes] == [part.pid for part in before.processes]


@pytest.mark.skipif(not Path("/proc/self/wchan").exists(), reason="only Linux shows what a thread waits for")
@pytest.mark.timeout(120)
def test_a_signal_ends_the_console_although_its_terminal_is_blocked(tmp_path: Path) -> None:
    master, slave = os.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(_TOP)}
    with subprocess.Popen(
        (sys.executable, "-m", "tui"), cwd=tmp_path, env=environment, stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        drawn = bytearray()

        def read() -> bool:
            drawn.extend(os.read(master, 65536))
            return b"Workers" in drawn

        sizes = itertools.cycle([(24, 80), (40, 120)])
        main_thread = Path(f"/proc/{process.pid}/task/{process.pid}/wchan")

        looks: list[bool] = []

        def held_up() -> bool:
            looks.append("futex" in main_thread.read_text("ascii"))
            if not looks[-1]:
                # A resize redraws everything, and the output is not read.
                fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *next(sizes), 0, 0))
                process.send_signal(signal.SIGWINCH)
            return len(looks) >= 50 and all(looks[-50:])

        try:
            wait_until(read, "the first frame", TIMEOUT)
            wait_until(held_up, "the console to wait for its terminal", TIMEOUT)
            process.terminate()
            assert process.wait(TIMEOUT) == 128 + signal.SIGTERM
        finally:
            process.kill()
            os.close(master)


@pytest.mark.timeout(240)
def test_hostile_text_reaches_no_terminal_from_any_screen(system: Supervised) -> None:
    started = system.up(1, 1, "--lab")
    ids = []
    with Client(started.listen) as client:
        for kind in ("echo", "fail"):
            ids += [client.submit(kind, text.encode("utf-8", "replace").decode(), retries=0).id for text in HOSTILE]
        for outcome in client.results(ids):
            assert getattr(outcome, "state", None) in {State.DONE, State.FAILED}, outcome
    with (system.home.directory / ".cauce" / "logs" / "w1.log").open("ab") as log:
        log.write(b"\x1b]2;PWNED\x07 \x9b2J \xff\xfe \x1b[2J\n")
    with Terminal((), system.home.directory, size=(100, 30)) as terminal:
        title = terminal.value("pane_title")
        terminal.wait_for("16 tasks")
        for _ in HOSTILE:
            terminal.keys("Enter")
            terminal.wait_for("Escape Close")
            terminal.keys("End")
            terminal.leave("Escape Close")
            terminal.keys("Down")
        for key, shown in (("3", "Processes"), ("4", "Failed"), ("5", "The path of a task"), ("1", "New task")):
            terminal.keys(key)
            terminal.wait_for(f"─ {shown} ─")
        terminal.type("[/foo]")
        terminal.keys("Enter")
        terminal.wait_for(r"\[/foo\].*(done|queued|accepted)")
        terminal.leave("To the list")
        terminal.keys("4")
        terminal.wait_for("─ Failed ─")
        assert terminal.value("pane_title") == title
        assert terminal.value("alternate_on") == "1"
        raw = terminal.raw.read_bytes()
        assert b"\x1b]2;" not in raw
        assert b"\x9b" not in raw.replace("蛛".encode(), b"").replace(b"\xe2\x9b", b"")
        assert b"\x00" not in raw
        terminal.keys("q")
        terminal.wait_for("Leave it running")
        terminal.keys("Right")
        terminal.keys("Enter")
        assert terminal.wait_for_end() == 0


def test_without_a_terminal_there_is_an_error() -> None:
    ended = run()
    assert ended.returncode == 2
    assert "this needs a terminal" in ended.stderr
    assert ended.stdout == ""


def test_a_dump_is_what_the_console_would_show(system: Supervised) -> None:
    started = system.up(1, 1)
    with Client(started.listen) as client:
        assert client.submit("echo", "x").result(30) == "x"
    ended = run("--dump", "--dir", str(system.home.directory))
    assert ended.returncode == 0, ended.stderr
    dumped = json.loads(ended.stdout)
    assert dumped["snapshot"]["ledger"]["done"] == 1
    assert [part["name"] for part in dumped["report"]["processes"]] == ["s1", "w1"]
    assert dumped["report"]["listen"] == started.listen
    assert dumped["snapshot"]["depth"] == {"ready": 0, "dead": 0}


def test_a_dump_creates_nothing(tmp_path: Path) -> None:
    ended = run("--dump", "--dir", str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["report"] is None
    assert list(tmp_path.iterdir()) == []


def test_a_system_without_a_supervisor_is_shown_and_used(tmp_path: Path) -> None:
    from tests.services.system import LocalSystem

    with LocalSystem(tmp_path, servers=1, workers=1), Terminal((), tmp_path, size=(80, 24)) as terminal:
        terminal.wait_for(r"1 worker .*1 server")
        terminal.keys("1")
        terminal.wait_for("New task")
        terminal.type("tres")
        terminal.keys("Enter")
        terminal.wait_for(r"✓ done")
        terminal.leave("To the list")
        terminal.keys("3")
        terminal.wait_for("No supervisor runs here")
        terminal.keys("q")
        assert terminal.wait_for_end() == 0
    with Journal("resultados.db", tmp_path).open_readonly() as repository:
        assert repository.counts()[State.DONE] == 1


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--lang", "xx"), "'xx' is unknown; choose one of en, es"),
        (("--hz", "0"), "must be from 0.1 to 10"),
        (("--database", "ftp://x"), "database: 'ftp' is not supported"),
    ],
)
def test_a_wrong_setting_is_explained(tmp_path: Path, flags: tuple[str, str], reason: str) -> None:
    with Terminal(flags, tmp_path) as terminal:
        assert terminal.wait_for_end() == 2
        assert reason in terminal.screen().replace("\n", "")


def test_an_invalid_editor_is_explained(tmp_path: Path) -> None:
    with Terminal((), tmp_path, environment={"VISUAL": "vi 'unclosed"}) as terminal:
        assert terminal.wait_for_end() == 2
        assert "can't be read: No closing quotation" in terminal.screen().replace("\n", "")


def test_choices_of_another_version_do_not_keep_the_console_from_starting(tmp_path: Path) -> None:
    kept = tmp_path / ".cauce" / "console.json"
    kept.parent.mkdir()
    kept.write_text('{"tab": "elsewhere", "theme": 8, "filter": ["x"], "sort": {}, "compact": "yes"}', "utf-8")
    with Terminal((), tmp_path) as terminal:
        terminal.wait_for("New task")
        terminal.leave("To the list")
        terminal.keys("q")
        assert terminal.wait_for_end() == 0


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the console without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "tui", *arguments],
        cwd=_TOP,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
