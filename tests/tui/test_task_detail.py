"""The sheet of a task, which follows it, and the lists that show which tasks run."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace
from textual.pilot import Pilot

from core.model import (
    Attempt,
    AttemptState,
    Failure,
    Note,
    OperatorRetry,
    RunningTask,
    State,
    Task,
    TaskProgress,
    TaskStack,
    Times,
)
from core.timeline import TaskRecord, attempts_of
from tests.tui import scene
from tests.tui.fakes import FakeSource
from tests.tui.test_console import main, notifications, run_scenario, text, title, wait_for
from tui.app import Console
from tui.dialogs.task_detail import TaskDetail, body_lines, head_lines
from tui.messages import DetailRequested
from tui.screen import MainScreen
from tui.translations import Translations, load
from tui.view import View
from tui.widgets.submission_history import SubmissionHistory
from tui.widgets.task_rows import TaskModel, present_row, result_columns
from tui.widgets.text_view import TextView, line_after_change

SEQ = 901
TASK_ID = f"order-{48_000 + SEQ}"


def queued(seq: int = SEQ, **changes: object) -> Task:
    """Return a task that waits in the queue."""
    times = Times(received=scene.NOW - 20, accepted=scene.NOW - 20, queued=scene.NOW - 19)
    changes = {"state": State.QUEUED, "attempts": 0, "worker": None, "result": None, "times": times, **changes}
    return replace(scene.task(seq), failure=None, **changes)


def source_with(*tasks: Task) -> FakeSource:
    """Return a source that has these tasks besides those of the scene."""
    return FakeSource(tasks={**scene.tasks(), **{task.seq: task for task in tasks}})


def view_with(*in_hand: RunningTask, now: float = scene.NOW) -> View:
    """Return a view in which worker w2 runs these tasks."""
    view = scene.view()
    processes = tuple(
        replace(each, in_hand=in_hand) if each.name == "w2" else replace(each, in_hand=())
        for each in view.snapshot.processes
    )
    return replace(view, snapshot=replace(view.snapshot, processes=processes, taken_at=now))


def lines_of(record: TaskRecord, view: View | None = None, tr: Translations | None = None) -> list[str]:
    """Return the lines of a sheet."""
    tr = tr or Translations()
    return [line for line, _ in (*head_lines(record, view or view_with(), tr), *body_lines(record.task, tr))]


def until_shown(app: Console) -> Callable[[], bool]:
    """Return the condition that the sheet is on the screen."""
    return lambda: isinstance(app.screen, TaskDetail) and "Timeline" in text(app)


# What a sheet says.


def test_a_task_that_runs_is_shown_as_running() -> None:
    record = TaskRecord(queued())
    lines = lines_of(record, view_with(RunningTask(TASK_ID, "echo", scene.NOW - 14.6)))
    assert lines[0] == "state       running on w2 for 15 s"
    assert lines[2:4] == ["worker      w2", "tries       1"]
    assert lines_of(record)[0] == "state       queued"


def test_what_a_running_task_says_of_itself_is_shown() -> None:
    notes = (Note(scene.NOW - 2, "began\x1b[31m"), Note(scene.NOW - 1, "[bold]half[/]"))
    stack = TaskStack(scene.NOW - 3, "  File x.py\n    [bold]wait()\x1b[31m\n")
    running = RunningTask(TASK_ID, "echo", scene.NOW - 14.6, TaskProgress(3, 10, "resizing"), notes, 2, stack)
    lines = lines_of(TaskRecord(queued()), view_with(running))
    assert "progress    3/10 (30%) resizing" in lines
    assert [line[12:] for line in lines[lines.index("Notes") + 1 :][:2]] == ["began\\x1b[31m", "[bold]half[/]"]
    assert "worker      w2, runner 2" in lines
    place = next(place for place, line in enumerate(lines) if line.startswith("Stack at "))
    assert lines[place + 1 :][:2] == ["  File x.py", "    [bold]wait()\\x1b[31m"]
    row = present_row(scene.row(queued()), view_with(running).running)
    assert row.outcome == "3/10 (30%) resizing"
    lost = Attempt(
        number=1,
        state=AttemptState.LOST,
        worker="w1",
        runner=2,
        started=scene.NOW - 28,
        progress=TaskProgress(1, 10),
        notes=(Note(scene.NOW, "before"),),
    )
    lines = lines_of(TaskRecord(queued(lost=1), (lost,)))
    assert "progress    1/10 (10%)" in lines
    assert lines[lines.index("Notes") + 1].endswith("before")
    [tried] = [line for line in lines if line.startswith("   1  ")]
    assert tried.startswith("   1  w1, runner 2 died, or lost its connection · started ")
    assert tried.endswith(" · 1/10 (10%)")
    silent = RunningTask(TASK_ID, "echo", scene.NOW - 14.6)
    lines = lines_of(TaskRecord(queued()), view_with(silent))
    assert "Notes" not in lines
    assert not any(line.startswith("progress") for line in lines)


def test_a_task_that_has_ended_is_not_shown_as_running() -> None:
    record = TaskRecord(scene.task(SEQ))
    assert lines_of(record, view_with(RunningTask(TASK_ID, "echo", scene.NOW - 14.6)))[0] == "state       done"


def test_each_attempt_is_listed_with_its_worker_and_error() -> None:
    failed = Attempt(
        number=1,
        state=AttemptState.FAILED,
        worker="w1",
        started=scene.NOW - 60,
        finished=scene.NOW - 59.5,
        error=Failure(type="ValueError", message="bad\x1b[31m", traceback="line 1\nline 2"),
        retried=OperatorRetry(scene.NOW - 30, "ana"),
    )
    lost = Attempt(number=2, state=AttemptState.LOST, started=scene.NOW - 28)
    record = TaskRecord(queued(attempts=1, lost=1), (failed, lost))
    lines = lines_of(record, view_with(RunningTask(TASK_ID, "echo", scene.NOW - 2)))
    assert lines[3] == "tries       3"
    assert "In 1 try its worker died." in lines
    tries = lines[lines.index("Tries") + 1 : lines.index("Payload") - 1]
    assert [line.partition("started")[0].strip() for line in tries] == [
        "1  failed on w1 ·",
        "ValueError: bad\\x1b[31m",
        "line 1",
        "line 2",
        "2  its worker died, or lost its connection ·",
        "3  running on w2 for 2.0 s",
    ]
    assert tries[0].endswith("ran 500 ms")
    timeline = lines[lines.index("Timeline") + 1 : lines.index("Tries") - 1]
    assert [line.split("  ")[1] for line in timeline][2:] == ["try 1", "retried", "queued", "try 2"]
    assert timeline[3].endswith("+30 s     by ana")


def test_a_killer_has_one_count_in_its_sheet() -> None:
    failure = Failure(
        type="WorkerLost", message="each of 2 processes that began the task died", signature="worker-lost"
    )
    task = replace(scene.task(5), attempts=1, lost=1, failure=failure)
    former = (Attempt(number=1, state=AttemptState.LOST, worker="w1"),)
    lines = lines_of(TaskRecord(task, attempts_of(task, former)))
    assert lines[3] == "tries       2"
    assert "In 2 tries its worker died." in lines
    assert sum("died, or lost its connection" in line for line in lines[lines.index("Tries") :]) == 2


def test_the_only_attempt_is_told_by_the_timeline() -> None:
    task = scene.task(SEQ)
    assert "Tries" not in lines_of(TaskRecord(task, attempts_of(task, ())))


def test_a_sheet_in_spanish_has_no_english_word() -> None:
    spanish = Translations("es", load("es"))
    lost = Attempt(number=1, state=AttemptState.LOST, retried=OperatorRetry(scene.NOW - 30, "ana"))
    lines = lines_of(
        TaskRecord(queued(lost=1), (lost,)), view_with(RunningTask(TASK_ID, "echo", scene.NOW - 2)), spanish
    )
    assert lines[0].endswith("ejecutándose en w2 desde hace 2,0 s")
    assert " 1  su trabajador murió o perdió su conexión" in "\n".join(lines)
    assert any(line.endswith("por ana") for line in lines)


# A sheet that is open.


def test_an_open_sheet_follows_its_task() -> None:
    source = source_with(queued())

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).post_message(DetailRequested(SEQ))
        await wait_for(pilot, until_shown(app), "the sheet")
        assert "queued" in text(app).splitlines()[3]
        running = RunningTask(TASK_ID, "echo", scene.NOW - 3)
        last = app.screen.query_one(TextView).lines[-1]
        for ago, shown in ((0, "running on w2 for 3.0 s"), (2, "running on w2 for 5.0 s")):
            source.pollers[0].show(view_with(running, now=scene.NOW + ago))
            await wait_for(pilot, lambda shown=shown: shown in text(app), shown)  # type: ignore[misc]  # of this round
        assert app.screen.query_one(TextView).lines[-1] is last, "a payload is formatted once"
        source.records[SEQ] = TaskRecord(scene.task(SEQ))
        source.pollers[0].show(view_with(running, now=scene.NOW + 3))
        await wait_for(pilot, lambda: "state       done" in text(app), "the end, although the heartbeat is older")
        source.records[SEQ] = TaskRecord(queued(state=State.ACCEPTED, attempts=1))
        source.pollers[0].show(view_with(now=scene.NOW + 4))
        await wait_for(pilot, lambda: "state       accepted" in text(app), "the retry of an operator")

    run_scenario(scenario, source)


def test_an_open_sheet_keeps_its_place_and_its_search() -> None:
    task = queued(payload='"' + "x" * 3000 + ' needle"')
    source = source_with(task)

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).post_message(DetailRequested(SEQ))
        await wait_for(pilot, until_shown(app), "the sheet")
        await pilot.press("s", *"needle", "enter")
        await wait_for(pilot, lambda: "needle: hit 1 of 1" in text(app), "the hit")
        view = app.screen.query_one(TextView)
        seen = text(app).splitlines()[5]
        place, lines = view.scroll_offset.y, len(view.lines)
        assert place > 0
        failed = Attempt(number=1, state=AttemptState.FAILED, worker="w1", started=scene.NOW - 9)
        source.records[SEQ] = TaskRecord(replace(task, attempts=1), (failed,))
        source.pollers[0].show(view_with(RunningTask(TASK_ID, "echo", scene.NOW - 3)))
        await wait_for(pilot, lambda: len(view.lines) > lines, "the new lines above")
        assert view.scroll_offset.y == place + len(view.lines) - lines
        assert text(app).splitlines()[5] == seen
        assert "needle: hit 1 of 1" in text(app)
        place, lines = view.scroll_offset.y, len(view.lines)
        source.pollers[0].show(view_with(RunningTask(TASK_ID, "echo", scene.NOW - 3), now=scene.NOW + 2))
        await wait_for(pilot, lambda: view.lines[0][0].endswith("for 5.0 s"), "the time to go on")
        assert (view.scroll_offset.y, len(view.lines)) == (place, lines)
        assert text(app).splitlines()[5] == seen
        await pilot.press("home")
        await wait_for(pilot, lambda: "running on w2 for 5.0 s" in text(app), "the beginning of the text")

    run_scenario(scenario, source, size=(80, 24))


def test_a_closed_sheet_reads_nothing_and_opens_with_the_present_task() -> None:
    source = source_with(queued())

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).post_message(DetailRequested(SEQ))
        await wait_for(pilot, until_shown(app), "the sheet")
        await pilot.press("q")
        await wait_for(pilot, lambda: isinstance(app.screen, MainScreen), "the sheet to go")
        reads = source.reads
        source.pollers[0].show(view_with())
        await pilot.pause()
        assert source.reads == reads
        source.records[SEQ] = TaskRecord(scene.task(SEQ))
        main(app).post_message(DetailRequested(SEQ))
        await wait_for(pilot, until_shown(app), "the sheet again")
        assert "state       done" in text(app)

    run_scenario(scenario, source)


def test_a_sheet_never_shows_the_task_of_the_sheet_before() -> None:
    first, second = queued(), queued(902)
    source = source_with(first, second)

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).post_message(DetailRequested(first.seq))
        await wait_for(pilot, until_shown(app), "the first sheet")
        await pilot.press("q")
        await wait_for(pilot, lambda: isinstance(app.screen, MainScreen), "the sheet to go")
        main(app).post_message(DetailRequested(second.seq))
        await wait_for(pilot, until_shown(app), "the second sheet")
        for _ in range(3):
            reads = source.reads
            source.pollers[0].show(view_with(RunningTask(first.id, "echo", scene.NOW - 3)))
            await wait_for(pilot, lambda reads=reads: source.reads > reads, "another read")  # type: ignore[misc]  # of this round
            await pilot.pause()
            assert second.id in title(app)
            assert "state       queued" in text(app)

    run_scenario(scenario, source)


def test_a_journal_that_can_not_be_read_leaves_the_sheet_as_it_is() -> None:
    source = source_with(queued())

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).post_message(DetailRequested(SEQ))
        await wait_for(pilot, until_shown(app), "the sheet")
        source.trouble = "the journal is locked"
        reads = source.reads
        source.pollers[0].show(view_with())
        await wait_for(pilot, lambda: source.reads > reads, "another read")
        await pilot.pause()
        assert notifications(app) == []
        source.trouble = ""
        source.records[SEQ] = TaskRecord(scene.task(SEQ))
        source.pollers[0].show(view_with())
        await wait_for(pilot, lambda: "state       done" in text(app), "the task when it can be read again")

    run_scenario(scenario, source)


def test_lines_at_both_ends_of_a_changed_text_stay_with_their_end() -> None:
    former = [(letter, "") for letter in "abcde"]
    new = [(letter, "") for letter in "abxyzde"]
    assert [line_after_change(former, new, index) for index in range(5)] == [0, 1, 2, 5, 6]
    assert [line_after_change(new, former, index) for index in range(7)] == [0, 1, 2, 3, 4, 3, 4]
    assert line_after_change(former, [], 3) == 0


# The lists.


def cells_of(model: TaskModel) -> Sequence[str]:
    """Return the state, the worker and the tries of the only row."""
    cells = model.cells(0)
    assert cells is not None
    columns = [column.key for column in result_columns(Translations())]
    return [cells[columns.index(name)].text for name in ("state", "worker", "attempts")]


def test_a_listed_task_that_runs_again_is_shown_as_running() -> None:
    columns = result_columns(Translations())
    model = TaskModel(columns, Translations())
    row = replace(scene.row(queued(attempts=1)), worker="")
    model.store_rows({SEQ: row})
    model.replace_all(model.all_seqs, {SEQ: row}, is_reversed=False)
    model.all_seqs.append(SEQ)
    assert cells_of(model) == ["… queued", "", "1"]
    running = view_with(RunningTask(TASK_ID, "echo", scene.NOW - 3)).running
    assert model.show_running(running)
    assert cells_of(model) == ["▶ running", "w2", "2"]
    assert not model.show_running(running)
    model.store_rows({SEQ: scene.row(scene.task(SEQ))})
    assert cells_of(model)[0] == "✓ done"
    assert not model.show_running({})


def test_a_submitted_task_is_shown_as_running_and_then_as_done() -> None:
    source = source_with(queued())

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        await pilot.press(*"uno", "enter")
        await wait_for(pilot, lambda: "… queued" in text(app), "the task in the queue")
        source.pollers[0].show(view_with(RunningTask(TASK_ID, "echo", scene.NOW - 3)))
        await wait_for(pilot, lambda: "▶ running" in text(app), "the task to run")
        told = RunningTask(TASK_ID, "echo", scene.NOW - 3, TaskProgress(3, 10))
        source.pollers[0].show(view_with(told))
        await wait_for(pilot, lambda: "3/10 (30%)" in text(app), "how far it is")
        history = app.screen.query_one(SubmissionHistory)
        history.update_rows({TASK_ID: scene.row(scene.task(SEQ))})
        await wait_for(pilot, lambda: "✓ done" in text(app), "the outcome")

    run_scenario(scenario, source, "submit")


# Cancelling.


def test_a_task_is_cancelled_when_the_user_confirms_it() -> None:
    source = source_with(queued())

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).post_message(DetailRequested(SEQ))
        await wait_for(pilot, until_shown(app), "the sheet")
        await pilot.press("x")
        await wait_for(pilot, lambda: "Cancel the task order-48901?" in text(app), "the question")
        await pilot.press("enter")
        await wait_for(pilot, until_shown(app), "the sheet again")
        assert source.control_calls.done == []
        await pilot.press("x")
        await wait_for(pilot, lambda: "Cancel the task order-48901?" in text(app), "the question")
        await pilot.press("right", "enter")
        await wait_for(
            pilot, lambda: ("cancel", TASK_ID, scene.view().listen) in source.control_calls.done, "the request"
        )
        await wait_for(pilot, lambda: any("is asked to stop" in each for each in notifications(app)), "the answer")

    run_scenario(scenario, source)


def test_a_task_that_has_ended_is_not_cancelled() -> None:
    source = FakeSource()

    async def scenario(app: Console, pilot: Pilot[None]) -> None:
        main(app).post_message(DetailRequested(next(iter(scene.tasks()))))
        await wait_for(pilot, until_shown(app), "the sheet")
        await pilot.press("x")
        await wait_for(pilot, lambda: any("has ended" in each for each in notifications(app)), "the notification")
        assert source.control_calls.done == []

    run_scenario(scenario, source)


def test_a_task_that_is_cancelling_says_so_and_where_it_runs() -> None:
    record = TaskRecord(queued(cancelling=True), ())
    running = RunningTask(TASK_ID, "echo", scene.NOW - 5)
    assert lines_of(record, view_with(running))[0].split(maxsplit=1)[1] == "cancelling, running on w2 for 5.0 s"
    assert lines_of(record)[0].split() == ["state", "cancelling"]
