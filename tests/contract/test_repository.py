"""The contract of the journal: what servers and workers write, and how tasks move."""

import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from core import jsontext
from core.errors import JournalError
from core.model import ENDED, Dispatch, Failure, NewTask, State, Times
from core.repository.base import STRIKE_LIMIT, DeadLetter, OpenRepository, Repository
from tests.contract.repositories import (
    FAILURE,
    NOW,
    begin,
    end,
    enter,
    find,
    mark,
    new_task,
    outcome,
    process,
    queue,
    state_of,
    store_outcomes,
    totals,
)

# Accepting.


def test_results_of_accepting_come_in_the_order_of_the_tasks(journal: Repository) -> None:
    with journal.transaction():
        results = journal.accept([new_task("b"), new_task("a"), new_task("c")], None, NOW)
    assert [result.id for result in results] == ["b", "a", "c"]
    assert [result.state for result in results] == [State.ACCEPTED] * 3
    assert not any(result.duplicate or result.conflict for result in results)
    numbers = [result.seq for result in results]
    assert numbers == sorted(set(numbers))
    assert set(journal.assignments(numbers)) == set(numbers)


def test_the_same_id_twice_in_a_batch_is_stored_once(journal: Repository) -> None:
    with journal.transaction():
        first, second, other = journal.accept([new_task("a"), new_task("a"), new_task("b")], None, NOW)
    assert (first.duplicate, second.duplicate, other.duplicate) == (False, True, False)
    assert first.seq == second.seq != other.seq
    assert not second.conflict
    assert totals(journal) == {"accepted": 2}


def test_another_payload_under_the_same_id_in_a_batch_is_a_conflict(journal: Repository) -> None:
    with journal.transaction():
        first, second = journal.accept([new_task("a", "1"), new_task("a", "2")], None, NOW)
    assert (first.conflict, second.conflict) == (False, True)
    assert journal.assignments([first.seq])[first.seq].payload == "1"


def test_a_duplicate_id_returns_the_state_of_the_first_task(journal: Repository) -> None:
    (seq,) = end(journal, "a")
    with journal.transaction():
        fresh, again = journal.accept([new_task("b"), new_task("a")], 1, NOW + 9)
    assert (again.seq, again.state, again.duplicate, again.conflict) == (seq, State.DONE, True, False)
    assert not fresh.duplicate
    assert totals(journal) == {"accepted": 1, "done": 1}


@pytest.mark.parametrize("other", [new_task("a", "2"), new_task("a", kind="other")])
def test_a_duplicate_id_with_another_task_is_a_conflict(journal: Repository, other: NewTask) -> None:
    enter(journal, "a")
    with journal.transaction():
        (again,) = journal.accept([other], None, NOW)
    assert again.duplicate
    assert again.conflict
    found = find(journal, "a")
    assert found is not None
    assert (found.kind, found.payload) == ("echo", "1")


def test_no_tasks_are_accepted_from_an_empty_batch(journal: Repository) -> None:
    with journal.transaction():
        assert journal.accept([], 1, NOW) == []
    assert totals(journal) == {}


def test_an_accepted_task_is_stored_unchanged(journal: Repository) -> None:
    with journal.transaction():
        (result,) = journal.accept(
            [new_task("a", '{"n":1}', kind="sum", due_at=NOW + 60, retries=3, sent_at=NOW - 2)], 1, NOW
        )
    task = find(journal, "a")
    assert task is not None
    assert (task.seq, task.kind, task.payload, task.state) == (result.seq, "sum", '{"n":1}', State.ACCEPTED)
    assert (task.due_at, task.retries, task.attempts, task.strikes) == (NOW + 60, 3, 0, 0)
    assert (task.worker, task.result, task.failure) == (None, None, None)
    assert task.times == Times(sent=NOW - 2, received=NOW - 1, accepted=NOW)


# Claiming and queueing.


def claimed(repository: Repository, owner: int = 2, now: float = NOW, limit: int = 100) -> list[str]:
    """Claim tasks for a server. Returns their ids."""
    with repository.transaction():
        return [dispatch.id for dispatch in repository.claim(owner, now, limit)]


def test_a_task_with_an_owner_is_not_for_others(journal: Repository) -> None:
    enter(journal, "mine", owner=1)
    enter(journal, "free")
    assert claimed(journal) == ["free"]
    assert claimed(journal, owner=3) == []


def test_a_task_that_is_due_later_belongs_to_the_server_that_claims_it_then(journal: Repository) -> None:
    with journal.transaction():
        journal.accept([new_task("later", due_at=NOW + 10)], 1, NOW)
    assert claimed(journal, now=NOW + 9.9) == []
    assert claimed(journal, now=NOW + 10) == ["later"]


def test_due_tasks_are_noticed_without_a_claim(journal: Repository) -> None:
    assert not journal.has_due_tasks(NOW)
    enter(journal, "mine", owner=1)
    with journal.transaction():
        journal.accept([new_task("later", due_at=NOW + 10)], 1, NOW)
    assert not journal.has_due_tasks(NOW + 9.9)
    assert journal.has_due_tasks(NOW + 10)
    assert claimed(journal, now=NOW + 10) == ["later"]
    assert not journal.has_due_tasks(NOW + 10)


def test_the_longest_due_is_claimed_first(journal: Repository) -> None:
    with journal.transaction():
        journal.accept([new_task(name, due_at=NOW + due) for name, due in (("c", 3), ("a", 1), ("b", 2))], None, NOW)
    assert claimed(journal, now=NOW + 9, limit=2) == ["a", "b"]
    assert claimed(journal, now=NOW + 9, limit=2) == ["c"]


def test_of_tasks_due_at_the_same_time_the_first_accepted_is_claimed_first(journal: Repository) -> None:
    enter(journal, "z", "y", "x")
    assert claimed(journal, limit=2) == ["z", "y"]


def test_a_claim_returns_what_to_publish(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    store_outcomes(journal, outcome(seq, 0, State.RETRYING, due_at=NOW + 8))
    with journal.transaction():
        assert journal.claim(1, NOW + 8, 5) == [Dispatch(seq, "a", "echo", 1)]


def test_two_servers_never_claim_the_same_task(open_repository: OpenRepository) -> None:
    with open_repository() as repository:
        enter(repository, *[f"t{number}" for number in range(200)])
    start = threading.Barrier(2)

    def claim_all(owner: int) -> list[str]:
        mine: list[str] = []
        with open_repository() as repository:
            start.wait(10)
            while batch := claimed(repository, owner, limit=7):
                mine += batch
        return mine

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(claim_all, (1, 2))
    assert sorted(first + second) == sorted(f"t{number}" for number in range(200))


def test_a_confirmed_task_is_queued_and_has_no_owner(journal: Repository) -> None:
    (seq,) = enter(journal, "a", owner=1)
    mark(journal, [seq], now=NOW + 2)
    task = find(journal, "a")
    assert task is not None
    assert (task.state, task.times.queued) == (State.QUEUED, NOW + 2)
    with journal.transaction():
        assert journal.release(1) == 0
    assert claimed(journal) == []


@pytest.mark.parametrize("ending", [State.DONE, State.FAILED])
def test_a_confirmation_that_comes_after_the_end_changes_nothing(journal: Repository, ending: State) -> None:
    (seq,) = enter(journal, "a", owner=1)
    store_outcomes(journal, outcome(seq, state=ending))
    before = find(journal, "a")
    mark(journal, [seq], now=NOW + 9)
    assert find(journal, "a") == before
    assert totals(journal) == {ending: 1}


def test_a_confirmation_of_a_cancelled_task_changes_nothing(journal: Repository) -> None:
    (seq,) = enter(journal, "a", owner=1)
    with journal.transaction():
        journal.cancel("a", NOW)
    mark(journal, [seq])
    assert state_of(journal, "a") is State.CANCELLED


def test_a_confirmation_of_an_earlier_attempt_changes_nothing(journal: Repository) -> None:
    (seq,) = enter(journal, "a", owner=1)
    store_outcomes(journal, outcome(seq, 0, State.RETRYING, due_at=NOW + 8))
    mark(journal, [seq], attempt=0)
    assert state_of(journal, "a") is State.RETRYING
    mark(journal, [seq], attempt=1)
    assert state_of(journal, "a") is State.QUEUED


def test_many_states_are_marked_in_one_batch(journal: Repository) -> None:
    retried, fresh, done = enter(journal, "retried", "fresh", "done", owner=1)
    store_outcomes(journal, outcome(retried, 0, State.RETRYING), outcome(done))
    with journal.transaction():
        journal.mark_queued([Dispatch(s, "", "", n) for s, n in ((retried, 1), (fresh, 0), (done, 0), (999, 0))], NOW)
    assert totals(journal) == {"queued": 2, "done": 1}


def test_release_gives_up_what_one_server_owns(journal: Repository) -> None:
    enter(journal, "a", "b", owner=1)
    enter(journal, "c", owner=2)
    with journal.transaction():
        assert journal.release(1) == 2
    assert claimed(journal, owner=3) == ["a", "b"]


def test_release_orphans_spares_the_living(journal: Repository) -> None:
    enter(journal, "a", owner=1)
    enter(journal, "b", owner=2)
    enter(journal, "c", owner=3)
    enter(journal, "free")
    with journal.transaction():
        assert journal.release_orphans({1, 3}) == 1
    assert sorted(claimed(journal, owner=3)) == ["b", "free"]
    with journal.transaction():
        assert journal.release_orphans([]) == 4


# Cancelling.


def put_in(repository: Repository, state: State, task_id: str = "a") -> int:
    """Accept a task and bring it to a state. Returns its number."""
    (seq,) = enter(repository, task_id, owner=1)
    if state is State.QUEUED:
        mark(repository, [seq])
    elif state is State.CANCELLED:
        with repository.transaction():
            repository.cancel(task_id, NOW + 7)
    elif state is not State.ACCEPTED:
        store_outcomes(repository, outcome(seq, 0, state, due_at=NOW + 8))
    return seq


@pytest.mark.parametrize("state", [State.ACCEPTED, State.QUEUED, State.RETRYING])
def test_a_task_that_has_not_ended_is_cancelled(journal: Repository, state: State) -> None:
    put_in(journal, state)
    with journal.transaction():
        assert journal.cancel("a", NOW + 9) is State.CANCELLED
    task = find(journal, "a")
    assert task is not None
    assert (task.state, task.times.stored) == (State.CANCELLED, NOW + 9)
    assert totals(journal) == {"cancelled": 1}
    assert claimed(journal, now=NOW + 99) == []


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_task_that_has_ended_is_not_cancelled(journal: Repository, state: State) -> None:
    put_in(journal, state)
    before = find(journal, "a")
    with journal.transaction():
        assert journal.cancel("a", NOW + 9) is state
    assert find(journal, "a") == before


def test_a_task_that_runs_is_cancelling_until_its_outcome(journal: Repository) -> None:
    seqs = dict(zip("abcd", queue(journal, *"abcd"), strict=True))
    with journal.transaction():
        assert {journal.cancel(name, NOW + 3, runs=True) for name in seqs} == {State.CANCELLING}
    assert journal.cancelling() == list(seqs.values())
    assert totals(journal) == {"queued": 4}
    results = [outcome(seqs["a"], state=State.DONE), outcome(seqs["b"], state=State.FAILED)]
    results += [outcome(seqs["c"], state=State.RETRYING, due_at=NOW + 8), outcome(seqs["d"], state=State.CANCELLED)]
    assert store_outcomes(journal, *results) == [True] * 4
    assert [state_of(journal, name) for name in "abcd"] == [State.DONE, *[State.CANCELLED] * 3]
    assert journal.cancelling() == []
    assert totals(journal) == {"done": 1, "cancelled": 3}
    assert claimed(journal, now=NOW + 99) == []
    assert journal.audit().is_consistent


def test_a_task_that_was_cancelled_while_it_ran_does_not_begin_again(journal: Repository) -> None:
    first, second = queue(journal, "a", "b")
    with journal.transaction():
        for name in ("a", "b"):
            journal.cancel(name, NOW + 3, runs=True)
        assert journal.redispatch() == 2
    assert claimed(journal, now=NOW + 4) == ["a", "b"]
    assert {each.cancelling for each in journal.assignments([first, second]).values()} == {True}
    with journal.transaction():
        assert journal.give_up(first, 0, NOW + 5)
        assert journal.settle_dead_letters([DeadLetter(second, "b", FAILURE)], NOW + 5) == [State.CANCELLED]
    assert totals(journal) == {"cancelled": 2}


def test_an_unknown_task_is_not_cancelled(journal: Repository) -> None:
    with journal.transaction():
        assert journal.cancel("nobody", NOW) is None
    assert totals(journal) == {}


# Dead letters and strikes.


def settle_dead_letters(repository: Repository, *dead_letters: tuple[int, str]) -> list[State | None]:
    """Settle dead letters in a transaction."""
    with repository.transaction():
        return repository.settle_dead_letters(
            [DeadLetter(seq, task_id, FAILURE) for seq, task_id in dead_letters], NOW + 9
        )


def add_strikes(repository: Repository, seq: int, times: int) -> None:
    """Add a number of strikes to a task."""
    for _ in range(times):
        begin(repository, seq)


def test_strikes_are_removed_down_to_none(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    add_strikes(journal, seq, 2)
    left = []
    for _ in range(3):
        with journal.transaction():
            journal.remove_strikes([seq])
        left.append(journal.assignments([seq])[seq].strikes)
    assert left == [1, 0, 0]


def test_a_bystander_is_published_again(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    add_strikes(journal, seq, STRIKE_LIMIT - 1)
    assert settle_dead_letters(journal, (seq, "a")) == [State.ACCEPTED]
    task = find(journal, "a")
    assert task is not None
    assert (task.state, task.attempts, task.failure, task.times.stored) == (State.ACCEPTED, 0, None, None)
    assert claimed(journal) == ["a"]


def test_a_task_that_killed_its_workers_fails_for_good(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    add_strikes(journal, seq, STRIKE_LIMIT)
    assert settle_dead_letters(journal, (seq, "a")) == [State.FAILED]
    task = find(journal, "a")
    assert task is not None
    assert (task.state, task.attempts, task.failure) == (State.FAILED, 1, FAILURE)
    assert (task.strikes, task.times.stored) == (STRIKE_LIMIT, NOW + 9)
    assert store_outcomes(journal, outcome(seq)) == [False]
    assert journal.audit().is_consistent


def test_dead_letters_without_a_task_settle_nothing(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    assert settle_dead_letters(journal, (seq + 1, "b"), (seq, "b"), (seq + 1, "a")) == [None, None, None]
    assert totals(journal) == {"queued": 1}


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_task_that_has_ended_stays_as_it_is(journal: Repository, state: State) -> None:
    seq = put_in(journal, state)
    add_strikes(journal, seq, STRIKE_LIMIT)
    before = find(journal, "a")
    assert settle_dead_letters(journal, (seq, "a")) == [state]
    assert find(journal, "a") == before


def test_a_task_that_waits_to_be_retried_keeps_its_time(journal: Repository) -> None:
    seq = put_in(journal, State.RETRYING)
    assert settle_dead_letters(journal, (seq, "a")) == [State.RETRYING]
    assert claimed(journal, now=NOW + 7.9) == []
    assert claimed(journal, now=NOW + 8) == ["a"]


@pytest.mark.parametrize(("strikes", "state"), [(0, State.ACCEPTED), (STRIKE_LIMIT, State.FAILED)])
def test_two_dead_letters_of_one_task_settle_it_once(journal: Repository, strikes: int, state: State) -> None:
    (seq,) = queue(journal, "a")
    add_strikes(journal, seq, strikes)
    assert settle_dead_letters(journal, (seq, "a"), (seq, "a")) == [state, state]
    assert totals(journal) == {state: 1}
    assert journal.assignments([seq])[seq].attempts == (1 if state is State.FAILED else 0)


def test_a_bystander_is_published_again_as_a_suspect(journal: Repository) -> None:
    first, second = queue(journal, "a", "b")
    add_strikes(journal, second, 2)
    assert settle_dead_letters(journal, (first, "a"), (second, "b")) == [State.ACCEPTED] * 2
    wanted = journal.assignments([first, second])
    assert [wanted[first].strikes, wanted[second].strikes] == [1, 2]


def test_an_attempt_that_ended_takes_its_strikes_with_it(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    add_strikes(journal, seq, STRIKE_LIMIT)
    assert journal.assignments([seq])[seq].strikes == STRIKE_LIMIT
    store_outcomes(journal, outcome(seq, 0, State.RETRYING))
    assert journal.assignments([seq])[seq].strikes == 0


def test_a_task_that_was_done_in_spite_of_its_strikes_shows_them(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    add_strikes(journal, seq, 2)
    store_outcomes(journal, outcome(seq))
    assert journal.assignments([seq])[seq].strikes == 2


def test_a_strike_of_an_unknown_task_changes_nothing(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    assert begin(journal, seq + 1) == 0
    assert journal.assignments([seq])[seq].strikes == 0


def test_redispatch_makes_every_queued_task_accepted(journal: Repository) -> None:
    queue(journal, "a", "b")
    end(journal, "done")
    put_in(journal, State.RETRYING, "retrying")
    with journal.transaction():
        assert journal.redispatch() == 2
    assert totals(journal) == {"accepted": 2, "done": 1, "retrying": 1}
    assert claimed(journal) == ["a", "b"]


def test_each_redispatch_begins_a_new_generation_of_the_queue(journal: Repository) -> None:
    assert journal.generation() == 0
    with journal.transaction():
        journal.redispatch()
        assert journal.generation() == 1
    with journal.transaction():
        journal.redispatch()
    assert journal.generation() == 2


def test_tasks_whose_wait_began_in_the_future_wait_from_now_on(journal: Repository) -> None:
    (seq,) = queue(journal, "retry")
    ahead = NOW + 3600
    store_outcomes(
        journal, msgspec.structs.replace(outcome(seq, 0, State.RETRYING, due_at=ahead + 2), finished_at=ahead)
    )
    with journal.transaction():
        later = msgspec.structs.replace(new_task("later", due_at=ahead + 3), received_at=ahead)
        right = msgspec.structs.replace(new_task("right", due_at=ahead + 1), received_at=NOW)
        journal.accept([later, right, new_task("at once")], 1, NOW)
        assert journal.reschedule(NOW) == 2
        assert journal.reschedule(NOW + 1) == 0
    assert claimed(journal, now=NOW + 1.9) == []
    assert claimed(journal, now=NOW + 2) == ["retry"]
    assert claimed(journal, now=NOW + 3) == ["later"]
    assert claimed(journal, now=ahead + 1) == ["right"]


# Settling.


def test_a_result_is_stored(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    assert store_outcomes(journal, outcome(seq, result='[1,"x"]')) == [True]
    task = find(journal, "a")
    assert task is not None
    assert (task.state, task.result, task.failure) == (State.DONE, '[1,"x"]', None)
    assert (task.attempts, task.worker, task.due_at) == (1, "w1", None)


def test_a_failure_is_stored(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    assert store_outcomes(journal, outcome(seq, 0, State.FAILED)) == [True]
    task = find(journal, "a")
    assert task is not None
    assert (task.state, task.result, task.failure) == (State.FAILED, None, FAILURE)
    assert task.times.stored == NOW + 7


def test_a_task_to_be_retried_waits_for_its_time_and_shows_why(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    assert store_outcomes(journal, outcome(seq, 0, State.RETRYING, due_at=NOW + 60)) == [True]
    task = find(journal, "a")
    assert task is not None
    assert (task.state, task.attempts, task.due_at, task.failure) == (State.RETRYING, 1, NOW + 60, FAILURE)
    assert task.times.stored is None
    assert claimed(journal, now=NOW + 59) == []
    assert claimed(journal, now=NOW + 60) == ["a"]


def test_an_outcome_that_comes_twice_counts_once(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    assert store_outcomes(journal, outcome(seq), outcome(seq, result="43")) == [True, False]
    assert store_outcomes(journal, outcome(seq, result="44"), now=NOW + 99) == [False]
    task = find(journal, "a")
    assert task is not None
    assert (task.result, task.attempts, task.times.stored) == ("42", 1, NOW + 7)
    assert totals(journal) == {"done": 1}


@pytest.mark.parametrize("late", [State.DONE, State.FAILED, State.RETRYING])
def test_the_outcome_of_a_former_attempt_does_not_count(journal: Repository, late: State) -> None:
    (seq,) = queue(journal, "a")
    store_outcomes(journal, outcome(seq, 0, State.RETRYING, due_at=NOW + 8))
    assert store_outcomes(journal, outcome(seq, 0, late)) == [False]
    assert state_of(journal, "a") is State.RETRYING
    assert store_outcomes(journal, outcome(seq, 1)) == [True]
    assert store_outcomes(journal, outcome(seq, 2)) == [False]
    assert journal.assignments([seq])[seq].attempts == 2


def test_two_attempts_at_one_task_can_be_settled_in_one_batch(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    assert store_outcomes(journal, outcome(seq, 0, State.RETRYING), outcome(seq, 1), outcome(seq, 1)) == [
        True,
        True,
        False,
    ]
    task = find(journal, "a")
    assert task is not None
    assert (task.state, task.attempts) == (State.DONE, 2)
    assert totals(journal) == {"done": 1}


def test_the_outcome_of_what_is_not_in_the_book_does_not_count(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    assert store_outcomes(journal, outcome(seq + 7), outcome(seq)) == [False, True]
    assert journal.audit().is_consistent


def test_the_outcome_of_a_cancelled_task_does_not_count(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    with journal.transaction():
        journal.cancel("a", NOW + 3)
    assert store_outcomes(journal, outcome(seq)) == [False]
    assert state_of(journal, "a") is State.CANCELLED


def test_the_times_of_a_task_hop_by_hop(journal: Repository) -> None:
    with journal.transaction():
        (result,) = journal.accept([new_task("a", sent_at=NOW - 2)], 1, NOW)
    mark(journal, [result.seq], now=NOW + 2)
    store_outcomes(journal, outcome(result.seq, queued_at=NOW + 1))
    task = find(journal, "a")
    assert task is not None
    assert task.times == Times(
        sent=NOW - 2,
        received=NOW - 1,
        accepted=NOW,
        queued=NOW + 1,
        taken=NOW + 4,
        started=NOW + 5,
        finished=NOW + 6,
        stored=NOW + 7,
    )


def test_the_time_of_queueing_is_the_last_ones(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    store_outcomes(journal, outcome(seq, 0, State.RETRYING, queued_at=NOW))
    store_outcomes(journal, outcome(seq, 1, queued_at=NOW + 30))
    task = find(journal, "a")
    assert task is not None
    assert task.times.queued == NOW + 30


# Transactions.


class BreakDownError(Exception):
    """Raised in the middle of a transaction."""


def test_an_error_inside_a_transaction_stores_nothing(journal: Repository) -> None:
    (seq,) = queue(journal, "a")
    before = find(journal, "a")

    def break_down() -> None:
        with journal.transaction():
            journal.accept([new_task("b")], 1, NOW)
            journal.store_outcomes([outcome(seq)], NOW)
            journal.register(process())
            raise BreakDownError

    with pytest.raises(BreakDownError):
        break_down()
    assert find(journal, "a") == before
    assert find(journal, "b") is None
    assert journal.processes() == []
    enter(journal, "c")
    assert totals(journal) == {"queued": 1, "accepted": 1}
    assert journal.audit().is_consistent


def test_others_see_a_transaction_only_when_it_is_committed(open_repository: OpenRepository) -> None:
    with open_repository() as writer, open_repository() as reader:
        with writer.transaction():
            (result,) = writer.accept([new_task("a")], 1, NOW)
            assert find(reader, "a") is None
            assert reader.assignments([result.seq]) == {}
            assert totals(reader) == {}
        assert state_of(reader, "a") is State.ACCEPTED
        assert totals(reader) == {"accepted": 1}


def test_everything_can_be_committed_at_once(journal: Repository) -> None:
    one, two, three, four = queue(journal, "one", "two", "three", "four")
    add_strikes(journal, four, STRIKE_LIMIT)
    with journal.transaction():
        (result,) = journal.accept([new_task("five")], 1, NOW)
        journal.mark_queued([Dispatch(result.seq, "five", "echo", 0)], NOW)
        assert journal.store_outcomes([outcome(one), outcome(two, 0, State.RETRYING)], NOW) == [True, True]
        assert journal.cancel("three", NOW) is State.CANCELLED
        assert journal.settle_dead_letters([DeadLetter(four, "four", FAILURE)], NOW) == [State.FAILED]
        assert [dispatch.seq for dispatch in journal.claim(1, NOW, 9)] == [two]
        assert journal.store_outcomes([outcome(result.seq), outcome(three)], NOW) == [True, False]
    assert totals(journal) == {"done": 2, "retrying": 1, "cancelled": 1, "failed": 1}
    assert journal.audit().is_consistent
    assert three not in {task.seq for task in journal.ended(["one", "five"])}


def test_four_threads_write_at_once(open_repository: OpenRepository) -> None:
    start = threading.Barrier(4)

    def work(writer: int) -> int:
        counted = 0
        with open_repository() as repository:
            start.wait(10)
            for turn in range(15):
                names = [f"{writer}-{turn}-{number}" for number in range(5)]
                seqs = enter(repository, *names, owner=writer)
                mark(repository, seqs)
                counted += sum(store_outcomes(repository, *[outcome(seq) for seq in seqs]))
        return counted

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(work, range(4))) == 300
    with open_repository() as repository:
        assert totals(repository) == {"done": 300}
        assert repository.audit().is_consistent


TEXTS = [
    "",
    'it\'s "quoted" -- ; DROP TABLE tasks',
    "nul \0 inside",
    "tab\tline\nend\r",
    "😀 ñ 漢字 \u202e",
    "x" * 2**20,
]


@pytest.mark.parametrize("text", TEXTS, ids=["empty", "quotes", "nul", "controls", "unicode", "megabyte"])
def test_texts_of_every_kind_come_back_as_they_were(journal: Repository, text: str) -> None:
    encoded = jsontext.write({"text": text})
    plain = text.replace("\0", "")  # a failure's texts are made without it
    failure = Failure(type="E", message=plain, traceback=plain, signature=plain)
    with journal.transaction():
        done, failed = journal.accept([new_task("done", encoded), new_task("failed", encoded)], 1, NOW)
    store_outcomes(journal, outcome(done.seq, result=encoded), outcome(failed.seq, 0, State.FAILED, failure=failure))
    good, bad = find(journal, "done"), find(journal, "failed")
    assert good is not None
    assert bad is not None
    assert (good.payload, good.result) == (encoded, encoded)
    assert jsontext.parse(encoded.encode()) == {"text": text}
    assert bad.failure == failure
    with journal.transaction():
        (again,) = journal.accept([new_task("done", encoded)], 1, NOW)
    assert not again.conflict


def test_a_closed_journal_says_so_and_can_be_closed_again(open_repository: OpenRepository) -> None:
    repository = open_repository()
    repository.close()
    repository.close()
    with pytest.raises(JournalError):
        find(repository, "a")
