"""Where RabbitMQ is: URLs read once, with the password kept out of everything that may be shown."""

import os
import socket
from collections.abc import Sequence

import pika

from core.errors import ConfigurationError

SOCKET_SECONDS = 3
"""How long a TCP connection may take to be made."""

STACK_SECONDS = 5
"""How long all of TCP, TLS and AMQP may take to be set up. Without it a broker that hangs costs 15 s a try."""


class BrokerAddress:
    """One RabbitMQ. It never shows its URL, for the password in it.

    Attributes:
        place: which one it is, for people.
    """

    def __init__(self, url: str, heartbeat: int, blocked_timeout: float) -> None:
        self._url = url
        self._heartbeat = heartbeat
        self._blocked_timeout = blocked_timeout
        try:
            parameters = self.parameters("")
        except Exception:  # noqa: BLE001  whatever pika raises may quote the URL, so nothing of it goes further
            parameters = None
        if parameters is None:
            raise ConfigurationError("not a broker's URL: it has the form amqp://USER:PASSWORD@HOST:PORT/VHOST")
        self.place = f"RabbitMQ at {parameters.host}:{parameters.port}"
        if parameters.virtual_host != "/":
            self.place += f"/{parameters.virtual_host}"

    def __repr__(self) -> str:
        return f"<{self.place}>"

    def parameters(self, role: str) -> pika.connection.Parameters:
        """Make the parameters of one connection; `role` is part of the name that RabbitMQ shows of it."""
        if not self._url.startswith(("amqp://", "amqps://")):
            raise ValueError("another scheme")
        parameters = pika.URLParameters(self._url)
        parameters.heartbeat = self._heartbeat
        parameters.blocked_connection_timeout = self._blocked_timeout
        parameters.socket_timeout = SOCKET_SECONDS
        parameters.stack_timeout = STACK_SECONDS
        parameters.connection_attempts = 1
        parameters.client_properties = {"connection_name": f"cauce {role} {socket.gethostname()}:{os.getpid()}"}
        return parameters


def read_addresses(urls: Sequence[str], heartbeat: int, blocked_timeout: float) -> tuple[BrokerAddress, ...]:
    """Read the URLs of a broker or of a cluster's nodes.

    Raises:
        ConfigurationError: there is none, or one is not a URL of a broker.
    """
    if not urls:
        raise ConfigurationError("no broker's URL was given")
    return tuple(BrokerAddress(url, heartbeat, blocked_timeout) for url in urls)
