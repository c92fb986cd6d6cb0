"""Making tasks of the lines of a file or pipe."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.client.submit_command import tasks_from_chunks
from core.client.task_lines import BadLine, TaskTemplate, only_utf8, split_lines, task_from_line
from core.client.values import NewSubmission
from core.errors import ConfigurationError


def payloads(chunks: Iterable[bytes], template: TaskTemplate) -> list[object]:
    return [task.payload if isinstance(task, NewSubmission) else task for task in tasks_from_chunks(chunks, template)]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], []),
        ([b"uno"], [(1, b"uno")]),
        ([b"uno\n"], [(1, b"uno")]),
        ([b"uno\ndos"], [(1, b"uno"), (2, b"dos")]),
        ([b"\n\n"], [(1, b""), (2, b"")]),
        ([b"u", b"no", b"\nd", b"os\n"], [(1, b"uno"), (2, b"dos")]),
        ([b"uno\n", b"", b"dos\n"], [(1, b"uno"), None, (2, b"dos")]),
        ([b"12345\n123456\n1\n"], [(1, b"12345"), (2, None), (3, b"1")]),
        ([b"1234", b"5678", b"9", b"\n1\n"], [(1, None), (2, b"1")]),
        ([b"1234567"], [(1, None)]),
    ],
)
def test_pieces_become_numbered_lines(chunks: list[bytes], expected: list[object]) -> None:
    assert list(split_lines(chunks, max_line=5)) == expected


@given(st.binary(max_size=60), st.lists(st.integers(1, 7), max_size=60))
def test_how_the_pieces_are_cut_makes_no_difference(content: bytes, sizes: list[int]) -> None:
    pieces, place = [], 0
    for size in sizes:
        pieces.append(content[place : place + size])
        place += size
    cut = [piece for piece in [*pieces, content[place:]] if piece]
    assert list(split_lines(cut, max_line=9)) == list(split_lines([content] if content else [], max_line=9))


@pytest.mark.parametrize(
    ("line", "template", "expected"),
    [
        (b"uno", TaskTemplate(), "uno"),
        (b"uno\r", TaskTemplate(), "uno"),
        (b" uno ", TaskTemplate(), " uno "),
        (b"", TaskTemplate(), None),
        (b" \r", TaskTemplate(), None),
        (b"", TaskTemplate(keep_blank=True), ""),
        (b"", TaskTemplate(keep_blank=True, as_json=True), None),
        (b'{"a":[1]}', TaskTemplate(as_json=True), {"a": [1]}),
        (b'{"a":[1]}', TaskTemplate(), '{"a":[1]}'),
        ("ñandú".encode(), TaskTemplate(), "ñandú"),
    ],
)
def test_a_line_becomes_a_payload(line: bytes, template: TaskTemplate, expected: object) -> None:
    task = task_from_line(7, line, template)
    assert (task.payload if isinstance(task, NewSubmission) else task) == expected


@pytest.mark.parametrize(
    ("line", "template", "reason"),
    [
        (b"ab\xff", TaskTemplate(), "it is not UTF-8: its byte 3 is 0xff"),
        (b"{", TaskTemplate(as_json=True), "it is not a valid payload: not JSON"),
        (
            b'{"a":1,"a":2}',
            TaskTemplate(as_json=True),
            "it is not a valid payload: an object names the same member twice",
        ),
        (None, TaskTemplate(), "it is too long for any server"),
    ],
)
def test_a_bad_line_is_reported_with_its_number(line: bytes | None, template: TaskTemplate, reason: str) -> None:
    task = task_from_line(7, line, template)
    assert isinstance(task, BadLine)
    assert task.number == 7
    assert task.reason.startswith(reason)


def test_a_byte_order_mark_is_no_part_of_the_first_task() -> None:
    assert payloads([b"\xef\xbb\xbfuno\n\xef\xbb\xbfdos\n"], TaskTemplate()) == ["uno", "\ufeffdos"]


def test_ids_are_made_of_the_numbers_of_the_lines() -> None:
    tasks = list(
        tasks_from_chunks([b"uno\n\n\xff\ndos\n"], TaskTemplate(kind="echo", id_prefix="p", delay=2.0, retries=1))
    )
    assert tasks == [
        NewSubmission("echo", "uno", "p-1", 2.0, 1),
        BadLine(3, "it is not UTF-8: its byte 1 is 0xff"),
        NewSubmission("echo", "dos", "p-4", 2.0, 1),
    ]


def test_a_pause_of_the_input_comes_through() -> None:
    assert payloads([b"uno\nd", b"", b"os\n"], TaskTemplate()) == ["uno", None, "dos"]


def test_an_input_of_another_encoding_is_refused_as_a_whole() -> None:
    chunks = ["uno\ndos\n".encode("utf-16"), b"more"]
    with pytest.raises(ConfigurationError, match="UTF-16"):
        list(only_utf8(chunks))
    assert list(only_utf8([b"", "\ufeffuno".encode(), b""])) == [b"", "\ufeffuno".encode(), b""]
