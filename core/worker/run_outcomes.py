"""What becomes of a task that a runner has ended, or that was ended with its runner."""

import random
from collections.abc import Sequence

import msgspec

from core.model import Failure, Outcome, RetryDelays, State
from core.runner.frames import Ended, KindSettings
from core.worker import policy
from core.worker.in_flight import InFlightTask


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's settings for running tasks, used where neither task nor kind specifies its own."""

    worker: str
    concurrency: int
    runners: int
    retries: int
    retry_delay: float
    timeout: float | None
    """Seconds that a task may run whose kind specifies no time-out; None for no limit."""
    max_tasks_per_runner: int = 0
    """How many tasks end in a runner before another one takes its place; 0 for no limit."""
    max_memory_per_runner: int = 0
    """Bytes of memory above which another runner takes the place of one; 0 for no limit."""
    reload: bool = False
    """Whether others take the place of all runners when the files of their modules change."""


class RunLimits(msgspec.Struct, frozen=True):
    """What a task may do while it runs."""

    timeout: float | None
    """Seconds that it may run, or None for no limit."""
    isolate: bool = False
    """Whether it has a runner to itself."""
    memory: int | None = None
    """Bytes of memory that this runner may have, or None for no limit."""


class RunRules:
    """The rules for the tasks of a worker, by its settings and the kinds that its runners know.

    Args:
        settings: the worker's settings.
        kinds: the kinds that the first runner knows.
    """

    def __init__(self, settings: RunSettings, kinds: Sequence[KindSettings]) -> None:
        self._settings = settings
        self._kinds: dict[str, KindSettings] = {}
        self._limits: dict[str, RunLimits] = {}
        self._default_limits = RunLimits(settings.timeout)
        self.set_kinds(kinds)

    def set_kinds(self, kinds: Sequence[KindSettings]) -> None:
        """Take the kinds that the newest runner knows."""
        self._kinds = {kind.kind: kind for kind in kinds}
        self._limits = {
            kind.kind: RunLimits(kind.timeout or self._settings.timeout, kind.isolate, kind.memory) for kind in kinds
        }

    def limits(self, task: InFlightTask) -> RunLimits:
        """Return what a task may do while it runs."""
        return self._limits.get(task.assignment.kind, self._default_limits)

    def outcome(self, task: InFlightTask, started_at: float, ended: Ended) -> Outcome:
        """Return the outcome of a task that has ended."""
        assignment = task.assignment
        state, due_at = State.DONE, None
        if ended.failure is not None and task.cancelling:
            state = State.CANCELLED
        elif ended.failure is not None:
            state = State.FAILED
            kind = self._kinds.get(assignment.kind)
            retries, default = assignment.retries, self._settings.retries
            if not ended.permanent and policy.may_retry(kind, assignment.attempts, retries, default):
                chance = random.random()  # noqa: S311 - to spread retries
                state = State.RETRYING
                delay = ended.retry_after
                if delay is None:
                    delays = kind.delays if kind is not None else RetryDelays()
                    delay = policy.retry_delay(assignment.attempts, delays, self._settings.retry_delay, chance)
                # By the same clock as the end: a wait that began in the future is corrected when the clock is set back.
                due_at = ended.finished_at + delay
        return Outcome(
            seq=assignment.seq,
            attempt=assignment.attempts,
            state=state,
            result=ended.result,
            failure=ended.failure,
            due_at=due_at,
            worker=self._settings.worker,
            queued_at=task.reference.at,
            taken_at=task.taken_at,
            started_at=started_at,
            finished_at=ended.finished_at,
            runner=task.runner,
            report=task.report,
        )

    def did_not_stop(self, task: InFlightTask, now: float) -> Ended:
        """Return the end of a task that was ended with its runner, because it did not stop when it was asked to.

        It was cancelled, or ran longer than its time-out.
        """
        kind, reason = (
            ("TaskCancelled", "was cancelled") if task.cancelling else ("TaskTimeout", "ran longer than its time-out")
        )
        failure = Failure(
            type=kind,
            message=f"the task {reason}, did not stop when asked, and its runner was ended",
            signature="cancel-ended" if task.cancelling else "timeout-ended",
        )
        settings = self._kinds.get(task.assignment.kind)
        return Ended(0, now, None, failure, permanent=settings is not None and not settings.retries_timeouts)


def memory_exceeded(now: float, limit: int) -> Ended:
    """Return the end of a task that was ended with its runner, because that had more memory than its kind may have."""
    failure = Failure(
        type="TaskMemoryExceeded",
        message=f"the process of the task had more memory than the {limit / (1 << 20):,.0f} MiB that its kind may "
        "have, and was ended",
        signature="memory-ended",
    )
    return Ended(0, now, None, failure)
