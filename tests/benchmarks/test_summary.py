"""Medians, ratios and tables, of figures that are made up."""

from typing import Any

import pytest

from tests.benchmarks.case import Group, Measured, Order, Stage
from tests.benchmarks.machine import Machine
from tests.benchmarks.report import Report, read_json, table, write_json, write_markdown
from tests.benchmarks.runner import Round
from tests.benchmarks.summary import summarise


def measured(seconds: float, cpu: float = 0.0) -> Measured:
    return Measured(tasks=1000, seconds=seconds, cpu={Group.WORKERS: cpu})


ROUNDS: list[Round] = [
    {"bare": {Stage.WHOLE: measured(1.0)}, "ours": {Stage.WHOLE: measured(1.25, 0.1), Stage.WORK: measured(0.1)}},
    # Something else ran while ours did.
    {"bare": {Stage.WHOLE: measured(0.25)}, "ours": {Stage.WHOLE: measured(1.0, 0.3), Stage.WORK: measured(0.2)}},
    {"bare": {Stage.WHOLE: measured(0.5)}, "ours": {Stage.WHOLE: measured(0.625, 0.2), Stage.WORK: measured(0.4)}},
]


def test_the_rate_is_the_median_and_the_extremes_are_told() -> None:
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


def test_processor_time_is_for_a_task() -> None:
    assert summarise(ROUNDS, "bare")[1].cpu == {Group.WORKERS: pytest.approx(200)}


def test_a_stage_that_a_round_lacks_is_left_out() -> None:
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
        "rounds": ROUNDS,
    }
    return Report(**{**values, **changes})


def test_the_report_says_what_was_measured_and_where() -> None:
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


def test_the_report_comes_back_from_its_json() -> None:
    assert read_json(write_json(report())) == report()
