"""One process of a unit: how it is started, polled and ended. It belongs to one thread.

A child leads its own session, so that a Ctrl-C at the terminal reaches only the supervisor, and what the child starts
can be ended with the child. It writes its output straight to its log file: it never waits for the supervisor, and goes
on when the supervisor is killed. The next supervisor then adopts it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from core import child_programs
from core.errors import SupervisorError, reason_of
from core.supervisor.home import Home
from core.supervisor.logs.log_files import last_lines, open_log
from core.supervisor.plan import ProcessKind, ProcessSpec
from core.supervisor.processes import process_identity
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.state import ChildRecord

if sys.platform == "win32":
    GROUP_FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP
    """Creation flags of a process that Ctrl-C does not reach."""
    HIDDEN_FLAGS = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    """The same with a hidden console, through which the process can send Ctrl-Break to its children."""
else:
    GROUP_FLAGS = HIDDEN_FLAGS = 0


UNKNOWN_EXIT = 1000
"""Stands for the exit code of an adopted process: only its parent, which is gone, could have read it."""


class RunningProcess(Protocol):
    """A process of a unit, started here or adopted."""

    @property
    def name(self) -> str:
        """The name of the process in this system."""
        ...

    @property
    def stop_timeout(self) -> float | None:
        """Seconds that it has to end at most, or None when it has as many as the whole stop."""
        ...

    @property
    def identity(self) -> ProcessIdentity:
        """The process's id and start time."""
        ...

    @property
    def spawned_at(self) -> float:
        """The start time in seconds since the epoch."""
        ...

    @property
    def pids(self) -> frozenset[int]:
        """The ids that the process may report as its own."""
        ...

    def poll(self) -> int | None:
        """Return the exit code (negative for a signal) or `UNKNOWN_EXIT`. Returns None while the process runs."""
        ...

    def terminate(self) -> None:
        """Ask the process to end in good order."""
        ...

    def kill(self) -> None:
        """Kill the process and all that belongs to it."""
        ...

    def has_ended(self) -> bool:
        """Return whether the process has ended. What it started may still run."""
        ...

    def kill_leftovers(self) -> None:
        """Kill what the ended process has left running."""
        ...

    def last_output(self) -> list[str]:
        """Return the last lines that the process printed."""
        ...


class ChildProcess:
    """A process that was started from a specification.

    Args:
        spec: what to run.
        home: the paths of the data directory that it works for.
        environment: the supervisor's environment.

    Raises:
        SupervisorError: the process can't be started.

    Attributes:
        spawned_at: the start time in seconds since the epoch.
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
                    env=_variables(spec, environment),
                    cwd=spec.directory or _own_directory(home),
                    start_new_session=True,
                    creationflags=GROUP_FLAGS,
                )
        except OSError as error:
            raise SupervisorError(f"can't start {spec.name}: {reason_of(error)}") from error
        # A child that has ended already can't be identified, though its id stays taken until it is waited for.
        self.identity = process_identity.identify(self._process.pid) or ProcessIdentity(
            self._process.pid, self.spawned_at
        )

    @property
    def name(self) -> str:
        """The name of the process in this system."""
        return self.spec.name

    @property
    def stop_timeout(self) -> float | None:
        """Seconds that it has to end at most, or None when it has as many as the whole stop."""
        return self.spec.stop_timeout

    @property
    def pids(self) -> frozenset[int]:
        """The ids that the process may report as its own."""
        return process_identity.pids_of(self._process.pid)

    def poll(self) -> int | None:
        """Return the exit code (negative for a signal), or None while the process runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask the process to end in good order."""
        if self.poll() is None:
            # It has not been waited for, so no other process can have its id.
            process_identity.terminate_child(self._process.pid, self.spec.kind)

    def kill(self) -> None:
        """Kill the process and all that belongs to it."""
        if self.poll() is None:
            process_identity.kill_tree(self._process.pid)
        self.kill_leftovers()

    def has_ended(self) -> bool:
        """Return whether the process has ended. What it started may still run."""
        return self.poll() is not None

    def kill_leftovers(self) -> None:
        """Kill what the ended child has left running."""
        for member in process_identity.group_members(self._process.pid, self._home):
            process_identity.kill(member)

    def last_output(self) -> list[str]:
        """Return the last lines that the process printed."""
        return last_lines(self._log, self._log_start)


class AdoptedProcess:
    """A process that a former supervisor has started and that goes on under this one.

    Args:
        spec: what it runs.
        home: the paths of the data directory that it works for.
        record: the former supervisor's record of it.
    """

    def __init__(self, spec: ProcessSpec, home: Home, record: ChildRecord) -> None:
        self.name = spec.name
        self.stop_timeout = spec.stop_timeout
        self.identity = record.identity
        self.spawned_at = record.spawned_at
        self._kind = spec.kind
        self._home = home

    @property
    def pids(self) -> frozenset[int]:
        """The ids that the process may report as its own."""
        return process_identity.pids_of(self.identity.pid)

    def poll(self) -> int | None:
        """Return `UNKNOWN_EXIT`, or None while the process runs."""
        return None if process_identity.is_alive(self.identity) else UNKNOWN_EXIT

    def terminate(self) -> None:
        """Ask the process to end in good order."""
        process_identity.terminate(self.identity, self._kind)

    def kill(self) -> None:
        """Kill the process and all that belongs to it."""
        process_identity.kill(self.identity)
        self.kill_leftovers()

    def has_ended(self) -> bool:
        """Return whether the process has ended. What it started may still run."""
        return self.poll() is not None

    def kill_leftovers(self) -> None:
        """Kill what the ended process has left running."""
        for member in process_identity.group_members(self.identity.pid, self._home):
            process_identity.kill(member)

    def last_output(self) -> list[str]:
        """Return the last lines that the process printed."""
        return last_lines(self._home.log(self.name))


def describe_exit(code: int) -> str:
    """Describe how a process ended."""
    if code == UNKNOWN_EXIT:
        return "ended with an unknown exit code"
    if code < 0:
        return f"killed by signal {-code}"
    return f"ended with code {code}"


def _own_directory(home: Home) -> Path | None:
    """Return None for the supervisor's own working directory, or the data directory when that one was removed."""
    try:
        os.getcwd()
    except OSError:
        return home.directory
    return None


def _variables(spec: ProcessSpec, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment of a process."""
    variables = {**_inherited(spec, environment), **spec.environment}
    return {name: value for name, value in variables.items() if value is not None}


def _inherited(spec: ProcessSpec, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the supervisor's environment, extended for servers and workers so that they find our modules."""
    ours = spec.kind in {ProcessKind.SERVER, ProcessKind.WORKER}
    return child_programs.environment(environment) if ours else environment
