"""The lines of a file, and the share of it that was read."""

import os
import threading
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from tui.file_lines import FileLines


def test_lines_are_read_one_by_one_with_the_share_that_was_read(tmp_path: Path) -> None:
    file = tmp_path / "tasks.txt"
    file.write_bytes("uno\r\nñandú\n\ncuatro".encode())
    lines = FileLines(file)
    assert lines.share is None
    found = []
    for line in lines:
        found.append((line, lines.share))
    assert [line for line, _ in found] == ["uno\r\n", "ñandú\n", "\n", "cuatro"]
    assert [share for _, share in found] == [5 / 20, 13 / 20, 14 / 20, 1.0]


def test_a_file_that_grows_is_read_once_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "tasks.txt"
    file.write_text("uno\n")
    lines = FileLines(file)
    found = iter(lines)
    assert next(found) == "uno\n"
    with file.open("a") as more:
        more.write("dos\n")
    assert next(found) == "dos\n"
    assert lines.share == 1.0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names on this system")
def test_the_share_of_a_pipe_is_unknown(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("uno\ndos\n",))
    writer.start()
    lines = FileLines(pipe)
    assert list(lines) == ["uno\n", "dos\n"]
    assert lines.share is None
    writer.join()


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "can't be read: No such file"), (b"uno\n\xff\xfe\n", "is not UTF-8")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "tasks.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        list(FileLines(file))


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    file = tmp_path / "tasks.txt"
    file.write_bytes("uno\ndos\n".encode("utf-8-sig"))
    assert list(FileLines(file)) == ["uno\n", "dos\n"]


def test_a_file_of_another_encoding_is_refused_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "tasks.txt"
    file.write_bytes("uno\ndos\n".encode("utf-16"))
    with pytest.raises(ConfigurationError, match="UTF-16"):
        list(FileLines(file))
