"""The system for users' own tests: the states, retries and errors of a real one, without its processes and its time."""

import re
import socket
import sys
import tempfile
import types
from pathlib import Path
from typing import NoReturn

import pytest

from core.errors import (
    LocalProtocolError,
    RequestRefused,
    ResultNotReady,
    TaskCancelled,
    TaskDefinitionError,
    TaskFailed,
)
from core.jsontext import Json
from core.model import State, TaskProgress
from core.tasks import GiveUp, RetryAfter, TaskContext, task
from core.testing import run_here

TOP = Path(__file__).resolve().parents[2]


@task("double")
def double(payload: int) -> int:
    """Double a number."""
    return payload * 2


@task("flaky", retries=2)
def flaky(payload: int, context: TaskContext) -> int:
    """Fail so many times."""
    if context.attempt <= payload:
        raise ValueError(f"attempt {context.attempt}")
    return context.attempt


@task("hopeless", retries=5)
def hopeless(payload: Json) -> None:
    raise GiveUp("no use")


@task("slow", timeout=10)
def slow(payload: float, context: TaskContext) -> str:
    context.wait(payload)
    return "slept"


def test_a_task_runs_and_its_function_stays_a_function() -> None:
    with run_here(double) as system:
        handle = system.submit("double", 4)
        assert (handle.state, handle.outcome().state) == (State.ACCEPTED, State.ACCEPTED)
        assert handle.result() == 8
        assert double(4) == 8
        status = handle.status()
        assert (status.kind, status.state, status.attempts, status.result) == ("double", "done", 1, 8)


@task
def waits(payload: float, context: TaskContext) -> float:
    """Take this many seconds."""
    context.wait(payload)
    return payload


@task(timeout=10)
def impatient(payload: None, context: TaskContext) -> None:
    """Take longer than the kind allows."""
    context.wait(11)


@task(retries=5, retry_delay=100, backoff=1)
def patient(payload: int, context: TaskContext) -> int:
    """Fail in the first attempts."""
    if context.attempt <= payload:
        raise ValueError(context.attempt)
    return context.attempt


@task(retries=2, retry_on=(ConnectionError,))
def choosy(payload: str) -> NoReturn:
    """Raise an exception of this name."""
    raise {"ValueError": ValueError, "ConnectionResetError": ConnectionResetError}[payload]


@task(retries=2, retry_on=(ConnectionError,))
def asking() -> NoReturn:
    """Ask for the next attempt after half a minute."""
    raise RetryAfter(30, "the quota is used up")


def test_retries_pass_without_waiting() -> None:
    with run_here(flaky) as system:
        began = system.now
        handle = system.submit("flaky", 2)
        assert handle.result() == 3
        # 1 and 2 seconds, each plus or minus a quarter, as in a worker.
        assert 2.25 <= system.now - began <= 3.75
        assert [attempt.state for attempt in handle.status().history] == ["failed", "failed", "done"]


def test_time_passes_when_it_is_told_to() -> None:
    with run_here(flaky, retry_delay=100) as system:
        handle = system.submit("flaky", 1)
        system.run()
        assert handle.outcome().state == State.RETRYING
        system.advance(60)
        assert handle.outcome().state == State.RETRYING
        system.advance(70)
        assert handle.outcome().result == 2


def test_an_attempt_may_take_an_hour_unless_its_kind_or_the_worker_says_otherwise() -> None:
    with run_here(waits, impatient, retries=0) as system:
        assert system.submit("waits", 3599).result(timeout=5000) == 3599
        with pytest.raises(TaskFailed, match="TaskTimeout: the task ran longer than its time-out allows"):
            system.submit("waits", 3601).result(timeout=5000)
        with pytest.raises(TaskFailed, match="TaskTimeout"):
            system.submit("impatient").result()
    with run_here(waits, retries=0, timeout=0) as system:
        assert system.submit("waits", 100_000).result(timeout=200_000) == 100_000


@task
def tells(payload: int, context: TaskContext) -> None:
    """Say how far it is."""
    context.progress(payload, 10)
    context.log("done")


def test_what_a_task_says_is_in_its_history() -> None:
    with run_here(tells) as system:
        system.submit("tells", 3, id="t").result()
        [attempt] = system.status("t").history
        assert (attempt.progress, [note.text for note in attempt.notes]) == (TaskProgress(3, 10), ["done"])


def test_a_kind_decides_when_it_is_retried() -> None:
    with run_here(patient, choosy, asking) as system:
        began = system.now
        assert system.submit("patient", 3).result(timeout=1000) == 4
        assert 0.75 * 300 <= system.now - began <= 1.25 * 300  # three times 100 seconds
        with pytest.raises(TaskFailed, match="ValueError"):
            system.submit("choosy", "ValueError", id="v").result()
        assert system.status("v").attempts == 1
        with pytest.raises(TaskFailed, match="ConnectionResetError"):
            system.submit("choosy", "ConnectionResetError", id="c").result(timeout=1000)
        assert system.status("c").attempts == 3
        began = system.now
        with pytest.raises(TaskFailed, match="RetryAfter: the quota"):
            system.submit("asking", id="a").result(timeout=1000)
        assert system.status("a").attempts == 3
        assert system.now - began == pytest.approx(60)


def test_a_failure_is_raised_as_by_the_client_and_shows_its_cause() -> None:
    with run_here(flaky, hopeless) as system:
        handle = system.submit("flaky", 9)
        with pytest.raises(TaskFailed, match="ValueError: attempt 3") as caught:
            handle.result()
        assert isinstance(caught.value.__cause__, ValueError)
        error = handle.outcome().error
        assert error is not None
        assert "in flaky" in error.traceback
        with pytest.raises(TaskFailed, match="GiveUp: no use"):
            system.submit("hopeless").result()
        assert system.submit("hopeless", id="h").outcome(60).error is not None
        assert system.status("h").attempts == 1


def test_delays_cancelling_and_results_that_are_not_ready() -> None:
    with run_here(double) as system:
        later = system.submit("double", 1, delay=3600)
        with pytest.raises(ResultNotReady):
            later.result(timeout=60)
        assert later.result(timeout=3600) == 2
        cancelled = system.submit("double", 1, delay=5)
        assert cancelled.cancel() is State.CANCELLED
        with pytest.raises(TaskCancelled):
            cancelled.result()
        with pytest.raises(RequestRefused, match="not_cancellable"):
            later.cancel()


def test_what_a_server_refuses_is_refused() -> None:
    with run_here(double) as system:
        system.submit("double", 1, id="same")
        assert system.submit("double", 1, id="same").duplicate
        with pytest.raises(RequestRefused, match="conflict"):
            system.submit("double", 2, id="same")
        with pytest.raises(RequestRefused, match="not_found"):
            system.status("unknown")
        with pytest.raises((RequestRefused, LocalProtocolError)):
            system.submit("no such name!", 1)
        with pytest.raises(LocalProtocolError, match="not finite"):
            system.submit("double", float("nan"))
        with pytest.raises(TaskFailed, match=r"UnknownKind: .*did you mean double"):
            system.submit("duble", 1).result()


def test_a_wait_takes_the_time_of_the_system_and_the_time_out_holds() -> None:
    with run_here(slow) as system:
        began = system.now
        assert system.submit("slow", 9).result() == "slept"
        assert system.now - began == pytest.approx(9)
        with pytest.raises(TaskFailed, match="TaskTimeout"):
            system.submit("slow", 11, retries=0).result()


def test_sources_are_names_modules_and_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = tmp_path / "shouting.py"
    file.write_text(
        "from core.tasks import task\n\n\n@task\ndef shout(payload):\n    return payload.upper()\n", "utf-8"
    )
    module = types.ModuleType("doubling")
    module.__dict__["double"] = double
    with run_here(str(file), module, flaky) as system:
        assert system.submit("shout", "hey").result() == "HEY"
        assert system.submit("double", 2).result() == 4
        assert system.submit("flaky", 0).result() == 1
        assert system.submit("echo", 5).result() == 5
    with pytest.raises(TaskDefinitionError, match="is no task"), run_here(len):
        pass


def examples(page: str) -> list[str]:
    """Return the blocks of Python in a page."""
    return re.findall(r"^```python\n(.*?)^```$", (TOP / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_the_examples_of_how_to_write_tasks(tmp_path: Path) -> None:
    file = tmp_path / "examples_of_tasks.py"
    file.write_text("\n".join(examples("core/tasks/README.md")), "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as there, run_here(str(file)) as system:
        resized = system.submit("resize", {"pictures": ["a.png", "b.png"]})
        assert resized.result() == 2
        [attempt] = resized.status().history
        assert attempt.progress == TaskProgress(2, 2, "b.png")
        assert system.submit("shrink", {"path": "a.png"}).result() == "a.png: 800"
        with pytest.raises(TaskFailed, match=r"InvalidPayload: .* at `\$.width`"):
            system.submit("shrink", {"path": "a.png", "width": "wide"}).result()
        host, port = there.getsockname()
        assert system.submit("probe", {"host": host, "port": port}).result() == "it listens"


def test_the_example_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    tasks, tests = examples("core/testing/README.md")
    (tmp_path / "mytasks.py").write_text(tasks, "utf-8")
    monkeypatch.delitem(sys.modules, "mytasks", raising=False)
    namespace: dict[str, object] = {}
    exec(compile(tests, "the example", "exec"), namespace)  # noqa: S102 - it is ours
    found = [value for name, value in namespace.items() if name.startswith("test_")]
    assert len(found) == 3
    for test in found:
        assert callable(test)
        test()
    monkeypatch.delitem(sys.modules, "mytasks")


def test_a_system_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with run_here(double):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


LIFE = """
import socket
import sys
from core.tasks import around, on_start, on_stop, task

said = []
sys.modules["life_of_a_test"] = sys.modules[__name__]

@on_start
def begin(): said.append("start")

@on_stop
def end(): said.append("stop")

@on_stop
def fail(): raise ValueError("at the end")

@around
def outer(context):
    said.append(f"outer {context.id}")
    try:
        yield
    finally:
        said.append("outer is over")

@around
def inner(context):
    try:
        yield
    except KeyError:
        said.append("swallowed")

@task
def ok(payload): return said.append("ok")

@task(retries=0)
def bad(): raise KeyError("mine")
"""


def test_the_functions_around_tasks_run_as_in_a_runner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "life.py"
    file.write_text(LIFE, "utf-8")
    with run_here(str(file)) as system:
        said: list[str] = vars(sys.modules["life_of_a_test"])["said"]
        assert said == ["start"]
        system.submit("ok", id="a").result()
        with pytest.raises(TaskFailed, match="KeyError: 'mine'"):
            system.submit("bad", id="b").result()
    assert said == [
        *("start", "outer a", "ok", "outer is over"),
        *("outer b", "swallowed", "outer is over", "stop"),
    ]
    assert "ValueError: at the end" in capsys.readouterr().err
    del sys.modules["life_of_a_test"]
