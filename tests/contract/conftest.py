"""The brokers and the journals that the contracts are tested with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.broker.base import Broker
from core.broker.embedded import EmbeddedBroker
from core.repository.archive import Archive
from core.repository.base import OpenRepository, Repository
from tests.contract.repositories import JOURNALS, Openers


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def unprepared(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    """A broker that was never used."""
    return _rabbitmq(request) if request.param == "rabbitmq" else EmbeddedBroker(tmp_path / "queue.db")


@pytest.fixture
def broker(unprepared: Broker) -> Broker:
    """A broker whose queues exist and are empty."""
    unprepared.prepare()
    return unprepared


def _rabbitmq(request: pytest.FixtureRequest) -> Broker:
    from core.broker.rabbitmq import RabbitBroker  # imported only for its tests

    url: str = request.getfixturevalue("rabbitmq_url")
    return RabbitBroker([url])


@pytest.fixture(params=sorted(JOURNALS))
def openers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Openers]:
    """What opens connections to one new journal, of each kind."""
    with JOURNALS[str(request.param)](tmp_path) as made:
        yield made


@pytest.fixture
def open_repository(openers: Openers) -> OpenRepository:
    """Open connections to one new journal."""
    return openers.repository


@pytest.fixture
def journal(open_repository: OpenRepository) -> Repository:
    """One connection to a new journal."""
    return open_repository()


@pytest.fixture
def archive(openers: Openers, journal: Repository) -> Archive:
    """The archive of the same journal."""
    assert journal.counts()
    return openers.archive()
