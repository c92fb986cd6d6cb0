"""Programs of ours that a test starts by themselves: to see how they end, or with arguments of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from core.addresses import Address
from core.closeable import Closeable
from core.errors import JournalError
from core.model import ProcessRecord, Task
from core.repository.journal import Journal
from tests.services.waiting import wait_until

TOP = Path(__file__).resolve().parents[2]


class Ended(NamedTuple):
    """How a program ended, and what it said."""

    code: int
    output: str
    errors: str


def run(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a program to its end."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=clean_environment() | dict(environment or {}),
        cwd=TOP,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def clean_environment() -> dict[str, str]:
    """The test's environment, without settings of ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith("CAUCE_")}


class Program(Closeable):
    """A program that runs while the test goes on.

    Args:
        module: as in `python -m`.
        directory: the system's.
        name: the server's or worker's.
        arguments: further ones.
    """

    def __init__(self, module: str, directory: Path, name: str, *arguments: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._journal = Journal("resultados.db", directory)
        self._log = directory / f"{name}.log"
        self._stream = self._log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "--dir", str(directory), "--name", name, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._stream,
            stderr=self._stream,
            env=clean_environment(),
            cwd=TOP,
        )

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text("utf-8", "replace")

    def record(self) -> ProcessRecord | None:
        """Its last heartbeat."""
        try:
            with self._journal.open_readonly() as repository:
                records = [record for record in repository.processes() if record.pid == self.process.pid]
        except JournalError:
            return None
        return records[-1] if records else None

    def ready(self) -> "Program":
        """Wait until it is ready."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.log}"
            record = self.record()
            return record is not None and record.status.startswith("ready")

        wait_until(is_ready, f"{self.name} to be ready")
        return self

    @property
    def address(self) -> Address:
        """Where a server listens."""
        record = self.record()
        assert record is not None
        return Address.parse(record.address)

    def terminate(self) -> None:
        """Ask it to leave."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for its end; the exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {seconds:g} s:\n{self.log}") from None

    def close(self) -> None:
        """End it at once, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._stream.close()


def server(directory: Path, name: str = "s1", *arguments: str) -> Program:
    """Start a server on a port that is free."""
    return Program("core.server", directory, name, "--listen", "127.0.0.1:0", *arguments)


def worker(directory: Path, name: str = "w1", *arguments: str) -> Program:
    """Start a worker."""
    return Program("core.worker", directory, name, *arguments)


def find(directory: Path, task_id: str) -> Task | None:
    """A task as it is in the journal."""
    with Journal("resultados.db", directory).open_readonly() as repository:
        found = repository.find_all([task_id])
        return found[0] if found else None


def counts(directory: Path) -> dict[str, int]:
    """How many tasks are in each state; only states that there are."""
    with Journal("resultados.db", directory).open_readonly() as repository:
        return {state: number for state, number in repository.counts().items() if number}
