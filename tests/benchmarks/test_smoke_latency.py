"""The measuring of latency, with numbers so small that its figures mean nothing: it measures all, and from when."""

import time
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks import latency, starting
from tests.benchmarks.command import conduct
from tests.benchmarks.crowd import Crowd
from tests.benchmarks.document import Document
from tests.benchmarks.latency import Latency, LatencyBenchmark
from tests.benchmarks.setting import Setting, running
from tests.benchmarks.watch import Watch


def test_the_command_measures_tasks_and_writes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "output"
    words = ["--quick", "--no-programs", "--seconds", "0.3", "--dir", str(tmp_path / "journals")]
    assert conduct(LatencyBenchmark(), [*words, "--output", str(output)]) == 0
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


def test_programs_are_started_and_looked_at_while_they_rest(tmp_path: Path) -> None:
    with running(Setting(name="embedded"), tmp_path / "worker") as site:
        assert 0 < starting.worker_start(site) < 60
    loads = starting.at_rest(tmp_path / "rest", 0.3)
    console = {"console"} if starting.has_console() else set()
    assert set(loads) == {"supervisor", "s1", "s2", "w1", "w2"} | console
    assert all(0 <= load.share < 2 for load in loads.values())
    assert sum(load.wakes for load in loads.values()) > 0


def test_a_task_that_could_not_be_sent_in_time_counts_from_when_it_was_due(tmp_path: Path) -> None:
    with running(Setting(name="embedded"), tmp_path) as site, Crowd(site.entrance, 2) as crowd:
        due = time.time() - 1
        offered = crowd.offer([due, due + 0.5])
    assert list(offered.due.values()) == [due, due + 0.5]
    assert all(offered.sent[number] - moment >= 0.5 for number, moment in offered.due.items())
    assert all(offered.accepted[number] > moment for number, moment in offered.sent.items())


def test_a_task_is_seen_to_be_stored_after_it_was_accepted(tmp_path: Path) -> None:
    with (
        running(Setting(name="embedded", workers=2), tmp_path) as site,
        site.workers(),
        Watch(site.journal, workers=2) as watch,
        Crowd(site.entrance, 2) as crowd,
    ):
        offered = crowd.offer([time.time()] * 20)
        watch.wait(20)
        stored = {crowd.number(task_id): moment for task_id, moment in watch.stored().items()}
    assert set(stored) == set(offered.accepted)
    assert all(stored[number] > moment for number, moment in offered.sent.items())
