"""The log files of processes, rotated while a real process goes on writing."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import RawIOBase
from itertools import pairwise
from pathlib import Path

import pytest

from core.errors import SupervisorError
from core.supervisor.logs import log_files
from core.supervisor.logs.log_files import MAX_ROTATED, open_log, rotate_by_copying, rotate_by_renaming, rotated_files
from tests.services.waiting import wait_until

PATIENCE = 60.0
LINES = 6000

WRITES_ON_REQUEST = """
import sys
number = 0
for order in sys.stdin:
    for _ in range(int(order)):
        print(f"line {number}", flush=True)
        number += 1
    print("written", file=sys.stderr, flush=True)
"""
WRITES_ON = f"""
import time
for number in range({LINES}):
    print(f"line {{number}}", "x" * 80, flush=True)
    if number % 100 == 0:
        time.sleep(0.001)
"""
"""It pauses now and then, as on a machine of one processor nothing else would run."""

posix = pytest.mark.skipif(os.name != "posix", reason="rights and errors are others there")


@contextlib.contextmanager
def writing(path: Path, program: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that prints to a log, as the supervisor starts it."""
    with open_log(path) as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.PIPE
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def write(process: "subprocess.Popen[bytes]", lines: int) -> None:
    """Let the process print so many lines."""
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(f"{lines}\n".encode())
    process.stdin.flush()
    assert process.stderr.readline() == b"written\n"


def numbers(content: bytes) -> list[int]:
    """The numbers of the complete lines."""
    return [int(found[1]) for line in content.split(b"\n") if (found := re.fullmatch(rb"line (\d+)( x{80})?", line))]


def test_a_process_goes_on_in_the_same_file_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 500)
    path = tmp_path / "w1.log"
    with writing(path, WRITES_ON_REQUEST) as process:
        write(process, 10)
        assert not rotate_by_copying(path)
        file = path.stat().st_ino
        for generation in range(1, 3):
            write(process, 100)
            assert rotate_by_copying(path)
            assert path.stat().st_size == 0
            assert len(rotated_files(path)) == generation
        write(process, 5)
        # The process still writes to the truncated file, and there is no hole before its new lines.
        assert path.stat().st_ino == file
        assert path.read_bytes() == b"".join(b"line %d\n" % number for number in range(210, 215))
    assert rotated_files(path) == [tmp_path / "w1.log.2", tmp_path / "w1.log.1"]
    assert numbers(b"".join(each.read_bytes() for each in rotated_files(path))) == list(range(210))


def test_a_rotation_loses_only_what_is_written_at_the_truncation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 30_000)
    monkeypatch.setattr(log_files, "MAX_ROTATED", 1000)
    path = tmp_path / "w1.log"
    rotations = 0
    with writing(path, WRITES_ON) as process:

        def ended() -> bool:
            nonlocal rotations
            over = process.poll() is not None
            rotations += rotate_by_copying(path)
            return over

        wait_until(ended, "the writer to end", PATIENCE)
    assert rotations >= 3
    assert len(rotated_files(path)) == rotations
    content = b"".join(each.read_bytes() for each in [*rotated_files(path), path])
    found = numbers(content)
    assert found[0] == 0
    assert len(found) > LINES // 2
    # No line is there twice or out of order, and none is missing or damaged except at a truncation.
    assert all(before < after for before, after in pairwise(found))
    assert sum(after > before + 1 for before, after in pairwise(found)) <= rotations
    # Beside the line that is cut, a truncation may leave a note: the writer was faster than the copy.
    assert content.count(b"\n") - len(found) <= 2 * rotations


def test_a_writer_that_is_faster_than_the_copy_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 50)
    monkeypatch.setattr(log_files, "FLOOD_SIZE", 200)
    path = tmp_path / "w1.log"
    written = 150
    copy = log_files._copy  # noqa: SLF001 - the moment between two blocks can't be met from outside

    def copy_while_it_grows(source: RawIOBase, target: RawIOBase, limit: int) -> None:
        with path.open("ab") as writer:
            writer.write(b"x" * 300)
        copy(source, target, limit)

    monkeypatch.setattr(log_files, "_copy", copy_while_it_grows)
    path.write_bytes(b"x" * written)
    assert rotate_by_copying(path)
    [rotated] = rotated_files(path)
    assert path.stat().st_size == 0
    kept, notice = rotated.read_bytes().split(b"\n", 1)
    assert kept == b"x" * 200
    assert notice == b"(550 bytes after this were written too quickly to be kept)\n"


@pytest.mark.parametrize("setter", [rotate_by_copying, rotate_by_renaming])
def test_of_a_flood_the_end_is_kept_from_a_whole_line_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setter: Callable[[Path], bool]
) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 50)
    monkeypatch.setattr(log_files, "FLOOD_SIZE", 200)
    path = tmp_path / "w1.log"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(1000)))
    assert setter(path)
    [rotated] = rotated_files(path)
    notice, *lines = rotated.read_bytes().splitlines()
    assert notice == b"(8845 bytes before this were written too quickly to be kept)"
    assert lines == [b"line %d" % number for number in range(995, 1000)]
    path.write_bytes(b"x" * 1000)
    assert setter(path)
    assert rotated.read_bytes().splitlines()[1] == b"x" * 50


@pytest.mark.parametrize("setter", [rotate_by_copying, rotate_by_renaming])
def test_only_so_many_rotated_files_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setter: Callable[[Path], bool]
) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 5)
    path = tmp_path / "s1.log"
    for number in range(MAX_ROTATED + 3):
        with path.open("ab") as stream:
            stream.write(b"generation %d" % number)
        assert setter(path)
    assert [each.read_bytes() for each in rotated_files(path)] == [b"generation %d" % number for number in (3, 4, 5)]
    assert {each.name for each in tmp_path.iterdir()} <= {"s1.log", "s1.log.1", "s1.log.2", "s1.log.3"}


@pytest.mark.parametrize("setter", [rotate_by_copying, rotate_by_renaming])
def test_a_small_or_missing_file_is_left_alone(tmp_path: Path, setter: Callable[[Path], bool]) -> None:
    path = tmp_path / "s1.log"
    assert not setter(path)
    path.write_bytes(b"short")
    assert not setter(path)
    assert [each.name for each in tmp_path.iterdir()] == ["s1.log"]
    assert rotated_files(path) == []


def test_a_file_of_exactly_the_maximum_size_is_not_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 5)
    path = tmp_path / "s1.log"
    path.write_bytes(b"fives")
    assert not rotate_by_copying(path)
    path.write_bytes(b"six...")
    assert rotate_by_copying(path)


def test_rotated_files_are_found_with_one_missing_between(tmp_path: Path) -> None:
    for name in ("s1.log.1", "s1.log.3", "s1.log.4", "s1.log.half", "s11.log.2"):
        (tmp_path / name).touch()
    assert rotated_files(tmp_path / "s1.log") == [tmp_path / "s1.log.3", tmp_path / "s1.log.1"]


@posix
@pytest.mark.parametrize("setter", [rotate_by_copying, rotate_by_renaming])
def test_rotated_files_are_for_their_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setter: Callable[[Path], bool]
) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 5)
    path = tmp_path / "s1.log"
    with open_log(path) as stream:
        stream.write(b"long enough")
    setter(path)
    assert [each.stat().st_mode & 0o777 for each in rotated_files(path)] == [0o600]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk_is_an_error_that_costs_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 5)
    path = tmp_path / "s1.log"
    path.write_bytes(b"long enough")
    (tmp_path / "s1.log.1").write_bytes(b"former")
    (tmp_path / "s1.log.half").symlink_to("/dev/full")
    with pytest.raises(SupervisorError, match=r"can't rotate .*s1\.log: No space left"):
        rotate_by_copying(path)
    # The unfinished copy is removed: it would take up the last of the disk.
    assert {each.name for each in tmp_path.iterdir()} == {"s1.log", "s1.log.1"}
    assert (path.read_bytes(), rotated_files(path)[0].read_bytes()) == (b"long enough", b"former")
    assert rotate_by_copying(path)
    assert [each.read_bytes() for each in rotated_files(path)] == [b"former", b"long enough"]


@posix
@pytest.mark.parametrize("setter", [rotate_by_copying, rotate_by_renaming])
def test_a_rotation_that_fails_truncates_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setter: Callable[[Path], bool]
) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 5)
    path = tmp_path / "s1.log"
    path.write_bytes(b"long enough")
    # A file can't replace a directory.
    (tmp_path / "s1.log.3").mkdir()
    (tmp_path / "s1.log.2").touch()
    with pytest.raises(SupervisorError, match="can't rotate"):
        setter(path)
    assert path.read_bytes() == b"long enough"
    assert not (tmp_path / "s1.log.half").exists()


def test_an_unfinished_copy_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 5)
    path = tmp_path / "s1.log"
    path.write_bytes(b"long enough")
    (tmp_path / "s1.log.half").write_bytes(b"what had been copied, and more than that")
    assert rotate_by_copying(path)
    assert [each.read_bytes() for each in rotated_files(path)] == [b"long enough"]
    assert not (tmp_path / "s1.log.half").exists()
