"""One part of the system that is kept running: its process, and the next one when that dies.

It belongs to the supervisor's main thread.
"""

import logging
import random
import socket
from collections import deque
from collections.abc import Mapping

from core.errors import SupervisorError
from core.supervisor import policy
from core.supervisor.home import Home
from core.supervisor.plan import ProcessSpec
from core.supervisor.policy import Exit, GiveUp
from core.supervisor.process import Child, describe_exit
from core.supervisor.readiness import Condition, Target
from core.supervisor.report import PartReport, PartState
from core.supervisor.state import ChildRecord

REMEMBERED = 100
"""How many former ends are kept in mind."""

_log = logging.getLogger("cauce.supervisor")


class Part:
    """A part that is kept running.

    Args:
        spec: what to run.
        home: of the data directory.
        environment: the supervisor's own.
    """

    def __init__(self, spec: ProcessSpec, home: Home, environment: Mapping[str, str]) -> None:
        self.spec = spec
        self.state = PartState.WAITING
        self._home = home
        self._environment = environment
        self._child: Child | None = None
        self._restarts = 0
        self._note = ""
        self._exits: deque[Exit] = deque(maxlen=REMEMBERED)
        self._ready_since: float | None = None
        self._proven = False
        self._due = 0.0

    @property
    def child(self) -> Child | None:
        """The process; None while there is none."""
        return self._child

    @property
    def proven(self) -> bool:
        """Whether the present process has been ready without any trouble, such as with its broker."""
        return self._proven

    def complaint(self, what: str) -> str:
        """Say what is wrong with the process, with the last lines that it printed."""
        lines = self._child.last_words() if self._child else []
        note = f" ({self._note})" if self._note and self._note not in what else ""
        heading = f"{self.spec.name} {what}{note}"
        if not lines:
            return f"{heading}; it printed nothing"
        return "\n  ".join([f"{heading}; its last lines, of {self._home.log(self.spec.name)}:", *lines])

    def start(self) -> None:
        """Start the process.

        Raises:
            SupervisorError: it can't be started.
        """
        self._child = Child(self.spec, self._home, self._environment)
        self._ready_since = None
        self._proven = False
        self.state = PartState.STARTING

    def take_end(self, now: float) -> int | None:
        """Take note of an end that nobody asked for; its exit code, None when there was none."""
        code = self._child.poll() if self._child else None
        if self._child is None or code is None:
            return None
        self._child.clean()
        healthy = 0.0 if self._ready_since is None else now - self._ready_since
        self._exits.append(Exit(now, healthy, clean=code == 0))
        self._note = describe_exit(code)
        return code

    def plan_restart(self, now: float) -> None:
        """Decide what to do after an end."""
        ended = f"{self.spec.name} (pid {self._child.identity.pid}) {self._note}" if self._child else self._note
        self._child = None
        self._ready_since = None
        # Chance only spreads the starts.
        decision = policy.decide(self._exits, now, random.random())  # noqa: S311 - no secret is made of it
        if isinstance(decision, GiveUp):
            self.state = PartState.CRASHED
            self._note = f"{self._note}; died {decision.deaths} times within {policy.WINDOW:g} seconds, and stays down"
            _log.error("%s %s", self.spec.name, self._note)
            return
        self.state = PartState.RESTARTING
        self._due = now + decision.after
        _log.warning("%s; starts again in %.1f seconds", ended, decision.after)

    def restart_if_due(self, now: float) -> bool:
        """Start the next process when its time has come; whether it was."""
        if self.state is not PartState.RESTARTING or now < self._due:
            return False
        try:
            self.start()
        except SupervisorError as error:
            self._exits.append(Exit(now, 0.0))
            self._note = str(error)
            self.plan_restart(now)
            return False
        self._restarts += 1
        return True

    def learn(self, target: Target, condition: Condition, now: float) -> None:
        """Take in what was found out about the process; about a former one it is of no interest."""
        if self._child is None or self._child.spawned_at != target.spawned_at:
            return
        if condition.ready and self._ready_since is None:
            self._ready_since = now
        if condition.ready and not condition.note and not self._proven:
            self._proven = True
            _log.info("%s is ready (pid %d)", self.spec.name, self._child.identity.pid)
        if condition.ready:
            self.state = PartState.TROUBLED if condition.note else PartState.READY
        elif self._ready_since is not None:
            self.state = PartState.TROUBLED
        if condition.note or self.state is PartState.READY:
            self._note = condition.note

    def stopped(self) -> None:
        """Take note that it was ended on purpose."""
        self.state = PartState.STOPPED
        self._child = None

    def target(self) -> Target | None:
        """What to look at; None while there is no process."""
        if self._child is None:
            return None
        return Target(
            name=self.spec.name,
            duty=self.spec.duty,
            pids=self._child.pids,
            host=socket.gethostname(),
            spawned_at=self._child.spawned_at,
            address=self.spec.address,
            ready=self._ready_since is not None,
            proven=self._proven,
        )

    def record(self) -> ChildRecord | None:
        """What to keep on the disk; None while there is no process."""
        return ChildRecord(self.spec.name, self.spec.duty, self._child.identity) if self._child else None

    def report(self) -> PartReport:
        """What to tell."""
        return PartReport(
            name=self.spec.name,
            duty=self.spec.duty,
            state=self.state,
            pid=self._child.identity.pid if self._child else None,
            address=str(self.spec.address or ""),
            started_at=self._child.spawned_at if self._child else None,
            restarts=self._restarts,
            note=self._note,
        )
