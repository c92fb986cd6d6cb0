"""Which server is asked next, how long it is waited for, and when the client gives up."""

import pytest

from core.addresses import Address
from core.client.rotation import BACKOFF, GiveUpTimer, ServerRotation, belongs_elsewhere, pause_after
from core.errors import ConfigurationError
from core.protocol import ErrorCode

A, B, C = (Address("127.0.0.1", port) for port in (1, 2, 3))


@pytest.mark.parametrize(
    ("failures", "random", "expected"),
    [(0, 1.0, 0.0), (1, 0.0, 0.05), (1, 1.0, 0.1), (2, 1.0, 0.2), (3, 1.0, 0.4), (6, 1.0, BACKOFF.longest)],
)
def test_the_pause_doubles(failures: int, random: float, expected: float) -> None:
    assert pause_after(failures, random) == pytest.approx(expected)


def test_the_pause_never_grows_beyond_the_longest() -> None:
    assert pause_after(10**9, 1.0) == BACKOFF.longest


def test_servers_take_turns() -> None:
    rotation = ServerRotation([A, B, C], start=1)
    assert [rotation.choose(0.0) for _ in range(4)] == [(B, 0.0), (C, 0.0), (A, 0.0), (B, 0.0)]


def test_the_first_that_works_is_the_one_when_they_do_not_take_turns() -> None:
    rotation = ServerRotation([A, B], spread=False, start=1)
    assert [rotation.choose(0.0)[0] for _ in range(3)] == [A, A, A]
    rotation.failed(A, 0.0, random=1.0)
    assert rotation.choose(0.05) == (B, 0.0)
    assert rotation.choose(0.11) == (A, 0.0)


def test_a_server_that_failed_rests() -> None:
    rotation = ServerRotation([A, B])
    rotation.failed(A, 10.0, random=1.0)
    assert {rotation.choose(10.05)[0] for _ in range(3)} == {B}
    assert {rotation.choose(10.11)[0] for _ in range(2)} == {A, B}


def test_when_all_rest_the_first_to_be_back_is_waited_for() -> None:
    rotation = ServerRotation([A, B])
    rotation.failed(A, 10.0, random=1.0)
    rotation.failed(A, 10.0, random=1.0)
    rotation.failed(B, 10.0, random=1.0)
    address, pause = rotation.choose(10.04)
    assert (address.port, pause) == pytest.approx((B.port, 0.06))


def test_a_server_may_say_how_long_to_stay_away() -> None:
    rotation = ServerRotation([A])
    rotation.failed(A, 0.0, random=1.0, at_least=7.0)
    assert rotation.choose(1.0)[1] == pytest.approx(6.0)


def test_a_server_that_works_again_is_forgiven() -> None:
    rotation = ServerRotation([A])
    for _ in range(5):
        rotation.failed(A, 0.0, random=1.0)
    rotation.worked(A)
    assert rotation.choose(0.0) == (A, 0.0)
    rotation.failed(A, 0.0, random=1.0)
    assert rotation.choose(0.0)[1] == pytest.approx(0.1)


def test_the_same_address_twice_counts_once() -> None:
    assert ServerRotation([A, A, B]).addresses == (A, B)


def test_there_has_to_be_a_server() -> None:
    with pytest.raises(ConfigurationError, match="at least one server"):
        ServerRotation([])


@pytest.mark.parametrize("code", list(ErrorCode))
def test_only_what_concerns_one_server_is_asked_elsewhere(code: ErrorCode) -> None:
    assert belongs_elsewhere(code) == (code in {"overloaded", "shutting_down"})
    assert code.retriable or not belongs_elsewhere(code)


def test_patience_ends_after_nothing_but_trouble() -> None:
    patience = GiveUpTimer(30.0)
    assert patience.left(1000.0) == 30.0
    patience.trouble("refused", since=100.0)
    patience.trouble("refused again", since=110.0)
    assert (patience.left(120.0), patience.failures, patience.reason) == (10.0, 2, "refused again")
    assert patience.left(131.0) < 0


def test_progress_renews_patience() -> None:
    patience = GiveUpTimer(30.0)
    patience.trouble("refused", since=100.0)
    patience.progress()
    assert (patience.left(129.0), patience.failures) == (30.0, 0)
    patience.trouble("refused", since=129.0)
    assert patience.left(130.0) == 29.0
