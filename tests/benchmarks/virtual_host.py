"""A virtual host of a RabbitMQ node for one run of a case, deleted afterwards with its queues."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from tests.services.rabbitmq import RabbitNode


@contextmanager
def virtual_host(node: RabbitNode) -> Iterator[str]:
    """Make a virtual host within the block. Provides its URL."""
    url = node.vhost()
    try:
        yield url
    finally:
        name = unquote(urlsplit(url).path[1:])
        node.eval(f'rabbit_vhost:delete(<<"{name}">>, <<"tests">>).')
