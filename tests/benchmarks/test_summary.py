"""Medians, ratios and tables of made-up measurements."""

from typing import Any

import pytest

from tests.benchmarks.case import Group, Measured, Order, Stage
from tests.benchmarks.catalogue import CASES
from tests.benchmarks.machine import Machine
from tests.benchmarks.peers.kinds import KINDS
from tests.benchmarks.report import Report, read_json, table, write_json, write_markdown
from tests.benchmarks.runner import Round
from tests.benchmarks.summary import summarise
from tests.benchmarks.targets import PEERS as PEERS_OF_TARGETS
from tests.benchmarks.targets import TARGETS, Target, judge


def measured(seconds: float, cpu: float = 0.0) -> Measured:
    return Measured(tasks=1000, seconds=seconds, cpu={Group.WORKERS: cpu})


ROUNDS: list[Round] = [
    {"bare": {Stage.WHOLE: measured(1.0)}, "ours": {Stage.WHOLE: measured(1.25, 0.1), Stage.WORK: measured(0.1)}},
    # Another process ran during this case.
    {"bare": {Stage.WHOLE: measured(0.25)}, "ours": {Stage.WHOLE: measured(1.0, 0.3), Stage.WORK: measured(0.2)}},
    {"bare": {Stage.WHOLE: measured(0.5)}, "ours": {Stage.WHOLE: measured(0.625, 0.2), Stage.WORK: measured(0.4)}},
]


def test_the_rate_is_the_median_and_the_extremes_are_kept() -> None:
    whole = summarise(ROUNDS, "bare")[1]
    assert (whole.case, whole.stage) == ("ours", Stage.WHOLE)
    assert (whole.rate, whole.lowest, whole.highest) == (1000, 800, 1600)


def test_rounds_are_compared_one_by_one() -> None:
    bare, whole, work = summarise(ROUNDS, "bare")
    assert bare.ratio == 1
    assert whole.ratio == pytest.approx(0.8)
    assert whole.rate / bare.rate == pytest.approx(0.5)
    assert work.ratio is None


def test_without_the_baseline_nothing_is_compared() -> None:
    assert [row.ratio for row in summarise(ROUNDS, "missing")] == [None, None, None]


PEERS: list[Round] = [
    {
        "slow": {Stage.ACCEPT: measured(4.0), Stage.WORK: measured(1.0)},
        "quick": {Stage.ACCEPT: measured(2.0), Stage.WORK: measured(seconds)},
        "ours": {Stage.MEANWHILE: measured(0.5), Stage.WORK: measured(0.5)},
    }
    for seconds in (1.0, 4.0, 2.0)
]


def test_some_cases_have_their_own_ceiling() -> None:
    rows = summarise(PEERS, "slow", (), {"quick": "ours", "ours": "ours"})
    work = {row.case: (row.ceiling, row.ratio) for row in rows if row.stage is Stage.WORK}
    assert work == {"slow": ("slow", 1), "quick": ("ours", 0.25), "ours": ("ours", 1)}


def test_each_stage_is_compared_with_the_peer_that_is_fastest_in_it() -> None:
    rows = {(row.case, row.stage): row for row in summarise(PEERS, "missing", ("slow", "quick", "absent"))}
    assert rows["ours", Stage.WORK].fastest_peer == "slow"
    assert rows["ours", Stage.WORK].over_peers == pytest.approx(2)
    assert rows["slow", Stage.ACCEPT].fastest_peer == "quick"
    assert rows["slow", Stage.ACCEPT].over_peers == pytest.approx(0.5)
    assert rows["slow", Stage.ACCEPT].ratio is None


def test_accepting_meanwhile_is_compared_with_accepting_alone() -> None:
    (row,) = [row for row in summarise(PEERS, "slow", ("quick",)) if row.stage is Stage.MEANWHILE]
    assert row.ratio == pytest.approx(8)
    assert row.over_peers == pytest.approx(4)


def test_without_peers_nothing_is_compared_with_them() -> None:
    assert {(row.fastest_peer, row.over_peers) for row in summarise(PEERS, "slow")} == {(None, None)}


def test_a_target_is_judged_by_the_fastest_of_the_others() -> None:
    target = Target("quick enough", ("ours", Stage.MEANWHILE), ("slow", "quick"), Stage.ACCEPT, 5)
    (attained,) = judge(PEERS, [target])
    assert attained.against == ("quick", Stage.ACCEPT)
    assert attained.ratio == pytest.approx(4)


def test_a_target_of_which_a_side_is_missing_has_no_ratio() -> None:
    others = Target("quick enough", ("ours", Stage.WORK), ("absent",), Stage.WORK, 5)
    ours = Target("quick enough", ("absent", Stage.WORK), ("quick",), Stage.WORK, 5)
    assert [(result.against, result.ratio) for result in judge(PEERS, [others, ours])] == [
        (None, None),
        (("quick", Stage.WORK), None),
    ]


def test_the_targets_name_existing_cases() -> None:
    named = {target.place[0] for target in TARGETS} | {case for target in TARGETS for case in target.others}
    assert named <= set(CASES)
    assert set(PEERS_OF_TARGETS) == {kind.name for kind in KINDS}


def test_processor_time_is_per_task() -> None:
    assert summarise(ROUNDS, "bare")[1].cpu == {Group.WORKERS: pytest.approx(200)}


def test_a_stage_that_a_round_lacks_is_skipped() -> None:
    rounds: list[Round] = [*ROUNDS, {"bare": {Stage.WHOLE: measured(1)}, "ours": {Stage.WHOLE: measured(1)}}]
    assert [(row.case, row.stage) for row in summarise(rounds, "bare")] == [
        ("bare", Stage.WHOLE),
        ("ours", Stage.WHOLE),
    ]


def test_nothing_measured_is_no_row() -> None:
    assert summarise([], "bare") == []


def test_a_table_is_aligned() -> None:
    assert table(["", "rate"], [["bare", "1"], ["a", "1,000"]]).splitlines() == [
        "|      |  rate |",
        "| ---- | ----: |",
        "| bare |     1 |",
        "| a    | 1,000 |",
    ]


def report(**changes: Any) -> Report:
    machine = Machine(
        system="Linux", processor="fast", cores=2, memory_gib=4, file_system="ext4", load=0.5, versions={"pika": "1"}
    )
    values: dict[str, Any] = {
        "date": "2026-01-01 00:00 UTC",
        "command": "python -m tests.benchmarks",
        "seconds": 12.0,
        "machine": machine,
        "order": Order(tasks=1000, warm_up=10, halves=True),
        "cases": {"bare": "nothing", "ours": "everything"},
        "left_out": ["other: it is missing"],
        "baseline": "bare",
        "rows": summarise(ROUNDS, "bare"),
        "targets": [],
        "rounds": ROUNDS,
    }
    return Report(**{**values, **changes})


def test_the_report_has_the_measurements_and_the_machine() -> None:
    text = write_markdown(report())
    for words in (
        "2026-01-01",
        "`python -m tests.benchmarks`",
        "2 × fast",
        "pika 1",
        "- Left out: other: it is missing.",
    ):
        assert words in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "| bare | 2,000 (1,000 to 4,000) | |" in lines
    assert "| ours | 1,000 (800 to 1,600) 0.80 × | 5,000 (2,500 to 10,000) |" in lines
    assert "| submit → stored | ours | 200 | 200 |" in lines


def test_the_report_shows_the_peers_and_the_targets() -> None:
    target = Target("quick enough", ("ours", Stage.MEANWHILE), ("slow", "quick"), Stage.ACCEPT, 5)
    text = write_markdown(report(**with_peers(), targets=judge(PEERS, [target])))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "| ours | | 2.00 × slow | 4.00 × quick |" in lines
    assert "| quick enough | ours: accepted meanwhile | quick: submit → accepted | 5 × | 4.00 × | missed |" in lines
    assert "*accepted meanwhile*" in text


def test_the_report_names_a_ceiling_that_is_not_the_baseline() -> None:
    rows = summarise(ROUNDS, "other", (), {"ours": "bare", "bare": "bare"})
    lines = [" ".join(line.split()) for line in write_markdown(report(baseline="other", rows=rows)).splitlines()]
    assert "| bare | 2,000 (1,000 to 4,000) | |" in lines
    assert "| ours | 1,000 (800 to 1,600) 0.80 × bare | 5,000 (2,500 to 10,000) |" in lines


def test_the_report_omits_peers_that_were_not_measured() -> None:
    text = write_markdown(report())
    assert "peer" not in text
    assert "Targets" not in text


def with_peers() -> dict[str, Any]:
    cases = {"slow": "a peer", "quick": "another", "ours": "ours"}
    return {"cases": cases, "rows": summarise(PEERS, "bare", ("slow", "quick")), "rounds": PEERS}


@pytest.mark.parametrize("changes", [{}, {**with_peers(), "targets": judge(PEERS)}])
def test_the_report_comes_back_from_its_json(changes: dict[str, Any]) -> None:
    assert read_json(write_json(report(**changes))) == report(**changes)
