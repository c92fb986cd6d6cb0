"""One process that is kept running: started, watched through reports, and started again when it dies.

A unit belongs to the supervisor's main thread, which calls `tick` regularly.
"""

import logging
import random
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import assert_never

from core.callbacks import ignore
from core.errors import JournalError, SupervisorError
from core.model import Trouble
from core.supervisor.home import Home
from core.supervisor.plan import ProcessKind, ProcessSpec
from core.supervisor.processes import process_identity, restart_policy
from core.supervisor.processes.process import AdoptedProcess, ChildProcess, RunningProcess, describe_exit
from core.supervisor.processes.readiness import Condition, ProbeTarget
from core.supervisor.processes.restart_policy import Restart, StayDown, StopRestarting, UnexpectedExit
from core.supervisor.processes.stopping import StopDeadline
from core.supervisor.processes.usage import Usage
from core.supervisor.state import ChildRecord
from core.supervisor.status import UnitState, UnitStatus

MAX_EXITS = 100
"""Former exits that are remembered."""

MIN_READY_TIME = 0.1
"""Seconds of readiness that are credited to a process that was ready, but died before the monitor saw it."""

PASSING_EXITS = frozenset({-9, JournalError.exit_code})
"""How processes end whose cause of death may pass: killed from outside (SIGKILL), or the journal could not be used."""

_log = logging.getLogger("cauce.supervisor")


def _never(target: ProbeTarget) -> bool:
    return False


class Unit:
    """One supervised process and its specification.

    Args:
        spec: what to run.
        home: the paths of the data directory.
        environment: the supervisor's environment.
        hung_after: seconds of silence after which a server or worker counts as hung and is killed; 0 for never.
        before_start: called before each start; raises `SupervisorError` to prevent it.
        was_ready: returns whether a process that died before the monitor saw it ready had been ready.

    Attributes:
        spec: what to run; a new specification takes effect at the next start.
        state: the state that is shown.
        wanted: whether it is to run. Only an operator changes it.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        home: Home,
        environment: Mapping[str, str],
        hung_after: float = 0.0,
        before_start: Callable[[], None] = ignore,
        was_ready: Callable[[ProbeTarget], bool] = _never,
    ) -> None:
        self.spec = spec
        self.state = UnitState.WAITING
        self.wanted = True
        self._home = home
        self._environment = environment
        self._hung_after = hung_after
        self._before_start = before_start
        self._was_ready = was_ready
        self._process: RunningProcess | None = None
        self._restarts = 0
        self._note = ""
        self._troubles: tuple[Trouble, ...] = ()
        self._start_failure = ""
        self._exits: deque[UnexpectedExit] = deque(maxlen=MAX_EXITS)
        self._ready_since: float | None = None
        self._silent_since: float | None = None
        self._start_completed = False
        self._killed_by_operator = False
        self._restart_at = 0.0
        self._usage: Usage | None = None
        self._stop_deadline: StopDeadline | None = None
        self._stop_began = 0.0

    @property
    def name(self) -> str:
        """The name of the process in this system."""
        return self.spec.name

    @property
    def process(self) -> RunningProcess | None:
        """The process, or None while there is none."""
        return self._process

    @property
    def start_completed(self) -> bool:
        """Whether the present process has been ready without trouble, such as with its broker, at least once."""
        return self._start_completed

    @property
    def start_failure(self) -> str:
        """How the first process after `start` ended before its start was complete, with its last lines, or empty."""
        return self._start_failure

    def describe_failure(self, failure: str) -> str:
        """Describe a failure of the process, with the last lines that it printed."""
        lines = self._process.last_output() if self._process else []
        note = f" ({self._note})" if self._note and self._note not in failure else ""
        heading = f"{self.name} {failure}{note}"
        if not lines:
            return f"{heading}; it printed nothing"
        return "\n  ".join([f"{heading}; its last lines, of {self._home.log(self.name)}:", *lines])

    # What operators do.

    def start(self) -> None:
        """Keep the process running from now on. Former deaths no longer count.

        Raises:
            SupervisorError: the process can't be started.
        """
        self.wanted = True
        self._start_failure = ""
        if self._process is None:
            self._exits.clear()
            self._spawn()

    def adopt(self, record: ChildRecord) -> None:
        """Go on with a process that a former supervisor has started."""
        self._process = AdoptedProcess(self.spec, self._home, record)
        self.state = UnitState.STARTING

    def stop(self, timeout: float, now: float) -> None:
        """Ask the process to end, and kill it after `timeout` seconds. A further call can only shorten that time."""
        self.wanted = False
        if self._process is None:
            self._mark_stopped()
        elif self._stop_deadline is None:
            self._stop_deadline = StopDeadline(timeout, now)
            self._stop_began = now
            self.state = UnitState.STOPPING
            self._process.terminate()
        else:
            self._stop_deadline.shorten(timeout, now)

    def kill(self) -> None:
        """End the process at once, as a crash would. It is started again, and this doesn't count as a death."""
        if self._process is not None:
            self._killed_by_operator = True
            self._process.kill()

    def rebalance(self) -> None:
        """Have a server's clients reconnect. A server that is still starting has no clients."""
        if self._process is not None and self._start_completed:
            process_identity.request_rebalance(self._process.identity)

    # What happens by itself.

    def tick(self, now: float) -> None:
        """Handle an exit, kill a process that is late or hung, or restart one that is due."""
        if self._process is not None:
            code = self._process.poll()
            if code is not None:
                self._handle_exit(code, now)
            elif self._stop_deadline is not None and self._stop_deadline.has_passed(self._stop_began, now):
                _log.warning("%s does not end and is killed", self.name)
                self._process.kill()
            elif self._is_hung(now):
                _log.error("%s has been silent for %g seconds and is killed", self.name, self._hung_after)
                self._process.kill()
        elif self.state is UnitState.RESTARTING and now >= self._restart_at:
            self._restart(now)

    def observe(self, target: ProbeTarget, condition: Condition, now: float, usage: Usage | None = None) -> None:
        """Take in a report on the process. A report on a former process is ignored."""
        if self._process is None or self._process.spawned_at != target.spawned_at:
            return
        self._usage = usage or self._usage
        if self._stop_deadline is not None:
            return
        if not condition.silent:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        if condition.ready:
            self._mark_ready(self._process, condition, now)
        self._update_state(condition)

    def _mark_ready(self, process: RunningProcess, condition: Condition, now: float) -> None:
        if self._ready_since is None:
            self._ready_since = now
        if not condition.note and not self._start_completed:
            self._start_completed = True
            _log.info("%s is ready (pid %d)", self.name, process.identity.pid)

    def _update_state(self, condition: Condition) -> None:
        if condition.ready:
            self.state = UnitState.TROUBLED if condition.note else UnitState.READY
        elif self._ready_since is not None:
            self.state = UnitState.TROUBLED
        if condition.note or self.state is UnitState.READY:
            self._note = condition.note
        self._troubles = condition.troubles

    # What other modules read.

    def target(self) -> ProbeTarget | None:
        """Return the target that the monitor watches, or None while there is no process."""
        if self._process is None:
            return None
        return ProbeTarget(
            name=self.name,
            kind=self.spec.kind,
            pids=self._process.pids,
            identity=self._process.identity,
            host=socket.gethostname(),
            spawned_at=self._process.spawned_at,
            address=self.spec.address,
            ready_after=self.spec.ready_after,
            has_been_ready=self._ready_since is not None,
            has_been_healthy=self._start_completed,
        )

    def record(self) -> ChildRecord | None:
        """Return the record to store on the disk, or None while there is no process."""
        if self._process is None:
            return None
        return ChildRecord(
            name=self.name,
            kind=self.spec.kind,
            identity=self._process.identity,
            spawned_at=self._process.spawned_at,
            address=str(self.spec.address or ""),
            fingerprint=self.spec.fingerprint,
        )

    def status(self, now: float) -> UnitStatus:
        """Return the status that operators see."""
        return UnitStatus(
            name=self.name,
            kind=self.spec.kind,
            state=self.state,
            pid=self._process.identity.pid if self._process else None,
            address=str(self.spec.address or ""),
            started_at=self._process.spawned_at if self._process else None,
            restarts=self._restarts,
            note=self._note,
            troubles=self._troubles,
            kill_in=self._stop_deadline.remaining(self._stop_began, now) if self._stop_deadline else None,
            cpu=self._usage.cpu if self._usage else None,
            memory=self._usage.memory if self._usage else None,
        )

    def _spawn(self) -> None:
        self._before_start()
        self._process = ChildProcess(self.spec, self._home, self._environment)
        self._forget_process_state()
        self.state = UnitState.STARTING

    def _forget_process_state(self) -> None:
        self._ready_since = None
        self._silent_since = None
        self._start_completed = False
        self._stop_deadline = None
        self._killed_by_operator = False
        self._troubles = ()
        self._usage = None

    def _restart(self, now: float) -> None:
        try:
            self._spawn()
        except SupervisorError as error:
            self._exits.append(UnexpectedExit(now, 0.0))
            self._note = str(error)
            self._apply_restart_policy(now, self._note)
            return
        self._restarts += 1

    def _handle_exit(self, code: int, now: float) -> None:
        assert self._process is not None
        self._process.kill_leftovers()
        pid = self._process.identity.pid
        deliberate = code == 0 or self._killed_by_operator
        self._exits.append(UnexpectedExit(now, self._ready_time(now), deliberate, passing=code in PASSING_EXITS))
        self._note = ""
        how = describe_exit(code)
        intended = self._killed_by_operator or self._stop_deadline is not None
        if self.wanted and not self._start_completed and not self._start_failure and not intended:
            self._start_failure = self.describe_failure(f"{how} before everything was ready")
        self._note = how
        self._process = None
        self._forget_process_state()
        self._apply_restart_policy(now, f"{self.name} (pid {pid}) {how}")

    def _ready_time(self, now: float) -> float:
        """Return the seconds for which the process that has just ended was ready."""
        if self._ready_since is not None:
            return now - self._ready_since
        target = self.target()
        return MIN_READY_TIME if target is not None and self._was_ready(target) else 0.0

    def _apply_restart_policy(self, now: float, what_happened: str) -> None:
        jitter = random.random()  # noqa: S311 - it only spreads the starts
        decision = restart_policy.decide(self._exits, now, jitter, wanted=self.wanted)
        match decision:
            case Restart(delay=delay):
                self.state = UnitState.RESTARTING
                self._restart_at = now + delay
                level = logging.WARNING if self._exits[-1].deliberate else logging.ERROR
                _log.log(level, "%s; starts again in %.1f seconds", what_happened, delay)
            case StopRestarting(deaths=deaths):
                self.state = UnitState.CRASHED
                self._note = (
                    f"{self._note}; died {deaths} times within {restart_policy.WINDOW:g} seconds, and stays down"
                )
                _log.error("%s %s", self.name, self._note)
            case StayDown():
                self._mark_stopped()
                _log.info("%s has ended", self.name)
            case _:
                assert_never(decision)

    def _mark_stopped(self) -> None:
        self.state = UnitState.STOPPED
        self._note = ""
        self._stop_deadline = None

    def _is_hung(self, now: float) -> bool:
        watched = self._hung_after > 0 and self.spec.kind in {ProcessKind.SERVER, ProcessKind.WORKER}
        return watched and self._silent_since is not None and now - self._silent_since >= self._hung_after
