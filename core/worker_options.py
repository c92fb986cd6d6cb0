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


def runners(table: str) -> Option[int]:
    """Return the option that sets how many processes run a worker's tasks."""
    return Option(
        f"{table}.runners",
        config.whole_number(1, 64),
        1,
        "processes in which each worker runs its tasks; those that run at once are divided among them",
    )


def max_tasks_per_runner(table: str) -> Option[int]:
    """Return the option that sets after how many tasks a runner is replaced."""
    return Option(
        f"{table}.max-tasks-per-runner",
        config.whole_number(0, 2**53),
        0,
        "replace a runner when about this many tasks have ended in it: it goes on until a new one is ready; 0: never",
    )


def max_memory_per_runner(table: str) -> Option[int]:
    """Return the option that sets above which size a runner is replaced."""
    return Option(
        f"{table}.max-memory-per-runner",
        config.size,
        0,
        "replace a runner that has more memory than this, such as 500M or 1.5G, in the same way; 0: never",
        metavar="SIZE",
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


def reload(table: str) -> Option[bool]:
    """Return the option that replaces runners when their modules change."""
    return Option(
        f"{table}.reload",
        config.switch,
        False,
        "replace the runners when a file of your task modules changes, for development",
    )


def lab(table: str) -> Option[bool]:
    """Return the option that adds the kinds for experiments."""
    return Option(f"{table}.lab", config.switch, False, "also run the kinds that fail or crash, for experiments")
