"""Random sequences of all operations that move tasks, compared with a simple model of the rules."""

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from core.model import ENDED, WAITING, Beginning, Dispatch, Outcome, State
from core.repository.base import STRIKE_LIMIT, DeadLetter, OpenRepository
from tests.contract.repositories import FAILURE, JOURNALS, NOW, new_task, outcome

IDS = st.sampled_from([f"t{number}" for number in range(12)])
OWNERS = st.sampled_from([1, 2])
PAYLOADS = st.sampled_from(["1", "1", "1", "2"])
ATTEMPTS = st.sampled_from([0, 0, 0, -1, 1])
UNKNOWN = 99
"""The number of no task."""
LATER = st.sampled_from([None, 0.5, 2.0])
OUTCOMES = st.sampled_from([State.RETRYING] * 4 + [State.DONE, State.FAILED])
"""Mostly retries: a task that has ended does not move any more."""


class AbortedError(Exception):
    """Ends a transaction without a commit."""


@dataclass(frozen=True)
class Entry:
    """A task in the model."""

    seq: int
    payload: str
    state: State = State.ACCEPTED
    owner: int | None = None
    due: float = 0.0
    attempts: int = 0
    strikes: int = 0
    begun: bool = False
    """Whether an attempt has begun after a redelivery and not ended."""
    cancelling: bool = False


class JournalMachine(RuleBasedStateMachine):
    """Applies the same operations to a journal and to a dictionary."""

    def __init__(self, opener: OpenRepository) -> None:
        super().__init__()
        self.journal = opener()
        self.reader = opener()
        self.now = NOW
        self.entries: dict[str, Entry] = {}
        self.committed: dict[str, Entry] = {}
        self.open = ExitStack()
        self.writing = False
        self.begin()

    def begin(self) -> None:
        """Begin a transaction, which lasts until a rule commits or aborts it."""
        self.open.enter_context(self.journal.transaction())
        self.writing = True

    def attempt(self, name: str, offset: int) -> tuple[int, str, str, int]:
        """Return what was published for an attempt at a task: the attempt that it waits for, plus `offset`."""
        entry = self.entries.get(name)
        return (entry.seq, name, "echo", entry.attempts + offset) if entry else (UNKNOWN, name, "echo", 0)

    def of(self, seq: int) -> str:
        """Return the id of the task with a number."""
        return next((name for name, entry in self.entries.items() if entry.seq == seq), "")

    @rule()
    @precondition(lambda self: self.writing)
    def commit(self) -> None:
        """Store everything since the last commit."""
        self.open.close()
        self.writing = False
        self.committed = dict(self.entries)

    @rule()
    @precondition(lambda self: self.writing)
    def abort(self) -> None:
        """Discard everything since the last commit."""
        error = AbortedError()
        with pytest.raises(AbortedError), self.open:
            raise error
        self.writing = False
        self.entries = dict(self.committed)

    def write(self) -> None:
        """Make sure that a transaction is open."""
        if not self.writing:
            self.begin()

    @rule(seconds=st.sampled_from([0.1, 1.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule(batch=st.lists(st.tuples(IDS, PAYLOADS, LATER), max_size=4), owner=st.none() | OWNERS)
    def accept(self, batch: list[tuple[str, str, float | None]], owner: int | None) -> None:
        """Accept tasks, old and new, due now or later."""
        self.write()
        tasks = [
            new_task(name, payload, due_at=None if later is None else self.now + later)
            for name, payload, later in batch
        ]
        accepted = self.journal.accept(tasks, owner, self.now)
        assert [result.id for result in accepted] == [task.id for task in tasks]
        for task, result in zip(tasks, accepted, strict=True):
            known = self.entries.get(task.id)
            assert result.duplicate == (known is not None)
            if known is None:
                assert result.seq not in {entry.seq for entry in self.entries.values()}
                later = task.due_at is not None
                known = Entry(result.seq, task.payload, owner=None if later else owner, due=task.due_at or 0.0)
                self.entries[task.id] = known
            assert (result.seq, result.state) == (known.seq, known.state)
            assert result.conflict == (known.payload != task.payload)

    @rule(owner=OWNERS, limit=st.integers(1, 4))
    def claim(self, owner: int, limit: int) -> None:
        """Claim due tasks, the longest due first."""
        self.write()
        due = sorted(
            (entry.due, entry.seq, name, entry.attempts)
            for name, entry in self.entries.items()
            if entry.state in WAITING and entry.owner is None and entry.due <= self.now
        )[:limit]
        claimed = self.journal.claim(owner, self.now, limit)
        assert claimed == [Dispatch(seq, name, "echo", attempts) for _, seq, name, attempts in due]
        for _, _, name, _ in due:
            self.entries[name] = replace(self.entries[name], owner=owner)

    @rule(marks=st.lists(st.tuples(IDS, ATTEMPTS), max_size=3))
    def mark(self, marks: list[tuple[str, int]]) -> None:
        """Confirm tasks in any state."""
        self.write()
        published = [Dispatch(*self.attempt(name, offset)) for name, offset in marks]
        self.journal.mark_queued(published, self.now)
        for dispatch in published:
            entry = self.entries.get(dispatch.id)
            if entry and entry.state in WAITING and entry.attempts == dispatch.attempt:
                self.entries[dispatch.id] = replace(entry, state=State.QUEUED, owner=None)

    @rule(owner=OWNERS, dead=st.booleans())
    def release(self, owner: int, dead: bool) -> None:
        """Release the tasks of a server, which is alive or dead."""
        self.write()
        gone = {name for name, entry in self.entries.items() if entry.owner == owner}
        released = self.journal.release_orphans({1, 2} - {owner}) if dead else self.journal.release(owner)
        assert released == len(gone)
        for name in gone:
            self.entries[name] = replace(self.entries[name], owner=None)

    @rule(name=IDS)
    def cancel(self, name: str) -> None:
        """Cancel a task."""
        self.write()
        entry = self.entries.get(name)
        expected = entry.state if entry else None
        if entry and entry.state not in ENDED:
            if entry.begun:
                self.entries[name], expected = replace(entry, cancelling=True), State.CANCELLING
            else:
                self.entries[name], expected = replace(entry, state=State.CANCELLED, owner=None), State.CANCELLED
        assert self.journal.cancel(name, self.now) == expected

    @rule(names=st.lists(IDS, max_size=3))
    def settle_dead_letters(self, names: list[str]) -> None:
        """Settle dead letters of known and unknown tasks."""
        self.write()
        expected: list[State | None] = []
        dead_letters: list[DeadLetter] = []
        for name in names:
            entry = self.entries.get(name)
            dead_letters.append(DeadLetter(entry.seq if entry else UNKNOWN, name, FAILURE))
            if entry and entry.state not in ENDED:
                if entry.cancelling:
                    entry = replace(entry, state=State.CANCELLED, owner=None)
                elif entry.strikes >= STRIKE_LIMIT:
                    entry = replace(entry, state=State.FAILED, owner=None, attempts=entry.attempts + 1)
                elif entry.state is State.QUEUED:
                    strikes = max(entry.strikes, 1)
                    entry = replace(entry, state=State.ACCEPTED, owner=None, due=0.0, strikes=strikes)
                self.entries[name] = entry
            expected.append(entry.state if entry else None)
        assert self.journal.settle_dead_letters(dead_letters, self.now) == expected

    @rule()
    def redispatch(self) -> None:
        """Lose the queue of the broker."""
        self.write()
        queued = {name for name, entry in self.entries.items() if entry.state is State.QUEUED}
        assert self.journal.redispatch() == len(queued)
        for name in queued:
            self.entries[name] = replace(self.entries[name], state=State.ACCEPTED, owner=None, due=0.0)

    @rule(name=IDS, times=st.sampled_from([1, STRIKE_LIMIT]))
    def add_strikes(self, name: str, times: int) -> None:
        """Begin a task after a redelivery."""
        self.write()
        entry = self.entries.get(name)
        beginning = Beginning(seq=entry.seq if entry else UNKNOWN, worker="w1", taken_at=self.now, started_at=self.now)
        for _ in range(times):
            self.journal.add_strike(beginning)
        if entry and entry.state not in ENDED:
            self.entries[name] = replace(entry, strikes=entry.strikes + times, begun=True)

    @rule(name=IDS)
    def give_up(self, name: str) -> None:
        """End a task that must not begin again."""
        self.write()
        entry = self.entries.get(name)
        given_up = self.journal.give_up(entry.seq if entry else UNKNOWN, entry.attempts if entry else 0, self.now)
        assert given_up == bool(entry and entry.state not in ENDED)
        if entry and given_up:
            after = State.CANCELLED if entry.cancelling else State.FAILED
            attempts = entry.attempts + (after is State.FAILED)
            self.entries[name] = replace(entry, state=after, owner=None, attempts=attempts)

    @rule(ends=st.lists(st.tuples(IDS, ATTEMPTS, OUTCOMES, LATER), max_size=4), times=st.sampled_from([1, 2]))
    def store_outcomes(self, ends: list[tuple[str, int, State, float | None]], times: int) -> None:
        """Store outcomes, expected and duplicate."""
        self.write()
        outcomes: list[Outcome] = []
        for name, offset, state, later in ends * times:
            seq, _, _, attempt = self.attempt(name, offset)
            due_at = self.now + later if later and state is State.RETRYING else None
            outcomes.append(outcome(seq, attempt, state, due_at=due_at))
        expected: list[bool] = []
        for each in outcomes:
            name = self.of(each.seq)
            entry = self.entries.get(name)
            expected.append(bool(entry and entry.state not in ENDED and entry.attempts == each.attempt))
            if entry and expected[-1]:
                after = State.CANCELLED if entry.cancelling and each.state is not State.DONE else each.state
                self.entries[name] = replace(
                    entry,
                    state=after,
                    owner=None,
                    due=each.due_at or 0.0,
                    attempts=entry.attempts + 1,
                    strikes=entry.strikes if after in ENDED else 0,
                    begun=False,
                )
        assert self.journal.store_outcomes(outcomes, self.now) == expected

    @invariant()
    def others_see_what_is_committed(self) -> None:
        """Check from another connection that ledger, rows and model agree."""
        counted = Counter(entry.state.value for entry in self.committed.values())
        assert {state: number for state, number in self.reader.counts().items() if number} == counted
        audit = self.reader.audit()
        assert audit.is_consistent, audit
        found = self.reader.assignments([entry.seq for entry in self.committed.values()])
        assert {
            task.id: (task.seq, task.payload, task.state, task.attempts, task.strikes, task.cancelling)
            for task in found.values()
        } == {
            name: (entry.seq, entry.payload, entry.state, entry.attempts, entry.strikes, entry.cancelling)
            for name, entry in self.committed.items()
        }
        open_ones = [entry.seq for entry in self.committed.values() if entry.cancelling and entry.state not in ENDED]
        assert self.reader.cancelling() == sorted(open_ones)

    def teardown(self) -> None:
        """Commit what is open, and check once more."""
        if self.writing:
            self.commit()
            self.others_see_what_is_committed()
        self.journal.close()
        self.reader.close()


@pytest.mark.parametrize("kind", sorted(JOURNALS))
def test_any_sequence_of_operations_keeps_journal_and_ledger_consistent(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ExitStack() as journals:

        class NewJournalMachine(JournalMachine):
            """Begins with an empty journal."""

            def __init__(self) -> None:
                openers = journals.enter_context(JOURNALS[kind](tmp_path_factory.mktemp("journal")))
                super().__init__(openers.repository)

        run_state_machine_as_test(
            NewJournalMachine,
            settings=settings(
                max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
