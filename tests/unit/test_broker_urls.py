"""Broker URLs: several in one text, and special characters, which are named without a password."""

from pathlib import Path

import pytest

from core.broker.factory import open_broker
from core.broker_urls import broker_setting, credentials, split
from core.errors import ConfigurationError
from tests.unit.test_config import settings

HIDDEN = "s3cret"


@pytest.mark.parametrize(
    "value",
    [
        "embedded",
        " local ",
        "embedded:C:\\a#b@c/queue.db",
        "amqp://guest:guest@localhost:5672/%2F",
        "amqp://localhost",
        "amqp://u:a,b@h/v?heartbeat=3",
        "amqp://u:a@b@h/v",
        "amqp://u:100%@h/v/",
        "amqps://u:%2F%23@[::1]:5671/v, amqps://u:x@h2",
    ],
)
def test_what_can_be_understood_in_one_way_is_taken(value: str) -> None:
    assert broker_setting(value) == value.strip()


@pytest.mark.parametrize(
    ("url", "codes"),
    [
        (f"amqp://user:{HIDDEN}@ss/word#1@host", ["@ as %40", "/ as %2F", "# as %23"]),
        (f"amqp://user:{HIDDEN}/x@host:5672/v", ["/ as %2F"]),
        (f"amqp://user:12/{HIDDEN}@host", ["/ as %2F"]),
        (f"amqp://user:{HIDDEN}?x@host", ["? as %3F"]),
        (f"amqp://user:{HIDDEN}#%zz@host", ["# as %23", "% as %25"]),
        (f"amqp://user:{HIDDEN}[x]@host", ["[ as %5B", "] as %5D"]),
        (f"amqp://user:{HIDDEN}\tx y@host", ["the character 9 as %09", "a space as %20"]),
        (f"amqp://user:{HIDDEN}@host//", ["/ as %2F"]),
        (f"amqp://user:{HIDDEN}@host/a/b", ["/ as %2F"]),
        (f"amqp://user:{HIDDEN}@host/a#b", ["# as %23"]),
        (f"amqp://a:{HIDDEN}@h1/v, AMQP://b:{HIDDEN}/@h2", ["/ as %2F"]),
    ],
)
def test_a_special_character_is_named_with_its_code_and_no_password(url: str, codes: list[str]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        settings("--broker", url)
    message = str(raised.value)
    assert message.startswith("--broker: ")
    assert f"percent-encode them (write {', '.join(codes)})" in message
    assert HIDDEN not in message


def test_the_nodes_of_a_cluster_are_whole_urls() -> None:
    with pytest.raises(ValueError, match="give each node of a cluster as a whole URL"):
        broker_setting("amqp://u:p@h1,h2")


def test_urls_are_separated_by_commas_that_a_url_follows() -> None:
    assert split("amqp://u:a,b@h1/v , amqps://h2") == ["amqp://u:a,b@h1/v", "amqps://h2"]
    assert split("embedded:a,b.db") == ["embedded:a,b.db"]


def test_the_credentials_of_a_url() -> None:
    assert credentials("amqp://u:a@b@h/v") == "u:a@b"
    assert credentials("amqp://h/v") == ""


def test_a_password_with_a_comma_is_one_url(tmp_path: Path) -> None:
    assert open_broker("amqp://u:a,b@h:1/v", tmp_path).description == "RabbitMQ at h:1/v"
