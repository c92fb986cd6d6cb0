"""The runners of a worker: what happens to them, to a task that does its process harm, and to its neighbours."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from core.broker.base import Delivery, Reference
from core.errors import TaskDefinitionError
from core.model import Assignment, Beginning, Outcome, State, TaskProgress, TaskReport
from core.repository.base import STRIKE_LIMIT
from core.repository.beginnings import WorkerBeginnings
from core.runner import memory_limit
from core.runner.frames import KindSettings, Report, Setup
from core.worker import policy, recycling, runner_endings
from core.worker.in_flight import InFlightTask, InFlightTasks
from core.worker.run_outcomes import RunRules, RunSettings
from core.worker.runner_group import RunnerGroup
from core.worker.runner_process import RunnerProcess
from core.worker.runners import Runners
from core.worker.task_callbacks import Callbacks
from tests.integration import runner_kinds
from tests.services.suspension import suspend
from tests.services.waiting import wait_until


class Bench:
    """The runners of a worker, and the outcomes of their tasks."""

    def __init__(self, directory: Path, concurrency: int, runners: int = 1, **limits: Any) -> None:
        self.directory = directory
        self.outcomes: list[Outcome] = []
        self.strikes: list[int] = []
        self.beginnings: list[Beginning] = []
        """The strikes as they are stored."""
        self.removed_strikes: list[int] = []
        self.dropped: list[InFlightTask] = []
        self.given_up: list[InFlightTask] = []
        self.kinds: list[Sequence[KindSettings]] = []
        """The kinds of each new runner."""
        self.deaths: list[BaseException] = []
        self.processes: list[RunnerProcess] = []
        """All runners so far."""
        self.elsewhere: set[int] = set()
        """Tasks that are delivered again."""
        self.ended_elsewhere: set[int] = set()
        """Tasks that have ended while they waited here."""
        self._environment = {**os.environ, "RUNNER_TEST_DIRECTORY": str(directory)}
        module = str(Path(runner_kinds.__file__))
        self._setup = Setup(
            (module,),
            lab=True,
            files_root=None,
            threads=-(-concurrency // runners),
            timeout=None,
        )
        self._beginnings = WorkerBeginnings(directory / ".cauce" / "begun-resultados.db" / "1", "w1")
        self._in_flight = InFlightTasks(self._beginnings)
        first = self.launch(self._setup.threads)
        settings = RunSettings(
            worker="w1", concurrency=concurrency, runners=runners, retries=0, retry_delay=1.0, timeout=None, **limits
        )
        self.runners = Runners(
            settings,
            RunRules(settings, first.wait_ready().kinds),
            RunnerGroup(self.launch, self._beginnings, first, runners),
            self._beginnings,
            Callbacks(
                begin=lambda task: self._in_flight.begin(task, self.holds),
                give_back=self._in_flight.give_back,
                add_strike=self.add_strike,
                remove_strike=lambda task: self.removed_strikes.append(task.assignment.seq),
                give_up=self.given_up.append,
                finish=self.finish,
                drop=self.dropped.append,
                take_kinds=self.kinds.append,
            ),
            self.deaths.append,
        )
        self.runners.start()

    def launch(self, threads: int) -> RunnerProcess:
        """Start a runner."""
        runner = RunnerProcess(msgspec.structs.replace(self._setup, threads=threads), self._environment)
        self.processes.append(runner)
        return runner

    def cancel(self, task: InFlightTask) -> None:
        """Cancel a task that may have begun, as `Fetcher` does."""
        for found in self._in_flight.cancel({task.assignment.seq}):
            self.runners.cancel(found)

    def holds(self, delivery: Delivery) -> bool:
        """Return whether the broker still waits for a task."""
        return delivery.receipt not in self.elsewhere

    def finish(self, task: InFlightTask, outcome: Outcome) -> None:
        """Take an outcome, as if it was stored at once."""
        self.outcomes.append(outcome)
        self._in_flight.remove([task])

    def add_strike(self, task: InFlightTask, beginning: Beginning, on_stored: Callable[[], None]) -> None:
        """Add a strike or mark the task as unwanted, as `Recorder` does."""
        if task.assignment.seq in self.ended_elsewhere:
            task.unwanted = True
        else:
            self.strikes.append(beginning.seq)
            self.beginnings.append(beginning)
        on_stored()

    def add(
        self,
        seq: int,
        kind: str,
        payload: str = "null",
        *,
        suspect: bool = False,
        strikes: int = 0,
        retries: int | None = None,
    ) -> InFlightTask:
        """Add a task to run."""
        assignment = Assignment(
            seq=seq,
            id=f"t{seq}",
            kind=kind,
            payload=payload,
            state=State.QUEUED,
            attempts=0,
            strikes=strikes,
            retries=retries,
            due_at=None,
        )
        reference = Reference(f"t{seq}", seq, 0, 1.0)
        task = InFlightTask(assignment, reference, Delivery(b"", int(suspect), seq), time.time(), suspect=suspect)
        self._in_flight.add(task)
        self.runners.add(task)
        return task

    def ended(self, count: int) -> dict[int, Outcome]:
        """Wait for this many outcomes. Returns them by the number of the task."""
        wait_until(lambda: len(self.outcomes) >= count, f"{count} outcomes")
        assert len(self.outcomes) == count
        return {outcome.seq: outcome for outcome in self.outcomes}

    @property
    def begun(self) -> list[str]:
        """The payloads of the tasks that have begun, in that order."""
        file = self.directory / runner_kinds.BEGUN
        return file.read_text(encoding="utf-8").split() if file.exists() else []

    def go(self) -> None:
        """Let the tasks go on that wait."""
        (self.directory / runner_kinds.GO).touch()

    def kill(self) -> None:
        """Let the tasks kill their processes that wait for it."""
        (self.directory / runner_kinds.KILL).touch()

    def close(self) -> None:
        """Stop. No thread has died, no task has two outcomes, and no process is left."""
        self.go()
        self.runners.stop(60)
        self.runners.kill()
        self._beginnings.close()
        assert self.deaths == []
        assert set(Counter(outcome.seq for outcome in self.outcomes).values()) <= {1}
        assert all(runner.has_exited for runner in self.processes)

    @property
    def told(self) -> dict[str, TaskProgress | None]:
        """How far each running task is, by id."""
        return {task.id: task.progress for task in self.runners.running}


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[MakeBench]:
    """Make benches, and close them after the test."""
    made: list[Bench] = []

    def make(concurrency: int, runners: int = 1, **limits: int) -> Bench:
        made.append(Bench(tmp_path, concurrency, runners, **limits))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """End runners soon whose tasks do not stop."""
    monkeypatch.setattr(runner_endings, "STOP_TIMEOUT", 0.2)


def test_a_task_runs_in_another_process_and_its_outcome_has_its_times(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    added = bench.add(1, "wordcount", '"uno dos"')
    outcome = bench.ended(1)[1]
    assert (outcome.state, outcome.result, outcome.failure, outcome.worker) == (State.DONE, "2", None, "w1")
    assert (outcome.attempt, outcome.queued_at, outcome.taken_at) == (0, 1.0, added.taken_at)
    assert outcome.taken_at <= outcome.started_at <= outcome.finished_at
    assert bench.processes[0].pid != os.getpid()


def test_many_tasks_in_several_runners_run_once_each(make_bench: MakeBench) -> None:
    bench = make_bench(4, 2)
    for seq in range(3000):
        bench.add(seq, "echo", f'"{seq}"')
    outcomes = bench.ended(3000)
    assert all(outcomes[seq].result == f'"{seq}"' for seq in range(3000))
    assert len(bench.processes) == 2


def test_a_payload_larger_than_the_buffer_of_the_socket_arrives_whole(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    text = '"' + "ñ" * 500_000 + '"'
    for seq in range(8):
        bench.add(seq, "echo", text)
    assert {outcome.result for outcome in bench.ended(8).values()} == {text}


def test_a_failure_is_retried_unless_it_is_permanent(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "fail", '"no"', retries=1)
    bench.add(2, "wordcount", "5", retries=1)
    bench.add(3, "nonsense", retries=1)
    outcomes = bench.ended(3)
    assert [outcomes[seq].state for seq in (1, 2, 3)] == [State.RETRYING, State.FAILED, State.FAILED]
    assert outcomes[1].due_at is not None
    assert 0.7 < outcomes[1].due_at - outcomes[1].finished_at < 1.5


def test_what_runs_can_be_seen(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    before = time.time()
    for seq in (1, 2, 3):
        bench.add(seq, "held", str(seq))
    wait_until(lambda: len(bench.runners.running) == 2, "two tasks to run")
    assert {(each.id, each.kind) for each in bench.runners.running} == {("t1", "held"), ("t2", "held")}
    assert all(before <= each.since <= time.time() for each in bench.runners.running)
    bench.go()
    bench.ended(3)
    assert bench.runners.running == []


def test_tasks_do_not_wait_behind_long_ones_while_another_runner_is_free(make_bench: MakeBench) -> None:
    bench = make_bench(2, 2)
    for seq in range(500):
        bench.add(seq, "echo", str(seq))
    bench.ended(500)  # so fast that a runner gets many at once
    bench.add(500, "held", '"long"')
    for seq in range(501, 900):
        bench.add(seq, "echo", str(seq))
    assert 500 not in bench.ended(899)
    bench.go()
    bench.ended(900)


# A task that does its process harm, and its neighbours.


def test_only_what_had_begun_beside_a_killer_is_struck_and_the_rest_runs_at_once(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "kill_when_told", '"killer"')
    bench.add(2, "deaf", '"neighbour"')
    wait_until(lambda: len(bench.begun) == 2, "both to begin")
    for seq in range(3, 50):
        bench.add(seq, "trace", str(seq))
    bench.kill()
    bench.ended(47)
    bench.go()
    assert 1 not in bench.ended(48)
    wait_until(lambda: len(bench.given_up) == 1, "the killer to be given up")
    assert bench.given_up[0].assignment.seq == 1
    runs = Counter(bench.begun)
    assert runs.pop("killer") == STRIKE_LIMIT
    assert runs.pop("neighbour") == 2
    assert set(runs.values()) == {1}
    assert Counter(bench.strikes) == {1: STRIKE_LIMIT, 2: 2}


def test_killers_fail_and_nobody_runs_more_than_twice_beside_them(make_bench: MakeBench) -> None:
    bench = make_bench(4)
    killers = set(range(0, 200, 40))
    for seq in range(200):
        bench.add(seq, "kill" if seq in killers else "trace", str(seq))
    bench.ended(195)
    wait_until(lambda: len(bench.given_up) == 5, "the killers to be given up")
    assert {task.assignment.seq for task in bench.given_up} == killers
    runs = Counter(map(int, bench.begun))
    assert {runs[seq] for seq in killers} <= set(range(1, STRIKE_LIMIT + 2))
    assert max(runs[seq] for seq in range(200) if seq not in killers) <= 2


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", ["stubborn", "stubborn_on_loop", "keep_interpreter", "suspend_itself"])
def test_a_task_that_does_not_stop_is_ended_with_its_runner(make_bench: MakeBench, kind: str) -> None:
    bench = make_bench(2)
    bench.add(1, kind, '"a"')
    wait_until(lambda: bool(bench.runners.running or bench.outcomes), "the task to begin")
    for seq in range(2, 40):
        bench.add(seq, "echo", str(seq))
    outcomes = bench.ended(39)
    failure = outcomes[1].failure
    assert failure is not None
    assert (outcomes[1].state, failure.type) == (State.FAILED, "TaskTimeout")
    assert "did not stop" in failure.message
    assert all(outcomes[seq].result == str(seq) for seq in range(2, 40))
    assert bench.strikes == []
    assert bench.processes[0].has_exited


def test_a_runner_that_is_suspended_between_two_tasks_is_replaced(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "echo", "1")
    bench.ended(1)
    suspend(bench.processes[0].pid)
    for seq in range(2, 40):
        bench.add(seq, "echo", str(seq))
    outcomes = bench.ended(39)
    assert all(outcomes[seq].result == str(seq) for seq in range(2, 40))
    assert bench.strikes == []
    assert len(bench.processes) == 2


@pytest.mark.usefixtures("hasty")
def test_the_neighbours_of_a_task_that_does_not_stop_may_end(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "held", '"neighbour"')
    bench.add(2, "stubborn", '"a"')
    wait_until(lambda: len(bench.processes) == 2, "another runner to be started")
    bench.add(3, "echo", "3")
    assert bench.ended(1)[3].result == "3"
    bench.go()
    assert bench.ended(3)[1].result == '"neighbour"'
    assert Counter(bench.begun) == {"neighbour": 1, "a": 1}


@pytest.mark.usefixtures("hasty")
def test_a_time_out_is_retried_if_the_kind_retries_it_also_when_the_runner_was_ended(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "stubborn", '"a"', retries=1)
    bench.add(2, "stubborn_for_good", '"b"', retries=1)
    outcomes = bench.ended(2)
    assert [outcomes[seq].state for seq in (1, 2)] == [State.RETRYING, State.FAILED]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", ["held", "held_on_loop", "deaf", "blocks_loop", "ignores", "keeps_interpreter"])
def test_a_running_task_is_cancelled_with_its_runner_if_it_does_not_stop(make_bench: MakeBench, kind: str) -> None:
    bench = make_bench(2)
    task = bench.add(1, kind, '"a"', retries=3)
    wait_until(lambda: [each.id for each in bench.runners.running] == ["t1"], "the task to begin")
    if kind != "keeps_interpreter":  # which tells nothing
        wait_until(lambda: bench.begun == ["a"], "its code to run")
    bench.cancel(task)
    for seq in range(2, 40):
        bench.add(seq, "echo", str(seq))
    outcomes = bench.ended(39)
    failure = outcomes[1].failure
    assert failure is not None
    assert (outcomes[1].state, failure.type, outcomes[1].due_at) == (State.CANCELLED, "TaskCancelled", None)
    must_be_ended = kind not in {"held", "held_on_loop"}
    assert ("its runner was ended" in failure.message) == must_be_ended == bench.processes[0].has_exited
    assert bench.strikes == []


def test_a_task_of_an_isolated_kind_has_a_runner_to_itself(make_bench: MakeBench) -> None:
    bench = make_bench(4)
    for seq in (1, 2):
        bench.add(seq, "alone", str(seq))
    bench.add(3, "held", "3")
    wait_until(lambda: len(bench.begun) == 3, "all to begin")
    for seq in range(4, 30):
        bench.add(seq, "echo", str(seq))
    bench.ended(26)
    bench.go()
    outcomes = bench.ended(29)
    alone = {outcomes[seq].result for seq in (1, 2)}
    assert len(alone) == 2
    assert str(bench.processes[0].pid) not in alone
    assert bench.strikes == []


@pytest.mark.usefixtures("hasty")
def test_an_isolated_task_that_does_not_stop_is_ended_soon_and_its_neighbour_goes_on(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "held", '"neighbour"')
    bench.add(2, "stubborn_alone", '"a"')
    failure = bench.ended(1)[2].failure
    assert failure is not None
    assert failure.type == "TaskTimeout"
    assert not bench.processes[0].has_exited
    bench.go()
    assert bench.ended(2)[1].result == '"neighbour"'
    assert Counter(bench.begun) == {"neighbour": 1, "a": 1}


def test_a_task_that_needs_more_memory_than_its_kind_may_have_fails(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "held", '"neighbour"')
    bench.add(2, "hungry", "4096")
    bench.add(3, "hungry", "1")
    outcomes = bench.ended(2)
    failure = outcomes[2].failure
    assert failure is not None
    assert (outcomes[2].state, failure.type) == (State.FAILED, "TaskMemoryExceeded")
    assert "more memory than the 128 MiB that its kind may" in failure.message
    assert outcomes[3].result == "1"
    bench.go()
    assert bench.ended(3)[1].result == '"neighbour"'
    assert bench.strikes == []


def test_the_worker_measures_where_the_system_enforces_no_limit(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_limit, "ENFORCED", False)
    bench = make_bench(2)
    bench.add(1, "held", '"neighbour"')
    bench.add(2, "hungry_for_shared", "300")
    failure = bench.ended(1)[2].failure
    assert failure is not None
    assert (failure.type, "was ended" in failure.message) == ("TaskMemoryExceeded", True)
    bench.go()
    assert bench.ended(2)[1].result == '"neighbour"'
    assert bench.strikes == []


def test_a_task_that_waits_and_was_cancelled_elsewhere_does_not_begin(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "held", '"first"')
    second = bench.add(2, "held", '"second"')
    wait_until(lambda: bench.begun == ["first"], "the first to begin")
    bench.cancel(second)
    bench.go()
    bench.ended(1)
    wait_until(lambda: len(bench.given_up) == 1, "the second to be given up")
    assert (bench.given_up[0].assignment.seq, bench.begun) == (2, ["first"])


@pytest.mark.usefixtures("hasty")
def test_a_cancelled_task_whose_runner_dies_does_not_begin_again(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    task = bench.add(1, "kill_when_told", '"a"')
    wait_until(lambda: bench.begun == ["a"], "the task to begin")
    bench.cancel(task)
    bench.kill()
    wait_until(lambda: bool(bench.given_up or bench.outcomes), "the task to end")
    assert bench.begun == ["a"]
    bench.add(2, "echo", "2")
    wait_until(lambda: any(outcome.seq == 2 for outcome in bench.outcomes), "the other to end")


@pytest.mark.parametrize("kind", ["close_all", "write_to_worker"])
def test_a_task_that_uses_our_descriptors_harms_only_its_runner(make_bench: MakeBench, kind: str) -> None:
    bench = make_bench(1)
    bench.add(1, kind, '"rude"')
    bench.add(2, "echo", "2")
    assert bench.ended(1)[2].result == "2"
    wait_until(lambda: len(bench.given_up) == 1, "the task to be given up")
    assert bench.given_up[0].assignment.seq == 1


def test_tasks_may_spawn_fork_and_terminate_processes(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "spawn", "21")
    bench.add(2, "terminate_child")
    outcomes = bench.ended(2)
    assert (outcomes[1].result, outcomes[2].result) == ("[42]", "false")


def test_a_runner_that_dies_takes_the_children_of_its_tasks_along_and_is_noticed(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "leave_child")
    child = psutil.Process(int(bench.ended(1)[1].result or ""))
    bench.add(2, "kill_when_told", '"killer"')
    wait_until(lambda: bench.begun == ["killer"], "the killer to begin")
    bench.kill()
    wait_until(lambda: len(bench.given_up) == 1, "the death to be noticed, though the child has the socket too")
    wait_until(lambda: not child.is_running(), "the child to end")


def test_a_runner_that_hangs_is_killed_with_the_others_when_the_worker_stops(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "held", '"a"')
    wait_until(lambda: bench.begun == ["a"], "the task to begin")
    suspend(bench.processes[0].pid)
    assert not bench.runners.stop(0.05)
    bench.runners.kill()
    assert bench.processes[0].has_exited
    assert (bench.strikes, bench.outcomes) == ([], [])


@pytest.mark.skipif(os.name != "posix", reason="the group of a process is POSIX's")
def test_a_runner_ends_with_its_worker(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 1)
    runner = bench.processes[0]
    bench.runners.stop(60)
    runner.socket.close()  # as the system does when the worker is killed
    wait_until(lambda: runner.has_exited, "the runner to notice")
    bench.runners.kill()


# Runners that are replaced between tasks.


def test_a_runner_is_replaced_after_so_many_tasks_and_ends_what_runs_in_it(make_bench: MakeBench) -> None:
    bench = make_bench(2, max_tasks_per_runner=5)
    bench.add(1, "held", '"long"')
    wait_until(lambda: bench.begun == ["long"], "the long task to begin")
    for seq in range(2, 7):
        bench.add(seq, "echo", str(seq))
    bench.ended(5)
    wait_until(lambda: bench.processes[0].leaving, "a new runner to take over")
    assert [runner.ready for runner in bench.processes] == [True, True]
    bench.add(7, "echo", "7")
    assert bench.ended(6)[7].result == "7"
    assert not bench.processes[0].has_exited
    bench.go()
    assert bench.ended(7)[1].result == '"long"'
    wait_until(lambda: bench.processes[0].has_exited, "the former runner to leave")
    assert (bench.begun, bench.strikes) == (["long"], [])


def test_a_runner_that_is_replaced_after_each_task_loses_none(make_bench: MakeBench) -> None:
    bench = make_bench(4, 2, max_tasks_per_runner=1)
    sent = 0
    while len(bench.processes) < 6:
        bench.add(sent, "echo", str(sent))
        sent += 1
        wait_until(lambda: len(bench.outcomes) == sent, "the task to end")  # noqa: B023 - called at once
    outcomes = bench.ended(sent)
    assert all(outcomes[seq].result == str(seq) for seq in range(sent))
    assert bench.strikes == []


def test_a_task_that_kills_a_runner_which_is_being_replaced_gets_its_strike(make_bench: MakeBench) -> None:
    bench = make_bench(2, max_tasks_per_runner=1)
    bench.add(1, "kill_when_told", '"killer"')
    wait_until(lambda: bench.begun == ["killer"], "the killer to begin")
    bench.add(2, "echo", "2")
    wait_until(lambda: bench.processes[0].leaving, "a new runner to take over")
    bench.kill()
    wait_until(lambda: len(bench.given_up) == 1, "the killer to be given up")
    assert bench.strikes == [1] * STRIKE_LIMIT


def test_a_runner_with_too_much_memory_is_replaced(make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recycling, "MEMORY_INTERVAL", 0.05)
    bench = make_bench(1, max_memory_per_runner=150 << 20)
    bench.add(1, "echo", "1")
    bench.add(2, "keep_memory", "160")
    bench.ended(2)
    wait_until(lambda: bench.processes[0].has_exited, "the runner to be replaced")
    bench.add(3, "echo", "3")
    bench.ended(3)
    assert [runner.outdated for runner in bench.processes] == [True, False]


# The modules with tasks.


def test_modules_that_cannot_be_imported_are_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("x = 1\nraise LookupError('no')\n", encoding="utf-8")
    setup = Setup((str(file),), lab=False, files_root=None, threads=1, timeout=None)
    runner = RunnerProcess(setup, os.environ)
    with pytest.raises(TaskDefinitionError, match=r"broken\.py:2: LookupError: no"):
        runner.wait_ready()
    wait_until(lambda: runner.has_exited, "the runner to end")


def test_a_module_that_ends_its_process_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ends.py"
    file.write_text("import os\nos._exit(9)\n", encoding="utf-8")
    setup = Setup((str(file),), lab=False, files_root=None, threads=1, timeout=None)
    with pytest.raises(TaskDefinitionError, match="exit code 9"):
        RunnerProcess(setup, os.environ).wait_ready()


# Tasks that were delivered before.


def test_each_suspect_begins_in_a_runner_of_its_own_after_its_strike_is_stored(make_bench: MakeBench) -> None:
    bench = make_bench(4)
    for seq in range(1, 6):
        bench.add(seq, "held", str(seq), suspect=True)
    wait_until(lambda: len(bench.begun) == 2, "as many as there are places for suspects to begin")
    bench.add(6, "echo", "6")
    assert bench.ended(1)[6].result == "6", "other tasks do not wait"
    assert bench.strikes == [1, 2]
    assert sorted(bench.runners.running_suspects) == [1, 2]
    bench.go()
    bench.ended(6)
    assert bench.strikes == [1, 2, 3, 4, 5]
    assert len(bench.processes) == 3


def test_with_one_task_at_once_a_suspect_waits_until_the_other_has_ended(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "held", '"a"')
    wait_until(lambda: bench.begun == ["a"], "the first to begin")
    bench.add(2, "trace", '"suspect"', suspect=True)
    bench.add(3, "trace", '"b"')
    assert bench.runners.running_suspects == []
    bench.go()
    bench.ended(3)
    assert set(bench.begun) == {"a", "suspect", "b"}


def test_a_suspect_that_has_ended_elsewhere_does_not_begin_and_blocks_no_other(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.ended_elsewhere.add(1)
    ended = bench.add(1, "trace", '"a"', suspect=True)
    bench.add(2, "echo", "2", suspect=True)
    assert bench.ended(1)[2].result == "2"
    assert bench.dropped == [ended]
    assert bench.begun == []
    assert bench.strikes == [2]


def test_a_suspect_with_too_many_strikes_is_given_up_without_beginning(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    killer = bench.add(1, "trace", '"killer"', suspect=True, strikes=STRIKE_LIMIT, retries=9)
    bench.add(2, "echo", "2", suspect=True, strikes=STRIKE_LIMIT - 1)
    assert bench.ended(1)[2].result == "2"
    assert bench.given_up == [killer]
    assert bench.begun == []
    assert bench.strikes == [2]


def test_an_unwanted_task_does_not_begin(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "held", '"a"')
    wait_until(lambda: bench.begun == ["a"], "the first to begin")
    waiting = [bench.add(2, "trace", '"b"'), bench.add(3, "trace", '"c"', suspect=True)]
    bench.add(4, "echo", "4", suspect=True)
    for added in waiting:
        added.unwanted = True
    bench.go()
    bench.ended(2)
    assert sorted(task.assignment.seq for task in bench.dropped) == [2, 3]
    assert bench.begun == ["a"]
    assert bench.strikes == [4]


def test_a_task_that_is_delivered_again_does_not_begin_here(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.elsewhere.add(1)
    bench.add(1, "trace", '"a"')
    bench.add(2, "echo", "2")
    assert bench.ended(1)[2].result == "2"
    assert bench.begun == []
    assert bench.dropped == []


# Stopping.


def test_running_tasks_may_end_and_no_other_begins(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    for seq in range(1, 6):
        bench.add(seq, "held", str(seq), suspect=seq > 3)
    wait_until(lambda: len(bench.begun) == 2, "two to run")
    assert not bench.runners.stop(0.05)
    bench.go()
    assert bench.runners.stop(60)
    assert len(bench.ended(2)) == 2
    assert len(bench.begun) == 2


def test_an_interrupted_task_has_no_outcome(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "held", '"a"')
    bench.add(2, "sleep", "3000")
    wait_until(lambda: len(bench.runners.running) == 2, "both to run")
    assert not bench.runners.stop(0.05)
    bench.runners.interrupt(60)
    assert bench.runners.running == []
    assert bench.outcomes == []


def test_a_runner_that_a_person_kills_costs_its_tasks_a_retry(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    bench.add(1, "held", '"a"')
    wait_until(lambda: bench.begun == ["a"], "the task to begin")
    os.kill(bench.processes[0].pid, signal.SIGTERM)
    bench.add(2, "echo", "2")
    wait_until(lambda: len(bench.begun) == 2, "the task to begin again")
    bench.go()
    assert bench.ended(2)[1].result == '"a"'


def test_what_another_attempt_said_is_not_taken_for_that_of_the_one_which_runs(make_bench: MakeBench) -> None:
    bench = make_bench(2)
    task = bench.add(1, "held", '"a"')
    wait_until(lambda: bench.begun == ["a"], "it to begin")
    (runner,) = bench.processes
    report = TaskReport(TaskProgress(1, 2))
    runner.take_report(Report(task.slot, "t0", 1, report))
    runner.take_report(Report(task.slot, "t1", 2, report))
    runner.take_report(Report(task.slot + 1, "t1", 1, report))
    assert bench.told == {"t1": None}
    runner.take_report(Report(task.slot, "t1", 1, report))
    assert bench.told == {"t1": TaskProgress(1, 2)}


def test_each_attempt_has_its_runner_and_what_it_said_last(make_bench: MakeBench) -> None:
    bench = make_bench(1)
    bench.add(1, "says_and_dies", '"a"')
    wait_until(lambda: bench.told == {"t1": TaskProgress(3, 10)}, "the progress")
    assert [task.runner for task in bench.runners.running] == [1]
    bench.kill()
    wait_until(lambda: len(bench.beginnings) == 2, "it to begin again")
    bench.go()
    outcome = bench.ended(1)[1]
    died, again = bench.beginnings
    assert (died.runner, died.report) == (1, TaskReport(TaskProgress(3, 10)))
    assert (again.runner in {2, 3}, again.report) == (True, None)
    assert (outcome.state, outcome.runner) == (State.DONE, again.runner)
    assert outcome.report == TaskReport(TaskProgress(10, 10))


def test_a_worker_all_of_whose_threads_are_busy_for_too_long_says_so(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "STUCK_FLOOR", 1.0)
    monkeypatch.setattr(policy, "UNKNOWN_DURATION", 0.0)
    bench = make_bench(2)
    bench.add(1, "deaf", '"a"')
    bench.add(2, "held", '"b"')
    wait_until(lambda: "such as t1, t2" in bench.runners.trouble, "the alarm")
    bench.go()
    bench.ended(2)
    wait_until(lambda: not bench.runners.trouble, "the end of the alarm")


def test_a_task_that_blocks_the_event_loop_of_its_runner_is_named(make_bench: MakeBench) -> None:
    bench = make_bench(3)
    bench.add(1, "held_on_loop", '"a"')
    wait_until(lambda: bench.begun == ["a"], "the coroutine to wait")
    bench.add(2, "blocks_loop", '"b"')
    blocked = "task t2 blocks the event loop of runner 1: other async tasks wait"
    wait_until(lambda: bench.runners.trouble == blocked, "the alarm")
    bench.add(3, "echo", "3")  # a thread runs it
    assert bench.ended(1)[3].result == "3"
    bench.go()
    assert bench.ended(3)[1].result == '"a"'
    wait_until(lambda: not bench.runners.trouble, "the end of the alarm")
