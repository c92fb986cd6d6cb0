"""The output of the client's programs, and the lines typed at the prompt."""

import io
import json
from pathlib import Path

import pytest

from core import formatting
from core.client import display
from core.client.line_editing import history_file
from core.client.output import OutputWriter
from core.client.prompt_commands import PromptAction, PromptLine, parse_line
from core.client.values import Accepted, Refused, Statistics, TaskKind, TaskOutcome, TaskStatus
from core.model import Attempt, AttemptState, Failure, Note, RunningOn, State, TaskProgress, Times

FAILURE = Failure(type="ValueError", message="bad\x1b[31m", traceback="Traceback…\n")


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (TaskStatus("a", "echo", State.ACCEPTED, 0, note="on its way"), "a (echo) is accepted: on its way"),
        (TaskStatus("a", "echo", State.QUEUED, 0, note="waiting"), "a (echo) is in the queue: waiting"),
        (
            TaskStatus("a", "echo", State.RUNNING, 0, running=RunningOn("w1", 90.0)),
            "a (echo) has been running on w1 for 10.0 s",
        ),
        (TaskStatus("a", "echo", State.RUNNING, 0), "a (echo) is running"),
        (
            TaskStatus("a", "echo", State.CANCELLING, 0, running=RunningOn("w1", 90.0)),
            "a (echo) was cancelled while it ran, and has been running on w1 for 10.0 s",
        ),
        (
            TaskStatus("a", "echo", State.CANCELLING, 0),
            "a (echo) was cancelled while it ran, and is not known to have stopped",
        ),
        (
            TaskStatus("a", "echo", State.RETRYING, 2, note="not before 3.0 seconds from now"),
            "a (echo) failed in 2 attempts and will be tried again: not before 3.0 seconds from now",
        ),
        (TaskStatus("a", "echo", State.DONE, 1), "a (echo) is done"),
        (TaskStatus("a", "echo", State.FAILED, 1), "a (echo) has failed after 1 attempt"),
        (TaskStatus("a", "echo", State.CANCELLED, 0), "a (echo) was cancelled before it ran"),
        (TaskStatus("a", "echo", State.CANCELLED, 2), "a (echo) was cancelled after 2 attempts"),
    ],
)
def test_where_a_task_is_in_one_sentence(status: TaskStatus, sentence: str) -> None:
    assert display.status_lines(status, now=100.0)[0] == sentence


def test_each_step_with_the_time_it_took() -> None:
    lines = display.timeline_lines(Times(sent=1000.0, received=1000.0005, queued=1002.0005, stored=1302.0))
    assert [line.split()[0] for line in lines] == ["sent", "received", "queued", "stored"]
    assert [line.partition("+")[2] for line in lines] == ["", "0.5 ms", "2.0 s", "5 min"]


def test_the_other_facts_on_a_task() -> None:
    status = TaskStatus("a", "echo", State.FAILED, 3, worker="w1", strikes=2, error=FAILURE)
    assert display.status_lines(status, now=0.0)[1:] == [
        "  attempts      3",
        "  worker        w1",
        "  error         ValueError: bad\\x1b[31m",
    ]


def test_what_a_running_task_says_of_itself() -> None:
    progress, note = TaskProgress(3, 10, "resizing\x1b[31m"), Note(0.0, "began\nagain")
    running = RunningOn("w1", 90.0, progress, (note,))
    lines = display.status_lines(TaskStatus("a", "echo", State.RUNNING, 0, running=running), now=100.0)
    assert lines[1] == "  progress      3/10 (30%) resizing\\x1b[31m"
    assert lines[2].endswith("  began\\nagain")
    assert display.running_line("a", running, 100.0) == "a runs on w1 for 10.0 s: 3/10 (30%) resizing\\x1b[31m"
    running = RunningOn("w1", 90.0, notes=(note,))
    assert display.running_line("a", running, 100.0) == "a runs on w1 for 10.0 s: began\\nagain"
    assert display.running_line("a", RunningOn("w1", 90.0), 100.0) == "a runs on w1 for 10.0 s"


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (3, 10, "3/10 (30%)"),
        (1_500_000, 2_000_000, "1,500,000/2,000,000 (75%)"),
        (0.5, 2, "0.50/2 (25%)"),
        (7, None, "7"),
        (0, 0, "0/0"),
        (1e300, 1e300, "1e+300/1e+300 (100%)"),
    ],
)
def test_how_far_something_is(done: float, total: float | None, text: str) -> None:
    assert formatting.progress(done, total) == text


def test_each_attempt_with_its_runner_and_what_it_said() -> None:
    said = Attempt(
        number=1,
        state=AttemptState.FAILED,
        worker="w1",
        runner=2,
        error=FAILURE,
        progress=TaskProgress(3, 10),
        notes=(Note(0.0, "began"),),
    )
    status = TaskStatus("a", "echo", State.FAILED, 1, worker="w1", times=Times(finished=1.0), history=(said,))
    assert [line.split(maxsplit=1)[1] for line in display.status_lines(status, now=0.0)[2:5]] == [
        "1",
        "w1, runner 2",
        "3/10 (30%)",
    ]
    status = TaskStatus("a", "echo", State.QUEUED, 1, history=(said,))
    assert display.status_lines(status, now=0.0)[-1] == (
        "  attempt 1     failed on w1, runner 2; was at 3/10 (30%); ValueError: bad\\x1b[31m"
    )


def test_a_time_outside_the_calendar_is_shown_as_a_number() -> None:
    assert formatting.timestamp(1e30) == f"{1e30:.3f}"


def test_the_statistics_as_text() -> None:
    lines = display.statistics_lines(Statistics("s1", {"accepted": 1200, "done": 1200}, "ready", "ready", [], []))
    assert lines == [
        "accepted 1,200 = 1,200 done",
        "broker: ready; journal: ready",
        "no worker is running: tasks wait until one is started",
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((10_000, 0, 1.9, []), "10,000 accepted in 1.9 s (5,263/s)"),
        (
            (10_000, 0, 1.9, [("done", 10_000), ("failed", 0)]),
            "10,000 accepted in 1.9 s (5,263/s), 10,000 done, 0 failed",
        ),
        ((0, 3, 0.0, []), "0 accepted in 0.0 s (-/s), 3 refused"),
    ],
)
def test_the_summary(arguments: tuple[int, int, float, list[tuple[str, int]]], expected: str) -> None:
    assert display.summary(*arguments) == expected


def write_all(
    *, as_json: bool = False, quiet: bool = False, only_outcomes: bool = False
) -> tuple[OutputWriter, list[str]]:
    stream = io.StringIO()
    output = OutputWriter(stream, as_json=as_json, quiet=quiet, only_outcomes=only_outcomes)
    output.write_accepted(Accepted("a", State.ACCEPTED, duplicate=False))
    output.write_accepted(Accepted("b", State.DONE, duplicate=True))
    output.write_refused(Refused("c", "conflict", "used\x1b before"))
    output.write_outcome(TaskOutcome("a", State.DONE, "uno\n\u202e"))
    output.write_outcome(TaskOutcome("b", State.FAILED, error=FAILURE))
    output.write_outcome(TaskOutcome("d", State.CANCELLED))
    return output, stream.getvalue().splitlines()


def test_a_line_for_each_task() -> None:
    output, lines = write_all()
    assert lines == [
        "a accepted",
        "b done duplicate",
        "c refused conflict used\\x1b before",
        'a done "uno\\n\\u202e"',
        "b failed ValueError: bad\\x1b[31m",
        "d cancelled",
    ]
    assert (output.accepted, output.refused, dict(output.ended)) == (2, 1, {"done": 1, "failed": 1, "cancelled": 1})


def test_a_line_of_json_for_each_task() -> None:
    _, lines = write_all(as_json=True, only_outcomes=True)
    refused, done, failed, cancelled = (json.loads(line) for line in lines)
    assert refused == {"id": "c", "state": "refused", "error": {"code": "conflict", "message": "used\x1b before"}}
    assert done == {"id": "a", "state": "done", "result": "uno\n\u202e"}
    assert failed["error"]["message"] == "bad\x1b[31m"
    assert cancelled == {"id": "d", "state": "cancelled"}


def test_quiet_only_counts() -> None:
    output, lines = write_all(quiet=True)
    assert lines == []
    assert output.ended.total() == 3


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", PromptLine(PromptAction.NOTHING)),
        ("   ", PromptLine(PromptAction.NOTHING)),
        (" uno dos ", PromptLine(PromptAction.SUBMIT, "uno dos")),
        ("//etc", PromptLine(PromptAction.SUBMIT, "/etc")),
        ("/kind wordcount", PromptLine(PromptAction.KIND, "wordcount")),
        ("/kind", PromptLine(PromptAction.KIND, "")),
        ("/kind 1x", PromptLine(PromptAction.INVALID, "'1x' is not a valid kind")),
        ("/status a-1", PromptLine(PromptAction.STATUS, "a-1")),
        ("/cancel a-1", PromptLine(PromptAction.CANCEL, "a-1")),
        ("/cancel", PromptLine(PromptAction.INVALID, "/cancel needs the id of one task")),
        ("/status a b", PromptLine(PromptAction.INVALID, "/status needs the id of one task")),
        ("/stats", PromptLine(PromptAction.STATS)),
        ("/stats now", PromptLine(PromptAction.INVALID, "/stats takes no argument")),
        ("/help", PromptLine(PromptAction.HELP)),
        ("/quit", PromptLine(PromptAction.QUIT)),
        ("/etc/passwd", PromptLine(PromptAction.INVALID, "/etc/passwd is not a command; /help lists them")),
    ],
)
def test_what_a_typed_line_means(line: str, expected: PromptLine) -> None:
    assert parse_line(line) == expected


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", Path("/home/u/.local/state/cauce/client-history")),
        ({"XDG_STATE_HOME": "/state"}, "linux", Path("/state/cauce/client-history")),
        ({"XDG_STATE_HOME": "relative"}, "darwin", Path("/home/u/.local/state/cauce/client-history")),
        ({"LOCALAPPDATA": "/local"}, "win32", Path("/local/cauce/client-history")),
    ],
)
def test_where_the_history_is_kept(environment: dict[str, str], platform: str, expected: Path) -> None:
    assert history_file(environment, Path("/home/u"), platform) == expected


def test_what_a_kind_takes() -> None:
    plain = TaskKind("echo", "Give \x1b[31mit back.", 0)
    assert display.kind_lines(plain) == [
        r"echo  Give \x1b[31mit back.  (no worker runs it now)",
        "payload: any JSON value",
    ]
    typed = TaskKind("shrink", "", 2, retries=0, timeout=1.5, schema={"type": "object", "title": "é\x9b"})
    assert display.kind_lines(typed) == [
        "shrink",
        "time-out: 1.5 seconds",
        "retries: 0",
        "payload:",
        "{",
        '  "type": "object",',
        r'  "title": "é\x9b"',
        "}",
    ]
    assert display.kind_lines(TaskKind("endless", "", 1, timeout=0))[1] == "no time-out"
