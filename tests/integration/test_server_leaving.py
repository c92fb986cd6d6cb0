"""The stop of a server: accepted tasks are in the journal, and every client is asked to go to another server."""

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from core.repository.journal import Journal
from tests.integration.programs import find, server
from tests.integration.wire import Reply, Wire

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no signal that asks politely")


class Stream:
    """A client that submits without waiting until the connection ends."""

    def __init__(self, wire: Wire, name: str) -> None:
        self._wire = wire
        self._name = name
        self.sent = 0
        self.replies: list[Reply] = []
        self.broken = ""
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._reader = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Start submitting."""
        self._writer.start()
        self._reader.start()

    def join(self) -> None:
        """Wait for the end of the connection."""
        self._reader.join(30)
        self._writer.join(30)
        assert not self._reader.is_alive()
        assert not self._writer.is_alive()

    def _write(self) -> None:
        try:
            while True:
                first = self.sent
                self._wire.send(
                    *(
                        {"op": "submit", "ref": ref, "id": f"{self._name}-{ref}", "kind": "echo", "payload": ref}
                        for ref in range(first, first + 100)
                    )
                )
                self.sent += 100
        except OSError:
            return

    def _read(self) -> None:
        try:
            while (reply := self._wire.line()) is not None:
                self.replies.append(reply)
        except OSError as error:
            self.broken = str(error)
        finally:
            self._wire.socket.close()

    @property
    def accepted(self) -> set[str]:
        """Return the ids of the accepted tasks."""
        return {reply["ok"]["id"] for reply in self.replies if "ok" in reply}


def test_tasks_accepted_during_the_stop_are_in_the_journal(tmp_path: Path) -> None:
    with server(tmp_path) as program:
        address = program.ready().address
        streams = [Stream(Wire(address), f"stream{number}") for number in range(3)]
        for stream in streams:
            stream.start()
        with Wire(address) as wire:
            while wire.ok("stats")["ledger"]["accepted"] < 1000:
                pass
        program.terminate()
        for stream in streams:
            stream.join()
        assert program.wait() == 0
        assert "Traceback" not in program.log
    with Journal("resultados.db", tmp_path).open_readonly() as repository:
        for stream in streams:
            assert stream.broken == ""
            assert len(stream.accepted) > 100
            assert {task.id for task in repository.find_all(stream.accepted)} == stream.accepted
            kinds = [next(iter(set(reply) - {"ref"})) for reply in stream.replies]
            assert "goaway" in kinds
            refused = {reply["error"]["code"] for reply in stream.replies if "error" in reply}
            assert refused <= {"shutting_down"}
        (record,) = repository.processes()
        assert record.status == "left"
        assert record.counters.accepted == repository.counts()["accepted"] + repository.counts()["queued"]
        assert repository.counts()["accepted"] == 0, "what it could still publish, it published"


def test_waiting_requests_are_answered_during_the_stop(tmp_path: Path) -> None:
    with server(tmp_path) as program:
        with Wire(program.ready().address) as wire:
            wire.ok("submit", id="later", payload=1, delay=3600)
            wire.send({"op": "result", "ref": 1, "id": "later", "wait": 60})
            wire.ok("hello")
            program.terminate()
            lines = wire.rest()
        assert [line for line in lines if "ok" in line] == [{"ref": 1, "ok": {"id": "later", "state": "accepted"}}]
        assert [list(line) for line in lines if "ok" not in line] == [["goaway"]]
        assert program.wait() == 0


def test_a_client_that_ignores_the_goaway_does_not_delay_the_stop(tmp_path: Path) -> None:
    with server(tmp_path, "s1", "--shutdown-timeout", "30") as program:
        address = program.ready().address
        with Wire(address) as silent, socket.create_connection(address.pair) as unfinished:
            silent.ok("hello")
            unfinished.sendall(b'{"op": "submit", "ref"')
            program.terminate()
            assert program.wait(60) == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with server(tmp_path) as program:
        with Wire(program.ready().address) as wire:
            wire.ok("submit", id="kept", payload=1)
            program.terminate()
            assert list(wire.reply()) == ["goaway"]
            program.terminate()
            assert program.wait() == 128 + signal.SIGTERM
        assert "Traceback" not in program.log
        assert find(tmp_path, "kept") is not None


def test_a_killed_server_loses_nothing_that_it_accepted(tmp_path: Path) -> None:
    with server(tmp_path) as program:
        stream = Stream(Wire(program.ready().address), "stream")
        stream.start()
        with Wire(program.address) as wire:
            while wire.ok("stats")["ledger"]["accepted"] < 500:
                pass
        program.process.kill()
        stream.join()
    with Journal("resultados.db", tmp_path).open_readonly() as repository:
        accepted = stream.accepted
        assert accepted
        assert {task.id for task in repository.find_all(accepted)} == accepted
        assert repository.audit().is_consistent
