"""Looks at the processes again and again, from a thread of its own, so that a slow look holds up nothing else."""

import ssl
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from core.addresses import Address
from core.broker.base import Broker
from core.errors import BrokerError, JournalError
from core.heartbeat import Liveness
from core.model import ProcessRecord
from core.repository.base import OpenRepository, Repository
from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.processes.readiness import Condition, ProbeTarget, greet, has_lived, judge, listens
from core.supervisor.processes.usage import Usage, UsageMeter
from core.threads import OnDeath, vital_thread

QUICK = 0.1
"""Seconds between two looks while something was never without trouble."""

CALM = 1.0
"""Seconds between two looks later, and between two measurements."""

PROBE_TIMEOUT = 1.0
"""Seconds that a server, or a port, has to answer."""

CANARY_TIMEOUT = 3.0
"""Seconds that RabbitMQ has to confirm a message and give it back."""

PROBE_EVERY = 15.0
"""Seconds between two probes of what is ready: each is a line in NGINX's log, or a connection to RabbitMQ."""

_PROBED = frozenset({ProcessKind.EPMD, ProcessKind.RABBITMQ, ProcessKind.NGINX, ProcessKind.DECLARED})
"""Those that write no heartbeat: they are asked to do something."""


class HealthReport(msgspec.Struct, frozen=True):
    """What was found out about one process."""

    target: ProbeTarget
    condition: Condition
    usage: Usage | None = None


class HealthMonitor:
    """Tells how the processes are.

    Args:
        open_repository: opens the journal, for reading only.
        broker: the private node's, when there is one.
        token: what servers want to be shown.
        on_seen: called from the watcher's thread after each look at a process.
        on_death: called when the thread dies of an error.
        tls: what to look at servers with, where they encrypt. It knows nobody, so that nobody is shown the token then:
            a server that refuses one works too.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        broker: Broker | None,
        token: str | None,
        on_seen: Callable[[HealthReport], None],
        on_death: OnDeath,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._open = open_repository
        self._broker = broker
        self._token = token if tls is None else None
        self._tls = tls
        self._on_seen = on_seen
        self._targets: Sequence[ProbeTarget] = ()
        self._wake = threading.Event()
        self._leaving = False
        self._repository: Repository | None = None
        self._liveness = Liveness()
        self._probed: dict[ProcessIdentity, tuple[float, Condition]] = {}
        self._meter = UsageMeter()
        self._usage: dict[ProcessIdentity, Usage] = {}
        self._metered_at = float("-inf")
        self._thread = vital_thread("watcher", self._run, on_death)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def watch(self, targets: Sequence[ProbeTarget]) -> None:
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

    def _look(self, targets: Sequence[ProbeTarget]) -> None:
        now = time.monotonic()
        if now - self._metered_at >= CALM:
            self._usage = self._meter.look(targets, now)
            self._metered_at = now
        records, trouble = self._read()
        if not trouble:
            self._liveness.observe(records, now)
        for target in targets:
            if self._leaving:
                return
            if target.kind in _PROBED:
                condition = self._probe(target, now)
            elif trouble:
                condition = Condition(False, f"journal: {trouble}")
            else:
                condition = self._confirmed(target, judge(target, records, self._liveness, now))
            self._on_seen(HealthReport(target, condition, self._usage.get(target.identity)))
        living = {target.identity for target in targets}
        self._probed = {identity: probed for identity, probed in self._probed.items() if identity in living}

    def _confirmed(self, target: ProbeTarget, condition: Condition) -> Condition:
        """A server that says it is ready has to answer too, the first time."""
        if condition.ready and target.address is not None and not target.ready:
            trouble = greet(target.address, self._token, PROBE_TIMEOUT, self._tls)
            if trouble:
                return Condition(False, trouble)
        return condition

    def _probe(self, target: ProbeTarget, now: float) -> Condition:
        """Ask a process to do something, unless it did a short while ago."""
        at, condition = self._probed.get(target.identity, (float("-inf"), Condition(False)))
        if condition.ready and now - at < PROBE_EVERY:
            return condition
        condition = self._ask(target)
        self._probed[target.identity] = (now, condition)
        return condition

    def _ask(self, target: ProbeTarget) -> Condition:
        if target.address is None:
            return has_lived(target, time.time())
        trouble = self._knock(target, target.address)
        if not trouble and target.kind is ProcessKind.RABBITMQ and self._broker is not None:
            return _canary(self._broker)
        return Condition(not trouble, trouble)

    def _knock(self, target: ProbeTarget, address: Address) -> str:
        if target.kind is ProcessKind.NGINX:
            return greet(address, self._token, PROBE_TIMEOUT, self._tls)
        return listens(address, PROBE_TIMEOUT)

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


def _canary(broker: Broker) -> Condition:
    """Have RabbitMQ confirm a message and give it back."""
    try:
        broker.check(CANARY_TIMEOUT)
    except BrokerError as error:
        return Condition(False, str(error))
    return Condition(True)
