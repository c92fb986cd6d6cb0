"""The latency benchmark in small numbers: it measures everything, from the right moment."""

import time
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks import latency, starting
from tests.benchmarks.command import run_benchmark
from tests.benchmarks.document import Document
from tests.benchmarks.latency import Latency, LatencyBenchmark
from tests.benchmarks.load_client import LoadClient
from tests.benchmarks.setting import Setting, running
from tests.benchmarks.storage_watcher import StorageWatcher


def test_the_command_measures_tasks_and_writes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "output"
    words = ["--quick", "--no-programs", "--seconds", "0.3", "--dir", str(tmp_path / "journals")]
    assert run_benchmark(LatencyBenchmark(), [*words, "--output", str(output)]) == 0
    assert list((tmp_path / "journals").iterdir()) == []
    (markdown,) = output.glob("*.md")
    assert markdown.read_text("utf-8") == capsys.readouterr().out
    (json,) = output.glob("*.json")
    document = msgspec.json.decode(json.read_bytes(), type=Document[Latency])
    idle = {figure.what: figure.spread for figure in document.figures if not figure.rate}
    loaded = {figure.what: figure.spread for figure in document.figures if figure.rate}
    assert set(idle) == {latency.ACCEPTED, latency.STORED, latency.RESULT}
    assert set(loaded) == {latency.ACCEPTED, latency.STORED, latency.LATE}
    for spreads in (idle, loaded):
        accepted, stored = spreads[latency.ACCEPTED], spreads[latency.STORED]
        assert accepted is not None
        assert stored is not None
        assert 0 < accepted.p50 <= accepted.p99 <= accepted.most
        assert stored.count == accepted.count > 0
        assert stored.most > accepted.p50


def test_programs_are_started_and_measured_at_rest(tmp_path: Path) -> None:
    with running(Setting(name="embedded"), tmp_path / "worker") as system:
        assert 0 < starting.worker_start(system) < 60
    loads = starting.at_rest(tmp_path / "rest", 0.3)
    console = {"console"} if starting.has_console() else set()
    assert set(loads) == {"supervisor", "s1", "s2", "w1", "w2"} | console
    assert all(0 <= load.share < 2 for load in loads.values())
    assert sum(load.wakes for load in loads.values()) > 0


def test_a_task_that_is_sent_late_counts_from_when_it_was_due(tmp_path: Path) -> None:
    with running(Setting(name="embedded"), tmp_path) as system, LoadClient(system.entrance, 2) as load_client:
        due = time.time() - 1
        offered = load_client.send_at([due, due + 0.5])
    assert list(offered.due.values()) == [due, due + 0.5]
    assert all(offered.sent[number] - moment >= 0.5 for number, moment in offered.due.items())
    assert all(offered.accepted[number] > moment for number, moment in offered.sent.items())


def test_a_task_is_seen_to_be_stored_after_it_was_accepted(tmp_path: Path) -> None:
    with (
        running(Setting(name="embedded", workers=2), tmp_path) as system,
        system.workers(),
        StorageWatcher(system.journal, workers=2) as watcher,
        LoadClient(system.entrance, 2) as load_client,
    ):
        offered = load_client.send_at([time.time()] * 20)
        watcher.wait(20)
        stored = {load_client.number(task_id): moment for task_id, moment in watcher.stored().items()}
    assert set(stored) == set(offered.accepted)
    assert all(stored[number] > moment for number, moment in offered.sent.items())
