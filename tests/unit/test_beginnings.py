"""What a worker notes of the attempts that it begins, and what is left of it when it is killed."""

import subprocess
import sys
from pathlib import Path

from core.begun_slots import CAPACITY, BegunAttempt
from core.model import AttemptState
from core.repository.beginnings import NO_SLOT, Beginnings, WorkerBeginnings
from core.repository.journal import Journal
from core.repository.sqlite import open_sqlite
from tests.contract.repositories import process, queue

KILLED = """
import os, signal, sys
from pathlib import Path
from core.begun_slots import BegunSlots
from core.repository.beginnings import Beginnings
worker = Beginnings(Path(sys.argv[1])).of_worker(7, "w7")
runner = BegunSlots.open(worker.path)
runner.begin(worker.add(1, 0, 1.5, 2.5), 3.5, 1.0)
ended = worker.add(2, 0, 1.5, 2.5)
runner.begin(ended, 3.5, 1.0)
runner.begin(worker.add(3, 1, 1.5, 2.5), 4.5, 1.0)
worker.add(4, 0, 1.5, 2.5)  # does not begin
worker.remove(ended)
os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
"""


def kill_a_worker(journal: Path) -> None:
    """Run a worker that begins three tasks, ends one and is killed."""
    subprocess.run([sys.executable, "-c", KILLED, str(journal)], check=False, timeout=60)


def begin(worker: WorkerBeginnings, seq: int) -> int:
    """Begin a task. Returns its slot."""
    slot = worker.add(seq, 0, 1.0, 1.0)
    worker.slots.begin(slot, 1.0, 1.0)
    return slot


def begun(seq: int, attempt: int, started: float) -> BegunAttempt:
    return BegunAttempt(seq=seq, attempt=attempt, worker="w7", queued_at=1.5, taken_at=2.5, started_at=started)


def test_what_had_begun_and_not_ended_is_known_after_a_kill_and_taken_once(tmp_path: Path) -> None:
    kill_a_worker(tmp_path / "resultados.db")
    beginnings = Beginnings(tmp_path / "resultados.db")
    assert beginnings.find({1, 2, 4}) == [begun(1, 0, 3.5)]
    assert Beginnings(tmp_path / "other.db").find(None) == []
    with beginnings.of_worker(8, "w8") as alive:
        begin(alive, 9)
        assert beginnings.take_dead() == [begun(1, 0, 3.5), begun(3, 1, 4.5)]
        assert [each.seq for each in beginnings.find(None)] == [9]
    assert beginnings.find(None) == beginnings.take_dead() == []


def test_the_next_process_that_registers_records_what_the_dead_had_begun(tmp_path: Path) -> None:
    path = tmp_path / "resultados.db"
    with open_sqlite(path) as journal:
        first, second, third = queue(journal, "a", "b", "c")
        kill_a_worker(path)
        for _ in range(2):
            with journal.transaction():
                journal.register(process())
        lost = journal.former_attempts([first, second, third])
        assert {seq: [(each.state, each.worker) for each in attempts] for seq, attempts in lost.items()} == {
            # The other that it had begun has another number of ended attempts.
            first: [(AttemptState.LOST, "w7")]
        }
        assert Beginnings(path).find(None) == []


def test_a_worker_works_without_its_file(tmp_path: Path) -> None:
    (tmp_path / ".cauce").write_text("not a directory")
    with Journal("resultados.db", tmp_path).open_beginnings(1, "w1") as worker:
        worker.remove(begin(worker, 1))
    assert Beginnings(tmp_path / "resultados.db").find(None) == []


def test_slots_are_used_again_and_there_are_only_so_many(tmp_path: Path) -> None:
    beginnings = Beginnings(tmp_path / "resultados.db")
    with beginnings.of_worker(1, "ñ" * 200) as worker:
        slots = [begin(worker, seq) for seq in range(1, CAPACITY + 1)]
        assert worker.add(CAPACITY + 1, 0, 1.0, 1.0) == NO_SLOT
        assert not worker.has_room
        worker.remove(slots[10])
        assert begin(worker, CAPACITY + 2) == slots[10]
        found = beginnings.find(None)
        assert {each.seq for each in found} == {*range(1, CAPACITY + 1), CAPACITY + 2} - {11}
        assert found[0].worker == "ñ" * 60
