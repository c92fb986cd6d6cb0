"""Every operation of a real server, over a plain socket."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.addresses import Address
from core.jsontext import Json
from core.model import Outcome, State
from core.repository.journal import Journal
from tests.integration.wire import Reply, Wire, once
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

FAR = 3600.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A server and a worker for all tests of this file. In the end neither has logged a traceback."""
    arguments = ("--lab", "--retry-delay", "60", "--concurrency", "4")
    with LocalSystem(tmp_path_factory.mktemp("operations"), worker_arguments=arguments) as started:
        yield started
    assert "Traceback" not in started.log("s1") + started.log("w1")


@pytest.fixture
def wire(system: LocalSystem) -> Iterator[Wire]:
    """A connection to the server."""
    with Wire(system.address("s1")) as connected:
        yield connected


def is_running(wire: Wire, task_id: str) -> bool:
    state: Json = wire.ok("status", id=task_id)["state"]
    return bool(state == "running")


def test_hello_states_version_and_limits(wire: Wire) -> None:
    welcome = wire.ok("hello", client="a test")
    assert welcome["server"] == "s1"
    assert welcome["version"] == 1
    assert welcome["limits"]["max_line"] == 1024 * 1024
    assert welcome["limits"]["max_open_requests"] == 1024
    assert wire.ok("hello") == welcome


def test_a_task_without_id_or_kind_gets_both(wire: Wire) -> None:
    accepted = wire.ok("submit", payload=0.01)
    assert accepted == {"id": accepted["id"], "state": "accepted", "duplicate": False}
    assert len(accepted["id"]) == 36
    assert wire.ok("status", id=accepted["id"])["kind"] == "simulate"


def test_the_timeline_of_a_task_that_succeeds(wire: Wire) -> None:
    wire.ok("submit", id="well", kind="wordcount", payload="uno dos tres", sent=1.5)
    assert wire.ok("result", id="well", wait=20) == {"id": "well", "state": "done", "result": 3}
    status = wire.ok("status", id="well")
    times = status.pop("times")
    (attempt,) = status.pop("history")
    assert attempt == {"number": 1, "state": "done", "worker": "w1", "runner": 1} | {
        name: times[name] for name in ("queued", "taken", "started", "finished")
    }
    assert status == {
        "id": "well",
        "kind": "wordcount",
        "state": "done",
        "attempts": 1,
        "worker": "w1",
        "result": 3,
    }
    assert times.pop("sent") == 1.5
    way = ["received", "accepted", "queued", "taken", "started", "finished", "stored"]
    assert sorted(times, key=way.index) == way
    assert [times[hop] for hop in way] == sorted(times[hop] for hop in way)


def test_a_failed_task_has_the_reason(wire: Wire) -> None:
    wire.ok("submit", id="fails", kind="fail", payload="no luck", retries=0)
    result = wire.ok("result", id="fails", wait=20)
    assert result["state"] == "failed"
    assert "result" not in result
    assert result["error"]["type"] == "RuntimeError"
    assert result["error"]["message"] == "no luck"
    assert "RuntimeError" in result["error"]["traceback"]
    status = wire.ok("status", id="fails")
    assert (status["attempts"], [each["error"]["message"] for each in status["history"]]) == (1, ["no luck"])


def test_a_submission_sets_the_number_of_retries(wire: Wire) -> None:
    wire.ok("submit", id="tried", kind="fail", payload="x", retries=1)
    wait_until(lambda: wire.ok("status", id="tried")["state"] == "retrying", "the first attempt to fail")
    status = wire.ok("status", id="tried")
    assert status["attempts"] == 1
    assert status["note"].startswith("not before")
    assert status["due"] > status["times"]["finished"] + 40
    assert wire.ok("result", id="tried")["state"] == "retrying"
    assert wire.ok("cancel", id="tried") == {"id": "tried", "state": "cancelled"}


def test_a_delayed_task_waits_and_can_be_cancelled(wire: Wire) -> None:
    wire.ok("submit", id="later", kind="echo", payload=1, delay=FAR)
    status = wire.ok("status", id="later")
    assert (status["state"], status["attempts"]) == ("accepted", 0)
    assert status["note"].startswith("not before 3")
    assert status["due"] == pytest.approx(status["times"]["accepted"] + FAR, abs=5)
    assert wire.ok("result", id="later") == {"id": "later", "state": "accepted"}
    assert wire.ok("result", id="later", wait=0.05) == {"id": "later", "state": "accepted"}
    assert wire.ok("cancel", id="later") == {"id": "later", "state": "cancelled"}
    assert wire.ok("cancel", id="later") == {"id": "later", "state": "cancelled"}
    assert wire.ok("result", id="later", wait=20) == {"id": "later", "state": "cancelled"}
    assert "note" not in wire.ok("status", id="later")


def test_a_delay_is_observed(wire: Wire) -> None:
    wire.ok("submit", id="soon", kind="echo", payload=1, delay=0.4)
    assert wire.ok("result", id="soon", wait=20)["state"] == "done"
    times = wire.ok("status", id="soon")["times"]
    assert times["started"] - times["received"] >= 0.4


def test_a_running_task_names_its_worker_and_is_cancelled(wire: Wire) -> None:
    wire.ok("submit", id="runs", kind="sleep", payload=3600, retries=5)
    wait_until(lambda: is_running(wire, "runs"), "the task to run")
    status = wire.ok("status", id="runs")
    assert status["running"]["worker"] == "w1"
    assert status["running"]["since"] == pytest.approx(status["times"]["accepted"], abs=60)
    assert "note" not in status
    result = wire.ok("result", id="runs")
    assert (result["state"], result["running"]["worker"]) == ("running", "w1")
    assert wire.ok("stats")["ledger"]["running"] >= 1
    assert wire.ok("cancel", id="runs") == {"id": "runs", "state": "cancelling"}
    assert wire.ok("cancel", id="runs")["state"] in {"cancelling", "cancelled"}
    ended = wire.ok("result", id="runs", wait=60)
    assert (ended["state"], ended["error"]["type"]) == ("cancelled", "TaskCancelled")
    assert ended["error"]["message"] == "the task was cancelled while it ran"
    assert wire.ok("cancel", id="runs") == {"id": "runs", "state": "cancelled"}
    wire.ok("submit", id="ends", kind="echo", payload=1)
    assert wire.ok("result", id="ends", wait=60)["state"] == "done"
    assert wire.error("cancel", id="ends")["code"] == "not_cancellable"


def test_all_waiting_clients_get_the_result(system: LocalSystem, wire: Wire) -> None:
    wire.ok("submit", id="watched", kind="sleep", payload=0.5)
    with Wire(system.address("s1")) as other:
        for each in (wire, other):
            each.send(*({"op": "result", "ref": ref, "id": "watched", "wait": 20} for ref in range(50)))
        for each in (wire, other):
            replies = [each.reply() for _ in range(50)]
            assert sorted(reply["ref"] for reply in replies) == list(range(50))
            assert {reply["ok"]["state"] for reply in replies} == {"done"}


def test_a_result_that_can_not_be_sent_is_an_error_and_affects_no_other_request(
    system: LocalSystem, wire: Wire
) -> None:
    wire.ok("submit", id="foreign", kind="echo", payload=1, delay=FAR)
    with Journal("resultados.db", system.directory).open() as repository:
        [foreign] = repository.find_all(["foreign"])
        written = Outcome(
            seq=foreign.seq,
            attempt=0,
            state=State.DONE,
            result="[1,\n2]",
            worker="another program",
            queued_at=None,
            taken_at=1.0,
            started_at=1.0,
            finished_at=1.0,
        )
        with repository.transaction():
            assert repository.store_outcomes([written], 1.0) == [True]
    wire.send(*({"op": "result", "ref": ref, "id": name} for ref, name in enumerate(["foreign", "unknown", "foreign"])))
    codes = {reply["ref"]: reply["error"]["code"] for reply in (wire.reply() for _ in range(3))}
    assert codes == {0: "internal", 1: "not_found", 2: "internal"}


@pytest.mark.parametrize("operation", ["status", "result", "cancel"])
def test_an_unknown_task_is_not_found(wire: Wire, operation: str) -> None:
    error = wire.error(operation, id="unknown")
    assert error["code"] == "not_found"
    assert "unknown" in error["message"]


def test_the_ledger_adds_up(wire: Wire) -> None:
    wire.ok("submit", id="waiting", kind="echo", payload=1, delay=FAR)
    # The last heartbeat of a worker may be half a second old.
    wait_until(lambda: wire.ok("stats")["ledger"]["waiting"] > 0, "the task to be in the ledger")
    stats = wire.ok("stats")
    ledger: dict[str, int] = stats["ledger"]
    assert ledger.pop("accepted") == sum(ledger.values())
    assert (stats["server"], stats["broker"], stats["journal"]) == ("s1", "ready", "ready")
    assert [server["name"] for server in stats["servers"]] == ["s1"]
    assert [worker["name"] for worker in stats["workers"]] == ["w1"]
    assert stats["workers"][0]["threads"] == 4
    assert stats["servers"][0]["address"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"op": "dance", "ref": 1}, "op"),
        ({"ref": 1}, "op"),
        ({"op": "submit", "ref": 1, "id": "a b"}, "id"),
        ({"op": "submit", "ref": 1, "kind": "1"}, "kind"),
        ({"op": "submit", "ref": 1, "delay": -1}, "delay"),
        ({"op": "submit", "ref": 1, "retries": 101}, "retries"),
        ({"op": "submit", "ref": 1, "colour": "red"}, "colour"),
        ({"op": "status", "ref": 1}, "id"),
        ({"op": "result", "ref": 1, "id": "x", "wait": 61}, "wait"),
        ({"op": "result", "ref": 1, "id": "x", "wait": -1}, "wait"),
    ],
)
def test_an_invalid_field_is_named_and_the_connection_stays_open(wire: Wire, request_: Reply, field: str) -> None:
    wire.send(request_)
    reply = wire.reply()
    assert reply["ref"] == 1
    assert reply["error"]["code"] == "invalid"
    assert field in reply["error"]["message"]
    assert wire.ok("hello")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"GET / HTTP/1.1\r\n", "bad_frame"),
        (b"[1, 2]\n", "bad_frame"),
        (b'{"op": "stats", "ref": 1, "ref": 2}\n', "bad_frame"),
        (b"\xff\xfe\n", "bad_frame"),
        (b"[" * 5000 + b"\n", "bad_frame"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n", "bad_frame"),
        (b'{"op": "hello", "ref": 1, "version": 2}\n', "unsupported_version"),
        (b'{"op": "submit", "ref": 1, "payload": "' + b"x" * (1024 * 1024) + b'"}\n', "too_large"),
        (b"x" * (3 * 1024 * 1024), "too_large"),
    ],
)
def test_a_line_that_is_not_a_request_ends_the_connection(wire: Wire, raw: bytes, code: str) -> None:
    wire.send_bytes(b'{"op": "hello", "ref": "first"}\n' + raw)
    replies = wire.rest()
    assert len(replies) == 2
    assert replies[0]["ref"] == "first"
    assert replies[1]["error"]["code"] == code


def test_a_client_that_ends_its_input_gets_every_reply(wire: Wire) -> None:
    wire.send(
        {"op": "submit", "ref": 1, "id": "piped", "kind": "sleep", "payload": 0.3},
        {"op": "result", "ref": 2, "id": "piped", "wait": 20},
    )
    wire.half_close()
    replies = {reply["ref"]: reply for reply in wire.rest()}
    assert replies[1]["ok"]["state"] == "accepted"
    assert replies[2]["ok"]["state"] == "done"
    assert len(replies) == 2


def test_an_input_that_ends_within_a_line_is_refused(wire: Wire) -> None:
    wire.send_bytes(b'{"op": "submit", "ref": 1, "id": "cut", "payload": 1')
    wire.half_close()
    (reply,) = wire.rest()
    assert reply["error"]["code"] == "bad_frame"
    assert reply["ref"] is None


def test_two_thousand_requests_at_once_are_each_answered_by_their_ref(system: LocalSystem, wire: Wire) -> None:
    submits = [{"op": "submit", "ref": ref, "id": f"many-{ref}", "kind": "echo", "payload": ref} for ref in range(2000)]
    wire.send(*submits)
    replies = [wire.reply() for _ in submits]
    assert {reply["ref"]: reply["ok"]["id"] for reply in replies} == {ref: f"many-{ref}" for ref in range(2000)}
    assert {reply["ok"]["state"] for reply in replies} == {"accepted"}
    wire.send(*({"op": "result", "ref": ref, "id": f"many-{ref}", "wait": 30} for ref in range(2000)))
    results = {reply["ref"]: reply["ok"] for reply in (wire.reply() for _ in submits)}
    assert all(results[ref] == {"id": f"many-{ref}", "state": "done", "result": ref} for ref in range(2000))


def test_a_status_request_may_follow_its_submission_without_waiting(wire: Wire) -> None:
    for number in range(50):
        wire.send(
            {"op": "submit", "ref": 1, "id": f"asked-{number}", "kind": "echo", "payload": 1, "delay": FAR},
            {"op": "status", "ref": 2, "id": f"asked-{number}"},
            {"op": "result", "ref": 3, "id": f"asked-{number}", "wait": 0},
            {"op": "cancel", "ref": 4, "id": f"asked-{number}"},
        )
        replies = {reply["ref"]: reply for reply in (wire.reply() for _ in range(4))}
        assert replies[2]["ok"]["state"] in {"accepted", "cancelled"}
        assert replies[3]["ok"]["state"] in {"accepted", "cancelled"}
        assert replies[4]["ok"]["state"] == "cancelled"


def test_an_id_makes_a_submission_repeatable(wire: Wire) -> None:
    wire.ok("submit", id="twice", kind="echo", payload={"a": [1, 2]})
    again = wire.ok("submit", id="twice", kind="echo", payload={"a": [1, 2]})
    assert (again["id"], again["duplicate"]) == ("twice", True)
    wire.ok("result", id="twice", wait=20)
    ended = wire.ok("submit", id="twice", kind="echo", payload={"a": [1, 2]})
    assert ended == {"id": "twice", "state": "done", "duplicate": True}


@pytest.mark.parametrize("other", [{"payload": 2}, {"kind": "sleep"}])
def test_an_id_stands_for_one_task_only(wire: Wire, other: Reply) -> None:
    task: Reply = {"id": "mine", "kind": "echo", "payload": 1}
    wire.ask("submit", **task)
    error = wire.error("submit", **task | other)
    assert error["code"] == "conflict"
    assert "mine" in error["message"]


def test_the_same_id_from_many_clients_at_the_same_time_is_one_task(system: LocalSystem) -> None:
    line = json.dumps({"op": "submit", "ref": 1, "id": "crowd", "kind": "echo", "payload": "x"}).encode() + b"\n"

    def submit(wire: Wire) -> list[Reply]:
        wire.send_bytes(line * 8)
        return [wire.reply() for _ in range(8)]

    wires = [Wire(system.address("s1")) for _ in range(8)]
    try:
        with ThreadPoolExecutor(8) as pool:
            replies = [reply for answered in pool.map(submit, wires) for reply in answered]
    finally:
        for each in wires:
            each.close()
    assert Counter(reply["ok"]["duplicate"] for reply in replies) == {True: 63, False: 1}
    assert once(system.address("s1"), "result", id="crowd", wait=20)["state"] == "done"
    assert once(system.address("s1"), "status", id="crowd")["attempts"] == 1


def test_five_hundred_clients_at_once(system: LocalSystem) -> None:
    address: Address = system.address("s1")
    wires = [Wire(address) for _ in range(500)]
    try:
        for number, each in enumerate(wires):
            each.send({"op": "submit", "ref": number, "id": f"crowd-{number}", "kind": "echo", "payload": number})
        assert [each.reply()["ok"]["id"] for each in wires] == [f"crowd-{number}" for number in range(500)]
    finally:
        for each in wires:
            each.close()
    assert once(address, "hello")
