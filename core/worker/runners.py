"""The runners of a worker: the thread to which they all belong.

Tasks run in other processes (`core.runner`), and everything about them is decided in this one thread. When a runner
dies, only the tasks that had begun in it get a strike and become suspects; the others go to the next runner at once.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from core.model import RunningTask, TaskReport
from core.repository.beginnings import WorkerBeginnings
from core.runner.frames import (
    Ended,
    GivenBack,
    Interrupt,
    Interrupted,
    LoopBlocked,
    Ready,
    Report,
    StackTaken,
    ToWorker,
)
from core.threads import OnDeath, vital_thread
from core.worker import policy, process_memory
from core.worker.feeding import Feeder
from core.worker.in_flight import InFlightTask
from core.worker.recycling import Recycling
from core.worker.run_outcomes import RunRules, RunSettings
from core.worker.runner_endings import CHECK_INTERVAL, RunnerEndings
from core.worker.runner_group import RunnerGroup
from core.worker.runner_process import BegunTask, RunnerProcess
from core.worker.solo_runners import SoloRunners
from core.worker.stuck_alarm import StuckAlarm
from core.worker.task_callbacks import Callbacks
from core.worker.waiting_tasks import WaitingTasks

IDLE_INTERVAL = 0.5
"""Seconds between two checks while no task runs."""

END_TIMEOUT = 5.0
"""Seconds to wait until all runners that were killed have ended."""

_log = logging.getLogger("cauce.worker")


class _Command(msgspec.Struct, eq=False):
    """Something for the thread to do."""

    do: Callable[[], None]


class Runners:
    """The runners of a worker.

    Args:
        settings: the worker's settings.
        rules: decide about each task.
        group: the processes.
        beginnings: where the runners note what begins.
        callbacks: called from the thread.
        on_death: called when the thread dies.
    """

    def __init__(
        self,
        settings: RunSettings,
        rules: RunRules,
        group: RunnerGroup,
        beginnings: WorkerBeginnings,
        callbacks: Callbacks,
        on_death: OnDeath,
    ) -> None:
        self._rules = rules
        self._group = group
        self._callbacks = callbacks
        self._waiting = WaitingTasks(rules, callbacks)
        self._feeder = Feeder(settings, rules, group, beginnings, self._waiting)
        self._solo = SoloRunners(settings, rules, group, beginnings, self._waiting, callbacks, self._call)
        self._endings = RunnerEndings(rules, group, self._waiting, self._feeder, self._solo, callbacks)
        self._stuck = StuckAlarm(settings.concurrency)
        self._recycling = Recycling(settings, group, process_memory.resident)
        self._inbox: deque[InFlightTask | _Command] = deque()
        self._next_check = 0.0
        self._awake = True
        self._ended = False
        self._drained = threading.Event()
        self._left = threading.Event()
        self._thread = vital_thread("runners", self._run, on_death)

    # Called from other threads.

    def start(self) -> None:
        """Start the thread, which starts the runners."""
        self._thread.start()

    def add(self, task: InFlightTask) -> None:
        """Run a task as soon as a runner is free."""
        self._post(task)

    def cancel(self, task: InFlightTask) -> None:
        """Stop a task that has begun: ask it first, and end its runner when it does not stop."""
        self._call(lambda: self._endings.cancel(task))

    @property
    def trouble(self) -> str:
        """The reason why no runner can be started now, or why tasks don't go on; or an empty string."""
        blocked = (runner.blocked_loop for runner in self._group.all)
        return self._group.trouble or next(filter(None, blocked), "") or self._stuck.trouble

    @property
    def running(self) -> list[RunningTask]:
        """The tasks that are running."""
        return policy.limit_reports([_running(begun) for runner in self._group.all for begun in runner.running])

    @property
    def running_suspects(self) -> list[int]:
        """The numbers of the suspects that are running."""
        running = [begun.task for runner in list(self._group.solo) for begun in runner.running]
        return [task.assignment.seq for task in running if task.suspect]

    def stop(self, timeout: float) -> bool:
        """Begin no more tasks, and wait up to `timeout` seconds. Returns whether all running tasks have ended."""
        self._call(self._begin_stop)
        return self._drained.wait(timeout)

    def interrupt(self, timeout: float) -> None:
        """Ask the running tasks to stop at once, and wait up to `timeout` seconds. They will run again elsewhere."""
        self._call(self._interrupt_all)
        self._drained.wait(timeout)

    def leave(self, timeout: float) -> None:
        """Let the runners do what is to be done at their end, for up to `timeout` seconds. They must have no tasks."""
        if any(runner.has_stop for runner in self._group.all):
            self._call(self._let_leave)
            self._left.wait(timeout)

    def kill(self) -> None:
        """End all runners. Their tasks have no outcome, and run again elsewhere."""
        self._ended = True
        for runner in self._group.all:
            runner.kill()
        self._group.wake()
        if self._thread.is_alive():
            self._thread.join(END_TIMEOUT)

    def _call(self, do: Callable[[], None]) -> None:
        self._post(_Command(do))

    def _post(self, item: InFlightTask | _Command) -> None:
        self._inbox.append(item)
        if not self._awake:
            self._group.wake()

    # All that follows runs in the thread.

    def _run(self) -> None:
        try:
            while not self._ended:
                self._run_once()
        finally:
            self._group.close()
            self._drained.set()
            self._left.set()

    def _run_once(self) -> None:
        if not self._waiting.closed:
            self._group.start_missing()
        self._wait()
        if self._ended:
            return
        self._take_inbox()
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + CHECK_INTERVAL
            self._check_all(now)
        if not self._waiting.closed:
            self._feeder.feed(self._solo.places)
            self._solo.begin()
        elif not any(runner.load for runner in self._group.all):
            self._drained.set()
            if not self._group.all:
                self._left.set()

    def _wait(self) -> None:
        """Wait until something happens, and read what the runners send."""
        self._awake = False
        busy = any(runner.load or not runner.ready for runner in self._group.all)
        timeout = 0.0 if self._inbox else CHECK_INTERVAL if busy else IDLE_INTERVAL
        for runner in self._group.wait(timeout):
            self._awake = True
            self._read(runner)
        self._awake = True

    def _take_inbox(self) -> None:
        for _ in range(len(self._inbox)):
            item = self._inbox.popleft()
            if isinstance(item, InFlightTask):
                self._waiting.add(item)
            else:
                item.do()

    def _check_all(self, now: float) -> None:
        self._stuck.check(now, lambda: self.running)
        self._recycling.check(now)
        self._solo.end_idle(now)
        for runner in self._group.all:
            if runner.has_exited:
                self._read_rest(runner)
            else:
                self._endings.check(runner, now)

    # What runners say.

    def _read(self, runner: RunnerProcess) -> None:
        messages = runner.receive()
        if self._ended:
            return
        if messages is None:
            self._remove(runner)
            return
        self._handle_all(runner, messages)

    def _read_rest(self, runner: RunnerProcess) -> None:
        """Read what a runner sent before it died. A process that it has forked may keep the socket open."""
        while messages := runner.receive():
            self._handle_all(runner, messages)
        self._remove(runner)

    def _remove(self, runner: RunnerProcess) -> None:
        if not self._ended and runner in self._group.all:
            self._endings.remove(runner)

    def _handle_all(self, runner: RunnerProcess, messages: Sequence[ToWorker]) -> None:
        try:
            for message in messages:
                self._handle(runner, message)
        except KeyError:
            # A task has written to our socket.
            _log.error("runner %d names a task that it does not have; it is ended", runner.number)
            self._remove(runner)

    def _handle(self, runner: RunnerProcess, message: ToWorker) -> None:
        """Do what a message of a runner requires.

        Raises:
            KeyError: the runner does not have the task that it names.
        """
        if isinstance(message, Ended):
            self._end(runner, message)
        elif isinstance(message, GivenBack):
            runner.asked_back = False
            self._waiting.take_back([runner.remove(slot).task for slot in message.slots])
        elif isinstance(message, Report | StackTaken):
            runner.take_report(message)
        elif isinstance(message, LoopBlocked):
            _note_loop(runner, message)
        elif isinstance(message, Interrupted):
            runner.remove(message.slot)
        elif isinstance(message, Ready):
            self._group.set_ready(runner, message)
            self._recycling.note_ready(runner)
            self._rules.set_kinds(message.kinds)
            self._callbacks.take_kinds(message.kinds)
        else:
            self._group.note_trouble(f"a new runner can't start: {message.reason}")

    def _end(self, runner: RunnerProcess, message: Ended) -> None:
        task = runner.remove(message.slot).task
        runner.ended_tasks += 1
        started_at, _ = runner.began(message.slot)
        seconds = max(0.0, message.finished_at - started_at)
        self._feeder.note_duration(seconds)
        self._stuck.note_end(task.assignment.kind, seconds)
        self._callbacks.finish(task, self._rules.outcome(task, started_at, message))

    # The end.

    def _begin_stop(self) -> None:
        self._waiting.close()
        for runner in self._group.all:
            self._group.ask_back(runner)

    def _let_leave(self) -> None:
        for runner in self._group.all:
            runner.leaving = True
            runner.stop()
            self._group.watch(runner)

    def _interrupt_all(self) -> None:
        for runner in self._group.all:
            runner.send(Interrupt())


def _note_loop(runner: RunnerProcess, message: LoopBlocked) -> None:
    """Note that a task blocks the event loop of a runner, or that it no longer does."""
    if not message.stack:
        runner.blocked_loop = ""
        _log.warning("the event loop of runner %d is no longer blocked", runner.number)
        return
    if message.id:
        text = f"task {message.id} blocks the event loop of runner {runner.number}: other async tasks wait"
    else:
        text = f"a task blocks the event loop of runner {runner.number}: other async tasks wait"
    runner.blocked_loop = text
    _log.error("%s\n%s", text, message.stack.rstrip())


def _running(begun: BegunTask) -> RunningTask:
    assignment, report = begun.task.assignment, begun.task.report or TaskReport()
    return RunningTask(
        assignment.id,
        assignment.kind,
        begun.started_at,
        report.progress,
        report.notes,
        begun.task.runner,
        begun.task.stack,
    )
