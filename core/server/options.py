"""The options of a server."""

from core import config, exposure
from core.addresses import Address
from core.config import Option

LISTEN = Option(
    "server.listen",
    config.address,
    Address("127.0.0.1", 7101),
    "address to listen on; port 0 chooses a free port",
    metavar="HOST:PORT",
)
NAME = Option(
    "server.name",
    config.optional_text,
    "",
    "name of the server (default: s and its number)",
    short="-n",
    metavar="NAME",
)
MAX_LINE = Option(
    "server.max-line",
    config.whole_number(1024, 64 * 1024 * 1024),
    1024 * 1024,
    "bytes of the longest request",
    metavar="BYTES",
)
MAX_CONNECTIONS = Option(
    "server.max-connections", config.whole_number(1, 1_000_000), 10_000, "connections at the same time"
)
IDLE_SECONDS = Option(
    "server.idle-seconds", config.seconds(1, 86_400), 900.0, "time without a request after which a connection is closed"
)
CONNECTION_AGE = Option(
    "server.connection-age",
    config.seconds(1, 86_400),
    600.0,
    "approximate age at which a client is asked to reconnect, so that the load is shared",
)
SHUTDOWN_TIMEOUT = Option(
    "server.shutdown-timeout", config.seconds(0, 3600), 10.0, "time to answer open requests before the server ends"
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
