"""The export of tasks to a file for other programs: JSON lines or CSV. It knows no screen.

The file gets its name when it is complete. Until then it has another name in the same directory, so that neither a
cancelled export nor a killed program leaves a partial file that looks complete.
"""

import contextlib
import csv
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec

from core.errors import ConfigurationError
from core.file_permissions import owner_only
from core.model import Task
from core.repository.archive import Archive
from core.repository.search import Search, SortOrder

PROGRESS_TASKS = 500
"""Tasks between two reports of the progress."""

NO_LIMIT = 2**62
"""A number larger than any journal: unlike a table, a file gets all results."""

_COLUMNS = ("number", "id", "kind", "state", "attempts", "worker", "payload", "result", "error", "accepted", "ended")
_NAME_KEPT = 100
"""Characters of the final name that the temporary name begins with."""


class Exported(msgspec.Struct, frozen=True):
    """The result of an export."""

    written: int
    total: int
    cancelled: bool = False
    """Whether the export was cancelled, and left no file."""


class _Cancelled(Exception):
    """The export was cancelled."""

    def __init__(self, written: int) -> None:
        super().__init__()
        self.written = written


def export(
    archive: Archive,
    search: Search,
    order: SortOrder,
    path: Path,
    reporter: Callable[[int], Callable[[int], None]],
    cancelled: threading.Event,
) -> Exported:
    """Write the tasks that a search matches to a new file. An existing file is not overwritten.

    Args:
        archive: the archive to read.
        search: the search that the tasks match.
        order: the order of the tasks in the file.
        path: the file: CSV when its name ends in .csv, JSON lines otherwise.
        reporter: takes the number of tasks found, and returns what takes the number of tasks written, now and then.
        cancelled: when set, ends the export and leaves no file.

    Raises:
        JournalError: the journal can't be read.
        ConfigurationError: the file can't be written.
    """
    seqs = archive.find(search, order, NO_LIMIT)
    on_progress = reporter(len(seqs))
    try:
        with _new_file(path) as out:
            written = _write(archive, seqs, out, path.suffix.lower() == ".csv", on_progress, cancelled)
    except _Cancelled as end:
        return Exported(end.written, len(seqs), cancelled=True)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists already: choose another name") from error
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror or error}") from error
    return Exported(written, len(seqs))


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[IO[str]]:
    """Open a new file. On success it gets its name, unless the name is taken by then; on failure it is removed."""
    if path.exists():
        raise FileExistsError
    unfinished = path.with_name(f"{path.name[:_NAME_KEPT]}.{secrets.token_hex(4)}.part")
    with open(unfinished, "x", encoding="utf-8", newline="", opener=owner_only) as out:
        try:
            yield out
            out.flush()
            os.fsync(out.fileno())
            out.close()
            _rename_new(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                out.close()
            unfinished.unlink(missing_ok=True)
            raise


def _rename_new(unfinished: Path, path: Path) -> None:
    """Rename a file, and overwrite nothing."""
    try:
        # Unlike a rename, a link refuses a name that is taken, on every system.
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no links.
        if path.exists():
            raise FileExistsError from None
        unfinished.rename(path)
    else:
        unfinished.unlink()


def _write(
    archive: Archive,
    seqs: Sequence[int],
    out: IO[str],
    as_csv: bool,
    on_progress: Callable[[int], None],
    cancelled: threading.Event,
) -> int:
    writer = csv.writer(out)
    if as_csv:
        writer.writerow(_COLUMNS)
    written = 0
    for written, task in enumerate(_tasks(archive, seqs), 1):
        if as_csv:
            writer.writerow([escape_formula(str(value)) for value in _cells(task)])
        else:
            out.write(msgspec.json.encode(_members(task)).decode() + "\n")
        if written % PROGRESS_TASKS == 0:
            on_progress(written)
        if cancelled.is_set():
            raise _Cancelled(written)
    on_progress(written)
    return written


def _tasks(archive: Archive, seqs: Sequence[int]) -> Iterator[Task]:
    for seq in seqs:
        task = archive.task(seq)
        if task is not None:
            yield task


def _cells(task: Task) -> tuple[object, ...]:
    failure = "" if task.failure is None else f"{task.failure.type}: {task.failure.message}"
    return (
        task.seq,
        task.id,
        task.kind,
        task.state.value,
        task.tries,
        task.worker or "",
        task.payload,
        task.result or "",
        failure,
        task.times.accepted or "",
        task.times.stored or "",
    )


def escape_formula(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula. A number stays a number.

    Formulas begin with `=`, `+`, `-`, `@` or a tab: https://owasp.org/www-community/attacks/CSV_Injection.
    """
    if text[:1] in {"=", "+", "-", "@", "\t", "\r"} and not _is_number(text):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _members(task: Task) -> dict[str, object]:
    members: dict[str, object] = msgspec.structs.asdict(task)
    members["attempts"] = task.tries
    members["payload"] = json.loads(task.payload)
    members["result"] = None if task.result is None else json.loads(task.result)
    members["state"] = task.state.value
    members["failure"] = None if task.failure is None else msgspec.structs.asdict(task.failure)
    members["times"] = msgspec.structs.asdict(task.times)
    return members
