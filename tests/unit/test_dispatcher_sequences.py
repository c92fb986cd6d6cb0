"""Random sequences of a broker's and a disk's troubles: each task is published, and none after it is confirmed."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from core.broker.base import RECONNECT_BACKOFF
from core.dispatcher import CLAIM_INTERVAL, PATIENCE
from core.model import State
from core.repository.sqlite import open_sqlite
from tests.contract.repositories import outcome, store_outcomes, totals
from tests.unit.dispatching import WALL, Server


class Troubles(RuleBasedStateMachine):
    """One server, whose broker and disk have every trouble in turn."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.publisher = server.publisher
        self.submitted = 0

    @rule(count=st.integers(1, 4))
    def submit(self, count: int) -> None:
        """Accept some."""
        self.server.submit(*[f"t{self.submitted + number}" for number in range(count)])
        self.submitted += count

    @rule(
        seconds=st.sampled_from([0.0, 0.01, CLAIM_INTERVAL, 1.0, 2.5, RECONNECT_BACKOFF.longest]), fails=st.booleans()
    )
    def turn(self, seconds: float, fails: bool) -> None:
        """Let the thread go round, later, with a disk that is full or not; nothing confirmed is published again."""
        done = {(reference.id, reference.attempt) for reference in self.publisher.confirmed}
        before = len(self.server.sent)
        self.server.turn(seconds, fails=fails)
        assert not done & set(self.server.sent[before:])
        assert self.server.dispatcher.in_hand <= self.submitted

    @rule(count=st.none() | st.integers(1, 3))
    def confirm(self, count: int | None) -> None:
        """The broker has some, or all."""
        self.publisher.settle(count)

    @rule(count=st.none() | st.integers(1, 3))
    def refuse(self, count: int | None) -> None:
        """The broker refuses some, or all."""
        self.publisher.settle(count, confirmed=False)

    @rule()
    def block(self) -> None:
        """The broker takes nothing, and keeps silent on what it has."""
        if self.publisher.available:
            self.publisher.block()

    @rule()
    def go_away(self) -> None:
        """The connection is lost."""
        self.publisher.go_away()

    @rule()
    def come_back(self) -> None:
        """It is there again."""
        self.publisher.come_back()

    @rule(blocked=st.booleans(), back=st.booleans())
    def outage(self, blocked: bool, back: bool) -> None:
        """The broker is away for longer than the dispatcher's patience, and perhaps back again."""
        if blocked:
            self.block()
        else:
            self.go_away()
        self.turn(0.1, fails=False)
        self.turn(PATIENCE + 0.1, fails=False)
        if back:
            self.publisher.come_back()
            self.turn(CLAIM_INTERVAL, fails=False)

    @rule()
    def retry(self) -> None:
        """What the broker has is tried once and fails, to be tried again."""
        found = self.server.journal.find_all([f"t{number}" for number in range(self.submitted)])
        queued = [task for task in found if task.state is State.QUEUED and task.attempts == 0]
        due = WALL + self.server.now + 1
        store_outcomes(
            self.server.journal,
            *[outcome(task.seq, 0, State.RETRYING, due_at=due, failure=None) for task in queued],
        )

    def teardown(self) -> None:
        """With all troubles over, each task comes to the broker, and the dispatcher's hands are empty."""
        self.publisher.come_back()
        for _ in range(3):
            self.turn(RECONNECT_BACKOFF.longest, fails=False)
            self.publisher.settle()
        self.turn(CLAIM_INTERVAL, fails=False)
        assert totals(self.server.journal) == ({"queued": self.submitted} if self.submitted else {})
        assert self.server.dispatcher.in_hand == 0
        assert not self.server.has_to_write()
        self.server.journal.close()


def test_whatever_happens_each_task_is_published_and_none_once_it_is_confirmed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    class NewTroubles(Troubles):
        """Begins with an empty journal."""

        def __init__(self) -> None:
            path = tmp_path_factory.mktemp("troubles") / "resultados.db"
            super().__init__(Server(open_sqlite(path, durable=False)))

    run_state_machine_as_test(
        NewTroubles,
        settings=settings(
            max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
