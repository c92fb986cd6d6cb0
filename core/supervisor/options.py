"""The settings of the supervisor, and of what it starts."""

from core import config, exposure, worker_options
from core.addresses import BALANCER, SERVERS
from core.config import Option

SERVER_COUNT = Option("supervisor.servers", config.whole_number(0, 64), 2, "how many servers", ("--servers",), "N")
WORKER_COUNT = Option("supervisor.workers", config.whole_number(0, 256), 2, "how many workers", ("--workers",), "N")
CONCURRENCY = worker_options.concurrency("supervisor")
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
TASKS = worker_options.tasks("supervisor")
LAB = worker_options.lab("supervisor")
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
HUNG_AFTER = Option(
    "supervisor.hung-after",
    config.seconds(0, 86_400),
    30.0,
    "a server or worker that has shown no sign of life for so long is killed and started again; 0 for never",
    ("--hung-after",),
    "SECONDS",
)
WHEN_KILLED = Option(
    "supervisor.when-killed",
    config.choice("keep", "drain"),
    "keep",
    "what becomes of the processes when the supervisor itself is killed: keep them at work for the next supervisor, "
    "or drain: let them finish what they have in hand and end",
    ("--when-killed",),
    "keep|drain",
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
    HUNG_AFTER,
    WHEN_KILLED,
    config.TOKEN,
    config.TOKEN_FILE,
    *config.borrow(exposure.OPTIONS),
)
