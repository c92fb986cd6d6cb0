"""The honest client: submits tasks at a pace, as a program with our client would, and keeps the ledger.

It tries again under the same id for as long as a person would wait, so whatever it can't have accepted is a finding.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from core.addresses import Address
from core.client import Accepted, Client, NewSubmission
from core.jsontext import Json
from tests.faults.ledger import Ledger

PATIENCE = 120.0
"""Seconds of nothing but trouble that it bears."""

ANSWER_WITHIN = 5.0
"""Seconds after which it asks again."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much is submitted, and how."""

    rate: float = 0.0
    """Tasks a second; as many as are taken when 0."""
    most: int | None = None
    """How many; for ever when None."""
    chunk: int = 1
    """How many are sent together."""
    answer_within: float = ANSWER_WITHIN
    """Seconds after which a request is sent again."""


class Driver:
    """Submits until it is told to end, or has submitted as many as its pace says.

    Args:
        servers: where to.
        ledger: takes what happens.
        kind: of the tasks.
        payload: makes the payload of a number.
        pace: how much, and how.
        token: what the servers want to see.

    Attributes:
        errors: what could not be done in spite of all patience.
        seconds: how long each chunk took until it was answered.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        ledger: Ledger,
        kind: str,
        payload: Callable[[int], Json],
        pace: Pace,
        token: str | None = None,
    ) -> None:
        self.errors: list[Exception] = []
        self.seconds: list[float] = []
        self._servers = servers
        self._ledger = ledger
        self._kind = kind
        self._payload = payload
        self._pace = pace
        self._token = token
        self._ending = threading.Event()
        self._count = 0
        self._thread = threading.Thread(target=self._run, name="driver")

    @property
    def accepted(self) -> int:
        """How many were accepted until now."""
        return self._count

    @property
    def over(self) -> bool:
        """Whether it submits nothing more."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Submit nothing more, once what was sent is answered."""
        self._ending.set()
        self.join()

    def join(self, seconds: float = PATIENCE + 60.0) -> None:
        """Wait until everything is answered."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the driver has no end"

    def _run(self) -> None:
        client = Client(self._servers, self._token, timeout=self._pace.answer_within, patience=PATIENCE)
        try:
            with client:
                for numbers in self._chunks():
                    self._submit(client, numbers)
        except Exception as error:  # noqa: BLE001 - whatever it is, the judge has to know
            self.errors.append(error)

    def _chunks(self) -> Iterator[Sequence[int]]:
        """The numbers of the tasks, a chunk at a time, each at its time."""
        pace = self._pace
        pause = pace.chunk / pace.rate if pace.rate else 0.0
        due = time.monotonic()
        for first in itertools.count(0, pace.chunk):
            numbers = range(first, first + pace.chunk)
            if pace.most is not None:
                numbers = range(first, min(pace.most, first + pace.chunk))
            if not numbers or self._ending.wait(max(0.0, due - time.monotonic())):
                return
            yield numbers
            # Trouble is no reason to hurry afterwards.
            due = max(due + pause, time.monotonic() - 1.0)

    def _submit(self, client: Client, numbers: Sequence[int]) -> None:
        ids = [name(number) for number in numbers]
        self._ledger.sending(ids)
        began = time.monotonic()
        tasks = [NewSubmission(self._kind, self._payload(number), name(number)) for number in numbers]
        answers = []
        for answer in client.submit_many(tasks):
            if isinstance(answer, Accepted):
                answers.append((answer.id, "repeated" if answer.duplicate else "accepted"))
            else:
                answers.append((answer.id or "?", str(answer.code)))
        self.seconds.append(time.monotonic() - began)
        self._ledger.answered(answers)
        self._count += sum(word in {"accepted", "repeated"} for _, word in answers)


def name(number: int) -> str:
    """The id of the task of a number."""
    return f"t-{number}"


def number_of(task_id: str) -> int:
    """The number of the task of an id."""
    return int(task_id.removeprefix("t-"))


def is_honest(task_id: str) -> bool:
    """Whether an honest client gave a task this id."""
    return task_id.startswith("t-")
