"""The faults of links: their number and order, their durations, and the URL by way of a proxy."""

import random

from core.addresses import Address
from tests.faults import network
from tests.faults.network import DurationRange


def test_each_fault_is_made_equally_often_and_the_same_seed_gives_the_same_order() -> None:
    faults = network.shuffled_faults(random.Random(1), 40)  # noqa: S311 - it chooses faults
    assert {name: faults.count(name) for name in network.FAULTS} == dict.fromkeys(network.FAULTS, 10)
    assert faults == network.shuffled_faults(random.Random(1), 40)  # noqa: S311 - it chooses faults
    assert faults != sorted(faults)


def test_durations_are_within_their_bounds_and_mostly_short() -> None:
    rng = random.Random(1)  # noqa: S311 - it chooses faults
    durations = sorted(DurationRange(max=30.0).draw(rng) for _ in range(1_000))
    assert 1.0 <= durations[0] < durations[500] < 8.0 < 28.0 < durations[-1] <= 30.0


def test_a_url_by_way_of_a_proxy_keeps_the_name_the_password_and_the_virtual_host() -> None:
    url = "amqp://me:p%40ss@127.0.0.1:5672/%2F"
    assert network.through(url, Address("127.0.0.1", 9)) == "amqp://me:p%40ss@127.0.0.1:9/%2F"


def test_a_refused_task_is_a_finding_and_none_is_not() -> None:
    assert list(network.refused({})) == []
    (finding,) = network.refused({"t-1": "busy", "t-2": "busy"})
    assert "2 honest tasks were refused: busy" in str(finding)
