"""Workers on a real RabbitMQ: killed, cut off, and busy for longer than a heartbeat."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.jsontext import Json
from tests.integration.programs import Program, counts, find, server, worker
from tests.integration.quick_worker import HEARTBEAT
from tests.integration.wire import Wire
from tests.services.rabbitmq import RabbitNode
from tests.services.waiting import wait_until

pytestmark = pytest.mark.rabbitmq

KINDS = str(Path(__file__).with_name("kinds.py"))


class Scene:
    """A server on a virtual host of its own, a connection to it, and a file for traces."""

    def __init__(self, directory: Path, url: str, program: Program, wire: Wire) -> None:
        self.directory = directory
        self.url = url
        self.server = program
        self.wire = wire
        self.file = directory / "traces"
        self.gate = directory / "gate"

    def traces(self) -> list[str]:
        """The ids of the tasks that ran, each as often as it did."""
        return self.file.read_text("utf-8").splitlines() if self.file.exists() else []

    def submit(self, count: int, kind: str, payload: Json) -> None:
        """Submit tasks of one of our kinds."""
        self.wire.send(
            *({"op": "submit", "ref": ref, "id": f"t{ref}", "kind": kind, "payload": payload} for ref in range(count))
        )
        assert all("ok" in self.wire.reply() for _ in range(count))

    def worker(self, name: str, *arguments: str) -> Program:
        """Start a worker that knows our kinds."""
        return worker(self.directory, name, "--broker", self.url, "--tasks", KINDS, *arguments)


@pytest.fixture
def scene(tmp_path: Path, rabbitmq_url: str) -> Iterator[Scene]:
    """The scene."""
    with server(tmp_path, "s1", "--broker", rabbitmq_url).ready() as program, Wire(program.address) as wire:
        yield Scene(tmp_path, rabbitmq_url, program, wire)
        assert "Traceback" not in program.log


def test_what_a_killed_worker_had_is_delivered_to_another(scene: Scene) -> None:
    scene.submit(4, "gated", {"trace": str(scene.file), "gate": str(scene.gate)})
    with scene.worker("w1").ready() as first:
        wait_until(lambda: len(scene.traces()) == 4, "all to run")
        first.process.kill()
    scene.gate.touch()
    with scene.worker("w2").ready() as second:
        wait_until(lambda: counts(scene.directory) == {"done": 4}, "all to be done")
        second.terminate()
        assert second.wait() == 0
    assert len(scene.traces()) == 8
    task = find(scene.directory, "t0")
    assert task is not None
    assert (task.worker, task.attempts, task.strikes) == ("w2", 1, 1)


def test_connections_that_are_cut_cost_nothing(scene: Scene, rabbitmq_node: RabbitNode) -> None:
    with scene.worker("w1", "--concurrency", "4").ready() as program:
        scene.submit(4, "gated", {"trace": str(scene.file), "gate": str(scene.gate)})
        wait_until(lambda: len(scene.traces()) == 4, "all to run")
        assert rabbitmq_node.cut(scene.url) >= 2
        scene.wire.ok("submit", id="during", kind="trace", payload=str(scene.file))
        # Its four tasks are delivered again while it still runs them.
        wait_until(lambda: "during" in _submitted(scene), "the server to be back")
        scene.gate.touch()
        wait_until(lambda: counts(scene.directory) == {"done": 5}, "all to be done", 20)
        assert rabbitmq_node.cut(scene.url) >= 1
        scene.wire.ok("submit", id="after", kind="trace", payload=str(scene.file))
        wait_until(lambda: counts(scene.directory) == {"done": 6}, "the last one to be done", 20)
        program.terminate()
        assert program.wait() == 0
        assert "Traceback" not in program.log
    assert sorted(set(scene.traces())) == ["after", "during", "t0", "t1", "t2", "t3"]


def _submitted(scene: Scene) -> list[str]:
    task = find(scene.directory, "during")
    return ["during"] if task is not None and task.state in {"queued", "done"} else []


def test_a_task_that_keeps_the_processor_busy_does_not_cost_the_connection(scene: Scene) -> None:
    arguments = ("--broker", scene.url, "--tasks", KINDS)
    with Program("tests.integration.quick_worker", scene.directory, "w1", *arguments).ready() as program:
        scene.submit(1, "burns", 3.0 * HEARTBEAT)
        wait_until(lambda: counts(scene.directory) == {"done": 1}, "the task to be done", 20)
        task = find(scene.directory, "t0")
        assert task is not None
        assert (task.attempts, task.strikes) == (1, 0)
        program.terminate()
        assert program.wait() == 0
        levels = {line.split()[2] for line in program.log.splitlines()}
        assert levels == {"INFO"}, program.log
