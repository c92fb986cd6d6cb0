"""What a worker writes into the journal beside outcomes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from core.broker.base import Delivery, Reference
from core.repository.base import Repository
from core.repository.opening import Journal
from core.worker.hold import Held
from core.worker.recorder import Recorder
from tests.contract.repositories import end, outcome, queue, settle


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Repository]:
    """The journal, as a test sees it."""
    with Journal("resultados.db", tmp_path).writing()() as repository:
        yield repository


@pytest.fixture
def recorder(tmp_path: Path, journal: Repository) -> Iterator[Recorder]:
    """One that writes into it; its thread has not died in the end."""
    deaths: list[BaseException] = []
    acknowledged: list[Held] = []

    def acknowledge(tasks: Sequence[Held]) -> None:
        acknowledged.extend(tasks)

    recorder = Recorder(Journal("resultados.db", tmp_path).writing(), acknowledge, deaths.append)
    recorder.start()
    yield recorder
    recorder.stop(10)
    assert (deaths, acknowledged) == ([], [])


def taken(journal: Repository, seq: int) -> Held:
    """A task that a worker took just now."""
    assignment = journal.wanted([seq])[seq]
    return Held(assignment, Reference(assignment.id, seq, 0, 1.0), Delivery(b"", 1, None), 1.0, suspect=True)


def test_the_strike_of_a_suspect_is_stored_before_it_begins(journal: Repository, recorder: Recorder) -> None:
    (seq,) = queue(journal, "a")
    held = taken(journal, seq)
    recorder.strike(held)
    assert (held.unwanted, journal.wanted([seq])[seq].strikes) == (False, 1)
    recorder.pardon([seq], 10)
    assert journal.wanted([seq])[seq].strikes == 0


def test_a_suspect_that_has_ended_since_it_was_taken_is_unwanted_and_has_no_strike(
    journal: Repository, recorder: Recorder
) -> None:
    end(journal, "other")
    (seq,) = queue(journal, "a")
    held = taken(journal, seq)
    settle(journal, outcome(seq))
    recorder.strike(held)
    assert (held.unwanted, journal.wanted([seq])[seq].strikes) == (True, 0)
