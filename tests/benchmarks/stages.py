"""Measures the stages of a running system of ours.

Accepted is what the client was told, by its clock; stored is what another connection to the journal sees, after the
commit. The journal's own times are from before it, and one commit may hold a thousand tasks.
"""

from collections.abc import Mapping, Sequence

from core.addresses import Address
from core.client.load_command import LoadReport
from core.model import State
from tests.benchmarks import load
from tests.benchmarks.book import Book
from tests.benchmarks.case import Group, Lost, Measured, Order
from tests.benchmarks.processor import Meter

WORKERS_READY = 4
"""One task in so many is done before the work is measured: by then all workers are at it, and know their pace."""


class Stages:
    """Measures one stage after the other.

    Args:
        entrance: where clients connect to.
        book: reads the journal.
        order: how much is to be done.
    """

    def __init__(self, entrance: Sequence[Address], book: Book, order: Order) -> None:
        self._entrance = entrance
        self._book = book
        self._order = order
        self._done = 0
        """How many tasks of the journal are done, by our own count."""
        self._told: LoadReport

    def warm_up(self) -> None:
        """Have every part do something: a worker finds out only then how many messages to hold."""
        load.submit(self._entrance, self._order.warm_up, self._order)
        self._await_done(self._order.warm_up)

    def whole(self, processes: Mapping[Group, Sequence[int]]) -> Measured:
        """From submitted to stored, with everything at work."""
        self._book.turn()
        meter = Meter(processes)
        self._told = self._submit()
        ended = self._await_done(self._order.tasks)
        cpu = {**meter.read(), Group.CLIENT: _spent(self._told)}
        return Measured(tasks=self._book.done(), seconds=ended - self._book.first("sent"), cpu=cpu)

    def meanwhile(self) -> Measured:
        """From submitted to accepted, of the tasks of `whole`, which has just been measured."""
        return Measured(tasks=self._told.accepted, seconds=self._told.seconds, cpu={})

    def accept(self, processes: Mapping[Group, Sequence[int]]) -> Measured:
        """From submitted to accepted, with no workers.

        The processor time is taken until all tasks are queued, since that is what accepting them leads to.
        """
        self._book.turn()
        meter = Meter(processes)
        told = self._submit()
        self._book.wait_in_state(State.QUEUED, self._order.tasks)
        cpu = {**meter.read(), Group.CLIENT: _spent(told)}
        return Measured(tasks=told.accepted, seconds=told.seconds, cpu=cpu)

    def work(self, processes: Mapping[Group, Sequence[int]]) -> Measured:
        """From queued to stored: what `accept` has left, by workers that have just been started."""
        first = self._order.tasks // WORKERS_READY
        found, began = self._book.reach(State.DONE, self._done + first)
        meter = Meter(processes)
        all_of_them = self._done + self._order.tasks
        ended = self._await_done(self._order.tasks)
        cpu = meter.read()
        tasks = all_of_them - found
        if tasks < first:
            # They were so few that most of them were done before anybody looked.
            tasks, began = self._order.tasks, self._book.first("taken")
        return Measured(tasks=tasks, seconds=ended - began, cpu=cpu)

    def _submit(self) -> LoadReport:
        """Submit the tasks; what the client has to say of it."""
        figures = load.submit(self._entrance, self._order.tasks, self._order)
        if self._book.submitted() != self._order.tasks:
            raise Lost(f"{self._order.tasks} tasks were accepted, and {self._book.submitted()} are in the journal")
        return figures

    def _await_done(self, tasks: int) -> float:
        """Wait until so many more tasks are done, and make sure that they are those of this page; when they were."""
        self._done += tasks
        _, ended = self._book.reach(State.DONE, self._done)
        if self._book.done() != tasks:
            raise Lost(f"{tasks} tasks were accepted, and {self._book.done()} of them have a result")
        return ended


def _spent(told: LoadReport) -> float:
    """The client's seconds of processor time."""
    return told.cpu * told.accepted
