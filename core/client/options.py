"""The settings of the client, and the client that they make."""

from core import config, encryption
from core.addresses import BALANCER, SERVERS, Address
from core.client.client import PATIENCE, TIMEOUT, Client
from core.client.pool import ConnectionPool
from core.config import Option, Settings

SERVER: Option[tuple[Address, ...]] = Option(
    "client.server",
    config.several(config.address),
    (BALANCER, SERVERS[0]),
    "where to connect to: the balancer, or servers that take turns; may be given several times",
    ("-s", "--server"),
    "HOST:PORT",
    many=True,
)
ANSWER_TIMEOUT = Option(
    "client.timeout",
    config.seconds(0.1, 3600),
    TIMEOUT,
    "how long an answer may take before it is asked for again",
    ("--answer-timeout",),
    "SECONDS",
)
PATIENCE_SECONDS = Option(
    "client.patience",
    config.seconds(0, 86_400),
    PATIENCE,
    "how long to try while no server can be reached",
    ("--patience",),
    "SECONDS",
)

OPTIONS = (
    SERVER,
    config.TOKEN,
    config.TOKEN_FILE,
    *encryption.CLIENT_OPTIONS,
    ANSWER_TIMEOUT,
    PATIENCE_SECONDS,
    config.LOG_LEVEL,
    config.LOG_FORMAT,
)


def open_pool(settings: Settings) -> ConnectionPool:
    """Make the connections that the settings describe."""
    # By default the balancer is the one to ask, and the first server only stands in for it.
    spread = settings.given(SERVER)
    return ConnectionPool(
        settings[SERVER],
        config.read_token(settings),
        settings[ANSWER_TIMEOUT],
        spread=spread,
        tls=encryption.for_client(settings),
    )


def open_client(settings: Settings) -> Client:
    """Make the client that the settings describe."""
    return Client(
        settings[SERVER],
        config.read_token(settings),
        timeout=settings[ANSWER_TIMEOUT],
        patience=settings[PATIENCE_SECONDS],
        spread=settings.given(SERVER),
        tls=encryption.for_client(settings),
    )
