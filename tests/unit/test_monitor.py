"""The monitor: rates, presence of processes, the snapshot of a real journal, and what is printed."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace
from rich.console import Console

from core.callbacks import ignore
from core.heartbeat import LIVENESS_TIMEOUT, Heartbeat
from core.identifiers import new_id
from core.model import (
    Counters,
    Depth,
    Failure,
    NewTask,
    Outcome,
    Part,
    ProcessPhase,
    ProcessRecord,
    Role,
    RunningTask,
    State,
    Trouble,
)
from core.monitor.drawing import render
from core.monitor.observer import (
    MAX_SECOND_LOOKS,
    SILENT_AFTER,
    Observer,
    ProcessIdentity,
    look_until_certain,
    presence_of,
)
from core.monitor.rates import rates
from core.monitor.snapshot import EMPTY, LOST_LISTED, Presence, ProcessView, Snapshot
from core.repository.base import Sample
from core.repository.journal import Journal

NOW = 1_795_000_000.0
HOSTILE = "\x1b]0;OWNED\x07 [bold]x[/b] \x9b31m \u202e"
TOP = Path(__file__).resolve().parents[2]


def sample(second: int, number: int, done: int = 0, accepted: int = 0, role: Role = Role.WORKER) -> Sample:
    return Sample(second, number, role, "p", Counters(done=done, accepted=accepted), 0)


def record(role: Role = Role.WORKER, status: str = "ready", in_hand: tuple[RunningTask, ...] = ()) -> ProcessRecord:
    phase, *reasons = status.split("; ")
    return ProcessRecord(
        role=role,
        name="w1",
        host="here",
        pid=7,
        threads=4,
        started_at=NOW,
        seen_at=NOW,
        phase=ProcessPhase(phase),
        troubles=tuple(Trouble(Part.BROKER, reason) for reason in reasons),
        in_hand=in_hand,
    )


def test_a_rate_is_taken_over_the_last_seconds() -> None:
    samples = [sample(100 + second, 1, done=10 * second) for second in range(20)]
    assert rates(samples, 119) == {1: 10.0}


def test_a_server_is_measured_by_what_it_accepts() -> None:
    assert rates([sample(1, 1, 0, 0, Role.SERVER), sample(3, 1, 9, 100, Role.SERVER)], 3) == {1: 50.0}


@pytest.mark.parametrize(
    "samples", [[], [sample(10, 1, 5)], [sample(10, 1, 5), sample(11, 1, 9)]], ids=["none", "one", "long ago"]
)
def test_nothing_recent_is_no_rate(samples: list[Sample]) -> None:
    assert rates(samples, 16) == {}


@pytest.mark.parametrize(
    ("status", "alive", "busy", "expected"),
    [
        ("ready", True, False, Presence.ONLINE),
        ("ready", True, True, Presence.BUSY),
        ("ready; broker: away", True, True, Presence.TROUBLED),
        ("starting", True, False, Presence.STARTING),
        ("draining; broker: away", True, False, Presence.DRAINING),
        ("ready", False, True, Presence.LOST),
        ("ready; broker: away", None, True, Presence.UNKNOWN),
        ("starting", None, False, Presence.UNKNOWN),
        ("left", None, False, Presence.LEFT),
        ("left", True, False, Presence.LEFT),
        ("left", False, False, Presence.LEFT),
    ],
)
def test_presence(status: str, alive: bool | None, busy: bool, expected: Presence) -> None:
    in_hand = (RunningTask("t", "echo", NOW),) if busy else ()
    assert presence_of(record(status=status, in_hand=in_hand), alive=alive) is expected


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal with a result, a failure with hostile text, and a worker that runs a third task."""
    found = Journal("resultados.db", tmp_path)
    with found.open() as repository:
        with repository.transaction():
            number = repository.register(record())
            tasks = [NewTask(id=name, kind="echo", payload='"x"', received_at=NOW) for name in ("a", "b", "c")]
            receipts = repository.accept(tasks, None, NOW)
        done = Outcome(
            seq=receipts[0].seq,
            attempt=0,
            state=State.DONE,
            result=json.dumps(HOSTILE, ensure_ascii=False),
            worker="w1",
            queued_at=NOW,
            taken_at=NOW,
            started_at=NOW,
            finished_at=NOW + 0.25,
        )
        failure = Failure(type="ValueError", message=HOSTILE)
        failed = replace(done, seq=receipts[1].seq, state=State.FAILED, result=None, failure=failure)
        with repository.transaction():
            repository.store_outcomes([done, failed], NOW + 1)
            repository.record_heartbeat(
                replace(record(in_hand=(RunningTask("c", "echo", NOW),)), number=number, beat=1)
            )
    return found


def printed(observer: Observer, width: int = 160) -> str:
    """Return what is printed of the present snapshot."""
    stream = io.StringIO()
    snapshot = observer.take_snapshot(1.0, NOW + 2, Depth(ready=3, dead=1))
    Console(file=stream, force_terminal=True, width=width, color_system=None).print(render(snapshot))
    return stream.getvalue()


def test_a_snapshot_has_the_ledger_the_processes_and_the_latest(journal: Journal) -> None:
    observer = Observer(journal.open_readonly, latest=5)
    snapshot = observer.take_snapshot(1.0, NOW + 2, Depth(ready=3, dead=1))
    observer.close()
    assert (snapshot.ledger.total, snapshot.ledger.done, snapshot.ledger.failed) == (3, 1, 1)
    assert snapshot.ledger.running == 1
    assert [task.id for task in snapshot.latest] == ["b", "a"]
    assert [view.name for view in snapshot.processes] == ["w1"]


def beat(journal: Journal, *records: ProcessRecord) -> None:
    """Write heartbeats."""
    with journal.open_heartbeat() as repository, repository.transaction():
        for each in records:
            repository.record_heartbeat(each)


def seen(observer: Observer, now: float, supervised: Collection[ProcessIdentity] = ()) -> list[Presence]:
    """Return the presence of each process at a moment."""
    return [view.presence for view in observer.take_snapshot(now, NOW + now, None, (), supervised).processes]


def test_nothing_is_known_of_a_process_until_its_second_heartbeat(journal: Journal) -> None:
    with closing(Observer(journal.open_readonly)) as observer:
        assert seen(observer, 1.0) == [Presence.UNKNOWN]
        assert seen(observer, 1.4) == [Presence.UNKNOWN]
        beat(journal, replace(record(), number=1, beat=2))
        assert seen(observer, 1.5) == [Presence.ONLINE]
        assert seen(observer, 1.5 + SILENT_AFTER - 0.1) == [Presence.ONLINE]
        assert seen(observer, 1.5 + SILENT_AFTER) == [Presence.UNKNOWN]
        beat(journal, replace(record(), number=1, beat=3))
        assert seen(observer, 1.6 + SILENT_AFTER) == [Presence.ONLINE]
        assert seen(observer, 1.6 + SILENT_AFTER + LIVENESS_TIMEOUT) == [Presence.LOST]


def test_the_tasks_of_a_worker_that_may_be_alive_are_running(journal: Journal) -> None:
    with closing(Observer(journal.open_readonly)) as observer:
        snapshot = observer.take_snapshot(1.0, NOW, None)
    assert not snapshot.is_certain
    assert (snapshot.ledger.running, [len(view.in_hand) for view in snapshot.processes]) == (1, [1])


@pytest.fixture
def here() -> ProcessRecord:
    """The record of a worker that is this very process."""
    return replace(
        record(), number=1, beat=2, host=socket.gethostname(), pid=os.getpid(), started_at=time.time(), name="w1"
    )


def test_the_supervisor_of_this_machine_tells_which_processes_run(journal: Journal, here: ProcessRecord) -> None:
    beat(journal, here, replace(here, number=2, host="elsewhere"), replace(here, number=3, name="w3"))
    with closing(Observer(journal.open_readonly)) as observer:
        supervised = {(here.host, "w1", here.pid)}
        assert seen(observer, 1.0, supervised) == [Presence.ONLINE, Presence.UNKNOWN, Presence.UNKNOWN]
        # One that hangs is not known to work, although it runs.
        assert seen(observer, 1.0 + LIVENESS_TIMEOUT, supervised)[0] is Presence.UNKNOWN


def test_a_process_of_this_machine_is_lost_as_soon_as_it_has_ended(journal: Journal, here: ProcessRecord) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    later = replace(here, number=3, started_at=time.time() - 3600)
    beat(journal, here, replace(here, number=2, pid=ended.pid), later)
    with closing(Observer(journal.open_readonly)) as observer:
        # The supervisor may not have noticed yet. The third has the id of a process that was started after it.
        assert seen(observer, 1.0, {(socket.gethostname(), "w1", ended.pid)}) == [
            Presence.UNKNOWN,
            Presence.LOST,
            Presence.LOST,
        ]
        ended.wait()
        assert seen(observer, 1.1) == [Presence.UNKNOWN, Presence.LOST, Presence.LOST]


def test_a_process_in_a_container_of_this_machine_is_alive_while_it_beats(
    journal: Journal, here: ProcessRecord
) -> None:
    hidden = replace(here, started_at=0.0)  # so that the process of its id is another one
    with closing(Observer(journal.open_readonly)) as observer:
        presences = []
        for number in range(2, 6):
            beat(journal, replace(hidden, beat=number))
            presences += seen(observer, number / 2)
        assert presences == [Presence.LOST, Presence.LOST, Presence.ONLINE, Presence.ONLINE]
        assert seen(observer, 2.5 + SILENT_AFTER) == [Presence.UNKNOWN]


def view(number: int, presence: Presence, *, life: int = 1, name: str = "w1", host: str = "here") -> ProcessView:
    """A worker, as a snapshot has it."""
    return ProcessView(
        number=number,
        life=life,
        role=Role.WORKER,
        name=name,
        host=host,
        pid=number,
        address="",
        threads=1,
        presence=presence,
        seen_at=NOW - 10,
        counters=Counters(),
        rate=0.0,
        in_hand=(),
    )


LISTED: dict[str, tuple[list[ProcessView], list[int]]] = {
    "the last of a name": ([view(1, Presence.LOST), view(2, Presence.LOST), view(3, Presence.ONLINE)], [3]),
    "the one that is alive": ([view(1, Presence.BUSY), view(2, Presence.LOST)], [1]),
    "not one of which nothing is known": ([view(1, Presence.UNKNOWN), view(2, Presence.STARTING)], [2]),
    "one on each host": ([view(1, Presence.ONLINE), view(2, Presence.ONLINE, host="there")], [1, 2]),
    "each name": ([view(1, Presence.ONLINE), view(2, Presence.ONLINE, name="w2")], [1, 2]),
    "none that has left": ([view(1, Presence.LOST), view(2, Presence.LEFT)], []),
    "one that was lost lately": ([view(1, Presence.LOST), view(2, Presence.LOST)], [2]),
    "none that was lost long ago": ([replace(view(1, Presence.LOST), seen_at=NOW - LOST_LISTED)], []),
}


@pytest.mark.parametrize(("processes", "numbers"), LISTED.values(), ids=LISTED)
def test_a_name_is_listed_once(processes: list[ProcessView], numbers: list[int]) -> None:
    snapshot = Snapshot(taken_at=NOW, processes=tuple(processes))
    assert [process.number for process in snapshot.listed] == numbers
    others = [process.number for process in processes if process.number not in numbers]
    assert [process.number for process in snapshot.ended] == others


def test_a_name_is_printed_once_with_its_life_and_those_that_ended_are_counted() -> None:
    processes = (*(view(number, Presence.LOST, life=number) for number in (1, 2)), view(3, Presence.ONLINE, life=3))
    stream = io.StringIO()
    Console(file=stream, width=160).print(render(Snapshot(taken_at=NOW, processes=processes)))
    lines = stream.getvalue().splitlines()
    assert [line.split()[:3] for line in lines if line.startswith("w1")] == [["w1,", "3rd", "online"]]
    assert lines[-1].strip() == "2 ended"


def test_a_system_is_looked_at_until_each_process_is_known() -> None:
    looks = iter([Presence.UNKNOWN, Presence.UNKNOWN, Presence.ONLINE])
    found = look_until_certain(lambda: Snapshot(processes=(view(1, next(looks)),)), lambda snapshot: snapshot)
    assert [process.presence for process in found.processes] == [Presence.ONLINE]
    count = 0

    def look() -> Snapshot:
        nonlocal count
        count += 1
        return Snapshot(processes=(view(1, Presence.UNKNOWN),))

    assert not look_until_certain(look, lambda snapshot: snapshot).is_certain
    assert count == 1 + MAX_SECOND_LOOKS


def store_done(journal: Journal, count: int) -> None:
    """Store tasks and their results."""
    with journal.open() as repository, repository.transaction():
        tasks = [NewTask(id=new_id(), kind="echo", payload="1", received_at=NOW) for _ in range(count)]
        receipts = repository.accept(tasks, None, NOW)
        outcomes = [
            Outcome(
                seq=receipt.seq,
                attempt=0,
                state=State.DONE,
                result="1",
                worker="w1",
                queued_at=NOW,
                taken_at=NOW,
                started_at=NOW,
                finished_at=NOW,
            )
            for receipt in receipts
        ]
        repository.store_outcomes(outcomes, NOW)


def test_the_rate_of_the_system_is_known_while_no_process_lives_long_enough_to_have_one(journal: Journal) -> None:
    with closing(Observer(journal.open_readonly)) as observer:
        first = observer.take_snapshot(1.0, NOW, None)
        assert (first.rate_in, first.rate_out, [each.rate for each in first.processes]) == (0.0, None, [None])
        for second in range(1, 4):
            store_done(journal, 40)
            found = observer.take_snapshot(1.0 + second, NOW + second, None)
        assert (found.rate_in, found.rate_out) == (40.0, 40.0)
        assert [each.rate for each in found.processes] == [None]
        stream = io.StringIO()
        Console(file=stream, width=160).print(render(found))
        assert "in 40/s   out 40/s" in stream.getvalue()
        assert [line.split()[2] for line in stream.getvalue().splitlines() if line.startswith("w1")] == ["?"]


def test_a_worker_without_a_heartbeat_is_lost_and_runs_nothing(journal: Journal) -> None:
    observer = Observer(journal.open_readonly)
    observer.take_snapshot(1.0, NOW + 2, None)
    snapshot = observer.take_snapshot(60.0, NOW + 61, None)
    assert [view.presence for view in snapshot.processes] == [Presence.LOST]
    assert snapshot.ledger.running == 0
    assert observer.take_snapshot(5000.0, NOW + 5000, None).processes == ()
    observer.close()


def test_a_journal_may_be_created_later(tmp_path: Path) -> None:
    observer = Observer(Journal("resultados.db", tmp_path).open_readonly)
    missing = observer.take_snapshot(1.0, NOW, None)
    [trouble] = missing.troubles
    assert trouble.part is Part.JOURNAL
    assert "there is no journal" in trouble.reason
    with Journal("resultados.db", tmp_path).open():
        assert observer.take_snapshot(2.0, NOW + 1, None).troubles == ()
    observer.close()


def test_no_part_of_a_task_reaches_the_terminal_as_a_command(journal: Journal) -> None:
    observer = Observer(journal.open_readonly)
    text = printed(observer)
    observer.close()
    assert "\\x1b]0;OWNED" in text
    assert "[bold]x[/b]" in text
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)
    assert "3 in the queue, 1 dead letters" in text


def test_the_broker_is_away_only_when_it_is_the_broker_that_is_in_trouble() -> None:
    for part, shown in ((Part.BROKER, "broker away"), (Part.JOURNAL, "depth unknown")):
        stream = io.StringIO()
        Console(file=stream, width=160).print(render(replace(EMPTY, troubles=(Trouble(part, "it is so"),))))
        assert shown in stream.getvalue()
        assert f"{part}: it is so" in stream.getvalue()


def test_in_a_narrow_terminal_only_the_results_are_cut(tmp_path: Path) -> None:
    name = new_id()
    journal = Journal("resultados.db", tmp_path)
    server = replace(record(Role.SERVER), name="s1", address="127.0.0.1:7101")
    with journal.open() as repository, repository.transaction():
        repository.register(server)
        task = NewTask(id=name, kind="simulate", payload="1", received_at=NOW)
        [receipt] = repository.accept([task], None, NOW)
        ended = Outcome(
            seq=receipt.seq,
            attempt=0,
            state=State.FAILED,
            failure=Failure(type="ValueError", message="x" * 200),
            worker="w1",
            queued_at=NOW,
            taken_at=NOW,
            started_at=NOW,
            finished_at=NOW + 1234.5,
        )
        repository.store_outcomes([ended], NOW + 1235)
    observer = Observer(journal.open_readonly)
    lines = printed(observer, 80).splitlines()
    observer.close()
    assert any(line.split()[-1] == "127.0.0.1:7101" for line in lines)
    [result] = [line.split() for line in lines if name in line]
    assert [result[0], result[1], result[2], *result[-2:]] == [name, "simulate", "failed", "1,234,500.0", "w1"]
    [heading] = [line.split() for line in lines if "tasks/s" in line]
    assert heading == ["state", "tasks/s", "accepted", "done", "failed", "retried", "running", "pid", "where"]


def test_an_empty_system_shows_how_to_start() -> None:
    stream = io.StringIO()
    Console(file=stream, width=160).print(render(EMPTY))
    assert "python -m core.supervisor up" in stream.getvalue()


def test_one_snapshot_as_json_and_none_without_a_journal(journal: Journal, tmp_path: Path, here: ProcessRecord) -> None:
    remote = replace(here, number=2, host="elsewhere")
    beat(journal, replace(here, started_at=0.0, seen_at=time.time()), remote)
    heartbeat = Heartbeat(journal.open_heartbeat, lambda: remote, 2, ignore)

    def snapshot_of(directory: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "core.monitor", "--once", "--json", "--dir", str(directory)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=TOP, check=False)

    heartbeat.start()
    printed_once = snapshot_of(journal.path.parent)
    heartbeat.stop()
    assert printed_once.returncode == 0, printed_once.stderr
    snapshot = json.loads(printed_once.stdout)
    assert (snapshot["ledger"]["accepted"], snapshot["ledger"]["failed"]) == (3, 1)
    assert [task["id"] for task in snapshot["latest"]] == ["b", "a"]
    # The first has ended on this machine; the other is on another, and was looked at until it had beaten twice.
    assert [(process["presence"], process["life"]) for process in snapshot["processes"]] == [("lost", 1), ("online", 1)]
    # The journal is readable, and no queue was ever created.
    assert [trouble["part"] for trouble in snapshot["troubles"]] == ["broker"]
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    failed = snapshot_of(nothing)
    assert failed.returncode == 5
    assert "is this the system's directory?" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert list(nothing.iterdir()) == []
