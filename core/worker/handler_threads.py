"""The handler threads: each runs one task at a time and reports its outcome.

Python can't end a thread. A task that exceeds its time-out is asked to stop: an exception is raised in its thread,
which interrupts Python code but no system call. If the task does not stop, its thread is abandoned: another thread
replaces it, and the result that the task may still return is ignored.
"""

import ctypes
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.errors import TaskInterrupted, TaskTimeout, UnknownKind
from core.model import Beginning, Failure, Outcome, RunningTask, State
from core.repository.base import STRIKE_LIMIT
from core.tasks import Registry, TaskContext, TaskDefinition, describe, run
from core.threads import OnDeath, vital_thread
from core.worker import policy
from core.worker.in_flight import InFlightTask
from core.worker.suspects import SuspectQueue

STOP_TIMEOUT = 5.0
"""Seconds that a task has to stop after it was asked to, before its thread is abandoned.

They are counted in checks of the deadlines: while the whole process is suspended, no task can stop.
"""

CHECK_INTERVAL = 0.05
"""Seconds between two checks of the deadlines."""

_log = logging.getLogger("cauce.worker")


class RunSettings(msgspec.Struct, frozen=True):
    """The worker's settings for running tasks, used where neither task nor kind specifies its own."""

    worker: str
    retries: int
    retry_delay: float
    timeout: float | None
    files_root: Path | None


class Callbacks(msgspec.Struct, frozen=True):
    """The functions that the threads call for each task."""

    begin: Callable[[InFlightTask], bool]
    """Marks a task as begun. Returns False when it must not run, because it is delivered again."""
    add_strike: Callable[[InFlightTask, Beginning], None]
    """Stores a strike for a suspect that is about to begin, or marks it as unwanted."""
    give_up: Callable[[InFlightTask], None]
    """Receives a suspect that has had too many strikes."""
    finish: Callable[[InFlightTask, Outcome], None]
    """Receives the outcome of a task."""
    drop: Callable[[InFlightTask], None]
    """Receives a task that was not begun, because it is unwanted."""


class TaskRun(msgspec.Struct, eq=False):
    """One run of a task, and how it ended."""

    task: InFlightTask
    started_at: float
    deadline: float | None = None
    """A time of the monotonic clock."""
    definition: TaskDefinition | None = None
    result: str | None = None
    error: BaseException | None = None
    checks_left: int | None = None
    """Checks left before the thread is abandoned; None until the task is asked to stop."""
    abandoned: bool = False


class ThreadSlot:
    """The place of one handler thread. Its lock decides which thread ends a run: that one, or the deadline thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.run: TaskRun | None = None
        self.thread: threading.Thread | None = None


class HandlerThreads:
    """The threads of a worker that run tasks, and the one that checks their deadlines.

    Args:
        concurrency: the number of tasks that run at once.
        registry: the kinds that the worker knows.
        settings: the worker's settings for running tasks.
        callbacks: called from the threads.
        on_death: called when a thread dies.
    """

    def __init__(
        self,
        concurrency: int,
        registry: Registry,
        settings: RunSettings,
        callbacks: Callbacks,
        on_death: OnDeath,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._callbacks = callbacks
        self._on_death = on_death
        self._ready: queue.SimpleQueue[InFlightTask | None] = queue.SimpleQueue()
        self._suspects = SuspectQueue(self._ready.put)
        self._interruption = threading.Event()
        self._stopping = threading.Event()
        # Wakes the deadline thread when a task with a time-out begins. No lock or event of Python's own may do that:
        # an exception that is raised in a thread which has just acquired a lock would leave it locked.
        self._timed_tasks: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._checking = False
        self._slots = [ThreadSlot() for _ in range(concurrency)]
        self._deadline_thread = vital_thread("deadlines", self._run_deadlines, on_death)
        self.abandoned = 0
        """The number of threads that were abandoned, because their tasks did not stop."""

    def start(self) -> None:
        """Start the threads."""
        for slot in self._slots:
            self._start_thread(slot)
        self._deadline_thread.start()

    def add(self, task: InFlightTask) -> None:
        """Run a task as soon as a thread is free."""
        if task.suspect:
            self._suspects.add(task)
        else:
            self._ready.put(task)

    @property
    def running(self) -> list[RunningTask]:
        """The tasks that are running."""
        runs = [slot.run for slot in self._slots]
        return [
            RunningTask(run.task.assignment.id, run.task.assignment.kind, run.started_at)
            for run in runs
            if run is not None
        ]

    @property
    def running_suspects(self) -> list[int]:
        """The numbers of the suspects that are running."""
        runs = [slot.run for slot in self._slots]
        return [run.task.assignment.seq for run in runs if run is not None and run.task.suspect]

    def stop(self, timeout: float) -> bool:
        """Begin no more tasks, and wait up to `timeout` seconds. Returns whether all running tasks have ended."""
        self._stopping.set()
        self._timed_tasks.put(None)
        self._suspects.clear()
        for _ in self._slots:
            self._ready.put(None)
        deadline = time.monotonic() + timeout
        for slot in self._slots:
            if slot.thread is not None:
                slot.thread.join(max(0.0, deadline - time.monotonic()))
        return not self.running

    def interrupt(self) -> None:
        """Ask the running tasks to stop at once. They will run again elsewhere."""
        self._interruption.set()

    def _start_thread(self, slot: ThreadSlot) -> None:
        slot.thread = vital_thread("handler", lambda: self._run_handler(slot), self._on_death)
        slot.thread.start()

    def _run_handler(self, slot: ThreadSlot) -> None:
        me = threading.current_thread()
        while slot.thread is me:
            task = self._ready.get()
            if task is None or self._stopping.is_set():
                return
            try:
                self._handle(task, slot)
            finally:
                self._suspects.finish(task)

    def _handle(self, task: InFlightTask, slot: ThreadSlot) -> None:
        if not self._callbacks.begin(task):
            return
        if task.suspect and not task.unwanted and not self._begin_suspect(task):
            return
        if task.unwanted:
            self._callbacks.drop(task)
            return
        task_run = TaskRun(task, task.started_at)
        try:
            self._attempt(task_run, slot)
            self._end_run(slot, task_run)
        except TaskTimeout as late:
            # It was raised after the task had ended, or before it began. It is raised only once for each run.
            if task_run.error is None:
                task_run.error = late
            self._end_run(slot, task_run)
        if not task_run.abandoned and type(task_run.error) is not TaskInterrupted:
            self._callbacks.finish(task, self._outcome(task_run))
        task_run.error = None  # its traceback refers to this frame, which refers to it

    def _attempt(self, task_run: TaskRun, slot: ThreadSlot) -> None:
        """Run a task and note its result or error."""
        task = task_run.task
        try:
            task_run.definition = definition = self._registry.get(task.assignment.kind)
            timeout = definition.timeout or self._settings.timeout
            task_run.deadline = None if timeout is None else time.monotonic() + timeout
            slot.run = task_run
            if timeout is not None and not self._checking:
                self._timed_tasks.put(None)
            task_run.result = run(definition, task.assignment.payload, self._context(task, task_run.deadline))
        except UnknownKind as unknown:
            task_run.error = unknown.with_traceback(None)
        except BaseException as raised:  # noqa: BLE001 - a task may raise anything, and its thread goes on
            task_run.error = raised

    def _context(self, task: InFlightTask, deadline: float | None) -> TaskContext:
        assignment = task.assignment
        return TaskContext(
            id=assignment.id,
            kind=assignment.kind,
            attempt=task.number,
            deadline=deadline,
            files_root=self._settings.files_root,
            interruption=self._interruption,
        )

    def _begin_suspect(self, task: InFlightTask) -> bool:
        """Add a strike to a suspect that is about to begin. Returns False when it has too many, and is given up."""
        if task.assignment.strikes >= STRIKE_LIMIT:
            self._callbacks.give_up(task)
            return False
        beginning = Beginning(
            seq=task.assignment.seq,
            worker=self._settings.worker,
            queued_at=task.reference.at,
            taken_at=task.taken_at,
            started_at=task.started_at,
        )
        self._callbacks.add_strike(task, beginning)
        return True

    def _end_run(self, slot: ThreadSlot, task_run: TaskRun) -> None:
        """End a run, unless the deadline thread has ended it before."""
        with slot.lock:
            if slot.run is task_run:
                slot.run = None
            asked_to_stop = task_run.checks_left is not None
        if asked_to_stop:
            _cancel_exception()

    def _outcome(self, task_run: TaskRun) -> Outcome:
        task, started_at, error = task_run.task, task_run.started_at, task_run.error
        if error is None or task_run.result is not None:  # a time-out that came after the result changes nothing
            return self._make_outcome(task, started_at, State.DONE, result=task_run.result)
        assignment = task.assignment
        if isinstance(error, TaskTimeout) and not error.args:
            error.args = ("the task ran longer than its time-out allows",)  # `_raise_in` raises it without a message
        failure = describe(error)
        if policy.may_retry(
            task_run.definition, error, assignment.attempts, assignment.retries, self._settings.retries
        ):
            chance = random.random()  # noqa: S311 - to spread retries
            delay = policy.retry_delay(assignment.attempts, self._settings.retry_delay, chance)
            return self._make_outcome(task, started_at, State.RETRYING, failure=failure, due_at=time.time() + delay)
        return self._make_outcome(task, started_at, State.FAILED, failure=failure)

    def _make_outcome(
        self,
        task: InFlightTask,
        started_at: float,
        state: State,
        *,
        result: str | None = None,
        failure: Failure | None = None,
        due_at: float | None = None,
    ) -> Outcome:
        return Outcome(
            seq=task.assignment.seq,
            attempt=task.assignment.attempts,
            state=state,
            result=result,
            failure=failure,
            due_at=due_at,
            worker=self._settings.worker,
            queued_at=task.reference.at,
            taken_at=task.taken_at,
            started_at=started_at,
            finished_at=time.time(),
        )

    # The deadline thread.

    def _run_deadlines(self) -> None:
        while True:
            self._timed_tasks.get()
            self._checking = True
            while self._checking:
                if self._stopping.wait(CHECK_INTERVAL):
                    return
                # In this order: a task that begins after the check wakes this thread again.
                self._checking = False
                self._checking = self._check_deadlines(time.monotonic())

    def _check_deadlines(self, now: float) -> bool:
        """Time out the runs that are late. Returns whether any running task has a deadline."""
        has_deadline = False
        for slot in self._slots:
            task_run = slot.run
            if task_run is not None and task_run.deadline is not None:
                has_deadline = True
                if now > task_run.deadline:
                    self._time_out(slot, task_run)
        return has_deadline

    def _time_out(self, slot: ThreadSlot, task_run: TaskRun) -> None:
        with slot.lock:
            if slot.run is not task_run:
                return
            if task_run.checks_left is None:
                task_run.checks_left = round(STOP_TIMEOUT / CHECK_INTERVAL)
                _raise_in(slot.thread, TaskTimeout)
                return
            task_run.checks_left -= 1
            if task_run.checks_left > 0:
                return
            task_run.abandoned = True
            slot.run = None
        self.abandoned += 1
        task = task_run.task
        _log.error("task %s did not stop after its time-out; its thread is abandoned", task.assignment.id)
        error = TaskTimeout("the task ran longer than its time-out, and did not stop when asked")
        # A new value, since the abandoned thread may still write to the old one.
        ended = TaskRun(task, task_run.started_at, definition=task_run.definition, error=error)
        self._callbacks.finish(task, self._outcome(ended))
        self._suspects.finish(task)
        self._start_thread(slot)


def _raise_in(thread: threading.Thread | None, error: type[BaseException]) -> None:
    """Raise an exception in another thread, at its next step of Python code."""
    if thread is not None and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))


def _cancel_exception() -> None:
    """Undo `_raise_in` for this thread, if the exception was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.get_ident()), None)
