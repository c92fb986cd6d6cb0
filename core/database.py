"""The one door to SQLite: connections with our settings, transactions, waiting for locks, errors by what to do next.

SQLite comes from apsw, which carries its own: the library of many systems (and of Python's `sqlite3` there) has a race
between checkpoint and commit that can lose committed rows when several processes write one database
(https://sqlite.org/wal.html#walresetbug). A library with that race is refused.
"""

import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import apsw

from core.closeable import Closeable
from core.errors import CauceError

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Value, ...]

LOCK_PAUSE = 0.001
"""Seconds between two tries for the write lock, on average. Random around it, so that no process starves."""

CHECKPOINT_PAGES = 4000
"""The write-ahead log is carried into the database when it has grown to this many pages (16 MB)."""

_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
_NETWORK_FILE_SYSTEMS = frozenset(
    (
        *("9p", "afs", "afpfs", "ceph", "cifs", "coda", "davfs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs"),
        *("lustre", "ncpfs", "nfs", "nfs3", "nfs4", "smb2", "smb3", "smbfs"),
    )
)

_PASSING = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.FullError,
    apsw.IOError,
    apsw.InterruptError,
    apsw.NoMemError,
    apsw.ProtocolError,
)
"""What may be gone at the next try."""


class Faults:
    """The errors that one user of this door raises: its own, not SQLite's."""

    def __init__(self, passing: type[CauceError], lasting: type[CauceError], *, remedy: str = "") -> None:
        self.passing = passing
        """For what may be gone at the next try: locked, disk full, I/O error."""
        self.lasting = lasting
        """For what a person has to mend: not a database, damaged, read-only, refused."""
        self.remedy = remedy
        """What mends a damaged file, for the end of the sentence that says so."""


class Database(Closeable):
    """A connection to one database file, for one thread.

    Args:
        path: the file; it is created, readable by its owner only, unless `readonly`.
        faults: the errors to raise.
        durable: a commit survives a power cut (`synchronous=FULL`). Without, it survives only the death of processes.
        readonly: never write.
        patience: how many seconds to wait for another process's write lock.
    """

    def __init__(
        self,
        path: Path,
        faults: Faults,
        *,
        durable: bool = True,
        readonly: bool = False,
        patience: float = 10.0,
    ) -> None:
        self.path = path
        self._faults = faults
        self._patience = patience
        self._waiting_since = 0.0
        check_library(apsw.sqlite_lib_version(), faults)
        if not readonly:
            self._create()
        writing = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
        try:
            self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY if readonly else writing)
        except apsw.Error as error:
            raise self._fault(error) from error
        try:
            self._configure(durable=durable, readonly=readonly)
        except apsw.Error as error:
            self._connection.close()
            raise self._fault(error) from error
        # SQLite opens a file that it may not write as if that was what was wanted.
        if not readonly and self._connection.readonly("main"):
            self._connection.close()
            raise faults.lasting(f"{path} can't be used: this user may not write it")

    def _create(self) -> None:
        """Create the file for its owner alone: SQLite gives the same rights to the files beside it."""
        if self.path.exists():
            return
        # Before the file is made: one that was left behind would be taken for good at the next start.
        refuse_network_file_system(self.path, self._faults)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            if not self.path.exists():
                raise self._faults.lasting(f"{self.path} can't be created: {self.path.parent} is a file") from None
        except OSError as error:
            raise self._faults.lasting(f"{self.path} can't be created: {error.strerror or error}") from error

    def _configure(self, *, durable: bool, readonly: bool) -> None:
        self._connection.set_busy_handler(self._wait_for_lock)
        if not readonly:
            self._use_write_ahead_log()
            self._connection.wal_autocheckpoint(CHECKPOINT_PAGES)
            self._connection.pragma("journal_size_limit", 64 * 1024 * 1024)
        self._connection.pragma("synchronous", "FULL" if durable else "NORMAL")
        self._connection.pragma("cache_size", -16 * 1024)
        self._connection.pragma("temp_store", "memory")
        self._connection.pragma("trusted_schema", 0)

    def _use_write_ahead_log(self) -> None:
        """Switch to the log; of several processes that do so with a new file, SQLite refuses some without waiting."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._connection.pragma("journal_mode", "wal")
            except apsw.BusyError:
                if time.monotonic() > deadline:
                    raise
                _pause()
            else:
                return

    def _wait_for_lock(self, tries: int) -> bool:
        now = time.monotonic()
        if tries == 0:
            self._waiting_since = now
        if now - self._waiting_since > self._patience:
            return False
        _pause()
        return True

    def execute(self, statement: str, bindings: Sequence[Value] = ()) -> list[Row]:
        """Run one statement and fetch all its rows."""
        try:
            return self._connection.execute(statement, bindings).fetchall()
        except apsw.Error as error:
            raise self._fault(error) from error

    def execute_many(self, statement: str, bindings: Sequence[Sequence[Value]]) -> int:
        """Run one statement for each of `bindings`; how many rows were changed in all."""
        before = self._connection.total_changes()
        try:
            self._connection.executemany(statement, bindings)
        except apsw.Error as error:
            raise self._fault(error) from error
        return self._connection.total_changes() - before

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take the write lock at once, and commit at the end of the block or roll back when it raises.

        Taking it at once (`BEGIN IMMEDIATE`) is what lets SQLite wait for it: a transaction that reads first and
        then wants to write is refused without waiting if another has written meanwhile.
        """
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one moment's content in all statements of the block."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after a full disk or an I/O error.
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def migrate(self, scripts: Sequence[str]) -> int:
        """Bring the schema up to date: run those of the numbered `scripts` that this file has not seen, all or none.

        Returns:
            How many of them it had seen; 0 for a new file.

        Raises:
            CauceError: the lasting fault, when the file was written by a newer version.
        """
        if self._schema_version() == len(scripts):
            return len(scripts)
        with self.transaction():
            version = self._schema_version()
            if version > len(scripts):
                raise self._faults.lasting(
                    f"{self.path} has schema {version}, and this version knows up to {len(scripts)}: "
                    "it was written by a newer Cauce; use that one"
                )
            for script in scripts[version:]:
                self.execute(script)
            self.execute(f"PRAGMA user_version = {len(scripts)}")
        return version

    def _schema_version(self) -> int:
        return self.number("PRAGMA user_version")

    def number(self, statement: str, bindings: Sequence[Value] = ()) -> int:
        """The one integer that a statement selects; 0 when it selects nothing or NULL."""
        rows = self.execute(statement, bindings)
        value = rows[0][0] if rows else None
        return value if isinstance(value, int) else 0

    def version(self) -> int:
        """A number that changes when another connection has committed something."""
        return self.number("PRAGMA data_version")

    def interrupt(self) -> None:
        """Make a statement that runs in another thread end with the passing fault."""
        with suppress(apsw.ConnectionClosedError):
            self._connection.interrupt()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _fault(self, error: apsw.Error) -> CauceError:
        sentence = str(error).removeprefix(f"{type(error).__name__}: ")
        if isinstance(error, _PASSING):
            return self._faults.passing(f"{self.path} can't be used now: {sentence}")
        remedy = self._faults.remedy if isinstance(error, apsw.CorruptError | apsw.NotADBError) else ""
        return self._faults.lasting(f"{self.path} can't be used: {sentence}{remedy}")


def _pause() -> None:
    time.sleep(LOCK_PAUSE * (0.5 + random.random()))  # noqa: S311 - to spread processes, not to hide anything


def check_library(version: str, faults: Faults) -> None:
    """Refuse an SQLite that can lose commits when several processes write.

    Raises:
        CauceError: the lasting fault.
    """
    number = tuple(int(part) for part in version.split(".")[:3])
    if number >= _FIXED[-1] or any(number[:2] == fixed[:2] and number >= fixed for fixed in _FIXED):
        return
    raise faults.lasting(
        f"SQLite {version} can lose commits when several processes write (https://sqlite.org/wal.html#walresetbug); "
        "install apsw 3.54 or newer from PyPI, which carries its own"
    )


def refuse_network_file_system(path: Path, faults: Faults) -> None:
    """Refuse a database on a file system shared between machines: SQLite's write-ahead log needs shared memory.

    Raises:
        CauceError: the lasting fault.
    """
    import psutil  # only here, where a database is created: it would cost every program's start

    place = str(path.resolve())
    mounts = [mount for mount in psutil.disk_partitions(all=True) if _lies_under(place, mount.mountpoint)]
    if not mounts:
        return
    # Of two at the same place (an automounter and what it has mounted) the later one hides the other.
    nearest = max(reversed(mounts), key=lambda mount: len(mount.mountpoint))
    remote = "remote" in nearest.opts.split(",")  # a drive of another machine, on Windows
    if remote or nearest.fstype.lower() in _NETWORK_FILE_SYSTEMS:
        raise faults.lasting(
            f"{path} lies on {nearest.mountpoint}, a network file system ({nearest.fstype}), "
            "where SQLite can't share a database between processes: choose a directory on a local disk"
        )


def _lies_under(place: str, mountpoint: str) -> bool:
    return place == mountpoint or place.startswith(mountpoint.rstrip("/\\") + os.sep)
