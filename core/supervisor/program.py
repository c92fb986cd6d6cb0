"""The supervisor: starts the units, keeps them running and takes them down, in one main thread.

Requests, signals and the health monitor's reports come to that thread through one queue.
Each tick handles them, lets every unit restart what died, and advances every operation by one step.
"""

import logging
import os
import queue
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

import msgspec
from msgspec.structs import replace

from core.callbacks import ignore
from core.errors import AlreadyRunning, CauceError, SupervisorError
from core.running_system import RunningSystem
from core.signals import on_stop
from core.supervisor import control, desired_state, state
from core.supervisor.access import Encrypted, client_access
from core.supervisor.display import not_ready, waiting_for
from core.supervisor.home import Home
from core.supervisor.lock import Lock
from core.supervisor.logs.log_rotation import LogRotation
from core.supervisor.operations import Operations, Steps
from core.supervisor.plan import STOP_ORDER, ProcessKind
from core.supervisor.processes import orphans, process_identity
from core.supervisor.processes.health import HealthMonitor, HealthReport
from core.supervisor.processes.process import RunningProcess
from core.supervisor.processes.stopping import StopDeadline, stop_in_order
from core.supervisor.processes.unit import Unit
from core.supervisor.processes.units import Units
from core.supervisor.service_manager import ServiceNotifier
from core.supervisor.state import ChildRecords, DesiredState, SupervisorState
from core.supervisor.status import Phase, StopResult, SystemStatus, UnitState, UnitStatus

POLL_INTERVAL = 0.2
"""Seconds between two checks of whether a process has ended."""

STOPPING_POLL_INTERVAL = 0.02

STOP_REPLY_MARGIN = 60.0
"""Seconds beyond the stop timeout after which a caller that waits for the end gets an error."""

COUNTDOWN_INTERVAL = 5.0
"""Seconds between two log lines that name what a stop waits for."""

_log = logging.getLogger("cauce.supervisor")


class Shutdown(msgspec.Struct, frozen=True):
    """A request, by a caller or a signal, to take everything down."""

    timeout: float | None = None
    """Seconds until what still runs is killed; the supervisor's setting when None."""
    reply: "queue.SimpleQueue[StopResult] | None" = None
    """The queue that takes the result."""


class PendingOperation(msgspec.Struct, frozen=True):
    """An operation that a caller waits for."""

    steps: Steps
    reply: "queue.SimpleQueue[CauceError | None]"
    """The queue that takes the error, or None when the operation has succeeded."""


class SystemSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor runs."""

    units: Units
    operations: Operations
    desired_state: DesiredState
    adopting: bool = False
    """Whether some units run already; then a failure at the start does not take the system down."""
    broker: str
    """A description of the broker, for users."""
    remarks: tuple[str, ...] = ()
    shared_settings: Mapping[str, str]
    """The settings that the programs in the directory share, as texts by key."""
    encrypted: Encrypted
    """How clients check the servers' certificate."""
    nginx_change: Callable[[], str]
    """Returns the last change of NGINX's configuration, as a diff."""
    on_stopped: Callable[[Sequence[Unit]], None] = ignore
    """Called when units have been stopped."""
    start_timeout: float
    stop_timeout: float


class Supervisor:
    """Runs one system. Its process must hold the lock of the data directory.

    Args:
        spec: what to run.
        home: the paths of the data directory.
        lock: the lock of that directory.
        make_monitor: makes the health monitor from two callbacks: one for each report, one for the death of its thread.
        log_rotation: keeps the logs from growing without end.
        notifier: informs the service manager.
        on_ready: called once, when everything is ready.
    """

    def __init__(
        self,
        spec: SystemSpec,
        home: Home,
        lock: Lock,
        make_monitor: Callable[[Callable[[HealthReport], None], Callable[[BaseException], None]], HealthMonitor],
        log_rotation: LogRotation,
        notifier: ServiceNotifier,
        on_ready: Callable[[SystemStatus], None],
    ) -> None:
        self._spec = spec
        self._units = spec.units
        self._home = home
        self._lock = lock
        self._superseded = False
        self._log_rotation = log_rotation
        self._notifier = notifier
        self._on_ready = on_ready
        self._events: queue.SimpleQueue[Shutdown | PendingOperation | HealthReport | BaseException] = (
            queue.SimpleQueue()
        )
        self._monitor = make_monitor(self._events.put, self._events.put)
        self._phase = Phase.STARTING
        self._stop_deadline: StopDeadline | None = None
        self._stop_replies: list[queue.SimpleQueue[StopResult]] = []
        self._operations: list[PendingOperation] = []
        self._own_state: SupervisorState | None = None
        self._saved: tuple[DesiredState, ChildRecords, RunningSystem] | None = None
        self._save_failure = ""
        self._countdown_at = 0.0
        self._status = self._make_status()

    def run(self) -> int:
        """Run everything until a signal or a request ends it. Returns the exit code.

        Raises:
            CauceError: a process can't be started, or can't be ended.
        """
        listen_to_signals(self._events.put)
        token = secrets.token_urlsafe(32)
        stopped = StopResult()
        with control.ControlServer(token, self._handle, self._events.put) as server:
            try:
                self._save_state(server, token)
                self._monitor.start()
                code = self._run_until_shutdown()
            finally:
                # First, so that the last process to close the journal is one that may write to it.
                self._monitor.stop()
                if not self._superseded:
                    stopped = self._end_everything()
        if stopped.left:
            raise SupervisorError(f"these processes could not be ended: {', '.join(map(str, stopped.left))}")
        return code

    def _end_everything(self) -> StopResult:
        stopped = self._take_down()
        for reply in self._stop_replies:
            reply.put(stopped)
        state.remove(self._home.state)
        if not stopped.left:
            state.remove(self._home.system)
            state.remove(self._home.children)
            state.remove(self._home.desired_state)
        return stopped

    def _save_state(self, server: control.ControlServer, token: str) -> None:
        identity = process_identity.identify(os.getpid())
        if identity is None:
            raise SupervisorError("the operating system doesn't tell when this process was started")
        self._own_state = SupervisorState(identity, str(server.address), token)
        # A start that can't write this fails; what is written later is tried again.
        state.save(self._home.state, self._own_state)
        self._publish()

    def _run_until_shutdown(self) -> int:
        """Start everything and keep it running until a shutdown is requested. Returns the exit code."""
        start = self._spec.operations.bring_up(lenient=self._spec.adopting)
        while not self._stop_requested and _advance(start):
            self._tick(POLL_INTERVAL)
            self._notifier.extend_timeout(f"starting; waiting for {not_ready(self._status)}", time.monotonic())
        if self._stop_requested:
            _log.warning("stopped before everything was ready")
            return 1
        self._phase = Phase.RUNNING
        self._tick(0.0)
        self._on_ready(self._status)
        self._notifier.notify_ready(
            f"{len(self._status.processes)} processes, clients connect to {self._status.listen}"
        )
        self._tick_until_shutdown()
        return 0

    def _tick_until_shutdown(self) -> None:
        while not self._stop_requested:
            self._tick(POLL_INTERVAL)

    @property
    def _stop_requested(self) -> bool:
        return self._stop_deadline is not None

    def _tick(self, wait: float) -> None:
        """Handle events for up to `wait` seconds, update the units, advance the operations, publish the status."""
        self._handle_events(wait)
        now = time.monotonic()
        for unit in self._units:
            unit.tick(now)
        self._operations = [operation for operation in self._operations if _advance_operation(operation)]
        self._log_rotation.rotate_if_due(now)
        self._notifier.ping_watchdog(now)
        self._publish()

    def _handle_events(self, wait: float) -> None:
        try:
            self._handle_event(self._events.get(timeout=wait))
            while True:
                self._handle_event(self._events.get_nowait())
        except queue.Empty:
            return

    def _handle_event(self, event: Shutdown | PendingOperation | HealthReport | BaseException) -> None:
        now = time.monotonic()
        if isinstance(event, HealthReport):
            for unit in self._units:
                unit.observe(event.target, event.condition, now, event.usage)
        elif isinstance(event, Shutdown):
            self._begin_shutdown(event, now)
        elif isinstance(event, PendingOperation):
            self._begin_operation(event)
        elif self._phase is not Phase.STOPPING:
            raise SupervisorError(f"the supervisor has an internal error: {event!r}") from event

    def _begin_operation(self, operation: PendingOperation) -> None:
        if self._phase is Phase.RUNNING:
            self._operations.append(operation)
        else:
            operation.reply.put(SupervisorError(f"the system is {self._phase}: wait until it runs, or take it down"))

    def _begin_shutdown(self, shutdown: Shutdown, now: float) -> None:
        timeout = self._spec.stop_timeout if shutdown.timeout is None else shutdown.timeout
        if shutdown.reply is not None:
            self._stop_replies.append(shutdown.reply)
        if self._stop_deadline is None:
            hint = "" if shutdown.reply else "; the same signal again kills at once"
            _log.info("stopping: servers, then workers, then NGINX%s", hint)
            self._stop_deadline = StopDeadline(timeout, now)
        else:
            self._stop_deadline.shorten(timeout, now)

    def _take_down(self) -> StopResult:
        """End everything in order, and make sure that nothing is left."""
        self._phase = Phase.STOPPING
        self._notifier.notify_stopping("ending servers, then workers, then NGINX")
        for operation in self._operations:
            operation.reply.put(SupervisorError("the whole system is being taken down"))
        deadline = self._stop_deadline or StopDeadline(self._spec.stop_timeout, time.monotonic())
        self._stop_deadline = deadline
        stages: list[list[RunningProcess]] = [
            [unit.process for unit in self._units.of(kind) if unit.process] for kind in STOP_ORDER
        ]
        killed = stop_in_order(stages, deadline, self._while_stopping, time.monotonic)
        names = [process.name for stage in stages for process in stage if process.has_ended()]
        left = orphans.kill_rest(self._home)
        self._spec.on_stopped(list(self._units))
        for name in killed:
            _log.warning("%s had to be killed", name)
        _log.info("everything has ended")
        return StopResult(
            stopped=tuple(name for name in names if name not in killed),
            killed=tuple(name for name in names if name in killed),
            left=left,
        )

    def _while_stopping(self) -> None:
        """Handle events, and report what the stop waits for."""
        self._handle_events(STOPPING_POLL_INTERVAL)
        self._status = self._make_status()
        now = time.monotonic()
        self._notifier.extend_timeout(waiting_for(self._status), now)
        if self._status.stopping and now >= self._countdown_at:
            if self._countdown_at:
                _log.info("%s", waiting_for(self._status))
            self._countdown_at = now + COUNTDOWN_INTERVAL

    def _handle(self, request: control.ControlRequest) -> SystemStatus | StopResult:
        """Do what a caller asks for, in the thread of its connection."""
        match request:
            case control.SystemStatusRequest():
                return self._status
            case control.DownRequest(stop_timeout=timeout):
                return self._shut_down(timeout)
            case (
                control.StartRequest()
                | control.StopRequest()
                | control.RestartRequest()
                | control.KillRequest()
                | control.ScaleRequest()
            ):
                return self._run_operation(request)
            case _:
                assert_never(request)

    def _shut_down(self, stop_timeout: float | None) -> StopResult:
        reply: queue.SimpleQueue[StopResult] = queue.SimpleQueue()
        self._events.put(Shutdown(stop_timeout, reply))
        timeout = self._spec.stop_timeout if stop_timeout is None else stop_timeout
        try:
            return reply.get(timeout=timeout + STOP_REPLY_MARGIN)
        except queue.Empty:
            raise SupervisorError("the system is still stopping; look at `status`") from None

    def _run_operation(self, request: control.OperationRequest) -> SystemStatus:
        reply: queue.SimpleQueue[CauceError | None] = queue.SimpleQueue()
        self._events.put(PendingOperation(self._steps(request), reply))
        try:
            error = reply.get(timeout=request.reply_timeout)
        except queue.Empty:
            raise SupervisorError(f"{control.operation_name(request)} is still under way; look at `status`") from None
        if error is not None:
            raise error
        return self._status

    def _steps(self, request: control.OperationRequest) -> Steps:
        """Carry out an operation. The main thread advances it."""
        operations = self._spec.operations
        match request:
            case control.StartRequest(names=names):
                yield from operations.start(names)
            case control.StopRequest(names=names, stop_timeout=timeout):
                yield from operations.stop(names, timeout)
            case control.RestartRequest(names=names, stop_timeout=timeout):
                yield from operations.restart(names, timeout)
            case control.KillRequest(names=names):
                yield from operations.kill(names)
            case control.ScaleRequest(servers=servers, workers=workers):
                yield from operations.scale(servers, workers)
            case _:
                assert_never(request)
        self._publish()

    def _publish(self) -> None:
        """Bring the files, the status and the monitor's targets up to date."""
        self._save_changes()
        self._status = self._make_status()
        self._monitor.watch([target for unit in self._units if (target := unit.target())])

    def _save_changes(self) -> None:
        """Write what other programs and the next supervisor must know. Each tick tries again what has failed."""
        failure = ""
        try:
            if self._lock.lost:
                self._restore_directory()
            self._save_if_changed()
        except AlreadyRunning:
            # Its processes are that supervisor's now.
            self._superseded = True
            raise
        except SupervisorError as error:
            # A full disk must not take the system down; the process table shows the processes even without the file.
            failure = f"the files of the supervisor are out of date: {error}"
        if failure and not self._save_failure:
            _log.warning("%s; it tries again", failure)
        elif self._save_failure and not failure:
            _log.info("the files of the supervisor are up to date again")
        self._save_failure = failure

    def _restore_directory(self) -> None:
        """Make the supervisor's directory again: without it, another supervisor could begin in the data directory."""
        self._home.create()
        self._lock.renew()
        self._saved = None
        _log.error("%s was deleted or replaced: it is made again, without its logs", self._home.path)
        self._spec.operations.update_nginx()

    def _save_if_changed(self) -> None:
        children = ChildRecords(tuple(record for unit in self._units if (record := unit.record())))
        # What is wanted comes first: a supervisor that dies in between leaves a process too few in the records, which
        # is started anew, and not one too many, which would be ended.
        saved = (self._desired_state(), children, self._running_system(children))
        if saved == self._saved:
            return
        if self._own_state is not None:
            state.save(self._home.state, self._own_state)
        for path, value in zip((self._home.desired_state, self._home.children, self._home.system), saved, strict=True):
            state.save(path, value)
        self._saved = saved

    def _running_system(self, children: ChildRecords) -> RunningSystem:
        """Return what the programs in the directory must know."""
        own = (self._own_state.identity,) if self._own_state is not None else ()
        return RunningSystem(
            processes=(*own, *(child.identity for child in children.children)),
            settings=self._spec.shared_settings,
            access=client_access(self._units.client_address, self._units.server_addresses, self._spec.encrypted),
        )

    def _desired_state(self) -> DesiredState:
        """Return the desired state, with what operators have changed since the start."""
        servers, workers = self._units.of(ProcessKind.SERVER), self._units.of(ProcessKind.WORKER)
        sized = desired_state.with_sizes(self._spec.desired_state, len(servers), len(workers))
        return desired_state.with_stopped(sized, self._spec.operations.stopped)

    def _make_status(self) -> SystemStatus:
        return SystemStatus(
            phase=self._phase,
            listen=str(self._units.client_address or ""),
            servers=tuple(str(unit.spec.address) for unit in self._units.of(ProcessKind.SERVER)),
            broker=self._spec.broker,
            directory=str(self._home.directory),
            host=socket.gethostname(),
            pid=os.getpid(),
            processes=tuple(self._unit_statuses(time.monotonic())),
            remarks=(*self._spec.remarks, *filter(None, [self._save_failure])),
            nginx_change=self._spec.nginx_change(),
        )

    def _unit_statuses(self, now: float) -> list[UnitStatus]:
        statuses = [unit.status(now) for unit in self._units]
        if self._phase is not Phase.STOPPING or self._stop_deadline is None:
            return statuses
        kill_in = max(0.0, self._stop_deadline.remaining(now, now))
        return [
            replace(status, state=UnitState.STOPPED, pid=None, note="")
            if unit.process is None or unit.process.has_ended()
            else replace(status, state=UnitState.STOPPING, kill_in=kill_in)
            for status, unit in zip(statuses, self._units, strict=True)
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
    """Shut down on a signal: in order at the first, at once at any further one."""
    on_stop(lambda _: put(Shutdown()), lambda _: put(Shutdown(0.0)))
    hangup = getattr(signal, "SIGHUP", None)
    # A closed terminal ends what runs in its foreground; `nohup` has set another handler, which stays.
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        signal.signal(hangup, lambda _number, _frame: put(Shutdown()))
