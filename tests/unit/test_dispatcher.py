"""The dispatcher between a real journal and a scripted broker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.broker.base import RECONNECT_BACKOFF, Reference
from core.dispatcher import CAPACITY, CLAIM_INTERVAL, ORPHAN_INTERVAL, RELEASE_DELAY
from core.heartbeat import LIVENESS_TIMEOUT
from core.model import NewTask, ProcessPhase, ProcessRecord, Role, State
from core.repository.base import Repository
from core.repository.sqlite import open_sqlite
from tests.contract.repositories import enter, find, new_task, outcome, state_of, store_outcomes, totals
from tests.unit.dispatching import WALL, ScriptedPublisher, Server, references

YEAR = 365 * 86_400.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Repository]:
    """A new journal."""
    with open_sqlite(tmp_path / "resultados.db", durable=False) as repository:
        yield repository


@pytest.fixture
def server(journal: Repository) -> Server:
    """A server whose broker is available."""
    return Server(journal)


def test_a_task_is_published_once_it_is_added_and_marked_once_it_is_confirmed(server: Server) -> None:
    server.submit("a", "b")
    assert server.sent == []
    server.run_once()
    assert server.sent == [("a", 0), ("b", 0)]
    assert totals(server.journal) == {"accepted": 2}
    server.publisher.settle(1)
    server.run_once(0.01)
    assert totals(server.journal) == {"accepted": 1, "queued": 1}
    assert (server.dispatcher.owned, server.dispatcher.published) == (1, 1)
    server.publisher.settle()
    server.run_once(0.01)
    assert totals(server.journal) == {"queued": 2}
    assert (server.dispatcher.owned, server.dispatcher.published) == (0, 2)
    assert len(server.sent) == 2


def test_a_message_refers_to_the_task_and_its_attempt(server: Server) -> None:
    server.submit("a")
    server.run_once(2.5)
    (message,) = server.publisher.sent
    task = find(server.journal, "a")
    assert task is not None
    assert references([message]) == [Reference("a", task.seq, 0, WALL + 2.5, generation=0)]
    assert (message.id, message.kind) == ("a", "echo")


def test_the_journal_stores_by_which_message_a_task_is_queued(server: Server) -> None:
    server.submit("a", "b")
    server.run_once(2.5)
    server.publisher.settle(1)
    server.publisher.settle(confirmed=False)
    server.run_once(0.01)
    server.run_once(RECONNECT_BACKOFF.longest)
    server.publisher.settle()
    server.run_once(0.01)
    published = {reference.id: reference for reference in references(server.publisher.sent)}
    assert published["a"].at < published["b"].at
    for name, reference in published.items():
        assert server.journal.assignments([reference.seq])[reference.seq].queued_at == reference.at, name


def test_a_message_carries_the_generation_of_its_queue(server: Server) -> None:
    server.submit("a")
    server.run_once()
    server.publisher.settle()
    server.run_once(0.01)
    server.recreations += 1
    server.run_once(0.01)
    server.run_once(CLAIM_INTERVAL)
    first, second = references(server.publisher.sent)
    assert (first.generation, second.generation) == (0, 1)
    assert first.is_outdated(1)
    assert not second.is_outdated(1)


def test_a_claimed_task_is_published_only_after_the_commit(server: Server) -> None:
    enter(server.journal, "a")
    server.run_once(fails=True)
    assert server.sent == []
    assert server.dispatcher.owned == 0
    server.run_once()
    assert server.sent == [("a", 0)]


def test_a_task_claimed_in_a_failed_commit_is_not_owned(server: Server) -> None:
    server.run_once()
    enter(server.journal, "a")
    server.run_once(CLAIM_INTERVAL, fails=True)
    server.publisher.disconnect()
    server.run_once(ORPHAN_INTERVAL)
    assert server.dispatcher.owned == 0
    server.publisher.reconnect()
    server.run_once(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]


def test_a_confirm_whose_commit_failed_is_stored_later(server: Server) -> None:
    server.submit("a")
    server.run_once()
    server.publisher.settle()
    for _ in range(3):
        server.run_once(0.01, fails=True)
    assert totals(server.journal) == {"accepted": 1}
    server.run_once(0.01)
    assert totals(server.journal) == {"queued": 1}
    assert server.sent == [("a", 0)]
    assert server.dispatcher.published == 1


def test_an_idle_dispatcher_needs_a_transaction_only_to_check_for_orphans(server: Server) -> None:
    server.run_once()
    assert not server.needs_write(CLAIM_INTERVAL)
    assert server.needs_write(ORPHAN_INTERVAL)


def test_due_tasks_are_checked_for_at_intervals_while_they_could_be_published(server: Server) -> None:
    server.run_once()
    with server.journal.transaction():
        server.journal.accept([new_task("later", due_at=server.wall + 3 * CLAIM_INTERVAL)], None, server.wall)
    assert not server.needs_write(2.5 * CLAIM_INTERVAL)
    # It was checked just now.
    assert not server.needs_write(3.1 * CLAIM_INTERVAL)
    server.publisher.block()
    assert not server.needs_write(4 * CLAIM_INTERVAL)
    server.publisher.reconnect()
    assert server.needs_write(4 * CLAIM_INTERVAL)


def test_a_refused_task_is_published_again_after_a_delay(server: Server) -> None:
    server.submit("a", "b")
    server.run_once()
    server.publisher.settle(confirmed=False)
    server.run_once()
    assert len(server.sent) == 2
    server.run_once(RECONNECT_BACKOFF.longest)
    assert server.sent == [("a", 0), ("b", 0)] * 2
    server.publisher.settle()
    server.run_once()
    assert totals(server.journal) == {"queued": 2}


def test_the_delays_grow_while_the_broker_refuses_and_begin_again_when_it_confirms(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    server.submit("a")
    delays: list[float] = []
    for _ in range(7):
        server.run_once()
        server.publisher.settle(confirmed=False)
        server.run_once()
        sent, began = len(server.sent), server.now
        while len(server.sent) == sent:
            server.run_once(0.05)
        delays.append(server.now - began)
    assert delays == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0], abs=0.06)
    server.publisher.settle()
    server.run_once()
    server.submit("b")
    server.run_once()
    server.publisher.settle(confirmed=False)
    server.run_once()
    server.run_once(0.21)
    assert server.sent[-2:] == [("b", 0), ("b", 0)]


def test_while_the_broker_is_unavailable_nothing_is_published_and_there_is_no_room(server: Server) -> None:
    server.run_once()
    server.publisher.disconnect()
    server.run_once(0.01)
    assert (server.dispatcher.room, server.dispatcher.trouble) == (0, "disconnected")
    enter(server.journal, "a")
    server.run_once(CLAIM_INTERVAL)
    assert server.sent == []
    assert server.dispatcher.owned == 0
    server.publisher.reconnect()
    server.run_once(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]
    assert server.dispatcher.trouble == ""


@pytest.mark.parametrize("interrupt", [ScriptedPublisher.disconnect, ScriptedPublisher.block])
def test_tasks_are_released_when_the_broker_is_unavailable_for_too_long(
    server: Server, interrupt: Callable[[ScriptedPublisher], None]
) -> None:
    server.submit("a", "b")
    server.run_once()
    server.publisher.settle(1)
    interrupt(server.publisher)
    server.run_once()
    server.run_once(RELEASE_DELAY)
    assert server.dispatcher.owned == 1
    other = Server(server.journal)
    other.run_once()
    assert other.sent == []
    server.run_once(0.01, fails=True)
    assert server.dispatcher.owned == 1
    server.run_once(0.01)
    assert server.dispatcher.owned == 0
    other.run_once(CLAIM_INTERVAL)
    assert other.sent == [("b", 0)]
    server.publisher.reconnect()
    server.run_once(RECONNECT_BACKOFF.longest)
    assert server.sent == [("a", 0), ("b", 0)]


def test_tasks_are_kept_when_the_broker_is_unavailable_for_a_moment(server: Server) -> None:
    server.submit("a")
    for _ in range(3):
        server.publisher.disconnect()
        server.run_once(RELEASE_DELAY - 0.1)
        server.publisher.reconnect()
        server.run_once(0.2)
    assert server.dispatcher.owned == 1
    assert server.sent[0] == ("a", 0)


def test_a_confirm_that_comes_after_its_task_was_released_is_stored(server: Server) -> None:
    server.submit("a")
    server.run_once()
    server.publisher.block()
    server.run_once(0.1)
    server.run_once(RELEASE_DELAY + 0.1)
    assert server.dispatcher.owned == 0
    server.publisher.reconnect()
    server.run_once(CLAIM_INTERVAL)  # claimed again, and published a second time
    assert server.sent == [("a", 0), ("a", 0)]
    server.publisher.settle(1)
    server.run_once()
    assert totals(server.journal) == {"queued": 1}
    assert server.dispatcher.owned == 0
    server.publisher.settle(confirmed=False)
    server.run_once(RECONNECT_BACKOFF.longest)
    assert len(server.sent) == 2


def test_a_task_claimed_again_is_not_published_if_its_confirm_comes_meanwhile(server: Server) -> None:
    server.submit("a")
    server.run_once()
    server.publisher.block()
    server.run_once(0.1)
    server.run_once(RELEASE_DELAY + 0.1)
    server.publisher.reconnect()
    server.now += CLAIM_INTERVAL
    server.commit()
    assert server.dispatcher.owned == 1
    server.publisher.block()
    server.flush()
    server.publisher.settle()
    server.publisher.reconnect()
    server.run_once()
    assert server.sent == [("a", 0)]
    assert totals(server.journal) == {"queued": 1}
    assert server.dispatcher.owned == 0


def test_a_retry_is_claimed_when_it_is_due(server: Server) -> None:
    server.submit("a")
    server.run_once()
    server.publisher.settle()
    server.run_once()
    task = find(server.journal, "a")
    assert task is not None
    store_outcomes(server.journal, outcome(task.seq, 0, State.RETRYING, due_at=WALL + 10))
    server.run_once(10 - CLAIM_INTERVAL)
    assert len(server.sent) == 1
    server.run_once(CLAIM_INTERVAL)
    assert server.sent == [("a", 0), ("a", 1)]
    server.publisher.settle()
    server.run_once()
    assert state_of(server.journal, "a") is State.QUEUED


def test_after_the_clock_is_set_back_a_task_waits_no_longer_than_intended(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.run_once()
    server.ahead = 10 * YEAR
    later = replace(new_task("later", due_at=server.wall + 5), received_at=server.wall)
    with server.journal.transaction():
        server.journal.accept([later], server.number, server.wall)
    server.run_once(1)
    server.ahead = 0
    server.run_once(ORPHAN_INTERVAL, fails=True)
    server.run_once(CLAIM_INTERVAL)
    assert "waits of 1 tasks" in caplog.text
    server.run_once(4.9)
    assert server.sent == []
    server.run_once(2 * CLAIM_INTERVAL)
    assert server.sent == [("later", 0)]


def test_a_retry_stored_by_a_clock_just_set_back_is_rescheduled(server: Server) -> None:
    server.submit("a")
    server.run_once()
    server.publisher.settle()
    server.run_once()
    task = find(server.journal, "a")
    assert task is not None
    ended = outcome(task.seq, 0, State.RETRYING, due_at=WALL + YEAR + 2)
    store_outcomes(server.journal, replace(ended, finished_at=WALL + YEAR))
    server.run_once(ORPHAN_INTERVAL)
    server.run_once(2)
    assert server.sent == [("a", 0), ("a", 1)]


def test_a_server_that_starts_reschedules_what_a_clock_ahead_has_left(journal: Repository) -> None:
    with journal.transaction():
        journal.accept([replace(new_task("a", due_at=WALL + YEAR + 1), received_at=WALL + YEAR)], None, WALL)
        journal.accept([replace(new_task("b", due_at=WALL + YEAR), received_at=WALL)], None, WALL)
    server = Server(journal)
    server.run_once()
    server.run_once(1)
    assert server.sent == [("a", 0)]


def test_a_confirm_that_comes_after_the_outcome_changes_nothing(server: Server) -> None:
    server.submit("a")
    server.run_once()
    task = find(server.journal, "a")
    assert task is not None
    store_outcomes(server.journal, outcome(task.seq))
    server.publisher.settle()
    server.run_once()
    assert totals(server.journal) == {"done": 1}
    assert server.dispatcher.owned == 0


def test_tasks_without_room_stay_in_the_journal(server: Server) -> None:
    enter(server.journal, *[f"t{number}" for number in range(CAPACITY + 50)])
    server.run_once()
    assert server.dispatcher.owned == len(server.sent) == CAPACITY
    assert server.dispatcher.room == 0
    server.run_once(CLAIM_INTERVAL)
    assert len(server.sent) == CAPACITY
    server.publisher.settle(20)
    server.run_once(CLAIM_INTERVAL)
    server.run_once(CLAIM_INTERVAL)
    assert server.dispatcher.owned == CAPACITY
    assert len(server.sent) == CAPACITY + 20
    server.publisher.settle()
    server.run_once(CLAIM_INTERVAL)
    server.run_once(CLAIM_INTERVAL)
    assert len({name for name, _ in server.sent}) == len(server.sent) == CAPACITY + 50


def neighbour(journal: Repository) -> ProcessRecord:
    """Another server."""
    record = ProcessRecord(role=Role.SERVER, name="s2", host="there", pid=2, started_at=WALL, seen_at=WALL)
    with journal.transaction():
        return replace(record, number=journal.register(record))


def beat(journal: Repository, record: ProcessRecord, beats: int, phase: ProcessPhase = ProcessPhase.READY) -> None:
    """Store a heartbeat of another server, whose clock stands still."""
    with journal.transaction():
        journal.record_heartbeat(replace(record, beat=beats, phase=phase))


def test_the_tasks_of_a_dead_server_are_published(server: Server) -> None:
    dead = neighbour(server.journal)
    beat(server.journal, dead, 1)
    enter(server.journal, "a", owner=dead.number)
    server.run_once()
    server.run_once(LIVENESS_TIMEOUT - 0.1)
    server.run_once(CLAIM_INTERVAL)
    assert server.sent == []
    server.run_once(ORPHAN_INTERVAL)
    server.run_once(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]
    assert server.dispatcher.alive == {server.number}


def test_the_tasks_of_a_living_server_are_left_alone(server: Server) -> None:
    alive = neighbour(server.journal)
    enter(server.journal, "a", owner=alive.number)
    for beats in range(12):
        beat(server.journal, alive, beats)
        server.run_once(ORPHAN_INTERVAL)
    assert server.sent == []
    assert server.dispatcher.alive == {server.number, alive.number}


def test_a_server_that_left_is_dead_at_once(server: Server) -> None:
    left = neighbour(server.journal)
    enter(server.journal, "a", owner=left.number)
    beat(server.journal, left, 1, ProcessPhase.LEFT)
    server.run_once()
    server.run_once(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]


def test_it_keeps_its_tasks_even_if_its_heartbeat_stops(server: Server) -> None:
    server.submit("a")
    other = Server(server.journal)
    for _ in range(10):
        server.run_once(ORPHAN_INTERVAL)
    other.run_once()
    assert server.sent == [("a", 0)]
    assert other.sent == []


def test_closing_stores_the_confirms_and_releases_the_other_tasks(server: Server) -> None:
    server.submit("a", "b", "c")
    server.run_once()
    server.publisher.settle(1)
    server.submit("d")
    server.dispatcher.close(server.journal, 3.0, server.now, WALL)
    assert server.publisher.closed_with == 3.0
    assert server.sent[-1] == ("d", 0)
    assert totals(server.journal) == {"queued": 1, "accepted": 3}
    assert server.dispatcher.owned == 0
    with server.journal.transaction():
        assert [task.id for task in server.journal.claim(99, WALL, 10)] == ["b", "c", "d"]


def test_a_confirm_that_comes_while_closing_is_stored(server: Server) -> None:
    server.submit("a", "b")
    server.publisher.confirms_at_close = True
    server.dispatcher.close(server.journal, 3.0, server.now, WALL)
    assert totals(server.journal) == {"queued": 2}


def test_a_delayed_task_is_claimed_when_it_is_due(server: Server) -> None:
    later: NewTask = new_task("a", due_at=WALL + 5)
    with server.journal.transaction():
        server.journal.accept([later], server.number, WALL)
    server.run_once(4.9)
    assert server.sent == []
    server.run_once(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]


def test_queued_tasks_are_published_again_when_the_queue_was_recreated(server: Server) -> None:
    server.submit("a", "b")
    server.run_once()
    server.publisher.settle()
    server.run_once(0.01)
    assert totals(server.journal) == {"queued": 2}
    server.recreations += 1
    server.run_once(0.01)
    assert totals(server.journal) == {"accepted": 2}
    server.run_once(CLAIM_INTERVAL)
    assert server.sent == [("a", 0), ("b", 0)] * 2
    server.publisher.settle()
    server.run_once(0.01)
    assert totals(server.journal) == {"queued": 2}
    server.run_once(ORPHAN_INTERVAL)
    assert len(server.sent) == 4


def test_a_lost_queue_is_remembered_until_the_redispatch_is_stored(server: Server) -> None:
    server.submit("a")
    server.run_once()
    server.publisher.settle()
    server.run_once(0.01)
    server.recreations += 1
    server.run_once(0.01, fails=True)
    assert totals(server.journal) == {"queued": 1}
    server.run_once(0.01)
    assert totals(server.journal) == {"accepted": 1}


def test_a_task_confirmed_by_a_lost_queue_is_published_again(server: Server) -> None:
    server.run_once()
    server.submit("a", "b")
    server.run_once()
    # Another process recreates the queue. Messages on their way to the deleted one are confirmed.
    with server.journal.transaction():
        server.journal.redispatch()
    server.publisher.settle()
    server.run_once(0.01)
    assert totals(server.journal) == {"accepted": 2}
    server.run_once(0.01)
    assert server.sent == [("a", 0), ("b", 0)] * 2
    server.publisher.settle()
    server.run_once(0.01)
    assert totals(server.journal) == {"queued": 2}


def test_a_queue_made_for_the_first_time_publishes_nothing_twice(server: Server) -> None:
    server.recreations += 1
    server.run_once()
    server.submit("a")
    server.run_once(0.1)
    server.publisher.settle()
    server.run_once(CLAIM_INTERVAL)
    assert (server.sent, totals(server.journal)) == ([("a", 0)], {"queued": 1})
