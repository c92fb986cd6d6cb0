"""The part of a system under test that a dispatcher and a worker are elsewhere: runs the tasks that are due."""

import msgspec

from core.broker.base import Delivery, Reference
from core.callbacks import ignore
from core.model import Assignment, Dispatch
from core.repository.base import Repository
from core.runner.frames import Ended, Run
from core.runner.program import kind_settings
from core.runner.run_reports import RunReports
from core.runner.task_threads import TaskRun, outcome
from core.tasks import Registry, TaskContext, run
from core.tasks.event_loop import Complete
from core.testing.clock import Clock
from core.worker.in_flight import InFlightTask
from core.worker.run_outcomes import RunRules, RunSettings

NAME = "here"
_OWNER = 1
_AT_ONCE = 100
"""Tasks to claim at once."""


class LocalWorker:
    """Runs tasks in the calling thread, by the rules of a worker.

    Args:
        repository: the journal.
        registry: the kinds that it knows.
        clock: the clock.
        settings: the settings of a worker.
        complete: runs coroutines.
    """

    def __init__(
        self, repository: Repository, registry: Registry, clock: Clock, settings: RunSettings, complete: Complete
    ) -> None:
        self._complete = complete
        self._repository = repository
        self._registry = registry
        self._clock = clock
        self._settings = settings
        self._rules = RunRules(settings, kind_settings(registry))
        self.errors: dict[str, BaseException | None] = {}
        """What the last attempt of each task raised, by id."""

    def run_due(self) -> None:
        """Run all tasks that are due, also those that become due meanwhile."""
        while True:
            with self._repository.transaction():
                claimed = self._repository.claim(_OWNER, self._clock.now, _AT_ONCE)
                self._repository.mark_queued(claimed, self._clock.now)
            if not claimed:
                return
            for dispatch in claimed:
                self._run(dispatch)

    def _run(self, dispatch: Dispatch) -> None:
        assignment = self._repository.assignments([dispatch.seq])[dispatch.seq]
        if assignment.state.ended:
            return  # another task has cancelled it
        queued_at = assignment.queued_at or self._clock.now
        reference = Reference(dispatch.id, dispatch.seq, dispatch.attempt, queued_at)
        task = InFlightTask(assignment, reference, Delivery(b"", 0, None), self._clock.now, suspect=False)
        started_at = self._clock.now
        ended = self._attempt(assignment, task)
        result = self._rules.outcome(task, started_at, ended)
        with self._repository.transaction():
            self._repository.store_outcomes([result], self._clock.now)
        self._clock.add_alarm(result.due_at)

    def _attempt(self, assignment: Assignment, task: InFlightTask) -> Ended:
        request = Run(0, assignment.id, assignment.kind, assignment.payload, task.number)
        task_run = TaskRun(request, reports=RunReports(ignore))
        try:
            task_run.definition = definition = self._registry.get(assignment.kind)
            timeout = definition.timeout or self._settings.timeout
            context = TaskContext(
                id=assignment.id,
                kind=assignment.kind,
                attempt=task.number,
                reporter=task_run,
                deadline=None if timeout is None else self._clock.now + timeout,
                interruption=self._clock,
                clock=self._clock,
            )
            task_run.result = run(definition, assignment.payload, context, self._complete)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a task may raise anything, as in a runner
            task_run.error = error
        self.errors[assignment.id] = task_run.error
        if task_run.report is not None:
            task.report = task_run.report.take().report
        ended = outcome(task_run)
        assert isinstance(ended, Ended)  # nothing interrupts a task here
        return msgspec.structs.replace(ended, finished_at=self._clock.now)
