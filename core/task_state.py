"""The state of a task, from what the journal stores of it and from the heartbeats of the workers. Pure.

Servers, monitor and console all use this, so that they say the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from core.model import RunningOn, RunningTask, State

RunningTasks: TypeAlias = Mapping[str, RunningOn]
"""The workers that run tasks now, by the ids of the tasks."""


class Process(Protocol):
    """A process that is alive, as its heartbeat describes it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def in_hand(self) -> Sequence[RunningTask]:
        """The tasks that it runs."""


class StoredTask(Protocol):
    """A task as the journal stores it."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def state(self) -> State:
        """The stored state."""

    @property
    def tries(self) -> int:
        """The number of attempts that have ended."""

    @property
    def worker(self) -> str | None:
        """The worker of the last attempt."""

    @property
    def started(self) -> float | None:
        """When the attempt started that the row of the task is about."""

    @property
    def finished(self) -> float | None:
        """When that attempt finished."""

    @property
    def cancelling(self) -> bool:
        """Whether it was cancelled while it ran, and is not known to have stopped."""


class TaskState(msgspec.Struct, frozen=True):
    """The state of a task at this moment."""

    state: State
    attempt: int
    """The number of the attempt that runs, or of the attempts that have ended when none runs."""
    worker: str = ""
    """The worker that runs the task, or that ran the last attempt."""
    running: RunningOn | None = None
    """The worker that runs the task, which may be cancelling, and since when; None when none does."""


def running_tasks(alive: Iterable[Process]) -> RunningTasks:
    """Return the tasks that live processes run. Of several that have the same task, the one that began last counts."""
    running: dict[str, RunningOn] = {}
    for process in alive:
        for task in process.in_hand:
            known = running.get(task.id)
            if known is None or known.since < task.since:
                running[task.id] = RunningOn(
                    process.name, task.since, task.progress, task.notes, task.runner, task.stack
                )
    return running


def task_state(task: StoredTask, running: RunningTasks) -> TaskState:
    """Return the state of a task.

    Args:
        task: the task in the journal.
        running: the tasks that live processes run. A heartbeat may still name an attempt whose outcome is stored.
    """
    now = running.get(task.id)
    is_over = task.state.ended or (now is not None and task.finished is not None and now.since == task.started)
    cancelling = task.cancelling and not task.state.ended
    if now is None or is_over:
        return TaskState(State.CANCELLING if cancelling else task.state, task.tries, task.worker or "")
    return TaskState(State.CANCELLING if cancelling else State.RUNNING, task.tries + 1, now.worker, now)
