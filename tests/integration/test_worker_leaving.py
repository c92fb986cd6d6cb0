"""How workers stop: by themselves, when asked, and at once."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from core.broker.factory import open_broker
from core.model import State
from core.repository.journal import Journal
from tests.integration.programs import Program, counts, find, server, worker
from tests.integration.scene import KINDS, Scene
from tests.integration.wire import Wire
from tests.services.ports import free_port
from tests.services.waiting import wait_until

polite = pytest.mark.skipif(os.name == "nt", reason="Windows has no signal that asks politely")


@pytest.fixture(scope="module")
def hopeless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A worker in burst mode whose broker never answers: it gives up late."""
    away = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    with worker(tmp_path_factory.mktemp("hopeless"), "w1", "--burst", "--broker", away) as program:
        yield program


@pytest.fixture(autouse=True)
def _begun(hopeless: Program) -> None:
    """Start it early, so that it gives up while the other tests run."""


def a_worker(scene: Scene, name: str, *arguments: str) -> Program:
    """Start a worker with the kinds of the tests."""
    return worker(scene.directory, name, "--tasks", KINDS, *arguments)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """The scene."""
    with server(tmp_path).ready() as program, Wire(program.address) as wire:
        yield Scene(tmp_path, wire)


def test_a_burst_ends_when_the_queue_is_empty(scene: Scene) -> None:
    scene.submit(300, "trace")
    scene.queued(300)
    with a_worker(scene, "w1", "--burst") as program:
        assert program.wait() == 0
        assert "Traceback" not in program.log
    assert counts(scene.directory) == {"done": 300}
    assert sorted(scene.traces()) == sorted(f"t{number}" for number in range(300))
    with a_worker(scene, "w2", "--burst") as program:
        assert program.wait() == 0


def test_a_worker_stops_after_its_maximum_of_tasks_and_the_others_stay_queued(scene: Scene) -> None:
    scene.submit(100, "trace")
    scene.queued(100)
    with a_worker(scene, "w1", "--max-tasks", "7", "--prefetch", "50") as program:
        assert program.wait() == 0
    assert len(scene.traces()) == 7
    assert counts(scene.directory) == {"done": 7, "queued": 93}
    with a_worker(scene, "w2", "--burst") as program:
        assert program.wait() == 0
    assert counts(scene.directory) == {"done": 100}
    assert len(scene.traces()) == len(set(scene.traces())) == 100


@polite
def test_a_worker_finishes_running_tasks_and_gives_back_the_rest(scene: Scene) -> None:
    scene.submit(20, "gated")
    scene.queued(20)
    with a_worker(scene, "w1", "--concurrency", "2", "--prefetch", "10").ready() as program:
        wait_until(lambda: len(scene.traces()) == 2, "two to run")
        program.terminate()
        wait_until(lambda: "stopping: finishing 2" in program.log, "the worker to be asked to stop")
        wait_until(
            lambda: (record := program.record()) is not None and record.status == "draining", "its status to show it"
        )
        scene.gate.touch()
        assert program.wait() == 0
        assert "Traceback" not in program.log
    assert counts(scene.directory) == {"done": 2, "queued": 18}
    assert len(scene.traces()) == 2
    with Journal("resultados.db", scene.directory).open_readonly() as repository:
        assert [record.status for record in repository.processes() if record.name == "w1"] == ["left"]
    with a_worker(scene, "w2", "--burst") as program:
        assert program.wait() == 0
    assert counts(scene.directory) == {"done": 20}
    assert len(scene.traces()) == 20


LIFE = """
import pathlib
from core.tasks import on_start, on_stop, task

def say(word):
    with open({file!r}, "a") as said:
        print(word, file=said)

@on_start
def begin():
    if pathlib.Path({broken!r}).exists():
        raise ConnectionError("no database")
    say("start")

@on_stop
def end(): say("stop")

@task
def works(payload):
    say("works")
    return payload
"""


def test_each_runner_starts_before_its_tasks_and_stops_after_them(scene: Scene, tmp_path: Path) -> None:
    said, broken, module = tmp_path / "said", tmp_path / "broken", tmp_path / "life.py"
    module.write_text(LIFE.format(file=str(said), broken=str(broken)), "utf-8")
    scene.submit(3, "works")
    scene.queued(3)
    with worker(scene.directory, "w1", "--tasks", str(module), "--burst") as program:
        assert program.wait() == 0
    assert said.read_text("utf-8").split() == ["start", "works", "works", "works", "stop"]
    broken.touch()
    with worker(scene.directory, "w2", "--tasks", str(module), "--burst") as program:
        assert program.wait() == 2
        assert f"{module}:12: ConnectionError: no database" in program.log
        assert "Traceback" not in program.log


@polite
def test_tasks_that_do_not_finish_in_time_run_elsewhere(scene: Scene) -> None:
    scene.submit(2, "gated")
    with a_worker(scene, "w1", "--shutdown-timeout", "0.2").ready() as program:
        wait_until(lambda: len(scene.traces()) == 2, "both to run")
        program.terminate()
        assert program.wait(5) == 0
        assert "stopping without 2 tasks" in program.log
    assert counts(scene.directory) == {"queued": 2}
    scene.gate.touch()
    with a_worker(scene, "w2", "--burst") as program:
        assert program.wait() == 0
    assert counts(scene.directory) == {"done": 2}
    assert sorted(scene.traces()) == ["t0", "t0", "t1", "t1"]


@polite
@pytest.mark.parametrize("kind", ["gated", "deaf"])
def test_a_second_signal_ends_the_worker_at_once_and_the_tasks_run_elsewhere(scene: Scene, kind: str) -> None:
    scene.submit(10, kind)
    scene.queued(10)
    with a_worker(scene, "w1", "--concurrency", "2", "--prefetch", "10").ready() as program:
        wait_until(lambda: len(scene.traces()) == 2, "two to run")
        program.terminate()
        wait_until(lambda: "stopping: finishing 2" in program.log, "the worker to be asked to stop")
        program.terminate()
        assert program.wait() == 128 + signal.SIGTERM
        assert "Traceback" not in program.log
    scene.gate.touch()
    # They were given back, so that no lease must expire first.
    with open_broker("embedded", scene.directory).gauge() as gauge:
        assert gauge.read().ready == 10
    with a_worker(scene, "w2", "--burst") as program:
        assert program.wait() == 0
    assert counts(scene.directory) == {"done": 10}
    with Journal("resultados.db", scene.directory).open_readonly() as repository:
        assert {task.attempts for task in repository.latest(20)} == {1}


def _has_run(scene: Scene, times: int) -> bool:
    return len(scene.traces()) == times


@polite
@pytest.mark.parametrize("kind", ["gated", "deaf"])
def test_a_task_has_no_strikes_from_workers_that_stop_in_good_order(scene: Scene, kind: str) -> None:
    scene.submit(1, kind)
    for rounds in range(3):
        with a_worker(scene, "w1", "--shutdown-timeout", "0").ready() as program:
            wait_until(partial(_has_run, scene, rounds + 1), "the task to run")
            program.terminate()
            assert program.wait() == 0
    with Journal("resultados.db", scene.directory).open_readonly() as repository:
        [task] = repository.find_all(["t0"])
    assert (task.state, task.strikes) == (State.QUEUED, 0)


def test_a_task_that_is_cancelled_while_it_waits_in_a_worker_never_runs(scene: Scene) -> None:
    with a_worker(scene, "w1", "--concurrency", "1", "--prefetch", "50").ready() as program:
        scene.submit(1, "gated", "first")
        wait_until(lambda: scene.traces() == ["first0"], "the first to run")
        scene.submit(20, "trace")
        scene.queued(21)
        for number in range(0, 20, 2):
            assert scene.wire.ok("cancel", id=f"t{number}")["state"] == "cancelled"
        scene.three_heartbeats("w1")
        scene.gate.touch()
        wait_until(lambda: "queued" not in counts(scene.directory), "the others to be done")
        assert counts(scene.directory) == {"done": 11, "cancelled": 10}
        assert scene.traces() == ["first0", *(f"t{number}" for number in range(1, 20, 2))]

        def all_counted() -> bool:
            record = program.record()
            return record is not None and record.counters.discarded == 10

        wait_until(all_counted, "the messages to be discarded")


def test_two_workers_share_long_tasks(scene: Scene) -> None:
    with (
        a_worker(scene, "w1", "--concurrency", "2").ready(),
        a_worker(scene, "w2", "--concurrency", "2").ready(),
    ):
        scene.submit(4, "gated")
        wait_until(lambda: len(scene.traces()) == 4, "all four to run at the same time")
        scene.submit(4, "gated", "more")
        scene.gate.touch()
        wait_until(lambda: counts(scene.directory) == {"done": 8}, "all to be done")
    workers = [getattr(find(scene.directory, f"t{number}"), "worker", "") for number in range(4)]
    assert sorted(workers) == ["w1", "w1", "w2", "w2"]


def test_a_worker_goes_on_after_all_of_its_tasks_did_not_stop(scene: Scene) -> None:
    scene.wire.ok("submit", id="blocks", kind="blocks", payload=str(scene.file))
    with a_worker(scene, "w1", "--concurrency", "1", "--shutdown-timeout", "0"):
        result = scene.wire.ok("result", id="blocks", wait=60)
        assert (result["state"], result["error"]["type"]) == ("failed", "TaskTimeout")
        scene.wire.ok("submit", id="next", kind="echo", payload=1)
        assert scene.wire.ok("result", id="next", wait=60)["state"] == "done"


def test_a_burst_gives_up_when_the_broker_never_answers(hopeless: Program) -> None:
    assert hopeless.wait(60) == 3
    assert "the broker can't be reached" in hopeless.log
    assert "Traceback" not in hopeless.log
