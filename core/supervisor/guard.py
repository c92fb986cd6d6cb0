"""The guard: a process that ends the system in order when its supervisor is killed, if the settings ask for it.

It waits for the supervisor's lock. A supervisor that ends in order removes its state file. A killed one does not:
then the guard ends what is left, holding the lock. A new supervisor that takes the lock first adopts the processes,
and the guard then waits for the end of that supervisor.
"""

import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Iterator, Mapping

from core import child_programs
from core.config import Settings
from core.errors import AlreadyRunning, SupervisorError
from core.supervisor import commands, options
from core.supervisor.home import Home
from core.supervisor.lock import Lock
from core.supervisor.logs.log_files import open_log
from core.supervisor.processes.process import HIDDEN_FLAGS

COMMAND = "guard"
LOG = "guard"
LOCK_INTERVAL = 0.5
_EXIT_TIMEOUT = 10.0

_log = logging.getLogger("cauce.supervisor")


@contextlib.contextmanager
def guarding(home: Home, settings: Settings, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a guard during the block, if the settings ask for one. The caller must hold the lock."""
    if settings[options.WHEN_KILLED] == "keep":
        yield
        return
    timeout = settings[options.STOP_TIMEOUT]
    with open_log(home.log(LOG)) as output:
        guard = subprocess.Popen(  # noqa: S603 - no shell, and the command is our own
            [
                *child_programs.command("core.supervisor", COMMAND),
                *("--dir", str(home.directory), "--timeout", f"{timeout:g}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_programs.environment(environment),
            start_new_session=True,
            creationflags=HIDDEN_FLAGS,
        )
    try:
        yield
    finally:
        guard.kill()
        guard.wait(_EXIT_TIMEOUT)


def run(home: Home, timeout: float) -> int:
    """Wait for the supervisor's end, and end what a killed supervisor has left. Returns the exit code."""
    with _lock_when_free(home):
        if not home.state.exists():
            return 0
        _log.warning("the supervisor was killed: ending what it has left (guard, pid %d)", os.getpid())
        try:
            swept = commands.sweep(home, timeout)
        except SupervisorError as error:
            _log.error("%s", error)
            return 1
    _log.warning("ended: %s", ", ".join((*swept.stopped, *swept.killed)) or "nothing was left")
    return 0


def _lock_when_free(home: Home) -> Lock:
    """Take the lock when it is free. Without it, the processes of a new supervisor could be taken for orphans."""
    while True:
        try:
            return Lock(home.lock)
        except AlreadyRunning:
            time.sleep(LOCK_INTERVAL)
