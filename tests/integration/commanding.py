"""A command of the supervisor that runs while the test goes on."""

import signal
from typing import BinaryIO

from core.closeable import Closeable
from tests.integration.supervised import PATIENCE, Ended, Supervised


class Command(Closeable):
    """One command. What it prints goes to files: it never waits for a reader.

    Args:
        system: whose directory and environment it has.
        arguments: the command and its flags.
        output: what it prints to, when that is no file.
    """

    def __init__(self, system: Supervised, *arguments: str, output: BinaryIO | None = None) -> None:
        command, *flags = arguments
        number = sum(1 for _ in system.home.directory.glob("command-*.output"))
        self._output = system.home.directory / f"command-{number}.output"
        self._errors = system.home.directory / f"command-{number}.errors"
        with self._output.open("wb") as file, self._errors.open("wb") as errors:
            self.process = system.start(output or file, errors, command, *flags, new_session=True)

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text("utf-8")

    @property
    def errors(self) -> str:
        """What it has printed on standard error."""
        return self._errors.read_text("utf-8")

    def interrupt(self) -> None:
        """Send Ctrl-C to it, and to it alone."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(PATIENCE)
        return Ended(code, self.output, self.errors)

    def close(self) -> None:
        """End it at once, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
