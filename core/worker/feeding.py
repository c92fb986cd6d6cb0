"""Gives waiting tasks to the runners that run several at once."""

import msgspec

from core.begun_slots import CAPACITY
from core.repository.beginnings import WorkerBeginnings
from core.worker import policy
from core.worker.in_flight import InFlightTask
from core.worker.run_outcomes import RunLimits, RunRules, RunSettings
from core.worker.runner_group import RunnerGroup
from core.worker.runner_process import RunnerProcess
from core.worker.waiting_tasks import WaitingTasks

MAX_TASKS = CAPACITY // 2
"""The most tasks that the runners of a worker have at once. As many may have ended and wait to be stored."""


class _Room(msgspec.Struct, eq=False):
    """A runner that takes tasks."""

    runner: RunnerProcess
    left: int
    """How many more it takes now."""
    batch: list[tuple[InFlightTask, RunLimits]] = []


class Feeder:
    """Gives tasks to the shared runners. It belongs to the thread of the runners.

    Args:
        settings: the worker's settings.
        rules: decide about each task.
        group: the runners.
        beginnings: where the runners note what begins.
        waiting: the tasks that wait.
    """

    def __init__(
        self,
        settings: RunSettings,
        rules: RunRules,
        group: RunnerGroup,
        beginnings: WorkerBeginnings,
        waiting: WaitingTasks,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._group = group
        self._beginnings = beginnings
        self._waiting = waiting
        self._seconds_each: float | None = None

    def note_duration(self, seconds: float) -> None:
        """Note how long a task took."""
        self._seconds_each = policy.moving_average(self._seconds_each, seconds)

    def note_wait(self, seconds: float) -> None:
        """Note that a task has waited so long behind others in its runner."""
        self._seconds_each = max(self._seconds_each or 0.0, seconds)

    def feed(self, solo_places: int) -> None:
        """Give waiting tasks to the runners that have room.

        Args:
            solo_places: how many of the tasks that may run at once run alone, or will as soon as fewer others run.
        """
        waiting = self._waiting.shared
        rooms = self._rooms(solo_places) if waiting else []
        while waiting and rooms and self._beginnings.has_room:
            room = max(rooms, key=lambda room: room.left)
            if room.left <= 0:
                break
            task = waiting.popleft()
            if self._waiting.may_begin(task):
                room.batch.append((task, self._rules.limits(task)))
                room.left -= 1
        for room in rooms:
            if room.batch:
                room.runner.run(room.batch)
                self._group.watch(room.runner)

    def _rooms(self, solo_places: int) -> list["_Room"]:
        """Return the runners that take tasks, each with the number that it takes now."""
        shared = self._group.shared
        elsewhere = solo_places + sum(runner.load for runner in shared if runner.leaving and runner.outdated)
        each = -(-(self._settings.concurrency - elsewhere) // self._settings.runners)
        rooms: list[_Room] = []
        for runner in shared:
            if runner.ready and not runner.leaving:
                limit = policy.feed_limit(runner.threads, self._seconds_each, MAX_TASKS // self._settings.runners)
                rooms.append(_Room(runner, (min(limit, each) if elsewhere else limit) - runner.load))
        return rooms
