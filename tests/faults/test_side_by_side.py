"""Cases that run in parallel have the same results."""

from pathlib import Path

from tests.faults import campaign, catalogue, side_by_side
from tests.faults.values import Profile

SEED = 3


def test_each_case_ends_with_its_own_seed_and_leaves_nothing(tmp_path: Path) -> None:
    cases = catalogue.cases_of(Profile.QUICK, ["cut at every byte", "control: forgets"])
    assert len(cases) == 2
    results = {result.case: result for result in side_by_side.run(cases, Profile.QUICK, SEED, tmp_path, 2)}
    assert {name: result.outcome.broken for name, result in results.items()} == {case.name: () for case in cases}
    assert {name: result.seed for name, result in results.items()} == {
        case.name: campaign.seed_of(case, SEED) for case in cases
    }
    assert list(tmp_path.iterdir()) == []
