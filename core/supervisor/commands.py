"""What can be asked of a system that runs, or ran: its status, other processes, its end, its queue anew.

Nothing here prints: each returns values or raises errors.
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Literal

import msgspec

from core.errors import AlreadyRunning, ConfigurationError, SupervisorError
from core.repository.journal import Journal
from core.supervisor import state
from core.supervisor.control import ControlRequest, ask
from core.supervisor.home import Home
from core.supervisor.lock import Lock, is_held
from core.supervisor.processes import orphans, process_identity
from core.supervisor.state import SupervisorState
from core.supervisor.status import StopResult, SystemStatus

BEGINNING = 5.0
"""Seconds in which a supervisor that has just begun says how to reach it."""

ENDING = 15.0
"""Seconds in which a supervisor that has taken everything down is gone itself."""

STATUS_WITHIN = 5.0

OPERATION_WITHIN = 600.0
"""Seconds in which an operation is done: a worker may have a long task to finish."""

PAUSE = 0.05
_STATUS = ControlRequest("", "status")


def status(home: Home) -> SystemStatus | None:
    """Say how the system is; None when no supervisor runs.

    Raises:
        SupervisorError: one runs and doesn't answer.
    """
    if not is_held(home.lock):
        return None
    found = _reachable(home)
    if found is not None:
        return _read(ask(found, _STATUS, STATUS_WITHIN))
    if is_held(home.lock):
        raise SupervisorError(f"a supervisor runs in {home.directory} and doesn't say how to reach it; try again")
    return None


def ask_status(found: SupervisorState) -> SystemStatus | None:
    """Ask a supervisor how the system is; None when it doesn't answer now."""
    try:
        return _read(ask(found, _STATUS, STATUS_WITHIN))
    except SupervisorError:
        return None


def down(home: Home, timeout: float) -> StopResult:
    """End the system, also when its supervisor was killed or hangs, and make sure that nothing is left.

    Args:
        home: of the data directory.
        timeout: how long it may take before what still runs is killed.

    Raises:
        SupervisorError: something can't be ended.
    """
    if not home.path.is_dir():
        return StopResult()
    found = state.load(home.state, SupervisorState)
    told = _end_supervisor(home, timeout) if is_held(home.lock) else StopResult()
    with _lock_when_free(home, ENDING):
        swept = sweep(home, timeout)
    # It lets the lock go a moment before it is gone itself.
    deadline = time.monotonic() + STATUS_WITHIN
    while found is not None and process_identity.is_alive(found.identity) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return StopResult(stopped=told.stopped + swept.stopped, killed=told.killed + swept.killed)


def sweep(home: Home, timeout: float) -> StopResult:
    """End what a supervisor that is gone has left, and forget it. Whoever calls this holds the lock.

    Raises:
        SupervisorError: something can't be ended.
    """
    swept = orphans.sweep(home, timeout)
    if swept.left:
        raise SupervisorError(f"these processes could not be ended: {', '.join(map(str, swept.left))}")
    state.remove(home.state)
    state.remove(home.children)
    state.remove(home.intention)
    return swept


def operate(
    home: Home,
    what: Literal["start", "stop", "restart", "kill"],
    names: Sequence[str],
    *,
    timeout: float | None = None,
    patience: float = OPERATION_WITHIN,
) -> SystemStatus:
    """Have processes started, stopped, restarted one after the other, or killed; how the system is then.

    Args:
        home: of the data directory.
        what: is to be done.
        names: of processes; `servers`, `workers`, `declared` and `all` stand for several.
        timeout: how long an end may take before it is forced; the supervisor's own setting when None.
        patience: seconds to wait until it is done.

    Raises:
        SupervisorError: no supervisor runs, there is no such process, or it can't be done; says why.
    """
    return _order(home, ControlRequest("", what, names=tuple(names), timeout=timeout, patience=patience))


def scale(
    home: Home, *, servers: int | None = None, workers: int | None = None, patience: float = OPERATION_WITHIN
) -> SystemStatus:
    """Run so many servers and workers; how the system is when those that are new are ready, and the others gone.

    Raises:
        SupervisorError: no supervisor runs, or it can't be done; says why.
    """
    return _order(home, ControlRequest("", "scale", servers=servers, workers=workers, patience=patience))


def redispatch(journal: Journal) -> int:
    """Have every queued task published again, for when the broker has lost its messages; how many.

    Raises:
        ConfigurationError: there is no journal.
        JournalError: it can't be written now.
    """
    if not journal.path.exists():
        raise ConfigurationError(f"there is no journal {journal.path}; is this the system's directory? (--dir)")
    with journal.open() as repository, repository.transaction():
        return repository.redispatch()


def where_it_runs(home: Home) -> str:
    """Say where the supervisor that holds this directory is."""
    found = state.load(home.state, SupervisorState)
    report = ask_status(found) if found else None
    if found is None or report is None:
        return f"a supervisor is just beginning, or ending, in {home.directory}"
    entrance = f", clients connect to {report.listen}" if report.listen else ""
    return f"a supervisor (pid {found.identity.pid}) runs in {home.directory} already{entrance}; `down` ends it"


def hasten(home: Home, stopping: Sequence[str] = ()) -> None:
    """Have a stop that is under way kill at once what still runs. It does not wait for the end.

    Args:
        home: of the data directory.
        stopping: the processes that are being stopped; everything when there are none.
    """
    found = state.load(home.state, SupervisorState)
    if found is None:
        return
    what: Literal["stop", "down"] = "stop" if stopping else "down"
    with contextlib.suppress(SupervisorError):
        ask(found, ControlRequest("", what, names=tuple(stopping), timeout=0.0, patience=0.0), STATUS_WITHIN)


def _order(home: Home, request: ControlRequest) -> SystemStatus:
    if not is_held(home.lock):
        raise SupervisorError(f"no supervisor runs in {home.directory}; `up` starts one")
    found = _reachable(home)
    if found is None:
        raise SupervisorError(f"the supervisor of {home.directory} doesn't answer; try again, or end it with `down`")
    return _read(ask(found, request, request.patience + STATUS_WITHIN))


def _read(answer: bytes) -> SystemStatus:
    try:
        return msgspec.json.decode(answer, type=SystemStatus)
    except msgspec.MsgspecError as error:
        raise SupervisorError(f"the supervisor is of another version: {error}; end it with `down`") from error


def _reachable(home: Home) -> SupervisorState | None:
    """How to reach the supervisor that holds the lock; None when it doesn't answer in time, or has ended."""
    deadline = time.monotonic() + BEGINNING
    while is_held(home.lock):
        # The file may be that of a former supervisor, which was killed.
        found = state.load(home.state, SupervisorState)
        if found is not None and ask_status(found) is not None:
            return found
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE)
    return None


def _end_supervisor(home: Home, timeout: float) -> StopResult:
    """Let the supervisor take everything down; one that hangs is killed, and what it leaves is ended in order too."""
    reachable = _reachable(home)
    if reachable is not None:
        with contextlib.suppress(SupervisorError, msgspec.MsgspecError):
            answer = ask(reachable, ControlRequest("", "down", timeout=timeout), timeout + ENDING)
            return msgspec.json.decode(answer, type=StopResult)
        # It may have ended without a word, which is fine.
        _wait_for_lock(home, STATUS_WITHIN)
    found = state.load(home.state, SupervisorState)
    if found is not None and is_held(home.lock):
        process_identity.kill(found.identity)
    return StopResult()


def _wait_for_lock(home: Home, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while is_held(home.lock) and time.monotonic() < deadline:
        time.sleep(PAUSE)


def _lock_when_free(home: Home, seconds: float) -> Lock:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Lock(home.lock)
        except AlreadyRunning as error:
            if time.monotonic() > deadline:
                raise SupervisorError(f"{where_it_runs(home)}, and doesn't end") from error
        time.sleep(PAUSE)
