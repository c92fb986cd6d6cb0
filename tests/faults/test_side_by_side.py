"""Several cases at once come to the same as one after the other."""

from pathlib import Path

from tests.faults import campaign, catalogue, side_by_side
from tests.faults.values import Profile

SEED = 3


def test_each_case_ends_with_its_own_seed_and_leaves_nothing(tmp_path: Path) -> None:
    cases = catalogue.cases_of(Profile.QUICK, ["cut at every byte", "control: forgets"])
    assert len(cases) == 2
    lines = {line.case: line for line in side_by_side.run(cases, Profile.QUICK, SEED, tmp_path, 2)}
    assert {name: line.outcome.broken for name, line in lines.items()} == {case.name: () for case in cases}
    assert {name: line.seed for name, line in lines.items()} == {
        case.name: campaign.seed_of(case, SEED) for case in cases
    }
    assert list(tmp_path.iterdir()) == []
