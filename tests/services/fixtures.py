"""Fixtures for tests that need a real RabbitMQ."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from core.broker.rabbitmq import quiet_pika
from tests.services.rabbitmq import RabbitNode, find_programs

MakeRabbitNode: TypeAlias = Callable[[Path], RabbitNode]


@pytest.fixture(scope="session")
def make_rabbitmq_node() -> MakeRabbitNode:
    """Makes nodes; where RabbitMQ is missing the test fails, or is skipped when services are not wanted."""
    quiet_pika()
    try:
        find_programs()
    except FileNotFoundError as error:
        if os.environ.get("CAUCE_SKIP_SERVICES") == "1":
            pytest.skip(str(error))
        pytest.fail(str(error), pytrace=False)
    return RabbitNode


@pytest.fixture(scope="session")
def rabbitmq_node(make_rabbitmq_node: MakeRabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """The node that all tests share: none may stop, suspend or reconfigure it."""
    yield from _running(make_rabbitmq_node(tmp_path_factory.mktemp("rabbitmq") / "shared"))


@pytest.fixture
def rabbitmq_url(rabbitmq_node: RabbitNode) -> str:
    """A virtual host that no other test has used."""
    return rabbitmq_node.vhost()


@pytest.fixture
def own_rabbitmq_node(make_rabbitmq_node: MakeRabbitNode, tmp_path: Path) -> Iterator[RabbitNode]:
    """A node of the test's own, to do anything to. Its start takes about ten seconds of a processor."""
    yield from _running(make_rabbitmq_node(tmp_path / "rabbitmq"))


def _running(node: RabbitNode) -> Iterator[RabbitNode]:
    try:
        node.start()
        yield node
    finally:
        node.stop()
