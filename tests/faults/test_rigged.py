"""The context in which a case runs against a system that is broken on purpose."""

from pathlib import Path
from typing import NoReturn

import pytest

from tests.faults import honest
from tests.faults.context import CaseContext
from tests.faults.rigged import RiggedContext, attempted
from tests.faults.values import Outcome, Profile


@pytest.fixture
def context(tmp_path: Path) -> CaseContext:
    context = CaseContext(tmp_path, Profile.LONG, 1, print)
    context.submissions.close()
    return context


def fails(_: CaseContext) -> NoReturn:
    raise AssertionError("timed out")


def test_its_size_is_that_of_the_quick_profile_without_a_part_of_the_long_one(context: CaseContext) -> None:
    rigged = RiggedContext(context, 0.0, None)
    rigged.submissions.close()
    assert rigged.size(2, 60) == 2
    assert rigged.size(0, 1) == 0


def test_a_part_is_never_less_than_the_quick_profile(context: CaseContext) -> None:
    rigged = RiggedContext(context, 0.1, None)
    rigged.submissions.close()
    assert rigged.size(2, 60) == 6
    assert rigged.size(200, 1000) == 200
    assert rigged.size(0, 1) == 1


def test_workers_load_the_honest_kinds_or_those_that_break_them(context: CaseContext, tmp_path: Path) -> None:
    rigged = RiggedContext(context, 0.0, tmp_path / "other.py")
    rigged.submissions.close()
    assert context.tasks_module == honest.__file__
    assert rigged.tasks_module == str(tmp_path / "other.py")


def test_a_case_that_breaks_down_has_a_finding(context: CaseContext) -> None:
    (finding,) = attempted(fails, RiggedContext(context, 0.0, None)).broken
    assert finding.text == "the case broke down: timed out"


def test_a_case_that_holds_keeps_its_outcome(context: CaseContext) -> None:
    assert attempted(lambda _: Outcome(tasks=3), RiggedContext(context, 0.0, None)) == Outcome(tasks=3)
