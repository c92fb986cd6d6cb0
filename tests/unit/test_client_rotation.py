"""Which server the client uses next, how long it waits before a retry, and when it gives up."""

import pytest

from core.addresses import Address
from core.client.rotation import BACKOFF, GiveUpTimer, ServerRotation, belongs_elsewhere, retry_delay
from core.errors import ConfigurationError
from core.protocol import ErrorCode

A, B, C = (Address("127.0.0.1", port) for port in (1, 2, 3))


@pytest.mark.parametrize(
    ("failures", "random", "expected"),
    [(0, 1.0, 0.0), (1, 0.0, 0.05), (1, 1.0, 0.1), (2, 1.0, 0.2), (3, 1.0, 0.4), (6, 1.0, BACKOFF.longest)],
)
def test_the_delay_doubles(failures: int, random: float, expected: float) -> None:
    assert retry_delay(failures, random) == pytest.approx(expected)


def test_the_delay_never_grows_beyond_the_longest() -> None:
    assert retry_delay(10**9, 1.0) == BACKOFF.longest


def test_servers_take_turns() -> None:
    rotation = ServerRotation([A, B, C], start=1)
    assert [rotation.choose(0.0) for _ in range(4)] == [(B, 0.0), (C, 0.0), (A, 0.0), (B, 0.0)]


def test_the_first_that_works_is_the_one_when_they_do_not_take_turns() -> None:
    rotation = ServerRotation([A, B], spread=False, start=1)
    assert [rotation.choose(0.0)[0] for _ in range(3)] == [A, A, A]
    rotation.mark_failed(A, 0.0, random=1.0)
    assert rotation.choose(0.05) == (B, 0.0)
    assert rotation.choose(0.11) == (A, 0.0)


def test_a_server_that_failed_is_skipped() -> None:
    rotation = ServerRotation([A, B])
    rotation.mark_failed(A, 10.0, random=1.0)
    assert {rotation.choose(10.05)[0] for _ in range(3)} == {B}
    assert {rotation.choose(10.11)[0] for _ in range(2)} == {A, B}


def test_when_all_have_failed_the_first_to_be_retried_is_awaited() -> None:
    rotation = ServerRotation([A, B])
    rotation.mark_failed(A, 10.0, random=1.0)
    rotation.mark_failed(A, 10.0, random=1.0)
    rotation.mark_failed(B, 10.0, random=1.0)
    address, delay = rotation.choose(10.04)
    assert (address.port, delay) == pytest.approx((B.port, 0.06))


def test_a_server_may_set_the_delay() -> None:
    rotation = ServerRotation([A])
    rotation.mark_failed(A, 0.0, random=1.0, min_delay=7.0)
    assert rotation.choose(1.0)[1] == pytest.approx(6.0)


def test_a_server_that_works_again_is_forgiven() -> None:
    rotation = ServerRotation([A])
    for _ in range(5):
        rotation.mark_failed(A, 0.0, random=1.0)
    rotation.mark_working(A)
    assert rotation.choose(0.0) == (A, 0.0)
    rotation.mark_failed(A, 0.0, random=1.0)
    assert rotation.choose(0.0)[1] == pytest.approx(0.1)


def test_the_same_address_twice_counts_once() -> None:
    assert ServerRotation([A, A, B]).addresses == (A, B)


def test_there_must_be_a_server() -> None:
    with pytest.raises(ConfigurationError, match="at least one server"):
        ServerRotation([])


@pytest.mark.parametrize("code", list(ErrorCode))
def test_only_what_concerns_one_server_is_sent_elsewhere(code: ErrorCode) -> None:
    assert belongs_elsewhere(code) == (code in {"overloaded", "shutting_down"})
    assert code.retriable or not belongs_elsewhere(code)


def test_time_runs_out_without_a_success() -> None:
    timer = GiveUpTimer(30.0)
    assert timer.remaining(1000.0) == 30.0
    timer.record_failure("refused", since=100.0)
    timer.record_failure("refused again", since=110.0)
    assert (timer.remaining(120.0), timer.failures, timer.reason) == (10.0, 2, "refused again")
    assert timer.remaining(131.0) < 0


def test_a_success_starts_the_timer_again() -> None:
    timer = GiveUpTimer(30.0)
    timer.record_failure("refused", since=100.0)
    timer.record_success()
    assert (timer.remaining(129.0), timer.failures) == (30.0, 0)
    timer.record_failure("refused", since=129.0)
    assert timer.remaining(130.0) == 29.0
