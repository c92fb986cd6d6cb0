"""Workers on a real RabbitMQ: killed, disconnected, and busy for longer than a heartbeat."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.broker.base import Queue
from core.model import State
from core.repository.journal import Journal
from tests.integration.programs import Program, counts, find, server, worker
from tests.integration.quick_worker import HEARTBEAT
from tests.integration.scene import KINDS, Scene
from tests.integration.wire import Wire
from tests.services.amqp import raw_channel
from tests.services.rabbitmq import RabbitNode
from tests.services.waiting import wait_until

pytestmark = pytest.mark.rabbitmq


def a_worker(scene: Scene, url: str, name: str) -> Program:
    """Start a worker with the kinds of the tests."""
    return worker(scene.directory, name, "--broker", url, "--tasks", KINDS)


@pytest.fixture
def scene(tmp_path: Path, rabbitmq_url: str) -> Iterator[Scene]:
    """The scene."""
    with server(tmp_path, "s1", "--broker", rabbitmq_url).ready() as program, Wire(program.address) as wire:
        yield Scene(tmp_path, wire)
        assert "Traceback" not in program.log


def test_the_tasks_of_a_killed_worker_are_delivered_to_another(scene: Scene, rabbitmq_url: str) -> None:
    scene.submit(4, "gated")
    with a_worker(scene, rabbitmq_url, "w1").ready() as first:
        wait_until(lambda: len(scene.traces()) == 4, "all to run")
        first.process.kill()
    scene.gate.touch()
    with a_worker(scene, rabbitmq_url, "w2").ready() as second:
        wait_until(lambda: counts(scene.directory) == {"done": 4}, "all to be done")
        second.terminate()
        assert second.wait() == 0
    assert len(scene.traces()) == 8
    task = find(scene.directory, "t0")
    assert task is not None
    assert (task.worker, task.attempts, task.strikes) == ("w2", 1, 1)


def test_lost_connections_lose_no_task(scene: Scene, rabbitmq_url: str, rabbitmq_node: RabbitNode) -> None:
    with a_worker(scene, rabbitmq_url, "w1").ready() as program:
        scene.submit(4, "gated")
        wait_until(lambda: len(scene.traces()) == 4, "all to run")
        assert rabbitmq_node.cut(rabbitmq_url) >= 2
        scene.wire.ok("submit", id="during", kind="trace", payload=str(scene.file))
        # Its four tasks are delivered again while it still runs them.
        wait_until(lambda: is_published(scene, "during"), "the server to be back")
        scene.gate.touch()
        wait_until(lambda: counts(scene.directory) == {"done": 5}, "all to be done")
        assert rabbitmq_node.cut(rabbitmq_url) >= 1
        scene.wire.ok("submit", id="after", kind="trace", payload=str(scene.file))
        wait_until(lambda: counts(scene.directory) == {"done": 6}, "the last one to be done")
        program.terminate()
        assert program.wait() == 0
        assert "Traceback" not in program.log
    assert sorted(set(scene.traces())) == ["after", "during", "t0", "t1", "t2", "t3"]


def is_published(scene: Scene, task_id: str) -> bool:
    """Return whether the server has published a task."""
    task = find(scene.directory, task_id)
    return task is not None and task.state in {State.QUEUED, State.DONE}


def test_a_task_that_keeps_the_processor_busy_does_not_cost_the_connection(scene: Scene, rabbitmq_url: str) -> None:
    arguments = ("--broker", rabbitmq_url, "--tasks", KINDS)
    with Program("tests.integration.quick_worker", scene.directory, "w1", *arguments).ready() as program:
        scene.submit_one("t0", "burns", 3.0 * HEARTBEAT)
        wait_until(lambda: counts(scene.directory) == {"done": 1}, "the task to be done")
        task = find(scene.directory, "t0")
        assert task is not None
        assert (task.attempts, task.strikes) == (1, 0)
        program.terminate()
        assert program.wait() == 0
        levels = {line.split()[2] for line in program.log.splitlines()}
        assert levels == {"INFO"}, program.log


def test_the_tasks_of_a_deleted_queue_are_published_again(scene: Scene, rabbitmq_url: str) -> None:
    scene.submit(4, "trace")
    wait_until(lambda: counts(scene.directory) == {"queued": 4}, "all to be queued")
    with raw_channel(rabbitmq_url) as channel:
        channel.queue_delete(Queue.TASKS.value)
    with a_worker(scene, rabbitmq_url, "w1").ready() as program:
        wait_until(lambda: counts(scene.directory) == {"done": 4}, "all to be done")
        message = "the broker had lost its queue: 4 tasks are published again"
        # The process that recreated the queue logs it.
        assert message in program.log + (scene.directory / "s1.log").read_text("utf-8")
    assert len(scene.traces()) == 4


def test_the_tasks_of_a_queue_that_is_deleted_under_its_consumers_are_published_again(
    scene: Scene, rabbitmq_url: str
) -> None:
    with a_worker(scene, rabbitmq_url, "w1").ready():
        scene.submit(40, "gated")
        wait_until(lambda: len(scene.traces()) == 4, "four to run")
        with raw_channel(rabbitmq_url) as channel:
            channel.queue_delete(Queue.TASKS.value)
        scene.gate.touch()
        wait_until(lambda: counts(scene.directory) == {"done": 40}, "all to be done")


def test_messages_from_before_a_redispatch_are_given_back_and_do_not_run_beside_their_copies(
    scene: Scene, rabbitmq_url: str
) -> None:
    flags = ("--broker", rabbitmq_url, "--tasks", KINDS, "--prefetch", "40")
    with worker(scene.directory, "w1", *flags).ready() as first:
        scene.submit(40, "gated")
        wait_until(lambda: len(scene.traces()) == 4, "four to run, and all others to be in flight")
        scene.queued(40)
        with worker(scene.directory, "w2", *flags).ready():
            with Journal("resultados.db", scene.directory).open() as repository, repository.transaction():
                assert repository.redispatch() == 40
            wait_until(lambda: "giving back the earlier messages" in first.log, "the first worker to notice")
            scene.gate.touch()
            wait_until(lambda: counts(scene.directory) == {"done": 40}, "all to be done")
    # A copy of a task that ran in the first worker may have begun in the second one.
    assert len(scene.traces()) <= 44
