"""Arbitrary input, with and without the token: nothing breaks, and no request passes without the token."""

import json

from hypothesis import given
from hypothesis import strategies as st

from core.protocol import TLS_HANDSHAKE, Hello, Limits, Refusal, ServerConnection
from core.protocol.limits import MAX_HELLO
from core.protocol.server import Event

TOKEN = "contraseña"  # noqa: S105 - it is a test's
GREETING = json.dumps({"op": "hello", "ref": 0, "token": TOKEN}).encode() + b"\n"

_PARTS = st.sampled_from(
    [
        b'{"op":"hello","ref":1',
        b'{"op":"submit","ref":1,"payload":',
        b'{"op":"stats","ref":"a"}',
        b',"token":"guess"',
        b',"token":"\\ud800"',
        b',"token":null',
        b',"version":1',
        b"}",
        b"[" * 40,
        b"\n",
        b"\r\n",
        b"1e999",
        b'"\\u0000"',
        b"\xff\xfe",
        bytes([TLS_HANDSHAKE]),
    ]
)
CHUNKS = st.lists(st.one_of(_PARTS, st.binary(max_size=40)), max_size=30)


def feed(connection: ServerConnection, chunks: list[bytes]) -> list[Event]:
    """Return the events, with every request answered at once."""
    events: list[Event] = []
    for chunk in chunks:
        received = connection.receive(chunk)
        while received:
            for event in received:
                if isinstance(event, Hello):
                    connection.welcome(event)
                elif not isinstance(event, Refusal):
                    connection.ok(event.ref, {})
            events += received
            received = connection.receive(b"")
    return events


@given(CHUNKS)
def test_without_the_token_no_request_passes(chunks: list[bytes]) -> None:
    connection = ServerConnection(server="s1", limits=Limits(), token=TOKEN)
    events = feed(connection, chunks)
    assert all(isinstance(event, Refusal) for event in events)
    assert not connection.authenticated
    assert connection.open_requests == 0
    assert connection.buffered <= MAX_HELLO + max(map(len, chunks), default=0)


@given(CHUNKS)
def test_with_the_token_invalid_lines_are_refused_and_each_has_a_reply(chunks: list[bytes]) -> None:
    connection = ServerConnection(server="s1", limits=Limits(max_line=1024), token=TOKEN)
    events = feed(connection, [GREETING, *chunks])
    assert isinstance(events[0], Hello)
    assert connection.authenticated
    assert connection.open_requests == 0
    closing = [event for event in events if isinstance(event, Refusal) and event.close]
    assert len(closing) <= 1
    assert connection.finished == bool(closing)
    assert all(event.reply.endswith(b"\n") and event.reply.count(b"\n") == 1 for event in closing)


@given(st.text())
def test_any_other_token_is_wrong(token: str) -> None:
    connection = ServerConnection(server="s1", limits=Limits(), token=TOKEN)
    line = json.dumps({"op": "hello", "ref": 1, "token": token}).encode() + b"\n"
    if token == TOKEN or len(line) > MAX_HELLO:
        return
    [refusal] = connection.receive(line)
    assert isinstance(refusal, Refusal)
    assert refusal.close
    assert refusal.wrong_token
    assert connection.finished
    assert connection.receive(GREETING) == []


def test_a_missing_token_is_not_a_wrong_one() -> None:
    for line in (b'{"op":"hello","ref":1}\n', b'{"op":"stats","ref":1}\n', b"\x16\x03\x01"):
        [refusal] = ServerConnection(server="s1", limits=Limits(), token=TOKEN).receive(line)
        assert isinstance(refusal, Refusal)
        assert refusal.close
        assert not refusal.wrong_token


def test_tls_is_refused_at_once_and_only_at_the_beginning() -> None:
    for chunks in ([b"\x16\x03\x01 and no newline"], [b"\x16"]):
        [refusal] = feed(ServerConnection(server="s1", limits=Limits()), chunks)
        assert isinstance(refusal, Refusal)
        assert b"this is TLS" in refusal.reply
    later = ServerConnection(server="s1", limits=Limits())
    assert feed(later, [b"{", b"\x16"]) == []
    [refusal] = feed(later, [b"\n"])
    assert isinstance(refusal, Refusal)
    assert b"this is TLS" not in refusal.reply
