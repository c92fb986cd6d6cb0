"""Checks the health of the processes at intervals, in its own thread, so that a slow check delays nothing else."""

import functools
import ssl
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from core.addresses import Address
from core.broker.base import Broker
from core.errors import BrokerError, JournalError
from core.heartbeat import Liveness
from core.model import Part, ProcessRecord, Trouble
from core.repository.base import OpenRepository, Repository
from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.processes.readiness import (
    Condition,
    ProbeTarget,
    ask_port_mapper,
    greet,
    judge,
    judge_age,
    probe_port,
)
from core.supervisor.processes.usage import Usage, UsageMeter
from core.threads import OnDeath, vital_thread

STARTING_INTERVAL = 0.1
"""Seconds between two checks while a process has never been healthy."""

STEADY_INTERVAL = 1.0
"""Seconds between two later checks, and between two measurements."""

PROBE_TIMEOUT = 1.0
"""Seconds that a server or a port has to answer."""

CANARY_TIMEOUT = 3.0
"""Seconds that RabbitMQ has to confirm and deliver a message."""

PROBE_INTERVAL = 15.0
"""Seconds between two probes of a ready process. Each adds a line to NGINX's log or opens a connection to RabbitMQ."""

_PROBED = frozenset({ProcessKind.EPMD, ProcessKind.RABBITMQ, ProcessKind.NGINX, ProcessKind.DECLARED})
"""The kinds that write no heartbeat, and are probed instead."""


class HealthReport(msgspec.Struct, frozen=True):
    """The health of one process."""

    target: ProbeTarget
    condition: Condition
    usage: Usage | None = None


class HealthMonitor:
    """Reports the health of the processes.

    Args:
        open_repository: opens the journal read-only.
        check_journal: raises `JournalError` when the journal takes no changes. Called while processes are silent.
        broker: the broker of the private node, if there is one.
        token: the token that servers require.
        on_report: called in the monitor's thread after each check of a process.
        on_death: called when the thread dies of an error.
        tls: the encryption for probing servers that encrypt. It verifies no certificate, so the token is not sent
            then; a server that refuses the probe for that reason is healthy too.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        check_journal: Callable[[], None],
        broker: Broker | None,
        token: str | None,
        on_report: Callable[[HealthReport], None],
        on_death: OnDeath,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._open = open_repository
        self._check_journal = check_journal
        self._broker = broker
        self._token = token if tls is None else None
        self._tls = tls
        self._on_report = on_report
        self._targets: Sequence[ProbeTarget] = ()
        self._wake = threading.Event()
        self._stopping = False
        self._repository: Repository | None = None
        self._liveness = Liveness()
        self._probed: dict[ProcessIdentity, tuple[float, Condition]] = {}
        self._meter = UsageMeter()
        self._usage: dict[ProcessIdentity, Usage] = {}
        self._metered_at = float("-inf")
        self._thread = vital_thread("health", self._run, on_death)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def watch(self, targets: Sequence[ProbeTarget]) -> None:
        """Check these processes from now on."""
        before = self._targets
        self._targets = tuple(targets)
        if self._targets != before:
            self._wake.set()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=15)

    def _run(self) -> None:
        try:
            while not self._stopping:
                targets = self._targets
                self.check(targets, time.monotonic())
                self._wake.wait(
                    STEADY_INTERVAL if all(target.has_been_healthy for target in targets) else STARTING_INTERVAL
                )
                self._wake.clear()
        finally:
            self._forget_journal()

    def check(self, targets: Sequence[ProbeTarget], now: float) -> None:
        """Check each process once, and report it. The monitor's thread calls this.

        Args:
            targets: the processes.
            now: the monotonic time.
        """
        if now - self._metered_at >= STEADY_INTERVAL:
            self._usage = self._meter.measure(targets, now)
            self._metered_at = now
        records, trouble = self._read_records()
        if not trouble:
            self._liveness.observe(records, now)
        refusal = functools.cache(self._find_refusal)
        for target in targets:
            if self._stopping:
                return
            if target.kind in _PROBED:
                condition = self._probe_when_due(target, now)
            elif trouble:
                condition = _without_journal(trouble)
            else:
                condition = self._judge(target, records, now, refusal)
            self._on_report(HealthReport(target, condition, self._usage.get(target.identity)))
        living = {target.identity for target in targets}
        self._probed = {identity: probed for identity, probed in self._probed.items() if identity in living}

    def _judge(
        self, target: ProbeTarget, records: Sequence[ProcessRecord], now: float, refusal: Callable[[], str]
    ) -> Condition:
        """Judge a process by its record. Its silence is the journal's trouble when the journal takes no changes.

        It stays silent all the same: a process that hangs may itself hold the journal's lock.

        Args:
            target: the process.
            records: the records of the journal.
            now: the monotonic time.
            refusal: returns why the journal takes no changes, or an empty string.
        """
        condition = judge(target, records, self._liveness, now)
        if not condition.silent:
            return self._greet_at_first(target, condition)
        reason = refusal()
        return msgspec.structs.replace(_without_journal(reason), silent=True) if reason else condition

    def _find_refusal(self) -> str:
        """Return why the journal takes no changes, or an empty string. This may wait for its lock."""
        try:
            self._check_journal()
        except JournalError as error:
            return str(error)
        return ""

    def _greet_at_first(self, target: ProbeTarget, condition: Condition) -> Condition:
        """Return the condition. A server whose record shows it ready for the first time must also answer."""
        if condition.ready and target.address is not None and not target.has_been_ready:
            trouble = greet(target.address, self._token, PROBE_TIMEOUT, self._tls)
            if trouble:
                return Condition(False, trouble)
        return condition

    def _probe_when_due(self, target: ProbeTarget, now: float) -> Condition:
        """Probe a process, unless a recent probe found it ready."""
        at, condition = self._probed.get(target.identity, (float("-inf"), Condition(False)))
        if condition.ready and now - at < PROBE_INTERVAL:
            return condition
        condition = self._probe(target)
        self._probed[target.identity] = (now, condition)
        return condition

    def _probe(self, target: ProbeTarget) -> Condition:
        if target.address is None:
            return judge_age(target, time.time())
        trouble = self._connect(target, target.address)
        if not trouble and target.kind is ProcessKind.RABBITMQ and self._broker is not None:
            return _canary(self._broker)
        return Condition(not trouble, trouble)

    def _connect(self, target: ProbeTarget, address: Address) -> str:
        if target.kind is ProcessKind.NGINX:
            return greet(address, self._token, PROBE_TIMEOUT, self._tls)
        if target.kind is ProcessKind.EPMD:
            return ask_port_mapper(address, PROBE_TIMEOUT)
        return probe_port(address, PROBE_TIMEOUT)

    def _read_records(self) -> tuple[list[ProcessRecord], str]:
        """Return the records of the journal and, when it can't be read, the reason."""
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


def _without_journal(reason: str) -> Condition:
    trouble = Trouble(Part.JOURNAL, reason)
    return Condition(False, str(trouble), troubles=(trouble,))


def _canary(broker: Broker) -> Condition:
    """Check that RabbitMQ confirms a message and delivers it."""
    try:
        broker.check(CANARY_TIMEOUT)
    except BrokerError as error:
        return Condition(False, str(error))
    return Condition(True)
