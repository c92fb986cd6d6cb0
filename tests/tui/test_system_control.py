"""The control of a system, over a real journal, a real server and a real supervisor's directory."""

import contextlib
import csv
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.client import NewSubmission
from core.client.load_command import LoadOptions
from core.config import Settings
from core.errors import ConfigurationError, JournalError, RequestRefused, ServerUnavailable, SupervisorError
from core.model import Failure, State
from core.repository.archive import BulkAction
from core.repository.journal import Journal
from core.repository.search import Search, SortOrder, parse
from core.supervisor.home import Home
from tests.contract.repositories import mark, outcome, state_of, store_outcomes, totals
from tests.services.ports import free_port
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until
from tests.tui.journals import JournalWriter
from tui import system_control
from tui.exporting import PROGRESS_TASKS, Exported, escape_formula
from tui.system_control import BulkProgress, LocalSystemControl

EVERYTHING = Search()
NEWEST = SortOrder()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalWriter]:
    """A journal."""
    made = JournalWriter(tmp_path)
    yield made
    made.close()


@pytest.fixture
def control(tmp_path: Path) -> Iterator[LocalSystemControl]:
    """The control of the journal's system."""
    made = control_of(tmp_path)
    yield made
    made.close()


def control_of(directory: Path, servers: tuple[str, ...] = ()) -> LocalSystemControl:
    """Return the control of the system in a directory."""
    return LocalSystemControl(Settings({}), {}, Journal("resultados.db", directory), Home(directory), None, servers)


def not_cancelled() -> threading.Event:
    """Return an event that is never set."""
    return threading.Event()


class Steps:
    """Records the progress, and makes a call at every step."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.totals: list[int] = []
        self.reported: list[int] = []
        self._then = then

    def __call__(self, total: int) -> Callable[[int], None]:
        """Record the number of tasks. Returns what records the steps."""
        self.totals.append(total)
        return self.step

    def step(self, number: int) -> None:
        """Record a step."""
        self.reported.append(number)
        self._then()


# Failed tasks.


def undone(control: LocalSystemControl, operation: int, *running: str) -> int:
    """Undo an operation. Returns the number of tasks."""
    progress = control.undo(operation, lambda: running, Steps(), not_cancelled())
    assert progress.is_complete
    return progress.moved


def test_only_failed_tasks_are_retried(journal: JournalWriter, control: LocalSystemControl) -> None:
    failed = journal.fail("a", "b")
    done = journal.end("c")
    settled = control.apply(BulkAction.RETRY, [*failed, *done, 999], Steps(), not_cancelled())
    assert (settled.action, settled.progress.moved) == (BulkAction.RETRY, 2)
    assert totals(journal.repository) == {"accepted": 2, "done": 1}


@pytest.mark.parametrize("action", list(BulkAction))
def test_a_bulk_action_can_be_undone_once(
    journal: JournalWriter, control: LocalSystemControl, action: BulkAction
) -> None:
    settled = control.apply(action, journal.fail("a", "b"), Steps(), not_cancelled())
    assert undone(control, settled.operation) == 2
    assert totals(journal.repository) == {"failed": 2}
    assert undone(control, settled.operation) == 0
    assert journal.repository.audit().is_consistent


def test_tasks_that_run_or_have_ended_are_not_undone(journal: JournalWriter, control: LocalSystemControl) -> None:
    seqs = journal.fail("runs", "ended", "waits")
    settled = control.apply(BulkAction.RETRY, seqs, Steps(), not_cancelled())
    mark(journal.repository, seqs, attempt=1)
    store_outcomes(journal.repository, outcome(seqs[1], 1))
    assert undone(control, settled.operation, "runs") == 1
    assert [state_of(journal.repository, name) for name in ("runs", "ended", "waits")] == [
        State.QUEUED,
        State.DONE,
        State.FAILED,
    ]


def test_an_undo_tells_that_every_task_has_ended_since(journal: JournalWriter, control: LocalSystemControl) -> None:
    seqs = journal.fail("a", "b")
    settled = control.apply(BulkAction.RETRY, seqs, Steps(), not_cancelled())
    mark(journal.repository, seqs, attempt=1)
    store_outcomes(journal.repository, *[outcome(seq, 1) for seq in seqs])
    assert control.undo(settled.operation, tuple, Steps(), not_cancelled()) == BulkProgress(0, 2)


def test_many_tasks_are_moved_in_batches_with_progress(journal: JournalWriter, control: LocalSystemControl) -> None:
    seqs = journal.fail(*(f"t{number}" for number in range(2 * system_control.BATCH_SIZE + 7)))
    steps = Steps()
    settled = control.apply(BulkAction.DISCARD, seqs, steps, not_cancelled())
    assert settled.progress.moved == len(seqs)
    assert steps.reported == [system_control.BATCH_SIZE, 2 * system_control.BATCH_SIZE, len(seqs)]
    assert undone(control, settled.operation) == len(seqs)


def test_one_that_is_cancelled_tells_what_it_has_moved_which_can_be_undone(
    journal: JournalWriter, control: LocalSystemControl
) -> None:
    seqs = journal.fail(*(f"t{number}" for number in range(2 * system_control.BATCH_SIZE)))
    cancelled = threading.Event()
    settled = control.apply(BulkAction.DISCARD, seqs, Steps(cancelled.set), cancelled)
    assert settled.progress.moved == system_control.BATCH_SIZE
    assert totals(journal.repository) == {"cancelled": system_control.BATCH_SIZE, "failed": system_control.BATCH_SIZE}
    assert undone(control, settled.operation) == system_control.BATCH_SIZE


def test_the_rest_of_a_cancelled_undo_can_be_undone_later(journal: JournalWriter, control: LocalSystemControl) -> None:
    count = 2 * system_control.BATCH_SIZE + 7
    settled = control.apply(
        BulkAction.RETRY, journal.fail(*(f"t{number}" for number in range(count))), Steps(), not_cancelled()
    )
    cancelled = threading.Event()
    progress = control.undo(settled.operation, tuple, Steps(cancelled.set), cancelled)
    assert progress == BulkProgress(system_control.BATCH_SIZE, count, cancelled=True)
    assert totals(journal.repository) == {
        "accepted": system_control.BATCH_SIZE + 7,
        "failed": system_control.BATCH_SIZE,
    }
    with journal.archive() as archive:
        assert archive.operations(1)[0].undone_at is None
        assert undone(control, settled.operation) == system_control.BATCH_SIZE + 7
        assert archive.operations(1)[0].undone_at is not None
    assert totals(journal.repository) == {"failed": count}
    assert journal.repository.audit().is_consistent


def test_a_task_that_starts_during_an_undo_is_not_undone(journal: JournalWriter, control: LocalSystemControl) -> None:
    count = 2 * system_control.BATCH_SIZE
    seqs = journal.fail(*(f"t{number}" for number in range(count)))
    settled = control.apply(BulkAction.RETRY, seqs, Steps(), not_cancelled())
    running: list[str] = []
    progress = control.undo(
        settled.operation, lambda: running, Steps(lambda: running.append(f"t{count - 1}")), not_cancelled()
    )
    assert (progress.moved, progress.is_complete) == (count - 1, True)
    assert state_of(journal.repository, f"t{count - 1}") is State.ACCEPTED


def test_a_bulk_action_that_fails_reports_its_progress(journal: JournalWriter, control: LocalSystemControl) -> None:
    seqs = journal.fail(*(f"t{number}" for number in range(2 * system_control.BATCH_SIZE)))
    # The archive waits two seconds for another writer.
    with contextlib.ExitStack() as held:
        steps = Steps(lambda: held.enter_context(journal.repository.transaction()))
        settled = control.apply(BulkAction.RETRY, seqs, steps, not_cancelled())
    assert (settled.progress.moved, settled.progress.total) == (system_control.BATCH_SIZE, len(seqs))
    assert "can't be used now" in settled.progress.trouble
    assert undone(control, settled.operation) == system_control.BATCH_SIZE


def test_no_task_is_moved_when_none_is_given(journal: JournalWriter, control: LocalSystemControl) -> None:
    journal.fail("a")
    assert control.apply(BulkAction.RETRY, [], Steps(), not_cancelled()).progress.moved == 0
    assert totals(journal.repository) == {"failed": 1}


def test_without_a_journal_there_is_no_bulk_action_and_no_journal_is_created(
    tmp_path: Path, control: LocalSystemControl
) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        control.apply(BulkAction.RETRY, [1], Steps(), not_cancelled())
    with pytest.raises(JournalError, match="there is no journal"):
        undone(control, 1)
    assert list(tmp_path.iterdir()) == []


# Export.


def exported(control: LocalSystemControl, path: Path, text: str = "") -> int:
    """Export the tasks of a search. Returns their number."""
    return control.export(parse(text, time.time()), NEWEST, path, Steps(), not_cancelled()).written


def test_json_lines_contain_everything_of_each_task(
    journal: JournalWriter, control: LocalSystemControl, tmp_path: Path
) -> None:
    journal.end("a", ago=60, payload='{"ñ": [1, 2.5, null], "line": "one\\ntwo"}')
    journal.fail("b")
    file = tmp_path / "out.jsonl"
    assert exported(control, file) == 2
    failed, done = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert (failed["id"], failed["state"], failed["result"], failed["failure"]["message"]) == (
        *("b", "failed"),
        *(None, "broken"),
    )
    assert (done["payload"], done["result"], done["failure"]) == (
        {"ñ": [1, 2.5, None], "line": "one\ntwo"},
        *(42, None),
    )
    assert done["times"]["stored"] > 0


def test_only_matching_tasks_are_written_and_in_order(
    journal: JournalWriter, control: LocalSystemControl, tmp_path: Path
) -> None:
    journal.end("good")
    journal.fail("bad-1", ago=60)
    journal.fail("bad-2", ago=30)
    file = tmp_path / "out.jsonl"
    assert exported(control, file, "state:failed") == 2
    assert [json.loads(line)["id"] for line in file.read_text("utf-8").splitlines()] == ["bad-2", "bad-1"]
    assert exported(control, tmp_path / "none.jsonl", "id:nothing") == 0
    assert (tmp_path / "none.jsonl").read_bytes() == b""


def test_csv_has_a_heading_and_a_row_for_each(
    journal: JournalWriter, control: LocalSystemControl, tmp_path: Path
) -> None:
    [seq] = journal.end("a", payload='"one, \\"two\\""')
    file = tmp_path / "OUT.CSV"
    assert exported(control, file) == 1
    with file.open(encoding="utf-8", newline="") as stream:
        [row] = csv.DictReader(stream)
    assert (row["number"], row["id"], row["state"], row["payload"]) == (str(seq), "a", "done", '"one, \\"two\\""')
    assert (row["result"], row["error"], row["worker"]) == ("42", "", "w1")
    assert float(row["ended"]) > 0


DANGEROUS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(1)"]


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_cell_is_a_formula(text: str) -> None:
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1.5", "+2", "-1e5", "", "a=1", '"=1+1"', '{"a": 1}', "1", "ñ"])
def test_numbers_and_texts_are_not_changed(text: str) -> None:
    assert escape_formula(text) == text


@pytest.mark.parametrize("text", DANGEROUS)
def test_no_failure_becomes_a_formula(
    journal: JournalWriter, control: LocalSystemControl, tmp_path: Path, text: str
) -> None:
    journal.fail("a", failure=Failure(type=text, message=text))
    file = tmp_path / "out.csv"
    exported(control, file)
    with file.open(encoding="utf-8", newline="") as stream:
        [row] = csv.DictReader(stream)
    assert row["error"] == f"'{text}: {text}"


def test_hostile_texts_can_be_read_back(journal: JournalWriter, control: LocalSystemControl, tmp_path: Path) -> None:
    text = 'a\x00b\x1b[2J\r\n",;\u202e☕'
    journal.fail("a", failure=Failure(type="Boom", message=text, traceback=text))
    journal.end("b", payload='"\\u0000\\u001b[2J"')
    exported(control, tmp_path / "out.jsonl")
    exported(control, tmp_path / "out.csv")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert {each["id"]: (each["failure"] or {}).get("message") for each in found} == {"a": text, "b": None}
    assert {each["id"]: each["payload"] for each in found}["b"] == "\x00\x1b[2J"
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["id"]: row["error"] for row in csv.DictReader(stream)} == {"a": f"Boom: {text}", "b": ""}


def test_an_existing_file_is_not_overwritten(
    journal: JournalWriter, control: LocalSystemControl, tmp_path: Path
) -> None:
    journal.end("a")
    file = tmp_path / "out.jsonl"
    file.write_text("precious")
    with pytest.raises(ConfigurationError, match="exists already: choose another name"):
        exported(control, file)
    assert file.read_text() == "precious"


@pytest.mark.parametrize("name", ["missing/out.csv", ".", "x" * 300])
def test_a_file_that_cannot_be_written_is_refused(
    journal: JournalWriter, control: LocalSystemControl, tmp_path: Path, name: str
) -> None:
    journal.end("a")
    with pytest.raises(ConfigurationError):
        exported(control, tmp_path / name)


def test_a_cancelled_export_leaves_no_file(journal: JournalWriter, control: LocalSystemControl, tmp_path: Path) -> None:
    journal.end(*(f"t{number}" for number in range(2 * PROGRESS_TASKS)))
    file = tmp_path / "out.jsonl"
    cancelled = threading.Event()
    steps = Steps(cancelled.set)
    exported = control.export(EVERYTHING, NEWEST, file, steps, cancelled)
    assert exported == Exported(PROGRESS_TASKS, 2 * PROGRESS_TASKS, cancelled=True)
    assert list(tmp_path.glob("out*")) == []
    assert steps.reported[0] == PROGRESS_TASKS


def test_a_failed_export_leaves_no_file(journal: JournalWriter, control: LocalSystemControl, tmp_path: Path) -> None:
    journal.end(*(f"t{number}" for number in range(PROGRESS_TASKS)))
    file = tmp_path / "out.csv"

    def fail() -> None:
        raise JournalError("the disk is gone")

    with pytest.raises(JournalError, match="the disk is gone"):
        control.export(EVERYTHING, NEWEST, file, Steps(fail), not_cancelled())
    assert list(tmp_path.glob("out*")) == []


def test_a_file_has_its_name_only_when_it_is_complete(
    journal: JournalWriter, control: LocalSystemControl, tmp_path: Path
) -> None:
    journal.end(*(f"t{number}" for number in range(PROGRESS_TASKS)))
    file = tmp_path / "out.jsonl"
    seen: list[bool] = []
    control.export(EVERYTHING, NEWEST, file, Steps(lambda: seen.append(file.exists())), not_cancelled())
    assert seen == [False, False]
    assert list(tmp_path.glob("out*")) == [file]


def test_a_file_created_during_the_export_is_not_overwritten(
    journal: JournalWriter, control: LocalSystemControl, tmp_path: Path
) -> None:
    journal.end("a")
    file = tmp_path / "out.jsonl"
    with pytest.raises(ConfigurationError, match="exists already: choose another name"):
        control.export(EVERYTHING, NEWEST, file, Steps(lambda: file.write_text("precious")), not_cancelled())
    assert file.read_text() == "precious"
    assert list(tmp_path.glob("out*")) == [file]


def test_an_export_reports_its_progress(journal: JournalWriter, control: LocalSystemControl, tmp_path: Path) -> None:
    count = 2 * PROGRESS_TASKS + 3
    journal.end(*(f"t{number}" for number in range(count)))
    steps = Steps()
    assert control.export(EVERYTHING, NEWEST, tmp_path / "out.csv", steps, not_cancelled()) == Exported(count, count)
    assert (steps.totals, steps.reported) == ([count], [PROGRESS_TASKS, 2 * PROGRESS_TASKS, count])


def test_without_a_journal_nothing_is_written(control: LocalSystemControl, tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        exported(control, tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


# Processes.


def test_without_a_supervisor_nothing_can_be_operated(control: LocalSystemControl) -> None:
    with pytest.raises(SupervisorError, match="no supervisor runs"):
        control.operate("stop", ["w1"])
    with pytest.raises(SupervisorError, match="no supervisor runs"):
        control.scale(1, 1)


# Tasks, over a real server.


@pytest.fixture(scope="module", name="system")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """A server and a worker for all tests here."""
    with LocalSystem(tmp_path_factory.mktemp("system")) as running:
        yield running


@pytest.fixture
def submitter(system: LocalSystem) -> Iterator[LocalSystemControl]:
    """The control of that system."""
    made = control_of(system.directory)
    yield made
    made.close()


def listen(system: LocalSystem) -> str:
    """Return its address."""
    return str(system.addresses[0])


def test_a_task_is_submitted_and_done(system: LocalSystem, submitter: LocalSystemControl) -> None:
    submitted = submitter.submit(NewSubmission("echo", {"ñ": 1}, "mine-1", 0.0, 2), listen(system))
    assert (submitted.id, submitted.duplicate) == ("mine-1", False)
    assert 0 < submitted.seconds < system_control.REPLY_TIMEOUT

    def is_done() -> bool:
        task = system.task("mine-1")
        return task is not None and task.state is State.DONE

    wait_until(is_done, "the task to be done")
    again = submitter.submit(NewSubmission("echo", {"ñ": 1}, "mine-1", 0.0, 2), listen(system))
    assert (again.duplicate, again.state) == (True, State.DONE)


def test_a_refused_task_raises(system: LocalSystem, submitter: LocalSystemControl) -> None:
    submitter.submit(NewSubmission("echo", 1, "mine-2"), listen(system))
    with pytest.raises(RequestRefused):
        submitter.submit(NewSubmission("echo", 2, "mine-2"), listen(system))


def test_many_tasks_are_submitted_and_refusals_are_counted(system: LocalSystem, submitter: LocalSystemControl) -> None:
    tasks = [NewSubmission("echo", number, f"many-{number}") for number in range(500)]
    tasks.insert(250, NewSubmission("echo", "another", "many-0"))
    steps = Steps()
    tally = submitter.submit_many(iter(tasks), listen(system), steps.step, not_cancelled())
    assert (tally.accepted, tally.refused) == (500, 1)
    assert tally.first_refusal.startswith("many-0: ")
    assert steps.reported == list(range(1, 502))


def test_a_cancelled_submission_keeps_the_accepted_tasks(system: LocalSystem, submitter: LocalSystemControl) -> None:
    cancelled = threading.Event()

    def endless() -> Iterator[NewSubmission]:
        number = 0
        while True:
            number += 1
            yield NewSubmission("echo", number, f"endless-{number}")

    tally = submitter.submit_many(endless(), listen(system), Steps(cancelled.set).step, cancelled)
    assert tally.accepted > 0
    assert system.task("endless-1") is not None


def test_a_load_returns_its_figures(system: LocalSystem, submitter: LocalSystemControl) -> None:
    order = LoadOptions(tasks=200, connections=2, window=50, rate=None, kind="echo", payload=1, wait=False)
    tally = submitter.load(order, listen(system), Steps().step, not_cancelled())
    assert (tally.accepted, tally.refused, tally.first_refusal) == (200, 0, "")
    assert tally.latency_p50 is not None
    assert tally.latency_p99 is not None
    assert 0 < tally.latency_p50 <= tally.latency_p99


def test_a_cancelled_load_ends_early(system: LocalSystem, submitter: LocalSystemControl) -> None:
    cancelled = threading.Event()
    order = LoadOptions(tasks=1_000_000, connections=1, window=10, rate=50.0, kind="echo", payload=1, wait=False)
    tally = submitter.load(order, listen(system), Steps(cancelled.set).step, cancelled)
    assert tally.accepted < 1000


def test_several_threads_may_submit_at_once(system: LocalSystem, submitter: LocalSystemControl) -> None:
    found: list[str] = []

    def submit(name: str) -> None:
        found.extend(submitter.submit(NewSubmission("echo", 1, f"{name}-{n}"), listen(system)).id for n in range(20))

    threads = [threading.Thread(target=submit, args=(f"thread-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(found)) == 80


def test_an_unreachable_system_raises(tmp_path: Path, system: LocalSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_control, "CONNECT_TIMEOUT", 0.2)
    control = control_of(tmp_path, (f"127.0.0.1:{free_port()}",))
    with pytest.raises(ServerUnavailable):
        control.submit(NewSubmission("echo", 1), "")
    # A running system is found at its own address.
    assert not control.submit(NewSubmission("echo", 1), listen(system)).duplicate
    control.close()
    control.close()
