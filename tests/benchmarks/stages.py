"""Measures the stages of a running system of ours.

The times are those that the journal holds of each task: when the client sent it, when it was accepted, when stored.
"""

import time
from collections.abc import Mapping, Sequence

from core.addresses import Address
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

    def warm_up(self) -> None:
        """Have every part do something: a worker finds out only then how many messages to hold."""
        load.submit(self._entrance, self._order.warm_up, self._order)
        self._await_done(self._order.warm_up)

    def whole(self, processes: Mapping[Group, Sequence[int]]) -> Measured:
        """From submitted to stored, with everything at work."""
        self._book.turn()
        meter = Meter(processes)
        client = self._submit()
        self._await_done(self._order.tasks)
        cpu = {**meter.read(), Group.CLIENT: client}
        began = self._book.first("sent")
        return Measured(tasks=self._book.done(), seconds=self._book.last("stored") - began, cpu=cpu)

    def meanwhile(self) -> Measured:
        """From submitted to accepted, of the tasks of `whole`, which has just been measured."""
        seconds = self._book.last("accepted") - self._book.first("sent")
        return Measured(tasks=self._book.submitted(), seconds=seconds, cpu={})

    def accept(self, processes: Mapping[Group, Sequence[int]]) -> Measured:
        """From submitted to accepted, with no workers.

        The processor time is taken until all tasks are queued, since that is what accepting them leads to.
        """
        self._book.turn()
        meter = Meter(processes)
        client = self._submit()
        self._book.wait_in_state(State.QUEUED, self._order.tasks)
        cpu = {**meter.read(), Group.CLIENT: client}
        began = self._book.first("sent")
        return Measured(tasks=self._book.submitted(), seconds=self._book.last("accepted") - began, cpu=cpu)

    def work(self, processes: Mapping[Group, Sequence[int]]) -> Measured:
        """From queued to stored: what `accept` has left, by workers that have just been started."""
        first = self._order.tasks // WORKERS_READY
        self._book.wait_in_state(State.DONE, self._done + first)
        meter = Meter(processes)
        began = time.time()
        self._await_done(self._order.tasks)
        cpu = meter.read()
        if self._book.done(after=began) < first:
            # They were so few that most of them were done before anybody looked.
            began = self._book.first("taken")
        return Measured(tasks=self._book.done(after=began), seconds=self._book.last("stored") - began, cpu=cpu)

    def _submit(self) -> float:
        """Submit the tasks; the client's seconds of processor time."""
        figures = load.submit(self._entrance, self._order.tasks, self._order)
        if self._book.submitted() != self._order.tasks:
            raise Lost(f"{self._order.tasks} tasks were accepted, and {self._book.submitted()} are in the journal")
        return figures.cpu * figures.accepted

    def _await_done(self, tasks: int) -> None:
        """Wait until so many more tasks are done, and make sure that they are those of this page."""
        self._done += tasks
        self._book.wait_in_state(State.DONE, self._done)
        if self._book.done() != tasks:
            raise Lost(f"{tasks} tasks were accepted, and {self._book.done()} of them have a result")
