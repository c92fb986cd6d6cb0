"""A real console in a real terminal: a private tmux server that gets keys and gives its cells and raw bytes."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from core.closeable import Closeable
from tests.services.waiting import wait_until

_TOP = Path(__file__).resolve().parents[2]
TIMEOUT = 60.0


class Terminal(Closeable):
    """Runs one program in a terminal.

    Args:
        arguments: of `python -m tui`.
        directory: where it runs.
        size: columns and lines.
        environment: more variables.
        job_control: whether the shell takes the terminal back when the program is suspended. It then writes SUSPENDED,
            and continues the program after Enter.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        directory: Path,
        *,
        size: tuple[int, int] = (120, 40),
        environment: Mapping[str, str] | None = None,
        job_control: bool = False,
    ) -> None:
        tmux = shutil.which("tmux")
        if tmux is None:
            pytest.fail("tmux is missing: sudo apt-get install tmux")
        self._tmux = tmux
        # The path of a socket must be short: the test's own directory would be too long.
        self._directory = Path(tempfile.mkdtemp(prefix="cauce-"))
        self._code = self._directory / "code"
        self.raw = self._directory / "raw"
        variables = {"TERM": "tmux-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(_TOP)}
        variables |= environment or {}
        assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
        program = shlex.join([sys.executable, "-m", "tui", *arguments])
        command = f"cd {shlex.quote(str(directory))} && env -u COLUMNS -u LINES {assignments} {program}"
        code = shlex.quote(str(self._code))
        # The shell stays, so that the screen can be read after the program has ended.
        if job_control:
            suspended = 128 + signal.SIGTSTP, 128 + signal.SIGSTOP
            test = " -o ".join(f"$code -eq {each}" for each in suspended)
            command = (
                f"set -m; {command}; code=$?;"
                f" while [ {test} ]; do echo SUSPENDED; read -r _; fg; code=$?; done; (exit $code)"
            )
        script = f"read -r _; {command}; echo $? > {code}.new; mv {code}.new {code}; read -r _"
        self._run(
            *("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1])),
            *("sh", "-c", script),
            *(";", "set-option", "-g", "status", "off", ";", "set-option", "-g", "escape-time", "0"),
            *(
                ";",
                "set-option",
                "-g",
                "window-size",
                "manual",
                ";",
                "set-option",
                "-g",
                "default-size",
                "x".join(map(str, size)),
            ),
        )
        self.resize(*size)
        self._run("pipe-pane", "-o", f"cat > {shlex.quote(str(self.raw))}")
        self.keys("Enter")

    def keys(self, *names: str) -> None:
        """Press keys, by tmux's names."""
        self._run("send-keys", *names)

    def type(self, text: str) -> None:
        """Type a text."""
        self._run("send-keys", "-l", "--", text)

    def resize(self, columns: int, lines: int) -> None:
        """Resize the window."""

        def has_it() -> bool:
            # A new window may take its default size after it was resized.
            self._run("resize-window", "-x", str(columns), "-y", str(lines))
            return self.value("pane_width") == str(columns) and self.value("pane_height") == str(lines)

        wait_until(has_it, "the window to have its size", TIMEOUT)

    def screen(self) -> str:
        """Return the text of the screen."""
        return self._run("capture-pane", "-p")

    def colours(self) -> str:
        """Return the screen with its colour sequences."""
        return self._run("capture-pane", "-p", "-e", "-N")

    def value(self, name: str) -> str:
        """Return a value that tmux has of the pane, such as its title."""
        return self._run("display-message", "-p", f"#{{{name}}}").strip()

    def wait_for(self, pattern: str, seconds: float = TIMEOUT) -> str:
        """Wait until a pattern is on the screen. Returns the screen."""
        shown = ""

        def there(screen: str) -> bool:
            nonlocal shown
            shown = screen
            if re.search(pattern, shown):
                return True
            assert not self._code.exists(), f"the console has ended with {self.code} before {pattern!r} came:\n{shown}"
            return False

        try:
            self._wait_for_screen(there, repr(pattern), seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; on the screen is\n{shown}") from None
        return shown

    def leave(self, gone: str) -> None:
        """Press Escape when a pattern is on the screen, and wait until it is gone.

        A key that followed too soon would be taken for one with Alt.
        """
        self.wait_for(gone)
        self.keys("Escape")
        self._wait_for_screen(lambda screen: re.search(gone, screen) is None, f"{gone!r} to go")

    def _wait_for_screen(self, condition: Callable[[str], bool], what: str, seconds: float = TIMEOUT) -> None:
        """Wait until a condition holds for the screen, which is read again only when something was written to it."""
        read: tuple[int, bool] | None = None

        def holds() -> bool:
            nonlocal read
            # Taken before the screen is read: what comes meanwhile has it read once more.
            written = self.raw.stat().st_size if self.raw.exists() else 0, self._code.exists()
            if written == read:
                return False
            read = written
            return condition(self.screen())

        wait_until(holds, what, seconds)

    def wait_for_end(self) -> int:
        """Wait until the program has ended. Returns its exit code."""
        wait_until(self._code.exists, "the console to end", TIMEOUT)
        return self.code

    @property
    def code(self) -> int:
        """The exit code."""
        return int(self._code.read_text("utf-8"))

    @property
    def pid(self) -> int:
        """The process id of the program."""
        shell = int(self.value("pane_pid"))
        found = subprocess.run(["pgrep", "-P", str(shell)], capture_output=True, text=True, check=True).stdout.split()
        return int(found[0])

    def close(self) -> None:
        """End the terminal, and check that the console ends with it."""
        left = psutil.Process(int(self.value("pane_pid"))).children()
        subprocess.run(
            [self._tmux, "-S", str(self._directory / "socket"), "kill-server"], capture_output=True, check=False
        )
        shutil.rmtree(self._directory, ignore_errors=True)
        wait_until(lambda: not psutil.wait_procs(left, timeout=0)[1], "the console to end with its terminal", TIMEOUT)

    def _run(self, *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TMUX", "CAUCE_"))}
        ended = subprocess.run(
            [self._tmux, "-u", "-S", str(self._directory / "socket"), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            env=environment,
            check=False,
        )
        assert ended.returncode == 0, f"tmux {arguments[:3]}: {ended.stderr}"
        return ended.stdout
