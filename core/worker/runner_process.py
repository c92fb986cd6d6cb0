"""One runner, as its worker sees it: the process, the socket to it, and the tasks that it has."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import msgspec

from core import child_programs
from core.begun_slots import BegunSlots
from core.errors import TaskDefinitionError
from core.file_states import FileState
from core.repository.beginnings import WorkerBeginnings
from core.runner.frames import (
    Attach,
    Ready,
    Report,
    Run,
    Setup,
    SetupRefused,
    StackTaken,
    Stop,
    ToRunner,
    ToWorker,
    encode,
    worker_reader,
)
from core.worker.in_flight import InFlightTask
from core.worker.run_outcomes import RunLimits

_READ = 1 << 18
_END_TIMEOUT = 5.0
"""Seconds for a process to end that was killed."""


class Slot(msgspec.Struct, eq=False):
    """A task that a runner has."""

    task: InFlightTask
    limits: RunLimits
    given_at: float
    """The monotonic time at which the runner got it."""
    late_checks: int = 0
    """How often the task was found beyond its time-out."""
    too_large: bool = False
    """Whether its runner was found to have more memory than the task may have."""


class BegunTask(msgspec.Struct, frozen=True):
    """A task that had begun, and when."""

    task: InFlightTask
    started_at: float


class RunnerProcess:
    """A runner. All methods belong to one thread, but `running` and `kill`.

    Args:
        setup: what it runs, and how.
        environment: the environment of the worker.
    """

    def __init__(self, setup: Setup, environment: Mapping[str, str]) -> None:
        self._beginnings = BegunSlots(bytearray())
        self._slots: dict[int, Slot] = {}
        self._outgoing = bytearray()
        self._reader = worker_reader()
        self.threads = setup.threads
        self.number = 0
        """Counts the runners of the worker; for people."""
        self.ready = False
        """Whether its modules are imported."""
        self.sources: tuple[FileState, ...] = ()
        """The files that it has imported, if they are to be watched."""
        self.has_stop = False
        """Whether it has something to do when it leaves."""
        self.reserved = False
        """Whether a task comes as soon as its strike is stored."""
        self.asked_back = False
        """Whether it was asked for the tasks that have not begun, and has not answered yet."""
        self.outdated = False
        """Whether a new one is to take its place. Until that is ready, it gets tasks."""
        self.ended_tasks = 0
        """How many tasks have ended in it."""
        self.blocked_loop = ""
        """Why its event loop does not go on, or an empty text."""
        self.leaving = False
        """Whether it gets no more tasks, and leaves when those that it has have ended."""
        self.leaving_checks = 0
        """How often it was found to leave too slowly: one of its tasks does not stop, or it has none any more."""
        self.silent_checks = 0
        """How often in a row it was found to have tasks of which none has begun."""
        self.idle_since = time.monotonic()
        """The time since which a runner for one task at a time has none."""
        self._told_to_stop = False
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.socket.setblocking(False)
            self._process = _start(theirs, child_programs.environment(environment))
        self.send(setup)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def load(self) -> int:
        """The number of tasks that it has."""
        return len(self._slots)

    @property
    def idle(self) -> bool:
        """Whether it has no task and may get one, as a runner for one task at a time."""
        return not (self._slots or self.reserved or self.leaving or self.outdated)

    @property
    def has_suspect(self) -> bool:
        """Whether it runs a suspect, or is about to."""
        return self.reserved or any(slot.task.suspect for slot in list(self._slots.values()))

    @property
    def slots(self) -> Sequence[tuple[int, Slot]]:
        """The tasks that it has, by their slots."""
        return list(self._slots.items())

    def oldest(self, now: float) -> float:
        """Return the monotonic time at which it got the task that it has had longest, or `now` if it has none."""
        for slot in self._slots.values():
            return slot.given_at
        return now

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._outgoing)

    def send(self, *messages: ToRunner) -> None:
        """Send messages, as much as the socket takes now."""
        self._outgoing += encode(messages)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as much as the socket takes now. A broken socket shows when it is read."""
        with contextlib.suppress(OSError):
            while self._outgoing:
                del self._outgoing[: self.socket.send(self._outgoing)]

    def attach(self, beginnings: WorkerBeginnings) -> None:
        """Let it note what begins. Call this before the first task."""
        self._beginnings = beginnings.slots
        self.send(Attach(str(beginnings.path)))

    def run(self, tasks: Sequence[tuple[InFlightTask, RunLimits]]) -> None:
        """Give it tasks to run, each with its limits."""
        messages: list[ToRunner] = []
        now = time.monotonic()
        for task, limits in tasks:
            task.runner, task.report, task.stack = self.number, None, None
            self._slots[task.slot] = Slot(task, limits, now)
            assignment = task.assignment
            messages.append(Run(task.slot, assignment.id, assignment.kind, assignment.payload, task.number))
        self.send(*messages)

    def stop(self) -> None:
        """Let it exit. It must have no task."""
        if not self._told_to_stop:
            self._told_to_stop = True
            self.send(Stop())

    def set_ready(self, message: Ready) -> None:
        """Note that it may get tasks."""
        self.ready = True
        self.has_stop = message.has_stop
        self.sources = message.sources

    def has(self, task: InFlightTask) -> bool:
        """Return whether it has a task."""
        slot = self._slots.get(task.slot)
        return slot is not None and slot.task is task

    def take_report(self, message: Report | StackTaken) -> None:
        """Take what a task says of itself, or where it is, unless it has ended."""
        slot = self._slots.get(message.slot)
        if slot is None or (slot.task.assignment.id, slot.task.number) != (message.id, message.attempt):
            return
        if isinstance(message, Report):
            slot.task.report = message.report
        else:
            slot.task.stack = message.stack

    def remove(self, number: int) -> Slot:
        """Remove a task that has ended, or was given back.

        Raises:
            KeyError: it does not have this task.
        """
        return self._slots.pop(number)

    def wait_ready(self) -> Ready:
        """Wait until its modules are imported, however long that takes.

        Raises:
            TaskDefinitionError: they can't be imported, or define no proper tasks.
        """
        reason = ""
        while not reason and (messages := self.receive()) is not None:
            for message in messages:
                if isinstance(message, Ready):
                    self.set_ready(message)
                    return message
                if isinstance(message, SetupRefused):
                    reason = message.reason
            select.select([self.socket], [self.socket] if self._outgoing else [], [])
            self.flush()
        self.kill()
        self.close()
        raise TaskDefinitionError(reason or f"the modules with tasks ended their process ({self.exit_status})")

    def receive(self) -> list[ToWorker] | None:
        """Return the messages that have come, or None when the runner has gone."""
        try:
            data = self.socket.recv(_READ)
            return self._reader.feed(data) if data else None
        except BlockingIOError:
            return []
        except (OSError, msgspec.MsgspecError):
            return None

    def began(self, number: int) -> tuple[float, float]:
        """Return the time of the day and the monotonic time at which a task began; the second is 0 if it didn't."""
        return self._beginnings.times(number)

    @property
    def running(self) -> list[BegunTask]:
        """The tasks that have begun. Thread-safe."""
        return [
            BegunTask(slot.task, at)
            for number, slot in list(self._slots.items())
            for at, monotonic in [self._beginnings.times(number)]
            if monotonic
        ]

    @property
    def has_exited(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    @property
    def exit_status(self) -> str:
        """How the process ended, for people."""
        code = self._process.poll()
        if code is None:
            return "it was killed"
        if code >= 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
        return f"signal {-code}"

    def kill(self) -> None:
        """End the process and those that its tasks have started."""
        if os.name == "posix":
            # Also when it has ended itself: its group has its children.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            _kill_family(self._process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_TIMEOUT)

    def close(self) -> None:
        """Forget the process, which has ended."""
        self.socket.close()


def _start(end: socket.socket, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a runner, and give it its end of the socket."""
    command = child_programs.command("core.runner.start", str(os.getpid()))
    if sys.platform == "win32":
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)  # noqa: S603 - a program of ours
        with process.stdin:
            process.stdin.write(end.share(process.pid))
        return process
    number = end.fileno()
    return subprocess.Popen(  # noqa: S603 - a program of ours
        (*command, str(number)), env=environment, stdin=subprocess.DEVNULL, pass_fds=(number,), process_group=0
    )


def _kill_family(pid: int) -> None:
    import psutil  # only Windows needs it, which has no process groups

    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
