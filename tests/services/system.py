"""A whole local system for a test: servers and workers as processes of their own, in one directory."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from core.addresses import Address
from core.closeable import Closeable
from core.errors import JournalError
from core.model import ProcessRecord, Task
from core.repository.journal import Journal
from tests.services.waiting import wait_until

START_SECONDS = 150.0
STOP_SECONDS = 60.0
_TOP = Path(__file__).resolve().parents[2]


class LocalSystem(Closeable):
    """Starts servers `s1`, `s2` … and workers `w1`, `w2` …, and ends what it started.

    Args:
        directory: where the system's files are.
        servers: how many to start.
        workers: how many to start.
        broker: a URL as the programs take it.
        server_program: of the servers, as in `python -m`.
        server_arguments: further arguments of each server.
        worker_arguments: further arguments of each worker.
    """

    def __init__(
        self,
        directory: Path,
        servers: int = 1,
        workers: int = 1,
        *,
        broker: str = "embedded",
        server_program: str = "core.server",
        server_arguments: Sequence[str] = (),
        worker_arguments: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self._journal = Journal("resultados.db", directory)
        self._broker = broker
        self._programs = {"server": server_program, "worker": "core.worker"}
        self._arguments = {"server": list(server_arguments), "worker": list(worker_arguments)}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[IO[bytes]] = []
        self._addresses: dict[str, Address] = {}
        self._wanted = [f"s{number + 1}" for number in range(servers)]
        self._wanted += [f"w{number + 1}" for number in range(workers)]

    def __enter__(self) -> Self:
        try:
            for name in self._wanted:
                self._launch(name)
            for name in self._wanted:
                self._await_ready(name)
        except BaseException:
            self._kill_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            # The test's own failure is the one to be seen.
            self._kill_all()

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self._journal.path

    @property
    def addresses(self) -> list[Address]:
        """Where the servers listen, or did, in the order of their start."""
        return list(self._addresses.values())

    def address(self, name: str) -> Address:
        """Where one server listens."""
        return self._addresses[name]

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """The process of a server or worker."""
        return self._processes[name]

    def start(self, name: str) -> None:
        """Start a server (`s…`) or a worker (`w…`); a server that was here before gets its address again."""
        self._launch(name)
        self._await_ready(name)

    def kill(self, name: str) -> None:
        """End a process at once, as a crash would."""
        process = self._processes.pop(name)
        process.kill()
        process.wait(STOP_SECONDS)

    def stop(self, name: str) -> None:
        """Ask a process to leave, and make sure that it does, and in good order."""
        self._join(name, self._ask(name))

    def close(self) -> None:
        """Ask all to leave, and make sure that they do."""
        try:
            asked = {name: self._ask(name) for name in list(self._processes)}
            for name, process in asked.items():
                self._join(name, process)
        finally:
            self._kill_all()

    def log(self, name: str) -> str:
        """What a process has written."""
        file = self.directory / f"{name}.log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def task(self, task_id: str) -> Task | None:
        """A task as it is in the journal."""
        with self._journal.open_readonly() as repository:
            found = repository.find_all([task_id])
        return found[0] if found else None

    def counts(self) -> dict[str, int]:
        """How many tasks the journal has in each state; states without any are left out."""
        with self._journal.open_readonly() as repository:
            return {state: count for state, count in repository.counts().items() if count}

    def _launch(self, name: str) -> None:
        role = "server" if name.startswith("s") else "worker"
        command = [sys.executable, "-m", self._programs[role], "--dir", str(self.directory), "--broker", self._broker]
        command += ["--name", name, *self._arguments[role]]
        if role == "server":
            command += ["--listen", str(self._addresses.get(name, Address("127.0.0.1", 0)))]
        self.directory.mkdir(parents=True, exist_ok=True)
        log = (self.directory / f"{name}.log").open("ab")
        self._logs.append(log)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CAUCE_")}
        self._processes[name] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=_TOP
        )

    def _await_ready(self, name: str) -> None:
        process = self._processes[name]

        def is_ready() -> bool:
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{self.log(name)}"
            record = self._record(process.pid)
            if record is None or not record.status.startswith("ready"):
                return False
            if record.address:
                self._addresses[name] = Address.parse(record.address)
            return True

        wait_until(is_ready, f"{name} to be ready", START_SECONDS)

    def _record(self, pid: int) -> ProcessRecord | None:
        try:
            with self._journal.open_readonly() as repository:
                records = [record for record in repository.processes() if record.pid == pid]
        except JournalError:
            return None
        return records[-1] if records else None

    def _ask(self, name: str) -> subprocess.Popen[bytes]:
        process = self._processes.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        return process

    def _join(self, name: str, process: subprocess.Popen[bytes]) -> None:
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{name} did not leave within {STOP_SECONDS:g} s:\n{self.log(name)}") from None
        assert code == 0 or sys.platform == "win32", f"{name} left with {code}:\n{self.log(name)}"

    def _kill_all(self) -> None:
        for name in list(self._processes):
            self.kill(name)
        for log in self._logs:
            log.close()
        self._logs.clear()
