"""The addresses of RabbitMQ: URLs parsed once, whose password is kept out of everything that may be shown."""

import os
import socket
from collections.abc import Sequence

import pika

from core import broker_urls
from core.errors import ConfigurationError

SOCKET_TIMEOUT = 3
"""Seconds to make a TCP connection."""

STACK_TIMEOUT = 5
"""Seconds to set up TCP, TLS and AMQP together. Without it, each attempt at a broker that hangs takes 15 s."""


class BrokerAddress:
    """The address of one RabbitMQ node. It never shows its URL, because of the password in it.

    Attributes:
        place: host, port and virtual host, for people.
    """

    def __init__(self, url: str, heartbeat: int, blocked_timeout: float) -> None:
        self._url = url
        self._heartbeat = heartbeat
        self._blocked_timeout = blocked_timeout
        try:
            parameters = self.parameters("")
        except Exception:  # noqa: BLE001  an error of pika may quote the URL, so it is not passed on
            parameters = None
        if parameters is None:
            raise ConfigurationError(f"not a broker URL: {broker_urls.FORM}")
        self.place = f"RabbitMQ at {parameters.host}:{parameters.port}"
        if parameters.virtual_host != "/":
            self.place += f"/{parameters.virtual_host}"

    def __repr__(self) -> str:
        return f"<{self.place}>"

    def parameters(self, role: str) -> pika.connection.Parameters:
        """Make the parameters of one connection; `role` becomes part of the connection name that RabbitMQ shows."""
        if not self._url.startswith(("amqp://", "amqps://")):
            raise ValueError("unknown scheme")
        parameters = pika.URLParameters(self._url)
        parameters.heartbeat = self._heartbeat
        parameters.blocked_connection_timeout = self._blocked_timeout
        parameters.socket_timeout = SOCKET_TIMEOUT
        parameters.stack_timeout = STACK_TIMEOUT
        parameters.connection_attempts = 1
        parameters.client_properties = {"connection_name": f"cauce {role} {socket.gethostname()}:{os.getpid()}"}
        return parameters


def read_addresses(urls: Sequence[str], heartbeat: int, blocked_timeout: float) -> tuple[BrokerAddress, ...]:
    """Parse the URLs of a broker, or of the nodes of a cluster.

    Raises:
        ConfigurationError: the list is empty, or an entry is not a broker URL.
    """
    if not urls:
        raise ConfigurationError("no broker URL was given")
    return tuple(BrokerAddress(url, heartbeat, blocked_timeout) for url in urls)
