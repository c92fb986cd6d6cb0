"""The supervisor as a whole: what it starts, watches, mends and takes down, in one thread.

Requests, signals and what the watcher found come to that thread by one queue.
"""

import logging
import os
import queue
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from core.errors import SupervisorError
from core.repository.base import OpenRepository
from core.signals import on_stop
from core.supervisor import census, orphans, state
from core.supervisor.control import Ask, ControlServer
from core.supervisor.home import Home
from core.supervisor.part import Part
from core.supervisor.plan import Duty, Layout, ProcessSpec
from core.supervisor.process import Child, describe_exit
from core.supervisor.report import Phase, Report, Stopped
from core.supervisor.state import ChildRecord, ChildRecords, SupervisorState
from core.supervisor.stopping import Patience, stop_in_order
from core.supervisor.watcher import Seen, Watcher

TURN = 0.1
"""Seconds between two looks at whether a process has ended."""

STOPPING_TURN = 0.02

LAST_ANSWER = 60.0
"""Seconds beyond its time that a stop may take at the very most before whoever asked for it is sent away."""

_log = logging.getLogger("cauce.supervisor")


class StopAsked(msgspec.Struct, frozen=True):
    """Somebody wants everything down."""

    timeout: float | None = None
    """How long it may take; the supervisor's setting when None."""
    answer: "queue.SimpleQueue[Stopped] | None" = None
    """Where to say what came of it."""


class Undertaking(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor is to run."""

    specs: Sequence[ProcessSpec]
    layout: Layout
    broker: str
    """What carries the tasks, for people."""
    remarks: tuple[str, ...] = ()
    token: str | None = None
    """What servers want to be shown."""
    start_timeout: float
    stop_timeout: float


class Supervisor:
    """Runs what it was given to run. Whoever makes one holds the lock of its data directory.

    Args:
        undertaking: what to run.
        home: of the data directory.
        open_repository: opens the journal, for reading only.
        environment: what the processes inherit.
        announce: called once, when everything is ready.
    """

    def __init__(
        self,
        undertaking: Undertaking,
        home: Home,
        open_repository: OpenRepository,
        environment: Mapping[str, str],
        announce: Callable[[Report], None],
    ) -> None:
        self._undertaking = undertaking
        self._home = home
        self._announce = announce
        self._events: queue.SimpleQueue[StopAsked | Seen | BaseException] = queue.SimpleQueue()
        self._parts = [Part(spec, home, environment) for spec in undertaking.specs]
        self._watcher = Watcher(open_repository, undertaking.token, self._events.put, self._events.put)
        self._phase = Phase.STARTING
        self._patience: Patience | None = None
        self._waiting: list[queue.SimpleQueue[Stopped]] = []
        self._recorded: tuple[ChildRecord, ...] | None = None
        self._report = self._describe()

    def run(self) -> int:
        """Run everything until a signal or a request ends it; the exit code.

        Raises:
            SupervisorError: something could not be started, or could not be ended.
        """
        listen_to_signals(self._events.put)
        token = secrets.token_urlsafe(32)
        stopped = Stopped()
        with ControlServer(token, self._answer, self._events.put) as control:
            try:
                self._leave_word(control, token)
                self._watcher.start()
                code = self._live()
            finally:
                # First, so that the last to let go of the journal is one that may tidy it up.
                self._watcher.stop()
                stopped = self._take_down()
                for answer in self._waiting:
                    answer.put(stopped)
                state.remove(self._home.state)
                if not stopped.left:
                    state.remove(self._home.children)
        if stopped.left:
            raise SupervisorError(f"these processes could not be ended: {', '.join(map(str, stopped.left))}")
        return code

    def _leave_word(self, control: ControlServer, token: str) -> None:
        identity = census.identify(os.getpid())
        if identity is None:
            raise SupervisorError("the system doesn't tell when this process was started")
        state.save(self._home.state, SupervisorState(identity, str(control.address), token))

    def _live(self) -> int:
        """Start everything and watch over it until it is to end; the exit code."""
        for duty in Duty:
            self._start([part for part in self._parts if part.spec.duty is duty])
            if self._patience is not None:
                _log.warning("told to stop before everything was ready")
                return 1
        self._phase = Phase.RUNNING
        self._turn(0.0)
        self._announce(self._report)
        while self._patience is None:
            self._turn(TURN)
        return 0

    def _start(self, parts: Sequence[Part]) -> None:
        """Start some parts and wait until all are ready, or until everything is to end."""
        for part in parts:
            part.start()
        deadline = time.monotonic() + self._undertaking.start_timeout
        while self._patience is None:
            self._turn(TURN)
            if all(part.proven for part in parts):
                return
            if time.monotonic() > deadline:
                late = next(part for part in parts if not part.proven)
                raise SupervisorError(
                    late.complaint(f"was not ready within {self._undertaking.start_timeout:g} seconds")
                )

    def _turn(self, wait: float) -> None:
        """Take in what has come, mend what has died, tell what is."""
        self._take_events(wait)
        now = time.monotonic()
        for part in self._parts:
            code = part.take_end(now)
            if code is not None and self._phase is Phase.STARTING:
                raise SupervisorError(part.complaint(f"{describe_exit(code)} before everything was ready"))
            if code is not None:
                part.plan_restart(now)
            part.restart_if_due(now)
        self._tell()

    def _take_events(self, wait: float) -> None:
        try:
            self._take(self._events.get(timeout=wait))
            while True:
                self._take(self._events.get_nowait())
        except queue.Empty:
            return

    def _take(self, event: StopAsked | Seen | BaseException) -> None:
        now = time.monotonic()
        if isinstance(event, Seen):
            for part in self._parts:
                part.learn(event.target, event.condition, now)
        elif isinstance(event, StopAsked):
            self._agree_to_stop(event, now)
        elif self._phase is not Phase.STOPPING:
            raise SupervisorError(f"the supervisor has a fault of its own: {event!r}") from event

    def _agree_to_stop(self, asked: StopAsked, now: float) -> None:
        timeout = self._undertaking.stop_timeout if asked.timeout is None else asked.timeout
        if asked.answer is not None:
            self._waiting.append(asked.answer)
        if self._patience is None:
            hint = "" if asked.answer else "; the same signal again kills at once"
            _log.info("stopping: servers, then workers, then NGINX%s", hint)
            self._patience = Patience(timeout, now)
        else:
            self._patience.shorten(timeout, now)

    def _take_down(self) -> Stopped:
        """End everything in order, and make sure of it."""
        self._phase = Phase.STOPPING
        patience = self._patience = self._patience or Patience(self._undertaking.stop_timeout, time.monotonic())
        self._tell()
        stages: list[list[Child]] = [
            [part.child for part in self._parts if part.spec.duty is duty and part.child] for duty in Duty
        ]
        killed = stop_in_order(stages, patience, lambda: self._take_events(STOPPING_TURN), time.monotonic)
        names = [child.name for stage in stages for child in stage if child.gone()]
        for part in self._parts:
            part.stopped()
        left = orphans.end_rest(self._home)
        for name in killed:
            _log.warning("%s had to be killed", name)
        _log.info("everything has ended")
        return Stopped(
            stopped=tuple(name for name in names if name not in killed),
            killed=tuple(name for name in names if name in killed),
            left=left,
        )

    def _answer(self, ask: Ask) -> Report | Stopped:
        """Do what a caller asks for; called in the thread of its connection."""
        if ask.op == "status":
            return self._report
        answer: queue.SimpleQueue[Stopped] = queue.SimpleQueue()
        self._events.put(StopAsked(ask.timeout, answer))
        timeout = self._undertaking.stop_timeout if ask.timeout is None else ask.timeout
        try:
            return answer.get(timeout=timeout + LAST_ANSWER)
        except queue.Empty:
            raise SupervisorError("it is still stopping") from None

    def _tell(self) -> None:
        """Let the watcher, the disk and callers know what is."""
        self._report = self._describe()
        self._watcher.watch([target for part in self._parts if (target := part.target())])
        records = tuple(record for part in self._parts if (record := part.record()))
        if records == self._recorded:
            return
        try:
            state.save(self._home.children, ChildRecords(records))
        except SupervisorError as error:
            # A full disk must not take the system down; the census finds the processes without the file too.
            _log.warning("%s", error)
        self._recorded = records

    def _describe(self) -> Report:
        layout = self._undertaking.layout
        return Report(
            phase=self._phase,
            listen=str(layout.entrance or ""),
            servers=tuple(str(address) for address in layout.servers),
            broker=self._undertaking.broker,
            directory=str(self._home.directory),
            pid=os.getpid(),
            processes=tuple(part.report() for part in self._parts),
            remarks=self._undertaking.remarks,
        )


def listen_to_signals(put: Callable[[StopAsked], None]) -> None:
    """Let signals ask for a stop: the first in order, every further one at once."""
    on_stop(lambda _: put(StopAsked()), lambda _: put(StopAsked(0.0)))
    hangup = getattr(signal, "SIGHUP", None)
    # A terminal that is closed ends what runs in its foreground; `nohup` has said that it must not.
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        signal.signal(hangup, lambda _number, _frame: put(StopAsked()))
