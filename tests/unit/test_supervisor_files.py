"""The supervisor's files: its lock, its state, its logs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import AlreadyRunning, SupervisorError
from core.supervisor import state
from core.supervisor.home import Home
from core.supervisor.lock import Lock, is_held, take
from core.supervisor.logs import log_files
from core.supervisor.logs.log_files import last_lines, open_log
from core.supervisor.plan import ProcessKind
from core.supervisor.processes import process_identity
from core.supervisor.processes.process_identity import ProcessIdentity
from core.supervisor.state import ChildRecord, ChildRecords, SupervisorState

TOP = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from core.supervisor.lock import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> "subprocess.Popen[bytes]":
    """Start a process that holds the lock until its standard input is closed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=TOP
    )
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == b"held"
    return holder


def test_only_one_process_holds_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    assert not path.exists()
    with hold(path) as holder:
        assert is_held(path)
        with pytest.raises(AlreadyRunning):
            Lock(path)
        holder.communicate(timeout=60)
    assert not is_held(path)
    with Lock(path) as lock:
        assert is_held(path)
        lock.close()
        assert not is_held(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell reliably which files are open")
def test_only_the_process_that_holds_the_lock_is_killed(tmp_path: Path) -> None:
    path, other = tmp_path / "lock", tmp_path / "other"
    with hold(path) as holder, hold(other) as stranger:
        for process in (stranger, holder):
            identity = process_identity.identify(process.pid)
            assert identity is not None
            process_identity.kill_holder(identity, path)
        assert holder.wait(60) < 0
        assert not is_held(path)
        assert stranger.poll() is None
        stranger.communicate(timeout=60)
        for number in (-1, 10**30):
            process_identity.kill_holder(ProcessIdentity(number, 0.0), path)


def test_the_system_frees_the_lock_of_a_process_that_was_killed(tmp_path: Path) -> None:
    with hold(tmp_path / "lock") as holder:
        holder.kill()
        holder.wait(10)
        Lock(tmp_path / "lock").close()


def test_a_lock_is_taken_although_somebody_looks_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    looking = Lock(path)
    monkeypatch.setattr(time, "sleep", lambda _: looking.close())
    with take(path):
        assert is_held(path)
        with pytest.raises(AlreadyRunning):
            take(path)


def test_a_lock_that_cannot_be_made_is_not_reported_as_held(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="can't lock") as caught:
        Lock(tmp_path / "missing" / "lock")
    assert not isinstance(caught.value, AlreadyRunning)


def test_state_is_stored_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    saved = SupervisorState(ProcessIdentity(1, 2.5), "127.0.0.1:9", "secret")
    state.save(path, SupervisorState(ProcessIdentity(9, 9.0), "", ""))
    state.save(path, saved)
    assert state.load(path, SupervisorState) == saved
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


def test_children_are_stored(tmp_path: Path) -> None:
    records = ChildRecords(
        (ChildRecord(name="s1", kind=ProcessKind.SERVER, identity=ProcessIdentity(1, 2.5), spawned_at=2.25),)
    )
    state.save(tmp_path / "children.json", records)
    assert state.load(tmp_path / "children.json", ChildRecords) == records
    assert '"duty":"server"' in (tmp_path / "children.json").read_text("utf-8")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"identity": 1}', b"\xff"])
def test_an_invalid_file_counts_as_missing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    assert state.load(path, SupervisorState) is None
    path.write_bytes(content)
    assert state.load(path, SupervisorState) is None


def test_state_that_cannot_be_written_is_a_supervisor_error(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="can't write"):
        state.save(tmp_path / "missing" / "state.json", ChildRecords())


@pytest.mark.skipif(os.name != "posix", reason="file modes are different there")
def test_an_existing_directory_is_restricted_to_its_owner(tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    home.path.mkdir(mode=0o755, parents=True)
    home.create()
    assert home.path.stat().st_mode & 0o777 == 0o700
    assert home.log("s1").parent.is_dir()


def test_a_directory_that_cannot_be_made_is_a_supervisor_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SupervisorError, match="can't prepare"):
        Home(tmp_path / "file").create()


def test_a_log_is_rotated_when_it_is_large_and_three_files_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "MAX_SIZE", 5)
    path = tmp_path / "s1.log"
    for text in (b"one", b"more", b"two-two", b"three-three", b"four-four", b"five-five"):
        with open_log(path) as stream:
            stream.write(text)
    contents = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    assert contents == {
        "s1.log": b"five-five",
        "s1.log.1": b"four-four",
        "s1.log.2": b"three-three",
        "s1.log.3": b"two-two",
    }


def test_the_last_lines_are_those_of_this_start_and_printable(tmp_path: Path) -> None:
    path = tmp_path / "s1.log"
    assert last_lines(path) == []
    path.write_bytes(b"old\n")
    start = path.stat().st_size
    with open_log(path) as stream:
        assert stream.tell() == start
        stream.write(b"new\n\n\x1b[31mred \xff\n")
    assert last_lines(path, start) == ["new", "\\x1b[31mred \ufffd"]
    assert last_lines(path, start, 1) == ["\\x1b[31mred \ufffd"]


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "s1.log"
    path.write_text("".join(f"line {number}\n" for number in range(100_000)), "utf-8")
    assert last_lines(path, 0, 2) == ["line 99998", "line 99999"]
    assert last_lines(path, 0, 10_000)[0].startswith("line ")
