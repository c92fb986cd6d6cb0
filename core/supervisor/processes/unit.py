"""One part of the system that is kept running: its process, and the next one when that dies.

It belongs to the supervisor's main thread, which calls `turn` again and again.
"""

import logging
import random
import socket
from collections import deque
from collections.abc import Callable, Mapping

from core.callbacks import ignore
from core.errors import SupervisorError
from core.supervisor.home import Home
from core.supervisor.plan import ProcessKind, ProcessSpec
from core.supervisor.processes import process_identity, restart_policy
from core.supervisor.processes.process import AdoptedProcess, ChildProcess, RunningProcess, describe_exit
from core.supervisor.processes.readiness import Condition, ProbeTarget
from core.supervisor.processes.restart_policy import Restart, StopRestarting, UnexpectedExit
from core.supervisor.processes.stopping import StopDeadline
from core.supervisor.processes.usage import Usage
from core.supervisor.state import ChildRecord
from core.supervisor.status import UnitState, UnitStatus

REMEMBERED = 100
"""How many former ends are kept in mind."""

_log = logging.getLogger("cauce.supervisor")


BRIEFLY = 0.1
"""Seconds for which a process counts as ready that nobody saw ready, but that was."""


def _never(target: ProbeTarget) -> bool:
    """What is known of a process's last moment where nobody asks."""
    return False


class Unit:
    """A part that is kept running as long as it is wanted.

    Args:
        spec: what to run.
        home: of the data directory.
        environment: the supervisor's own.
        hung_after: seconds of silence after which a server or worker counts as hung and is killed; never when 0.
        before_start: called before each start; raises `SupervisorError` when it can't be.
        was_ready: tells of a process that has ended before anybody saw it ready whether it was.

    Attributes:
        spec: what is run; a new one counts from the next start on.
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
        self._failure = ""
        self._exits: deque[UnexpectedExit] = deque(maxlen=REMEMBERED)
        self._ready_since: float | None = None
        self._silent_since: float | None = None
        self._proven = False
        self._killed_on_purpose = False
        self._due = 0.0
        self._usage: Usage | None = None
        self._patience: StopDeadline | None = None
        self._leaving_since = 0.0

    @property
    def name(self) -> str:
        """Its name in this system."""
        return self.spec.name

    @property
    def process(self) -> RunningProcess | None:
        """The process; None while there is none."""
        return self._process

    @property
    def proven(self) -> bool:
        """Whether the present process has been ready without any trouble, such as with its broker."""
        return self._proven

    @property
    def failure(self) -> str:
        """How the first process that an operator had asked for ended before it was proven, with its last lines."""
        return self._failure

    def complaint(self, what: str) -> str:
        """Say what is wrong with the process, with the last lines that it printed."""
        lines = self._process.last_words() if self._process else []
        note = f" ({self._note})" if self._note and self._note not in what else ""
        heading = f"{self.name} {what}{note}"
        if not lines:
            return f"{heading}; it printed nothing"
        return "\n  ".join([f"{heading}; its last lines, of {self._home.log(self.name)}:", *lines])

    # What operators ask for.

    def want(self) -> None:
        """Have it run from now on: what was given up gets its chance again.

        Raises:
            SupervisorError: it can't be started.
        """
        self.wanted = True
        self._failure = ""
        if self._process is None:
            self._exits.clear()
            self._start()

    def adopt(self, record: ChildRecord) -> None:
        """Go on with a process that a former supervisor has started."""
        self._process = AdoptedProcess(self.spec, self._home, record)
        self.state = UnitState.STARTING

    def leave(self, timeout: float, now: float) -> None:
        """Have it end, politely, and by force when `timeout` seconds are over; a further call can only hasten it."""
        self.wanted = False
        if self._process is None:
            self._rest()
        elif self._patience is None:
            self._patience = StopDeadline(timeout, now)
            self._leaving_since = now
            self.state = UnitState.STOPPING
            self._process.ask_to_leave()
        else:
            self._patience.shorten(timeout, now)

    def kill(self) -> None:
        """End its process at once, as a crash would. It is started again, and not blamed for it."""
        if self._process is not None:
            self._killed_on_purpose = True
            self._process.kill()

    def rebalance(self) -> None:
        """Have a server's clients connect anew. One that was not ready yet has no clients."""
        if self._process is not None and self._proven:
            process_identity.ask_to_rebalance(self._process.identity)

    # What happens by itself.

    def turn(self, now: float) -> None:
        """Take note of an end, go on with a stop, start again what is due."""
        if self._process is not None:
            code = self._process.poll()
            if code is not None:
                self._take_end(code, now)
            elif self._patience is not None and self._patience.over(self._leaving_since, now):
                _log.warning("%s does not end and is killed", self.name)
                self._process.kill()
            elif self._is_hung(now):
                _log.error("%s has been silent for %g seconds and is killed", self.name, self._hung_after)
                self._process.kill()
        elif self.state is UnitState.RESTARTING and now >= self._due:
            self._start_again(now)

    def learn(self, target: ProbeTarget, condition: Condition, now: float, usage: Usage | None = None) -> None:
        """Take in what was found out about the process; about a former one it is of no interest."""
        if self._process is None or self._process.spawned_at != target.spawned_at:
            return
        self._usage = usage or self._usage
        if self._patience is not None:
            return
        if not condition.silent:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        if condition.ready:
            self._take_readiness(self._process, condition, now)
        self._show(condition)

    def _take_readiness(self, process: RunningProcess, condition: Condition, now: float) -> None:
        if self._ready_since is None:
            self._ready_since = now
        if not condition.note and not self._proven:
            self._proven = True
            _log.info("%s is ready (pid %d)", self.name, process.identity.pid)

    def _show(self, condition: Condition) -> None:
        if condition.ready:
            self.state = UnitState.TROUBLED if condition.note else UnitState.READY
        elif self._ready_since is not None:
            self.state = UnitState.TROUBLED
        if condition.note or self.state is UnitState.READY:
            self._note = condition.note

    # What is told.

    def target(self) -> ProbeTarget | None:
        """What to look at; None while there is no process."""
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
            ready=self._ready_since is not None,
            proven=self._proven,
        )

    def record(self) -> ChildRecord | None:
        """What to keep on the disk; None while there is no process."""
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

    def report(self, now: float) -> UnitStatus:
        """What to tell."""
        return UnitStatus(
            name=self.name,
            kind=self.spec.kind,
            state=self.state,
            pid=self._process.identity.pid if self._process else None,
            address=str(self.spec.address or ""),
            started_at=self._process.spawned_at if self._process else None,
            restarts=self._restarts,
            note=self._note,
            kill_in=self._patience.left(self._leaving_since, now) if self._patience else None,
            cpu=self._usage.cpu if self._usage else None,
            memory=self._usage.memory if self._usage else None,
        )

    def _start(self) -> None:
        self._before_start()
        self._process = ChildProcess(self.spec, self._home, self._environment)
        self._forget_process_state()
        self.state = UnitState.STARTING

    def _forget_process_state(self) -> None:
        self._ready_since = None
        self._silent_since = None
        self._proven = False
        self._patience = None
        self._killed_on_purpose = False
        self._usage = None

    def _start_again(self, now: float) -> None:
        try:
            self._start()
        except SupervisorError as error:
            self._exits.append(UnexpectedExit(now, 0.0))
            self._note = str(error)
            self._decide(now, self._note)
            return
        self._restarts += 1

    def _take_end(self, code: int, now: float) -> None:
        assert self._process is not None
        self._process.clean()
        pid = self._process.identity.pid
        self._exits.append(UnexpectedExit(now, self._healthy(now), clean=code == 0 or self._killed_on_purpose))
        self._note = ""
        how = describe_exit(code)
        blameless = self._killed_on_purpose or self._patience is not None
        if self.wanted and not self._proven and not self._failure and not blameless:
            self._failure = self.complaint(f"{how} before everything was ready")
        self._note = how
        self._process = None
        self._forget_process_state()
        self._decide(now, f"{self.name} (pid {pid}) {how}")

    def _healthy(self, now: float) -> float:
        """For how many seconds the process that has just ended was ready."""
        if self._ready_since is not None:
            return now - self._ready_since
        target = self.target()
        return BRIEFLY if target is not None and self._was_ready(target) else 0.0

    def _decide(self, now: float, ended: str) -> None:
        """Decide what to do after an end."""
        chance = random.random()  # noqa: S311 - it only spreads the starts
        decision = restart_policy.decide(self._exits, now, chance, wanted=self.wanted)
        match decision:
            case Restart(after=after):
                self.state = UnitState.RESTARTING
                self._due = now + after
                _log.warning("%s; starts again in %.1f seconds", ended, after)
            case StopRestarting(deaths=deaths):
                self.state = UnitState.CRASHED
                self._note = (
                    f"{self._note}; died {deaths} times within {restart_policy.WINDOW:g} seconds, and stays down"
                )
                _log.error("%s %s", self.name, self._note)
            case _:
                self._rest()
                _log.info("%s has ended", self.name)

    def _rest(self) -> None:
        self.state = UnitState.STOPPED
        self._note = ""
        self._patience = None

    def _is_hung(self, now: float) -> bool:
        watched = self._hung_after > 0 and self.spec.kind in {ProcessKind.SERVER, ProcessKind.WORKER}
        return watched and self._silent_since is not None and now - self._silent_since >= self._hung_after
