"""The quick profile of the campaign, with a test for each case.

The faults are the same each time, unless `CAUCE_FAULTS_SEED` is set; `python -m tests.faults` makes others.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.faults import campaign, catalogue, report_text
from tests.faults.case import Case
from tests.faults.values import Profile

SEED = 20261125


def parametrized(case: Case) -> object:
    marks = [pytest.mark.rabbitmq] if case.rabbitmq else []
    marks += [pytest.mark.nginx] if case.nginx else []
    return pytest.param(case, id=case.name.replace(" ", "-"), marks=marks)


def need(program: str) -> None:
    """Skip or fail the test when a program is missing that makes its faults."""
    if shutil.which(program) is not None:
        return
    if sys.platform != "linux" or os.environ.get("CAUCE_SKIP_SERVICES") == "1":
        pytest.skip(f"{program} is not installed")
    pytest.fail(f"these faults need {program}: apt-get install {program}", pytrace=False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", [parametrized(case) for case in catalogue.cases_of(Profile.QUICK)])
def test_everything_holds_in(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if case.nginx:
        request.getfixturevalue("nginx_program")
    if case.rabbitmq:
        request.getfixturevalue("make_rabbitmq_node")
    for program in case.programs:
        need(program)
    seed = campaign.seed_of(case, int(os.environ.get("CAUCE_FAULTS_SEED", SEED)))
    result = campaign.run_one(case, Profile.QUICK, seed, tmp_path, lambda text: print(text, file=sys.stderr))  # noqa: T201 - pytest shows it when the test fails
    print(report_text.describe(result))  # noqa: T201 - pytest shows it when the test fails
    assert result.passed, report_text.describe(result)
