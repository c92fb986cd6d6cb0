"""Workers that are killed, tasks that kill their workers, and a journal that can't be written for a while."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from core.database import Database, Faults
from core.errors import JournalUnavailable, JournalUnusable
from core.model import RunningTask, State, Task
from core.repository.base import STRIKE_LIMIT
from core.repository.journal import Journal
from tests.contract.repositories import begin
from tests.integration.programs import Program, counts, find, server
from tests.integration.scene import KINDS, Scene
from tests.integration.wire import Wire
from tests.services.waiting import wait_until

JOURNAL = Faults(JournalUnavailable, JournalUnusable)


class Workers:
    """Workers with a short lease, started one after another."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._started = 0

    def start(self, *arguments: str) -> Program:
        """Start another worker."""
        self._started += 1
        program = Program(
            "tests.integration.quick_worker",
            self._directory,
            f"w{self._started}",
            *("--tasks", KINDS, "--lab", "--retry-delay", "0.05", *arguments),
        )
        return self._stack.enter_context(program)


def held(directory: Path) -> list[RunningTask]:
    """Return the tasks that the heartbeats name."""
    with Journal("resultados.db", directory).open_readonly() as repository:
        return [task for record in repository.processes() for task in record.in_hand]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """The scene. The ledger must be consistent in the end."""
    with server(tmp_path).ready() as program, Wire(program.address) as wire:
        yield Scene(tmp_path, wire)
        assert "Traceback" not in program.log
    with Journal("resultados.db", tmp_path).open_readonly() as repository:
        assert repository.audit().is_consistent


@pytest.fixture
def workers(scene: Scene) -> Iterator[Workers]:
    """Workers that stop before their server."""
    with ExitStack() as stack:
        yield Workers(scene.directory, stack)


def test_another_worker_runs_the_tasks_of_a_killed_one(scene: Scene, workers: Workers) -> None:
    scene.submit(4, "gated")
    first = workers.start("--concurrency", "4").ready()
    wait_until(lambda: len(scene.traces()) == 4, "all to run")
    wait_until(lambda: len(held(scene.directory)) == 4, "a heartbeat to name them")
    first.process.kill()
    first.process.wait()
    scene.gate.touch()
    second = workers.start("--concurrency", "4")
    wait_until(lambda: scene.settled(done=4), "the other worker to do them")
    assert Counter(scene.traces()) == {f"t{number}": 2 for number in range(4)}
    for number in range(4):
        task = find(scene.directory, f"t{number}")
        assert task is not None
        assert (task.attempts, task.worker, task.strikes) == (1, second.name, 1)
        status = scene.wire.ok("status", id=task.id)
        assert [(each["state"], each["worker"]) for each in status["history"]] == [
            ("lost", first.name),
            ("done", second.name),
        ]
        assert (status["attempts"], task.tries) == (2, 2)


def test_a_cancelled_task_does_not_run_again_when_its_worker_dies(scene: Scene, workers: Workers) -> None:
    scene.submit(2, "deaf")
    first = workers.start("--concurrency", "2").ready()
    wait_until(lambda: len(scene.traces()) == 2, "both to run")
    assert scene.wire.ok("cancel", id="t0") == {"id": "t0", "state": "cancelling"}
    status = scene.wire.ok("status", id="t0")
    assert status["state"] == "cancelling"
    first.process.kill()
    first.process.wait()
    scene.gate.touch()
    workers.start("--concurrency", "2")
    wait_until(lambda: scene.settled(done=1, cancelled=1), "the other worker to settle them")
    assert Counter(scene.traces()) == {"t0": 1, "t1": 2}
    cancelled = find(scene.directory, "t0")
    assert cancelled is not None
    assert (cancelled.state, cancelled.cancelling) == (State.CANCELLED, False)


def test_workers_that_are_killed_again_and_again_lose_nothing(scene: Scene, workers: Workers) -> None:
    count = 1500
    scene.submit(count, "trace")
    random_kills = random.Random(5)  # noqa: S311 - to choose moments
    for _ in range(6):
        done = counts(scene.directory).get("done", 0)
        program = workers.start("--concurrency", "4")
        goal = min(count, done + random_kills.randint(1, 200))
        wait_until(lambda goal=goal: counts(scene.directory).get("done", 0) >= goal, f"{goal} to be done")  # type: ignore[misc]  # the default is the goal of this round
        program.process.kill()
        program.process.wait()
    workers.start("--concurrency", "4")
    wait_until(lambda: scene.settled(done=count), "all to be done")
    runs = Counter(scene.traces())
    assert set(runs) == {f"t{number}" for number in range(count)}
    with Journal("resultados.db", scene.directory).open_readonly() as repository:
        tasks = repository.latest(count)
    assert {task.attempts for task in tasks} == {1}
    check_tries(tasks, runs, killed=6 * 4)


def check_tries(tasks: Sequence[Task], runs: Mapping[str, int], killed: int) -> None:
    """Check that each task has as many attempts as it had runs.

    Args:
        tasks: the tasks in the journal.
        runs: the number of runs of each, as the tasks themselves recorded it.
        killed: how many may have been killed when they had just begun and recorded nothing yet.
    """
    unrecorded = [task.tries - runs[task.id] for task in tasks]
    assert min(unrecorded) >= 0
    assert sum(unrecorded) <= killed


def test_a_task_that_kills_its_runners_fails_and_its_neighbours_are_done(scene: Scene, workers: Workers) -> None:
    scene.submit(50, "trace", "before")
    scene.submit_one("poison", "crash", retries=10)
    scene.submit(50, "trace", "after")
    wait_until(lambda: scene.settled(queued=101), "all to be queued")
    program = workers.start("--concurrency", "2", "--prefetch", "40")
    wait_until(lambda: scene.settled(done=100, failed=1), "all but one to be done")
    assert program.process.poll() is None
    task = find(scene.directory, "poison")
    assert task is not None
    assert task.failure is not None
    assert task.failure.type == "WorkerLost"
    assert f"{STRIKE_LIMIT} processes" in task.failure.message
    status = scene.wire.ok("status", id="poison")
    assert (status["attempts"], status["strikes"]) == (STRIKE_LIMIT, STRIKE_LIMIT)
    assert [each["state"] for each in status["history"]] == ["lost"] * STRIKE_LIMIT
    with Journal("resultados.db", scene.directory).open_readonly() as repository:
        neighbours = [task for task in repository.latest(200) if task.id != "poison"]
    assert {task.attempts for task in neighbours} == {1}
    # One may have begun beside the killer.
    check_tries(neighbours, Counter(scene.traces()), killed=1)
    assert max(task.tries for task in neighbours) <= 2
    assert set(scene.traces()) == {f"{name}{number}" for name in ("before", "after") for number in range(50)}


def test_a_task_that_is_published_again_is_still_a_suspect(scene: Scene, workers: Workers) -> None:
    scene.submit_one("poison", "crash", retries=10)
    scene.queued(1)
    task = find(scene.directory, "poison")
    assert task is not None
    with Journal("resultados.db", scene.directory).open() as repository:
        for _ in range(STRIKE_LIMIT):
            begin(repository, task.seq)
        with repository.transaction():
            assert repository.redispatch() == 1
    program = workers.start().ready()
    wait_until(lambda: scene.settled(failed=1), "it to fail without another death")
    assert program.process.poll() is None


def test_outcomes_wait_while_the_journal_is_locked_and_are_stored_once(scene: Scene, workers: Workers) -> None:
    scene.submit(40, "gated")
    program = workers.start("--concurrency", "20", "--prefetch", "40").ready()
    wait_until(lambda: len(scene.traces()) == 20, "twenty to run")
    with Database(scene.directory / "resultados.db", JOURNAL) as database, database.transaction():
        scene.gate.touch()
        # They end, and the next ones begin, while nothing is stored in the journal.
        wait_until(lambda: len(scene.traces()) == 40, "all to run")
        with pytest.raises(AssertionError, match="in vain"):
            wait_until(lambda: "done" in counts(scene.directory), "what can't be", 2.0)
    wait_until(lambda: scene.settled(done=40), "all to be stored")
    assert max(Counter(scene.traces()).values()) == 1
    record = program.record()
    assert record is not None
    wait_until(lambda: (now := program.record()) is not None and now.counters.done == 40, "the heartbeat to show it")
    program.terminate()
    assert program.wait() == 0
    assert "Traceback" not in program.log
