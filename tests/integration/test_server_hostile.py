"""Clients that try to exhaust the server's memory, file descriptors or disk."""

import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.programs import server, worker
from tests.integration.wire import Reply, Wire, once
from tests.services.waiting import wait_until

MIB = 1024 * 1024
ASKED = 400
"""Requests that a client sends at once."""


def test_a_large_result_asked_for_hundreds_of_times_is_in_memory_a_few_times(tmp_path: Path) -> None:
    with server(tmp_path).ready() as program, worker(tmp_path).ready(), Wire(program.address) as wire:
        wire.ok("submit", id="large", kind="echo", payload="x" * (MIB - 1000))
        assert wire.ok("result", id="large", wait=20)["state"] == "done"
        process = psutil.Process(program.process.pid)
        before = process.memory_info().rss
        operations = ("result", "status")
        wire.send(*({"op": operations[ref % 2], "ref": ref, "id": "large"} for ref in range(ASKED)))
        most = 0
        began = time.monotonic()

        def passed() -> bool:
            nonlocal most
            most = max(most, process.memory_info().rss)
            return time.monotonic() - began > 2.0

        wait_until(passed, "two seconds to pass")
        assert most - before < 100 * MIB
        # A client that reads gets every reply, each once.
        refs = sorted(wire.reply()["ref"] for _ in range(ASKED))
        assert refs == list(range(ASKED))
        assert process.memory_info().rss - before < 100 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux changes the limits of another process")
def test_a_server_without_descriptors_waits_quietly_and_recovers(tmp_path: Path) -> None:
    # Windows has no `resource`.
    import resource

    with server(tmp_path).ready() as program, Wire(program.address) as old:
        old.ok("stats")
        process = psutil.Process(program.process.pid)
        most = process.num_fds() + 20
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))
        crowd = [Wire(program.address) for _ in range(100)]
        try:
            wait_until(lambda: "no connection can be accepted now" in program.log, "the server to log it")
            worked = sum(process.cpu_times()[:2])
            began = time.monotonic()
            wait_until(lambda: time.monotonic() - began > 2.0, "two seconds to pass")
            assert sum(process.cpu_times()[:2]) - worked < 0.5
            # The open connections are not affected.
            assert old.ok("submit", id="one")["state"] == "accepted"
        finally:
            for wire in crowd:
                wire.close()
        assert once(program.address, "status", id="one")["id"] == "one"
        assert program.log.count("no connection can be accepted now") == 1
        assert "Traceback" not in program.log
        assert len(program.log) < 10_000


def test_every_request_is_answered_when_the_client_ends_its_input_after_many(tmp_path: Path) -> None:
    with server(tmp_path).ready() as program, Wire(program.address) as wire:
        requests = [{"op": ("status", "nothing-like-it")[ref % 2], "ref": ref, "id": "x"} for ref in range(10_000)]
        sender = threading.Thread(target=_send_all, args=(wire, requests))
        sender.start()
        refs = [reply["ref"] for reply in wire.rest()]
        sender.join()
        assert sorted(refs) == list(range(10_000))


def _send_all(wire: Wire, requests: list[Reply]) -> None:
    wire.send(*requests)
    wire.half_close()
