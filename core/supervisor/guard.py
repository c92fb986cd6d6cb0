"""The guard: where a system is to drain when its supervisor is killed, this process sees to it.

It waits until it can have the supervisor's lock itself. A supervisor that has ended in good order has taken its own
state away; one that was killed has not, and then everything that it has left is ended in order, while the lock is
held. A supervisor that comes first holds the lock, and goes on with what is there; then the guard waits for that.
"""

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

from core.config import Settings
from core.errors import AlreadyRunning, SupervisorError
from core.supervisor import commands, options
from core.supervisor.home import Home
from core.supervisor.lock import Lock
from core.supervisor.logs.log_files import open_log
from core.supervisor.processes.process import HIDDEN

COMMAND = "guard"
LOG = "guard"
LOOK_EVERY = 0.5
_ENDS_WITHIN = 10.0

_log = logging.getLogger("cauce.supervisor")


@contextlib.contextmanager
def guarding(home: Home, settings: Settings, environment: Mapping[str, str]) -> Iterator[None]:
    """Have a guard while this runs, when the settings ask for one. The lock is held."""
    if settings[options.WHEN_KILLED] == "keep":
        yield
        return
    timeout = settings[options.STOP_TIMEOUT]
    with open_log(home.log(LOG)) as output:
        guard = subprocess.Popen(  # noqa: S603 - no shell, and the command is our own
            [
                *(sys.executable, "-m", "core.supervisor", COMMAND),
                *("--dir", str(home.directory), "--timeout", f"{timeout:g}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
            creationflags=HIDDEN,
        )
    try:
        yield
    finally:
        guard.kill()
        guard.wait(_ENDS_WITHIN)


def run(home: Home, timeout: float) -> int:
    """Wait for the supervisor's end, and end what a killed one leaves; the exit code."""
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
    """Hold the lock as soon as nobody else does: otherwise a new supervisor's processes might be taken for orphans."""
    while True:
        try:
            return Lock(home.lock)
        except AlreadyRunning:
            time.sleep(LOOK_EVERY)
