"""The settings of the client, and the client and pool made from them."""

from core import config, encryption
from core.addresses import BALANCER, SERVERS, Address
from core.client import base
from core.client.client import Client
from core.client.pool import ConnectionPool
from core.config import Option, Settings

SERVER: Option[tuple[Address, ...]] = Option(
    "client.server",
    config.several(config.address),
    (BALANCER, SERVERS[0]),
    "server or balancer to connect to; several are used in turn (may be repeated)",
    short="-s",
    metavar="HOST:PORT",
    many=True,
)
ANSWER_TIMEOUT = Option(
    "client.timeout",
    config.seconds(0.1, 3600),
    base.TIMEOUT,
    "time to wait for an answer before another server is asked",
    flag="--answer-timeout",
    metavar="SECONDS",
)
PATIENCE = Option(
    "client.patience",
    config.seconds(0, 86_400),
    base.PATIENCE,
    "time to keep trying while no server answers",
    metavar="SECONDS",
)

OPTIONS = (
    config.DIRECTORY,
    SERVER,
    config.TOKEN,
    config.TOKEN_FILE,
    *encryption.CLIENT_OPTIONS,
    ANSWER_TIMEOUT,
    PATIENCE,
    config.LOG_LEVEL,
    config.LOG_FORMAT,
)


def open_pool(settings: Settings) -> ConnectionPool:
    """Make a connection pool from the settings."""
    # Of the default addresses, the balancer is preferred; the first server replaces it only while it is down.
    spread = settings.given(SERVER)
    return ConnectionPool(
        settings[SERVER],
        config.read_token(settings),
        settings[ANSWER_TIMEOUT],
        spread=spread,
        tls=encryption.for_client(settings),
    )


def open_client(settings: Settings) -> Client:
    """Make a client from the settings."""
    return Client(
        settings[SERVER],
        config.read_token(settings),
        timeout=settings[ANSWER_TIMEOUT],
        patience=settings[PATIENCE],
        spread=settings.given(SERVER),
        tls=encryption.for_client(settings),
    )
