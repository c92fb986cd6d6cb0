"""Dead letters: messages that the broker gave up, read from their queue and settled in the journal.

Every server reads them. What becomes of a task is the journal's rule (`Repository.settle_dead_letters`):
one that kept killing its workers fails for good, a bystander is published anew.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from core.broker.base import Consumer, Delivery, Reference
from core.errors import JournalError
from core.logs import printable
from core.model import Failure, State
from core.repository.base import DeadLetter, OpenRepository, Repository
from core.threads import OnDeath, vital_thread

FAILURE = Failure(
    type="DeliveryLimit",
    message="the task was delivered again and again and never ended: its workers died or lost their connection",
    signature="delivery-limit",
)

_BATCH = 100
_PAUSE = 1.0

_log = logging.getLogger("cauce.dead_letters")
_decode = msgspec.json.Decoder(Reference).decode


class DeadLetters:
    """Owns the thread that reads them.

    Args:
        open_consumer: makes the consumer of the dead-letter queue, in the thread.
        open_repository: opens the journal, in the thread.
        on_death: called when the thread dies.
    """

    def __init__(
        self, open_consumer: Callable[[], Consumer], open_repository: OpenRepository, on_death: OnDeath
    ) -> None:
        self._open_consumer = open_consumer
        self._open_repository = open_repository
        self._leaving = threading.Event()
        self._thread = vital_thread("dead letters", self._run, on_death)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is not settled stays on its queue."""
        self._leaving.set()
        self._thread.join(10)

    def _run(self) -> None:
        with self._open_repository() as repository, self._open_consumer() as consumer:
            while not self._leaving.is_set():
                deliveries = consumer.receive(_BATCH, _PAUSE)
                if deliveries:
                    self._settle(deliveries, consumer, repository)

    def _settle(self, deliveries: Sequence[Delivery], consumer: Consumer, repository: Repository) -> None:
        letters = [letter for delivery in deliveries if (letter := read_letter(delivery.body)) is not None]
        while not self._leaving.is_set():
            try:
                with repository.transaction():
                    states = repository.settle_dead_letters(letters, time.time())
            except JournalError as error:
                _log.warning("dead letters can't be settled now: %s", error)
                self._leaving.wait(_PAUSE)
            else:
                consumer.ack(deliveries)
                for letter, state in zip(letters, states, strict=True):
                    _report(letter, state)
                return


def read_letter(body: bytes) -> DeadLetter | None:
    """The letter that a dead message is; None for one that is none of ours, which is written to the log."""
    try:
        reference = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _log.error("a foreign message on the dead-letter queue is dropped (%s): %s", error, body[:1000])
        return None
    return DeadLetter(reference.seq, reference.id, FAILURE)


def _report(letter: DeadLetter, state: State | None) -> None:
    name = printable(letter.id, 64)
    if state is None:
        _log.error("a dead letter names task %s, which is not in this journal: dropped", name)
    elif state is State.ACCEPTED:
        _log.warning("task %s was given up beside another one, and is published anew", name)
    else:
        _log.warning("task %s was given up by the broker: %s", name, state)
