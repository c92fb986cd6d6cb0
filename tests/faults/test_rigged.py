"""Where a case is held against a system that is broken on purpose."""

from pathlib import Path
from typing import NoReturn

import pytest

from tests.faults import honest
from tests.faults.arena import Arena
from tests.faults.rigged import RiggedArena, attempted
from tests.faults.values import Outcome, Profile


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    made = Arena(tmp_path, Profile.LONG, 1, print)
    made.ledger.close()
    return made


def fails(_: Arena) -> NoReturn:
    raise AssertionError("waited in vain")


def test_it_does_as_much_as_the_quick_profile_unless_a_part_of_the_long_one_is_wanted(arena: Arena) -> None:
    rigged = RiggedArena(arena, 0.0, None)
    rigged.ledger.close()
    assert rigged.size(2, 60) == 2
    assert rigged.size(0, 1) == 0


def test_of_a_part_there_is_never_less_than_of_the_quick_profile(arena: Arena) -> None:
    rigged = RiggedArena(arena, 0.1, None)
    rigged.ledger.close()
    assert rigged.size(2, 60) == 6
    assert rigged.size(200, 1000) == 200
    assert rigged.size(0, 1) == 1


def test_workers_load_the_honest_kinds_or_those_that_break_them(arena: Arena, tmp_path: Path) -> None:
    rigged = RiggedArena(arena, 0.0, tmp_path / "other.py")
    rigged.ledger.close()
    assert arena.tasks_module == honest.__file__
    assert rigged.tasks_module == str(tmp_path / "other.py")


def test_a_case_that_breaks_down_says_so(arena: Arena) -> None:
    (finding,) = attempted(fails, RiggedArena(arena, 0.0, None)).broken
    assert finding.text == "the case broke down: waited in vain"


def test_a_case_that_holds_says_what_it_says(arena: Arena) -> None:
    assert attempted(lambda _: Outcome(tasks=3), RiggedArena(arena, 0.0, None)) == Outcome(tasks=3)
