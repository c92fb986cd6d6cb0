"""The marks at the lines that tasks write."""

import contextvars
import io
import logging
import sys
from collections.abc import Iterable

import pytest

from core.runner.task_output import MAX_BROKEN, TaskOutput, mark_streams, task_id


def written(parts: Iterable[tuple[str, str]]) -> str:
    """Return what comes out when tasks write texts, one after another."""
    stream = io.StringIO()
    output = TaskOutput(stream)
    for task, text in parts:
        contextvars.copy_context().run(write_as, output, task, text)
    return stream.getvalue()


def write_as(output: TaskOutput, task: str, text: str) -> None:
    """Write a text as a task."""
    task_id.set(task)
    assert output.write(text) == len(text)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([("", "no task\n")], "no task\n"),
        ([("a", "one\n")], "[a] one\n"),
        ([("a", "one\ntwo\n\nfour")], "[a] one\n[a] two\n[a] \n[a] four"),
        ([("a", "one"), ("a", "\n"), ("a", "two\n")], "[a] one\n[a] two\n"),
        ([("a", "on"), ("a", "e"), ("a", "\ntwo\n")], "[a] one\n[a] two\n"),
        ([("a", "one"), ("b", "two"), ("a", "\n"), ("b", "\n")], "[a] one\n[b] two\n"),
        ([("a", "one"), ("b", "two\n"), ("a", " more\n")], "[a] one\n[b] two\n[a]  more\n"),
        ([("a", "one"), ("", "a library\n"), ("a", "\n"), ("a", "two\n")], "[a] one\na library\n[a] two\n"),
        ([("a", ""), ("a", "\n")], "[a] \n"),
    ],
)
def test_each_line_of_a_task_is_marked(parts: list[tuple[str, str]], text: str) -> None:
    assert written(parts) == text


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_marks_do_not_depend_on_how_a_text_is_written(size: int) -> None:
    text = "first\n\nthird line\nlast\n"
    parts = [("t", text[start : start + size]) for start in range(0, len(text), size)]
    assert written(parts) == "[t] first\n[t] \n[t] third line\n[t] last\n"


def test_what_many_tasks_leave_incomplete_takes_no_memory() -> None:
    output = TaskOutput(io.StringIO())
    for number in range(10 * MAX_BROKEN):
        contextvars.copy_context().run(write_as, output, f"t{number}", "no end")
    assert len(vars(output)["_broken"]) == MAX_BROKEN


def test_only_texts_are_written() -> None:
    stream = io.StringIO()
    with pytest.raises(TypeError, match="takes a text, not bytes"):
        TaskOutput(stream).write(b"x")  # type: ignore[arg-type]  # which the test tries
    assert stream.getvalue() == ""


def test_a_closed_stream_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    mark_streams()
    assert sys.stdout is None
    assert isinstance(sys.stderr, TaskOutput)
    print("nobody reads this")  # noqa: T201 - it is what the test tries


def test_what_is_logged_is_marked_and_the_stream_is_as_before() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    output = TaskOutput(stream)
    handler = logging.StreamHandler(output)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("mine")
    logger.addHandler(handler)
    token = task_id.set("t9")
    logger.warning("two\nlines")
    print("printed", 1, file=output)
    task_id.reset(token)
    assert stream.buffer.getvalue().decode() == "[t9] WARNING two\n[t9] lines\n[t9] printed 1\n"
    assert (output.encoding, output.isatty(), output.writable()) == ("utf-8", False, True)
    assert output.buffer is stream.buffer
