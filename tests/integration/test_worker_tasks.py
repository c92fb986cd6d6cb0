"""A real worker with tasks that succeed and tasks that go wrong."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from core.broker.base import Message, PublishResult, Reference
from core.broker.embedded import EmbeddedBroker
from core.broker.factory import EMBEDDED_FILE
from core.client import Client
from core.jsontext import Json
from core.model import Dispatch, Role
from core.repository.journal import Journal
from tests.integration.programs import run
from tests.integration.scene import KINDS, Scene
from tests.integration.wire import Reply, Wire
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until


class Shared(Scene):
    """The scene of the server and the worker that all tests here share."""

    def __init__(self, system: LocalSystem, wire: Wire) -> None:
        super().__init__(system.directory, wire)
        self.system = system

    def do(self, task_id: str, kind: str, payload: Json = None, **fields: Json) -> Reply:
        """Submit a task and wait for its end. Returns its status."""
        self.submit_one(task_id, kind, payload, **fields)
        self.wire.ok("result", id=task_id, wait=30)
        return self.wire.ok("status", id=task_id)

    def count(self, name: str) -> int:
        """Return a counter of the worker, from its last heartbeat."""
        (record,) = [record for record in self.records() if record["name"] == "w1"]
        number: int = record["counters"][name]
        return number

    def records(self) -> list[Reply]:
        """Return the workers as a client sees them."""
        workers: list[Reply] = self.wire.ok("stats")["workers"]
        return workers

    def publish(self, *bodies: bytes) -> None:
        """Publish messages to the tasks queue, as any program could."""
        settled: list[PublishResult] = []
        with EmbeddedBroker(self.system.directory / EMBEDDED_FILE).publisher(settled.extend) as publisher:
            publisher.send([Message(tag, "x", "trace", body) for tag, body in enumerate(bodies)])
        assert all(each.confirmed for each in settled)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A server and a worker with the kinds of the tests. Neither may log a traceback."""
    arguments = ("--tasks", KINDS, "--retry-delay", "0.05", "--concurrency", "3")
    with LocalSystem(tmp_path_factory.mktemp("tasks"), worker_arguments=arguments) as started:
        yield started
    assert "Traceback" not in started.log("s1") + started.log("w1")


@pytest.fixture
def scene(system: LocalSystem) -> Iterator[Shared]:
    """The scene, with a new connection for the test."""
    with Wire(system.address("s1")) as wire:
        yield Shared(system, wire)


def test_a_task_of_a_users_kind_runs_once(scene: Shared) -> None:
    status = scene.do("own", "trace", str(scene.file))
    assert (status["state"], status["result"], status["attempts"], status["worker"]) == ("done", "own", 1, "w1")
    assert scene.traces().count("own") == 1


def test_failures_are_retried_with_growing_delays(scene: Shared) -> None:
    scene.wire.ok("submit", id="flaky", kind="flaky", payload=4)
    seen: dict[int, Reply] = {}

    def is_done() -> bool:
        status = scene.wire.ok("status", id="flaky")
        if status["state"] == "retrying":
            seen.setdefault(status["attempts"], status)
        return bool(status["state"] == "done")

    wait_until(is_done, "the task to be done")
    assert scene.wire.ok("status", id="flaky")["attempts"] == 4
    assert scene.wire.ok("result", id="flaky")["result"] == 4
    assert seen
    for attempts, status in seen.items():
        wait = status["due"] - status["times"]["finished"]
        assert 0.05 * 2 ** (attempts - 1) * 0.74 < wait < 0.05 * 2 ** (attempts - 1) * 1.26 + 0.05
        assert status["error"]["message"] == f"attempt {attempts}"


def test_after_the_last_attempt_it_fails(scene: Shared) -> None:
    status = scene.do("hopeless", "flaky", 99, retries=2)
    assert (status["state"], status["attempts"]) == ("failed", 3)
    assert status["error"]["type"] == "ConnectionError"
    assert status["error"]["message"] == "attempt 3"


@pytest.mark.parametrize(
    ("kind", "payload", "kind_of_error"),
    [
        ("gives_up", "no use", "GiveUp"),
        ("looks_up", "nothing", "KeyError"),
        ("wordcount", 5, "InvalidPayload"),
        ("returns_rubbish", None, "ResultNotStorable"),
        ("returns_much", None, "ResultNotStorable"),
        ("nobody-knows-it", None, "UnknownKind"),
        ("crash", None, "UnknownKind"),
    ],
)
def test_permanent_failures_are_not_retried(scene: Shared, kind: str, payload: Json, kind_of_error: str) -> None:
    status = scene.do(f"permanent-{kind}", kind, payload, retries=5)
    assert (status["state"], status["attempts"]) == ("failed", 1)
    assert status["error"]["type"] == kind_of_error
    assert "result" not in status


@pytest.mark.parametrize(
    ("what", "name"), [("exit", "SystemExit"), ("keyboard", "KeyboardInterrupt"), ("generator", "GeneratorExit")]
)
def test_exceptions_that_end_a_program_end_only_the_task(scene: Shared, what: str, name: str) -> None:
    status = scene.do(f"rude-{what}", "exits", what, retries=1)
    assert (status["state"], status["attempts"]) == ("failed", 2)
    assert status["error"]["type"] == name
    assert scene.do(f"after-{what}", "echo", 1)["state"] == "done"


def test_a_task_that_runs_too_long_is_stopped(scene: Shared) -> None:
    status = scene.do("spins", "spins", str(scene.file))
    assert (status["state"], status["error"]["type"]) == ("failed", "TaskTimeout")
    assert scene.traces().count("spins") == 1


def test_a_task_that_cannot_be_stopped_does_not_hold_up_its_neighbours(scene: Shared) -> None:
    scene.wire.ok("submit", id="blocks", kind="blocks", payload=str(scene.file))
    wait_until(lambda: "blocks" in scene.traces(), "the task to begin")
    for number in range(20):
        assert scene.do(f"beside-{number}", "echo", number)["result"] == number
    wait_until(lambda: scene.wire.ok("status", id="blocks")["state"] == "running", "the heartbeat to show it")
    result = scene.wire.ok("result", id="blocks", wait=30)
    assert (result["state"], result["error"]["type"]) == ("failed", "TaskTimeout")
    gate = scene.system.directory / "gate-blocks"
    for number in range(3):
        payload = {"trace": str(scene.file), "gate": str(gate)}
        scene.wire.ok("submit", id=f"full-{number}", kind="gated", payload=payload)
    wait_until(lambda: {"full-0", "full-1", "full-2"} <= set(scene.traces()), "all three places to be in use")
    gate.touch()
    assert scene.wire.ok("result", id="full-2", wait=30)["state"] == "done"


def test_a_reference_that_comes_twice_changes_nothing(scene: Shared) -> None:
    gate = scene.system.directory / "gate-twice"
    scene.wire.ok("submit", id="twice", kind="gated", payload={"trace": str(scene.file), "gate": str(gate)})
    wait_until(lambda: "twice" in scene.traces(), "the task to begin")
    task = scene.system.task("twice")
    assert task is not None
    before = scene.count("discarded")
    reference = msgspec.json.encode(Reference("twice", task.seq, 0, 1.0))
    scene.publish(*[reference] * 5)
    wait_until(lambda: scene.count("discarded") == before + 5, "the duplicates to be discarded")
    gate.touch()
    assert scene.wire.ok("result", id="twice", wait=30)["state"] == "done"
    scene.publish(*[reference] * 5)
    wait_until(lambda: scene.count("discarded") == before + 10, "the late duplicates to be discarded")
    assert scene.traces().count("twice") == 1
    assert scene.wire.ok("status", id="twice")["attempts"] == 1
    # All of them were acknowledged, so none is delivered again.
    assert _queued_messages(scene.system.directory) == 0


def test_a_reference_of_an_earlier_queue_is_discarded(scene: Shared) -> None:
    scene.wire.ok("submit", id="former", kind="trace", payload=str(scene.file), delay=3600)
    task = scene.system.task("former")
    assert task is not None
    before = scene.count("discarded")
    scene.publish(msgspec.json.encode(Reference("former", task.seq, 0, 1.0, generation=-1)))
    wait_until(lambda: scene.count("discarded") == before + 1, "it to be discarded")
    assert "former" not in scene.traces()
    # One without a generation is not discarded: an earlier version of the program published it.
    scene.publish(msgspec.json.encode({"id": "former", "seq": task.seq, "attempt": 0, "at": 1.0}))
    assert scene.wire.ok("result", id="former", wait=30)["state"] == "done"


def test_of_two_messages_for_a_task_the_confirmed_one_runs(scene: Shared) -> None:
    scene.wire.ok("submit", id="surplus", kind="trace", payload=str(scene.file), delay=3600)
    task = scene.system.task("surplus")
    assert task is not None
    with Journal("resultados.db", scene.system.directory).open() as repository, repository.transaction():
        repository.mark_queued([Dispatch(task.seq, "surplus", "trace", 0)], 2.0)
        generation = repository.generation()
    before = scene.count("discarded")
    scene.publish(msgspec.json.encode(Reference("surplus", task.seq, 0, 1.0, generation)))
    wait_until(lambda: scene.count("discarded") == before + 1, "it to be discarded")
    assert "surplus" not in scene.traces()
    scene.publish(msgspec.json.encode(Reference("surplus", task.seq, 0, 2.0, generation)))
    assert scene.wire.ok("result", id="surplus", wait=30)["state"] == "done"


def _queued_messages(directory: Path) -> int:
    with EmbeddedBroker(directory / EMBEDDED_FILE).gauge() as gauge:
        return gauge.read().ready


def test_messages_of_other_programs_are_dropped_and_logged(scene: Shared) -> None:
    before = scene.system.log("s1").count("is dropped")
    scene.publish(b"", b"junk \x1b[2J", b"\xff\x00", b"[" * 10_000, b"null")
    scene.publish(msgspec.json.encode(Reference("nobody", 2**40, 0, 1.0)))
    wait_until(lambda: scene.system.log("s1").count("is dropped") >= before + 5, "the server to drop them")
    wait_until(lambda: "not in this journal: dropped" in scene.system.log("s1"), "the unknown task to be dropped")
    assert scene.system.log("w1").count("a message that is not Cauce's is rejected") >= 5
    assert "\x1b" not in scene.system.log("w1") + scene.system.log("s1")
    assert scene.do("alive", "echo", 1)["state"] == "done"


def test_a_cancelled_task_never_runs(scene: Shared) -> None:
    gate = scene.system.directory / "gate-cancel"
    payload = {"trace": str(scene.file), "gate": str(gate)}
    for number in range(3):
        scene.wire.ok("submit", id=f"fill-{number}", kind="gated", payload=payload)
    wait_until(lambda: {"fill-0", "fill-1", "fill-2"} <= set(scene.traces()), "all places to be in use")
    for number in range(10):
        scene.wire.ok("submit", id=f"taken-back-{number}", kind="trace", payload=str(scene.file))
    wait_until(lambda: scene.wire.ok("status", id="taken-back-9")["state"] == "queued", "them to be queued")
    assert scene.wire.ok("status", id="taken-back-9")["note"] == "waiting for a worker"
    for number in range(10):
        assert scene.wire.ok("cancel", id=f"taken-back-{number}")["state"] == "cancelled"
    discarded = scene.count("discarded")
    scene.three_heartbeats("w1")
    gate.touch()
    for number in range(3):
        assert scene.wire.ok("result", id=f"fill-{number}", wait=30)["state"] == "done"
    wait_until(lambda: scene.count("discarded") >= discarded + 10, "the messages to be discarded")
    assert not [trace for trace in scene.traces() if trace.startswith("taken-back")]
    assert scene.wire.ok("status", id="taken-back-0")["attempts"] == 0


def test_a_worker_reports_its_running_tasks(scene: Shared) -> None:
    gate = scene.system.directory / "gate-hand"
    scene.wire.ok("submit", id="in-hand", kind="gated", payload={"trace": str(scene.file), "gate": str(gate)})
    wait_until(lambda: scene.wire.ok("status", id="in-hand")["state"] == "running", "the heartbeat to show it")
    with Journal("resultados.db", scene.system.directory).open_readonly() as repository:
        (record,) = [record for record in repository.processes() if record.role is Role.WORKER]
    assert [task.id for task in record.in_hand] == ["in-hand"]
    assert record.status == "ready"
    assert record.pid == scene.system.process("w1").pid
    beat = record.beat
    running = scene.wire.ok("status", id="in-hand")["running"]
    assert running["worker"] == "w1"
    assert running["since"] == record.in_hand[0].since

    def beats_on() -> bool:
        with Journal("resultados.db", scene.system.directory).open_readonly() as repository:
            return any(each.number == record.number and each.beat > beat for each in repository.processes())

    wait_until(beats_on, "the next heartbeat")
    gate.touch()
    assert scene.wire.ok("result", id="in-hand", wait=30)["state"] == "done"


def test_everybody_sees_how_far_a_running_task_is(scene: Shared) -> None:
    gate = scene.system.directory / "gate-telling"
    scene.wire.ok("submit", id="tells", kind="telling", payload={"gate": str(gate)})
    wait_until(lambda: "progress" in scene.wire.ok("status", id="tells").get("running", {}), "the progress")
    running = scene.wire.ok("status", id="tells")["running"]
    assert running["progress"] == {"done": 3.0, "total": 10.0, "text": "resizing"}
    assert [note["text"] for note in running["notes"]] == ["began\x1b[31m"]
    # Who waits for the result learns it too.
    assert scene.wire.ok("result", id="tells", wait=0.01)["running"] == running
    gate.touch()
    ended = scene.wire.ok("result", id="tells", wait=30)
    assert (ended["state"], "running" in ended) == ("done", False)
    status = scene.wire.ok("status", id="tells")
    assert "running" not in status
    # It stays with the attempt.
    [attempt] = status["history"]
    assert (attempt["runner"], attempt["progress"], len(attempt["notes"])) == (
        running["runner"],
        running["progress"],
        1,
    )
    failed = scene.do("told", "telling", {"gate": str(gate), "fails": True}, retries=1)
    assert [each["progress"]["done"] for each in failed["history"]] == [3.0, 3.0]
    assert "progress" not in scene.do("silent", "trace", str(scene.file))["history"][0]


# Starting.


def test_a_module_may_be_named_with_dots(tmp_path: Path) -> None:
    system = LocalSystem(tmp_path, worker_arguments=("--tasks", "tests.integration.kinds"))
    with system, Wire(system.address("s1")) as wire:
        wire.ok("submit", id="a", kind="trace", payload=str(tmp_path / "traces"))
        assert wire.ok("result", id="a", wait=30)["state"] == "done"


RELOADED = """
from core.tasks import task
import helper

@task
def version(_):
    \"\"\"Say {text}.\"\"\"
    return ["{text}", helper.TEXT]
"""


def test_runners_are_replaced_when_a_file_of_their_modules_changes(tmp_path: Path) -> None:
    module, helper = tmp_path / "reloaded.py", tmp_path / "helper.py"

    def write(text: str, help_text: str) -> None:
        module.write_text(RELOADED.format(text=text), "utf-8")
        helper.write_text(f"TEXT = {help_text!r}\n", "utf-8")

    write("one", "a")
    arguments = ("--tasks", str(module), "--reload")
    with LocalSystem(tmp_path / "system", worker_arguments=arguments) as system, Client(system.addresses) as client:

        def says() -> Json:
            return client.submit("version").result(timeout=60)

        assert says() == ["one", "a"]
        write("two", "a")
        wait_until(lambda: says() == ["two", "a"], "the module's new code")
        wait_until(lambda: client.describe("version").description == "Say two.", "its description")
        write("two", "longer")
        wait_until(lambda: says() == ["two", "longer"], "the new code of what it imports")
        module.write_text("def broken(:\n", "utf-8")
        wait_until(lambda: "reloaded.py:1" in client.stats().workers[0].status, "the error")
        assert says() == ["two", "longer"]  # the former runner goes on
        write("three", "c")
        wait_until(lambda: says() == ["three", "c"], "the mended code")
        wait_until(lambda: client.stats().workers[0].status == "ready", "the end of the trouble")
        assert system.process("w1").poll() is None


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("x = 1\nimport nothing_like_it\n", 2, "nothing_like_it"),
        ("def broken(:\n", 1, "SyntaxError"),
        ("\n\nraise SystemExit(3)\n", 3, "SystemExit"),
        ("from core.tasks import task\n@task\ndef echo(payload): ...\n", 2, "defined twice"),
        ("x = 1\n", None, "no task is defined here"),
    ],
)
def test_an_error_in_a_module_has_its_line(tmp_path: Path, source: str, line: int | None, words: str) -> None:
    module = tmp_path / "mine.py"
    module.write_text(source, "utf-8")
    ended = run("core.worker", "--dir", str(tmp_path), "--tasks", str(module))
    assert ended.code == 2
    assert (f"mine.py:{line}" if line else "mine.py") in ended.errors
    assert words in ended.errors
    assert not (tmp_path / "resultados.db").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--concurrency", "0"], "--concurrency: '0' must be from 1"),
        (["--prefetch", "many"], "--prefetch: 'many' must be a whole number"),
        (["--tasks", "no_such_module_anywhere"], "no_such_module_anywhere: no such module"),
        (["--haste"], "unrecognized arguments: --haste"),
    ],
)
def test_an_error_on_the_command_line_is_explained(tmp_path: Path, arguments: list[str], words: str) -> None:
    ended = run("core.worker", "--dir", str(tmp_path), *arguments)
    assert ended.code == 2
    assert words in ended.errors
    assert os.listdir(tmp_path) == []
