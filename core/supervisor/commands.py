"""The operations on a system that runs, or ran: ask for its status, change its processes, end it, redispatch its queue.

Nothing here prints: each function returns a value or raises an error.
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Literal, TypeAlias, assert_never

import msgspec

from core.errors import AlreadyRunning, ConfigurationError, SupervisorError
from core.repository.journal import Journal
from core.supervisor import control, options, state
from core.supervisor.home import Home
from core.supervisor.lock import Lock, is_held
from core.supervisor.processes import orphans, process_identity
from core.supervisor.processes.stopping import StopTimeout
from core.supervisor.state import DesiredState, SupervisorState
from core.supervisor.status import StopResult, SystemStatus

CONTACT_TIMEOUT = 5.0
"""Seconds to wait until a supervisor that is starting can be reached."""

EXIT_TIMEOUT = 15.0
"""Seconds to wait for the end of a supervisor that has taken everything down."""

STATUS_TIMEOUT = 5.0

OPERATION_TIMEOUT = 600.0
"""Seconds to wait for an operation: a worker may have a long task to finish."""

POLL_INTERVAL = 0.05

Operation: TypeAlias = Literal["start", "stop", "restart", "kill"]
"""An operation on named processes."""


def status(home: Home, timeout: float = CONTACT_TIMEOUT) -> SystemStatus | None:
    """Return the status of the system, or None when no supervisor runs.

    Args:
        home: the paths of the data directory.
        timeout: seconds to wait for a supervisor that is starting, or hangs.

    Raises:
        SupervisorError: a supervisor runs and doesn't answer.
    """
    if not is_held(home.lock):
        return None
    found = _find_supervisor(home, timeout)
    if found is not None:
        return found[1]
    if is_held(home.lock):
        raise SupervisorError(f"a supervisor runs in {home.directory}, but can't be reached; try again")
    return None


def ask_status(supervisor: SupervisorState, timeout: float = STATUS_TIMEOUT) -> SystemStatus | None:
    """Ask a supervisor for the status of its system. Returns None when it doesn't answer."""
    try:
        return _read_status(control.send_request(supervisor, control.SystemStatusRequest(), timeout))
    except SupervisorError:
        return None


def down(home: Home, timeout: float | None = None) -> StopResult:
    """End the system, even if its supervisor was killed or hangs, and make sure that nothing is left.

    Args:
        home: the paths of the data directory.
        timeout: seconds until what still runs is killed; those that the system was started with when None.

    Raises:
        SupervisorError: a process can't be ended.
    """
    if not home.path.is_dir():
        return StopResult()
    home.check_owner()
    if timeout is None:
        timeout = _stop_timeout(home)
    supervisor = state.load(home.state, SupervisorState)
    stopped = _end_supervisor(home, timeout) if is_held(home.lock) else StopResult()
    with _lock_when_free(home, EXIT_TIMEOUT):
        swept = sweep(home, timeout)
    # A supervisor frees the lock shortly before its process ends.
    deadline = time.monotonic() + STATUS_TIMEOUT
    while supervisor is not None and process_identity.is_alive(supervisor.identity) and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
    return StopResult(stopped=stopped.stopped + swept.stopped, killed=stopped.killed + swept.killed)


def _stop_timeout(home: Home) -> float:
    """Return the stop timeout that the system was started with, or the default."""
    started = state.load(home.desired_state, DesiredState)
    text = started.current.get(options.STOP_TIMEOUT.key) if started is not None else None
    try:
        return options.STOP_TIMEOUT.default if text is None else options.STOP_TIMEOUT.read(text)
    except ValueError:  # written by another version
        return options.STOP_TIMEOUT.default


def sweep(home: Home, timeout: float) -> StopResult:
    """End what a former supervisor has left, and remove its files. The caller must hold the lock.

    Raises:
        SupervisorError: a process can't be ended.
    """
    swept = orphans.sweep(home, timeout)
    if swept.left:
        raise SupervisorError(f"these processes could not be ended: {', '.join(map(str, swept.left))}")
    state.remove(home.state)
    state.remove(home.system)
    state.remove(home.children)
    state.remove(home.desired_state)
    return swept


def operate(
    home: Home,
    operation: Operation,
    names: Sequence[str],
    *,
    stop_timeout: StopTimeout | None = None,
    reply_timeout: float = OPERATION_TIMEOUT,
) -> SystemStatus:
    """Start, stop, restart or kill processes. Returns the status of the system afterwards.

    Args:
        home: the paths of the data directory.
        operation: what to do.
        names: names of processes; `servers`, `workers`, `declared` and `all` stand for several.
        stop_timeout: the time until a process that must end is killed; that of the supervisor's settings when None.
        reply_timeout: seconds to wait for the end of the operation.

    Raises:
        SupervisorError: no supervisor runs, a process doesn't exist, or the operation fails.
    """
    return _request_operation(home, _operation_request(operation, tuple(names), stop_timeout, reply_timeout))


def scale(
    home: Home, *, servers: int | None = None, workers: int | None = None, reply_timeout: float = OPERATION_TIMEOUT
) -> SystemStatus:
    """Run that many servers and workers. Returns the status once new ones are ready and surplus ones have ended.

    Raises:
        SupervisorError: no supervisor runs, or the operation fails.
    """
    return _request_operation(home, control.ScaleRequest(servers=servers, workers=workers, reply_timeout=reply_timeout))


def redispatch(journal: Journal) -> int:
    """Have every queued task published again, after the broker has lost its messages. Returns their number.

    Raises:
        ConfigurationError: there is no journal.
        JournalError: the journal can't be written.
    """
    if not journal.path.exists():
        raise ConfigurationError(f"there is no journal {journal.path}; is this the system's directory? (--dir)")
    with journal.open() as repository, repository.transaction():
        return repository.redispatch()


def describe_supervisor(home: Home) -> str:
    """Describe, for users, the supervisor that holds this directory."""
    supervisor = state.load(home.state, SupervisorState)
    report = ask_status(supervisor) if supervisor else None
    if supervisor is None or report is None:
        return f"a supervisor is starting or stopping in {home.directory}"
    clients = f", clients connect to {report.listen}" if report.listen else ""
    return f"a supervisor (pid {supervisor.identity.pid}) runs in {home.directory} already{clients}; `down` ends it"


def force_stop(home: Home, names: Sequence[str] = ()) -> None:
    """Kill at once what a stop under way still waits for, without waiting for its end.

    Args:
        home: the paths of the data directory.
        names: the processes that are being stopped; empty when the whole system is.
    """
    supervisor = state.load(home.state, SupervisorState)
    if supervisor is None:
        return
    request = (
        control.StopRequest(names=tuple(names), stop_timeout=StopTimeout(0.0), reply_timeout=0.0)
        if names
        else control.DownRequest(stop_timeout=0.0)
    )
    with contextlib.suppress(SupervisorError):
        control.send_request(supervisor, request, STATUS_TIMEOUT)


def _operation_request(
    operation: Operation, names: tuple[str, ...], stop_timeout: StopTimeout | None, reply_timeout: float
) -> control.OperationRequest:
    match operation:
        case "start":
            return control.StartRequest(names=names, reply_timeout=reply_timeout)
        case "stop":
            return control.StopRequest(names=names, stop_timeout=stop_timeout, reply_timeout=reply_timeout)
        case "restart":
            return control.RestartRequest(names=names, stop_timeout=stop_timeout, reply_timeout=reply_timeout)
        case "kill":
            return control.KillRequest(names=names, reply_timeout=reply_timeout)
        case _:
            assert_never(operation)


def _request_operation(home: Home, request: control.OperationRequest) -> SystemStatus:
    if not is_held(home.lock):
        raise SupervisorError(f"no supervisor runs in {home.directory}; `up` starts one")
    found = _find_supervisor(home)
    if found is None:
        raise SupervisorError(f"the supervisor of {home.directory} doesn't answer; try again, or end it with `down`")
    return _read_status(control.send_request(found[0], request, request.reply_timeout + STATUS_TIMEOUT))


def _read_status(reply: bytes) -> SystemStatus:
    try:
        return msgspec.json.decode(reply, type=SystemStatus)
    except msgspec.MsgspecError as error:
        raise SupervisorError(f"the supervisor is of another version: {error}; end it with `down`") from error


def _find_supervisor(home: Home, timeout: float = CONTACT_TIMEOUT) -> tuple[SupervisorState, SystemStatus] | None:
    """Find the supervisor that holds the lock, and its status. Returns None when it doesn't answer, or has ended."""
    deadline = time.monotonic() + timeout
    while is_held(home.lock):
        # The file may be that of a former supervisor, which was killed.
        supervisor = state.load(home.state, SupervisorState)
        report = ask_status(supervisor, timeout) if supervisor is not None else None
        if supervisor is not None and report is not None:
            return supervisor, report
        if time.monotonic() > deadline:
            return None
        time.sleep(POLL_INTERVAL)
    return None


def _end_supervisor(home: Home, timeout: float) -> StopResult:
    """Have the supervisor take everything down. One that hangs is killed; the caller ends what it leaves."""
    found = _find_supervisor(home)
    if found is not None:
        with contextlib.suppress(SupervisorError, msgspec.MsgspecError):
            reply = control.send_request(found[0], control.DownRequest(stop_timeout=timeout), timeout + EXIT_TIMEOUT)
            return msgspec.json.decode(reply, type=StopResult)
        # It may be ending without having replied.
        _wait_for_lock(home, STATUS_TIMEOUT)
    supervisor = state.load(home.state, SupervisorState)
    if supervisor is not None and is_held(home.lock):
        process_identity.kill_holder(supervisor.identity, home.lock)
    return StopResult()


def _wait_for_lock(home: Home, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while is_held(home.lock) and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)


def _lock_when_free(home: Home, timeout: float) -> Lock:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return Lock(home.lock)
        except AlreadyRunning as error:
            if time.monotonic() > deadline:
                raise SupervisorError(f"{describe_supervisor(home)}, but it does not end") from error
        time.sleep(POLL_INTERVAL)
