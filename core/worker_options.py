"""The options of a worker that its supervisor has too, and passes on to the workers that it starts.

Each program has them in its own table of the settings file, except the time that a worker has to stop.
"""

from core import config
from core.config import Option


def concurrency(table: str) -> Option[int]:
    """Return the option that sets how many tasks a worker runs at once."""
    return Option(
        f"{table}.concurrency",
        config.whole_number(1, 1000),
        4,
        "tasks that each worker runs at once, each in its own thread",
        short="-c",
    )


def tasks(table: str) -> Option[tuple[str, ...]]:
    """Return the option that names modules with tasks."""
    return Option(
        f"{table}.tasks",
        config.task_modules,
        (),
        "a module (dotted name or file) with your own tasks; may be given several times",
        metavar="MODULE",
        many=True,
        resolve=config.absolute_task_modules,
    )


SHUTDOWN_TIMEOUT = Option(
    "worker.shutdown-timeout",
    config.seconds(0, 86_400),
    30.0,
    "how long to wait for running tasks when the worker stops",
)


def lab(table: str) -> Option[bool]:
    """Return the option that adds the kinds for experiments."""
    return Option(f"{table}.lab", config.switch, False, "also run the kinds that fail or crash, for experiments")
