"""What the console sees of a real journal: whole, from the start, and of one that an older version has written."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.broker.factory import open_broker
from core.database import Database
from core.model import Counters, Depth, Outcome, Part, ProcessPhase, ProcessRecord, Role, State
from core.monitor.depth import DepthWatch
from core.monitor.snapshot import Presence
from core.repository import rows
from core.repository.archive import BulkAction
from core.repository.base import Repository
from core.repository.journal import Journal
from core.repository.sqlite import FAULTS, SqliteRepository, schema
from core.supervisor import state
from core.supervisor.commands import CONTACT_TIMEOUT
from core.supervisor.home import Home
from core.supervisor.lock import Lock
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.state import SupervisorState
from core.supervisor.status import SystemStatus
from core.tasks.registry import builtin_registry
from tests.contract.repositories import mark, new_task, outcome, process, store_outcomes
from tests.services.ports import free_ports
from tests.services.waiting import wait_until
from tui.part_states import PartState, state_of
from tui.view import Health, View
from tui.view_builder import ViewBuilder


class _FirstVersion(SqliteRepository):
    """Writes heartbeats and outcomes as the first version did."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._first = database

    def register(self, record: ProcessRecord) -> int:
        self.record_heartbeat(replace(record, number=1))
        return 1

    def store_outcomes(self, outcomes: Sequence[Outcome], now: float) -> list[bool]:
        for each in outcomes:
            columns = rows.outcome_columns(each, each.state, now)
            self._first.execute(
                "UPDATE tasks SET state = ?, due_at = coalesce(?, due_at), attempts = ?, worker = ?, result = ?,"
                " error_type = ?, error_message = ?, error_traceback = ?, error_signature = ?, queued_at = ?,"
                " taken_at = ?, started_at = ?, finished_at = ?, stored_at = ?, strikes = strikes * ? WHERE seq = ?",
                (*columns[:13], *columns[15:]),  # it knew no runners
            )
            self._move(State.QUEUED, each.state)
        return [True] * len(outcomes)

    def record_heartbeat(self, record: ProcessRecord) -> None:
        self._first.execute(
            "INSERT OR REPLACE INTO processes (number, role, name, host, pid, address, threads, started_at, beat,"
            " seen_at, status, counters, in_hand) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (record.number, *rows.process_columns(record)[:12]),
        )
        self._first.execute(
            "INSERT INTO samples (second, process, counters, in_hand) VALUES (?, ?, ?, 0)",
            (int(record.seen_at), record.number, rows.counters_column(record.counters)),
        )


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Repository]:
    """A journal of the first version, with a worker of that version."""
    database = Database(tmp_path / "resultados.db", FAULTS)
    database.migrate(schema()[:1])
    # What this version's repository writes besides, no other connection sees.
    database.execute("CREATE TEMP TABLE endings (number INTEGER PRIMARY KEY, seqs TEXT)")
    with _FirstVersion(database) as repository:
        yield repository


def work(repository: Repository) -> None:
    """End a task, and write the heartbeats of a worker for two seconds."""
    now = time.time()
    with repository.transaction():
        [receipt] = repository.accept([new_task("a")], 1, now - 1)
    mark(repository, [receipt.seq], now=now - 1)
    store_outcomes(repository, replace(outcome(receipt.seq), started_at=now - 0.5, finished_at=now - 0.2), now=now)
    record = replace(process("w1", at=now, phase=ProcessPhase.READY), role=Role.WORKER)
    number = repository.register(replace(record, seen_at=now - 3))
    for beat, ago in enumerate((2, 1, 0), 1):
        counters = Counters(done=7 * beat)
        repository.record_heartbeat(replace(record, number=number, beat=beat, seen_at=now - ago, counters=counters))


def build(directory: Path) -> View:
    """Build one view."""
    builder = ViewBuilder(Journal("resultados.db", directory), Home(directory), lambda _: None, "none")
    with builder:
        return builder.build(time.monotonic(), time.time())


def test_an_older_journal_is_shown_as_far_as_it_goes(old: Repository, tmp_path: Path) -> None:
    work(old)
    view = build(tmp_path)
    assert (view.ledger.done, [row.process.name for row in view.workers]) == (1, ["w1"])
    assert view.delays is not None
    assert view.delays.took_p50 == pytest.approx(0.3, abs=0.01)
    assert max(view.chart.ended) == 7.0
    assert view.kinds == builtin_registry().kinds
    assert view.workers[0].process.kinds == ()
    assert view.operations == ()


def test_what_an_older_journal_lacks_is_shown_without_alarm(old: Repository, tmp_path: Path) -> None:
    work(old)
    view = build(tmp_path)
    [trouble] = view.troubles
    assert trouble.part is Part.JOURNAL
    assert trouble.reason.startswith("an older version wrote this journal: start the system with this version once")
    assert view.light is not Health.TROUBLED


def test_a_name_has_one_row_and_those_that_ended_have_theirs_apart(tmp_path: Path) -> None:
    now = time.time()
    journal = Journal("resultados.db", tmp_path)
    with journal.open() as repository, repository.transaction():
        for name, phase, role in (
            ("w1", ProcessPhase.LEFT, Role.WORKER),
            ("w1", ProcessPhase.READY, Role.WORKER),
            ("s1", ProcessPhase.LEFT, Role.SERVER),
            ("w1", ProcessPhase.READY, Role.WORKER),
            ("s1", ProcessPhase.READY, Role.SERVER),
            ("w2", ProcessPhase.LEFT, Role.WORKER),
        ):
            repository.register(replace(process(name, at=now, phase=phase), role=role, started_at=now))
    with ViewBuilder(journal, Home(tmp_path), lambda _: None, "none") as builder:
        builder.build(time.monotonic(), time.time())
        with journal.open_heartbeat() as repository, repository.transaction():
            (record,) = [record for record in repository.processes() if record.number == 4]
            repository.record_heartbeat(replace(record, beat=1, seen_at=now))
        view = builder.build(time.monotonic(), time.time())
    assert [(row.process.name, row.process.life, row.process.presence) for row in view.workers] == [
        ("w1", 3, Presence.ONLINE)
    ]
    assert [(row.process.name, row.process.life) for row in view.servers] == [("s1", 2)]
    assert [(row.process.name, row.process.life) for row in view.ended_workers] == [("w2", 1), ("w1", 2), ("w1", 1)]


def test_a_migrated_journal_lacks_nothing(old: Repository, tmp_path: Path) -> None:
    builder = ViewBuilder(Journal("resultados.db", tmp_path), Home(tmp_path), lambda _: None, "none")
    with builder:
        assert builder.build(time.monotonic(), time.time()).lacks
        with Journal("resultados.db", tmp_path).open_archive(readonly=False) as archive:
            archive.begin_operation(BulkAction.RETRY, "ana", time.time())
        view = builder.build(time.monotonic(), time.time())
    assert (view.lacks, view.troubles) == ("", ())
    assert [operation.user for operation in view.operations] == ["ana"]


def test_a_queue_that_is_created_later_is_shown(tmp_path: Path) -> None:
    broker = open_broker("embedded", tmp_path)
    made = False

    def open_gauge(_: SystemStatus | None) -> DepthWatch | None:
        return DepthWatch(broker.gauge) if made else None

    journal = Journal("resultados.db", tmp_path)
    with ViewBuilder(journal, Home(tmp_path), open_gauge, broker.description, broker_timeout=10) as builder:
        assert builder.build(time.monotonic(), time.time()).snapshot.depth is None
        broker.prepare()
        made = True
        assert builder.build(time.monotonic(), time.time()).snapshot.depth == Depth(ready=0, dead=0)


def test_a_damaged_journal_is_the_trouble_of_the_journal_and_of_no_other_part(tmp_path: Path) -> None:
    broker = open_broker("embedded", tmp_path)
    broker.prepare()
    (tmp_path / "resultados.db").write_bytes(b"not a database" * 1000)
    journal = Journal("resultados.db", tmp_path)
    with ViewBuilder(journal, Home(tmp_path), lambda _: DepthWatch(broker.gauge), "none", broker_timeout=10) as builder:
        view = builder.build(time.monotonic(), time.time())
    assert [trouble.part for trouble in view.troubles] == [Part.JOURNAL]
    assert (state_of(view, Part.JOURNAL), state_of(view, Part.BROKER)) == (PartState.BROKEN, PartState.WORKS)


def test_a_broker_that_is_away_is_the_trouble_of_the_broker_and_of_no_other_part(tmp_path: Path) -> None:
    with Journal("resultados.db", tmp_path).open():
        broker = open_broker(f"amqp://127.0.0.1:{free_ports(1)[0]}", tmp_path)
        journal = Journal("resultados.db", tmp_path)
        with ViewBuilder(journal, Home(tmp_path), lambda _: DepthWatch(broker.gauge), "none", 10) as builder:
            wait_until(lambda: bool(builder.build(time.monotonic(), time.time()).troubles), "the trouble")
            view = builder.build(time.monotonic(), time.time())
    assert [trouble.part for trouble in view.troubles] == [Part.BROKER]
    assert (state_of(view, Part.JOURNAL), state_of(view, Part.BROKER)) == (PartState.WORKS, PartState.BROKEN)


def test_a_supervisor_that_hangs_does_not_keep_the_rest_from_being_shown(old: Repository, tmp_path: Path) -> None:
    work(old)
    home = Home(tmp_path)
    home.create()
    gave_up = []

    def hang(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            # Less than the time for which a command waits.
            connection.settimeout(CONTACT_TIMEOUT - 1.0)
            with contextlib.suppress(TimeoutError):
                while connection.recv(4096):
                    pass
                gave_up.append(True)

    with Lock(home.lock), socket.create_server(("127.0.0.1", 0)) as listener:
        identity = ProcessIdentity(os.getpid(), 0.0)
        state.save(home.state, SupervisorState(identity, f"127.0.0.1:{listener.getsockname()[1]}", "token"))
        hanging = threading.Thread(target=hang, args=(listener,))
        hanging.start()
        view = build(tmp_path)
        hanging.join()
    assert gave_up == [True]
    assert (view.ledger.done, [row.process.name for row in view.workers]) == (1, ["w1"])
    [trouble] = view.troubles_seen
    assert trouble.part is Part.SUPERVISOR
    assert "can't be reached" in trouble.reason


def test_a_directory_where_nothing_has_run_has_no_trouble(tmp_path: Path) -> None:
    view = build(tmp_path)
    assert (view.light, view.snapshot.troubles, view.troubles) == (Health.EMPTY, (), ())
    assert (view.snapshot.rate_in, view.snapshot.rate_out) == (0.0, 0.0)
    assert not (tmp_path / "resultados.db").exists()
