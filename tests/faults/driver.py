"""The honest client: submits tasks at a pace through `core.client`, and records what it sends and the answers.

It repeats requests with the same id for so long that a task that is not accepted is a finding.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from core.addresses import Address
from core.client import Accepted, Client, NewSubmission
from core.jsontext import Json
from tests.faults.submission_log import SubmissionLog

PATIENCE = 120.0
"""Seconds without a success before it gives up."""

ANSWER_TIMEOUT = 5.0
"""Seconds to wait for an answer before a request is repeated."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks are submitted, and how fast."""

    rate: float = 0.0
    """Tasks a second; 0 for no limit."""
    max_tasks: int | None = None
    """Number of tasks; None for no limit."""
    chunk: int = 1
    """Number of tasks sent together."""
    answer_timeout: float = ANSWER_TIMEOUT
    """Seconds to wait for an answer before a request is repeated."""


class Driver:
    """Submits tasks until `end` is called or the pace's number is reached.

    Args:
        servers: to submit to.
        log: records what is sent and the answers.
        kind: of the tasks.
        payload: makes the payload of a task from its number.
        pace: how many tasks, and how fast.
        token: that the servers require.

    Attributes:
        errors: the errors on which the client gave up.
        seconds: time to the answers of each chunk.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        log: SubmissionLog,
        kind: str,
        payload: Callable[[int], Json],
        pace: Pace,
        token: str | None = None,
    ) -> None:
        self.errors: list[Exception] = []
        self.seconds: list[float] = []
        self._servers = servers
        self._log = log
        self._kind = kind
        self._payload = payload
        self._pace = pace
        self._token = token
        self._ending = threading.Event()
        self._count = 0
        self._thread = threading.Thread(target=self._run, name="driver")

    @property
    def accepted(self) -> int:
        """The number of accepted tasks."""
        return self._count

    @property
    def over(self) -> bool:
        """Whether the client has ended."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Start submitting."""
        self._thread.start()

    def end(self) -> None:
        """Stop submitting, and wait for the answers."""
        self._ending.set()
        self.join()

    def join(self, seconds: float = PATIENCE + 60.0) -> None:
        """Wait until every task is answered."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the driver did not end"

    def _run(self) -> None:
        client = Client(self._servers, self._token, timeout=self._pace.answer_timeout, patience=PATIENCE)
        try:
            with client:
                for numbers in self._chunks():
                    self._submit(client, numbers)
        except Exception as error:  # noqa: BLE001 - every error is a finding
            self.errors.append(error)

    def _chunks(self) -> Iterator[Sequence[int]]:
        """Yield the numbers of each chunk of tasks when it is due."""
        pace = self._pace
        pause = pace.chunk / pace.rate if pace.rate else 0.0
        due = time.monotonic()
        for first in itertools.count(0, pace.chunk):
            numbers = range(first, first + pace.chunk)
            if pace.max_tasks is not None:
                numbers = range(first, min(pace.max_tasks, first + pace.chunk))
            if not numbers or self._ending.wait(max(0.0, due - time.monotonic())):
                return
            yield numbers
            # Chunks delayed by a fault are not caught up.
            due = max(due + pause, time.monotonic() - 1.0)

    def _submit(self, client: Client, numbers: Sequence[int]) -> None:
        ids = [name(number) for number in numbers]
        self._log.record_sent(ids)
        started_at = time.monotonic()
        tasks = [NewSubmission(self._kind, self._payload(number), name(number)) for number in numbers]
        answers = []
        for answer in client.submit_many(tasks):
            if isinstance(answer, Accepted):
                answers.append((answer.id, "repeated" if answer.duplicate else "accepted"))
            else:
                answers.append((answer.id or "?", str(answer.code)))
        self.seconds.append(time.monotonic() - started_at)
        self._log.record_answers(answers)
        self._count += sum(answer in {"accepted", "repeated"} for _, answer in answers)


def name(number: int) -> str:
    """Return the id of the task of a number."""
    return f"t-{number}"


def number_of(task_id: str) -> int:
    """Return the number of the task of an id."""
    return int(task_id.removeprefix("t-"))


def is_honest(task_id: str) -> bool:
    """Return whether an id is one of an honest task."""
    return task_id.startswith("t-")
