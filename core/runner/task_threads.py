"""The threads of a runner: each runs one task at a time and reports its outcome.

Python can't end a thread. A task that exceeds its time-out, or that was cancelled, is asked to stop: an exception is
raised in its thread, which interrupts Python code but no system call. If the task does not stop, the worker ends the
whole runner. The coroutine of an `async def` task is cancelled instead: its thread waits for it.
"""

import ctypes
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec

from core.begun_slots import BegunSlots
from core.errors import TaskCancelled, TaskInterrupted, TaskMemoryExceeded, TaskTimeout, UnknownKind
from core.model import TaskProgress, TaskStack
from core.runner import stacks, task_output
from core.runner.frames import Ended, Interrupted, Run, StackTaken, ToWorker
from core.runner.interruption import CallInterruption, RunInterruption
from core.runner.loop_watch import LoopWatch
from core.runner.memory_limit import MemoryLimit
from core.runner.run_reports import RunReport, RunReports
from core.tasks import Registry, RetryAfter, TaskContext, TaskDefinition, describe, is_permanent, run
from core.tasks.event_loop import EventLoop, LoopCall, Start

CHECK_INTERVAL = 0.05
"""Seconds between two checks of the deadlines while one is near."""

REST_INTERVAL = 1.0
"""Seconds between two checks while none is near. So a task with a long time-out does not wake the thread that checks.
"""

CANCEL_GRACE = 0.5
"""Seconds that a cancelled task has to notice it by its context, before an exception is raised in its thread."""

BROKEN_STATUS = 70
"""The exit code of a runner in which a thread of its own died of an error."""


CANCELLED = "the task was cancelled while it ran"
MESSAGES: dict[type[BaseException], str] = {
    TaskTimeout: "the task ran longer than its time-out allows",
    TaskCancelled: CANCELLED,
}
"""The messages of errors that are raised in a thread from outside."""


class TaskRun(msgspec.Struct, eq=False):
    """One run of a task, and how it ended."""

    request: Run
    interruption: RunInterruption = msgspec.field(default_factory=RunInterruption)
    call: LoopCall | None = None
    """The coroutine of an `async def` task; None for a function."""
    deadline: float | None = None
    """A time of the monotonic clock."""
    cancelled_at: float | None = None
    """A time of the monotonic clock, or None for a task that was not cancelled."""
    definition: TaskDefinition | None = None
    result: str | None = None
    error: BaseException | None = None
    asked_to_stop: bool = False
    reports: RunReports | None = None
    """Takes what the task says of itself; None when nobody does."""
    report: RunReport | None = None
    """What the task has said of itself, if anything."""

    def set_progress(self, progress: TaskProgress) -> None:
        """Take how far the task is."""
        if (report := self._own_report()) is not None:
            report.set_progress(progress)

    def add_note(self, text: str) -> None:
        """Take a note of the task."""
        if (report := self._own_report()) is not None:
            report.add_note(text)

    def _own_report(self) -> RunReport | None:
        if self.report is None and self.reports is not None:
            self.report = RunReport(self.request, self.reports)
        return self.report


class ThreadSlot:
    """The place of one thread. Its lock decides whether a run ends by itself or is asked to stop."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.run: TaskRun | None = None
        self.thread: threading.Thread | None = None


class TaskThreads:
    """The threads of a runner that run tasks, and the one that checks their deadlines.

    Args:
        count: the number of tasks that run at once.
        registry: the kinds that the runner knows.
        timeout: the seconds that a task may run whose kind specifies no time-out; None for no limit.
        files_root: the directory whose files tasks may read, or None.
        loop: runs the coroutines.
        report: called from the threads with what the worker must learn. It must not block.
    """

    def __init__(
        self,
        count: int,
        registry: Registry,
        timeout: float | None,
        files_root: Path | None,
        loop: EventLoop,
        report: Callable[[ToWorker], None],
    ) -> None:
        self._registry = registry
        self._loop = loop
        self._loop_watch = LoopWatch(loop, report)
        self._timeout = timeout
        self._files_root = files_root
        self._report = report
        self._pid = os.getpid()
        self._ready: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._interrupted = False
        self._cancelled: set[int] = set()
        """The slots of the tasks that were cancelled. Some of them have ended."""
        # Wakes the deadline thread when a task with a short time-out begins, or one is cancelled. No lock or event of
        # Python may do that: an exception raised in a thread that has just acquired a lock would leave it locked.
        self._timed_tasks: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._checking = False
        self._beginnings: BegunSlots
        self._memory_limit = MemoryLimit()  # a task with a limit has the process to itself
        self._reports = RunReports(report)
        self._next_stacks = 0.0
        self._slots = [ThreadSlot() for _ in range(count)]

    def start(self, beginnings: BegunSlots) -> None:
        """Start the threads.

        Args:
            beginnings: where each thread notes the task that it begins.
        """
        self._beginnings = beginnings
        for number, slot in enumerate(self._slots, start=1):
            slot.thread = own_thread(f"task-{number}", partial(self._run_tasks, slot))
        own_thread("deadlines", self._run_deadlines)
        own_thread("reports", self._reports.run)

    def add(self, request: Run) -> None:
        """Run a task as soon as a thread is free."""
        self._cancelled.discard(request.slot)
        self._ready.put(request)

    def give_back(self) -> Sequence[int]:
        """Return the slots of the tasks that have not begun, which now won't."""
        slots: list[int] = []
        while True:
            try:
                request = self._ready.get_nowait()
            except queue.Empty:
                return slots
            if request is not None:
                slots.append(request.slot)

    def interrupt(self) -> None:
        """Ask the running tasks to stop at once, and those that begin from now on."""
        self._interrupted = True
        for slot in self._slots:
            task_run = slot.run
            if task_run is not None:
                task_run.interruption.set(_interruption())

    def cancel(self, number: int) -> None:
        """Ask the task in a slot to stop, because it was cancelled, unless it has ended."""
        # In this order: a task that begins now finds its slot here, or is found.
        self._cancelled.add(number)
        for slot in self._slots:
            task_run = slot.run
            if task_run is not None and task_run.request.slot == number:
                self._cancel(task_run)

    def _cancel(self, task_run: TaskRun) -> None:
        task_run.cancelled_at = time.monotonic()
        task_run.interruption.set(TaskCancelled(CANCELLED))
        self._timed_tasks.put(None)

    def stop(self) -> None:
        """Begin no more tasks, and wait until the running ones have ended."""
        self.give_back()
        for _ in self._slots:
            self._ready.put(None)
        for slot in self._slots:
            if slot.thread is not None:
                slot.thread.join()

    def _run_tasks(self, slot: ThreadSlot) -> None:
        while (request := self._ready.get()) is not None:
            self._run_task(TaskRun(request, reports=self._reports), slot)

    def _run_task(self, task_run: TaskRun, slot: ThreadSlot) -> None:
        request = task_run.request
        task_output.task_id.set(request.id)
        self._beginnings.begin(request.slot, time.time(), time.monotonic())
        try:
            self._attempt(task_run, slot)
            self._end_run(slot, task_run)
        except (TaskTimeout, TaskCancelled) as late:
            # It was raised after the task had ended, or before it began. It is raised only once for each run.
            if task_run.error is None:
                task_run.error = late
            self._end_run(slot, task_run)
        self._memory_limit.lift()
        if os.getpid() != self._pid:
            _leave_child(task_run.error)
        if task_run.report is not None:
            task_run.report.end()
        self._report(outcome(task_run))
        task_run.error = None  # its traceback refers to this frame, which refers to it

    def _attempt(self, task_run: TaskRun, slot: ThreadSlot) -> None:
        """Run a task and note its result or error."""
        request = task_run.request
        try:
            task_run.definition = definition = self._registry.get(request.kind)
            if definition.is_async:
                task_run.call = LoopCall(self._loop)
                task_run.interruption = CallInterruption(self._loop, task_run.call)
            timeout = definition.timeout or self._timeout
            task_run.deadline = None if timeout is None else time.monotonic() + timeout
            slot.run = task_run
            if self._interrupted:
                task_run.interruption.set(_interruption())
            if request.slot in self._cancelled:
                self._cancel(task_run)
            if definition.memory is not None:
                self._memory_limit.set(definition.memory)
            if timeout is not None and timeout <= REST_INTERVAL and not self._checking:
                self._timed_tasks.put(None)
            complete = partial(self._complete, task_run)
            task_run.result = run(definition, request.payload, self._context(task_run), complete)
        except UnknownKind as unknown:
            task_run.error = unknown.with_traceback(None)
        except BaseException as raised:  # noqa: BLE001 - a task may raise anything, and its thread goes on
            task_run.error = raised

    def _complete(self, task_run: TaskRun, start: Start) -> object:
        """Run the coroutine of a task. Returns its result."""

        async def guarded() -> object:
            try:
                result = await start()
            except BaseException as error:
                if os.getpid() != self._pid:
                    _leave_child(error)
                raise
            if os.getpid() != self._pid:
                _leave_child(None)
            return result

        assert task_run.call is not None
        return task_run.call.run(guarded)

    def _context(self, task_run: TaskRun) -> TaskContext:
        request = task_run.request
        return TaskContext(
            id=request.id,
            kind=request.kind,
            attempt=request.attempt,
            deadline=task_run.deadline,
            files_root=self._files_root,
            interruption=task_run.interruption,
            reporter=task_run,
        )

    def _end_run(self, slot: ThreadSlot, task_run: TaskRun) -> None:
        """End a run. Afterwards no exception is raised in its thread."""
        if os.getpid() != self._pid:
            return  # a child that the task has forked has no deadlines, and perhaps a lock that stays locked
        with slot.lock:
            slot.run = None
        if task_run.asked_to_stop:
            _cancel_exception()

    # The deadline thread.

    def _run_deadlines(self) -> None:
        while True:
            with suppress(queue.Empty):
                self._timed_tasks.get(timeout=REST_INTERVAL)
            self._checking = True
            while self._checking:
                time.sleep(CHECK_INTERVAL)
                # In this order: a task that begins after the check wakes this thread again.
                self._checking = False
                self._checking = self._check_deadlines(time.monotonic())
            self._tell_stacks(time.monotonic())
            self._loop_watch.check(time.monotonic(), [run for slot in self._slots if (run := slot.run) is not None])

    def _tell_stacks(self, now: float) -> None:
        """Tell the worker, once in a while, where the tasks are that have run for long."""
        if now < self._next_stacks:
            return
        for slot in self._slots:
            task_run = slot.run
            if task_run is None or slot.thread is None or slot.thread.ident is None:
                continue
            request = task_run.request
            if now - self._beginnings.times(request.slot)[1] > stacks.AFTER:
                self._next_stacks = now + stacks.INTERVAL
                if task_run.call is None:
                    text = stacks.stack_of(slot.thread.ident)
                else:
                    text = stacks.stack_of_coroutine(task_run.call.coroutine, self._loop.thread)
                stack = TaskStack(time.time(), text)
                if slot.run is task_run:
                    self._report(StackTaken(request.slot, request.id, request.attempt, stack))

    def _check_deadlines(self, now: float) -> bool:
        """Ask the tasks that are late or cancelled to stop. Returns whether a running task may soon have to."""
        is_near = False
        for slot in self._slots:
            task_run = slot.run
            if task_run is None or task_run.asked_to_stop:
                continue
            if task_run.cancelled_at is not None:
                is_near = True
                if now > task_run.cancelled_at + CANCEL_GRACE:
                    self._ask_to_stop(slot, task_run, TaskCancelled)
            elif task_run.deadline is not None:
                is_near = is_near or now > task_run.deadline - REST_INTERVAL
                if now > task_run.deadline:
                    self._ask_to_stop(slot, task_run, TaskTimeout)
        return is_near

    def _ask_to_stop(self, slot: ThreadSlot, task_run: TaskRun, error: type[Exception]) -> None:
        with slot.lock:
            if slot.run is task_run:
                task_run.asked_to_stop = True
                if task_run.call is None:
                    _raise_in(slot.thread, error)
                else:
                    task_run.interruption.set(error(MESSAGES[error]))


def own_thread(name: str, work: Callable[[], None]) -> threading.Thread:
    """Start a thread without which the runner is of no use: if it dies of an error, the runner ends."""

    def guarded() -> None:
        try:
            work()
        except BaseException:  # noqa: BLE001 - nothing else would report it
            leave_broken()

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def leave_broken() -> NoReturn:
    """End the runner because of the error that is being handled. Its worker starts another one."""
    try:
        traceback.print_exc()
    finally:
        os._exit(BROKEN_STATUS)


def outcome(task_run: TaskRun) -> ToWorker:
    """Return what the worker must learn of a run that has ended."""
    slot, error, finished_at = task_run.request.slot, task_run.error, time.time()
    if error is None or task_run.result is not None:  # a time-out that came after the result changes nothing
        return Ended(slot, finished_at, task_run.result)
    if type(error) is TaskInterrupted:
        return Interrupted(slot)
    if type(error) in MESSAGES and not error.args:
        error.args = (MESSAGES[type(error)],)  # `_raise_in` raises it without a message
    memory = task_run.definition and task_run.definition.memory
    if memory and isinstance(error, MemoryError):
        error = memory_exceeded(memory, error)
    permanent = _is_permanent(task_run.definition, error)
    return Ended(
        slot, finished_at, None, describe(error), permanent, error.seconds if isinstance(error, RetryAfter) else None
    )


def memory_exceeded(memory: int, cause: MemoryError) -> TaskMemoryExceeded:
    """Return the error of a task that needed more memory than its kind may have."""
    error = TaskMemoryExceeded(
        f"the task needed more memory than the {memory / (1 << 20):,.0f} MiB that its kind may have"
    )
    error.__cause__ = cause
    return error


def _is_permanent(definition: TaskDefinition | None, error: BaseException) -> bool:
    return definition is None or isinstance(error, UnknownKind) or is_permanent(definition, error)


def _leave_child(error: BaseException | None) -> NoReturn:
    """End a process that the task has forked, as a program ends whose main function returned or raised."""
    code = 0
    try:
        if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            code = error.code or 0
        elif error is not None:
            code = 1
            traceback.print_exception(error)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(code & 0xFF)


def _interruption() -> TaskInterrupted:
    return TaskInterrupted("the worker had to stop while the task ran; the task will run again")


def _raise_in(thread: threading.Thread | None, error: type[BaseException]) -> None:
    """Raise an exception in another thread, at its next step of Python code."""
    if thread is not None and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))


def _cancel_exception() -> None:
    """Undo `_raise_in` for this thread, if the exception was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.get_ident()), None)
