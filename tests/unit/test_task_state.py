"""The state of a task, from the journal and the heartbeats; the replies and the lines that show it."""

import msgspec
import pytest
from msgspec.structs import replace

from core.client import display
from core.client.values import TaskStatus
from core.model import Attempt, AttemptState, Failure, OperatorRetry, RunningOn, RunningTask, State, Task, Times
from core.server import reply_members
from core.task_state import TaskState, running_tasks, task_state
from tests.contract.repositories import process

KILLED = Failure(type="WorkerLost", message="each of 2 processes that began the task died", signature="worker-lost")


def task(state: State, attempts: int = 0, *, lost: int = 0, times: Times | None = None) -> Task:
    return Task(
        seq=1,
        id="a",
        kind="echo",
        payload="1",
        state=state,
        attempts=attempts,
        lost=lost,
        strikes=0,
        retries=None,
        due_at=None,
        worker="w1" if attempts else None,
        result="1" if state is State.DONE else None,
        failure=KILLED if state is State.FAILED else None,
        times=times or Times(),
    )


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (task(State.QUEUED), TaskState(State.RUNNING, 1, "w2", RunningOn("w2", 5.0))),
        (task(State.ACCEPTED), TaskState(State.RUNNING, 1, "w2", RunningOn("w2", 5.0))),
        (task(State.QUEUED, 1, lost=2), TaskState(State.RUNNING, 4, "w2", RunningOn("w2", 5.0))),
        # The heartbeat still names an attempt that has ended.
        (task(State.DONE, 1), TaskState(State.DONE, 1, "w1")),
        (task(State.RETRYING, 1, times=Times(started=5.0, finished=6.0)), TaskState(State.RETRYING, 1, "w1")),
        # A strike of the attempt that runs is stored.
        (task(State.QUEUED, lost=1, times=Times(started=5.0)), TaskState(State.RUNNING, 2, "w2", RunningOn("w2", 5.0))),
    ],
)
def test_a_task_that_a_live_worker_names_is_running(stored: Task, expected: TaskState) -> None:
    assert task_state(stored, {"a": RunningOn("w2", 5.0)}) == expected


def test_a_task_that_no_live_worker_names_is_as_it_is_stored() -> None:
    assert task_state(task(State.QUEUED), {"b": RunningOn("w2", 5.0)}) == TaskState(State.QUEUED, 0)


def test_the_worker_that_began_last_counts() -> None:
    first = process("w1", in_hand=(RunningTask("a", "echo", 5.0), RunningTask("b", "echo", 1.0)))
    second = process("w2", in_hand=(RunningTask("a", "echo", 7.0),))
    for alive in ([first, second], [second, first]):
        assert running_tasks(alive) == {"a": RunningOn("w2", 7.0), "b": RunningOn("w1", 1.0)}


LOST = Attempt(number=1, state=AttemptState.LOST, worker="w1", started=1001.5)
ENDED = Times(accepted=999.0, queued=1001.0, started=1002.0, finished=1003.0, stored=1004.0)


def status_of(stored: Task, state: TaskState, *former: Attempt) -> TaskStatus:
    """Return the status that a client has after a server's reply."""
    members = msgspec.json.encode(reply_members.status(stored, state, former, "waiting for a worker"))
    return msgspec.json.decode(members, type=TaskStatus)


def test_a_killer_has_one_count_of_attempts_everywhere() -> None:
    killer = task(State.FAILED, 1, lost=1, times=ENDED)
    status = status_of(killer, task_state(killer, {}), LOST)
    assert (status.attempts, status.strikes, [each.number for each in status.history]) == (2, 2, [1, 2])
    lines = display.status_lines(status, now=0.0)
    assert lines[0] == "a (echo) has failed after 2 attempts"
    assert [line[:16].strip() for line in lines[1:8]] == [
        "accepted",
        "queued",
        "attempt 1",
        "started",
        "finished",
        "stored",
        "attempts",
    ]
    assert lines[-2].startswith("  attempt 1     lost on w1; began ")
    assert lines[-2].endswith("; the worker died, or lost its connection")
    assert lines[-1].startswith("  attempt 2     lost on w1; began ")
    assert lines[-1].endswith("; WorkerLost: each of 2 processes that began the task died")


def test_the_time_after_an_operators_retry_is_counted_from_it() -> None:
    first = Attempt(
        number=1,
        state=AttemptState.FAILED,
        worker="w1",
        started=1000.0,
        finished=1001.0,
        retried=OperatorRetry(1020.0, "ana\x1b"),
    )
    stored = task(State.QUEUED, 1, times=Times(accepted=999.0, queued=1020.5))
    lines = display.status_lines(status_of(stored, task_state(stored, {}), first), now=0.0)
    assert [line.split("+", 1)[-1] for line in lines[1:5]][1:] == ["2.0 s  failed", "19.0 s  by ana\\x1b", "500.0 ms"]


def test_a_running_task_says_in_which_attempt() -> None:
    stored = task(State.QUEUED, 1, times=Times(queued=1.0))
    status = status_of(stored, task_state(stored, {"a": RunningOn("w2", 5.0)}))
    assert (status.state, status.worker, status.note) == (State.RUNNING, "w2", "")
    assert display.status_lines(status, now=15.0)[0] == "a (echo) has been running on w2 for 10.0 s in attempt 2"


def test_an_older_client_reads_the_reply() -> None:
    class OlderStatus(msgspec.Struct, frozen=True):
        id: str
        state: State
        attempts: int
        strikes: int = 0

    killer = replace(task(State.FAILED, 1, lost=1, times=ENDED), worker="w2")
    members = msgspec.json.encode(reply_members.status(killer, task_state(killer, {}), [LOST], ""))
    assert msgspec.json.decode(members, type=OlderStatus) == OlderStatus("a", State.FAILED, 2, 2)
