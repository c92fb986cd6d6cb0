"""The client and its programs with real servers and workers."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.client import Accepted, Client, NewSubmission, TaskOutcome
from core.errors import LocalProtocolError, RequestRefused, ResultNotReady, TaskCancelled, TaskFailed
from core.heartbeat import HEARTBEAT_INTERVAL
from core.identifiers import TASK_ID, new_id
from core.model import ProcessPhase, ProcessRecord, Role, RunningTask, State, TaskStack
from core.repository.journal import Journal
from tests.services.driven_client import OpenClient
from tests.services.ports import free_port
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

TOP = Path(__file__).resolve().parents[2]
PROGRAM_TIMEOUT = 60.0


@pytest.fixture(scope="module", name="system")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """One system for the tests that don't stop its processes."""
    directory = tmp_path_factory.mktemp("system")
    with LocalSystem(directory, servers=2, worker_arguments=["--lab", "--retry-delay", "0.01"]) as running:
        yield running


@pytest.fixture
def client(system: LocalSystem, open_client: OpenClient) -> Iterator[Client]:
    with open_client(system.addresses) as connected:
        yield connected


def environment() -> dict[str, str]:
    """Return the environment without settings of Cauce."""
    return {key: value for key, value in os.environ.items() if not key.startswith("CAUCE_")}


def command(system: LocalSystem, *arguments: str) -> list[str]:
    servers = [argument for address in system.addresses for argument in ("--server", str(address))]
    return [sys.executable, "-m", "core.client", *arguments, *servers]


def run(system: LocalSystem, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        command(system, *arguments),
        input=stdin,
        capture_output=True,
        timeout=PROGRAM_TIMEOUT,
        check=False,
        cwd=TOP,
        env=environment(),
    )
    return subprocess.CompletedProcess(
        ended.args, ended.returncode, ended.stdout.decode("utf-8"), ended.stderr.decode("utf-8")
    )


@contextmanager
def piped(system: LocalSystem, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the program with pipes for its standard streams, and kill it at the end of the block."""
    with subprocess.Popen(
        command(system, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=TOP,
        env=environment(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# The Python interface.


def test_a_task_and_its_result(client: Client) -> None:
    handle = client.submit("wordcount", "uno dos tres")
    assert TASK_ID.fullmatch(handle.id)
    assert (handle.state, handle.duplicate) == (State.ACCEPTED, False)
    assert handle.result(timeout=60) == 3
    status = handle.status()
    times = status.times
    steps = [times.sent, times.received, times.accepted, times.queued, times.taken, times.started, times.finished]
    moments = [moment for moment in steps if moment is not None]
    assert len(moments) == 7
    assert moments == sorted(moments)
    assert (status.kind, status.state, status.attempts, status.result) == ("wordcount", "done", 1, 3)


def test_the_same_id_again_is_the_same_task(client: Client) -> None:
    task_id = new_id()
    client.submit("echo", {"a": [1, None]}, id=task_id).result(timeout=60)
    again = client.submit("echo", {"a": [1, None]}, id=task_id)
    assert (again.state, again.duplicate) == (State.DONE, True)
    assert again.result(timeout=0) == {"a": [1, None]}
    with pytest.raises(RequestRefused, match="conflict"):
        client.submit("echo", "another", id=task_id)


def test_a_task_that_fails(client: Client) -> None:
    handle = client.submit("fail", "on purpose", retries=1)
    with pytest.raises(TaskFailed, match="RuntimeError: on purpose"):
        handle.result(timeout=60)
    outcome = handle.outcome()
    assert outcome.state == State.FAILED
    assert outcome.error is not None
    assert "on purpose" in outcome.error.traceback
    assert handle.status().attempts == 2


def test_a_task_that_is_cancelled(client: Client) -> None:
    handle = client.submit("echo", "later", delay=3600)
    with pytest.raises(ResultNotReady, match="accepted"):
        handle.result(timeout=0)
    assert handle.cancel() is State.CANCELLED
    with pytest.raises(TaskCancelled):
        handle.result(timeout=60)
    done = client.submit("echo", 1)
    done.result(timeout=60)
    with pytest.raises(RequestRefused, match="not_cancellable"):
        done.cancel()


def test_an_unknown_task(client: Client) -> None:
    for request in (client.status, client.result, client.cancel):
        with pytest.raises(RequestRefused, match="not_found"):
            request("unknown")


def test_streams_of_tasks_and_results(client: Client) -> None:
    prefix = new_id()
    answers = list(client.submit_many(NewSubmission("echo", number, f"{prefix}-{number}") for number in range(1000)))
    assert all(isinstance(answer, Accepted) for answer in answers)
    outcomes = list(client.results((answer.id for answer in answers), timeout=60))
    values = {outcome.id: outcome.result for outcome in outcomes if isinstance(outcome, TaskOutcome)}
    assert values == {f"{prefix}-{number}": number for number in range(1000)}


def test_the_statistics(client: Client) -> None:
    before = client.stats()
    client.submit("echo", 1).result(timeout=60)
    wait_until(lambda: client.stats().ended > before.ended, "the task to be in the ledger")
    # On a busy machine a heartbeat may be late, and its process is not listed until the next one.
    wait_until(lambda: {server.name for server in client.stats().servers} == {"s1", "s2"}, "both servers")
    wait_until(lambda: [worker.name for worker in client.stats().workers] == ["w1"], "the worker")
    stats = client.stats()
    assert stats.ledger["accepted"] > before.ledger["accepted"]
    assert (stats.broker, stats.journal) == ("ready", "ready")


def test_the_kinds_that_a_worker_has_told_of(system: LocalSystem, client: Client) -> None:
    kinds = {each.kind: each for each in client.kinds()}
    assert {"echo", "simulate", "crash"} <= set(kinds)
    assert kinds["echo"].description == "Give the payload back."
    assert kinds["echo"].schema is None
    # Each server counts the workers by the heartbeats that it has read.
    wait_until(lambda: client.describe("echo").workers == 1, "the worker to be counted")
    assert client.describe("sleep").kind == "sleep"
    with pytest.raises(RequestRefused, match="no worker has told of a kind nowhere"):
        client.describe("nowhere")
    with pytest.raises(LocalProtocolError, match="not 1 to 64 letters"):
        client.describe("no kind")
    listed = run(system, "describe")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "echo  Give the payload back." in listed.stdout.splitlines()
    told = run(system, "describe", "simulate", "--json")
    assert json.loads(told.stdout)["kind"] == "simulate"
    refused = run(system, "describe", "nowhere")
    assert (refused.returncode, "no worker has told of a kind nowhere" in refused.stderr) == (1, True)


@pytest.mark.parametrize(("page", "word"), [("README.md", " Client("), ("core/client/README.md", "AsyncClient(")])
def test_the_example_of_a_page(system: LocalSystem, page: str, word: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", (TOP / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    [example] = [block for block in blocks if word in block]
    program = example.replace("127.0.0.1:7101", str(system.addresses[0]))
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=PROGRAM_TIMEOUT, check=True
    )
    task_id, result = ended.stdout.split()
    assert TASK_ID.fullmatch(task_id)
    assert result == "3"


def test_a_server_that_is_killed_costs_no_task_and_doubles_none(tmp_path: Path, open_client: OpenClient) -> None:
    count = 3000

    def source() -> Iterator[NewSubmission]:
        for number in range(count):
            if number == count // 3:
                system.kill("s1")
            if number == count // 2:
                system.start("s1")
            if number == 3 * count // 4:
                system.kill("s2")
            yield NewSubmission("echo", number, f"t{number}")

    with LocalSystem(tmp_path, servers=2) as system, open_client(system.addresses) as client:
        answers = list(client.submit_many(source(), window=200))
        assert all(isinstance(answer, Accepted) for answer in answers)
        assert sorted(answer.id for answer in answers) == sorted(f"t{number}" for number in range(count))
        outcomes = list(client.results((answer.id for answer in answers), timeout=60))
        values = {outcome.id: outcome.result for outcome in outcomes if isinstance(outcome, TaskOutcome)}
        assert values == {f"t{number}": number for number in range(count)}
        assert system.counts() == {"done": count}


def test_a_server_that_shuts_down_in_order_is_not_noticed(tmp_path: Path, open_client: OpenClient) -> None:
    def source() -> Iterator[NewSubmission]:
        for number in range(1000):
            if number == 350:
                system.stop("s1")
            yield NewSubmission("echo", number, f"t{number}")

    with LocalSystem(tmp_path, servers=2, workers=0) as system:
        with open_client(system.addresses) as client:
            answers = list(client.submit_many(source(), window=100))
        assert [type(answer) for answer in answers] == [Accepted] * 1000
        assert sum(system.counts().values()) == 1000


# The program.


def test_submit_and_wait(system: LocalSystem) -> None:
    ended = run(system, "submit", "--kind", "wordcount", "--wait", "uno dos", "tres")
    assert (ended.returncode, sorted(line.split()[1:] for line in ended.stdout.splitlines())) == (
        0,
        [["done", "1"], ["done", "2"]],
    )
    assert "2 accepted in " in ended.stderr
    assert ended.stderr.endswith("2 done, 0 failed\n")


def test_submit_from_a_pipe(system: LocalSystem) -> None:
    stdin = "uno\r\n\n\xff\nsí\n".encode("latin-1").replace("sí".encode("latin-1"), "sí".encode())
    ended = run(system, "submit", "-", "--kind", "echo", "--wait", "--json", stdin=stdin)
    outcomes = [json.loads(line) for line in ended.stdout.splitlines()]
    assert sorted(outcome["result"] for outcome in outcomes) == ["sí", "uno"]
    assert ended.returncode == 1
    assert "line 3 is skipped: it is not UTF-8" in ended.stderr
    assert "2 accepted" in ended.stderr
    assert "1 refused, 2 done, 0 failed" in ended.stderr


def test_a_file_submitted_twice_is_there_once(system: LocalSystem, tmp_path: Path) -> None:
    file = tmp_path / "tasks.txt"
    file.write_bytes(b"\xef\xbb\xbf" + b"".join(b'{"n": %d}\n' % number for number in range(500)))
    prefix = new_id()
    arguments = ["submit", "--file", str(file), "--id-prefix", prefix, "--kind", "echo", "--json-payload"]
    first, second = run(system, *arguments, "--wait"), run(system, *arguments)
    assert (first.returncode, second.returncode) == (0, 0)
    assert {line.split(" ", 2)[2] for line in first.stdout.splitlines()} == {f'{{"n":{n}}}' for n in range(500)}
    assert set(second.stdout.splitlines()) == {f"{prefix}-{number} done duplicate" for number in range(1, 501)}


def test_a_task_that_a_pipe_brings_slowly_is_submitted_at_once(system: LocalSystem) -> None:
    with piped(system, "submit", "-", "--kind", "echo", "--wait") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"uno", b"dos"):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            # The pipe is still open, and the outcome is there.
            assert process.stdout.readline().split()[1:] == [b"done", b'"' + word + b'"']
        process.stdin.close()
        assert process.wait(PROGRAM_TIMEOUT) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_an_interrupt_prints_how_many_were_accepted(system: LocalSystem) -> None:
    with piped(system, "submit", "-", "--kind", "echo") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"uno\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith(b" accepted\n")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PROGRAM_TIMEOUT)
        assert process.returncode == 130
        assert errors.startswith(b"1 accepted in ")


def test_a_task_that_fails_changes_the_exit_code(system: LocalSystem) -> None:
    ended = run(system, "submit", "--kind", "fail", "--retries", "0", "--wait", "on\x1b[31m purpose")
    task_id, state, error = ended.stdout.rstrip("\n").split(" ", 2)
    assert (ended.returncode, state, error) == (1, "failed", "RuntimeError: on\\x1b[31m purpose")
    result = run(system, "result", task_id, "--traceback")
    assert (result.returncode, result.stdout) == (1, "")
    assert "RuntimeError" in result.stderr
    assert "\x1b" not in result.stderr


def test_waiting_no_longer_than_the_timeout(system: LocalSystem) -> None:
    task_id = new_id()
    ended = run(system, "submit", "--id", task_id, "--delay", "3600", "--wait", "--timeout", "0.1", "later")
    assert (ended.returncode, ended.stdout) == (75, f"{task_id} accepted\n")
    assert run(system, "result", task_id).returncode == 75
    assert run(system, "cancel", task_id, "unknown").returncode == 1
    cancelled = run(system, "result", task_id)
    assert (cancelled.returncode, cancelled.stderr) == (1, f"task {task_id} was cancelled\n")


def test_status_and_result_and_stats(system: LocalSystem, client: Client) -> None:
    handle = client.submit("echo", "uno\ndos")
    handle.result(timeout=60)
    assert run(system, "result", handle.id).stdout == "uno\ndos\n"
    assert run(system, "result", handle.id, "--json").stdout == '"uno\\ndos"\n'
    status = run(system, "status", handle.id, "unknown")
    assert status.returncode == 1
    assert status.stdout.startswith(f"{handle.id} (echo) is done\n  sent ")
    assert status.stderr == "there is no task unknown (not_found)\n"
    assert json.loads(run(system, "status", handle.id, "--json").stdout)["result"] == "uno\ndos"
    assert json.loads(run(system, "stats", "--json").stdout)["broker"] == "ready"
    assert "worker w1  ready" in run(system, "stats").stdout


def test_load(system: LocalSystem) -> None:
    ended = run(
        system, "load", "--tasks", "1000", "--connections", "3", "--window", "100", "--payload-bytes", "10",
        "--wait", "--json",
    )  # fmt: skip
    figures = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert (figures["accepted"], figures["stored"], figures["errors"]) == (1000, 1000, {})
    assert 0 < figures["latency_p50"] <= figures["latency_p99"] <= figures["latency_max"]


def test_load_at_a_rate(system: LocalSystem) -> None:
    ended = run(system, "load", "--tasks", "200", "--rate", "400", "--json")
    assert json.loads(ended.stdout)["accepted_per_second"] <= 440


def test_load_that_is_refused(system: LocalSystem) -> None:
    ended = run(system, "load", "--tasks", "20", "--kind", "1wrong")
    assert ended.returncode == 1
    assert "errors: 20 invalid" in ended.stdout


def test_load_survives_a_killed_server(tmp_path: Path) -> None:
    with LocalSystem(tmp_path, servers=2) as system:
        arguments = command(system, "load", "--tasks", "3000", "--rate", "2000", "--wait", "--json")
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=TOP, env=environment()) as process:
            wait_until(lambda: sum(system.counts().values()) > 500, "some tasks to be accepted")
            system.kill("s1")
            output, _ = process.communicate(timeout=PROGRAM_TIMEOUT)
        figures = json.loads(output)
        assert (process.returncode, figures["accepted"], figures["stored"]) == (0, 3000, 3000)
        assert figures["errors"]["lost"] >= 1
        assert system.counts() == {"done": 3000}


def test_no_server(tmp_path: Path) -> None:
    with LocalSystem(tmp_path, servers=0, workers=0) as nothing:
        ended = run(nothing, "submit", "uno", "--server", f"127.0.0.1:{free_port()}", "--patience", "0.2")
    assert ended.returncode == 75
    assert "0 accepted" in ended.stderr
    assert "no server answered for 0.2 seconds" in ended.stderr


def test_a_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("open sesame\n", encoding="utf-8")
    with LocalSystem(tmp_path / "data", workers=0, server_arguments=["--token-file", str(token)]) as system:
        refused = run(system, "submit", "uno")
        assert (refused.returncode, "unauthorized" in refused.stderr) == (1, True)
        assert run(system, "submit", "uno", "--token-file", str(token)).returncode == 0
        assert "********" not in run(system, "submit", "--show-config").stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "usage: python -m core.client"),
        (("submit",), "give tasks, --file FILE, or - for standard input"),
        (("submit", "uno", "--file", "x"), "but not both"),
        (("submit", "uno", "dos", "--id", "x"), "--id is for one task"),
        (("submit", "uno", "--timeout", "1"), "--timeout needs --wait"),
        (("submit", "uno", "--delay", "-1"), "must be from 0"),
        (("submit", "--file", "/nowhere/at-all"), "can't be read"),
        (("submit", "uno", "--server", "nonsense"), "is not an address"),
        (("load", "--tasks", "0"), "must be from 1"),
    ],
)
def test_a_wrong_command_line(system: LocalSystem, arguments: tuple[str, ...], reason: str) -> None:
    ended = run(system, *arguments)
    assert ended.returncode == 2
    assert reason in ended.stderr


def test_settings_before_the_command(system: LocalSystem) -> None:
    command_line = [sys.executable, "-m", "core.client", "--server", str(system.addresses[0]), "stats"]
    began = time.monotonic()
    ended = subprocess.run(
        command_line, capture_output=True, timeout=PROGRAM_TIMEOUT, check=False, cwd=TOP, env=environment()
    )
    assert (ended.returncode, ended.stdout[:9]) == (0, b"accepted "), time.monotonic() - began


@contextmanager
def beating(system: LocalSystem, record: ProcessRecord) -> Iterator[None]:
    """Write heartbeats of a process that does not exist, until the end of the block."""
    leave = threading.Event()
    with Journal("resultados.db", system.directory).open() as journal, journal.transaction():
        number = journal.register(record)

    def beat() -> None:
        with Journal("resultados.db", system.directory).open() as journal:
            for count in itertools.count(1):
                with journal.transaction():
                    journal.record_heartbeat(replace(record, number=number, beat=count, seen_at=time.time()))
                if leave.wait(HEARTBEAT_INTERVAL):
                    return

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        leave.set()
        thread.join()


def test_the_stack_of_a_task_is_printed_as_its_worker_tells_it(system: LocalSystem, client: Client) -> None:
    known, unknown, waiting = (client.submit("echo", 1, delay=3600).id for _ in range(3))
    stack = TaskStack(time.time(), '  File "x.py", line 3, in sleeps\n    wait()\x1b[31m\n')
    running = (RunningTask(known, "echo", time.time(), stack=stack), RunningTask(unknown, "echo", time.time()))
    worker = ProcessRecord(
        role=Role.WORKER, name="long", host="here", pid=1, started_at=time.time(), phase=ProcessPhase.READY
    )
    with beating(system, replace(worker, in_hand=running)):
        # Each server reads the heartbeats for itself, and the program may ask any.
        for address in system.addresses:
            with Client(address) as one:
                wait_until(lambda: one.status(known).running is not None, f"{address} to read the heartbeat")
        told = run(system, "stack", known)
        assert told.returncode == 0, told.stderr
        assert told.stdout.splitlines()[1:] == ['    File "x.py", line 3, in sleeps', "      wait()\\x1b[31m"]
        silent = run(system, "stack", unknown)
        assert (silent.returncode, "is not known" in silent.stderr) == (1, True)
        idle = run(system, "stack", waiting)
        assert (idle.returncode, idle.stderr) == (1, f"task {waiting} does not run\n")
