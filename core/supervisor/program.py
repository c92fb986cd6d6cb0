"""The supervisor as a whole: what it starts, watches, mends and takes down, in one thread.

Requests, signals and what the watcher found come to that thread by one queue.
At each turn it takes them in, lets every unit mend itself, and lets every operation under way go on a step.
"""

import logging
import os
import queue
import secrets
import signal
import time
from collections.abc import Callable
from typing import assert_never

import msgspec
from msgspec.structs import replace

from core.errors import CauceError, SupervisorError
from core.signals import on_stop
from core.supervisor import desired_state, state
from core.supervisor.control import (
    ControlRequest,
    ControlServer,
    DownRequest,
    KillRequest,
    OperationRequest,
    RestartRequest,
    ScaleRequest,
    StartRequest,
    StopRequest,
    SystemStatusRequest,
    operation_name,
)
from core.supervisor.display import not_ready, waiting_for
from core.supervisor.home import Home
from core.supervisor.logs.log_rotation import LogRotation
from core.supervisor.operations import Operations, Steps
from core.supervisor.plan import STOP_ORDER, ProcessKind
from core.supervisor.processes import orphans, process_identity
from core.supervisor.processes.health import HealthMonitor, HealthReport
from core.supervisor.processes.process import RunningProcess
from core.supervisor.processes.stopping import StopDeadline, stop_in_order
from core.supervisor.processes.units import Units
from core.supervisor.service_manager import ServiceNotifier
from core.supervisor.state import ChildRecord, ChildRecords, DesiredState, SupervisorState
from core.supervisor.status import Phase, StopResult, SystemStatus, UnitState, UnitStatus

TURN = 0.2
"""Seconds between two looks at whether a process has ended."""

STOPPING_TURN = 0.02

LAST_ANSWER = 60.0
"""Seconds beyond its time that a stop may take at the very most before whoever asked for it is sent away."""

COUNTDOWN_EVERY = 5.0
"""Seconds between two lines that tell on whom a stop waits."""

_log = logging.getLogger("cauce.supervisor")


class Shutdown(msgspec.Struct, frozen=True):
    """The wish of a caller or a signal that everything is taken down."""

    timeout: float | None = None
    """Seconds until what still runs is killed; the supervisor's setting when None."""
    reply: "queue.SimpleQueue[StopResult] | None" = None
    """Takes the result."""


class PendingOperation(msgspec.Struct, frozen=True):
    """An operation that a caller waits for."""

    steps: Steps
    reply: "queue.SimpleQueue[CauceError | None]"
    """Takes the error, or None when the operation is done."""


class SystemSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor is to run."""

    units: Units
    operations: Operations
    intention: DesiredState
    adopting: bool = False
    """Whether some of it runs already: then nothing that goes wrong at the start takes it down."""
    broker: str
    """What carries the tasks, for people."""
    remarks: tuple[str, ...] = ()
    nginx_change: Callable[[], str]
    """The last change of NGINX's configuration, as a diff."""
    start_timeout: float
    stop_timeout: float


class Supervisor:
    """Runs what it was given to run. Whoever makes one holds the lock of its data directory.

    Args:
        undertaking: what to run.
        home: of the data directory.
        make_watcher: makes the watcher, given what to call after each look and when it dies.
        log_keeper: keeps the logs from growing without end.
        notifier: tells the system's own service manager how things are.
        announce: called once, when everything is ready.
    """

    def __init__(
        self,
        undertaking: SystemSpec,
        home: Home,
        make_watcher: Callable[[Callable[[HealthReport], None], Callable[[BaseException], None]], HealthMonitor],
        log_keeper: LogRotation,
        notifier: ServiceNotifier,
        announce: Callable[[SystemStatus], None],
    ) -> None:
        self._undertaking = undertaking
        self._units = undertaking.units
        self._home = home
        self._log_keeper = log_keeper
        self._notifier = notifier
        self._announce = announce
        self._events: queue.SimpleQueue[Shutdown | PendingOperation | HealthReport | BaseException] = (
            queue.SimpleQueue()
        )
        self._watcher = make_watcher(self._events.put, self._events.put)
        self._phase = Phase.STARTING
        self._patience: StopDeadline | None = None
        self._waiting: list[queue.SimpleQueue[StopResult]] = []
        self._operations: list[PendingOperation] = []
        self._recorded: tuple[ChildRecord, ...] | None = None
        self._intention: DesiredState | None = None
        self._countdown_at = 0.0
        self._report = self._describe()

    def run(self) -> int:
        """Run everything until a signal or a request ends it; the exit code.

        Raises:
            CauceError: something could not be started, or could not be ended.
        """
        listen_to_signals(self._events.put)
        token = secrets.token_urlsafe(32)
        stopped = StopResult()
        with ControlServer(token, self._handle, self._events.put) as control:
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
                    state.remove(self._home.intention)
        if stopped.left:
            raise SupervisorError(f"these processes could not be ended: {', '.join(map(str, stopped.left))}")
        return code

    def _leave_word(self, control: ControlServer, token: str) -> None:
        identity = process_identity.identify(os.getpid())
        if identity is None:
            raise SupervisorError("the system doesn't tell when this process was started")
        state.save(self._home.state, SupervisorState(identity, str(control.address), token))

    def _live(self) -> int:
        """Start everything and watch over it until it is to end; the exit code."""
        beginning = self._undertaking.operations.bring_up(lenient=self._undertaking.adopting)
        while not self._told_to_stop and _advance(beginning):
            self._turn(TURN)
            self._notifier.busy(f"starting; waiting for {not_ready(self._report)}", time.monotonic())
        if self._told_to_stop:
            _log.warning("told to stop before everything was ready")
            return 1
        self._phase = Phase.RUNNING
        self._turn(0.0)
        self._announce(self._report)
        self._notifier.ready(f"{len(self._report.processes)} processes, clients connect to {self._report.listen}")
        self._run_until_told()
        return 0

    def _run_until_told(self) -> None:
        while not self._told_to_stop:
            self._turn(TURN)

    @property
    def _told_to_stop(self) -> bool:
        return self._patience is not None

    def _turn(self, wait: float) -> None:
        """Take in what has come, mend what has died, go on with what was asked for, tell what is."""
        self._take_events(wait)
        now = time.monotonic()
        for unit in self._units:
            unit.tick(now)
        self._operations = [operation for operation in self._operations if _advance_operation(operation)]
        self._log_keeper.look(now)
        self._notifier.alive(now)
        self._tell()

    def _take_events(self, wait: float) -> None:
        try:
            self._take(self._events.get(timeout=wait))
            while True:
                self._take(self._events.get_nowait())
        except queue.Empty:
            return

    def _take(self, event: Shutdown | PendingOperation | HealthReport | BaseException) -> None:
        now = time.monotonic()
        if isinstance(event, HealthReport):
            for unit in self._units:
                unit.observe(event.target, event.condition, now, event.usage)
        elif isinstance(event, Shutdown):
            self._agree_to_stop(event, now)
        elif isinstance(event, PendingOperation):
            self._begin_operation(event)
        elif self._phase is not Phase.STOPPING:
            raise SupervisorError(f"the supervisor has a fault of its own: {event!r}") from event

    def _begin_operation(self, operation: PendingOperation) -> None:
        if self._phase is Phase.RUNNING:
            self._operations.append(operation)
        else:
            operation.reply.put(SupervisorError(f"the system is {self._phase}: wait until it runs, or take it down"))

    def _agree_to_stop(self, asked: Shutdown, now: float) -> None:
        timeout = self._undertaking.stop_timeout if asked.timeout is None else asked.timeout
        if asked.reply is not None:
            self._waiting.append(asked.reply)
        if self._patience is None:
            hint = "" if asked.reply else "; the same signal again kills at once"
            _log.info("stopping: servers, then workers, then NGINX%s", hint)
            self._patience = StopDeadline(timeout, now)
        else:
            self._patience.shorten(timeout, now)

    def _take_down(self) -> StopResult:
        """End everything in order, and make sure of it."""
        self._phase = Phase.STOPPING
        self._notifier.stopping("ending servers, then workers, then NGINX")
        for operation in self._operations:
            operation.reply.put(SupervisorError("the whole system is being taken down"))
        patience = self._patience = self._patience or StopDeadline(self._undertaking.stop_timeout, time.monotonic())
        stages: list[list[RunningProcess]] = [
            [unit.process for unit in self._units.of(kind) if unit.process] for kind in STOP_ORDER
        ]
        killed = stop_in_order(stages, patience, self._while_stopping, time.monotonic)
        names = [process.name for stage in stages for process in stage if process.gone()]
        left = orphans.end_rest(self._home)
        for name in killed:
            _log.warning("%s had to be killed", name)
        _log.info("everything has ended")
        return StopResult(
            stopped=tuple(name for name in names if name not in killed),
            killed=tuple(name for name in names if name in killed),
            left=left,
        )

    def _while_stopping(self) -> None:
        """Take in what comes while everything is ended, and tell on whom it waits."""
        self._take_events(STOPPING_TURN)
        self._report = self._describe()
        now = time.monotonic()
        self._notifier.busy(waiting_for(self._report), now)
        if self._report.holding and now >= self._countdown_at:
            if self._countdown_at:
                _log.info("%s", waiting_for(self._report))
            self._countdown_at = now + COUNTDOWN_EVERY

    def _handle(self, request: ControlRequest) -> SystemStatus | StopResult:
        """Do what a caller asks for, in the thread of its connection."""
        match request:
            case SystemStatusRequest():
                return self._report
            case DownRequest(stop_timeout=timeout):
                return self._take_down_for_caller(timeout)
            case StartRequest() | StopRequest() | RestartRequest() | KillRequest() | ScaleRequest():
                return self._run_operation(request)
            case _:
                assert_never(request)

    def _take_down_for_caller(self, stop_timeout: float | None) -> StopResult:
        reply: queue.SimpleQueue[StopResult] = queue.SimpleQueue()
        self._events.put(Shutdown(stop_timeout, reply))
        timeout = self._undertaking.stop_timeout if stop_timeout is None else stop_timeout
        try:
            return reply.get(timeout=timeout + LAST_ANSWER)
        except queue.Empty:
            raise SupervisorError("the system is still stopping; look at `status`") from None

    def _run_operation(self, request: OperationRequest) -> SystemStatus:
        reply: queue.SimpleQueue[CauceError | None] = queue.SimpleQueue()
        self._events.put(PendingOperation(self._steps(request), reply))
        try:
            error = reply.get(timeout=request.reply_timeout)
        except queue.Empty:
            raise SupervisorError(f"{operation_name(request)} is still under way; look at `status`") from None
        if error is not None:
            raise error
        return self._report

    def _steps(self, request: OperationRequest) -> Steps:
        """Carry an operation out; the main thread advances it."""
        operations = self._undertaking.operations
        match request:
            case StartRequest(names=names):
                yield from operations.start(names)
            case StopRequest(names=names, stop_timeout=timeout):
                yield from operations.stop(names, timeout)
            case RestartRequest(names=names, stop_timeout=timeout):
                yield from operations.restart(names, timeout)
            case KillRequest(names=names):
                yield from operations.kill(names)
            case ScaleRequest(servers=servers, workers=workers):
                yield from operations.scale(servers, workers)
            case _:
                assert_never(request)
        self._tell()

    def _tell(self) -> None:
        """Let the watcher, the disk and callers know what is."""
        self._report = self._describe()
        self._watcher.watch([target for unit in self._units if (target := unit.target())])
        records = tuple(record for unit in self._units if (record := unit.record()))
        wish = self._wish()
        if records == self._recorded and wish == self._intention:
            return
        try:
            state.save(self._home.children, ChildRecords(records))
            state.save(self._home.intention, wish)
        except SupervisorError as error:
            # A full disk must not take the system down; the census finds the processes without the file too.
            _log.warning("%s", error)
        self._recorded, self._intention = records, wish

    def _wish(self) -> DesiredState:
        """What the system is to be, as operators have changed it."""
        servers, workers = self._units.of(ProcessKind.SERVER), self._units.of(ProcessKind.WORKER)
        sized = desired_state.with_sizes(self._undertaking.intention, len(servers), len(workers))
        return desired_state.with_stopped(sized, self._undertaking.operations.stopped)

    def _describe(self) -> SystemStatus:
        return SystemStatus(
            phase=self._phase,
            listen=str(self._units.client_address or ""),
            servers=tuple(str(unit.spec.address) for unit in self._units.of(ProcessKind.SERVER)),
            broker=self._undertaking.broker,
            directory=str(self._home.directory),
            pid=os.getpid(),
            processes=tuple(self._describe_units(time.monotonic())),
            remarks=self._undertaking.remarks,
            nginx_change=self._undertaking.nginx_change(),
        )

    def _describe_units(self, now: float) -> list[UnitStatus]:
        reports = [unit.status(now) for unit in self._units]
        if self._phase is not Phase.STOPPING or self._patience is None:
            return reports
        kill_in = max(0.0, self._patience.left(now, now))
        return [
            replace(report, state=UnitState.STOPPED, pid=None, note="")
            if unit.process is None or unit.process.gone()
            else replace(report, state=UnitState.STOPPING, kill_in=kill_in)
            for report, unit in zip(reports, self._units, strict=True)
        ]


def _advance(steps: Steps) -> bool:
    """Run the next step. Returns whether there are more."""
    try:
        next(steps)
    except StopIteration:
        return False
    return True


def _advance_operation(operation: PendingOperation) -> bool:
    """Run the next step of an operation, and reply at its end. Returns whether there are more."""
    try:
        if _advance(operation.steps):
            return True
    except CauceError as error:
        operation.reply.put(error)
        return False
    operation.reply.put(None)
    return False


def listen_to_signals(put: Callable[[Shutdown], None]) -> None:
    """Let signals ask for a stop: the first in order, every further one at once."""
    on_stop(lambda _: put(Shutdown()), lambda _: put(Shutdown(0.0)))
    hangup = getattr(signal, "SIGHUP", None)
    # A terminal that is closed ends what runs in its foreground; `nohup` has said that it must not.
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        signal.signal(hangup, lambda _number, _frame: put(Shutdown()))
