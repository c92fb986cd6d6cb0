"""Turns Python functions into kinds of task that a worker can run.

A module that defines a kind of task:

    from core.tasks import task

    @task("greet", retries=3, timeout=30.0)
    def greet(payload: str) -> str:
        return f"Hello, {payload}!"

A worker loads it with `--tasks FILE.py` or `--tasks package.module`.
A long-running function takes a `TaskContext` as its second parameter, and calls its `check` now and then.
A function that raises is retried; one that raises `GiveUp` fails at once, and `RetryAfter` says when to retry.
"""

from core.tasks.builtin import DEFAULT_KIND
from core.tasks.context import TaskContext
from core.tasks.definition import GiveUp, InvalidPayload, RetryAfter, TaskDefinition, task
from core.tasks.execution import MAX_RESULT, is_permanent, run
from core.tasks.failure import describe
from core.tasks.lifespan import around, on_start, on_stop
from core.tasks.loading import load
from core.tasks.registry import Registry, builtin_registry

__all__ = [
    "DEFAULT_KIND",
    "MAX_RESULT",
    "GiveUp",
    "InvalidPayload",
    "Registry",
    "RetryAfter",
    "TaskContext",
    "TaskDefinition",
    "around",
    "builtin_registry",
    "describe",
    "is_permanent",
    "load",
    "on_start",
    "on_stop",
    "run",
    "task",
]
