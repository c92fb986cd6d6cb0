"""Looks at the processes again and again, from a thread of its own, so that a slow look holds up nothing else."""

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from core.errors import JournalError
from core.model import ProcessRecord
from core.presence import Liveness
from core.repository.base import OpenRepository, Repository
from core.supervisor.plan import Duty
from core.supervisor.readiness import Condition, Target, greet, judge
from core.threads import OnDeath, vital_thread

QUICK = 0.1
"""Seconds between two looks while something was never without trouble."""

CALM = 1.0
"""Seconds between two looks later."""

GREETING = 1.0
"""Seconds that a server has to answer."""

ENTRANCE_EVERY = 15.0
"""Seconds between two looks through NGINX once it is ready: each is a line in its log."""


class Seen(msgspec.Struct, frozen=True):
    """What was found out about one process."""

    target: Target
    condition: Condition


class Watcher:
    """Tells how the processes are.

    Args:
        open_repository: opens the journal, for reading only.
        token: what servers want to be shown.
        on_seen: called from the watcher's thread after each look at a process.
        on_death: called when the thread dies of an error.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        token: str | None,
        on_seen: Callable[[Seen], None],
        on_death: OnDeath,
    ) -> None:
        self._open = open_repository
        self._token = token
        self._on_seen = on_seen
        self._targets: Sequence[Target] = ()
        self._wake = threading.Event()
        self._leaving = False
        self._repository: Repository | None = None
        self._liveness = Liveness()
        self._entrance_seen = 0.0
        self._entrance_open = False
        self._thread = vital_thread("watcher", self._run, on_death)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def watch(self, targets: Sequence[Target]) -> None:
        """Look at these from now on."""
        before = self._targets
        self._targets = tuple(targets)
        if self._targets != before:
            self._wake.set()

    def stop(self) -> None:
        """End."""
        self._leaving = True
        self._wake.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        try:
            while not self._leaving:
                targets = self._targets
                self._look(targets)
                self._wake.wait(CALM if all(target.proven for target in targets) else QUICK)
                self._wake.clear()
        finally:
            self._forget_journal()

    def _look(self, targets: Sequence[Target]) -> None:
        now = time.monotonic()
        records, trouble = self._read()
        if not trouble:
            self._liveness.observe(records, now)
        for target in targets:
            if target.duty is Duty.NGINX:
                condition = self._look_through(target, now)
            elif trouble:
                condition = Condition(False, f"journal: {trouble}")
            else:
                condition = self._confirmed(target, judge(target, records, self._liveness, now))
            if condition is not None:
                self._on_seen(Seen(target, condition))

    def _confirmed(self, target: Target, condition: Condition) -> Condition:
        """A server that says it is ready has to answer too, the first time."""
        if condition.ready and target.address is not None and not target.ready:
            trouble = greet(target.address, self._token, GREETING)
            if trouble:
                return Condition(False, trouble)
        return condition

    def _look_through(self, target: Target, now: float) -> Condition | None:
        """Ask a server for an answer through NGINX; None when it is too early to ask again."""
        fresh = self._entrance_open and now - self._entrance_seen < ENTRANCE_EVERY
        if target.address is None or (target.ready and fresh):
            return None
        trouble = greet(target.address, self._token, GREETING)
        self._entrance_seen = now
        self._entrance_open = not trouble
        return Condition(not trouble, trouble)

    def _read(self) -> tuple[list[ProcessRecord], str]:
        """The records, or why there are none to be had."""
        try:
            if self._repository is None:
                self._repository = self._open()
            return self._repository.processes(), ""
        except JournalError as error:
            self._forget_journal()
            return [], str(error)

    def _forget_journal(self) -> None:
        if self._repository is not None:
            self._repository.close()
            self._repository = None
