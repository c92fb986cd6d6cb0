"""What is pure of the troubles of links: how they are dealt, how long they are, and which way a URL leads."""

import random

from core.addresses import Address
from tests.faults import network
from tests.faults.network import Spans


def test_each_trouble_is_made_as_often_as_the_others_and_the_same_seed_deals_the_same() -> None:
    dealt = network.deck(random.Random(1), 40)  # noqa: S311 - it chooses faults
    assert {name: dealt.count(name) for name in network.TROUBLES} == dict.fromkeys(network.TROUBLES, 10)
    assert dealt == network.deck(random.Random(1), 40)  # noqa: S311 - it chooses faults
    assert dealt != sorted(dealt)


def test_spans_are_within_their_bounds_and_mostly_short() -> None:
    chance = random.Random(1)  # noqa: S311 - it chooses faults
    drawn = sorted(Spans(most=30.0).draw(chance) for _ in range(1_000))
    assert 1.0 <= drawn[0] < drawn[500] < 8.0 < 28.0 < drawn[-1] <= 30.0


def test_a_url_by_way_of_a_proxy_keeps_the_name_the_password_and_the_virtual_host() -> None:
    url = "amqp://me:p%40ss@127.0.0.1:5672/%2F"
    assert network.through(url, Address("127.0.0.1", 9)) == "amqp://me:p%40ss@127.0.0.1:9/%2F"


def test_a_refused_task_is_a_finding_and_none_is_not() -> None:
    assert list(network.refused({})) == []
    (finding,) = network.refused({"t-1": "busy", "t-2": "busy"})
    assert "2 honest tasks were refused: busy" in str(finding)
