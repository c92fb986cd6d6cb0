"""The settings of the supervisor, and of what it starts."""

from core import config
from core.addresses import BALANCER, SERVERS
from core.config import Option, Settings
from core.errors import ConfigurationError

SERVER_COUNT = Option("supervisor.servers", config.whole_number(0, 64), 2, "how many servers", ("--servers",), "N")
WORKER_COUNT = Option("supervisor.workers", config.whole_number(0, 256), 2, "how many workers", ("--workers",), "N")
CONCURRENCY = Option(
    "supervisor.concurrency",
    config.whole_number(1, 1000),
    4,
    "tasks that each worker runs at once, each in its own thread",
    ("-c", "--concurrency"),
    "N",
)
NGINX = Option(
    "supervisor.nginx", config.switch, False, "put NGINX before the servers, to share the connections out", ("--nginx",)
)
LISTEN = Option(
    "supervisor.listen",
    config.address,
    BALANCER,
    "where NGINX listens, or the first server when there is no NGINX; when this is not given and the port is taken, "
    "another is chosen; port 0 finds a free one",
    ("--listen",),
    "HOST:PORT",
)
SERVER_PORT = Option(
    "supervisor.server-port",
    config.whole_number(0, 65_535),
    SERVERS[0].port,
    "the first server's port; the others take the free ones after it; 0 finds any free ones",
    ("--server-port",),
    "PORT",
)
TASKS: Option[tuple[str, ...]] = Option(
    "supervisor.tasks",
    config.several(config.text),
    (),
    "a module (dotted name or file) with tasks of your own; may be given several times",
    ("--tasks",),
    "MODULE",
    many=True,
)
LAB = Option(
    "supervisor.lab", config.switch, False, "also the kinds that break things, for learning: fail and crash", ("--lab",)
)
START_TIMEOUT = Option(
    "supervisor.start-timeout",
    config.seconds(1, 3600),
    30.0,
    "how long the servers, then the workers, then NGINX may take to be ready",
    ("--start-timeout",),
    "SECONDS",
)
STOP_TIMEOUT = Option(
    "supervisor.stop-timeout",
    config.seconds(0, 86_400),
    60.0,
    "how long a stop may take before what still runs is killed",
    ("--stop-timeout",),
    "SECONDS",
)
TOKEN = Option("token", config.optional_text, "", "what clients have to show", secret=True)
TOKEN_FILE = Option(
    "token-file",
    config.optional_text,
    "",
    "a file whose first line is what clients have to show",
    ("--token-file",),
    "FILE",
)

OPTIONS = (
    *config.COMMON,
    SERVER_COUNT,
    WORKER_COUNT,
    CONCURRENCY,
    NGINX,
    LISTEN,
    SERVER_PORT,
    TASKS,
    LAB,
    START_TIMEOUT,
    STOP_TIMEOUT,
    TOKEN,
    TOKEN_FILE,
)


def read_token(settings: Settings) -> str | None:
    """What clients have to show, from its file or the environment; None when they have to show nothing.

    Raises:
        ConfigurationError: the file can't be read, or is empty.
    """
    file = settings[TOKEN_FILE]
    if not file:
        return settings[TOKEN] or None
    try:
        with open(file, encoding="utf-8") as stream:
            token = stream.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"token-file: {file} can't be read: {error}") from error
    if not token:
        raise ConfigurationError(f"token-file: the first line of {file} is empty")
    return token
