"""Ends the runners whose tasks do not stop, finds those that died, and decides about their tasks."""

import logging
import time

from core.runner import memory_limit
from core.runner.frames import CancelRun
from core.worker import process_memory
from core.worker.feeding import Feeder
from core.worker.in_flight import InFlightTask
from core.worker.run_outcomes import RunRules, memory_exceeded
from core.worker.runner_group import RunnerGroup
from core.worker.runner_process import RunnerProcess, Slot
from core.worker.solo_runners import SoloRunners
from core.worker.task_callbacks import Callbacks
from core.worker.waiting_tasks import WaitingTasks

CHECK_INTERVAL = 0.05
"""Seconds between two checks while tasks run."""

STOP_TIMEOUT = 5.0
"""Seconds that a task has to stop after its time-out, or after it was cancelled, before its runner is ended.

They are counted in checks: while the whole system is suspended, no task can stop.
"""

ISOLATED_STOP_TIMEOUT = 0.5
"""The same for a task that has its runner to itself."""

LEAVING_TIMEOUT = 30.0
"""Seconds that the other tasks of such a runner have to end, and that a runner without tasks has to leave."""

FROZEN_TIMEOUT = 1.0
"""Seconds after which such a runner is ended in any case if it does not answer: a task keeps Python to itself."""

BEGIN_TIMEOUT = 5.0
"""Seconds that a runner in which no task runs has to begin the next one. They are counted in checks too."""

MAX_WAIT_IN_RUNNER = 0.25
"""Seconds after which a task that waits behind others in its runner is taken back."""

_log = logging.getLogger("cauce.worker")


class RunnerEndings:
    """Checks and ends runners. It belongs to the thread of the runners.

    Args:
        rules: decide about each task.
        group: the runners.
        waiting: the tasks that wait.
        feeder: gives tasks to the shared runners.
        solo: runs suspects.
        callbacks: learn what becomes of a task.
    """

    def __init__(
        self,
        rules: RunRules,
        group: RunnerGroup,
        waiting: WaitingTasks,
        feeder: Feeder,
        solo: SoloRunners,
        callbacks: Callbacks,
    ) -> None:
        self._rules = rules
        self._group = group
        self._waiting = waiting
        self._feeder = feeder
        self._solo = solo
        self._callbacks = callbacks

    def cancel(self, task: InFlightTask) -> None:
        """Ask a task to stop, if a runner has it. From now on it has as long for that as one that is late."""
        for runner in self._group.all:
            if runner.has(task):
                runner.send(CancelRun(task.slot))
                self._group.watch(runner)

    def check(self, runner: RunnerProcess, now: float) -> None:
        """Find the tasks of a runner that are late, and end a runner that has one which does not stop."""
        if runner.leaving and not runner.load:
            self._let_go(runner)
            return
        begun, waits = 0, False
        if runner.leaving or now - runner.oldest(now) > MAX_WAIT_IN_RUNNER:
            begun, waits = _count(runner, now)
        if waits and begun and runner.ready:
            self._feeder.note_wait(MAX_WAIT_IN_RUNNER)
            self._group.ask_back(runner)
        runner.silent_checks = runner.silent_checks + 1 if waits and not begun and runner.ready else 0
        if begun:
            self._end_stuck(runner, begun)
        elif runner.silent_checks > BEGIN_TIMEOUT / CHECK_INTERVAL:
            _log.error(
                "runner %d does not begin the tasks that it has: it is suspended, or what a task left keeps it",
                runner.number,
            )
            self._end(runner, died=False)
        if not memory_limit.ENFORCED and runner in self._group.all:
            self._end_large(runner)

    def remove(self, runner: RunnerProcess) -> None:
        """Forget a runner that has died, and decide about its tasks."""
        if any(runner.began(number)[1] for number, _ in runner.slots):
            _log.error(
                "runner %d died (%s) while %d tasks ran in it", runner.number, runner.exit_status, len(runner.running)
            )
        self._end(runner, died=True)

    def _let_go(self, runner: RunnerProcess) -> None:
        """Let a runner without tasks leave, and end it when it does not."""
        runner.stop()
        self._group.watch(runner)
        runner.leaving_checks += 1
        if runner.leaving_checks * CHECK_INTERVAL > LEAVING_TIMEOUT:
            self._end(runner, died=False)

    def _end_stuck(self, runner: RunnerProcess, begun: int) -> None:
        """Let a runner go that has a task which does not stop, and end it when its other tasks have ended."""
        stuck = sum(_is_stuck(slot) for _, slot in runner.slots)
        if stuck:
            if not runner.leaving:
                self._group.let_go(runner)
            runner.leaving_checks += 1
            seconds = runner.leaving_checks * CHECK_INTERVAL
            if stuck == begun or seconds > (FROZEN_TIMEOUT if runner.asked_back else LEAVING_TIMEOUT):
                self._end(runner, died=False)

    def _end_large(self, runner: RunnerProcess) -> None:
        """End a runner that has more memory than the task which has it to itself may have."""
        for number, slot in runner.slots:
            limit = slot.limits.memory
            if limit and runner.began(number)[1] and process_memory.resident(runner.pid) > limit:
                slot.too_large = True
                self._end(runner, died=False)
                return

    def _end(self, runner: RunnerProcess, *, died: bool) -> None:
        """End a runner, if it has not died already, and decide about its tasks.

        Args:
            runner: the runner.
            died: whether one of the tasks that had begun in it may be the cause.
        """
        tasks = runner.slots
        begun = {number for number, _ in tasks if runner.began(number)[1]}
        self._group.remove(runner)
        self._waiting.take_back([slot.task for number, slot in tasks if number not in begun])
        for number, slot in tasks:
            if number in begun:
                self._decide(slot, runner.began(number)[0], died=died)

    def _decide(self, slot: Slot, started_at: float, *, died: bool) -> None:
        """Decide about a task that had begun in a runner which has ended."""
        task = slot.task
        if slot.too_large:
            ended = memory_exceeded(time.time(), slot.limits.memory or 0)
            self._callbacks.finish(task, self._rules.outcome(task, started_at, ended))
        elif _is_stuck(slot):
            why = "it was cancelled" if task.cancelling else "its time-out"
            _log.error("task %s did not stop after %s; its runner was ended", task.assignment.id, why)
            ended = self._rules.did_not_stop(task, time.time())
            self._callbacks.finish(task, self._rules.outcome(task, started_at, ended))
        elif not died:
            self._waiting.take_back([task])
        elif task.suspect:  # its strike was stored before it began
            self._waiting.run_again(task)
        else:
            self._solo.strike(task, started_at)


def _count(runner: RunnerProcess, now: float) -> tuple[int, bool]:
    """Count the tasks that have begun, and note which are late. Returns also whether others have waited long."""
    begun, waits = 0, False
    for number, slot in runner.slots:
        _, since = runner.began(number)
        if not since:
            waits = waits or now - slot.given_at > MAX_WAIT_IN_RUNNER
            continue
        begun += 1
        if slot.task.cancelling or (slot.limits.timeout is not None and now - since > slot.limits.timeout):
            slot.late_checks += 1
    return begun, waits


def _is_stuck(slot: Slot) -> bool:
    """Return whether a task has not stopped long after its time-out."""
    seconds = ISOLATED_STOP_TIMEOUT if slot.limits.isolate else STOP_TIMEOUT
    return slot.late_checks > seconds / CHECK_INTERVAL
