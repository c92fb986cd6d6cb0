"""The settings of the supervisor and of the processes that it starts."""

from dataclasses import replace

from core import config, exposure, worker_options
from core.addresses import BALANCER, SERVERS
from core.config import Option

SERVER_COUNT = Option("supervisor.servers", config.whole_number(0, 64), 2, "number of servers")
WORKER_COUNT = Option("supervisor.workers", config.whole_number(0, 256), 2, "number of workers")
CONCURRENCY = worker_options.concurrency("supervisor")
RUNNERS = worker_options.runners("supervisor")
MAX_TASKS_PER_RUNNER = worker_options.max_tasks_per_runner("supervisor")
MAX_MEMORY_PER_RUNNER = worker_options.max_memory_per_runner("supervisor")
OF_WORKERS = (CONCURRENCY, RUNNERS, MAX_TASKS_PER_RUNNER, MAX_MEMORY_PER_RUNNER)
"""What is passed on to each worker, if it is given."""

NGINX = Option(
    "supervisor.nginx", config.switch, False, "run NGINX in front of the servers, to balance the connections"
)
LISTEN = Option(
    "supervisor.listen",
    config.address,
    BALANCER,
    "address of NGINX, or of the first server without NGINX; port 0 takes a free one; when this is not given and the "
    "port is taken, another is chosen",
    metavar="HOST:PORT",
)
SERVER_PORT = Option(
    "supervisor.server-port",
    config.whole_number(0, 65_535),
    SERVERS[0].port,
    "port of the first server; the others take free ports after it; 0 takes any free ports",
    metavar="PORT",
)
TASKS = worker_options.tasks("supervisor")
LAB = worker_options.lab("supervisor")
RELOAD = worker_options.reload("supervisor")
WORKER_SHUTDOWN_TIMEOUT = replace(worker_options.SHUTDOWN_TIMEOUT, flag="")
START_TIMEOUT = Option(
    "supervisor.start-timeout",
    config.seconds(1, 3600),
    30.0,
    "time for the servers, then the workers, then NGINX to become ready",
)
STOP_TIMEOUT = Option(
    "supervisor.stop-timeout",
    config.seconds(0, 86_400),
    60.0,
    "time after which a stop kills what still runs; workers finish their tasks until shortly before",
)
HUNG_AFTER = Option(
    "supervisor.hung-after",
    config.seconds(0, 86_400),
    30.0,
    "time without a sign of life after which a server or worker is killed and restarted; 0 for never",
)
WHEN_KILLED = Option(
    "supervisor.when-killed",
    config.choice("keep", "drain"),
    "keep",
    "what happens to the processes when the supervisor itself is killed: keep lets them work on until the next "
    "supervisor adopts them, drain lets them finish what they are doing and end",
    metavar="keep|drain",
)

OPTIONS = (
    *config.COMMON,
    SERVER_COUNT,
    WORKER_COUNT,
    *OF_WORKERS,
    NGINX,
    LISTEN,
    SERVER_PORT,
    TASKS,
    LAB,
    RELOAD,
    START_TIMEOUT,
    STOP_TIMEOUT,
    HUNG_AFTER,
    WHEN_KILLED,
    config.TOKEN,
    config.TOKEN_FILE,
    *config.borrow((*exposure.OPTIONS, WORKER_SHUTDOWN_TIMEOUT)),
)
