"""How dead letters are settled, with the embedded queue and a real journal."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from core.broker.base import Message, PublishResult, Queue, Reference
from core.broker.embedded import EmbeddedBroker
from core.dead_letters import DeadLetters, parse_dead_letter
from core.model import State
from core.repository.base import STRIKE_LIMIT
from core.repository.journal import Journal
from tests.contract.repositories import begin, end, find, queue, state_of, totals
from tests.services.waiting import wait_until


class System:
    """A journal, a broker, and the reader of its dead letters."""

    def __init__(self, directory: Path) -> None:
        self.opening = partial(Journal("resultados.db", directory).open, lock_timeout=0.2)
        self.journal = self.opening()
        self.broker = EmbeddedBroker(directory / "queue.db")
        self.gauge = self.broker.gauge()
        self.deaths: list[BaseException] = []
        self.dead_letters = DeadLetters(lambda: self.broker.consumer(Queue.DEAD, 10), self.opening, self.deaths.append)

    def dead_letter(self, *bodies: bytes) -> None:
        """Publish bodies and make them dead letters."""
        settled: list[PublishResult] = []
        with self.broker.publisher(settled.extend) as publisher:
            publisher.send([Message(tag, "x", "echo", body) for tag, body in enumerate(bodies)])
        assert all(each.confirmed for each in settled)
        with self.broker.consumer(Queue.TASKS, 1000) as consumer:
            left = len(bodies)

            def all_rejected() -> bool:
                nonlocal left
                for delivery in consumer.receive(1000, 0.05):
                    consumer.reject(delivery)
                    left -= 1
                return left == 0

            wait_until(all_rejected, "the messages")
        assert self.gauge.read().dead == len(bodies)

    def all_read(self) -> bool:
        """Return whether no dead letter is left, neither ready nor in flight."""
        with self.broker.consumer(Queue.DEAD, 1):
            return self.gauge.read().dead == 0


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A system that does not yet consume its dead letters."""
    made = System(tmp_path)
    yield made
    made.dead_letters.stop()
    made.gauge.close()
    made.journal.close()
    assert made.deaths == []


def body(task_id: str, seq: int, attempt: int = 0) -> bytes:
    return msgspec.json.encode(Reference(task_id, seq, attempt, 1.0))


def test_a_bystander_is_accepted_again_and_a_killer_fails(system: System) -> None:
    bystander, killer, over = (*queue(system.journal, "bystander", "killer"), *end(system.journal, "over"))
    for _ in range(STRIKE_LIMIT):
        begin(system.journal, killer)
    system.dead_letter(body("bystander", bystander), body("killer", killer), body("over", over))
    system.dead_letters.start()
    wait_until(lambda: state_of(system.journal, "killer") is State.FAILED, "the killer to fail")
    wait_until(lambda: state_of(system.journal, "bystander") is State.ACCEPTED, "the bystander to be accepted")
    assert totals(system.journal) == {"accepted": 1, "failed": 1, "done": 1}
    task = find(system.journal, "killer")
    assert task is not None
    assert task.failure is not None
    assert task.failure.type == "DeliveryLimit"
    assert system.journal.audit().is_consistent


def test_a_foreign_message_is_dropped_and_logged(system: System, caplog: pytest.LogCaptureFixture) -> None:
    (seq,) = queue(system.journal, "task")
    foreign = [b"", b"junk", b"\xff\xfe\x00", b"[" * 5000, b"{}", b'{"id": 5}', body("task", 999), body("other", seq)]
    system.dead_letter(*foreign, body("task", seq))
    system.dead_letters.start()
    wait_until(lambda: state_of(system.journal, "task") is State.ACCEPTED, "the last dead letter to be settled")
    system.dead_letters.stop()
    assert system.gauge.read().dead == 0
    with system.broker.consumer(Queue.DEAD, 100) as consumer:
        assert consumer.receive(100, 0.1) == []
    assert caplog.text.count("a foreign message on the dead-letter queue is dropped") == 6
    assert caplog.text.count("which is not in this journal") == 2
    assert "\x00" not in caplog.text


def test_dead_letters_wait_while_the_journal_is_locked(system: System) -> None:
    (seq,) = queue(system.journal, "task")
    system.dead_letter(body("task", seq))
    with system.opening() as other, other.transaction():
        system.dead_letters.start()
        wait_until(lambda: system.gauge.read().dead == 0, "the dead letter to be in flight")
    wait_until(lambda: state_of(system.journal, "task") is State.ACCEPTED, "the dead letter to be settled")


def test_unsettled_dead_letters_stay_on_their_queue(system: System) -> None:
    (seq,) = queue(system.journal, "task")
    system.dead_letter(body("task", seq))
    with system.opening() as other, other.transaction():
        system.dead_letters.start()
        wait_until(lambda: system.gauge.read().dead == 0, "the dead letter to be in flight")
        system.dead_letters.stop()
    assert system.gauge.read().dead == 1
    assert state_of(system.journal, "task") is State.QUEUED


@pytest.mark.parametrize("junk", [b"", b"\0", b"null", b"\xed\xa0\x80", b'{"id":"a","seq":"b","attempt":0,"at":0}'])
def test_junk_is_no_dead_letter(junk: bytes) -> None:
    assert parse_dead_letter(junk) is None


def test_a_reference_is_a_dead_letter() -> None:
    dead_letter = parse_dead_letter(body("a", 7))
    assert dead_letter is not None
    assert (dead_letter.id, dead_letter.seq) == ("a", 7)
