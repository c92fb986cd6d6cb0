"""Random sequences of beginnings, deaths, operator retries and undos, compared with a plain list of what happened."""

from contextlib import ExitStack
from dataclasses import dataclass, replace

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from core.model import AttemptState, State
from core.repository.archive import BulkAction
from core.repository.base import STRIKE_LIMIT
from core.repository.beginnings import WorkerBeginnings
from core.timeline import attempts_of
from tests.contract.repositories import JOURNALS, NOW, Openers, begin, enter, find, mark, outcome, store_outcomes


@dataclass(frozen=True)
class Begun:
    """An attempt that began."""

    started: float
    state: AttemptState = AttemptState.LOST
    retried: bool = False


class AttemptMachine(RuleBasedStateMachine):
    """Moves one task, and keeps the list of its attempts."""

    def __init__(self, openers: Openers) -> None:
        super().__init__()
        self.journal = openers.repository()
        self.archive = openers.archive()
        self.open_beginnings = openers.beginnings
        self.now = NOW
        [self.seq] = enter(self.journal, "a")
        self.state = State.ACCEPTED
        self.begun: list[Begun] = []
        self.running: WorkerBeginnings | None = None
        self.slot = 0
        self.runs = False
        """Whether the last one of `begun` runs."""
        self.noticed = True
        """Whether the journal must know of all that died."""
        self.delivered = False
        """Whether the present message was delivered."""
        self.outcomes = 0
        self.strikes = 0
        self.operation = 0
        self.began_since = False
        """Whether an attempt has begun since the operation."""
        self.files = ExitStack()

    def tick(self) -> float:
        """Return a later time."""
        self.now += 1
        return self.now

    def note(self, started: float) -> None:
        """Note that an attempt runs."""
        self.begun.append(Begun(started))
        self.runs, self.delivered, self.began_since = True, True, True

    def end(self, state: State, how: AttemptState) -> None:
        """Note that the last attempt has ended."""
        self.begun[-1] = replace(self.begun[-1], state=how)
        self.state, self.runs, self.noticed = state, False, True
        self.outcomes += 1

    @rule()
    @precondition(lambda self: self.state in {State.ACCEPTED, State.RETRYING} and not self.runs)
    def confirm(self) -> None:
        """Publish the next attempt."""
        mark(self.journal, [self.seq], self.outcomes, self.tick())
        self.state, self.delivered = State.QUEUED, False

    @rule(number=st.integers(1, 3))
    @precondition(lambda self: self.state is State.QUEUED and not self.delivered and not self.strikes)
    def begin_first(self, number: int) -> None:
        """Begin as a first delivery: only the worker takes note."""
        started = self.tick()
        self.running = self.files.enter_context(self.open_beginnings(1000 + len(self.begun), f"w{number}"))
        self.slot = self.running.add(self.seq, self.outcomes, started - 1, started - 0.5)
        self.running.slots.begin(self.slot, started, 1.0)
        self.note(started)

    @rule()
    @precondition(lambda self: self.state is State.QUEUED and not self.runs and self.strikes < STRIKE_LIMIT)
    def begin_again(self) -> None:
        """Begin after a redelivery, perhaps of what was only prefetched before."""
        started = self.tick()
        assert begin(self.journal, self.seq, "w9", at=started) == len(self.begun) + 1
        self.strikes += 1
        self.noticed, self.running = True, None
        self.note(started)

    @rule()
    @precondition(lambda self: self.runs)
    def die(self) -> None:
        """Kill the worker."""
        self.runs = self.noticed = False

    @rule(state=st.sampled_from([State.RETRYING, State.FAILED, State.FAILED]))
    @precondition(lambda self: self.runs)
    def finish(self, state: State) -> None:
        """Store an outcome."""
        started = self.begun[-1].started
        ended = msgspec.structs.replace(
            outcome(self.seq, self.outcomes, state), taken_at=started, started_at=started, finished_at=self.tick()
        )
        assert store_outcomes(self.journal, ended, now=self.now) == [True]
        if self.running is not None:
            self.running.remove(self.slot)
        self.end(state, AttemptState.FAILED)
        self.strikes = 0 if state is State.RETRYING else self.strikes

    @rule()
    @precondition(lambda self: self.state is State.QUEUED and not self.runs and self.strikes >= STRIKE_LIMIT)
    def give_up(self) -> None:
        """Fail the task that killed its workers."""
        with self.journal.transaction():
            assert self.journal.give_up(self.seq, self.outcomes, self.tick())
        self.end(State.FAILED, AttemptState.LOST)

    @rule()
    @precondition(lambda self: self.state is State.FAILED)
    def retry(self) -> None:
        """Run it again as an operator."""
        self.operation = self.archive.begin_operation(BulkAction.RETRY, "ana", self.tick())
        assert self.archive.apply(self.operation, BulkAction.RETRY, [self.seq], self.now) == 1
        self.begun[-1] = replace(self.begun[-1], retried=True)
        self.state, self.strikes, self.began_since = State.ACCEPTED, 0, False

    @rule()
    @precondition(lambda self: self.operation and self.state in {State.ACCEPTED, State.QUEUED} and not self.runs)
    def undo(self) -> None:
        """Undo the retry."""
        assert self.archive.undo(self.operation, [self.seq], [], self.tick()) == 1
        if not self.began_since:
            self.begun[-1] = replace(self.begun[-1], retried=False)
        self.state, self.noticed, self.operation = State.FAILED, True, 0

    @rule()
    @precondition(lambda self: self.state is State.QUEUED and not self.runs)
    def lose_the_queue(self) -> None:
        """Publish again what was in the queue. What has begun is a suspect."""
        with self.journal.transaction():
            assert self.journal.redispatch() == 1
        self.state = State.ACCEPTED
        if self.delivered and not self.noticed and not self.strikes:
            self.strikes = 1

    @invariant()
    def every_attempt_is_kept_as_it_happened(self) -> None:
        """Compare what the journal has of the attempts that have ended with the list."""
        if not self.noticed:
            return
        task = find(self.journal, "a")
        assert task is not None
        former = self.journal.former_attempts([self.seq]).get(self.seq, ())
        ended = self.begun[:-1] if self.runs else self.begun
        found = attempts_of(task, former)
        assert [Begun(each.started or 0, each.state, each.retried is not None) for each in found] == ended[-21:]
        assert task.tries == len(ended)
        assert (task.state, task.attempts, task.strikes) == (self.state, self.outcomes, self.strikes)
        assert self.journal.audit().is_consistent

    def teardown(self) -> None:
        """Close the journal."""
        self.files.close()
        self.archive.close()
        self.journal.close()


@pytest.mark.parametrize("kind", sorted(JOURNALS))
def test_any_sequence_of_retries_and_undos_keeps_the_attempts(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ExitStack() as journals:

        class NewAttemptMachine(AttemptMachine):
            """Begins with an empty journal."""

            def __init__(self) -> None:
                super().__init__(journals.enter_context(JOURNALS[kind](tmp_path_factory.mktemp("journal"))))

        run_state_machine_as_test(
            NewAttemptMachine,
            settings=settings(
                max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
