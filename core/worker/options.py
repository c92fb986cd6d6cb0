"""The options of a worker."""

from core import config, worker_options
from core.config import Option

CONCURRENCY = worker_options.concurrency("worker")
RUNNERS = worker_options.runners("worker")
MAX_TASKS_PER_RUNNER = worker_options.max_tasks_per_runner("worker")
MAX_MEMORY_PER_RUNNER = worker_options.max_memory_per_runner("worker")
NAME = Option(
    "worker.name",
    config.optional_text,
    "",
    "the worker's name; w and its number without one",
    short="-n",
    metavar="NAME",
)
TASKS = worker_options.tasks("worker")
PREFETCH = Option(
    "worker.prefetch",
    config.whole_number(0, 10_000),
    0,
    "how many tasks to take from the broker, running ones included; 0: as many as their duration suggests",
)
BURST = Option("worker.burst", config.switch, False, "stop when the queue is empty")
MAX_TASKS = Option("worker.max-tasks", config.whole_number(0, 2**53), 0, "stop after this many tasks; 0: never")
SHUTDOWN_TIMEOUT = worker_options.SHUTDOWN_TIMEOUT
RETRIES = Option(
    "worker.retries",
    config.whole_number(0, 100),
    3,
    "how often to retry a failed task, unless the task or its kind specifies it",
)
RETRY_DELAY = Option(
    "worker.retry-delay", config.seconds(0.01, 3600), 1.0, "delay before the first retry; it doubles with each retry"
)
TIMEOUT = Option(
    "worker.timeout",
    config.seconds(0, 86_400 * 7),
    3600.0,
    "how long a task may run, unless its kind specifies it; 0: without a limit",
)
LAB = worker_options.lab("worker")
RELOAD = worker_options.reload("worker")
FILES_ROOT = Option(
    "worker.files-root",
    config.optional_text,
    "",
    "the directory whose files tasks may read",
    metavar="DIRECTORY",
    resolve=config.absolute_path,
)

OPTIONS = (
    *config.COMMON,
    CONCURRENCY,
    RUNNERS,
    MAX_TASKS_PER_RUNNER,
    MAX_MEMORY_PER_RUNNER,
    NAME,
    TASKS,
    PREFETCH,
    BURST,
    MAX_TASKS,
    SHUTDOWN_TIMEOUT,
    RETRIES,
    RETRY_DELAY,
    TIMEOUT,
    LAB,
    RELOAD,
    FILES_ROOT,
)
