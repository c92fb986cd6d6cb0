"""The client with servers that reply late, wrongly, twice or not at all."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from core.client import Accepted, AsyncClient, AsyncHandle, Client, Handle, NewSubmission, Refused, TaskOutcome
from core.errors import (
    ClientError,
    LocalProtocolError,
    RemoteProtocolError,
    RequestRefused,
    ResultNotReady,
    ServerUnavailable,
    TaskFailed,
)
from core.protocol import ErrorCode, Limits, Result, Stats, Submit
from tests.services.driven_client import OpenClient
from tests.services.fake_server import Conversation, FakeServer, Script, accept_all
from tests.services.ports import free_port
from tests.services.waiting import wait_until


def numbered(count: int) -> Iterator[NewSubmission]:
    return (NewSubmission("echo", number, f"t{number}") for number in range(count))


def ids(count: int) -> set[str]:
    return {f"t{number}" for number in range(count)}


def submit_all(client: Client, count: int) -> list[str]:
    answers = list(client.submit_many(numbered(count)))
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    return [answer.id for answer in answers]


def after(count: int, then: Callable[[Conversation, Submit], None]) -> Script:
    """Accept some submissions, and call `then` for each of the rest."""

    def play(conversation: Conversation) -> None:
        for index, request in enumerate(conversation.requests()):
            assert isinstance(request, Submit)
            if index < count:
                conversation.accept(request)
            else:
                then(conversation, request)

    return play


def cut_within_a_reply(conversation: Conversation, request: Submit) -> None:
    conversation.send(conversation.accepted_line(request)[:20])
    conversation.reset()
    raise OSError


def close_without_a_reply(conversation: Conversation, request: Submit) -> None:
    raise OSError


def garbage(conversation: Conversation, request: Submit) -> None:
    conversation.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    raise OSError


def reply_to_an_unknown_ref(conversation: Conversation, request: Submit) -> None:
    conversation.send(b'{"ref":999999,"ok":{}}\n')
    raise OSError


@pytest.mark.parametrize(
    "fault", [cut_within_a_reply, close_without_a_reply, garbage, reply_to_an_unknown_ref], ids=lambda f: f.__name__
)
def test_what_was_open_on_a_lost_connection_is_submitted_again(
    open_client: OpenClient, fault: Callable[[Conversation, Submit], None]
) -> None:
    with FakeServer(after(10, fault), after(0, fault), accept_all) as server, open_client(server.address) as client:
        answered = submit_all(client, 50)
        assert sorted(answered) == sorted(ids(50))
        assert set(server.seen) == ids(50)
        assert server.connections == 3


def test_a_reply_may_come_in_any_pieces(open_client: OpenClient) -> None:
    def byte_by_byte(conversation: Conversation, request: Submit) -> None:
        for byte in conversation.accepted_line(request):
            conversation.send(bytes([byte]))

    with FakeServer(after(0, byte_by_byte)) as server, open_client(server.address) as client:
        assert sorted(submit_all(client, 20)) == sorted(ids(20))
        assert server.connections == 1


def test_no_new_requests_after_a_goaway(open_client: OpenClient) -> None:
    first: set[str] = set()

    def send_goaway(conversation: Conversation) -> None:
        for index, request in enumerate(conversation.requests()):
            assert isinstance(request, Submit)
            if index == 5:
                conversation.send(conversation.protocol.goaway("for the test"))
            first.add(str(request.id))
            conversation.accept(request)

    def source() -> Iterator[NewSubmission | None]:
        yield from numbered(10)
        while server.connections < 2:
            # The client opens the new connection only after it has read the goaway of the old one.
            yield from numbered(1)
        for number in range(10, 20):
            yield NewSubmission("echo", number, f"t{number}")

    with FakeServer(send_goaway, accept_all) as server, open_client(server.address) as client:
        answers = list(client.submit_many(source(), window=5))
        assert {answer.id for answer in answers} == ids(20)
        assert all(isinstance(answer, Accepted) for answer in answers)
        assert server.connections == 2
        assert first < ids(11)


def test_a_server_that_hangs_is_replaced_by_another(open_client: OpenClient) -> None:
    def hang(conversation: Conversation) -> None:
        for _ in conversation.requests():
            pass

    with FakeServer(hang) as hung, FakeServer() as good:
        with open_client([hung.address, good.address], timeout=0.3, spread=False) as client:
            assert sorted(submit_all(client, 30)) == sorted(ids(30))
        assert set(hung.seen) == set(good.seen) == ids(30)


def test_a_server_that_accepts_connections_and_sends_nothing_is_replaced_by_another(open_client: OpenClient) -> None:
    def mute(conversation: Conversation) -> None:
        while conversation.socket.recv(1000):
            pass

    with FakeServer(mute) as silent, FakeServer() as good:
        with open_client([silent.address, good.address], timeout=0.3, spread=False) as client:
            assert client.submit("echo", 1).state == "accepted"
        assert silent.connections == 1


@pytest.mark.parametrize("code", [code for code in ErrorCode if code.retriable])
def test_a_retriable_refusal_is_sent_again(open_client: OpenClient, code: ErrorCode) -> None:
    refusals = 3

    def play(conversation: Conversation) -> None:
        nonlocal refusals
        for request in conversation.requests():
            if refusals:
                refusals -= 1
                conversation.refuse(request, code, 0.01)
            else:
                conversation.accept(request)

    with FakeServer(play) as server, open_client(server.address) as client:
        assert sorted(submit_all(client, 10)) == sorted(ids(10))
        assert sum(server.seen.values()) == 13


def test_a_server_that_shuts_down_is_replaced_by_another(open_client: OpenClient) -> None:
    def shut_down(conversation: Conversation) -> None:
        for request in conversation.requests():
            conversation.refuse(request, ErrorCode.SHUTTING_DOWN, 0.0)

    with FakeServer(shut_down) as leaving, FakeServer() as good:
        with open_client([leaving.address, good.address], spread=False) as client:
            assert sorted(submit_all(client, 10)) == sorted(ids(10))
        assert leaving.connections == 1
        assert set(good.seen) == ids(10)


def test_a_connection_that_ends_before_the_welcome_is_made_again(open_client: OpenClient) -> None:
    # A balancer without a server behind it does this.
    def reset(conversation: Conversation) -> None:
        conversation.reset()

    with FakeServer(reset, reset, accept_all) as server, open_client(server.address) as client:
        assert client.submit("echo", 1).state == "accepted"
        assert server.connections == 3


def test_no_server_at_all(open_client: OpenClient) -> None:
    with (
        open_client(f"127.0.0.1:{free_port()}", patience=0.3) as client,
        pytest.raises(ServerUnavailable, match=r"no server answered for 0\.3 seconds .*; nothing was sent"),
    ):
        client.submit("echo", 1)


def test_giving_up_names_the_requests_without_an_answer(open_client: OpenClient) -> None:
    def drop(conversation: Conversation) -> None:
        for _ in conversation.requests():
            return

    one = pytest.raises(ServerUnavailable, match=r"1 request mine without an answer: possibly not stored")
    with FakeServer(drop) as server, open_client(server.address, patience=0.3) as client, one:
        client.submit("echo", 1, id="mine")

    def submit() -> None:
        for answer in client.submit_many(numbered(5)):
            answers.append(answer.id)

    answers: list[str] = []
    with (
        FakeServer(after(1, close_without_a_reply), drop) as server,
        open_client(server.address, patience=0.3) as client,
    ):
        # How many had been sent when the first connection was closed depends on which side was faster.
        with pytest.raises(ServerUnavailable, match=r"(1 request t1|[2-4] requests, from t1 on,) without an answer"):
            submit()
        assert answers == ["t0"]


def test_a_wrong_token_is_refused_at_once(open_client: OpenClient) -> None:
    with FakeServer(token="right") as server:  # noqa: S106 - of this test only
        with open_client(server.address, "wrong") as client, pytest.raises(RequestRefused) as caught:
            client.submit("echo", 1)
        assert caught.value.code == ErrorCode.UNAUTHORIZED
        with open_client(server.address, "right") as client:
            assert client.submit("echo", 1).state == "accepted"


def test_what_is_too_long_for_the_server_is_not_sent_and_costs_no_connection(open_client: OpenClient) -> None:
    with FakeServer(limits=Limits(max_line=1024)) as server, open_client(server.address) as client:
        with pytest.raises(LocalProtocolError, match="the server accepts 1024"):
            client.submit("echo", "x" * 1024)
        long = NewSubmission("echo", "x" * 1024, "long")
        wrong = NewSubmission("echo", float("nan"), "wrong")
        answers = list(client.submit_many([*numbered(1), long, wrong, *numbered(1)]))
        refused = {answer.id: answer.message for answer in answers if isinstance(answer, Refused)}
        assert set(refused) == {"long", "wrong"}
        assert "not finite" in refused["wrong"]
        assert [answer.id for answer in answers if isinstance(answer, Accepted)] == ["t0", "t0"]
        assert server.connections == 1
        assert set(server.seen) == {"t0"}


def test_a_refusal_does_not_end_the_stream(open_client: OpenClient) -> None:
    def play(conversation: Conversation) -> None:
        for request in conversation.requests():
            assert isinstance(request, Submit)
            if request.id == "t3":
                conversation.refuse(request, ErrorCode.CONFLICT)
            else:
                conversation.accept(request)

    with FakeServer(play) as server, open_client(server.address) as client:
        answers = list(client.submit_many(numbered(10)))
        assert [answer.id for answer in answers if isinstance(answer, Refused)] == ["t3"]
        assert len(answers) == 10
        with pytest.raises(RequestRefused, match="conflict"):
            client.submit("echo", 3, id="t3")


def test_no_more_than_a_window_is_held(open_client: OpenClient) -> None:
    taken = answered = max_held = 0

    def source() -> Iterator[NewSubmission]:
        nonlocal taken, max_held
        for submission in numbered(2000):
            taken += 1
            max_held = max(max_held, taken - answered)
            yield submission

    with FakeServer() as server, open_client(server.address) as client:
        for _ in client.submit_many(source(), window=50):
            answered += 1
    assert answered == 2000
    assert max_held <= 50


def test_large_payloads_make_the_window_smaller(open_client: OpenClient) -> None:
    held = max_held = 0
    payload = "x" * 1_000_000

    def source() -> Iterator[NewSubmission]:
        nonlocal held, max_held
        for number in range(40):
            held += 1
            max_held = max(max_held, held)
            yield NewSubmission("echo", payload, f"t{number}")

    with FakeServer(limits=Limits(max_line=2_000_000)) as server, open_client(server.address) as client:
        for _ in client.submit_many(source()):
            held -= 1
        assert set(server.seen) == ids(40)
    assert max_held < 10


def test_a_source_that_pauses_does_not_delay_earlier_tasks(open_client: OpenClient) -> None:
    def source() -> Iterator[NewSubmission | None]:
        for number in range(5):
            yield NewSubmission("echo", number, f"t{number}")
            while f"t{number}" not in server.seen:
                yield None

    with FakeServer() as server, open_client(server.address) as client:
        assert len(list(client.submit_many(source()))) == 5


def test_a_connection_that_ended_while_idle_is_noticed_before_it_is_used(open_client: OpenClient) -> None:
    closed = threading.Event()

    def one_answer(conversation: Conversation) -> None:
        for request in conversation.requests():
            conversation.accept(request)
            conversation.send(conversation.protocol.goaway("idle for too long"))
            break
        conversation.socket.close()
        closed.set()

    with FakeServer(one_answer, accept_all) as server, open_client(server.address) as client:
        client.submit("echo", 1, id="first")
        assert closed.wait(10)
        client.submit("echo", 2, id="second")
        assert server.seen == {"first": 1, "second": 1}
        assert server.connections == 2


def test_a_connection_is_used_again(open_client: OpenClient) -> None:
    with FakeServer() as server, open_client(server.address) as client:
        for _ in range(5):
            client.submit("echo", 1)
        assert server.connections == 1


def test_several_threads_and_a_stream_at_once() -> None:
    with FakeServer() as server, Client(server.address) as client:
        threads = [threading.Thread(target=lambda: [client.submit("echo", 1) for _ in range(20)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in client.submit_many(numbered(20), window=3):
            client.submit("echo", 2)
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        assert sum(server.seen.values()) == 120


def test_a_stream_that_is_closed_early_closes_its_connection(open_client: OpenClient) -> None:
    def answer_two(conversation: Conversation) -> None:
        received = []
        for request in conversation.requests():
            received.append(request)
            if len(received) == 4:
                conversation.accept(received[0])
                conversation.accept(received[1])

    with FakeServer(answer_two, accept_all) as server, open_client(server.address) as client:
        stream = client.submit_many(numbered(1000), window=10)
        assert {next(stream).id, next(stream).id} == ids(2)
        stream.close()  # type: ignore[attr-defined]  # it is a generator, though it promises only an iterator
        client.submit("echo", 1)
        assert server.connections == 2


def test_a_closed_client_connects_no_more(open_client: OpenClient) -> None:
    with FakeServer() as server:
        client = open_client(server.address)
        client.submit("echo", 1)
        client.close()
        client.close()
        with pytest.raises(ClientError, match="closed"):
            client.submit("echo", 1)


def answer_results(*replies: dict[str, object]) -> Script:
    """Answer requests with these replies, in order."""
    remaining = list(replies)

    def play(conversation: Conversation) -> None:
        for request in conversation.requests():
            assert isinstance(request, Result)
            conversation.send(conversation.protocol.ok(request.ref, {"id": request.id, **remaining.pop(0)}))

    return play


def test_a_result_is_requested_until_the_task_has_ended(open_client: OpenClient) -> None:
    replies = answer_results({"state": "accepted"}, {"state": "running"}, {"state": "done", "result": [1, None]})
    with FakeServer(replies) as server, open_client(server.address) as client:
        assert client.result("t1", timeout=60) == [1, None]


def test_a_result_that_does_not_come_in_time(open_client: OpenClient) -> None:
    def play(conversation: Conversation) -> None:
        for request in conversation.requests():
            assert isinstance(request, Result)
            waits.append(request.wait)
            conversation.send(conversation.protocol.ok(request.ref, {"id": request.id, "state": "queued"}))

    waits: list[float] = []
    with FakeServer(play) as server, open_client(server.address) as client:
        with pytest.raises(ResultNotReady, match=r"queued: it did not end within 0\.05 seconds"):
            client.result("t1", timeout=0.05)
        assert waits[0] == pytest.approx(0.05)
        assert waits == sorted(waits, reverse=True)
        waits.clear()
        assert client.outcome("t1") == TaskOutcome("t1", client.outcome("t1").state)
        assert waits == [0.0, 0.0]


def test_waiting_for_a_result_outlives_the_connection(open_client: OpenClient) -> None:
    def drop(conversation: Conversation) -> None:
        for _ in conversation.requests():
            return

    failed: dict[str, object] = {"state": "failed", "error": {"type": "ValueError", "message": "no"}}
    with FakeServer(drop, answer_results(failed)) as server, open_client(server.address) as client:
        with pytest.raises(TaskFailed, match="ValueError: no"):
            client.result("t1", timeout=60)
        assert server.connections == 2


def test_a_reply_may_be_late_by_the_requested_wait(open_client: OpenClient) -> None:
    def slow(conversation: Conversation) -> None:
        for request in conversation.requests():
            assert isinstance(request, Result)
            # Longer than the timeout of an ordinary answer.
            wait_until(lambda: time.monotonic() - began > 0.4, "the answer timeout to pass")
            conversation.send(conversation.protocol.ok(request.ref, {"id": request.id, "state": "done", "result": 1}))

    began = time.monotonic()
    with FakeServer(slow) as server, open_client(server.address, timeout=0.2) as client:
        assert client.result("t1", timeout=60) == 1
        assert server.connections == 1


def test_an_answer_of_the_wrong_type_is_an_error(open_client: OpenClient) -> None:
    def play(conversation: Conversation) -> None:
        for request in conversation.requests():
            assert isinstance(request, Stats)
            conversation.send(conversation.protocol.ok(request.ref, {"server": 5}))

    wrong = pytest.raises(RemoteProtocolError, match="the server's answer is wrong")
    with FakeServer(play) as server, open_client(server.address) as client, wrong:
        client.stats()


def test_answers_larger_than_the_sockets_hold_flow_while_requests_go_out(open_client: OpenClient) -> None:
    # Neither end may wait for the other to read first.
    size = 200_000

    def play(conversation: Conversation) -> None:
        for request in conversation.requests():
            assert isinstance(request, Result)
            members = {"id": request.id, "state": "done", "result": "x" * size}
            conversation.send(conversation.protocol.ok(request.ref, members))

    with FakeServer(play) as server, open_client(server.address) as client:
        outcomes = list(client.results((f"t{number}" for number in range(100)), timeout=60))
        assert {outcome.id for outcome in outcomes} == ids(100)
        assert all(isinstance(outcome, TaskOutcome) and len(outcome.result) == size for outcome in outcomes)


def test_a_preferred_server_that_only_sends_its_welcome_is_replaced(open_client: OpenClient) -> None:
    def drop(conversation: Conversation) -> None:
        for _ in conversation.requests():
            return

    with FakeServer(drop) as broken, FakeServer() as good:
        with open_client([broken.address, good.address], spread=False) as client:
            assert sorted(submit_all(client, 10)) == sorted(ids(10))
        assert broken.connections == 1


def test_a_cancelled_coroutine_leaves_the_client_usable() -> None:
    def silent(conversation: Conversation) -> None:
        for _ in conversation.requests():
            asked.set()

    async def cancel_one_of_two(client: AsyncClient) -> None:
        waiting = asyncio.create_task(client.submit("echo", 1, id="cancelled"))
        await asyncio.to_thread(asked.wait, 10)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await client.submit("echo", 2, id="next")).id == "next"

    async def play(server: FakeServer) -> None:
        async with AsyncClient(server.address) as client:
            await cancel_one_of_two(client)

    asked = threading.Event()
    with FakeServer(silent, accept_all) as server:
        asyncio.run(play(server))
        assert server.seen == {"cancelled": 1, "next": 1}
        assert server.connections == 2


def test_coroutines_wait_side_by_side_and_beside_a_stream() -> None:
    async def play(client: AsyncClient) -> None:
        async with client, asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(client.submit("echo", 1))
            async for answer in client.submit_many(numbered(20), window=3):
                assert (await client.submit("echo", 2, id=f"beside-{answer.id}")).state == "accepted"

    with FakeServer() as server:
        asyncio.run(play(AsyncClient(server.address)))
        assert sum(server.seen.values()) == 44


@pytest.mark.parametrize(("blocking", "asynchronous"), [(Client, AsyncClient), (Handle, AsyncHandle)])
def test_both_clients_have_the_same_methods(blocking: type, asynchronous: type) -> None:
    def methods(interface: type) -> dict[str, object]:
        public = {
            name: value for name, value in vars(interface).items() if inspect.isfunction(value) and name[0] != "_"
        }
        return {name: list(inspect.signature(value).parameters.values()) for name, value in public.items()}

    assert methods(blocking) == methods(asynchronous) != {}
