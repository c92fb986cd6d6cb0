"""Addresses: parsing and writing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.addresses import BALANCER, SERVERS, Address
from core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7100", "127.0.0.1", 7100),
        (" example.org:80 ", "example.org", 80),
        (":7100", "127.0.0.1", 7100),
        ("[::1]:7100", "::1", 7100),
        ("a_b-c:0", "a_b-c", 0),
        ("host:65535", "host", 65535),
    ],
)
def test_an_address_is_parsed(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert Address.parse(text).pair == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "host:",
        "host:http",
        "host:-1",
        "host:65536",
        "host:+80",
        "host:٨٠",
        "::1:7100",
        "[host]:7100",
        "[]:7100",
        "[fe80::1%eth0]:7100",
        "[::1:7100",
        "two words:80",
        "a;b:80",
        "a{b:80",
        "-option:80",
        "a\n:80",
        "é:80",
        "a" * 254 + ":80",
    ],
)
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Address.parse(text)


def test_an_address_that_is_not_parsed_is_checked_too() -> None:
    with pytest.raises(ConfigurationError, match="not a host"):
        Address("a; include /etc/passwd", 80)
    with pytest.raises(ConfigurationError, match="not between"):
        Address("host", -1)


@given(
    st.one_of(st.ip_addresses().map(str), st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?", fullmatch=True)),
    st.integers(0, 65535),
)
def test_a_written_address_is_parsed_back(host: str, port: int) -> None:
    if "%" not in host:
        assert Address.parse(str(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("LocalHost", True),
        ("0.0.0.0", False),  # noqa: S104 - it is the one that must not pass as loopback
        ("::", False),
        ("192.168.1.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_recognised(host: str, loopback: bool) -> None:
    assert Address(host, 1).is_loopback is loopback


def test_the_default_addresses_stay_on_this_machine() -> None:
    assert all(address.is_loopback for address in (BALANCER, *SERVERS))
