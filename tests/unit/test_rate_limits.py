"""The limits of one client, at times that the test chooses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.server import rate_limits
from core.server.rate_limits import (
    FREE_GUESSES,
    GUESS_DELAY,
    GUESS_LIFETIME,
    MAX_CLIENTS,
    Limiter,
    TokenBucket,
    client_key,
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
def test_a_client_is_identified_by_its_address_unless_that_is_loopback(host: str, client: str | None) -> None:
    assert client_key(host) == client


def test_a_full_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 20, now=100.0)
    assert bucket.take(30, 100.0) == 20
    assert bucket.take(1, 100.05) == 0
    assert bucket.take(1, 100.125) == 1
    assert bucket.take(100, 101.125) == 10
    assert bucket.take(100, 1000.0) == 20


def test_a_bucket_returns_the_time_until_it_has_enough_tokens() -> None:
    bucket = TokenBucket(10, 20, now=0.0)
    assert bucket.seconds_until(20) == 0.0
    assert bucket.take(20, 0.0) == 20
    assert bucket.seconds_until(5) == pytest.approx(0.5)
    assert bucket.seconds_until(1_000_000) == pytest.approx(2.0)


def test_a_clock_that_stands_still_or_goes_back_adds_no_tokens() -> None:
    bucket = TokenBucket(10, 20, now=50.0)
    assert bucket.take(20, 50.0) == 20
    assert bucket.take(1, 49.0) == 0
    assert bucket.take(1, 49.0) == 0


@given(
    rate=st.integers(1, 10_000),
    asked=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 20_000)), max_size=50),
)
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(rate: int, asked: list[tuple[float, int]]) -> None:
    bucket = TokenBucket(rate, 2 * rate, now=0.0)
    now, given_out = 0.0, 0
    for pause, wanted in asked:
        now += pause
        taken = bucket.take(wanted, now)
        assert 0 <= taken <= wanted
        given_out += taken
        assert given_out <= 2 * rate + now * rate + 1e-6 * (1 + given_out)


@given(rate=st.integers(1, 10_000), wanted=st.integers(1, 20_000))
def test_a_client_that_waits_as_asked_gets_its_tokens(rate: int, wanted: int) -> None:
    bucket = TokenBucket(rate, 2 * rate, now=0.0)
    bucket.take(2 * rate, 0.0)
    after = bucket.seconds_until(wanted)
    assert bucket.take(wanted, after + 1e-6) >= min(wanted, 2 * rate) - 1


def test_an_address_has_one_bucket_and_loopback_one_for_each_connection() -> None:
    limiter = Limiter(rate=10)
    assert limiter.bucket("192.0.2.7", 0.0) is limiter.bucket("192.0.2.7", 5.0)
    assert limiter.bucket("192.0.2.7", 0.0) is not limiter.bucket("192.0.2.8", 0.0)
    assert limiter.bucket(None, 0.0) is not limiter.bucket(None, 0.0)


def test_nothing_is_limited_by_default() -> None:
    limiter = Limiter()
    assert limiter.bucket("192.0.2.7", 0.0) is None
    assert [limiter.add_connection("192.0.2.7") for _ in range(1000)] == [""] * 1000


def test_a_connection_above_the_limit_is_refused_until_another_closes() -> None:
    limiter = Limiter(connections=2)
    assert limiter.add_connection("192.0.2.7") == ""
    assert limiter.add_connection("192.0.2.7") == ""
    assert limiter.add_connection("192.0.2.7") == "192.0.2.7 has 2 connections already"
    assert limiter.add_connection("192.0.2.8") == ""
    assert limiter.add_connection(None) == ""
    limiter.remove_connection("192.0.2.7")
    limiter.remove_connection("192.0.2.7")
    limiter.remove_connection(None)
    assert limiter.add_connection("192.0.2.7") == ""


def test_replies_to_many_wrong_tokens_of_one_address_are_delayed() -> None:
    limiter = Limiter()
    delays = [limiter.count_wrong_token("192.0.2.7", float(second)) for second in range(FREE_GUESSES + 2)]
    assert delays == [0.0] * FREE_GUESSES + [GUESS_DELAY] * 2
    assert limiter.count_wrong_token("192.0.2.8", 10.0) == 0.0
    assert limiter.count_wrong_token("192.0.2.7", 7.0 + GUESS_LIFETIME) == 0.0


def test_few_of_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_CLIENTS >= 1000
    monkeypatch.setattr(rate_limits, "MAX_CLIENTS", 50)
    limiter = Limiter(rate=10, connections=5)
    first = limiter.bucket("first", 0.0)
    for number in range(500):
        limiter.bucket(f"address {number}", 0.0)
        limiter.count_wrong_token(f"address {number}", 0.0)
        limiter.add_connection(f"address {number}")
        limiter.remove_connection(f"address {number}")
    assert limiter.sizes == (0, 50, 50)
    assert limiter.bucket("first", 0.0) is not first
