"""One process of a part: how it is started, watched and ended. It belongs to one thread.

A child is the leader of a session of its own, so a Ctrl-C at the terminal reaches only the supervisor,
and whatever it starts can be ended with it. Its output goes straight to its log file, so that it never waits
for the supervisor, and goes on when that is killed; the next supervisor adopts it then.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Protocol

from core.errors import SupervisorError
from core.supervisor.home import Home
from core.supervisor.logs.log_files import last_lines, open_log
from core.supervisor.plan import ProcessSpec
from core.supervisor.processes import process_identity
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.state import ChildRecord

if sys.platform == "win32":
    GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
    """Makes a process that Ctrl-C doesn't reach."""
    HIDDEN = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    """The same, with a console that nobody sees: without any it could not send Ctrl-Break to its children."""
else:
    GROUP = HIDDEN = 0


UNSEEN = 1000
"""In the place of an exit code: the process has ended, and only its parent, which is gone, could tell how."""


class RunningProcess(Protocol):
    """A process of a part, started here or adopted."""

    @property
    def name(self) -> str:
        """Its name in this system."""
        ...

    @property
    def identity(self) -> ProcessIdentity:
        """Which process it is."""
        ...

    @property
    def spawned_at(self) -> float:
        """When it was started, seconds since the epoch."""
        ...

    @property
    def pids(self) -> frozenset[int]:
        """The ids under which it may know itself."""
        ...

    def poll(self) -> int | None:
        """The exit code, minus the signal that killed it, or `UNSEEN`; None while it runs."""
        ...

    def ask_to_leave(self) -> None:
        """Ask it to end in good order."""
        ...

    def kill(self) -> None:
        """End it and all that belongs to it at once."""
        ...

    def gone(self) -> bool:
        """Whether it has ended; what it started may not have."""
        ...

    def clean(self) -> None:
        """End what it left behind when it ended."""
        ...

    def last_words(self) -> list[str]:
        """The last lines that it printed."""
        ...


class ChildProcess:
    """A process that was started from a specification.

    Args:
        spec: what to run.
        home: of the data directory that it works for.
        environment: the supervisor's own.

    Raises:
        SupervisorError: it can't be started.

    Attributes:
        spawned_at: when it was started, seconds since the epoch.
    """

    def __init__(self, spec: ProcessSpec, home: Home, environment: Mapping[str, str]) -> None:
        self.spec = spec
        self._home = home
        self._log = home.log(spec.name)
        self.spawned_at = time.time()
        try:
            with open_log(self._log) as output:
                self._log_start = output.tell()
                self._process = subprocess.Popen(  # noqa: S603 - no shell, and the command is our own
                    spec.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**environment, **spec.environment},
                    cwd=spec.directory,
                    start_new_session=True,
                    creationflags=GROUP,
                )
        except OSError as error:
            raise SupervisorError(f"can't start {spec.name}: {error}") from error
        # One that has ended already is still in the table, as it was not waited for; it is only no longer alive.
        self.identity = process_identity.identify(self._process.pid) or ProcessIdentity(
            self._process.pid, self.spawned_at
        )

    @property
    def name(self) -> str:
        """Its name in this system."""
        return self.spec.name

    @property
    def pids(self) -> frozenset[int]:
        """The ids under which it may know itself."""
        return process_identity.family(self._process.pid)

    def poll(self) -> int | None:
        """The exit code (minus the signal that killed it); None while it runs."""
        return self._process.poll()

    def ask_to_leave(self) -> None:
        """Ask it to end in good order."""
        if self.poll() is None:
            # It was not waited for, so its id can't be another's.
            process_identity.ask_child_to_leave(self._process.pid, self.spec.kind)

    def kill(self) -> None:
        """End it and all that belongs to it at once."""
        if self.poll() is None:
            process_identity.kill_tree(self._process.pid)
        self.clean()

    def gone(self) -> bool:
        """Whether it has ended; what it started may not have."""
        return self.poll() is not None

    def clean(self) -> None:
        """End what a child that has ended left behind."""
        for member in process_identity.group_of(self._process.pid, self._home):
            process_identity.kill(member)

    def last_words(self) -> list[str]:
        """The last lines that it printed."""
        return last_lines(self._log, self._log_start)


class AdoptedProcess:
    """A process that a former supervisor has started, and that goes on under this one.

    Args:
        spec: what it runs.
        home: of the data directory that it works for.
        record: what the former supervisor wrote down of it.
    """

    def __init__(self, spec: ProcessSpec, home: Home, record: ChildRecord) -> None:
        self.name = spec.name
        self.identity = record.identity
        self.spawned_at = record.spawned_at
        self._kind = spec.kind
        self._home = home

    @property
    def pids(self) -> frozenset[int]:
        """The ids under which it may know itself."""
        return process_identity.family(self.identity.pid)

    def poll(self) -> int | None:
        """None while it runs, else `UNSEEN`."""
        return None if process_identity.is_alive(self.identity) else UNSEEN

    def ask_to_leave(self) -> None:
        """Ask it to end in good order."""
        process_identity.ask_to_leave(self.identity, self._kind)

    def kill(self) -> None:
        """End it and all that belongs to it at once."""
        process_identity.kill(self.identity)
        self.clean()

    def gone(self) -> bool:
        """Whether it has ended; what it started may not have."""
        return self.poll() is not None

    def clean(self) -> None:
        """End what it left behind when it ended."""
        for member in process_identity.group_of(self.identity.pid, self._home):
            process_identity.kill(member)

    def last_words(self) -> list[str]:
        """The last lines that it printed."""
        return last_lines(self._home.log(self.name))


def describe_exit(code: int) -> str:
    """Say how a process ended."""
    if code == UNSEEN:
        return "ended, and nobody saw how"
    if code < 0:
        return f"killed by signal {-code}"
    return f"ended with code {code}"
