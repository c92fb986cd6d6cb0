"""The client's end of a connection: what it refuses to send, and how it reads a server's lines."""

import json

import pytest

from core.errors import LocalProtocolError, RemoteProtocolError
from core.jsontext import Json
from core.protocol import (
    MAX_REPLY,
    Cancel,
    ClientConnection,
    Error,
    ErrorCode,
    Goaway,
    Hello,
    Kinds,
    Limits,
    Ref,
    Refusal,
    Reply,
    Result,
    ServerConnection,
    Stats,
    Status,
    Submit,
    Welcome,
)

SESAME = "sésame"
WRONG = "wrong"
SURROGATE = "\ud800"


def server(token: str | None = None, limits: Limits | None = None) -> ServerConnection:
    return ServerConnection(server="server-1", limits=limits or Limits(), token=token)


def test_the_server_reads_what_the_client_sends() -> None:
    client, there = ClientConnection(), server(SESAME)
    lines = (
        client.hello("h", token=SESAME, client="tests"),
        client.submit(1),
        client.submit(2, {"a": [1, "é\u2028"]}, task_id="x", kind="k", delay=1.5, retries=0, sent=1732500000.125),
        client.status(3, "x"),
        client.result(4, "x", wait=60),
        client.result("5", "x"),
        client.cancel(5, "x"),
        client.stats(6),
        client.kinds(7),
        client.kinds(8, "k-1"),
    )
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert there.receive(b"".join(lines)) == [
        Hello(ref="h", client="tests"),
        Submit(ref=1),
        Submit(ref=2, payload='{"a":[1,"é\u2028"]}', id="x", kind="k", delay=1.5, retries=0, sent=1732500000.125),
        Status(ref=3, id="x"),
        Result(ref=4, id="x", wait=60.0),
        Result(ref="5", id="x"),
        Cancel(ref=5, id="x"),
        Stats(ref=6),
        Kinds(ref=7),
        Kinds(ref=8, kind="k-1"),
    ]
    assert client.open_requests == there.open_requests == 10


def test_the_client_reads_what_the_server_sends() -> None:
    client, there = ClientConnection(), server()
    there.receive(client.stats(1) + client.stats("1") + client.stats(3))
    lines = (
        there.goaway("leaving")
        + there.ok("1", {"id": "x", "n": [1.5, None, "é\u2028"]})
        + there.error(1, ErrorCode.OVERLOADED, "busy", 2)
        + there.error(3, ErrorCode.NOT_FOUND, "no")
    )
    expected = [
        Goaway("leaving"),
        Reply("1", ok={"id": "x", "n": [1.5, None, "é\u2028"]}),
        Reply(1, error=Error(ErrorCode.OVERLOADED, "busy", 2.0)),
        Reply(3, error=Error(ErrorCode.NOT_FOUND, "no")),
    ]
    events = [event for byte in lines for event in client.receive(bytes([byte]))]
    assert events == expected
    assert client.open_requests == there.open_requests == 0


def test_the_reply_to_hello_states_the_limits() -> None:
    limits = Limits(max_line=2000, max_wait=5)
    client, there = ClientConnection(), server(limits=limits)
    [hello] = there.receive(client.hello(1))
    assert isinstance(hello, Hello)
    [reply] = client.receive(there.welcome(hello))
    assert isinstance(reply, Reply)
    assert client.welcome == Welcome("server-1", 1, limits)
    assert client.limits == limits
    with pytest.raises(LocalProtocolError, match="2000"):
        client.submit(2, "x" * 2000)
    with pytest.raises(LocalProtocolError, match="wait"):
        client.result(3, "x", wait=5.1)


def test_a_refused_hello_changes_no_limits() -> None:
    client, there = ClientConnection(), server(SESAME)
    [refusal] = there.receive(client.hello(1, token=WRONG))
    assert isinstance(refusal, Refusal)
    [reply] = client.receive(refusal.reply)
    assert reply == Reply(1, error=Error(ErrorCode.UNAUTHORIZED, "token: wrong"))
    assert client.welcome is None


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_the_longest_line_is_the_longest_that_the_server_accepts(extra: int) -> None:
    limits = Limits(max_line=2000)
    client, there = ClientConnection(limits), server(limits=limits)
    around = len(ClientConnection().submit(1, "")) - 1
    text = "x" * (limits.max_line - around + extra)
    if extra > 0:
        with pytest.raises(LocalProtocolError, match="2001 bytes long"):
            client.submit(1, text)
        assert client.open_requests == 0
    else:
        assert there.receive(client.submit(1, text)) == [Submit(ref=1, payload=f'"{text}"')]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"task_id": ""}, "id"),
        ({"task_id": "x\n"}, "id"),
        ({"task_id": "x" * 65}, "id"),
        ({"task_id": "é"}, "id"),
        ({"kind": "1"}, "kind"),
        ({"kind": 'a","op":"x'}, "kind"),
        ({"delay": -1}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"retries": -1}, "retries"),
        ({"retries": 101}, "retries"),
        ({"sent": float("nan")}, "sent"),
        ({"sent": 1e11}, "sent"),
        ({"payload": float("nan")}, "payload"),
        ({"payload": b"bytes"}, "payload"),
        ({"payload": {1: 2}}, "payload"),
        ({"payload": 2**53 + 1}, "payload"),
        ({"payload": "\ud800"}, "payload"),
        ({"payload": json.loads("[" * 32 + "]" * 32)}, "payload"),
    ],
)
def test_a_submission_that_the_server_would_refuse_raises(members: dict[str, Json], reason: str) -> None:
    client = ClientConnection()
    with pytest.raises(LocalProtocolError, match=rf"^{reason}: "):
        client.submit(1, **members)
    assert client.open_requests == 0
    assert client.submit(1)


@pytest.mark.parametrize("ref", ["x" * 65, 2**53 + 1, True, 1.0, None])
def test_a_ref_that_the_server_would_refuse_raises(ref: Json) -> None:
    for make in (ClientConnection().stats, ClientConnection().submit, ClientConnection().hello):
        with pytest.raises(LocalProtocolError, match=r"^ref: "):
            make(ref)


def test_other_requests_that_the_server_would_refuse_raise() -> None:
    client = ClientConnection()
    with pytest.raises(LocalProtocolError, match=r"^id: "):
        client.status(1, "a b")
    with pytest.raises(LocalProtocolError, match=r"^id: "):
        client.cancel(1, "")
    with pytest.raises(LocalProtocolError, match=r"^wait: "):
        client.result(1, "a", wait=-1)
    with pytest.raises(LocalProtocolError, match=r"^wait: "):
        client.result(1, "a", wait=float("nan"))
    with pytest.raises(LocalProtocolError, match=r"^wait: "):
        client.result(1, "a", wait=61)
    with pytest.raises(LocalProtocolError, match=r"^client: "):
        client.hello(1, client="\x1b")
    with pytest.raises(LocalProtocolError, match="surrogate"):
        client.hello(1, token=SURROGATE)
    with pytest.raises(LocalProtocolError, match="surrogate"):
        client.stats("\ud800")
    assert client.open_requests == 0


@pytest.mark.parametrize(("ref", "other"), [(1, "1"), ("a", "b")])
def test_a_ref_is_used_for_one_request_at_a_time(ref: Ref, other: Ref) -> None:
    client, there = ClientConnection(), server()
    there.receive(client.stats(ref))
    with pytest.raises(LocalProtocolError, match="no reply yet"):
        client.stats(ref)
    assert client.stats(other)
    client.receive(there.ok(ref, {}))
    assert client.stats(ref)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_is_read(code: ErrorCode) -> None:
    client, there = ClientConnection(), server()
    there.receive(client.stats(1))
    assert client.receive(there.error(1, code, "why")) == [Reply(1, error=Error(code, "why"))]


def test_an_error_that_belongs_to_no_request_is_read() -> None:
    client, there = ClientConnection(), server()
    client.stats(1)
    line = there.refuse(ErrorCode.TOO_LARGE, "why")
    assert client.receive(line) == [Reply(None, error=Error(ErrorCode.TOO_LARGE, "why"))]
    assert client.open_requests == 1


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 400 Bad Request\r",
        b"\xff\xfe\x00",
        b"\x16\x03\x01",
        b"[]",
        b"1",
        b"null",
        b"{}",
        b'{"ref":1}',
        b'{"ref":1,"ok":{}',
        b'{"ok":{}}',
        b'{"ref":null,"ok":{}}',
        b'{"ref":2,"ok":{}}',
        b'{"ref":"1","ok":{}}',
        b'{"ref":1.0,"ok":{}}',
        b'{"ref":true,"ok":{}}',
        b'{"ref":1,"ok":[]}',
        b'{"ref":1,"ok":null}',
        b'{"ref":1,"ok":{},"more":1}',
        b'{"ref":1,"ok":{},"error":{"code":"invalid","message":"x"}}',
        b'{"ref":1,"ok":{},"goaway":{"reason":"x"}}',
        b'{"ref":1,"goaway":{"reason":"x"}}',
        b'{"goaway":{}}',
        b'{"goaway":null}',
        b'{"error":{"code":"invalid","message":"x"}}',
        b'{"ref":1,"error":{"code":"unheard_of","message":"x"}}',
        b'{"ref":1,"error":{"code":"invalid"}}',
        b'{"ref":1,"error":{"code":"invalid","message":5}}',
        b'{"ref":1,"error":{"code":"overloaded","message":"x","retry_after":-1}}',
        b'{"ref":1,"error":{"code":"overloaded","message":"x","retry_after":1e300}}',
        b'{"ref":1,"ok":{"a":"\xed\xa0\x80"}}',
        b'{"ref":1,"ok":{"a":' + b"[" * 100_000,
    ],
)
def test_a_server_that_does_not_speak_the_protocol_is_detected(line: bytes) -> None:
    client = ClientConnection()
    client.stats(1)
    with pytest.raises(RemoteProtocolError) as caught:
        client.receive(line + b"\n")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
    with pytest.raises(RemoteProtocolError):
        client.receive(b'{"ref":1,"ok":{}}\n')


def test_a_second_reply_to_a_request_violates_the_protocol() -> None:
    client = ClientConnection()
    client.stats(1)
    assert client.receive(b'{"ref":1,"ok":{}}\n') == [Reply(1, ok={})]
    with pytest.raises(RemoteProtocolError, match="not an open request"):
        client.receive(b'{"ref":1,"ok":{}}\n')


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"server": "s", "version": 1, "limits": None},
        {"server": "s", "version": 1, "limits": {"max_line": "x"}},
        {"server": "s", "version": 1, "limits": {"max_line": 5}},
        {"server": "s", "version": 2, "limits": {}},
        {"server": 5, "version": 1, "limits": {}},
    ],
)
def test_an_invalid_reply_to_hello_is_detected(members: dict[str, Json]) -> None:
    client = ClientConnection()
    client.hello(1)
    with pytest.raises(RemoteProtocolError, match=r"hello|version"):
        client.receive(json.dumps({"ref": 1, "ok": members}).encode() + b"\n")
    assert client.welcome is None


def test_a_limit_that_this_client_does_not_know_is_ignored() -> None:
    client = ClientConnection()
    client.hello(1)
    limits = {"max_line": 4096, "max_something": 5}
    client.receive(json.dumps({"ref": 1, "ok": {"server": "s", "version": 1, "limits": limits}}).encode() + b"\n")
    assert client.limits == Limits(max_line=4096)


def test_a_reply_may_be_longer_and_deeper_than_any_request() -> None:
    client = ClientConnection()
    client.stats(1)
    depth = 40
    value = '"' + "x" * 2**21 + '"'
    line = f'{{"ref":1,"ok":{{"result":{"[" * depth}{value}{"]" * depth}}}}}\n'.encode()
    events = [event for start in range(0, len(line), 65536) for event in client.receive(line[start : start + 65536])]
    assert events == [Reply(1, ok=json.loads(line)["ok"])]


def test_a_reply_without_end_is_refused() -> None:
    client = ClientConnection()
    chunk = b"x" * 2**20
    for _ in range(MAX_REPLY // len(chunk)):
        assert client.receive(chunk) == []
    with pytest.raises(RemoteProtocolError, match=str(MAX_REPLY)):
        client.receive(b"x")


def test_an_end_within_a_reply_raises() -> None:
    client = ClientConnection()
    client.stats(1)
    client.eof()
    client.receive(b'{"ref":1')
    with pytest.raises(RemoteProtocolError, match="ended"):
        client.eof()


def test_the_messages_of_a_server_are_made_printable() -> None:
    client = ClientConnection()
    client.stats(1)
    reason = json.dumps("\x1b]0;owned\x07" * 1000)
    line = f'{{"goaway":{{"reason":{reason}}}}}\n{{"ref":1,"error":{{"code":"internal","message":{reason}}}}}\n'
    goaway, reply = client.receive(line.encode())
    assert isinstance(goaway, Goaway)
    assert isinstance(reply, Reply)
    assert reply.error is not None
    for words in (goaway.reason, reply.error.message):
        assert words.isprintable()
        assert len(words) <= 300


def test_blank_lines_of_a_server_are_ignored() -> None:
    client = ClientConnection()
    client.stats(1)
    assert client.receive(b'\n\r\n  \n{"ref":1,"ok":{}}\r\n\n') == [Reply(1, ok={})]
