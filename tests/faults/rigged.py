"""Where a case is held against a system that is broken on purpose: another program in place of one of core.

The case's own function runs there and doesn't know. A server is another program. A worker is broken by a module of
tasks that it loads, so that it is broken wherever it is started, also by a supervisor.
"""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from core.addresses import Address
from tests.faults.arena import Arena
from tests.faults.values import Finding, Invariant, Outcome, Profile
from tests.integration.programs import TOP, clean_environment
from tests.services.system import LocalSystem

SERVER = "core.server"


class RiggedArena(Arena):
    """A place within a case's own, with a size between those of the profiles.

    Args:
        arena: of the control.
        part: how much of the long profile is done; what the quick one does when 0.
        tasks: the file with the kinds, which may break the worker that loads it; the honest one when None.
    """

    def __init__(self, arena: Arena, part: float, tasks: Path | None) -> None:
        directory = arena.directory / "rigged"
        directory.mkdir(mode=0o700)
        super().__init__(directory, Profile.LONG if part else Profile.QUICK, arena.seed, arena.say)
        self._part = part
        self._tasks = tasks

    @property
    def tasks_module(self) -> str:
        """The file with the kinds that workers have to know."""
        return super().tasks_module if self._tasks is None else str(self._tasks)

    def size(self, quick: int, long: int) -> int:
        """How much to do."""
        return max(quick, math.ceil(self._part * long)) if self._part else quick


class RiggedSystem(LocalSystem):
    """A local system of which the servers are another program.

    Args:
        directory: where the system's files are.
        servers: how many to start.
        workers: how many to start.
        program: the servers', as in `python -m`.
        server_arguments: further arguments of each server.
        worker_arguments: further arguments of each worker.
    """

    def __init__(
        self,
        directory: Path,
        servers: int = 1,
        workers: int = 1,
        *,
        program: str = SERVER,
        server_arguments: Sequence[str] = (),
        worker_arguments: Sequence[str] = (),
    ) -> None:
        super().__init__(
            directory, servers, workers, server_arguments=server_arguments, worker_arguments=worker_arguments
        )
        self._program = program

    def _launch(self, name: str) -> None:
        if not name.startswith("s") or self._program == SERVER:
            super()._launch(name)
            return
        listen = str(self._addresses.get(name, Address("127.0.0.1", 0)))
        command = [sys.executable, "-m", self._program, "--dir", str(self.directory), "--name", name]
        self.directory.mkdir(parents=True, exist_ok=True)
        log = (self.directory / f"{name}.log").open("ab")
        self._logs.append(log)
        self._processes[name] = subprocess.Popen(
            [*command, *self._arguments["server"], "--listen", listen],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean_environment(),
            cwd=TOP,
        )


def attempted(case: Callable[[Arena], Outcome], arena: Arena) -> Outcome:
    """What a case says; that it broke down, as the campaign would."""
    try:
        return case(arena)
    except AssertionError as error:
        return Outcome(broken=(Finding(Invariant.CLEAN, f"the case broke down: {error}"),))
    finally:
        arena.ledger.close()
