"""The handler threads: each runs one task at a time, and hands over what came of it.

Python can't end a thread, so a task that runs longer than it may is asked to stop (an exception is raised in its
thread, which reaches Python code but no call into the system), then left alone: its thread is written off, another
takes its place, and whatever it may still return counts for nothing.
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
from core.model import Failure, Outcome, RunningTask, State
from core.repository.base import STRIKE_LIMIT
from core.tasks import Registry, TaskContext, TaskDefinition, describe, run
from core.threads import OnDeath, vital_thread
from core.worker import policy
from core.worker.in_flight import InFlightTask
from core.worker.suspects import SuspectQueue

GRACE = 5.0
"""Seconds that a task has to stop after it was asked to, before its thread is written off.

They are counted in looks of the watch: while the whole process is held up, no task could stop.
"""

WATCH_INTERVAL = 0.05

_log = logging.getLogger("cauce.worker")


class RunSettings(msgspec.Struct, frozen=True):
    """How tasks are run, where neither they nor their kinds say."""

    worker: str
    retries: int
    retry_delay: float
    timeout: float | None
    files_root: Path | None


class Callbacks(msgspec.Struct, frozen=True):
    """What the threads tell others."""

    begin: Callable[[InFlightTask], bool]
    """Notes that a task is begun; False when it is not to be, since it is delivered again."""
    add_strike: Callable[[InFlightTask], None]
    """Writes down that a task is about to begin that was delivered before, or marks it as unwanted."""
    finish: Callable[[InFlightTask, Outcome], None]
    """Takes what came of a task."""
    drop: Callable[[InFlightTask], None]
    """Takes a task that was not begun, because nobody wants it any more."""


class TaskRun(msgspec.Struct, eq=False):
    """One task that runs at this moment, and what came of it."""

    held: InFlightTask
    started_at: float
    deadline: float | None = None
    """Of the monotonic clock."""
    definition: TaskDefinition | None = None
    result: str | None = None
    error: BaseException | None = None
    looks_left: int | None = None
    """How often the watch still looks before it writes the thread off; None while the task was not asked to stop."""
    written_off: bool = False


class ThreadSlot:
    """The place of one handler thread. Its lock settles who ends a run: the thread itself, or the watch."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.run: TaskRun | None = None
        self.thread: threading.Thread | None = None


class HandlerThreads:
    """Owns the threads.

    Args:
        concurrency: how many.
        registry: the kinds that can be run.
        rules: how.
        uses: called from the threads.
        on_death: called when a thread dies.
    """

    def __init__(
        self,
        concurrency: int,
        registry: Registry,
        rules: RunSettings,
        uses: Callbacks,
        on_death: OnDeath,
    ) -> None:
        self._registry = registry
        self._rules = rules
        self._uses = uses
        self._on_death = on_death
        self._ready: queue.SimpleQueue[InFlightTask | None] = queue.SimpleQueue()
        self._suspects = SuspectQueue(self._ready.put)
        self._interruption = threading.Event()
        self._stopping = threading.Event()
        # A task has begun that has a time-out: only then is there anything to watch. No lock of Python's own may be
        # used for it: what is raised in a thread that has just taken one would leave it taken.
        self._timed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._watching = False
        self._slots = [ThreadSlot() for _ in range(concurrency)]
        self._watch = vital_thread("watch", self._run_watch, on_death)
        self.abandoned = 0
        """How many threads were left to tasks that would not stop."""

    def start(self) -> None:
        """Begin."""
        for slot in self._slots:
            self._start_thread(slot)
        self._watch.start()

    def add(self, held: InFlightTask) -> None:
        """Have a task run."""
        if held.suspect:
            self._suspects.add(held)
        else:
            self._ready.put(held)

    @property
    def running(self) -> list[RunningTask]:
        """The tasks that run at this moment."""
        runs = [slot.run for slot in self._slots]
        return [
            RunningTask(run.held.assignment.id, run.held.assignment.kind, run.started_at)
            for run in runs
            if run is not None
        ]

    @property
    def running_suspects(self) -> list[int]:
        """The numbers of the tasks that run at this moment and began under suspicion."""
        runs = [slot.run for slot in self._slots]
        return [run.held.assignment.seq for run in runs if run is not None and run.held.suspect]

    def stop(self, timeout: float) -> bool:
        """Begin nothing more, and wait up to `timeout` seconds for what runs; whether all of it has ended."""
        self._stopping.set()
        self._timed.put(None)
        self._suspects.clear()
        for _ in self._slots:
            self._ready.put(None)
        deadline = time.monotonic() + timeout
        for slot in self._slots:
            if slot.thread is not None:
                slot.thread.join(max(0.0, deadline - time.monotonic()))
        return not self.running

    def interrupt(self) -> None:
        """Ask what runs to stop at once; it will run again elsewhere."""
        self._interruption.set()

    def _start_thread(self, slot: ThreadSlot) -> None:
        slot.thread = vital_thread("handler", lambda: self._run_handler(slot), self._on_death)
        slot.thread.start()

    def _run_handler(self, slot: ThreadSlot) -> None:
        me = threading.current_thread()
        while slot.thread is me:
            held = self._ready.get()
            if held is None or self._stopping.is_set():
                return
            try:
                self._handle(held, slot)
            finally:
                self._suspects.finish(held)

    def _handle(self, held: InFlightTask, slot: ThreadSlot) -> None:
        if not self._uses.begin(held):
            return
        if held.suspect and not held.unwanted and not self._begin_suspect(held):
            return
        if held.unwanted:
            self._uses.drop(held)
            return
        run_now = TaskRun(held, time.time())
        try:
            self._attempt(run_now, slot)
            self._leave(slot, run_now)
        except TaskTimeout as late:
            # It came when the task had ended, or hardly begun. No second one comes for the same run.
            if run_now.error is None:
                run_now.error = late
            self._leave(slot, run_now)
        if not run_now.written_off and type(run_now.error) is not TaskInterrupted:
            self._uses.finish(held, self._outcome(run_now))
        run_now.error = None  # its traceback holds this frame, which holds it

    def _attempt(self, run_now: TaskRun, slot: ThreadSlot) -> None:
        """Run a task and note what came of it."""
        held = run_now.held
        try:
            run_now.definition = definition = self._registry.get(held.assignment.kind)
            timeout = definition.timeout or self._rules.timeout
            run_now.deadline = None if timeout is None else time.monotonic() + timeout
            slot.run = run_now
            if timeout is not None and not self._watching:
                self._timed.put(None)
            run_now.result = run(definition, held.assignment.payload, self._context(held, run_now.deadline))
        except UnknownKind as unknown:
            run_now.error = unknown.with_traceback(None)
        except BaseException as raised:  # noqa: BLE001 - a task may raise whatever there is, and its thread goes on
            run_now.error = raised

    def _context(self, held: InFlightTask, deadline: float | None) -> TaskContext:
        assignment = held.assignment
        return TaskContext(
            id=assignment.id,
            kind=assignment.kind,
            attempt=assignment.attempts + 1,
            deadline=deadline,
            files_root=self._rules.files_root,
            interruption=self._interruption,
        )

    def _begin_suspect(self, held: InFlightTask) -> bool:
        """Note that a task begins which may have killed its worker; one that did so too often ends here."""
        strikes = held.assignment.strikes
        if strikes < STRIKE_LIMIT:
            self._uses.add_strike(held)
            return True
        failure = Failure(
            type="WorkerLost",
            message=f"each of {strikes + 1} workers that began the task died or lost its connection before it ended",
            signature="worker-lost",
        )
        now = time.time()
        self._uses.finish(held, self._ended(held, now, State.FAILED, failure=failure))
        return False

    def _leave(self, slot: ThreadSlot, run_now: TaskRun) -> None:
        """End a run, unless the watch has ended it before."""
        with slot.lock:
            if slot.run is run_now:
                slot.run = None
            asked = run_now.looks_left is not None
        if asked:
            _take_back_exception()

    def _outcome(self, run_now: TaskRun) -> Outcome:
        held, started_at, error = run_now.held, run_now.started_at, run_now.error
        if error is None or run_now.result is not None:  # a time-out that came after the result changes nothing
            return self._ended(held, started_at, State.DONE, result=run_now.result)
        assignment = held.assignment
        if isinstance(error, TaskTimeout) and not error.args:
            error.args = ("the task ran longer than its time-out allows",)  # as `_raise_in` can't say it
        failure = describe(error)
        if policy.may_retry(run_now.definition, error, assignment.attempts, assignment.retries, self._rules.retries):
            chance = random.random()  # noqa: S311 - to spread retries
            wait = policy.retry_delay(assignment.attempts, self._rules.retry_delay, chance)
            return self._ended(held, started_at, State.RETRYING, failure=failure, due_at=time.time() + wait)
        return self._ended(held, started_at, State.FAILED, failure=failure)

    def _ended(
        self,
        held: InFlightTask,
        started_at: float,
        state: State,
        *,
        result: str | None = None,
        failure: Failure | None = None,
        due_at: float | None = None,
    ) -> Outcome:
        return Outcome(
            seq=held.assignment.seq,
            attempt=held.assignment.attempts,
            state=state,
            result=result,
            failure=failure,
            due_at=due_at,
            worker=self._rules.worker,
            queued_at=held.reference.at,
            taken_at=held.taken_at,
            started_at=started_at,
            finished_at=time.time(),
        )

    # The watch over tasks that run too long.

    def _run_watch(self) -> None:
        while True:
            self._timed.get()
            self._watching = True
            while self._watching:
                if self._stopping.wait(WATCH_INTERVAL):
                    return
                # First this, then the look: whoever begins after it says so again.
                self._watching = False
                self._watching = self._look_at_deadlines(time.monotonic())

    def _look_at_deadlines(self, now: float) -> bool:
        """Hurry what is late; whether anything runs that can be."""
        timed = False
        for slot in self._slots:
            run_now = slot.run
            if run_now is not None and run_now.deadline is not None:
                timed = True
                if now > run_now.deadline:
                    self._hurry(slot, run_now)
        return timed

    def _hurry(self, slot: ThreadSlot, run_now: TaskRun) -> None:
        with slot.lock:
            if slot.run is not run_now:
                return
            if run_now.looks_left is None:
                run_now.looks_left = round(GRACE / WATCH_INTERVAL)
                _raise_in(slot.thread, TaskTimeout)
                return
            run_now.looks_left -= 1
            if run_now.looks_left > 0:
                return
            run_now.written_off = True
            slot.run = None
        self.abandoned += 1
        held = run_now.held
        _log.error("task %s does not stop after its time-out; its thread is written off", held.assignment.id)
        error = TaskTimeout("the task ran longer than its time-out, and did not stop when asked")
        # A value of its own: the thread that was left may still write into the old one.
        ended = TaskRun(held, run_now.started_at, definition=run_now.definition, error=error)
        self._uses.finish(held, self._outcome(ended))
        self._suspects.finish(held)
        self._start_thread(slot)


def _raise_in(thread: threading.Thread | None, error: type[BaseException]) -> None:
    """Raise in another thread, at its next step of Python code."""
    if thread is not None and thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))


def _take_back_exception() -> None:
    """Undo `_raise_in` for this thread, if it was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.get_ident()), None)
