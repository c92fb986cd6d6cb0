"""The brokers that the contract is tested with."""

from pathlib import Path

import pytest

from core.broker.base import Broker
from core.broker.embedded import EmbeddedBroker


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    """A broker whose queues exist and are empty."""
    made = _rabbitmq(request) if request.param == "rabbitmq" else EmbeddedBroker(tmp_path / "queue.db")
    made.prepare()
    return made


def _rabbitmq(request: pytest.FixtureRequest) -> Broker:
    from core.broker.rabbitmq import RabbitBroker  # only where its tests are wanted

    url: str = request.getfixturevalue("rabbitmq_url")
    return RabbitBroker([url])
