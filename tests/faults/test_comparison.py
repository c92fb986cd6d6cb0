"""What a bystander sees of processes, and the comparison of views with it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from core.model import Ledger, Part, Trouble
from core.monitor.snapshot import Presence
from core.repository.base import Repository
from core.repository.journal import Journal
from tests.contract.repositories import process
from tests.faults.bystander import Bystander, Sight, ended_tasks
from tests.faults.comparison import MAX_VIEWS, Comparison
from tests.services.waiting import wait_until
from tests.tui import scene
from tui.view import View


def view(presence: Presence = Presence.ONLINE) -> View:
    """A view of one worker, number 1."""
    whole = scene.view()
    return replace(whole, workers=(scene.worker("w1", 1, presence, 1.0),), servers=())


def texts(*rounds: tuple[Sight, View, Sight]) -> list[str]:
    """Compare views one after the other. Returns the findings."""
    comparison = Comparison()
    for before, shown, after in rounds:
        comparison.compare(before, shown, after)
    return [finding.text for finding in comparison.findings]


DEAD = Sight(dead=frozenset({1}))
WORKS = Sight(running=frozenset({1}), beating=frozenset({1}))


def test_a_dead_process_may_be_shown_as_alive_in_some_views_only() -> None:
    late = [(DEAD, view(), DEAD)] * MAX_VIEWS
    assert texts(*late) == []
    assert texts(*late, (DEAD, view(), DEAD)) == ["w1 (pid 4001) is dead, and shown as online"]
    # A view between them that is right begins the count again.
    assert texts(*late, (DEAD, view(Presence.LOST), DEAD), *late) == []
    assert texts(*[(DEAD, view(Presence.UNKNOWN), DEAD)] * 9) == []
    # It died after the view was built.
    assert texts(*[(WORKS, view(), DEAD)] * 9) == []


def test_a_process_that_works_is_not_shown_otherwise_or_left_out() -> None:
    assert texts(*[(WORKS, view(), WORKS)] * 9) == []
    assert texts(*[(WORKS, view(Presence.LOST), WORKS)] * 9) == ["w1 (pid 4001) works, and is shown as lost"]
    assert texts(*[(WORKS, replace(view(), workers=()), WORKS)] * 9) == ["process 1 works, and is not shown"]


def test_no_process_has_two_rows() -> None:
    [row] = view().workers
    other = replace(row, process=replace(row.process, number=9, pid=99))
    assert texts((Sight(), replace(view(), workers=(row, other)), Sight())) == ["('worker', 'forge', 'w1') has 2 rows"]


def test_what_is_done_does_not_fall() -> None:
    fallen = replace(view(), snapshot=replace(view().snapshot, ledger=Ledger(done=7)))
    assert texts((Sight(), view(), Sight()), (Sight(), fallen, Sight())) == [
        "the tasks that are done fell from 1204311 to 7"
    ]


def test_a_journal_that_can_be_read_is_not_drawn_red() -> None:
    # Nobody is there for whom it works.
    snapshot = replace(view().snapshot, troubles=(Trouble(Part.JOURNAL, "locked"),), processes=())
    locked = replace(view(), snapshot=snapshot, servers=(), workers=())
    unreadable = Sight(readable=False)
    assert texts(*[(Sight(), locked, Sight())] * 9) == ["the journal can be read, and is drawn red"]
    assert texts(*[(unreadable, locked, Sight())] * 9) == []


def test_a_console_that_is_opened_shows_no_dead_process_as_alive() -> None:
    comparison = Comparison()
    comparison.compare_first(DEAD, view(Presence.LOST))
    comparison.compare_first(WORKS, view())
    assert comparison.findings == []
    comparison.compare_first(DEAD, view(Presence.BUSY))
    comparison.compare_after_down(view(Presence.LOST))
    assert [finding.text for finding in comparison.findings] == [
        "w1 (pid 4001) was dead, and a console that was opened then shows it as alive",
        "w1 (pid 4001) is lost after the system was taken down",
    ]


def test_the_list_and_the_ledger_are_those_of_the_journal() -> None:
    shown = replace(view(), snapshot=replace(view().snapshot, ledger=Ledger(done=1, failed=1)))
    ended = {7: "done", 9: "failed"}
    comparison = Comparison()
    comparison.compare_list([9, 7], ended, shown)
    assert comparison.findings == []
    comparison.compare_list([7, 9, 9], ended, shown)
    comparison.compare_list([7], {7: "done"}, shown)
    assert [finding.text for finding in comparison.findings] == [
        "the list has 3 tasks, and the journal 2 that have ended",
        "the ledger shows {'done': 1, 'failed': 1, 'cancelled': 0}, and the journal has {'done': 1}",
    ]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Repository]:
    with Journal("resultados.db", tmp_path).open_heartbeat() as repository:
        yield repository


def test_a_bystander_sees_what_runs_what_beats_and_what_has_ended(journal: Repository, tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    bystander = Bystander(tmp_path / "resultados.db")
    with journal.transaction():
        for pid in (os.getpid(), child.pid):
            journal.register(replace(process(), pid=pid))
    assert bystander.look() == Sight(running=frozenset({1, 2}))
    with journal.transaction():
        journal.record_heartbeat(replace(process(number=1, beat=1), pid=os.getpid()))
    assert bystander.look() == Sight(running=frozenset({1, 2}), beating=frozenset({1}))
    child.kill()
    # A zombie has ended, too.
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "the end of the child")
    assert bystander.look().dead == {2}
    child.communicate()
    assert bystander.look().dead == {2}
    assert ended_tasks(tmp_path / "resultados.db") == {}
    (tmp_path / "elsewhere").mkdir()
    assert not Bystander(tmp_path / "elsewhere" / "resultados.db").look().readable
