"""The dispatcher between a real journal and a broker that does what the test says."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.broker.base import RECONNECT_BACKOFF, Reference
from core.dispatcher import CAPACITY, CLAIM_INTERVAL, ORPHAN_INTERVAL, PATIENCE
from core.heartbeat import SILENCE
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
    """A server whose broker is there."""
    return Server(journal)


def test_a_task_is_published_once_it_is_taken_and_marked_once_it_is_confirmed(server: Server) -> None:
    server.submit("a", "b")
    assert server.sent == []
    server.turn()
    assert server.sent == [("a", 0), ("b", 0)]
    assert totals(server.journal) == {"accepted": 2}
    server.publisher.settle(1)
    server.turn(0.01)
    assert totals(server.journal) == {"accepted": 1, "queued": 1}
    assert (server.dispatcher.in_hand, server.dispatcher.published) == (1, 1)
    server.publisher.settle()
    server.turn(0.01)
    assert totals(server.journal) == {"queued": 2}
    assert (server.dispatcher.in_hand, server.dispatcher.published) == (0, 2)
    assert len(server.sent) == 2


def test_a_message_refers_to_the_task_and_its_attempt(server: Server) -> None:
    server.submit("a")
    server.turn(2.5)
    (message,) = server.publisher.sent
    task = find(server.journal, "a")
    assert task is not None
    assert references([message]) == [Reference("a", task.seq, 0, WALL + 2.5, generation=0)]
    assert (message.id, message.kind) == ("a", "echo")


def test_the_journal_tells_by_which_message_a_task_is_queued(server: Server) -> None:
    server.submit("a", "b")
    server.turn(2.5)
    server.publisher.settle(1)
    server.publisher.settle(confirmed=False)
    server.turn(0.01)
    server.turn(RECONNECT_BACKOFF.longest)
    server.publisher.settle()
    server.turn(0.01)
    published = {reference.id: reference for reference in references(server.publisher.sent)}
    assert published["a"].at < published["b"].at
    for name, reference in published.items():
        assert server.journal.assignments([reference.seq])[reference.seq].queued_at == reference.at, name


def test_a_message_tells_the_generation_of_the_queue_that_it_was_published_to(server: Server) -> None:
    server.submit("a")
    server.turn()
    server.publisher.settle()
    server.turn(0.01)
    server.recreations += 1
    server.turn(0.01)
    server.turn(CLAIM_INTERVAL)
    first, second = references(server.publisher.sent)
    assert (first.generation, second.generation) == (0, 1)
    assert first.is_outdated(1)
    assert not second.is_outdated(1)


def test_what_is_claimed_is_published_only_after_the_commit(server: Server) -> None:
    enter(server.journal, "a")
    server.turn(fails=True)
    assert server.sent == []
    assert server.dispatcher.in_hand == 0
    server.turn()
    assert server.sent == [("a", 0)]


def test_what_was_claimed_in_a_commit_that_failed_is_not_its_own(server: Server) -> None:
    server.turn()
    enter(server.journal, "a")
    server.turn(CLAIM_INTERVAL, fails=True)
    server.publisher.go_away()
    server.turn(ORPHAN_INTERVAL)
    assert server.dispatcher.in_hand == 0
    server.publisher.come_back()
    server.turn(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]


def test_a_confirmation_whose_commit_failed_is_written_later(server: Server) -> None:
    server.submit("a")
    server.turn()
    server.publisher.settle()
    for _ in range(3):
        server.turn(0.01, fails=True)
    assert totals(server.journal) == {"accepted": 1}
    server.turn(0.01)
    assert totals(server.journal) == {"queued": 1}
    assert server.sent == [("a", 0)]
    assert server.dispatcher.published == 1


def test_nothing_is_written_when_there_is_nothing_to_write(server: Server) -> None:
    server.turn()
    assert not server.has_to_write(CLAIM_INTERVAL)
    assert server.has_to_write(ORPHAN_INTERVAL)


def test_what_becomes_due_is_looked_for_at_intervals_while_it_could_be_published(server: Server) -> None:
    server.turn()
    with server.journal.transaction():
        server.journal.accept([new_task("later", due_at=server.wall + 3 * CLAIM_INTERVAL)], None, server.wall)
    assert not server.has_to_write(2.5 * CLAIM_INTERVAL)
    # It was looked for just now.
    assert not server.has_to_write(3.1 * CLAIM_INTERVAL)
    server.publisher.block()
    assert not server.has_to_write(4 * CLAIM_INTERVAL)
    server.publisher.come_back()
    assert server.has_to_write(4 * CLAIM_INTERVAL)


def test_what_is_refused_is_published_again_after_a_while(server: Server) -> None:
    server.submit("a", "b")
    server.turn()
    server.publisher.settle(confirmed=False)
    server.turn()
    assert len(server.sent) == 2
    server.turn(RECONNECT_BACKOFF.longest)
    assert server.sent == [("a", 0), ("b", 0)] * 2
    server.publisher.settle()
    server.turn()
    assert totals(server.journal) == {"queued": 2}


def test_the_pauses_grow_while_the_broker_refuses_and_end_when_it_confirms(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    server.submit("a")
    pauses: list[float] = []
    for _ in range(7):
        server.turn()
        server.publisher.settle(confirmed=False)
        server.turn()
        sent, began = len(server.sent), server.now
        while len(server.sent) == sent:
            server.turn(0.05)
        pauses.append(server.now - began)
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0], abs=0.06)
    server.publisher.settle()
    server.turn()
    server.submit("b")
    server.turn()
    server.publisher.settle(confirmed=False)
    server.turn()
    server.turn(0.21)
    assert server.sent[-2:] == [("b", 0), ("b", 0)]


def test_while_the_broker_is_away_nothing_is_published_and_there_is_no_room(server: Server) -> None:
    server.turn()
    server.publisher.go_away()
    server.turn(0.01)
    assert (server.dispatcher.room, server.dispatcher.trouble) == (0, "away")
    enter(server.journal, "a")
    server.turn(CLAIM_INTERVAL)
    assert server.sent == []
    assert server.dispatcher.in_hand == 0
    server.publisher.come_back()
    server.turn(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]
    assert server.dispatcher.trouble == ""


@pytest.mark.parametrize("disturb", [ScriptedPublisher.go_away, ScriptedPublisher.block])
def test_a_broker_that_is_away_too_long_loses_its_tasks_to_others(
    server: Server, disturb: Callable[[ScriptedPublisher], None]
) -> None:
    server.submit("a", "b")
    server.turn()
    server.publisher.settle(1)
    disturb(server.publisher)
    server.turn()
    server.turn(PATIENCE)
    assert server.dispatcher.in_hand == 1
    other = Server(server.journal)
    other.turn()
    assert other.sent == []
    server.turn(0.01, fails=True)
    assert server.dispatcher.in_hand == 1
    server.turn(0.01)
    assert server.dispatcher.in_hand == 0
    other.turn(CLAIM_INTERVAL)
    assert other.sent == [("b", 0)]
    server.publisher.come_back()
    server.turn(RECONNECT_BACKOFF.longest)
    assert server.sent == [("a", 0), ("b", 0)]


def test_a_broker_that_is_away_for_a_moment_keeps_its_tasks(server: Server) -> None:
    server.submit("a")
    for _ in range(3):
        server.publisher.go_away()
        server.turn(PATIENCE - 0.1)
        server.publisher.come_back()
        server.turn(0.2)
    assert server.dispatcher.in_hand == 1
    assert server.sent[0] == ("a", 0)


def test_a_confirmation_that_comes_after_its_task_was_given_up_is_written_down(server: Server) -> None:
    server.submit("a")
    server.turn()
    server.publisher.block()
    server.turn(0.1)
    server.turn(PATIENCE + 0.1)
    assert server.dispatcher.in_hand == 0
    server.publisher.come_back()
    server.turn(CLAIM_INTERVAL)  # claimed anew, and sent beside the first one
    assert server.sent == [("a", 0), ("a", 0)]
    server.publisher.settle(1)
    server.turn()
    assert totals(server.journal) == {"queued": 1}
    assert server.dispatcher.in_hand == 0
    server.publisher.settle(confirmed=False)
    server.turn(RECONNECT_BACKOFF.longest)
    assert len(server.sent) == 2


def test_what_was_claimed_anew_is_not_published_if_its_confirmation_comes_meanwhile(server: Server) -> None:
    server.submit("a")
    server.turn()
    server.publisher.block()
    server.turn(0.1)
    server.turn(PATIENCE + 0.1)
    server.publisher.come_back()
    server.now += CLAIM_INTERVAL
    server.commit()
    assert server.dispatcher.in_hand == 1
    server.publisher.block()
    server.flush()
    server.publisher.settle()
    server.publisher.come_back()
    server.turn()
    assert server.sent == [("a", 0)]
    assert totals(server.journal) == {"queued": 1}
    assert server.dispatcher.in_hand == 0


def test_a_retry_is_claimed_when_it_is_due(server: Server) -> None:
    server.submit("a")
    server.turn()
    server.publisher.settle()
    server.turn()
    task = find(server.journal, "a")
    assert task is not None
    store_outcomes(server.journal, outcome(task.seq, 0, State.RETRYING, due_at=WALL + 10))
    server.turn(10 - CLAIM_INTERVAL)
    assert len(server.sent) == 1
    server.turn(CLAIM_INTERVAL)
    assert server.sent == [("a", 0), ("a", 1)]
    server.publisher.settle()
    server.turn()
    assert state_of(server.journal, "a") is State.QUEUED


def test_what_waits_for_the_time_of_a_clock_that_was_ahead_waits_no_longer_than_it_was_meant_to(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.turn()
    server.ahead = 10 * YEAR
    later = replace(new_task("later", due_at=server.wall + 5), received_at=server.wall)
    with server.journal.transaction():
        server.journal.accept([later], server.number, server.wall)
    server.turn(1)
    server.ahead = 0
    server.turn(ORPHAN_INTERVAL, fails=True)
    server.turn(CLAIM_INTERVAL)
    assert "waits of 1 tasks" in caplog.text
    server.turn(4.9)
    assert server.sent == []
    server.turn(2 * CLAIM_INTERVAL)
    assert server.sent == [("later", 0)]


def test_a_retry_that_is_written_by_a_clock_just_set_back_is_not_left_behind(server: Server) -> None:
    server.submit("a")
    server.turn()
    server.publisher.settle()
    server.turn()
    task = find(server.journal, "a")
    assert task is not None
    ended = outcome(task.seq, 0, State.RETRYING, due_at=WALL + YEAR + 2)
    store_outcomes(server.journal, replace(ended, finished_at=WALL + YEAR))
    server.turn(ORPHAN_INTERVAL)
    server.turn(2)
    assert server.sent == [("a", 0), ("a", 1)]


def test_a_server_that_starts_mends_what_a_clock_that_was_ahead_has_left(journal: Repository) -> None:
    with journal.transaction():
        journal.accept([replace(new_task("a", due_at=WALL + YEAR + 1), received_at=WALL + YEAR)], None, WALL)
        journal.accept([replace(new_task("b", due_at=WALL + YEAR), received_at=WALL)], None, WALL)
    server = Server(journal)
    server.turn()
    server.turn(1)
    assert server.sent == [("a", 0)]


def test_a_confirmation_that_comes_after_the_outcome_changes_nothing(server: Server) -> None:
    server.submit("a")
    server.turn()
    task = find(server.journal, "a")
    assert task is not None
    store_outcomes(server.journal, outcome(task.seq))
    server.publisher.settle()
    server.turn()
    assert totals(server.journal) == {"done": 1}
    assert server.dispatcher.in_hand == 0


def test_what_there_is_no_room_for_stays_in_the_journal(server: Server) -> None:
    enter(server.journal, *[f"t{number}" for number in range(CAPACITY + 50)])
    server.turn()
    assert server.dispatcher.in_hand == len(server.sent) == CAPACITY
    assert server.dispatcher.room == 0
    server.turn(CLAIM_INTERVAL)
    assert len(server.sent) == CAPACITY
    server.publisher.settle(20)
    server.turn(CLAIM_INTERVAL)
    server.turn(CLAIM_INTERVAL)
    assert server.dispatcher.in_hand == CAPACITY
    assert len(server.sent) == CAPACITY + 20
    server.publisher.settle()
    server.turn(CLAIM_INTERVAL)
    server.turn(CLAIM_INTERVAL)
    assert len({name for name, _ in server.sent}) == len(server.sent) == CAPACITY + 50


def neighbour(journal: Repository) -> ProcessRecord:
    """Another server."""
    record = ProcessRecord(role=Role.SERVER, name="s2", host="there", pid=2, started_at=WALL, seen_at=WALL)
    with journal.transaction():
        return replace(record, number=journal.register(record))


def beat(journal: Repository, record: ProcessRecord, beats: int, phase: ProcessPhase = ProcessPhase.READY) -> None:
    """Write a neighbour's heartbeat; its clock stands still, as it may."""
    with journal.transaction():
        journal.record_heartbeat(replace(record, beat=beats, phase=phase))


def test_a_dead_servers_tasks_are_taken_over(server: Server) -> None:
    dead = neighbour(server.journal)
    beat(server.journal, dead, 1)
    enter(server.journal, "a", owner=dead.number)
    server.turn()
    server.turn(SILENCE - 0.1)
    server.turn(CLAIM_INTERVAL)
    assert server.sent == []
    server.turn(ORPHAN_INTERVAL)
    server.turn(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]
    assert server.dispatcher.alive == {server.number}


def test_a_living_servers_tasks_are_left_to_it(server: Server) -> None:
    alive = neighbour(server.journal)
    enter(server.journal, "a", owner=alive.number)
    for beats in range(12):
        beat(server.journal, alive, beats)
        server.turn(ORPHAN_INTERVAL)
    assert server.sent == []
    assert server.dispatcher.alive == {server.number, alive.number}


def test_a_server_that_left_is_dead_at_once(server: Server) -> None:
    left = neighbour(server.journal)
    enter(server.journal, "a", owner=left.number)
    beat(server.journal, left, 1, ProcessPhase.LEFT)
    server.turn()
    server.turn(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]


def test_it_keeps_its_own_tasks_even_if_its_heartbeat_is_silent(server: Server) -> None:
    server.submit("a")
    other = Server(server.journal)
    for _ in range(10):
        server.turn(ORPHAN_INTERVAL)
    other.turn()
    assert server.sent == [("a", 0)]
    assert other.sent == []


def test_closing_writes_down_what_is_confirmed_and_leaves_the_rest_to_others(server: Server) -> None:
    server.submit("a", "b", "c")
    server.turn()
    server.publisher.settle(1)
    server.submit("d")
    server.dispatcher.close(server.journal, 3.0, server.now, WALL)
    assert server.publisher.closed_with == 3.0
    assert server.sent[-1] == ("d", 0)
    assert totals(server.journal) == {"queued": 1, "accepted": 3}
    assert server.dispatcher.in_hand == 0
    with server.journal.transaction():
        assert [task.id for task in server.journal.claim(99, WALL, 10)] == ["b", "c", "d"]


def test_what_is_confirmed_while_closing_is_written_down(server: Server) -> None:
    server.submit("a", "b")
    server.publisher.confirms_at_close = True
    server.dispatcher.close(server.journal, 3.0, server.now, WALL)
    assert totals(server.journal) == {"queued": 2}


def test_a_task_for_later_is_claimed_in_its_time(server: Server) -> None:
    later: NewTask = new_task("a", due_at=WALL + 5)
    with server.journal.transaction():
        server.journal.accept([later], server.number, WALL)
    server.turn(4.9)
    assert server.sent == []
    server.turn(CLAIM_INTERVAL)
    assert server.sent == [("a", 0)]


def test_what_was_queued_is_published_again_when_the_queue_had_to_be_made_anew(server: Server) -> None:
    server.submit("a", "b")
    server.turn()
    server.publisher.settle()
    server.turn(0.01)
    assert totals(server.journal) == {"queued": 2}
    server.recreations += 1
    server.turn(0.01)
    assert totals(server.journal) == {"accepted": 2}
    server.turn(CLAIM_INTERVAL)
    assert server.sent == [("a", 0), ("b", 0)] * 2
    server.publisher.settle()
    server.turn(0.01)
    assert totals(server.journal) == {"queued": 2}
    server.turn(ORPHAN_INTERVAL)
    assert len(server.sent) == 4


def test_a_lost_queue_is_remembered_until_that_is_written(server: Server) -> None:
    server.submit("a")
    server.turn()
    server.publisher.settle()
    server.turn(0.01)
    server.recreations += 1
    server.turn(0.01, fails=True)
    assert totals(server.journal) == {"queued": 1}
    server.turn(0.01)
    assert totals(server.journal) == {"accepted": 1}


def test_what_the_broker_confirms_although_it_was_lost_with_the_former_queue_is_published_again(server: Server) -> None:
    server.turn()
    server.submit("a", "b")
    server.turn()
    # Another process makes the queue anew. What is on its way to one that is deleted is confirmed.
    with server.journal.transaction():
        server.journal.redispatch()
    server.publisher.settle()
    server.turn(0.01)
    assert totals(server.journal) == {"accepted": 2}
    server.turn(0.01)
    assert server.sent == [("a", 0), ("b", 0)] * 2
    server.publisher.settle()
    server.turn(0.01)
    assert totals(server.journal) == {"queued": 2}


def test_a_queue_that_is_made_for_the_first_time_has_nothing_published_twice(server: Server) -> None:
    server.recreations += 1
    server.turn()
    server.submit("a")
    server.turn(0.1)
    server.publisher.settle()
    server.turn(CLAIM_INTERVAL)
    assert (server.sent, totals(server.journal)) == ([("a", 0)], {"queued": 1})
