"""The whole path, as a user walks it: a file of many lines goes in, a result for each line comes out."""

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from core.addresses import Address
from core.broker.factory import open_broker
from core.client import Client
from core.model import Depth, Role, State
from core.repository.journal import Journal
from tests.services.nginx_fixtures import StartNginx
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

LINES = 3000
"""In a file."""

MANY_LINES = 10_000
"""In a file that is still on its way when processes are killed, one after another."""

WORDS = ("uno", "dos", "tres", "río", "cauce", "agua", "水", "na\u0301ive", "--", "'; DROP TABLE tasks; --")
TOP = Path(__file__).resolve().parents[2]


def write_text(file: Path, count: int) -> Path:
    """Write lines that differ, in several scripts. Returns the file."""
    chance = random.Random(20251125)  # noqa: S311 - it makes text that is no secret
    lines = (f"{number} " + " ".join(chance.choices(WORDS, k=chance.randint(0, 20))) for number in range(count))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A file of lines."""
    return write_text(tmp_path / "text.txt", LINES)


@contextmanager
def submitting(text: Path, addresses: list[Address]) -> Iterator["subprocess.Popen[bytes]"]:
    """The client at work: submits each line, named by its number, and waits for all results."""
    command = [sys.executable, "-m", "core.client", "submit", "--kind", "wordcount", "--file", str(text)]
    command += ["--id-prefix", "line", "--wait", "--json"]
    for address in addresses:
        command += ["--server", str(address)]
    out = text.with_suffix(".out")
    with out.open("wb") as stream, text.with_suffix(".err").open("wb") as errors:
        client = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=errors, cwd=TOP)
        try:
            yield client
        finally:
            client.kill()
            client.wait()


def finish(client: "subprocess.Popen[bytes]", text: Path) -> None:
    """Wait for the client, and look at what it said: each line once, each done, each counted right."""
    code = client.wait(timeout=90)
    assert code == 0, text.with_suffix(".err").read_text("utf-8")
    said = [json.loads(line) for line in text.with_suffix(".out").read_text("utf-8").splitlines()]
    expected = expected_results(text)
    assert len(said) == len(expected)
    assert {outcome["id"]: outcome["result"] for outcome in said} == expected


def expected_results(text: Path) -> dict[str, int]:
    """What Python itself counts in each line."""
    lines = text.read_text("utf-8").split("\n")[:-1]
    return {f"line-{number}": len(line.split()) for number, line in enumerate(lines, 1)}


def check_journal(system: LocalSystem, text: Path) -> None:
    """Every line is done, once, with the right result, and the books agree."""
    expected = expected_results(text)
    with Journal("resultados.db", system.directory).open_readonly() as repository:
        tasks = repository.find_all(list(expected))
        audit = repository.audit()
    assert {task.id: task.result for task in tasks} == {name: str(count) for name, count in expected.items()}
    assert audit.is_consistent
    assert system.counts() == {"done": len(expected)}


def check_broker(url: str) -> None:
    """Nothing is left with the broker."""
    with open_broker(url, Path()).gauge() as gauge:
        wait_until(lambda: gauge.read() == Depth(ready=0, dead=0), "the queues to be empty")


def readers(system: LocalSystem, name: str) -> int:
    """Count the connections to the journal that a process can't write with."""
    folder = Path(f"/proc/{system.process(name).pid}")
    numbers = [each.name for each in (folder / "fd").iterdir() if each.resolve() == system.journal.resolve()]
    flags = [(folder / "fdinfo" / number).read_text().split("flags:")[1].split()[0] for number in numbers]
    return sum(int(each, 8) & os.O_ACCMODE == os.O_RDONLY for each in flags)


def test_a_file_goes_through_the_embedded_queue(tmp_path: Path, text: Path) -> None:
    with LocalSystem(tmp_path / "system", servers=2, workers=2) as system:
        if sys.platform == "linux":
            # A server's reader and a worker's fetcher: threads that only read can't write.
            wait_until(lambda: [readers(system, name) for name in ("s1", "w1")] == [1, 1], "the connections that read")
        with submitting(text, system.addresses) as client:
            finish(client, text)
        check_journal(system, text)
        with Client(system.addresses) as one:
            story = one.status("line-1")
        assert story.state is State.DONE
        hops = [moment for moment in msgspec.structs.astuple(story.times) if moment is not None]
        assert len(hops) == 8
        assert hops == sorted(hops)


@pytest.mark.rabbitmq
@pytest.mark.nginx
def test_a_file_goes_through_nginx_and_rabbitmq_and_every_server_takes_a_share(
    tmp_path: Path, text: Path, rabbitmq_url: str, start_nginx: StartNginx
) -> None:
    with LocalSystem(tmp_path / "system", servers=3, workers=2, broker=rabbitmq_url) as system:
        nginx = start_nginx(system.addresses)
        with submitting(text, [nginx.address]) as client:
            finish(client, text)
        check_journal(system, text)
        check_broker(rabbitmq_url)

        def shares() -> list[int]:
            with Journal("resultados.db", system.directory).open_readonly() as repository:
                return [each.counters.accepted for each in repository.processes() if each.role is Role.SERVER]

        wait_until(lambda: sum(shares()) == LINES, "the servers to have said what they took")
        # A file may go over fewer connections than there are servers. Of six that are open at once, one of NGINX's two
        # processes has three, and shares them out.
        with contextlib.ExitStack() as clients:
            for _ in range(6):
                clients.enter_context(Client(nginx.address)).submit("echo", "one more")
        wait_until(lambda: all(shares()), "every server to take a share")


@pytest.mark.rabbitmq
@pytest.mark.nginx
def test_nothing_is_lost_or_doubled_when_a_worker_a_server_and_the_broker_are_killed(
    tmp_path: Path, own_rabbitmq_node: RabbitNode, start_nginx: StartNginx
) -> None:
    text = write_text(tmp_path / "text.txt", MANY_LINES)
    url = own_rabbitmq_node.vhost()
    with LocalSystem(tmp_path / "system", servers=3, workers=2, broker=url) as system:
        nginx = start_nginx(system.addresses)

        def ended() -> int:
            return system.counts().get("done", 0)

        with submitting(text, [nginx.address]) as client:
            wait_until(lambda: ended() > 1000, "the flow to begin")
            system.kill("w1")
            system.start("w1")
            wait_until(lambda: ended() > 2000, "the flow to go on without a worker")
            system.kill("s1")
            system.start("s1")
            wait_until(lambda: ended() > 3000, "the flow to go on without a server")
            own_rabbitmq_node.kill()
            own_rabbitmq_node.start()
            finish(client, text)
        check_journal(system, text)
        check_broker(url)


@pytest.mark.rabbitmq
def test_submitting_goes_on_while_the_broker_is_stopped(tmp_path: Path, own_rabbitmq_node: RabbitNode) -> None:
    url = own_rabbitmq_node.vhost()
    with (
        LocalSystem(tmp_path / "system", servers=1, workers=1, broker=url) as system,
        Client(system.addresses) as client,
    ):
        assert client.submit("echo", "before").result(timeout=60) == "before"
        own_rabbitmq_node.stop()
        handles = [client.submit("echo", number) for number in range(500)]
        assert {handle.state for handle in handles} == {"accepted"}

        wait_until(lambda: handles[0].status().note.startswith("waiting for the broker: "), "the server to notice")
        assert handles[0].status().state is State.ACCEPTED
        own_rabbitmq_node.start()
        assert [handle.result(timeout=60) for handle in handles] == list(range(500))
        check_broker(url)
