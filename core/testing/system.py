"""A system under test: journal, server and worker in the calling thread."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from core.client.base import RESULT_TIMEOUT, SubmittedTask, result_of
from core.client.requests import CancelRequest, ResultRequest, StatusRequest, SubmitRequest
from core.client.values import Accepted, NewSubmission, TaskOutcome, TaskStatus, convert
from core.errors import TaskDefinitionError, TaskFailed
from core.jsontext import Json
from core.model import State
from core.repository.base import Repository
from core.repository.sqlite import open_sqlite
from core.tasks import Registry, builtin_registry, lifespan, load
from core.tasks.definition import definition_of
from core.tasks.event_loop import Complete, EventLoop
from core.tasks.registry import collect
from core.testing.clock import Clock
from core.testing.server import LocalServer
from core.testing.worker import NAME, LocalWorker
from core.worker.options import RETRIES, RETRY_DELAY, TIMEOUT
from core.worker.run_outcomes import RunSettings

Source: TypeAlias = str | ModuleType | Callable[..., object]
"""Where tasks are defined: the name of a module as `--tasks` takes it, a module, or a function with `@task`."""


@contextmanager
def run_here(
    *sources: Source,
    retries: int = RETRIES.default,
    retry_delay: float = RETRY_DELAY.default,
    timeout: float = TIMEOUT.default,
) -> Iterator["System"]:
    """Make a system that runs tasks in this thread, for the length of a `with` block.

    The states, retries, results and errors are those of a real system: the same code decides. Nothing runs by itself,
    and no time passes but what you, a call with a timeout, or a task's `context.wait` lets pass.

    Args:
        sources: the tasks beside the built-in ones: names of modules as `--tasks` takes them, modules, or functions.
        retries: how often a failed task is retried, unless the task or its kind specifies it.
        retry_delay: seconds before the first retry; the delay doubles with each.
        timeout: seconds that an attempt may take, unless its kind specifies it; 0 for no limit.

    Raises:
        TaskDefinitionError: a source defines no proper task.
        BaseException: whatever a function with `@on_start` raises.
    """
    registry, modules = _registry(sources)
    settings = RunSettings(
        worker=NAME, concurrency=1, runners=1, retries=retries, retry_delay=retry_delay, timeout=timeout or None
    )
    with (
        tempfile.TemporaryDirectory(prefix="cauce-", ignore_cleanup_errors=True) as directory,
        open_sqlite(Path(directory, "resultados.db"), durable=False) as repository,
    ):
        loop = EventLoop()
        try:
            lifespan.start(modules, loop.run)
            try:
                yield System(repository, registry, settings, loop.run)
            finally:
                lifespan.stop(modules, loop.run)
        finally:
            loop.close()


class System:
    """A system whose tasks run in the calling thread; made by `run_here`.

    Its methods have the arguments, results and errors of those of `core.client.Client`.
    """

    def __init__(self, repository: Repository, registry: Registry, settings: RunSettings, complete: Complete) -> None:
        self._clock = Clock()
        self._server = LocalServer(repository, self._clock)
        self._worker = LocalWorker(repository, registry, self._clock, settings, complete)

    @property
    def now(self) -> float:
        """The present time of the system, in seconds since the epoch."""
        return self._clock.now

    def submit(
        self,
        kind: str | None = None,
        payload: Json = None,
        *,
        id: str | None = None,
        delay: float = 0.0,
        retries: int | None = None,
    ) -> "LocalHandle":
        """Submit one task; see `Client.submit`. It does not run before it is waited for, or time passes."""
        request = SubmitRequest(NewSubmission(kind, payload, id, delay, retries), self._clock.now)
        return LocalHandle(self, convert(self._server.ask(request), Accepted))

    def status(self, task_id: str) -> TaskStatus:
        """Return where a task is, and its timeline; see `Client.status`."""
        return convert(self._server.ask(StatusRequest(task_id)), TaskStatus)

    def outcome(self, task_id: str, timeout: float = 0.0) -> TaskOutcome:
        """Let up to `timeout` seconds pass until a task has ended; see `Client.outcome`. With 0, nothing runs."""
        found = self._read(task_id)
        if timeout > 0 and not found.state.ended:
            self._pass_time(timeout, until=lambda: self._read(task_id).state.ended)
            found = self._read(task_id)
        return found

    def result(self, task_id: str, timeout: float = RESULT_TIMEOUT) -> Json:
        """Let up to `timeout` seconds pass until a task has its result, and return it; see `Client.result`.

        The cause of a `TaskFailed` is the exception that the function raised.
        """
        try:
            return result_of(self.outcome(task_id, timeout), timeout)
        except TaskFailed as failed:
            raise failed from self._worker.errors.get(task_id)

    def cancel(self, task_id: str) -> State:
        """Cancel a task, which does not run now; see `Client.cancel`."""
        return convert(self._server.ask(CancelRequest(task_id)), TaskOutcome).state

    def run(self) -> None:
        """Run all tasks that are due."""
        self._worker.run_due()

    def advance(self, seconds: float) -> None:
        """Let time pass, and run what is due in it: delayed tasks, and retries."""
        self._pass_time(seconds, until=lambda: False)

    def _pass_time(self, seconds: float, until: Callable[[], bool]) -> None:
        """Run what is due now and within some seconds, until a condition holds."""
        end = self._clock.now + seconds
        self._worker.run_due()
        while not until() and self._clock.move_to_alarm(end):
            self._worker.run_due()

    def _read(self, task_id: str) -> TaskOutcome:
        return convert(self._server.ask(ResultRequest(task_id, 0.0)), TaskOutcome)


class LocalHandle(SubmittedTask):
    """A submitted task, and the methods of its system for it."""

    def __init__(self, system: System, accepted: Accepted) -> None:
        super().__init__(accepted)
        self._system = system

    def result(self, timeout: float = RESULT_TIMEOUT) -> Json:
        """Let time pass until the task has its result, and return it; see `System.result`."""
        return self._system.result(self.id, timeout)

    def outcome(self, timeout: float = 0.0) -> TaskOutcome:
        """Return the task's outcome or current state; see `System.outcome`."""
        return self._system.outcome(self.id, timeout)

    def status(self) -> TaskStatus:
        """Return where the task is; see `System.status`."""
        return self._system.status(self.id)

    def cancel(self) -> State:
        """Cancel the task, which does not run now; see `System.cancel`."""
        return self._system.cancel(self.id)


def _registry(sources: Sequence[Source]) -> tuple[Registry, list[ModuleType]]:
    """Return the registry of the built-in kinds and those of the sources, and the modules of the sources."""
    found = list(builtin_registry().definitions)
    modules: list[ModuleType] = []
    for source in sources:
        if isinstance(source, str | ModuleType):
            modules.append(load(source) if isinstance(source, str) else source)
            found += collect(modules[-1])
        elif (definition := definition_of(source)) is not None:
            found.append(definition)
            modules.append(sys.modules[definition.function.__module__])
        else:
            raise TaskDefinitionError(f"{source!r} is no task: decorate the function with @task")
    return Registry(found), modules
