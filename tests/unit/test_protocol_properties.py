"""Properties of the protocol that hold for any request, any pieces and any bytes."""

import json
import random
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RemoteProtocolError
from core.jsontext import MAX_INTEGER, Json
from core.protocol import (
    Cancel,
    ClientConnection,
    Error,
    ErrorCode,
    Event,
    Hello,
    Kinds,
    Limits,
    Ref,
    Refusal,
    Reply,
    Request,
    Result,
    ServerConnection,
    Stats,
    Status,
    Submit,
)

MANY = settings(deadline=None, max_examples=100)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
REFS: st.SearchStrategy[Ref] = st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXTS
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)
KINDS = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,63}", fullmatch=True)
NUMBERS = st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(allow_nan=False, allow_infinity=False)
PAYLOADS: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
REQUESTS: st.SearchStrategy[dict[str, Json]] = st.one_of(
    st.fixed_dictionaries({"op": st.just("hello"), "ref": REFS}, optional={"version": st.just(1), "token": TEXTS}),
    st.fixed_dictionaries(
        {"op": st.just("submit"), "ref": REFS},
        optional={
            "id": st.none() | IDS,
            "kind": st.none() | KINDS,
            "payload": PAYLOADS,
            "delay": st.floats(0, 315_576_000) | st.integers(0, 315_576_000),
            "retries": st.none() | st.integers(0, 100),
            "sent": st.none() | st.floats(0, 2e9),
        },
    ),
    st.fixed_dictionaries({"op": st.sampled_from(["status", "cancel"]), "ref": REFS, "id": IDS}),
    st.fixed_dictionaries({"op": st.just("result"), "ref": REFS, "id": IDS}, optional={"wait": st.floats(0, 60)}),
    st.fixed_dictionaries({"op": st.just("stats"), "ref": REFS}),
    st.fixed_dictionaries({"op": st.just("kinds"), "ref": REFS}, optional={"kind": st.none() | KINDS}),
)
CLOSING = {ErrorCode.BAD_FRAME, ErrorCode.TOO_LARGE, ErrorCode.UNAUTHORIZED, ErrorCode.UNSUPPORTED_VERSION}


def lines_of(requests: Iterable[dict[str, Json]], end: bytes = b"\n") -> bytes:
    return b"".join(json.dumps(request, ensure_ascii=False).encode() + end for request in requests)


def expected_of(members: dict[str, Json]) -> Request:
    """Return the expected request of valid members, made in another way."""
    ref, given_ = members["ref"], {name: value for name, value in members.items() if name not in {"op", "ref"}}
    match members["op"]:
        case "hello":
            return Hello(ref=ref)
        case "submit":
            payload = json.dumps(given_.pop("payload", None))
            return Submit(ref=ref, **given_, payload=payload)
        case "status":
            return Status(ref=ref, **given_)
        case "result":
            return Result(ref=ref, **given_)
        case "cancel":
            return Cancel(ref=ref, **given_)
        case "kinds":
            return Kinds(ref=ref, **given_)
        case _:
            return Stats(ref=ref)


def comparable(event: Event) -> object:
    """Return an event with its payload as a value: one value may have two spellings."""
    if isinstance(event, Submit):
        return (
            Submit,
            event.ref,
            event.id,
            event.kind,
            event.delay,
            event.retries,
            event.sent,
            json.loads(event.payload),
        )
    return event


def feed(pieces: Iterable[bytes], limits: Limits | None = None) -> list[Event]:
    """Return all events of a server's connection, those of the end included."""
    connection = ServerConnection(server="s", limits=limits or Limits(max_open_requests=10**6))
    events: list[Event] = []
    for piece in pieces:
        events += connection.receive(piece)
    return events + connection.eof()


def cut(text: bytes, seed: int) -> list[bytes]:
    """Return the text in pieces of any size, empty ones too."""
    places = random.Random(seed)  # noqa: S311 - places to cut at, no secret
    marks = sorted(places.choices(range(len(text) + 1), k=places.randrange(12)))
    return [text[start:end] for start, end in zip([0, *marks], [*marks, len(text)], strict=True)]


@MANY
@given(st.lists(REQUESTS, max_size=6), st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n"]), st.integers(0, 2**32))
def test_valid_requests_are_read_as_sent_in_any_pieces(requests: list[dict[str, Json]], end: bytes, seed: int) -> None:
    text = lines_of(requests, end)
    whole = feed([text])
    assert list(map(comparable, whole)) == [comparable(expected_of(request)) for request in requests]
    assert feed(bytes([byte]) for byte in text) == whole
    assert feed(cut(text, seed)) == whole


def check_events(events: list[Event]) -> None:
    """Assert that the events are requests and refusals, with none after one that closes."""
    for place, event in enumerate(events):
        if isinstance(event, Refusal):
            [reply] = ClientConnection().receive(event.reply) if b'"ref":null' in event.reply else [read(event.reply)]
            assert isinstance(reply, Reply)
            assert reply.error is not None
            assert reply.error.message.isprintable()
            assert len(event.reply) < 4000
            assert event.close == (reply.error.code in CLOSING)
            assert not event.close or place == len(events) - 1


def read(line: bytes) -> Reply:
    """Return a reply to a request that this client did not make."""
    members = json.loads(line)
    error = members["error"]
    return Reply(members["ref"], error=Error(ErrorCode(error["code"]), error["message"]))


@MANY
@given(st.binary(max_size=300), st.integers(0, 2**32), st.booleans())
def test_any_bytes_give_requests_and_refusals_only(text: bytes, seed: int, token: bool) -> None:
    events = feed([text])
    check_events(events)
    assert feed(cut(text, seed)) == events
    connection = ServerConnection(server="s", limits=Limits(), token="é" if token else None)
    check_events(connection.receive(text) + connection.eof())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw valid lines with a few bytes changed, dropped, doubled or inserted."""
    text = bytearray(lines_of(draw(st.lists(REQUESTS, min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 3))
        filling = draw(st.binary(max_size=3) | st.sampled_from([b'"', b"\\", b"{", b"}", b":", b",", b"\n", b"1e999"]))
        text[place : place + length] = filling
    return bytes(text)


@MANY
@given(damaged(), st.integers(0, 2**32))
def test_damaged_requests_give_requests_and_refusals_only(text: bytes, seed: int) -> None:
    events = feed([text])
    check_events(events)
    assert feed(cut(text, seed)) == events


@MANY
@given(st.dictionaries(st.sampled_from(["op", "ref", "id", "kind", "payload", "wait", "token", "x"]), PAYLOADS))
def test_any_object_is_a_request_or_invalid_and_closes_nothing(members: dict[str, Json]) -> None:
    for operation in ("hello", "submit", "status", "result", "cancel", "stats", None):
        request = members if operation is None else {**members, "op": operation}
        events = feed([lines_of([request])])
        check_events(events)
        assert len(events) == 1
        assert not isinstance(events[0], Refusal) or not events[0].close


@MANY
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 5), st.integers(0, 2**32))
def test_open_requests_stay_within_the_limit_and_none_is_lost(sizes: list[int], most: int, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - an order of events, no secret
    connection = ServerConnection(server="s", limits=Limits(max_open_requests=most))
    total = sum(sizes)
    lines = [b'{"op":"stats","ref":%d}\n' % ref for ref in range(total)]
    waiting: list[Ref] = []
    seen: list[Ref] = []
    for size in sizes:
        start, lines = lines[:size], lines[size:]
        events = connection.receive(b"".join(start))
        while True:
            refs = [event.ref for event in events if isinstance(event, Stats)]
            assert len(refs) == len(events)
            seen += refs
            waiting += refs
            assert connection.open_requests == len(waiting) <= most
            assert connection.paused == (len(waiting) == most)
            if not connection.paused:
                break
            connection.ok(waiting.pop(chance.randrange(len(waiting))), {})
            events = connection.receive(b"")
    assert seen == list(range(total))


@MANY
@given(st.lists(st.tuples(REFS, PAYLOADS), unique_by=lambda pair: (type(pair[0]), pair[0]), max_size=8), st.integers())
def test_every_reply_is_matched_to_its_request(pairs: list[tuple[Ref, Json]], seed: int) -> None:
    client = ClientConnection()
    server = ServerConnection(server="s", limits=Limits())
    requests = server.receive(b"".join(client.submit(ref, payload) for ref, payload in pairs))
    lines = [
        server.ok(request.ref, {"echo": json.loads(request.payload)})
        for request in requests
        if isinstance(request, Submit)
    ]
    random.Random(seed).shuffle(lines)  # noqa: S311 - an order of lines, no secret
    replies = [reply for piece in cut(b"".join(lines), seed) for reply in client.receive(piece)]
    found = {}
    for reply in replies:
        assert isinstance(reply, Reply)
        assert reply.ok is not None
        found[type(reply.ref), reply.ref] = reply.ok["echo"]
    assert found == {(type(ref), ref): payload for ref, payload in pairs}
    assert client.open_requests == server.open_requests == 0


@MANY
@given(st.binary(max_size=200), st.sampled_from([b"", b'{"ref":1,"ok":{', b'{"goaway":{"reason":"']))
def test_a_client_survives_any_server(text: bytes, start: bytes) -> None:
    client = ClientConnection()
    client.stats(1)
    said = ""
    try:
        client.receive(start + text)
        client.receive(b"\n")
        client.eof()
    except RemoteProtocolError as error:
        said = str(error)
    assert said.isprintable()
