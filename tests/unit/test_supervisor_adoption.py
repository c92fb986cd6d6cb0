"""What a killed supervisor has left: what is adopted, ended or not touched. The processes are real."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.addresses import Address
from core.supervisor import state
from core.supervisor.home import Home
from core.supervisor.plan import MARK, ProcessKind, ProcessSpec
from core.supervisor.processes import adoption, process_identity
from core.supervisor.processes.adoption import OrphanedSystem, find_adoptable, live_records
from core.supervisor.processes.process import ChildProcess
from core.supervisor.processes.process_identity import TOLERANCE, ProcessIdentity
from core.supervisor.processes.unit import Unit
from core.supervisor.state import ChildRecord, ChildRecords
from core.supervisor.status import UnitState
from tests.services.waiting import wait_until

NOW = 1000.0
LIVES = "import time; print('here', flush=True); time.sleep(600)"
HAS_A_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {LIVES!r}]); {LIVES}"
STARTED = 5000.0


def record_of(pid: int, started: float = STARTED, name: str = "w1") -> ChildRecord:
    return ChildRecord(name=name, kind=ProcessKind.WORKER, identity=ProcessIdentity(pid, started), spawned_at=started)


class _Former:
    """A supervisor that starts processes, records them and is gone."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.children: list[ChildProcess] = []
        self.units: list[Unit] = []

    def spec(self, name: str, program: str = LIVES) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            kind=ProcessKind.WORKER,
            command=(sys.executable, "-c", program),
            environment={MARK: str(self.home.directory)},
        )

    def start(self, name: str, program: str = LIVES) -> ChildRecord:
        spec = self.spec(name, program)
        child = ChildProcess(spec, self.home, os.environ)
        self.children.append(child)
        wait_until(lambda: "here" in child.last_output(), f"{name} to be at work")
        return ChildRecord(
            name=name,
            kind=spec.kind,
            identity=child.identity,
            spawned_at=child.spawned_at,
            fingerprint=spec.fingerprint,
        )

    def follower(self, name: str, record: ChildRecord) -> Unit:
        """A unit of the next supervisor, which has adopted a process."""
        unit = Unit(self.spec(name), self.home, os.environ)
        self.units.append(unit)
        unit.adopt(record)
        return unit

    def save_records(self, *records: ChildRecord) -> None:
        state.save(self.home.children, ChildRecords(records))

    def close(self) -> None:
        for process in [*self.children, *(unit.process for unit in self.units)]:
            if process is not None:
                process.kill()
                wait_until(process.has_ended, f"{process.name} to end")
        wait_until(lambda: not process_identity.processes_of(self.home), "everything to end")


@pytest.fixture
def former(tmp_path: Path) -> Iterator[_Former]:
    home = Home(tmp_path / "one")
    home.create()
    made = _Former(home)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[_Former]:
    """Processes of another directory."""
    home = Home(tmp_path / "two")
    home.create()
    made = _Former(home)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("alive", "known"),
    [
        pytest.param([ProcessIdentity(42, STARTED)], True, id="the same process"),
        pytest.param([ProcessIdentity(42, STARTED + TOLERANCE)], True, id="the clock was set a little"),
        pytest.param([ProcessIdentity(42, STARTED + TOLERANCE + 0.01)], False, id="a later process with the same id"),
        pytest.param([ProcessIdentity(42, STARTED - TOLERANCE - 0.01)], False, id="an earlier one"),
        pytest.param([ProcessIdentity(43, STARTED)], False, id="another id with the same start"),
        pytest.param([], False, id="nothing is alive"),
        pytest.param(
            [ProcessIdentity(7, 1.0), ProcessIdentity(42, STARTED), ProcessIdentity(8, STARTED)],
            True,
            id="one of several",
        ),
    ],
)
def test_a_process_is_identified_by_its_id_and_its_start(alive: list[ProcessIdentity], known: bool) -> None:
    record = record_of(42)
    assert live_records([record], alive) == ((record,) if known else ())


def test_each_record_is_compared_separately() -> None:
    records = [record_of(42), record_of(43, name="w2"), record_of(44, name="w3")]
    assert live_records(
        records, [ProcessIdentity(44, STARTED), ProcessIdentity(42, STARTED), ProcessIdentity(43, 1.0)]
    ) == (
        records[0],
        records[2],
    )


def test_only_a_process_that_runs_exactly_what_is_wanted_is_adoptable() -> None:
    def spec(name: str, *command: str) -> ProcessSpec:
        return ProcessSpec(name=name, kind=ProcessKind.WORKER, command=command, environment={})

    same, changed = spec("w1", "x"), spec("w2", "x", "--new")
    records = (
        replace(record_of(1), fingerprint=same.fingerprint),
        replace(record_of(2, name="w2"), fingerprint=spec("w2", "x").fingerprint),
        replace(record_of(3, name="w3"), fingerprint=same.fingerprint),
        record_of(4, name="w4"),
    )
    assert find_adoptable(OrphanedSystem(records), [same, changed, spec("w4", "x")]) == {"w1": records[0]}
    assert find_adoptable(OrphanedSystem(), [same]) == {}
    assert find_adoptable(OrphanedSystem(records), []) == {}


def test_only_valid_addresses_are_returned() -> None:
    orphaned = OrphanedSystem(
        (
            replace(record_of(1, name="s1"), address="127.0.0.1:7101", kind=ProcessKind.SERVER),
            replace(record_of(2, name="s2"), address="nonsense"),
            record_of(3, name="w1"),
        )
    )
    assert orphaned.addresses == {"s1": Address("127.0.0.1", 7101)}
    assert orphaned.runs(ProcessKind.SERVER)
    assert not orphaned.runs(ProcessKind.NGINX)


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b'{"children": 3}'])
def test_processes_are_found_even_without_a_record(former: _Former, content: bytes | None) -> None:
    record = former.start("w1")
    if content is not None:
        former.home.children.write_bytes(content)
    orphaned = adoption.find_orphaned(former.home)
    assert orphaned.records == ()
    assert [orphan.identity for orphan in orphaned.processes] == [record.identity]


def test_a_recorded_process_of_another_directory_is_not_touched(former: _Former, stranger: _Former) -> None:
    mine, other = former.start("w1"), stranger.start("w2")
    former.save_records(mine, other)
    orphaned = adoption.find_orphaned(former.home)
    assert orphaned.records == (mine,)
    assert [orphan.identity for orphan in orphaned.processes] == [mine.identity]
    assert adoption.stop_others(orphaned, [], 10.0) == ()
    assert not process_identity.is_alive(mine.identity)
    assert process_identity.is_alive(other.identity)


def test_another_process_with_an_old_id_is_not_touched(former: _Former) -> None:
    """It lacks the mark; the file has its id with the start of the process that had it before."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        now = process_identity.identify(process.pid)
        assert now is not None
        old = replace(record_of(process.pid), identity=ProcessIdentity(process.pid, now.started - 100))
        former.save_records(old)
        orphaned = adoption.find_orphaned(former.home)
        assert orphaned == OrphanedSystem()
        adoption.stop_others(orphaned, [], 10.0)
        unit = former.follower("w1", old)
        unit.kill()
        unit.stop(0.0, NOW)
        unit.tick(NOW)
        assert unit.process is None
        assert process.poll() is None
        process.communicate()


def test_a_process_with_another_start_is_ended_and_not_adopted(former: _Former) -> None:
    record = former.start("w1")
    former.save_records(replace(record, identity=ProcessIdentity(record.identity.pid, record.identity.started - 100)))
    orphaned = adoption.find_orphaned(former.home)
    assert find_adoptable(orphaned, [former.spec("w1")]) == {}
    assert adoption.stop_others(orphaned, [], 10.0) == ()
    assert not process_identity.is_alive(record.identity)


def test_an_adopted_process_is_kept_with_all_that_it_has_started(former: _Former) -> None:
    kept, ended = former.start("w1", HAS_A_CHILD), former.start("w2", HAS_A_CHILD)
    wait_until(lambda: len(process_identity.processes_of(former.home)) == 4, "the children's children")
    former.save_records(kept, ended)
    orphaned = adoption.find_orphaned(former.home)
    adopted = find_adoptable(orphaned, [former.spec("w1", HAS_A_CHILD)])
    assert adopted == {"w1": kept}
    assert adoption.stop_others(orphaned, list(adopted.values()), 10.0) == ()
    wait_until(lambda: len(process_identity.processes_of(former.home)) == 2, "the others to end")
    assert process_identity.is_alive(kept.identity)
    assert not process_identity.is_alive(ended.identity)


def test_an_adopted_process_that_ends_is_restarted(former: _Former) -> None:
    record = former.start("w1")
    former.save_records(record)
    unit = former.follower("w1", adoption.find_orphaned(former.home).records[0])
    unit.tick(NOW)
    assert unit.status(NOW).pid == record.identity.pid
    process_identity.kill(record.identity)
    wait_until(lambda: not process_identity.is_alive(record.identity), "the process to end")
    unit.tick(NOW + 1)
    assert unit.state is UnitState.RESTARTING
    unit.tick(NOW + 2)
    assert unit.process is not None
    assert unit.process.identity != record.identity
    started = [unit.process.identity]
    wait_until(lambda: process_identity.processes_of(former.home) == started, "the new process to be the only one")
    assert unit.status(NOW + 2).restarts == 1


def test_an_adopted_process_ends_when_it_is_asked(former: _Former) -> None:
    record = former.start("w1")
    unit = former.follower("w1", record)
    unit.stop(10.0, NOW)
    assert unit.status(NOW + 4).kill_in == pytest.approx(6.0)
    wait_until(lambda: not process_identity.is_alive(record.identity), "the process to end")
    unit.tick(NOW + 1)
    assert (unit.state, unit.process) == (UnitState.STOPPED, None)
    unit.tick(NOW + 1000)
    assert unit.process is None
