"""The growth benchmark in small numbers: each axis is measured and drawn."""

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from tests.benchmarks.axes import AXES, Amount, Point
from tests.benchmarks.case import Stage
from tests.benchmarks.command import run_benchmark
from tests.benchmarks.document import Document
from tests.benchmarks.growth import GrowthBenchmark
from tests.benchmarks.setting import Setting
from tests.services.rabbitmq import RabbitNode


def test_the_command_measures_the_axes_that_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "output"
    words = ["--quick", "--axes", "payload", "journal", "--tasks", "100", "--rows", "0"]
    assert run_benchmark(GrowthBenchmark(), [*words, "--output", str(output), "--dir", str(tmp_path / "journals")]) == 0
    assert list((tmp_path / "journals").iterdir()) == []
    (markdown,) = output.glob("*.md")
    assert markdown.read_text("utf-8") == capsys.readouterr().out
    (json,) = output.glob("*.json")
    document = msgspec.json.decode(json.read_bytes(), type=Document[Point])
    places = [(point.axis, point.at) for point in document.figures]
    assert places == [("payload", 10), ("payload", 10_000), ("journal", 0)]
    assert all(point.rates[Stage.WHOLE][0] > 0 for point in document.figures)
    assert all(set(point.latencies) == {Stage.ACCEPT, Stage.WHOLE} for point in document.figures)
    (picture,) = output.glob("*.svg")
    assert picture.name in markdown.read_text("utf-8")
    assert ElementTree.fromstring(picture.read_text("utf-8")).tag.endswith("svg")  # noqa: S314 - the benchmark wrote it


@pytest.mark.rabbitmq
@pytest.mark.nginx
def test_a_backlog_on_rabbitmq_stays_while_it_is_measured(
    rabbitmq_node: RabbitNode, nginx_program: Path, tmp_path: Path
) -> None:
    setting = Setting(name="nginx", servers=2, workers=2, node=rabbitmq_node, nginx=nginx_program)
    amount = Amount(tasks=150, singles=2, rounds=1)
    points = list(AXES["backlog"].measure(setting, (0, 300), amount, tmp_path))
    assert [point.at for point in points] == [0, 300]
    assert all(set(point.rates) == {Stage.ACCEPT, Stage.WORK} for point in points)
    assert all(rate > 0 for point in points for rates in point.rates.values() for rate in rates)
    assert list(tmp_path.iterdir()) == []
