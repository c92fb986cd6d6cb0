"""The server's end of a connection: what it reads, what it replies, and when it stops reading."""

import json

import msgspec
import pytest

from core.errors import ConfigurationError, LocalProtocolError
from core.jsontext import Json
from core.protocol import (
    MAX_REPLY,
    Cancel,
    ErrorCode,
    Event,
    Hello,
    Kinds,
    Limits,
    Refusal,
    Result,
    ServerConnection,
    Stats,
    Status,
    Submit,
    embed,
)
from core.protocol.limits import MAX_HELLO

SESAME = "sésame \U0001f511"
WRONG = "wrong"


def connect(token: str | None = None, limits: Limits | None = None) -> ServerConnection:
    return ServerConnection(server="server-1", limits=limits or Limits(), token=token)


def line(**members: Json) -> bytes:
    return json.dumps(members).encode() + b"\n"


def is_partial(connection: ServerConnection) -> bool:
    return connection.has_partial_line


def is_finished(connection: ServerConnection) -> bool:
    return connection.finished


def is_authenticated(connection: ServerConnection) -> bool:
    return connection.authenticated


def is_paused(connection: ServerConnection) -> bool:
    return connection.paused


def refused(events: list[Event]) -> tuple[str, Json, bool]:
    """Return the code and ref of the only refusal, and whether it closes."""
    [event] = events
    assert isinstance(event, Refusal)
    assert event.reply.endswith(b"\n")
    assert event.reply.count(b"\n") == 1
    reply = json.loads(event.reply)
    assert set(reply) == {"ref", "error"}
    return reply["error"]["code"], reply["ref"], event.close


def message(events: list[Event]) -> str:
    [event] = events
    assert isinstance(event, Refusal)
    text = json.loads(event.reply)["error"]["message"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("members", "request_"),
    [
        ({"op": "hello"}, Hello(ref=1)),
        ({"op": "hello", "version": 1, "token": "x", "client": "né"}, Hello(ref=1, client="né")),
        ({"op": "submit"}, Submit(ref=1)),
        ({"op": "submit", "id": None, "kind": None, "retries": None, "sent": None, "payload": None}, Submit(ref=1)),
        (
            {
                "op": "submit",
                "id": "a:1",
                "kind": "k-1",
                "payload": [1, "\u2028"],
                "delay": 5,
                "retries": 0,
                "sent": 1.5,
            },
            Submit(ref=1, id="a:1", kind="k-1", payload='[1,"\u2028"]', delay=5.0, retries=0, sent=1.5),
        ),
        ({"op": "submit", "delay": 315576000, "retries": 100}, Submit(ref=1, delay=315576000.0, retries=100)),
        ({"op": "status", "id": "x" * 64}, Status(ref=1, id="x" * 64)),
        ({"op": "result", "id": "0"}, Result(ref=1, id="0")),
        ({"op": "result", "id": "0", "wait": 60}, Result(ref=1, id="0", wait=60.0)),
        ({"op": "cancel", "id": "A.b_c:d-e"}, Cancel(ref=1, id="A.b_c:d-e")),
        ({"op": "stats"}, Stats(ref=1)),
        ({"op": "kinds"}, Kinds(ref=1)),
        ({"op": "kinds", "kind": "k-1"}, Kinds(ref=1, kind="k-1")),
    ],
)
def test_each_operation_becomes_its_request(members: dict[str, Json], request_: Event) -> None:
    connection = connect()
    assert connection.receive(line(ref=1, **members)) == [request_]
    assert connection.open_requests == 1


@pytest.mark.parametrize("ref", [0, 1, -1, 2**53, -(2**53), "", "a", "x" * 64, "é\x00\n\u2028", "1"])
def test_a_ref_may_be_an_integer_or_a_short_string(ref: int | str) -> None:
    connection = connect()
    assert connection.receive(line(op="stats", ref=ref)) == [Stats(ref=ref)]
    reply = json.loads(connection.ok(ref, {}))
    assert reply == {"ref": ref, "ok": {}}
    assert type(reply["ref"]) is type(ref)


@pytest.mark.parametrize("ref", [True, False, 1.0, 1.5, None, {}, [1], "x" * 65, "x" * 100_000])
def test_any_other_value_is_not_a_ref(ref: Json) -> None:
    connection = connect()
    events = connection.receive(line(op="stats", ref=ref))
    assert refused(events) == ("invalid", None, False)
    assert message(events).startswith("ref: ")
    assert connection.open_requests == 0


def test_a_ref_is_required() -> None:
    assert message(connect().receive(line(op="stats"))) == "ref: missing; stats needs it"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "op"),
        ({"op": None}, "op"),
        ({"op": ["submit"]}, "op"),
        ({"op": {"submit": 1}}, "op"),
        ({"op": "Submit"}, "op"),
        ({"op": "x" * 1000}, "op"),
        ({"op": "submit", "idd": "x"}, "'idd'"),
        ({"op": "stats", "id": "x"}, "'id'"),
        ({"op": "submit", "\x1b[31m" + "x" * 1000: 1}, "'\\x1b[31m"),
        ({"op": "submit", "id": 5}, "id"),
        ({"op": "submit", "id": ""}, "id"),
        ({"op": "submit", "id": "x\n"}, "id"),
        ({"op": "submit", "id": "-x"}, "id"),
        ({"op": "submit", "id": "é"}, "id"),
        ({"op": "submit", "id": "x" * 65}, "id"),
        ({"op": "submit", "id": "\x1b]0;owned\x07" * 1000}, "id"),
        ({"op": "submit", "kind": "1x"}, "kind"),
        ({"op": "submit", "kind": "a b"}, "kind"),
        ({"op": "submit", "kind": True}, "kind"),
        ({"op": "submit", "delay": -0.001}, "delay"),
        ({"op": "submit", "delay": 315576001}, "delay"),
        ({"op": "submit", "delay": True}, "delay"),
        ({"op": "submit", "delay": "1"}, "delay"),
        ({"op": "submit", "delay": None}, "delay"),
        ({"op": "submit", "retries": -1}, "retries"),
        ({"op": "submit", "retries": 101}, "retries"),
        ({"op": "submit", "retries": 3.0}, "retries"),
        ({"op": "submit", "retries": True}, "retries"),
        ({"op": "submit", "sent": -1}, "sent"),
        ({"op": "submit", "sent": 1e12}, "sent"),
        ({"op": "submit", "sent": "now"}, "sent"),
        ({"op": "status"}, "id"),
        ({"op": "status", "id": None}, "id"),
        ({"op": "status", "id": "a b"}, "id"),
        ({"op": "result", "id": "a", "wait": -1}, "wait"),
        ({"op": "result", "id": "a", "wait": 60.5}, "wait"),
        ({"op": "result", "id": "a", "wait": False}, "wait"),
        ({"op": "cancel", "id": ["a"]}, "id"),
        ({"op": "hello", "version": "1"}, "version"),
        ({"op": "hello", "version": True}, "version"),
        ({"op": "hello", "token": 5}, "token"),
        ({"op": "hello", "client": "x" * 101}, "client"),
        ({"op": "hello", "client": "a\x1bb"}, "client"),
        ({"op": "hello", "client": None}, "client"),
    ],
)
def test_an_invalid_field_is_named_and_the_connection_stays_open(members: dict[str, Json], field: str) -> None:
    connection = connect()
    events = connection.receive(line(ref="r", **members))
    assert refused(events) == ("invalid", "r", False)
    reason = message(events)
    assert reason.startswith(field)
    assert len(reason) <= 300
    assert reason.isprintable()
    assert connection.receive(line(ref=2, op="stats")) == [Stats(ref=2)]


@pytest.mark.parametrize(
    ("bytes_", "code"),
    [
        (b"\xef\xbb\xbf" + line(op="stats", ref=1), "bad_frame"),
        (line(op="stats", ref=1).decode().encode("utf-16"), "bad_frame"),
        (line(op="stats", ref=1).decode().encode("utf-32"), "bad_frame"),
        (b"GET / HTTP/1.1\r\n", "bad_frame"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", "bad_frame"),
        (b"\x00\x00\x00\x10\n", "bad_frame"),
        (b"quit\n", "bad_frame"),
        (b"\x00\n", "bad_frame"),
        (b"\x0b\n", "bad_frame"),
        (b"\xff\xfe\n", "bad_frame"),
        (b"\xc0\x80\n", "bad_frame"),
        (b"null\n", "bad_frame"),
        (b"true\n", "bad_frame"),
        (b"1\n", "bad_frame"),
        (b'"stats"\n', "bad_frame"),
        (b"[]\n", "bad_frame"),
        (b'[{"op":"stats","ref":1}]\n', "bad_frame"),
        (b'{"op":"stats","ref":1\n', "bad_frame"),
        (b'{"op":"stats","ref":1}}\n', "bad_frame"),
        (b'{"op":"stats","ref":1}{"op":"stats","ref":2}\n', "bad_frame"),
        (b'{"op":"stats","ref":1,}\n', "bad_frame"),
        (b"{'op':'stats','ref':1}\n", "bad_frame"),
        (b'{"op":"stats","ref":01}\n', "bad_frame"),
        (b'{"op":"stats","ref":1,"ref":1}\n', "bad_frame"),
        (b'{"op":"stats","ref":1,"ref" :2}\n', "bad_frame"),
        (b'{"op":"stats","ref":1,"r\\u0065f":2}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":{"a":1,"a":2}}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":{"a":":","a":":"}}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":NaN}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":-Infinity}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":1e999}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":9007199254740993}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":9223372036854775808}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":-' + b"9" * 5000 + b"}\n", "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":"\\ud800"}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":"\xed\xa0\x80"}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":"a\tb"}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":"\\x41"}\n', "bad_frame"),
        (b'{"op":"submit","ref":1,"payload":' + b"[" * 32 + b"]" * 32 + b"}\n", "bad_frame"),
        (b"[" * 100_000 + b"\n", "bad_frame"),
        (b'{"a":' * 100_000 + b"\n", "bad_frame"),
        (b'{"op":"hello","ref":1,"token":"\\ud800"}\n', "bad_frame"),
        (b"x" * 2_000_000, "too_large"),
        (b"x" * 2_000_000 + b"\n", "too_large"),
        (b" " * 2_000_000 + b"\n", "too_large"),
    ],
    ids=lambda value: repr(value[:50]),
)
def test_a_line_that_is_not_a_json_object_closes_the_connection(bytes_: bytes, code: str) -> None:
    connection = connect()
    assert refused(connection.receive(bytes_)) == (code, None, True)
    assert is_finished(connection)
    assert connection.buffered == 0
    assert not is_partial(connection)
    assert connection.receive(line(op="stats", ref=2)) == []
    assert connection.eof() == []


@pytest.mark.parametrize("depth", [0, 1, 30, 31])
def test_a_payload_may_be_nested_up_to_the_limit(depth: int) -> None:
    payload = "[" * depth + "1" + "]" * depth
    events = connect().receive(f'{{"op":"submit","ref":1,"payload":{payload}}}\n'.encode())
    assert events == [Submit(ref=1, payload=payload)]


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**53 - 1, 0.1, 1e300])
def test_a_payload_may_hold_numbers_that_every_reader_represents(number: float) -> None:
    assert connect().receive(line(op="submit", ref=1, payload=number)) == [
        Submit(ref=1, payload=repr(number).replace("+", ""))
    ]


def test_the_payload_is_rewritten_so_that_its_spelling_does_not_matter() -> None:
    one = connect().receive(b'{"payload": {"a" : [1 , 2.50],\t"b":"\\u00e9\\/"}, "op":"submit", "ref":1}\r\n')
    two = connect().receive('{"op":"submit","ref":1,"payload":{"a":[1,2.5],"b":"é/"}}\n'.encode())
    assert one == two == [Submit(ref=1, payload='{"a":[1,2.5],"b":"é/"}')]


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b"   \n", b" \t \r\n", b"\n\n\r\n\n"])
def test_blank_lines_and_carriage_returns_are_ignored(blank: bytes) -> None:
    connection = connect()
    assert connection.receive(blank) == []
    stats = line(op="stats", ref=1)
    assert connection.receive(blank + stats[:-1] + b"\r\n" + blank) == [Stats(ref=1)]
    assert not is_finished(connection)


def test_a_line_separator_in_a_string_does_not_end_the_line() -> None:
    events = connect().receive('{"op":"submit","ref":1,"payload":"a\u2028b\u2029c\u0085d"}\n'.encode())
    assert events == [Submit(ref=1, payload='"a\u2028b\u2029c\u0085d"')]


def test_requests_before_a_bad_line_are_read_and_can_be_answered() -> None:
    connection = connect()
    good, bad = connection.receive(line(op="stats", ref=1) + b"nonsense\n" + line(op="stats", ref=2))
    assert good == Stats(ref=1)
    assert refused([bad]) == ("bad_frame", None, True)
    assert is_finished(connection)
    assert connection.open_requests == 1
    assert json.loads(connection.ok(1, {"n": 1})) == {"ref": 1, "ok": {"n": 1}}
    assert connection.open_requests == 0


def test_a_long_line_is_refused_as_soon_as_it_passes_the_limit() -> None:
    limits = Limits(max_line=100_000)
    connection = connect(limits=limits)
    chunk = b"x" * 4096
    fed = 0
    while fed <= limits.max_line - len(chunk):
        assert connection.receive(chunk) == []
        fed += len(chunk)
        assert connection.buffered == fed
        assert is_partial(connection)
    assert refused(connection.receive(chunk)) == ("too_large", None, True)
    assert connection.buffered == 0
    for _ in range(1000):
        assert connection.receive(chunk) == []
        assert connection.buffered == 0


@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_of_a_line_is_exact(over: int) -> None:
    limits = Limits(max_line=2000)
    start, end = b'{"op":"submit","ref":1,"payload":"', b'"}'
    text = b"x" * (limits.max_line - len(start) - len(end) + over)
    connection = connect(limits=limits)
    [event] = connection.receive(start + text + end + b"\n")
    assert isinstance(event, Refusal if over else Submit)


def test_a_line_that_arrives_byte_by_byte_is_partial_until_its_end() -> None:
    connection = connect()
    whole = line(op="stats", ref=1)
    assert not is_partial(connection)
    for byte in whole[:-1]:
        assert connection.receive(bytes([byte])) == []
        assert is_partial(connection)
        assert connection.lines_ended == 0
    assert connection.receive(b"\n") == [Stats(ref=1)]
    assert not is_partial(connection)
    assert connection.lines_ended == 1
    connection.receive(b"\n{")
    assert is_partial(connection)
    assert connection.lines_ended == 2


# Tokens.


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"op": "stats"}, "unauthorized"),
        ({"op": "submit", "payload": 1}, "unauthorized"),
        ({"op": "nonsense"}, "unauthorized"),
        ({}, "unauthorized"),
        ({"op": "hello"}, "unauthorized"),
        ({"op": "hello", "token": None}, "unauthorized"),
        ({"op": "hello", "token": ""}, "unauthorized"),
        ({"op": "hello", "token": "wrong"}, "unauthorized"),
        ({"op": "hello", "token": SESAME + "x"}, "unauthorized"),
        ({"op": "hello", "token": "é\x00\u202e"}, "unauthorized"),
        ({"op": "hello", "token": "x" * 50_000}, "unauthorized"),
        ({"op": "hello", "token": SESAME, "version": 2}, "unsupported_version"),
    ],
)
def test_without_the_token_nothing_is_answered(members: dict[str, Json], code: str) -> None:
    connection = connect(SESAME)
    events = connection.receive(line(ref=7, **members) + line(op="hello", ref=8, token=SESAME))
    assert refused(events) == (code, 7, True)
    assert is_finished(connection)
    assert not is_authenticated(connection)
    assert SESAME not in message(events)


def test_a_hello_with_an_invalid_field_may_be_corrected() -> None:
    connection = connect(SESAME)
    assert refused(connection.receive(line(op="hello", ref=1, token=5))) == ("invalid", 1, False)
    assert not is_authenticated(connection)
    assert connection.receive(line(op="hello", ref=1, token=SESAME)) == [Hello(ref=1)]


@pytest.mark.parametrize("token", [SESAME, "plain", "x" * 50_000, "\udcff from a broken environment"])
def test_with_the_token_everything_is_answered(token: str) -> None:
    connection = connect(token)
    shown = line(op="hello", ref=1, token=token)
    if token.startswith("\udcff"):
        assert refused(connection.receive(shown))[0] == "bad_frame"
        return
    events = connection.receive(shown + line(op="stats", ref=2))
    assert events == [Hello(ref=1), Stats(ref=2)]
    assert is_authenticated(connection)
    assert token not in repr(events)


def test_a_token_of_a_megabyte_is_too_large() -> None:
    connection = connect(SESAME)
    assert refused(connection.receive(line(op="hello", ref=1, token="x" * 2**20))) == ("too_large", None, True)


def test_a_token_that_is_not_needed_is_ignored() -> None:
    connection = connect()
    assert is_authenticated(connection)
    assert connection.receive(line(op="hello", ref=1, token="x" * 1_000_000)) == [Hello(ref=1)]


def test_a_client_without_its_token_gets_less_memory() -> None:
    connection = connect(SESAME)
    assert connection.receive(b"x" * MAX_HELLO) == []
    assert refused(connection.receive(b"x")) == ("too_large", None, True)
    connection = connect(SESAME)
    large = line(op="submit", ref=2, payload="x" * 2 * MAX_HELLO)
    hello, submit = connection.receive(line(op="hello", ref=1, token=SESAME) + large)
    assert hello == Hello(ref=1)
    assert isinstance(submit, Submit)


def test_hello_may_be_repeated_but_not_with_a_wrong_token() -> None:
    connection = connect(SESAME)
    assert connection.receive(line(op="hello", ref=1, token=SESAME) * 2) == [Hello(ref=1), Hello(ref=1)]
    assert refused(connection.receive(line(op="hello", ref=2, token=WRONG))) == ("unauthorized", 2, True)


def test_another_version_is_refused_even_where_no_token_is_needed() -> None:
    events = connect().receive(line(op="hello", ref=1, version=2))
    assert refused(events) == ("unsupported_version", 1, True)
    assert "version 1" in message(events)


def test_the_welcome_states_every_limit() -> None:
    limits = Limits(max_line=5000, max_wait=5)
    connection = connect(limits=limits)
    [hello] = connection.receive(line(op="hello", ref="h"))
    assert isinstance(hello, Hello)
    reply = json.loads(connection.welcome(hello))
    assert reply == {
        "ref": "h",
        "ok": {"server": "server-1", "version": 1, "limits": msgspec.to_builtins(limits)},
    }
    assert set(reply["ok"]["limits"]) == set(Limits.__struct_fields__)
    assert connection.open_requests == 0


# Back-pressure.


def test_reading_pauses_at_the_limit_and_received_lines_wait_in_order() -> None:
    connection = connect(limits=Limits(max_open_requests=3))
    first = connection.receive(b"".join(line(op="stats", ref=ref) for ref in range(8)) + b'{"op"')
    assert first == [Stats(ref=0), Stats(ref=1), Stats(ref=2)]
    assert is_paused(connection)
    assert connection.open_requests == 3
    assert not is_partial(connection)
    assert connection.receive(b"") == []
    connection.ok(1, {})
    assert not is_paused(connection)
    assert connection.receive(b"") == [Stats(ref=3)]
    for ref in (0, 2, 3):
        connection.error(ref, ErrorCode.INTERNAL, "no")
    assert connection.receive(b"") == [Stats(ref=4), Stats(ref=5), Stats(ref=6)]
    for ref in (4, 5, 6):
        connection.ok(ref, {})
    assert connection.receive(b':"stats","ref":8}\n') == [Stats(ref=7), Stats(ref=8)]
    assert connection.open_requests == 2
    assert not is_paused(connection)


def test_refusals_are_not_open_requests() -> None:
    connection = connect(limits=Limits(max_open_requests=1))
    events = connection.receive(line(op="nonsense", ref=1) * 5 + line(op="stats", ref=2) + line(op="nonsense", ref=3))
    assert [type(event) for event in events] == [Refusal] * 5 + [Stats]
    assert is_paused(connection)
    connection.ok(2, {})
    assert refused(connection.receive(b"")) == ("invalid", 3, False)


def test_a_reply_without_a_request_raises() -> None:
    connection = connect()
    with pytest.raises(LocalProtocolError):
        connection.ok(1, {})
    with pytest.raises(LocalProtocolError):
        connection.error(1, ErrorCode.INTERNAL, "no")


# The end.


def test_an_end_between_lines_is_not_refused() -> None:
    connection = connect()
    assert connection.receive(line(op="stats", ref=1)) == [Stats(ref=1)]
    assert not is_finished(connection)
    assert connection.eof() == []
    assert is_finished(connection)
    assert connection.open_requests == 1
    assert connection.ok(1, {}) == b'{"ref":1,"ok":{}}\n'
    assert connection.receive(line(op="stats", ref=2)) == []


def test_a_line_without_its_newline_is_refused() -> None:
    connection = connect()
    assert connection.receive(line(op="stats", ref=1)[:-1]) == []
    assert refused(connection.eof()) == ("bad_frame", None, True)
    assert is_finished(connection)
    assert connection.eof() == []


def test_requests_that_wait_at_the_end_are_still_read() -> None:
    connection = connect(limits=Limits(max_open_requests=1))
    assert connection.receive(line(op="stats", ref=1) + line(op="stats", ref=2) + b"{") == [Stats(ref=1)]
    assert connection.eof() == []
    assert not is_finished(connection)
    connection.ok(1, {})
    assert connection.receive(b'"op":"stats","ref":3}\n') == [Stats(ref=2)]
    connection.ok(2, {})
    assert refused(connection.receive(b"")) == ("bad_frame", None, True)
    assert is_finished(connection)


def test_a_client_that_broke_a_timeout_is_refused_and_not_read_any_more() -> None:
    connection = connect()
    connection.receive(line(op="stats", ref=1) + b"{")
    reply = json.loads(connection.refuse(ErrorCode.BAD_FRAME, "too\nslow"))
    assert reply == {"ref": None, "error": {"code": "bad_frame", "message": "too\\nslow"}}
    assert is_finished(connection)
    assert not is_partial(connection)
    assert connection.receive(b"}\n") == []
    assert connection.ok(1, {})


def test_goaway_is_sent_once_and_stops_nothing() -> None:
    connection = connect()
    assert json.loads(connection.goaway("leaving\x1b")) == {"goaway": {"reason": "leaving\\x1b"}}
    assert connection.goaway("leaving") == b""
    assert connection.receive(line(op="stats", ref=1)) == [Stats(ref=1)]


# Replies.


def test_an_error_states_when_to_try_again() -> None:
    connection = connect()
    connection.receive(line(op="stats", ref=1) * 2)
    assert json.loads(connection.error(1, ErrorCode.OVERLOADED, "busy", 0.5)) == {
        "ref": 1,
        "error": {"code": "overloaded", "message": "busy", "retry_after": 0.5},
    }
    assert "retry_after" not in json.loads(connection.error(1, ErrorCode.INTERNAL, "x"))["error"]


def test_a_message_is_short_and_printable_whatever_is_in_it() -> None:
    connection = connect()
    connection.receive(line(op="stats", ref=1))
    reply = json.loads(connection.error(1, ErrorCode.INTERNAL, "\x1b]0;x\x07\u202e\ud800" * 1000))
    reason = reply["error"]["message"]
    assert len(reason) <= 300
    assert reason.isprintable()


def test_json_text_goes_into_a_reply_unchanged() -> None:
    connection = connect()
    connection.receive(line(op="stats", ref=1))
    assert connection.ok(1, {"result": embed('{"é":[1,2]}')}) == '{"ref":1,"ok":{"result":{"é":[1,2]}}}\n'.encode()


@pytest.mark.parametrize("value", [embed("[1,\n2]"), object(), "\ud800", embed('"' + "x" * MAX_REPLY + '"')])
def test_a_reply_that_can_not_be_sent_leaves_the_request_open(value: object) -> None:
    connection = connect()
    connection.receive(line(op="stats", ref=1))
    with pytest.raises(LocalProtocolError):
        connection.ok(1, {"value": value})
    assert connection.open_requests == 1
    assert connection.error(1, ErrorCode.INTERNAL, "can't be sent")


def test_only_errors_that_a_retry_may_avoid_are_retriable() -> None:
    retriable = {code for code in ErrorCode if code.retriable}
    assert retriable == {ErrorCode.OVERLOADED, ErrorCode.UNAVAILABLE, ErrorCode.SHUTTING_DOWN}
    assert len(ErrorCode) == 12


@pytest.mark.parametrize(
    "limits",
    [
        {"max_line": 1023},
        {"max_open_requests": 0},
        {"max_wait": -1},
        {"max_wait": float("nan")},
        {"idle_seconds": 0},
        {"hello_seconds": -1},
        {"frame_seconds": float("nan")},
    ],
)
def test_limits_that_no_client_could_work_with_are_refused(limits: dict[str, Json]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        Limits(**limits)
