"""The benchmark in small numbers: it measures every stage, and loses no task."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.case import Case, Group, Order, Stage
from tests.benchmarks.cauce_case import CauceCase
from tests.benchmarks.ceiling import Ceiling
from tests.benchmarks.embedded_ceiling import QueueCeiling, SqliteCeiling
from tests.benchmarks.report import read_json
from tests.benchmarks.runner import run
from tests.services.rabbitmq import RabbitNode

HALVES = (Stage.WHOLE, Stage.ACCEPT, Stage.WORK)
TOP = Path(__file__).resolve().parents[2]


def test_the_command_measures_and_writes_its_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--cases", "embedded", "--rounds", "1", "--tasks", "200"]
    output = tmp_path / "output"
    ended = subprocess.run(
        [*command, "--dir", str(tmp_path / "journals"), "--output", str(output)],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert list((tmp_path / "journals").iterdir()) == []
    (markdown,) = output.glob("*.md")
    assert markdown.read_text("utf-8").strip() == ended.stdout.strip()
    (json,) = output.glob("*.json")
    report = read_json(json.read_bytes())
    assert report.left_out == []
    assert {row.stage for row in report.rows} == set(Stage)
    assert report.targets
    result = report.rounds[0]["embedded"]
    assert result[Stage.WHOLE].tasks == result[Stage.ACCEPT].tasks == 200
    assert 0 < result[Stage.WORK].tasks <= 200
    assert all(measured.seconds > 0 for measured in result.values())
    assert set(result[Stage.WHOLE].cpu) == {Group.CLIENT, Group.SERVERS, Group.WORKERS, Group.ELSEWHERE}


@pytest.mark.rabbitmq
@pytest.mark.nginx
def test_cases_take_turns_on_rabbitmq_and_nginx(rabbitmq_node: RabbitNode, nginx_program: Path, tmp_path: Path) -> None:
    cases: list[Case] = [
        Ceiling(rabbitmq_node),
        CauceCase("nginx", 1, 1, node=rabbitmq_node, nginx=nginx_program),
    ]
    lines: list[str] = []
    (result,) = run(cases, Order(tasks=300, warm_up=50, halves=False), 1, tmp_path, lines.append)
    assert [line.split(":")[1].strip() for line in lines] == ["pika", "nginx"]
    assert {stage: measured.tasks for stage, measured in result["pika"].items()} == dict.fromkeys(HALVES, 300)
    whole, meanwhile = result["nginx"][Stage.WHOLE], result["nginx"][Stage.MEANWHILE]
    assert len(result["nginx"]) == 2
    assert whole.tasks == meanwhile.tasks == 300
    assert meanwhile.seconds <= whole.seconds
    assert set(whole.cpu) == set(Group)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", [SqliteCeiling(), QueueCeiling()], ids=lambda case: case.name)
def test_the_ceilings_without_rabbitmq_measure_every_stage(case: Case, tmp_path: Path) -> None:
    result = case.run(tmp_path, Order(tasks=450, warm_up=50, halves=True))
    assert {stage: measured.tasks for stage, measured in result.items()} == dict.fromkeys(HALVES, 450)
    assert all(measured.seconds > 0 for measured in result.values())
