"""Servers without their broker or journal, and after another server was killed."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from core.broker.embedded import EmbeddedBroker
from core.broker.factory import EMBEDDED_FILE
from core.database import Database, Faults
from core.errors import BrokerMisconfigured, BrokerUnavailable, JournalUnavailable, JournalUnusable
from core.heartbeat import LIVENESS_TIMEOUT
from core.repository.journal import Journal
from tests.integration.programs import Program, counts, server, worker
from tests.integration.wire import Reply, Wire, once
from tests.services.ports import free_port
from tests.services.waiting import wait_until

JOURNAL = Faults(JournalUnavailable, JournalUnusable)
QUEUE = Faults(BrokerUnavailable, BrokerMisconfigured)


@contextmanager
def locked(path: Path, faults: Faults) -> Iterator[None]:
    """Lock out other writers of this database during the block."""
    with Database(path, faults) as database, database.transaction():
        yield


def settled(directory: Path, **expected: int) -> bool:
    return counts(directory) == expected


def test_tasks_are_accepted_while_the_broker_is_away(tmp_path: Path) -> None:
    away = f"amqp://guest:secret-word@127.0.0.1:{free_port()}/"
    with server(tmp_path, "s1", "--broker", away) as program:
        with Wire(program.ready().address) as wire:
            wire.send(*({"op": "submit", "ref": ref, "id": f"t{ref}", "kind": "echo"} for ref in range(300)))
            assert {wire.reply()["ok"]["state"] for _ in range(300)} == {"accepted"}
            wait_until(lambda: "127.0.0.1" in wire.ok("stats")["broker"], "the broker's trouble to be known")
            status = wire.ok("status", id="t0")
            assert status["state"] == "accepted"
            assert status["note"].startswith("waiting for the broker: ")
            assert wire.ok("cancel", id="t1")["state"] == "cancelled"
            wait_until(lambda: "; broker: " in wire.ok("stats")["servers"][0]["status"], "the heartbeat to report it")
        program.terminate()
        assert program.wait() == 0
        assert "secret-word" not in program.log
        assert "Traceback" not in program.log
    # With another broker the accepted tasks are done.
    with server(tmp_path).ready() as program, worker(tmp_path).ready():
        assert once(program.address, "result", id="t299", wait=20)["state"] == "done"
        wait_until(lambda: settled(tmp_path, done=299, cancelled=1), "all tasks to be done")


def test_the_journal_is_locked_for_a_while(tmp_path: Path) -> None:
    submits: list[Reply] = [{"op": "submit", "ref": ref, "id": f"t{ref}", "kind": "echo"} for ref in range(500)]
    with server(tmp_path).ready() as program, Wire(program.address) as wire:
        wire.ok("submit", id="before", kind="echo", delay=3600)
        with locked(tmp_path / "resultados.db", JOURNAL):
            wire.send(*submits)
            wire.socket.settimeout(2.0)
            with pytest.raises(TimeoutError):
                wire.line()
            # Read requests are answered all the same.
            assert once(program.address, "status", id="before")["state"] == "accepted"
            assert once(program.address, "result", id="before", wait=0.2)["state"] == "accepted"
        wire.socket.settimeout(15.0)
        replies = [wire.reply() for _ in submits]
        assert {reply["ok"]["state"] for reply in replies} == {"accepted"}
        assert sorted(reply["ref"] for reply in replies) == list(range(500))
        wait_until(lambda: settled(tmp_path, queued=500, accepted=1), "all tasks to be queued")
        assert wire.ok("stats")["journal"] == "ready"
        program.terminate()
        assert program.wait() == 0
        assert "Traceback" not in program.log


def test_another_server_publishes_the_claimed_tasks_of_a_killed_one(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first: Program = stack.enter_context(server(tmp_path, "s1")).ready()
        second: Program = stack.enter_context(server(tmp_path, "s2")).ready()
        with locked(tmp_path / EMBEDDED_FILE, QUEUE):
            with Wire(first.address) as wire:
                wire.send(*({"op": "submit", "ref": ref, "id": f"t{ref}", "kind": "echo"} for ref in range(200)))
                assert {wire.reply()["ok"]["state"] for _ in range(200)} == {"accepted"}
            # It has accepted them, and is about to publish them.
            first.process.kill()
            first.process.wait()
            assert settled(tmp_path, accepted=200)
        wait_until(lambda: settled(tmp_path, queued=200), "the other server to publish them", LIVENESS_TIMEOUT + 5)
        assert second.process.poll() is None
        stack.enter_context(worker(tmp_path)).ready()
        wait_until(lambda: settled(tmp_path, done=200), "all to be done")
        assert "tasks of dead servers" in second.log
        assert "Traceback" not in second.log
        with Journal("resultados.db", tmp_path).open_readonly() as repository:
            assert {task.attempts for task in repository.latest(300)} == {1}


def test_several_servers_share_one_journal(tmp_path: Path) -> None:
    with ExitStack() as stack:
        programs = [stack.enter_context(server(tmp_path, f"s{number}")) for number in range(3)]
        addresses = [program.ready().address for program in programs]
        replies: list[Reply] = []
        lock = threading.Lock()

        def submit(number: int) -> None:
            with Wire(addresses[number % 3]) as wire:
                wire.send(*({"op": "submit", "ref": ref, "id": f"t{ref}", "kind": "echo"} for ref in range(300)))
                answered = [wire.reply() for _ in range(300)]
            with lock:
                replies.extend(answered)

        threads = [threading.Thread(target=submit, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Six clients sent the same 300 ids to three servers.
        assert sum(not reply["ok"]["duplicate"] for reply in replies) == 300
        assert len(replies) == 1800
        wait_until(lambda: settled(tmp_path, queued=300), "all to be queued")
        with EmbeddedBroker(tmp_path / EMBEDDED_FILE).gauge() as gauge:
            assert gauge.read().ready == 300
        for program in programs:
            program.terminate()
        assert [program.wait() for program in programs] == [0, 0, 0]
