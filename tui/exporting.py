"""Tasks written to a file for other programs: JSON lines, or CSV. It knows of no screen.

The file gets its name when it is whole. Until then it lies beside its place under another one, so that neither an
export that is cancelled nor a program that is killed leaves half a file that looks like a whole one.
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

EXPORTED_AT_ONCE = 500
"""Tasks between two words about how far it is."""

EVERYTHING = 2**62
"""A table lists the first of very many results; a file gets them all."""

_COLUMNS = ("number", "id", "kind", "state", "attempts", "worker", "payload", "result", "error", "accepted", "ended")
_NAME_KEPT = 100
"""Characters of a file's name that the name of an unfinished one begins with."""


class Exported(msgspec.Struct, frozen=True):
    """What came of an export."""

    written: int
    of: int
    cancelled: bool = False
    """There is no file then."""


class _Cancelled(Exception):
    """A person has cancelled it."""

    def __init__(self, written: int) -> None:
        super().__init__()
        self.written = written


def export(
    archive: Archive,
    search: Search,
    order: SortOrder,
    path: Path,
    progress: Callable[[int], None],
    cancelled: threading.Event,
) -> Exported:
    """Write what a search finds to a new file; a file that is there is not overwritten.

    Args:
        archive: of the journal.
        search: which tasks.
        order: in which order.
        path: the file: CSV when its name ends so, JSON lines otherwise.
        progress: told now and then how many are written.
        cancelled: ends it when it is set, without a file.

    Raises:
        JournalError: the journal can't be read.
        ConfigurationError: the file can't be written.
    """
    seqs = archive.find(search, order, EVERYTHING)
    try:
        with _new_file(path) as out:
            written = _write(archive, seqs, out, path.suffix.lower() == ".csv", progress, cancelled)
    except _Cancelled as end:
        return Exported(end.written, len(seqs), cancelled=True)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} is there already: choose another name") from error
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror or error}") from error
    return Exported(written, len(seqs))


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[IO[str]]:
    """A file that gets its name at its end, if nothing has that by then; without that end it is taken away."""
    if path.exists():
        raise FileExistsError
    unfinished = path.with_name(f"{path.name[:_NAME_KEPT]}.{secrets.token_hex(4)}.part")
    with open(unfinished, "x", encoding="utf-8", newline="", opener=owner_only) as out:
        try:
            yield out
            out.flush()
            os.fsync(out.fileno())
            out.close()
            _name(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                out.close()
            unfinished.unlink(missing_ok=True)
            raise


def _name(unfinished: Path, path: Path) -> None:
    """Give a file its name, and overwrite nothing."""
    try:
        # Unlike a renaming, a link refuses a name that is taken, on every system.
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:
        # There are file systems without links.
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
    progress: Callable[[int], None],
    cancelled: threading.Event,
) -> int:
    writer = csv.writer(out)
    if as_csv:
        writer.writerow(_COLUMNS)
    written = 0
    for written, task in enumerate(_tasks(archive, seqs), 1):
        if as_csv:
            writer.writerow([harmless(str(value)) for value in _cells(task)])
        else:
            out.write(msgspec.json.encode(_members(task)).decode() + "\n")
        if written % EXPORTED_AT_ONCE == 0:
            progress(written)
        if cancelled.is_set():
            raise _Cancelled(written)
    progress(written)
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
        task.attempts,
        task.worker or "",
        task.payload,
        task.result or "",
        failure,
        task.times.accepted or "",
        task.times.stored or "",
    )


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    Those that begin with `=`, `+`, `-`, `@` or a tab are: https://owasp.org/www-community/attacks/CSV_Injection.
    A number stays a number.
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
    members["payload"] = json.loads(task.payload)
    members["result"] = None if task.result is None else json.loads(task.result)
    members["state"] = task.state.value
    members["failure"] = None if task.failure is None else msgspec.structs.asdict(task.failure)
    members["times"] = msgspec.structs.asdict(task.times)
    return members
