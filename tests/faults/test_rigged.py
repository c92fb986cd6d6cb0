"""The context in which a case runs against a system that is broken on purpose."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.faults.context import CaseContext
from tests.faults.rigged import RiggedContext, attempted, breaking_workers
from tests.faults.values import Outcome, Profile


@pytest.fixture
def context(tmp_path: Path) -> CaseContext:
    context = CaseContext(tmp_path, Profile.LONG, 1, print)
    context.submissions.close()
    return context


def fails(_: CaseContext) -> NoReturn:
    raise AssertionError("timed out")


def test_its_size_is_that_of_the_quick_profile_without_a_part_of_the_long_one(context: CaseContext) -> None:
    rigged = RiggedContext(context, 0.0)
    rigged.submissions.close()
    assert rigged.size(2, 60) == 2
    assert rigged.size(0, 1) == 0


def test_a_part_is_never_less_than_the_quick_profile(context: CaseContext) -> None:
    rigged = RiggedContext(context, 0.1)
    rigged.submissions.close()
    assert rigged.size(2, 60) == 6
    assert rigged.size(200, 1000) == 200
    assert rigged.size(0, 1) == 1


def test_a_broken_worker_is_patched_wherever_it_is_started_and_no_other_program() -> None:
    module = "tests.faults.broken.despairing_worker"
    before = os.environ.get("PYTHONPATH")
    with breaking_workers(module):
        for program, is_broken in (("core.worker", True), ("core.server", False)):
            command = [sys.executable, "-X", "importtime", "-P", "-m", program, "--version"]
            ended = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
            assert (module in ended.stderr) == is_broken
    assert os.environ.get("PYTHONPATH") == before


def test_a_case_that_breaks_down_has_a_finding(context: CaseContext) -> None:
    (finding,) = attempted(fails, RiggedContext(context, 0.0)).broken
    assert finding.text == "the case broke down: timed out"


def test_a_case_that_holds_keeps_its_outcome(context: CaseContext) -> None:
    assert attempted(lambda _: Outcome(tasks=3), RiggedContext(context, 0.0)) == Outcome(tasks=3)
