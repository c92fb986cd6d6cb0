"""The quick profile of the campaign, a test for each case.

It makes the same faults each time; `CAUCE_FAULTS_SEED` makes others, and so does `python -m tests.faults`.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.faults import campaign, catalogue, wording
from tests.faults.case import Case
from tests.faults.values import Profile

SEED = 20261125


def marked(case: Case) -> object:
    marks = [pytest.mark.rabbitmq] if case.rabbitmq else []
    marks += [pytest.mark.nginx] if case.nginx else []
    return pytest.param(case, id=case.name.replace(" ", "-"), marks=marks)


def need(program: str) -> None:
    """Make sure that a program is here, without which a fault can't be made."""
    if shutil.which(program) is not None:
        return
    if sys.platform != "linux" or os.environ.get("CAUCE_SKIP_SERVICES") == "1":
        pytest.skip(f"there is no {program} here")
    pytest.fail(f"these faults need {program}: apt-get install {program}", pytrace=False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", [marked(case) for case in catalogue.cases_of(Profile.QUICK)])
def test_everything_holds_in(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if case.nginx:
        request.getfixturevalue("nginx_program")
    if case.rabbitmq:
        request.getfixturevalue("make_rabbitmq_node")
    for program in case.programs:
        need(program)
    seed = campaign.seed_of(case, int(os.environ.get("CAUCE_FAULTS_SEED", SEED)))
    line = campaign.run_one(case, Profile.QUICK, seed, tmp_path, lambda text: print(text, file=sys.stderr))  # noqa: T201 - pytest shows it when the test fails
    print(wording.describe(line))  # noqa: T201 - pytest shows it when the test fails
    assert line.passed, wording.describe(line)
