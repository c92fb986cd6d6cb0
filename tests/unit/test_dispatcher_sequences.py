"""Random sequences of faults of broker and disk: each task is published, and none after it is confirmed."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from core.broker.base import RECONNECT_BACKOFF
from core.dispatcher import CLAIM_INTERVAL, RELEASE_DELAY
from core.model import State
from core.repository.sqlite import open_sqlite
from tests.contract.repositories import outcome, store_outcomes, totals
from tests.unit.dispatching import WALL, Server


class Faults(RuleBasedStateMachine):
    """One server, whose broker and disk have random faults."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.publisher = server.publisher
        self.submitted = 0

    @rule(count=st.integers(1, 4))
    def submit(self, count: int) -> None:
        """Accept tasks."""
        self.server.submit(*[f"t{self.submitted + number}" for number in range(count)])
        self.submitted += count

    @rule(
        seconds=st.sampled_from([0.0, 0.01, CLAIM_INTERVAL, 1.0, 2.5, RECONNECT_BACKOFF.longest]), fails=st.booleans()
    )
    def run_once(self, seconds: float, fails: bool) -> None:
        """Run the loop once, later, with a full disk or not; nothing confirmed is published again."""
        confirmed = {(reference.id, reference.attempt) for reference in self.publisher.confirmed}
        before = len(self.server.sent)
        self.server.run_once(seconds, fails=fails)
        assert not confirmed & set(self.server.sent[before:])
        assert self.server.dispatcher.owned <= self.submitted

    @rule(count=st.none() | st.integers(1, 3))
    def confirm(self, count: int | None) -> None:
        """Confirm some messages, or all."""
        self.publisher.settle(count)

    @rule(count=st.none() | st.integers(1, 3))
    def refuse(self, count: int | None) -> None:
        """Refuse some messages, or all."""
        self.publisher.settle(count, confirmed=False)

    @rule()
    def block(self) -> None:
        """Block publishing, and confirm nothing."""
        if self.publisher.available:
            self.publisher.block()

    @rule()
    def disconnect(self) -> None:
        """Lose the connection."""
        self.publisher.disconnect()

    @rule()
    def reconnect(self) -> None:
        """Restore the connection."""
        self.publisher.reconnect()

    @rule(blocked=st.booleans(), back=st.booleans())
    def outage(self, blocked: bool, back: bool) -> None:
        """Make the broker unavailable until tasks are released, and perhaps available again."""
        if blocked:
            self.block()
        else:
            self.disconnect()
        self.run_once(0.1, fails=False)
        self.run_once(RELEASE_DELAY + 0.1, fails=False)
        if back:
            self.publisher.reconnect()
            self.run_once(CLAIM_INTERVAL, fails=False)

    @rule()
    def retry(self) -> None:
        """Run queued tasks once and let them fail, to be retried."""
        tasks = self.server.journal.find_all([f"t{number}" for number in range(self.submitted)])
        queued = [task for task in tasks if task.state is State.QUEUED and task.attempts == 0]
        due = WALL + self.server.now + 1
        store_outcomes(
            self.server.journal,
            *[outcome(task.seq, 0, State.RETRYING, due_at=due, failure=None) for task in queued],
        )

    def teardown(self) -> None:
        """Check that after all faults each task is queued, and the dispatcher owns none."""
        self.publisher.reconnect()
        for _ in range(3):
            self.run_once(RECONNECT_BACKOFF.longest, fails=False)
            self.publisher.settle()
        self.run_once(CLAIM_INTERVAL, fails=False)
        assert totals(self.server.journal) == ({"queued": self.submitted} if self.submitted else {})
        assert self.server.dispatcher.owned == 0
        assert not self.server.needs_write()
        self.server.journal.close()


def test_whatever_fails_each_task_is_published_and_none_once_it_is_confirmed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    class NewFaults(Faults):
        """One server with a new journal."""

        def __init__(self) -> None:
            path = tmp_path_factory.mktemp("faults") / "resultados.db"
            super().__init__(Server(open_sqlite(path, durable=False)))

    run_state_machine_as_test(
        NewFaults,
        settings=settings(
            max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
