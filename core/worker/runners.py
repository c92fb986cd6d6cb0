"""The runners of a worker: a thread that feeds them, ends those whose tasks do not stop, and replaces those that die.

Tasks run in other processes (`core.runner`), and everything about them is decided in this one thread. When a runner
dies, only the tasks that had begun in it get a strike and become suspects; the others go to the next runner at once.
Each suspect runs alone in a runner with one thread, so that a task which kills its runner harms no other.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from core.begun_slots import CAPACITY
from core.model import Beginning, Outcome, RunningTask
from core.repository.base import STRIKE_LIMIT
from core.repository.beginnings import WorkerBeginnings
from core.runner.frames import (
    Ended,
    GiveBack,
    GivenBack,
    Interrupt,
    Interrupted,
    Ready,
    Stop,
    ToWorker,
)
from core.threads import OnDeath, vital_thread
from core.worker import policy
from core.worker.in_flight import InFlightTask
from core.worker.run_outcomes import RunRules, RunSettings, timed_out
from core.worker.runner_group import RunnerGroup
from core.worker.runner_process import RunnerProcess, Slot

STOP_TIMEOUT = 5.0
"""Seconds that a task has to stop after its time-out, before its runner is ended.

They are counted in checks: while the whole system is suspended, no task can stop.
"""

LEAVING_TIMEOUT = 30.0
"""Seconds that the other tasks of such a runner have to end."""

FROZEN_TIMEOUT = 1.0
"""Seconds after which such a runner is ended in any case if it does not answer: a task keeps Python to itself."""

CHECK_INTERVAL = 0.05
"""Seconds between two checks while tasks run."""

IDLE_INTERVAL = 0.5
"""Seconds between two checks while none runs."""

MAX_WAIT_IN_RUNNER = 0.25
"""Seconds after which a task that waits behind others in its runner is taken back."""

END_TIMEOUT = 5.0
"""Seconds to wait until all runners that were killed have ended."""

MAX_SOLO = 4
"""The most runners for suspects."""

SOLO_IDLE_TIMEOUT = 5.0
"""Seconds after which a runner for suspects that has none is ended."""

MAX_TASKS = CAPACITY // 2
"""The most tasks that the runners of a worker have at once. As many may have ended and wait to be stored."""

_log = logging.getLogger("cauce.worker")


class Callbacks(msgspec.Struct, frozen=True):
    """The functions that are called for each task."""

    begin: Callable[[InFlightTask], bool]
    """Marks a task as begun. Returns False when it must not run, because it is delivered again."""
    give_back: Callable[[InFlightTask], None]
    """Marks a task as not begun, since its runner never began it."""
    add_strike: Callable[[InFlightTask, Beginning, Callable[[], None]], None]
    """Stores a strike, or marks the task as unwanted, and calls the function then."""
    remove_strike: Callable[[InFlightTask], None]
    """Removes the strike of a suspect that did not begin after all."""
    give_up: Callable[[InFlightTask], None]
    """Receives a suspect that has had too many strikes."""
    finish: Callable[[InFlightTask, Outcome], None]
    """Receives the outcome of a task."""
    drop: Callable[[InFlightTask], None]
    """Receives a task that was not begun, because it is unwanted."""


class _Struck(msgspec.Struct, eq=False):
    """A strike was stored."""

    task: InFlightTask
    runner: RunnerProcess | None
    """The runner in which the suspect is about to begin; None when the task's runner has died."""


class _Command(msgspec.Struct, eq=False):
    """Something for the thread to do."""

    do: Callable[[], None]


class _Room(msgspec.Struct, eq=False):
    """A runner that takes tasks."""

    runner: RunnerProcess
    left: int
    """How many more it takes now."""
    batch: list[tuple[InFlightTask, float | None]] = []


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
        self._settings = settings
        self._rules = rules
        self._group = group
        self._beginnings = beginnings
        self._callbacks = callbacks
        self._inbox: deque[InFlightTask | _Struck | _Command] = deque()
        self._waiting: deque[InFlightTask] = deque()
        self._suspects: deque[InFlightTask] = deque()
        self._solo_idle_since = 0.0
        self._seconds_each: float | None = None
        self._next_check = 0.0
        self._awake = True
        self._stopping = False
        self._ended = False
        self._drained = threading.Event()
        self._thread = vital_thread("runners", self._run, on_death)

    # Called from other threads.

    def start(self) -> None:
        """Start the thread, which starts the runners."""
        self._thread.start()

    def add(self, task: InFlightTask) -> None:
        """Run a task as soon as a runner is free."""
        self._post(task)

    @property
    def trouble(self) -> str:
        """The reason why no runner can be started now, or an empty string."""
        return self._group.trouble

    @property
    def running(self) -> list[RunningTask]:
        """The tasks that are running."""
        return [
            RunningTask(begun.task.assignment.id, begun.task.assignment.kind, begun.started_at)
            for runner in self._group.all
            for begun in runner.running
        ]

    @property
    def running_suspects(self) -> list[int]:
        """The numbers of the suspects that are running."""
        return [begun.task.assignment.seq for runner in list(self._group.solo) for begun in runner.running]

    def stop(self, timeout: float) -> bool:
        """Begin no more tasks, and wait up to `timeout` seconds. Returns whether all running tasks have ended."""
        self._post(_Command(self._begin_stop))
        return self._drained.wait(timeout)

    def interrupt(self, timeout: float) -> None:
        """Ask the running tasks to stop at once, and wait up to `timeout` seconds. They will run again elsewhere."""
        self._post(_Command(self._interrupt_all))
        self._drained.wait(timeout)

    def kill(self) -> None:
        """End all runners. Their tasks have no outcome, and run again elsewhere."""
        self._ended = True
        for runner in self._group.all:
            runner.kill()
        self._group.wake()
        if self._thread.is_alive():
            self._thread.join(END_TIMEOUT)

    def _post(self, item: InFlightTask | _Struck | _Command) -> None:
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

    def _run_once(self) -> None:
        if not self._stopping:
            self._group.start_missing()
        self._wait()
        if not self._ended:
            self._take_inbox()
            now = time.monotonic()
            if now >= self._next_check:
                self._next_check = now + CHECK_INTERVAL
                for runner in self._group.all:
                    self._check(runner, now)
                self._end_idle_solo(now)
            if self._stopping:
                self._finish_stop()
            else:
                self._feed()
                self._begin_suspects()

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
                (self._suspects if item.suspect else self._waiting).append(item)
            elif isinstance(item, _Struck):
                self._struck(item)
            else:
                item.do()

    # What runners say.

    def _read(self, runner: RunnerProcess) -> None:
        messages = runner.receive()
        if self._ended:
            return
        if messages is None:
            self._remove(runner)
            return
        self._handle_all(runner, messages)

    def _handle_all(self, runner: RunnerProcess, messages: Sequence[ToWorker]) -> None:
        try:
            for message in messages:
                self._handle(runner, message)
        except KeyError:
            # A task has written to our socket.
            _log.error("a runner names a task that it does not have; it is ended")
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
            self._take_back([runner.remove(slot).task for slot in message.slots], struck=runner in self._group.solo)
        elif isinstance(message, Interrupted):
            runner.remove(message.slot)
        elif isinstance(message, Ready):
            self._set_ready(runner, message)
        else:
            self._group.note_trouble(f"a new runner can't import the modules with tasks: {message.reason}")

    def _set_ready(self, runner: RunnerProcess, message: Ready) -> None:
        self._group.set_ready(runner)
        self._rules.set_kinds(message.kinds)

    def _end(self, runner: RunnerProcess, message: Ended) -> None:
        task = runner.remove(message.slot).task
        started_at, _ = runner.began(message.slot)
        seconds = max(0.0, message.finished_at - started_at)
        self._seconds_each = policy.moving_average(self._seconds_each, seconds)
        self._callbacks.finish(task, self._rules.outcome(task, started_at, message))

    def _take_back(self, tasks: Sequence[InFlightTask], *, struck: bool) -> None:
        """Take back tasks that have not begun in a runner, in front of those that wait.

        Args:
            tasks: the tasks.
            struck: whether strikes were stored for them, which are removed.
        """
        for task in reversed(tasks):
            if struck:
                self._callbacks.remove_strike(task)
                task.assignment = msgspec.structs.replace(task.assignment, strikes=task.assignment.strikes - 1)
            self._callbacks.give_back(task)
            (self._suspects if task.suspect else self._waiting).appendleft(task)

    # Feeding.

    def _feed(self) -> None:
        """Give waiting tasks to the runners that have room."""
        rooms = self._rooms() if self._waiting else []
        while self._waiting and rooms and self._beginnings.has_room:
            room = max(rooms, key=lambda room: room.left)
            if room.left <= 0:
                break
            task = self._waiting.popleft()
            if self._may_begin(task):
                room.batch.append((task, self._rules.timeout(task)))
                room.left -= 1
        for room in rooms:
            if room.batch:
                room.runner.run(room.batch)
                self._group.watch(room.runner)

    def _rooms(self) -> list["_Room"]:
        """Return the runners that take tasks, each with the number that it takes now."""
        each = -(-(self._settings.concurrency - self._solo_places) // self._settings.runners)
        rooms: list[_Room] = []
        for runner in self._group.shared:
            if runner.ready and not runner.leaving:
                limit = policy.feed_limit(runner.threads, self._seconds_each, MAX_TASKS // self._settings.runners)
                rooms.append(_Room(runner, (min(limit, each) if self._solo_places else limit) - runner.load))
        return rooms

    @property
    def _solo_places(self) -> int:
        """How many tasks run alone, or will as soon as fewer others run."""
        return min(sum(not runner.idle for runner in self._group.solo) + len(self._suspects), self._solo_limit)

    def _may_begin(self, task: InFlightTask) -> bool:
        """Mark a task as begun. Returns False for one that must not run, which is then forgotten."""
        if not self._callbacks.begin(task):
            return False
        if task.unwanted:
            self._callbacks.drop(task)
            return False
        return True

    # Suspects.

    @property
    def _solo_limit(self) -> int:
        return min(MAX_SOLO, max(1, self._settings.concurrency // 2))

    def _begin_suspects(self) -> None:
        """Begin suspects, each in a runner of its own, as long as there are places."""
        while self._suspects and self._beginnings.has_room:
            running = sum(runner.load + runner.reserved for runner in self._group.all)
            if running and running >= self._settings.concurrency:
                return
            runner = next((one for one in self._group.solo if one.ready and one.idle), None)
            if runner is None:
                busy = sum(not one.idle for one in self._group.solo)
                self._group.start_solo(min(self._solo_limit, len(self._suspects) + busy))
                return
            task = self._suspects.popleft()
            if not self._may_begin(task):
                continue
            if task.assignment.strikes >= STRIKE_LIMIT:
                self._callbacks.give_up(task)
                continue
            runner.reserved = True
            self._strike(task, time.time(), runner)

    def _strike(self, task: InFlightTask, started_at: float, runner: RunnerProcess | None) -> None:
        beginning = Beginning(
            seq=task.assignment.seq,
            worker=self._settings.worker,
            queued_at=task.reference.at,
            taken_at=task.taken_at,
            started_at=started_at,
        )
        struck = _Struck(task, runner)
        self._callbacks.add_strike(task, beginning, lambda: self._post(struck))

    def _struck(self, item: _Struck) -> None:
        """Go on after a strike was stored: run the suspect, or let it wait for its next turn."""
        task, runner = item.task, item.runner
        if runner is not None:
            runner.reserved = False
        if task.unwanted:
            self._callbacks.drop(task)
            return
        task.assignment = msgspec.structs.replace(task.assignment, strikes=task.assignment.strikes + 1)
        if runner is None:
            task.suspect = True
            self._callbacks.give_back(task)
            self._suspects.append(task)
        elif runner not in self._group.solo or self._stopping:
            self._take_back([task], struck=True)
        else:
            runner.run([(task, self._rules.timeout(task))])
            self._group.watch(runner)

    def _end_idle_solo(self, now: float) -> None:
        """End the runners for suspects a while after the last suspect."""
        if self._suspects or not all(runner.idle for runner in self._group.solo):
            self._solo_idle_since = now
        elif self._group.solo and now - self._solo_idle_since > SOLO_IDLE_TIMEOUT:
            for runner in list(self._group.solo):
                runner.leaving = True
                runner.send(Stop())

    # Runners that do not stop, that die, and that are missing.

    def _check(self, runner: RunnerProcess, now: float) -> None:
        """Find the tasks of a runner that are late, and end a runner that has one which does not stop."""
        if runner.has_exited:
            self._read_rest(runner)
            return
        begun, waits = 0, False
        if runner.leaving or now - runner.oldest(now) > MAX_WAIT_IN_RUNNER:
            begun, waits = self._count(runner, now)
        if waits and begun and runner.ready:
            self._seconds_each = max(self._seconds_each or 0.0, MAX_WAIT_IN_RUNNER)
            self._ask_back(runner)
        if begun:
            self._end_stuck(runner, begun)

    def _count(self, runner: RunnerProcess, now: float) -> tuple[int, bool]:
        """Count the tasks that have begun, and note which are late. Returns also whether others have waited long."""
        begun, waits = 0, False
        for number, slot in runner.slots:
            _, since = runner.began(number)
            if not since:
                waits = waits or now - slot.given_at > MAX_WAIT_IN_RUNNER
                continue
            begun += 1
            if slot.timeout is not None and now - since > slot.timeout:
                slot.late_checks += 1
        return begun, waits

    def _end_stuck(self, runner: RunnerProcess, begun: int) -> None:
        """Let a runner go that has a task which does not stop, and end it when its other tasks have ended."""
        stuck = sum(_is_stuck(slot) for _, slot in runner.slots)
        if stuck and not runner.leaving:
            runner.leaving = True
            self._ask_back(runner)
        if runner.leaving:
            runner.leaving_checks += 1
            seconds = runner.leaving_checks * CHECK_INTERVAL
            if stuck == begun or seconds > (FROZEN_TIMEOUT if runner.asked_back else LEAVING_TIMEOUT):
                self._remove(runner)

    def _ask_back(self, runner: RunnerProcess) -> None:
        """Ask a runner for the tasks that have not begun, unless it has not answered the last time."""
        if not runner.asked_back:
            runner.asked_back = True
            runner.send(GiveBack())
            self._group.watch(runner)

    def _read_rest(self, runner: RunnerProcess) -> None:
        """Read what a runner sent before it died. A process that it has forked may keep the socket open."""
        while messages := runner.receive():
            self._handle_all(runner, messages)
        self._remove(runner)

    def _remove(self, runner: RunnerProcess) -> None:
        """End a runner, if it has not died already, and decide about its tasks."""
        if self._ended or runner not in self._group.all:
            return
        tasks = runner.slots
        begun = [number for number, _ in tasks if runner.began(number)[1]]
        if begun and not runner.leaving:
            _log.error("a runner died (%s) while %d tasks ran in it", runner.exit_status, len(begun))
        is_solo = runner in self._group.solo
        self._group.remove(runner)
        self._take_back([slot.task for number, slot in tasks if number not in begun], struck=is_solo)
        for number, slot in tasks:
            if number in begun:
                self._decide(runner, slot, runner.began(number)[0])

    def _decide(self, runner: RunnerProcess, slot: Slot, started_at: float) -> None:
        """Decide about a task that had begun in a runner which has ended."""
        task = slot.task
        if _is_stuck(slot):
            _log.error("task %s did not stop after its time-out; its runner was ended", task.assignment.id)
            self._callbacks.finish(task, self._rules.outcome(task, started_at, timed_out(time.time())))
        elif runner.leaving:
            self._take_back([task], struck=task.suspect)
        elif task.suspect:
            # Its strike was stored before it began.
            self._callbacks.give_back(task)
            self._suspects.append(task)
        else:
            self._strike(task, started_at, None)

    # The end.

    def _begin_stop(self) -> None:
        self._stopping = True
        self._waiting.clear()
        self._suspects.clear()
        for runner in self._group.all:
            self._ask_back(runner)

    def _interrupt_all(self) -> None:
        for runner in self._group.all:
            runner.send(Interrupt())

    def _finish_stop(self) -> None:
        """Forget what was given back, and note when nothing runs any more."""
        self._waiting.clear()
        self._suspects.clear()
        if not any(runner.load for runner in self._group.all):
            self._drained.set()


def _is_stuck(slot: Slot) -> bool:
    """Return whether a task has not stopped long after its time-out."""
    return slot.late_checks > STOP_TIMEOUT / CHECK_INTERVAL
