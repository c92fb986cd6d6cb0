"""Connections to SQLite: our settings, transactions, waiting for locks, and errors by what to do next.

No other module uses SQLite. The library is the one that apsw includes: many systems' own library, which Python's
`sqlite3` uses, has a race between checkpoint and commit: committed rows can be lost when several processes write one
database (https://sqlite.org/wal.html#walresetbug). A library with that race is refused.
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
from core.errors import CauceError, StatementRefused

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Value, ...]

LOCK_INTERVAL = 0.001
"""Seconds between two tries for the write lock, on average. They vary at random, so that no process starves."""

CHECKPOINT_PAGES = 4000
"""Pages of the write-ahead log that trigger a checkpoint (16 MB)."""

_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
_NETWORK_FILE_SYSTEMS = frozenset(
    (
        *("9p", "afs", "afpfs", "ceph", "cifs", "coda", "davfs", "fuse.glusterfs", "fuse.sshfs", "glusterfs", "gpfs"),
        *("lustre", "ncpfs", "nfs", "nfs3", "nfs4", "smb2", "smb3", "smbfs"),
    )
)

_TEMPORARY = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.FullError,
    apsw.IOError,
    apsw.InterruptError,
    apsw.NoMemError,
    apsw.ProtocolError,
)
"""Errors after which the next try may succeed."""


_REFUSALS = (
    *(apsw.SQLError, apsw.AuthError, apsw.ReadOnlyError, apsw.BindingsError),
    *(apsw.MismatchError, apsw.RangeError, apsw.TooBigError),
)
"""Errors of a statement that a person has written."""

_READING = frozenset({apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE})
"""What a statement of a person may do."""


class Faults:
    """The errors that a database raises in place of SQLite's."""

    def __init__(self, temporary: type[CauceError], permanent: type[CauceError], *, remedy: str = "") -> None:
        self.temporary = temporary
        """The class of errors after which the next try may succeed: locked, disk full, I/O error."""
        self.permanent = permanent
        """The class of errors that the operator must mend: not a database, damaged, read-only, refused."""
        self.remedy = remedy
        """The end of the message about a damaged file: how to mend it."""


class Database(Closeable):
    """A connection to one database file, for one thread.

    Args:
        path: the file, which is created, readable by its owner only, unless `readonly`.
        faults: the errors to raise.
        durable: whether a commit survives a power cut (`synchronous=FULL`), and not only the death of processes.
        readonly: whether the connection never writes.
        lock_timeout: seconds to wait for another process's write lock.
    """

    def __init__(
        self,
        path: Path,
        faults: Faults,
        *,
        durable: bool = True,
        readonly: bool = False,
        lock_timeout: float = 10.0,
    ) -> None:
        self.path = path
        self._faults = faults
        self._lock_timeout = lock_timeout
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
        # SQLite opens a file without write permission read-only, and reports no error.
        if not readonly and self._connection.readonly("main"):
            self._connection.close()
            raise faults.permanent(f"{path} can't be used: this user has no permission to write it")

    def _create(self) -> None:
        """Create the file, readable by its owner only. SQLite gives the same permissions to the files beside it."""
        if self.path.exists():
            return
        # Before the file is created: the next start would accept one that was left behind.
        refuse_network_file_system(self.path, self._faults)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except FileExistsError:
            if not self.path.exists():
                raise self._faults.permanent(f"{self.path} can't be created: {self.path.parent} is a file") from None
        except OSError as error:
            raise self._faults.permanent(f"{self.path} can't be created: {error.strerror or error}") from error

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
        """Switch to the write-ahead log. SQLite refuses processes that do so at the same time, without waiting."""
        deadline = time.monotonic() + self._lock_timeout
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
        if now - self._waiting_since > self._lock_timeout:
            return False
        _pause()
        return True

    def execute(self, statement: str, bindings: Sequence[Value] = ()) -> list[Row]:
        """Run one statement and fetch all its rows."""
        try:
            return self._connection.execute(statement, bindings).fetchall()
        except apsw.Error as error:
            raise self._fault(error) from error

    def select(self, statement: str) -> tuple[Sequence[str], Iterator[Row]]:
        """Run a statement that a person has written and that may only read.

        Returns:
            The names of the columns, and the rows, which are read as they are asked for.

        Raises:
            StatementRefused: the statement is wrong, or would do more than read.
            CauceError: the file can't be read.
        """
        from apsw.ext import query_info  # only here: the import is slow

        self._connection.authorizer = _allow_reading
        try:
            found = query_info(self._connection, statement)
            if not found.description or found.query_remaining:
                raise StatementRefused("the statement is refused: write one SELECT")
            return [name for name, _ in found.description], self._rows(statement)
        except _REFUSALS as error:
            raise _refused(error) from error
        except apsw.Error as error:
            raise self._fault(error) from error

    def _rows(self, statement: str) -> Iterator[Row]:
        try:
            yield from self._connection.execute(statement)
        except _REFUSALS as error:
            raise _refused(error) from error
        except apsw.Error as error:
            raise self._fault(error) from error

    def execute_many(self, statement: str, bindings: Sequence[Sequence[Value]]) -> int:
        """Run one statement for each of `bindings`. Returns the number of changed rows."""
        before = self._connection.total_changes()
        try:
            self._connection.executemany(statement, bindings)
        except apsw.Error as error:
            raise self._fault(error) from error
        return self._connection.total_changes() - before

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take the write lock at once. Commit at the end of the block, or roll back when it raises.

        SQLite waits only for a lock that is taken at once (`BEGIN IMMEDIATE`). It refuses, without waiting, a
        transaction that reads first and then writes, when another connection has written meanwhile.
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
        """Let all statements of the block read the same state of the database."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        # SQLite itself rolls back after a full disk or an I/O error.
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def migrate(self, scripts: Sequence[str]) -> int:
        """Bring the schema up to date: run the scripts that this file has not seen, all or none.

        Returns:
            The number of scripts that the file had seen: 0 for a new file.

        Raises:
            CauceError: a newer version wrote the file (the permanent error).
        """
        if self.schema_version() == len(scripts):
            return len(scripts)
        with self.transaction():
            version = self.schema_version()
            if version > len(scripts):
                raise self._faults.permanent(
                    f"{self.path} has schema {version}, and this version of Cauce knows schemas up to {len(scripts)}: "
                    "use the newer version that wrote it"
                )
            for script in scripts[version:]:
                self.execute(script)
            self.execute(f"PRAGMA user_version = {len(scripts)}")
        return version

    def schema_version(self) -> int:
        """Return the number of scripts that this file has seen."""
        return self.number("PRAGMA user_version")

    def number(self, statement: str, bindings: Sequence[Value] = ()) -> int:
        """Return the integer that a statement selects, or 0 when it selects nothing or NULL."""
        rows = self.execute(statement, bindings)
        value = rows[0][0] if rows else None
        return value if isinstance(value, int) else 0

    def version(self) -> int:
        """Return a number that changes when another connection commits."""
        return self.number("PRAGMA data_version")

    def interrupt(self) -> None:
        """Interrupt a statement that runs in another thread. It raises the temporary error."""
        with suppress(apsw.ConnectionClosedError):
            self._connection.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _fault(self, error: apsw.Error) -> CauceError:
        reason = str(error).removeprefix(f"{type(error).__name__}: ")
        if isinstance(error, _TEMPORARY):
            return self._faults.temporary(f"{self.path} can't be used now: {reason}")
        remedy = self._faults.remedy if isinstance(error, apsw.CorruptError | apsw.NotADBError) else ""
        return self._faults.permanent(f"{self.path} can't be used: {reason}{remedy}")


def _refused(error: apsw.Error) -> StatementRefused:
    return StatementRefused(f"the statement is refused: {str(error).removeprefix(f'{type(error).__name__}: ')}")


def _allow_reading(operation: int, first: str | None, *_: str | None) -> int:
    """Allow what only reads this database, as SQLite asks when it prepares a statement."""
    described = operation == apsw.SQLITE_PRAGMA and first in {"table_info", "table_xinfo", "table_list", "index_list"}
    return apsw.SQLITE_OK if operation in _READING or described else apsw.SQLITE_DENY


def _pause() -> None:
    time.sleep(LOCK_INTERVAL * (0.5 + random.random()))  # noqa: S311 - to spread processes


def check_library(version: str, faults: Faults) -> None:
    """Refuse an SQLite library that can lose commits when several processes write.

    Raises:
        CauceError: the library has the race (the permanent error).
    """
    number = tuple(int(part) for part in version.split(".")[:3])
    if number >= _FIXED[-1] or any(number[:2] == fixed[:2] and number >= fixed for fixed in _FIXED):
        return
    raise faults.permanent(
        f"SQLite {version} can lose commits when several processes write (https://sqlite.org/wal.html#walresetbug); "
        "install apsw 3.54 or newer from PyPI, which includes a newer SQLite"
    )


def refuse_network_file_system(path: Path, faults: Faults) -> None:
    """Refuse a database on a network file system: SQLite's write-ahead log needs shared memory.

    Raises:
        CauceError: the path is on a network file system (the permanent error).
    """
    import psutil  # only here, where a database is created: the import is slow

    place = str(path.resolve())
    mounts = [mount for mount in psutil.disk_partitions(all=True) if _lies_under(place, mount.mountpoint)]
    if not mounts:
        return
    # Of two at the same place (an automounter and its mount) the later one hides the other.
    nearest = max(reversed(mounts), key=lambda mount: len(mount.mountpoint))
    remote = "remote" in nearest.opts.split(",")  # a network drive, on Windows
    if remote or nearest.fstype.lower() in _NETWORK_FILE_SYSTEMS:
        raise faults.permanent(
            f"{path} lies on {nearest.mountpoint}, a network file system ({nearest.fstype}), "
            "where SQLite can't share a database between processes: choose a directory on a local disk"
        )


def _lies_under(place: str, mountpoint: str) -> bool:
    return place == mountpoint or place.startswith(mountpoint.rstrip("/\\") + os.sep)
