"""Databases: transactions, locks, full disks, damaged files, migrations, and file systems that are refused."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from core import database as database_module
from core.database import Database, Faults, check_library, refuse_network_file_system
from core.errors import JournalError, JournalUnavailable, JournalUnusable
from core.repository.sqlite import SqliteRepository, open_sqlite
from tests.contract.repositories import enter, totals
from tests.services.waiting import wait_until

FAULTS = Faults(temporary=JournalUnavailable, permanent=JournalUnusable)
ROOT = Path(__file__).parents[2]
TABLE = "CREATE TABLE numbers (number INTEGER PRIMARY KEY)"
ENDLESS = (
    "CREATE TABLE filler (text TEXT);"
    "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n)"
    "INSERT INTO filler SELECT hex(randomblob(50)) FROM n"
)
NO_LIMIT = 2**30


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a database that does not exist yet."""
    return tmp_path / "data" / "test.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """A database with one table."""
    with Database(path, FAULTS) as opened:
        opened.migrate([TABLE])
        yield opened


def numbers(database: Database) -> list[int]:
    """Return the content of the table."""
    return [int(str(row[0])) for row in database.execute("SELECT number FROM numbers ORDER BY number")]


def insert(database: Database, *values: int) -> None:
    """Insert numbers into the table, in one transaction."""
    with database.transaction():
        database.execute_many("INSERT INTO numbers VALUES (?)", [(value,) for value in values])


@contextmanager
def child(program: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run another process, which is killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a child prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: "subprocess.Popen[str]", line: str) -> None:
    """Write a line to a child."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def skip_if_writable(path: Path) -> None:
    """Skip the test for a superuser, who may write read-only files, and on Windows, where directories are writable."""
    if os.access(path, os.W_OK):
        pytest.skip("this user may write what is read-only")


# Transactions.


def test_a_transaction_that_raises_is_rolled_back(database: Database) -> None:
    insert(database, 1)

    def break_down() -> None:
        with database.transaction():
            database.execute("INSERT INTO numbers VALUES (2)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_down()
    assert numbers(database) == [1]
    insert(database, 3)
    assert numbers(database) == [1, 3]


def test_a_refused_statement_rolls_back_the_transaction(database: Database) -> None:
    with pytest.raises(JournalUnusable, match="UNIQUE constraint"):
        insert(database, 1, 2, 1)
    assert numbers(database) == []
    insert(database, 1)


def test_a_transaction_inside_a_transaction_is_an_error(database: Database) -> None:
    with pytest.raises(JournalUnusable, match="within a transaction"):
        insert_twice(database)
    assert numbers(database) == []


def insert_twice(database: Database) -> None:
    """Begin while a transaction is open."""
    with database.transaction():
        insert(database, 1)


def test_a_transaction_locks_out_other_writers_from_its_beginning(database: Database, path: Path) -> None:
    with Database(path, FAULTS, lock_timeout=0.0) as other:
        with database.transaction(), pytest.raises(JournalUnavailable, match="locked"):
            insert(other, 1)
        insert(other, 2)
    assert numbers(database) == [2]


def test_a_snapshot_reads_one_state(database: Database, path: Path) -> None:
    insert(database, 1)
    with Database(path, FAULTS) as other:
        with database.snapshot():
            assert numbers(database) == [1]
            insert(other, 2)
            assert numbers(database) == [1]
        assert numbers(database) == [1, 2]


def test_the_number_of_changed_rows_is_returned(database: Database) -> None:
    insert(database, 1, 2, 3)
    with database.transaction():
        changed = database.execute_many("UPDATE numbers SET number = number + 10 WHERE number = ?", [(1,), (3,), (7,)])
    assert changed == 2


def test_the_number_that_a_statement_selects_is_returned(database: Database) -> None:
    assert database.number("SELECT max(number) FROM numbers") == 0
    assert database.number("SELECT number FROM numbers") == 0
    insert(database, 7)
    assert database.number("SELECT number FROM numbers WHERE number = ?", (7,)) == 7


def test_a_statement_can_be_interrupted_from_another_thread(database: Database) -> None:
    ended = threading.Event()

    def interrupt_until_it_ends() -> None:
        while not ended.wait(0.01):
            database.interrupt()

    thread = threading.Thread(target=interrupt_until_it_ends)
    thread.start()
    try:
        with pytest.raises(JournalUnavailable, match="interrupted"):
            database.execute("WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
    finally:
        ended.set()
        thread.join()
    insert(database, 1)
    assert numbers(database) == [1]


# Temporary errors.


def test_a_full_disk_stores_nothing_and_is_temporary(tmp_path: Path) -> None:
    database = Database(tmp_path / "journal.db", FAULTS)
    open_sqlite(tmp_path / "journal.db").close()
    with SqliteRepository(database) as journal:
        enter(journal, "before")
        pages = database.number("PRAGMA page_count")
        database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalUnavailable, match="full"):
            enter(journal, *[f"{number}-{'x' * 50}" for number in range(2000)])
        assert totals(journal) == {"accepted": 1}
        assert journal.audit().is_consistent
        database.execute(f"PRAGMA max_page_count = {NO_LIMIT}")
        enter(journal, *[f"{number}-{'x' * 50}" for number in range(2000)])
        assert totals(journal) == {"accepted": 2001}
        assert journal.audit().is_consistent


HOLDER = """
import sys
from pathlib import Path
from core.database import Database
from core.repository.sqlite import FAULTS
with Database(Path(sys.argv[1]), FAULTS) as database, database.transaction():
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that has the write lock until it reads a line."""
    with child(HOLDER, str(path)) as process:
        assert line_of(process) == "held"
        yield process


def test_a_lock_held_beyond_the_timeout_is_a_temporary_error(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause, pauses = database_module._pause, list[None]()  # noqa: SLF001 - the waits are counted
    with held_by_another_process(path), Database(path, FAULTS, lock_timeout=0.3) as waiting:
        monkeypatch.setattr(database_module, "_pause", lambda: pauses.append(pause()))
        with pytest.raises(JournalUnavailable, match="locked"):
            insert(waiting, 1)
        assert pauses
        assert numbers(waiting) == []  # reading needs no lock
        pauses.clear()
        with pytest.raises(JournalUnavailable):
            insert(waiting, 1)
        assert pauses, "each wait has the whole timeout"
    insert(database, 2)
    assert numbers(database) == [2]


def test_a_lock_that_is_released_in_time_is_waited_for(database: Database, path: Path) -> None:
    with held_by_another_process(path) as process:
        with Database(path, FAULTS, lock_timeout=0.0) as waiting, pytest.raises(JournalUnavailable):
            insert(waiting, 1)
        tell(process, "go")
        insert(database, 1)
    assert numbers(database) == [1]


# Permanent errors.


def test_a_file_that_is_not_a_database_is_a_permanent_error(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is a text and no database at all\n" * 100)
    with pytest.raises(JournalUnusable, match="not a database"):
        Database(path, FAULTS)
    with pytest.raises(JournalUnusable, match="not a database"):
        open_sqlite(path, readonly=True).find_all(["a"])
    assert path.read_bytes().startswith(b"this is a text")


def test_a_newer_schema_is_a_permanent_error_with_a_remedy(database: Database, path: Path) -> None:
    database.migrate([TABLE, "CREATE TABLE more (x)", "CREATE TABLE most (x)"])
    with Database(path, FAULTS) as older, pytest.raises(JournalUnusable) as caught:
        older.migrate([TABLE])
    assert str(caught.value) == (
        f"{path} has schema 3, and this version of Cauce knows schemas up to 1: use the newer version that wrote it"
    )
    with Database(path, FAULTS) as other:
        insert(other, 1)  # the lock is released


def test_a_reader_creates_no_database(path: Path) -> None:
    with pytest.raises(JournalUnusable, match="unable to open"):
        Database(path, FAULTS, readonly=True)
    assert not path.parent.exists()


def test_a_reader_reads_and_never_writes(database: Database, path: Path) -> None:
    insert(database, 1)
    with Database(path, FAULTS, readonly=True) as reader:
        assert numbers(reader) == [1]
        with pytest.raises(JournalUnusable, match="readonly"):
            reader.execute("INSERT INTO numbers VALUES (2)")
        insert(database, 2)
        assert numbers(reader) == [1, 2]


@pytest.mark.parametrize("name", ["file/test.db", "file/deeper/test.db"])
def test_a_file_in_the_place_of_a_directory_is_a_permanent_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnusable, match="can't be created"):
        Database(tmp_path / name, FAULTS)


def test_a_read_only_directory_is_a_permanent_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    skip_if_writable(tmp_path)
    with pytest.raises(JournalUnusable, match="can't be created"):
        Database(tmp_path / "test.db", FAULTS)


def test_a_read_only_file_is_a_permanent_error(database: Database, path: Path) -> None:
    insert(database, 1)
    database.close()
    path.chmod(0o400)
    skip_if_writable(path)
    with pytest.raises(JournalUnusable, match="no permission to write it"):
        open_sqlite(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows gives rights in another way")
def test_the_file_is_readable_by_its_owner_only(database: Database, path: Path) -> None:
    insert(database, 1)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"test.db": 0o600, "test.db-wal": 0o600, "test.db-shm": 0o600}


def test_a_closed_database_raises(database: Database) -> None:
    database.close()
    database.close()
    with pytest.raises(JournalError):
        numbers(database)


# Refused libraries and file systems.


@pytest.mark.parametrize("version", ["3.44.6", "3.44.9", "3.50.7", "3.50.10", "3.51.3", "3.52.0", "3.54.1", "4.0.0"])
def test_a_library_without_the_race_is_accepted(version: str) -> None:
    check_library(version, FAULTS)


@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.45.0", "3.46.1", "3.49.9", "3.50.6", "3.51.0", "3.51.2"])
def test_a_library_with_the_race_is_refused(version: str) -> None:
    with pytest.raises(JournalUnusable, match=f"SQLite {version} can lose commits.*install apsw"):
        check_library(version, FAULTS)


class Mount(NamedTuple):
    """A mount as psutil returns it."""

    device: str
    mountpoint: str
    fstype: str
    opts: str = "rw"


def mounts(monkeypatch: pytest.MonkeyPatch, *found: Mount) -> None:
    """Let psutil return these mounts."""

    def partitions(*, all: bool) -> list[Mount]:
        assert all
        return list(found)

    monkeypatch.setattr("psutil.disk_partitions", partitions)


def refused(place: Path) -> bool:
    """Return whether a database at this path is refused."""
    try:
        refuse_network_file_system(place, FAULTS)
    except JournalUnusable:
        return True
    return False


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("nfs4", "rw", True),
        ("NFS", "rw", True),
        ("cifs", "rw", True),
        ("fuse.sshfs", "rw", True),
        ("9p", "rw", True),
        ("NTFS", "rw,remote", True),
        ("NTFS", "rw,fixed", False),
        ("ext4", "rw", False),
        ("overlay", "rw", False),
        ("apfs", "rw,local", False),
    ],
)
def test_the_kind_of_file_system_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, options: str, expected: bool
) -> None:
    mounts(monkeypatch, Mount("/dev/sda", tmp_path.anchor, "ext4"), Mount("x", str(tmp_path), kind, options))
    assert refused(tmp_path / "data" / "test.db") is expected


def test_the_nearest_mount_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    local, shared = Mount("a", str(tmp_path / "shared" / "local"), "ext4"), Mount("b", str(tmp_path / "shared"), "nfs")
    mounts(monkeypatch, local, shared, Mount("c", tmp_path.anchor, "ext4"))
    assert refused(tmp_path / "shared" / "test.db")
    assert not refused(tmp_path / "shared" / "local" / "test.db")
    assert not refused(tmp_path / "shared2" / "test.db")


def test_of_two_mounts_at_one_place_the_later_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts(monkeypatch, Mount("systemd-1", str(tmp_path), "autofs"), Mount("host:/export", str(tmp_path), "nfs4"))
    with pytest.raises(JournalUnusable, match=r"a network file system \(nfs4\).*choose a directory on a local disk"):
        refuse_network_file_system(tmp_path / "test.db", FAULTS)


def test_without_any_mount_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mounts(monkeypatch)
    assert not refused(tmp_path / "test.db")


def test_a_refused_database_is_refused_at_the_next_start_too(
    monkeypatch: pytest.MonkeyPatch, path: Path, tmp_path: Path
) -> None:
    mounts(monkeypatch, Mount("host:/export", str(tmp_path), "nfs4"))
    for _ in range(2):
        with pytest.raises(JournalUnusable, match="network file system"):
            Database(path, FAULTS)
    assert not path.exists()


# Migrations.


def test_a_migration_runs_what_the_file_has_not_seen(database: Database, path: Path) -> None:
    insert(database, 1)
    scripts = [TABLE, "CREATE TABLE more (x); INSERT INTO more VALUES (5)"]
    for _ in range(2):
        with Database(path, FAULTS) as later:
            later.migrate(scripts)
            assert later.number("SELECT count(*) FROM more") == 1
            assert numbers(later) == [1]


def test_a_migration_that_fails_leaves_the_file_as_it_was(database: Database) -> None:
    with pytest.raises(JournalUnusable, match="syntax error"):
        database.migrate([TABLE, "CREATE TABLE more (x)", "CREATE TABLE even more (x)"])
    assert database.number("PRAGMA user_version") == 1
    assert database.number("SELECT count(*) FROM sqlite_schema WHERE name = 'more'") == 0


MIGRATOR = """
import sys
from pathlib import Path
from core.errors import CauceError
from core.repository.sqlite import open_sqlite
print("ready", flush=True)
for line in sys.stdin:
    try:
        open_sqlite(Path(line.strip())).close()
        print("made", flush=True)
    except CauceError as error:
        print(repr(error), flush=True)
"""


def test_four_processes_create_one_journal_at_the_same_time(tmp_path: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(child(MIGRATOR)) for _ in range(4)]
        assert [line_of(process) for process in processes] == ["ready"] * 4
        for turn in range(20):
            path = tmp_path / f"{turn}.db"
            for process in processes:
                tell(process, str(path))
            assert [line_of(process) for process in processes] == ["made"] * 4
            with open_sqlite(path) as journal:
                assert set(journal.counts().values()) == {0}
                assert journal.audit().is_consistent


KILLED = """
import sys
from pathlib import Path
from core.database import Database
from core.repository.sqlite import FAULTS
with Database(Path(sys.argv[1]), FAULTS) as database:
    database.migrate(sys.argv[2:])
    print("made", flush=True)
    sys.stdin.readline()
"""


def is_locked(path: Path) -> bool:
    """Return whether another process is writing."""
    with Database(path, FAULTS, lock_timeout=0.0) as probe:
        try:
            with probe.transaction():
                return False
        except JournalUnavailable:
            return True


def size_of(path: Path) -> int:
    """Return the size of a file, or 0 when it does not exist."""
    return path.stat().st_size if path.exists() else 0


def kill_in_the_middle(process: "subprocess.Popen[str]", path: Path) -> None:
    """Kill while the migration writes, with much of it in the write-ahead log."""
    log = path.with_name(f"{path.name}-wal")
    wait_until(lambda: size_of(log) > 20_000_000, "much of a migration")
    assert is_locked(path)
    process.kill()


def kill_at_the_end(process: "subprocess.Popen[str]", path: Path) -> None:
    """Kill after the migration, before the file is closed."""
    assert line_of(process) == "made"
    assert path.exists()
    process.kill()


@pytest.mark.parametrize(
    ("kill", "scripts", "version"),
    [(kill_in_the_middle, [TABLE, ENDLESS], 0), (kill_at_the_end, [TABLE, "CREATE TABLE filler (text)"], 2)],
    ids=["middle", "end"],
)
def test_a_killed_migration_is_applied_wholly_or_not_at_all(
    path: Path, kill: Callable[["subprocess.Popen[str]", Path], None], scripts: list[str], version: int
) -> None:
    with child(KILLED, str(path), *scripts) as process:
        kill(process, path)
        process.wait(10)
    with Database(path, FAULTS) as database:
        assert database.number("PRAGMA user_version") == version
        assert database.number("SELECT count(*) FROM sqlite_schema WHERE type = 'table'") == version
        database.migrate([TABLE, "CREATE TABLE filler (text)"])
        insert(database, 1)
        assert database.execute("PRAGMA integrity_check") == [("ok",)]
