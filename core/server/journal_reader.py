"""The thread that reads the journal for a server: where tasks are, their results, the books.

Waiting for results costs one look at the journal's version while nothing happens,
and one query for all that are waited for when something did.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from core.errors import JournalError
from core.heartbeat import Liveness
from core.logs import LogThrottle
from core.model import Ledger, ProcessRecord, RunningTask, Task
from core.repository.base import OpenRepository, Repository
from core.server.waiters import Waiter, Waiters
from core.threads import OnDeath, vital_thread

POLL = 0.005
"""Seconds between two looks while results are waited for."""

SHARE = 4
"""After a look that took a while, it rests for this many times as long: waiting clients can't use up the machine."""

OBSERVE = 1.0
"""Seconds between two looks at the other processes."""

AT_ONCE = 64
"""Questions that are answered together: what came of a task may be large, and all of it is in memory until then."""

COMPLAIN_EVERY = 10.0
"""Seconds between two complaints in the log: clients must not fill it by asking."""

_log = logging.getLogger("cauce.server")

Ticket = TypeVar("Ticket")


class FindTask(msgspec.Struct, Generic[Ticket]):
    """Where is this task?"""

    ticket: Ticket
    task_id: str


class ReadStats(msgspec.Struct, Generic[Ticket]):
    """What do the books say?"""

    ticket: Ticket


class TaskFound(msgspec.Struct, Generic[Ticket]):
    """A task as it is, and who runs it at this moment."""

    ticket: Ticket
    task_id: str
    task: Task | None
    brief: bool
    """Only what came of the task is asked."""
    runner: str = ""
    running: RunningTask | None = None


class StatsRead(msgspec.Struct, Generic[Ticket]):
    """The books, and the processes that are alive."""

    ticket: Ticket
    ledger: Ledger
    processes: Sequence[ProcessRecord]


class ReadFailed(msgspec.Struct, Generic[Ticket]):
    """The journal can't be read now."""

    ticket: Ticket
    reason: str


ReadRequest = FindTask[Ticket] | Waiter[Ticket] | ReadStats[Ticket]
ReadResult = TaskFound[Ticket] | StatsRead[Ticket] | ReadFailed[Ticket]


class JournalReader(Generic[Ticket]):
    """Owns the thread.

    Args:
        open_repository: opens the journal, in the thread.
        answer: takes replies, several at once; called from the thread.
        on_death: called when the thread dies.
        gone: tells whether nobody waits for this ticket's answer any more; called from the thread.
    """

    def __init__(
        self,
        open_repository: OpenRepository,
        answer: Callable[[Sequence[ReadResult[Ticket]]], None],
        on_death: OnDeath,
        gone: Callable[[Ticket], bool] = lambda _: False,
    ) -> None:
        self._open = open_repository
        self._answer = answer
        self._questions: queue.SimpleQueue[Sequence[ReadRequest[Ticket]]] = queue.SimpleQueue()
        self._watches = Waiters[Ticket](gone)
        self._liveness = Liveness()
        self._alive: list[ProcessRecord] = []
        self._in_hand: dict[str, tuple[str, RunningTask]] = {}
        self._complaints = LogThrottle(COMPLAIN_EVERY)
        self._next_look = 0.0
        self._next_observation = 0.0
        self._version = -1
        self._leaving = threading.Event()
        self._thread = vital_thread("reader", self._run, on_death)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def ask(self, questions: Sequence[ReadRequest[Ticket]]) -> None:
        """Have these answered; each is, once."""
        self._questions.put(questions)

    def stop(self) -> None:
        """Answer what was asked, those that wait with what is known by then, and end."""
        self._leaving.set()
        self._questions.put([])
        self._thread.join(15)

    def _run(self) -> None:
        with self._open() as repository:
            while not self._leaving.is_set() or not self._questions.empty():
                self._serve(self._gather(), repository)
            self._tell_overdue(repository, self._watches.take_all())

    def _gather(self) -> list[ReadRequest[Ticket]]:
        pause = OBSERVE
        if self._watches:
            pause = min(max(0.001, self._next_look - time.monotonic()), OBSERVE)
        questions: list[ReadRequest[Ticket]] = []
        try:
            questions.extend(self._questions.get(timeout=pause))
            while True:
                questions.extend(self._questions.get_nowait())
        except queue.Empty:
            return questions

    def _serve(self, questions: Sequence[ReadRequest[Ticket]], repository: Repository) -> None:
        now = time.monotonic()
        for first in range(0, max(1, len(questions)), AT_ONCE):
            self._reply(questions[first : first + AT_ONCE], repository, now)
        try:
            self._look(repository, now)
        except JournalError as error:
            self._refuse(self._watches.take_all(), error)

    def _reply(self, questions: Sequence[ReadRequest[Ticket]], repository: Repository, now: float) -> None:
        """Answer these, or have them wait."""
        try:
            self._observe(repository, now)
            replies, waiting = self._sort(questions, repository)
        except JournalError as error:
            self._refuse(questions, error)
        else:
            self._say(replies)
            self._wait_for(waiting)

    def _refuse(self, questions: Sequence[ReadRequest[Ticket]], error: JournalError) -> None:
        if questions:
            now = time.monotonic()
            if self._complaints.is_due(now):
                _log.warning("the journal can't be read: %s", error)
            self._say([ReadFailed(question.ticket, str(error)) for question in questions])

    def _sort(
        self, questions: Sequence[ReadRequest[Ticket]], repository: Repository
    ) -> tuple[list[ReadResult[Ticket]], list[Waiter[Ticket]]]:
        """The answers that can be given at once, and those that wait for the end of their task."""
        asked = {question.task_id for question in questions if not isinstance(question, ReadStats)}
        tasks = {task.id: task for task in repository.find_all(asked)} if asked else {}
        replies: list[ReadResult[Ticket]] = []
        waiting: list[Waiter[Ticket]] = []
        ledger: Ledger | None = None
        for question in questions:
            if isinstance(question, ReadStats):
                ledger = ledger or self._ledger(repository)
                replies.append(StatsRead(question.ticket, ledger, self._alive))
                continue
            task = tasks.get(question.task_id)
            if isinstance(question, Waiter) and task is not None and not task.state.ended:
                waiting.append(question)
            else:
                replies.append(self._found(question, task))
        return replies, waiting

    def _wait_for(self, waiting: Sequence[Waiter[Ticket]]) -> None:
        for question in waiting:
            self._watches.add(question)
            # It may have ended since it was looked at.
            self._version = -1

    def _observe(self, repository: Repository, now: float) -> None:
        if now < self._next_observation:
            return
        self._next_observation = now + OBSERVE
        records = repository.processes()
        self._liveness.observe(records, now)
        self._alive = [record for record in records if self._liveness.is_alive(record, now)]
        self._in_hand = {held.id: (record.name, held) for record in reversed(self._alive) for held in record.in_hand}

    def _ledger(self, repository: Repository) -> Ledger:
        return Ledger.of(repository.counts(), sum(len(record.in_hand) for record in self._alive))

    def _found(self, question: FindTask[Ticket] | Waiter[Ticket], task: Task | None) -> TaskFound[Ticket]:
        brief = isinstance(question, Waiter)
        found = None if task is None or task.state.ended else self._in_hand.get(question.task_id)
        if found is not None:
            return TaskFound(question.ticket, question.task_id, task, brief, *found)
        return TaskFound(question.ticket, question.task_id, task, brief)

    def _look(self, repository: Repository, now: float) -> None:
        """Answer those whose task has ended, and those whose time is over."""
        if not self._watches or now < self._next_look:
            return
        version = repository.data_version()
        if version != self._version:
            ended = repository.ended(self._watches.ids)
            self._version = version
            self._say(
                [
                    TaskFound(watch.ticket, task.id, task, brief=True)
                    for task in ended
                    for watch in self._watches.take(task.id)
                ]
            )
        self._tell_overdue(repository, self._watches.take_overdue(now))
        self._next_look = now + max(POLL, SHARE * (time.monotonic() - now))

    def _tell_overdue(self, repository: Repository, watches: Sequence[Waiter[Ticket]]) -> None:
        """Answer those that will wait no longer with what is known."""
        if not watches:
            return
        try:
            tasks = {task.id: task for task in repository.find_all({watch.task_id for watch in watches})}
        except JournalError as error:
            self._refuse(watches, error)
        else:
            self._say([self._found(watch, tasks.get(watch.task_id)) for watch in watches])

    def _say(self, replies: Sequence[ReadResult[Ticket]]) -> None:
        if replies:
            self._answer(replies)
