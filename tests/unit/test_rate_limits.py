"""How much one client may do: the arithmetic, at times that the test chooses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.server import rate_limits
from core.server.rate_limits import (
    FORGET_SECONDS,
    FREE_GUESSES,
    GUESS_DELAY,
    MOST_CLIENTS,
    Limiter,
    TokenBucket,
    client_of,
)


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("127.8.8.8", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("", None),
        ("/run/some.socket", None),
    ],
)
def test_a_client_is_known_by_its_address_where_that_tells_something(host: str, client: str | None) -> None:
    assert client_of(host) == client


def test_a_full_bucket_gives_its_burst_and_then_what_flows() -> None:
    bucket = TokenBucket(10, 20, now=100.0)
    assert bucket.take(30, 100.0) == 20
    assert bucket.take(1, 100.05) == 0
    assert bucket.take(1, 100.125) == 1
    assert bucket.take(100, 101.125) == 10
    assert bucket.take(100, 1000.0) == 20


def test_a_bucket_tells_how_long_until_there_is_enough_again() -> None:
    bucket = TokenBucket(10, 20, now=0.0)
    assert bucket.wait_for(20) == 0.0
    assert bucket.take(20, 0.0) == 20
    assert bucket.wait_for(5) == pytest.approx(0.5)
    assert bucket.wait_for(1_000_000) == pytest.approx(2.0)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(10, 20, now=50.0)
    assert bucket.take(20, 50.0) == 20
    assert bucket.take(1, 49.0) == 0
    assert bucket.take(1, 49.0) == 0


@given(
    rate=st.integers(1, 10_000),
    asked=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 20_000)), max_size=50),
)
def test_never_more_is_given_than_the_burst_and_what_flowed(rate: int, asked: list[tuple[float, int]]) -> None:
    bucket = TokenBucket(rate, 2 * rate, now=0.0)
    now, given_out = 0.0, 0
    for pause, wanted in asked:
        now += pause
        taken = bucket.take(wanted, now)
        assert 0 <= taken <= wanted
        given_out += taken
        assert given_out <= 2 * rate + now * rate + 1e-6 * (1 + given_out)


@given(rate=st.integers(1, 10_000), wanted=st.integers(1, 20_000))
def test_who_waits_as_long_as_told_gets_it(rate: int, wanted: int) -> None:
    bucket = TokenBucket(rate, 2 * rate, now=0.0)
    bucket.take(2 * rate, 0.0)
    after = bucket.wait_for(wanted)
    assert bucket.take(wanted, after + 1e-6) >= min(wanted, 2 * rate) - 1


def test_one_address_has_one_bucket_and_this_machine_one_for_each_connection() -> None:
    limiter = Limiter(rate=10)
    assert limiter.bucket("192.0.2.7", 0.0) is limiter.bucket("192.0.2.7", 5.0)
    assert limiter.bucket("192.0.2.7", 0.0) is not limiter.bucket("192.0.2.8", 0.0)
    assert limiter.bucket(None, 0.0) is not limiter.bucket(None, 0.0)


def test_nothing_is_limited_where_nobody_said_so() -> None:
    limiter = Limiter()
    assert limiter.bucket("192.0.2.7", 0.0) is None
    assert [limiter.join("192.0.2.7") for _ in range(1000)] == [""] * 1000


def test_a_connection_too_many_is_refused_and_another_takes_its_place() -> None:
    limiter = Limiter(connections=2)
    assert limiter.join("192.0.2.7") == ""
    assert limiter.join("192.0.2.7") == ""
    assert limiter.join("192.0.2.7") == "192.0.2.7 has 2 connections already"
    assert limiter.join("192.0.2.8") == ""
    assert limiter.join(None) == ""
    limiter.leave("192.0.2.7")
    limiter.leave("192.0.2.7")
    limiter.leave(None)
    assert limiter.join("192.0.2.7") == ""


def test_wrong_tokens_of_one_address_are_answered_late_until_it_gives_up() -> None:
    limiter = Limiter()
    delays = [limiter.wrong_token("192.0.2.7", float(second)) for second in range(FREE_GUESSES + 2)]
    assert delays == [0.0] * FREE_GUESSES + [GUESS_DELAY] * 2
    assert limiter.wrong_token("192.0.2.8", 10.0) == 0.0
    assert limiter.wrong_token("192.0.2.7", 7.0 + FORGET_SECONDS) == 0.0


def test_the_books_of_many_addresses_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_CLIENTS >= 1000
    monkeypatch.setattr(rate_limits, "MOST_CLIENTS", 50)
    limiter = Limiter(rate=10, connections=5)
    first = limiter.bucket("first", 0.0)
    for number in range(500):
        limiter.bucket(f"address {number}", 0.0)
        limiter.wrong_token(f"address {number}", 0.0)
        limiter.join(f"address {number}")
        limiter.leave(f"address {number}")
    assert limiter.sizes == (0, 50, 50)
    assert limiter.bucket("first", 0.0) is not first
