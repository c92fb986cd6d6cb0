"""The load generator's lines, pace, percentiles and report."""

import json
import random

import pytest

from core.client.histogram import Histogram
from core.client.load_command import LoadOptions, LoadReport, describe, exit_code, split_load
from core.client.load_lines import MIN_DELAY, SubmitLineTemplate, pace, read_replies
from core.errors import RemoteProtocolError
from core.protocol import Limits, ServerConnection, Submit


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert Histogram().percentile(0.99) == 0.0


@pytest.mark.parametrize("fraction", [0.5, 0.95, 0.99])
def test_percentiles_are_off_by_little(fraction: float) -> None:
    chance = random.Random(7)  # noqa: S311 - the same numbers each time
    values = sorted(chance.lognormvariate(-5, 1) for _ in range(20_000))
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = values[int(fraction * len(values)) - 1]
    assert histogram.percentile(fraction) == pytest.approx(exact, rel=0.012)
    assert histogram.max == values[-1]


def test_a_percentile_is_never_more_than_the_longest() -> None:
    histogram = Histogram()
    histogram.add(0.5, count=3)
    assert histogram.percentile(1.0) <= 0.5
    assert histogram.count == 3


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e9])
def test_what_is_out_of_bounds_counts_at_the_edge(seconds: float) -> None:
    histogram = Histogram()
    histogram.add(seconds)
    assert sum(histogram.buckets) == 1


def test_histograms_add_up() -> None:
    one, other, both = Histogram(), Histogram(), Histogram()
    for number in range(1, 100):
        (one if number % 2 else other).add(number / 1000)
        both.add(number / 1000)
    one.merge(other)
    assert (one.buckets, one.count, one.max) == (both.buckets, both.count, both.max)


@pytest.mark.parametrize("payload", ["", 'a "quoted" ñ\n line', {"a": [1, None]}, "x" * 2000])
def test_the_template_makes_lines_that_the_server_accepts(payload: object) -> None:
    template = SubmitLineTemplate("load-abc-1", "echo", payload)
    server = ServerConnection(server="s", limits=Limits())
    requests = server.receive(template.lines(range(5, 8), 1_795_000_000.25))
    assert [request.ref for request in requests if isinstance(request, Submit)] == [5, 6, 7]
    for request in requests:
        assert isinstance(request, Submit)
        assert request.id == template.task_id(int(request.ref))
        assert (request.kind, request.sent) == ("echo", 1_795_000_000.25)
        assert json.loads(request.payload) == payload


def test_replies_are_read_many_at_a_time() -> None:
    replies = read_replies(
        b'{"ref":1,"ok":{"id":"a","state":"accepted","duplicate":false}}\n'
        b'{"ref":2,"error":{"code":"unavailable","message":"m","retry_after":1}}\n{"goaway":{"reason":"r"}}'
    )
    assert [reply.ref for reply in replies] == [1, 2, None]
    assert replies[1].error is not None
    assert (replies[1].error.code, replies[1].error.retry_after) == ("unavailable", 1)
    assert replies[2].goaway is not None


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request", b'{"ref":1', b"\xff", b"[]"])
def test_a_line_that_is_not_a_reply_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_replies(data)


@pytest.mark.parametrize(
    ("rate", "elapsed", "sent", "expected"),
    [
        (10.0, 0.0, 0, (1, 0.0)),
        (10.0, 0.0, 1, (0, 0.1)),
        (10.0, 0.05, 1, (0, 0.05)),
        (10.0, 1.0, 1, (10, 0.0)),
        (1000.0, 0.0, 1, (0, MIN_DELAY)),
    ],
)
def test_a_steady_rate(rate: float, elapsed: float, sent: int, expected: tuple[int, float]) -> None:
    assert pace(rate, elapsed, sent) == pytest.approx(expected)


def options(tasks: int, connections: int, rate: float | None = None) -> LoadOptions:
    return LoadOptions(tasks=tasks, connections=connections, window=10, rate=rate, kind="echo", payload="", wait=False)


def test_the_tasks_are_divided_evenly() -> None:
    assert [share.tasks for share in split_load(options(10, 4))] == [3, 3, 2, 2]
    assert [share.rate for share in split_load(options(10, 4, rate=100.0))] == [25.0] * 4


def test_there_are_never_more_connections_than_tasks() -> None:
    assert [share.tasks for share in split_load(options(2, 5))] == [1, 1]


def make_report(accepted: int, stored: int | None = None, **errors: int) -> LoadReport:
    return LoadReport(
        tasks=100,
        connections=2,
        window=10,
        accepted=accepted,
        seconds=2.0,
        accepted_per_second=accepted / 2,
        latency_p50=0.001,
        latency_p95=0.002,
        latency_p99=0.003,
        latency_max=1.5,
        cpu=3e-6,
        errors=errors,
        stored=stored,
        stored_seconds=None if stored is None else 4.0,
    )


def test_the_report_as_text() -> None:
    assert describe(make_report(90, 90, conflict=10)) == [
        "90 of 100 accepted in 2.00 s (45/s) over 2 connections, up to 10 open on each",
        "submitted to accepted: p50 1.0 ms, p95 2.0 ms, p99 3.0 ms, max 1.5 s",
        "errors: 10 conflict",
        "90 stored in 4.00 s (22/s) end to end",
        "the generator used 3.0 µs of processor time per task",
    ]


@pytest.mark.parametrize(
    ("accepted", "stored", "expected"), [(100, None, 0), (100, 100, 0), (99, 99, 1), (100, 99, 75)]
)
def test_exit_codes(accepted: int, stored: int | None, expected: int) -> None:
    assert exit_code(make_report(accepted, stored)) == expected
