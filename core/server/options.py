"""The settings of a server."""

from core import config, exposure
from core.addresses import Address
from core.config import Option

LISTEN = Option(
    "server.listen",
    config.address,
    Address("127.0.0.1", 7101),
    "where to listen; port 0 finds a free one",
    ("--listen",),
    "HOST:PORT",
)
NAME = Option(
    "server.name", config.optional_text, "", "the server's name (default: s and its number)", ("-n", "--name"), "NAME"
)
MAX_LINE = Option(
    "server.max-line",
    config.whole_number(1024, 64 * 1024 * 1024),
    1024 * 1024,
    "the longest request, in bytes",
    ("--max-line",),
    "BYTES",
)
MAX_CONNECTIONS = Option(
    "server.max-connections",
    config.whole_number(1, 1_000_000),
    10_000,
    "connections at once",
    ("--max-connections",),
    "N",
)
IDLE_SECONDS = Option(
    "server.idle-seconds",
    config.seconds(1, 86_400),
    900.0,
    "a connection is closed after so long without a request",
    ("--idle-seconds",),
    "SECONDS",
)
CONNECTION_AGE = Option(
    "server.connection-age",
    config.seconds(1, 86_400),
    600.0,
    "a connection is asked to connect anew after about so long, so that the load is shared",
    ("--connection-age",),
    "SECONDS",
)
SHUTDOWN_TIMEOUT = Option(
    "server.shutdown-timeout",
    config.seconds(0, 3600),
    10.0,
    "how long to answer what is open before leaving",
    ("--shutdown-timeout",),
    "SECONDS",
)

OPTIONS = (
    *config.COMMON,
    LISTEN,
    NAME,
    config.TOKEN,
    config.TOKEN_FILE,
    *exposure.OPTIONS,
    MAX_LINE,
    MAX_CONNECTIONS,
    IDLE_SECONDS,
    CONNECTION_AGE,
    SHUTDOWN_TIMEOUT,
)
