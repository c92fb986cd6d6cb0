"""The memory benchmark in small numbers: it measures every process and file."""

from pathlib import Path

import msgspec
import pytest

from tests.benchmarks import memory, starting
from tests.benchmarks.command import run_benchmark
from tests.benchmarks.document import Document
from tests.benchmarks.memory import Memory, MemoryBenchmark


def test_the_command_measures_each_process_and_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "output"
    words = ["--quick", "--connections", "20", "--tasks", "500", "--rows", "1000", "--dir", str(tmp_path / "journals")]
    assert run_benchmark(MemoryBenchmark(), [*words, "--output", str(output)]) == 0
    assert list((tmp_path / "journals").iterdir()) == []
    (markdown,) = output.glob("*.md")
    assert markdown.read_text("utf-8") == capsys.readouterr().out
    (json,) = output.glob("*.json")
    figures = {
        (figure.of, figure.where): figure
        for figure in msgspec.json.decode(json.read_bytes(), type=Document[Memory]).figures
    }
    waiting = {(memory.WAITING, where) for where in ("server", "worker", "journal", "queue file")}
    console = {(memory.ROW, "console")} if starting.has_console() else set()
    assert set(figures) == {(memory.CONNECTION, "server"), *waiting, *console}
    assert all(figure.before > 0 and figure.after > 0 for figure in figures.values())
    for where in ("journal", "queue file"):
        assert figures[memory.WAITING, where].each > 20, where
