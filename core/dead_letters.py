"""Dead letters: messages that the broker has given up, consumed from their queue and settled in the journal.

Every server consumes them. The journal decides about each task (`Repository.settle_dead_letters`): one that killed its
workers again and again fails for good; a bystander is published again.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from core.broker.base import Consumer, Delivery, parse_reference
from core.errors import JournalError
from core.logs import printable
from core.model import Failure, State
from core.repository.base import DeadLetter, OpenRepository, Repository
from core.threads import OnDeath, vital_thread

FAILURE = Failure(
    type="DeliveryLimit",
    message="the task was delivered again and again but never ended: its workers died or lost their connection",
    signature="delivery-limit",
)

_BATCH_SIZE = 100
_RECEIVE_TIMEOUT = 1.0
_RETRY_INTERVAL = 1.0

_log = logging.getLogger("cauce.dead_letters")


class DeadLetters:
    """The thread that consumes dead letters.

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
        self._stopping = threading.Event()
        self._thread = vital_thread("dead letters", self._run, on_death)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; unsettled dead letters stay on their queue."""
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        with self._open_repository() as repository, self._open_consumer() as consumer:
            while not self._stopping.is_set():
                deliveries = consumer.receive(_BATCH_SIZE, _RECEIVE_TIMEOUT)
                if deliveries:
                    self._settle(deliveries, consumer, repository)

    def _settle(self, deliveries: Sequence[Delivery], consumer: Consumer, repository: Repository) -> None:
        dead_letters = [
            dead_letter for delivery in deliveries if (dead_letter := parse_dead_letter(delivery.body)) is not None
        ]
        while not self._stopping.is_set():
            try:
                with repository.transaction():
                    states = repository.settle_dead_letters(dead_letters, time.time())
            except JournalError as error:
                _log.warning("dead letters can't be settled now: %s", error)
                self._stopping.wait(_RETRY_INTERVAL)
            else:
                consumer.ack(deliveries)
                for dead_letter, state in zip(dead_letters, states, strict=True):
                    _log_settled(dead_letter, state)
                return


def parse_dead_letter(body: bytes) -> DeadLetter | None:
    """Parse a dead letter. Returns None for a foreign message, which is logged."""
    try:
        reference = parse_reference(body)
    except ValueError as error:
        _log.error("a foreign message on the dead-letter queue is dropped (%s): %s", error, body[:1000])
        return None
    return DeadLetter(reference.seq, reference.id, FAILURE)


def _log_settled(dead_letter: DeadLetter, state: State | None) -> None:
    name = printable(dead_letter.id, 64)
    if state is None:
        _log.error("a dead letter names task %s, which is not in this journal: dropped", name)
    elif state is State.ACCEPTED:
        _log.warning("task %s became a dead letter as a bystander; it is published again", name)
    else:
        _log.warning("task %s was given up by the broker: %s", name, state)
