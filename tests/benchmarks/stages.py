"""Measures the stages of a running Cauce system.

Accepted counts from the client's replies and clock. Stored counts when another connection to the journal sees the
commit: the journal's own times are from before it, and one commit may have a thousand tasks.
"""

from collections.abc import Mapping, Sequence

from core.addresses import Address
from core.client.load_command import LoadReport
from core.model import State
from tests.benchmarks import load
from tests.benchmarks.case import Group, Measured, Order, TasksLost
from tests.benchmarks.journal_reader import JournalReader
from tests.benchmarks.processor import Meter

WORKERS_READY = 4
"""Fraction of the tasks, as a divisor, that is done before the work is measured: by then all workers are running."""


class Stages:
    """Measures one stage after another.

    Args:
        entrance: addresses for the client.
        journal: reads the journal.
        order: how much is measured.
    """

    def __init__(self, entrance: Sequence[Address], journal: JournalReader, order: Order) -> None:
        self._entrance = entrance
        self._journal = journal
        self._order = order
        self._done = 0
        """Number of done tasks in the journal, as counted here."""
        self._report: LoadReport

    def warm_up(self) -> None:
        """Run some tasks, so that a worker can adapt its prefetch."""
        load.submit(self._entrance, self._order.warm_up, self._order)
        self._await_done(self._order.warm_up)

    def whole(self, processes: Mapping[Group, Sequence[int]]) -> Measured:
        """Measure from submitted to stored, with everything running."""
        self._journal.start_counting()
        meter = Meter(processes)
        self._report = self._submit()
        ended = self._await_done(self._order.tasks)
        cpu = {**meter.read(), Group.CLIENT: _client_cpu(self._report)}
        return Measured(tasks=self._journal.done(), seconds=ended - self._journal.first("sent"), cpu=cpu)

    def meanwhile(self) -> Measured:
        """Return the measurement from submitted to accepted for the tasks of the last `whole`."""
        return Measured(tasks=self._report.accepted, seconds=self._report.seconds, cpu={})

    def accept(self, processes: Mapping[Group, Sequence[int]]) -> Measured:
        """Measure from submitted to accepted, without workers.

        The processor time counts until all tasks are queued, because queuing is a part of the work.
        """
        self._journal.start_counting()
        meter = Meter(processes)
        report = self._submit()
        self._journal.wait_for_state(State.QUEUED, self._order.tasks)
        cpu = {**meter.read(), Group.CLIENT: _client_cpu(report)}
        return Measured(tasks=report.accepted, seconds=report.seconds, cpu=cpu)

    def work(self, processes: Mapping[Group, Sequence[int]]) -> Measured:
        """Measure from queued to stored: the tasks of `accept`, by workers that were just started."""
        first = self._order.tasks // WORKERS_READY
        before, began = self._journal.wait_for_count(State.DONE, self._done + first)
        meter = Meter(processes)
        total = self._done + self._order.tasks
        ended = self._await_done(self._order.tasks)
        cpu = meter.read()
        tasks = total - before
        if tasks < first:
            # Most tasks were done before the first measurement.
            tasks, began = self._order.tasks, self._journal.first("taken")
        return Measured(tasks=tasks, seconds=ended - began, cpu=cpu)

    def _submit(self) -> LoadReport:
        """Submit the tasks. Returns the report of the load generator."""
        report = load.submit(self._entrance, self._order.tasks, self._order)
        if self._journal.submitted() != self._order.tasks:
            raise TasksLost(
                f"{self._order.tasks} tasks were accepted, and {self._journal.submitted()} are in the journal"
            )
        return report

    def _await_done(self, tasks: int) -> float:
        """Wait until so many more tasks are done, and check that they are the submitted ones. Returns the time."""
        self._done += tasks
        _, ended = self._journal.wait_for_count(State.DONE, self._done)
        if self._journal.done() != tasks:
            raise TasksLost(f"{tasks} tasks were accepted, and {self._journal.done()} of them have a result")
        return ended


def _client_cpu(report: LoadReport) -> float:
    """Return the client's processor time in seconds."""
    return report.cpu * report.accepted
