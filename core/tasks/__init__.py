"""Tasks: how a Python function becomes a kind of task, and how a worker finds and runs it.

A module of one's own needs no more than this:

    from core.tasks import task

    @task("greet", retries=3, timeout=30.0)
    def greet(payload: str) -> str:
        return f"Hello, {payload}!"
"""

from core.tasks.builtin import DEFAULT_KIND
from core.tasks.context import TaskContext
from core.tasks.definition import GiveUp, InvalidPayload, TaskDefinition, task
from core.tasks.execution import MAX_RESULT, is_permanent, run
from core.tasks.failure import describe
from core.tasks.loading import load
from core.tasks.registry import Registry, builtin_registry

__all__ = [
    "DEFAULT_KIND",
    "MAX_RESULT",
    "GiveUp",
    "InvalidPayload",
    "Registry",
    "TaskContext",
    "TaskDefinition",
    "builtin_registry",
    "describe",
    "is_permanent",
    "load",
    "run",
    "task",
]
