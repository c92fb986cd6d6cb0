"""The settings of a worker."""

from core import config
from core.config import Option

CONCURRENCY = Option(
    "worker.concurrency",
    config.whole_number(1, 1000),
    4,
    "tasks that run at once, each in its own thread",
    ("-c", "--concurrency"),
    "N",
)
NAME = Option(
    "worker.name", config.optional_text, "", "the worker's name (default: w and its number)", ("-n", "--name"), "NAME"
)
TASKS: Option[tuple[str, ...]] = Option(
    "worker.tasks",
    config.several(config.text),
    (),
    "a module (dotted name or file) with tasks of your own; may be given several times",
    ("--tasks",),
    "MODULE",
    many=True,
)
PREFETCH = Option(
    "worker.prefetch",
    config.whole_number(0, 10_000),
    0,
    "tasks held at most, running ones included; 0 follows how long they take",
    ("--prefetch",),
    "N",
)
BURST = Option("worker.burst", config.switch, False, "leave when the queue is empty", ("--burst",))
MAX_TASKS = Option(
    "worker.max-tasks", config.whole_number(0, 2**53), 0, "leave after so many tasks; 0 never", ("--max-tasks",), "N"
)
SHUTDOWN_TIMEOUT = Option(
    "worker.shutdown-timeout",
    config.seconds(0, 86_400),
    30.0,
    "how long running tasks may take to finish before the worker leaves without them",
    ("--shutdown-timeout",),
    "SECONDS",
)
RETRIES = Option(
    "worker.retries",
    config.whole_number(0, 100),
    3,
    "how often a failure is tried again, where neither task nor kind says",
    ("--retries",),
    "N",
)
RETRY_DELAY = Option(
    "worker.retry-delay",
    config.seconds(0.01, 3600),
    1.0,
    "the wait before the first retry; it doubles each time",
    ("--retry-delay",),
    "SECONDS",
)
TIMEOUT = Option(
    "worker.timeout",
    config.seconds(0, 86_400 * 7),
    0.0,
    "how long a task may run, where its kind doesn't say; 0 for ever",
    ("--timeout",),
    "SECONDS",
)
LAB = Option(
    "worker.lab", config.switch, False, "also the kinds that break things, for learning: fail and crash", ("--lab",)
)
FILES_ROOT = Option(
    "worker.files-root",
    config.optional_text,
    "",
    "the directory of which tasks may read files",
    ("--files-root",),
    "DIRECTORY",
)

OPTIONS = (
    *config.COMMON,
    CONCURRENCY,
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
    FILES_ROOT,
)
