"""The health monitor: what it reports of a process as its record, its journal and its heartbeat change."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from core.callbacks import ignore
from core.errors import JournalUnavailable
from core.heartbeat import LIVENESS_TIMEOUT
from core.model import Part, ProcessPhase, ProcessRecord, Role, Trouble
from core.repository.base import Repository
from core.repository.journal import Journal
from core.supervisor.plan import ProcessKind
from core.supervisor.processes.health import PROBE_INTERVAL, HealthMonitor, HealthReport
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.processes.readiness import Condition, ProbeTarget

TARGET = ProbeTarget(
    name="w1",
    kind=ProcessKind.WORKER,
    pids=frozenset({42}),
    host="here",
    spawned_at=100.0,
    identity=ProcessIdentity(42, 100.0),
)
AWAY = (Trouble(Part.BROKER, "away"),)
LOCKED = (Trouble(Part.JOURNAL, "locked"),)
READY = Condition(True)
SILENT = Condition(False, "silent: it writes no heartbeat", silent=True)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What happens before one check, and what the check must report."""

    now: float
    expected: Condition
    beats: ProcessPhase | None = None
    """The phase in which the process writes a heartbeat; None while it writes none."""
    troubles: tuple[Trouble, ...] = ()
    readable: bool = True
    writable: bool = True


STARTING = Step(now=0.0, beats=ProcessPhase.STARTING, expected=Condition(False, "starting"))
WORKING = Step(now=1.0, beats=ProcessPhase.READY, expected=READY)
LATE = 1.0 + LIVENESS_TIMEOUT


class Scene:
    """A journal with the record of one worker, and a monitor of it."""

    def __init__(self, directory: Path) -> None:
        self._journal = Journal("resultados.db", directory)
        self._writer = self._journal.open()
        record = ProcessRecord(role=Role.WORKER, name="w1", host="here", pid=42, started_at=100.5)
        with self._writer.transaction():
            self._record = replace(record, number=self._writer.register(record))
        self._now = Step(now=0.0, expected=READY)
        self._reports: list[HealthReport] = []
        self._monitor = HealthMonitor(self._open, self._check_writable, None, None, self._reports.append, ignore)

    def reported(self, step: Step, target: ProbeTarget = TARGET) -> Condition:
        """Let a step happen. Returns the condition that the monitor then reports."""
        self._now = step
        if step.beats is not None:
            self._record = replace(self._record, beat=self._record.beat + 1, phase=step.beats, troubles=step.troubles)
            with self._writer.transaction():
                self._writer.record_heartbeat(self._record)
        self._reports.clear()
        self._monitor.check([target], step.now)
        [report] = self._reports
        return report.condition

    def close(self) -> None:
        """Close the journal."""
        self._writer.close()

    def _open(self) -> Repository:
        if not self._now.readable:
            raise JournalUnavailable("locked")
        return self._journal.open_readonly()

    def _check_writable(self) -> None:
        if not self._now.writable:
            raise JournalUnavailable("locked")


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([STARTING, WORKING], id="it becomes ready"),
        pytest.param(
            [
                WORKING,
                Step(
                    now=2.0,
                    beats=ProcessPhase.READY,
                    troubles=AWAY,
                    expected=Condition(True, "broker: away", troubles=AWAY),
                ),
                replace(WORKING, now=3.0),
            ],
            id="its broker is away for a while",
        ),
        pytest.param([WORKING, Step(now=LATE - 0.1, expected=READY)], id="a late heartbeat is no silence yet"),
        pytest.param(
            [WORKING, Step(now=LATE, expected=SILENT), replace(WORKING, now=LATE + 1.0)],
            id="it is silent, and comes back",
        ),
        pytest.param(
            [
                WORKING,
                Step(
                    now=LATE,
                    writable=False,
                    expected=Condition(False, "journal: locked", silent=True, troubles=LOCKED),
                ),
                Step(now=LATE + 1.0, expected=SILENT),
            ],
            id="it is silent because the journal takes no changes, and then by itself",
        ),
        pytest.param(
            [Step(now=0.0, beats=ProcessPhase.LEFT, expected=SILENT)],
            id="it has left, and still runs",
        ),
        pytest.param(
            [
                Step(now=0.0, readable=False, expected=Condition(False, "journal: locked", troubles=LOCKED)),
                WORKING,
            ],
            id="the journal can't be read at first",
        ),
        pytest.param(
            [
                WORKING,
                Step(now=2.0, beats=ProcessPhase.DRAINING, expected=Condition(False, "draining")),
            ],
            id="it ends in good order",
        ),
    ],
)
def test_the_reports_follow_the_process(tmp_path: Path, steps: Sequence[Step]) -> None:
    scene = Scene(tmp_path)
    assert [scene.reported(step) for step in steps] == [step.expected for step in steps]
    scene.close()


def test_a_process_without_a_heartbeat_is_probed_until_it_is_ready_and_then_seldom(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    young = replace(TARGET, kind=ProcessKind.DECLARED, spawned_at=float("inf"), ready_after=1.0)
    old = replace(young, spawned_at=0.0)
    starting = Condition(False, "has just started")
    probes = [
        (young, 0.0, starting),
        (old, 1.0, READY),
        # What was found ready stands for a while.
        (young, 1.0 + PROBE_INTERVAL - 0.1, READY),
        (young, 1.0 + PROBE_INTERVAL, starting),
    ]
    for target, now, expected in probes:
        assert scene.reported(Step(now=now, expected=expected), target) == expected, now
    scene.close()
