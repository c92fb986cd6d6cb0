"""The monitor: rates, presence of processes, the snapshot of a real journal, and what is printed."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from core.model import Counters, Depth, Failure, NewTask, Outcome, ProcessPhase, ProcessRecord, Role, RunningTask, State
from core.monitor.__main__ import render
from core.monitor.observer import Observer, presence_of
from core.monitor.rates import rates
from core.monitor.snapshot import EMPTY, Presence
from core.repository.base import Sample
from core.repository.journal import Journal

NOW = 1_795_000_000.0
HOSTILE = "\x1b]0;OWNED\x07 [bold]x[/b] \x9b31m \u202e"
TOP = Path(__file__).resolve().parents[2]


def sample(second: int, number: int, done: int = 0, accepted: int = 0, role: Role = Role.WORKER) -> Sample:
    return Sample(second, number, role, "p", Counters(done=done, accepted=accepted), 0)


def record(role: Role = Role.WORKER, status: str = "ready", in_hand: tuple[RunningTask, ...] = ()) -> ProcessRecord:
    phase, *troubles = status.split("; ")
    return ProcessRecord(
        role=role,
        name="w1",
        host="here",
        pid=7,
        threads=4,
        started_at=NOW,
        seen_at=NOW,
        phase=ProcessPhase(phase),
        troubles=tuple(troubles),
        in_hand=in_hand,
    )


@pytest.mark.parametrize(
    ("running", "since", "expected"),
    [
        (4, 61.0, Presence.STALLED),
        (4, 59.0, Presence.BUSY),
        (3, 3600.0, Presence.BUSY),
        (0, 0.0, Presence.ONLINE),
    ],
)
def test_a_worker_whose_threads_all_run_a_task_for_long_is_stalled(
    running: int, since: float, expected: Presence
) -> None:
    in_hand = tuple(RunningTask(f"t{number}", "echo", NOW - since - number) for number in range(running))
    assert presence_of(record(in_hand=in_hand), alive=True) is expected
    assert presence_of(record(in_hand=in_hand), alive=False) is Presence.LOST


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
        ("left", True, False, Presence.LEFT),
        ("left", False, False, Presence.LEFT),
    ],
)
def test_presence(status: str, alive: bool, busy: bool, expected: Presence) -> None:
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


def printed(observer: Observer) -> str:
    """Return what is printed of the present snapshot."""
    stream = io.StringIO()
    snapshot = observer.take_snapshot(1.0, NOW + 2, Depth(ready=3, dead=1))
    Console(file=stream, force_terminal=True, width=160, color_system=None).print(render(snapshot))
    return stream.getvalue()


def test_a_snapshot_has_the_ledger_the_processes_and_the_latest(journal: Journal) -> None:
    observer = Observer(journal.open_readonly, latest=5)
    snapshot = observer.take_snapshot(1.0, NOW + 2, Depth(ready=3, dead=1))
    observer.close()
    assert (snapshot.ledger.total, snapshot.ledger.done, snapshot.ledger.failed) == (3, 1, 1)
    assert snapshot.ledger.running == 1
    assert [task.id for task in snapshot.latest] == ["b", "a"]
    assert [view.presence for view in snapshot.processes] == [Presence.BUSY]


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
    assert "there is no journal" in missing.trouble
    with Journal("resultados.db", tmp_path).open():
        assert observer.take_snapshot(2.0, NOW + 1, None).trouble == ""
    observer.close()


def test_no_part_of_a_task_reaches_the_terminal_as_a_command(journal: Journal) -> None:
    observer = Observer(journal.open_readonly)
    text = printed(observer)
    observer.close()
    assert "\\x1b]0;OWNED" in text
    assert "[bold]x[/b]" in text
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)
    assert "3 in the queue, 1 dead letters" in text


def test_an_empty_system_shows_how_to_start() -> None:
    stream = io.StringIO()
    Console(file=stream, width=160).print(render(EMPTY))
    assert "python -m core.supervisor up" in stream.getvalue()


def test_one_snapshot_as_json_and_none_without_a_journal(journal: Journal, tmp_path: Path) -> None:
    def snapshot_of(directory: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "core.monitor", "--once", "--json", "--dir", str(directory)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=TOP, check=False)

    printed_once = snapshot_of(journal.path.parent)
    assert printed_once.returncode == 0, printed_once.stderr
    snapshot = json.loads(printed_once.stdout)
    assert (snapshot["ledger"]["accepted"], snapshot["ledger"]["failed"]) == (3, 1)
    assert [task["id"] for task in snapshot["latest"]] == ["b", "a"]
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    failed = snapshot_of(nothing)
    assert failed.returncode == 5
    assert "is this the system's directory?" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert list(nothing.iterdir()) == []
