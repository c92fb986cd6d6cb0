"""Which attempts the workers of a journal have begun and not ended, in a file of each worker beside the journal.

To store each beginning in the journal would cost every task a transaction. A worker and its runners write it to memory
that they share with the worker's file instead (`core.begun_slots`), which costs next to nothing.
"""

import mmap
import os
import struct
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from core import begun_slots
from core.begun_slots import CAPACITY, SIZE, BegunAttempt, BegunSlots
from core.closeable import Closeable
from core.locks import FileLock

NO_SLOT = -1
"""The slot of an attempt that has none."""

_LOCK_SUFFIX = ".lock"


class WorkerBeginnings(Closeable):
    """The file of one worker. It is for one thread at a time.

    Args:
        path: the file. A worker that can't have it uses a temporary one, and its death is then not known to others.
        worker: the worker's name.
    """

    def __init__(self, path: Path, worker: str) -> None:
        self._lock: FileLock | None = None
        self._free = list(range(CAPACITY - 1, -1, -1))
        self._used = 0
        self.path = path
        try:
            path.parent.parent.mkdir(mode=0o700, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._lock = FileLock(path.with_name(path.name + _LOCK_SUFFIX))
            self.slots = BegunSlots(_map(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)))
        except OSError:
            descriptor, name = tempfile.mkstemp(prefix="cauce-begun-")
            self.path = Path(name)
            self.slots = BegunSlots(_map(descriptor))
        self.slots.set_header(0, worker)

    @property
    def has_room(self) -> bool:
        """Whether a slot is free."""
        return bool(self._free)

    def add(self, seq: int, attempt: int, queued_at: float, taken_at: float) -> int:
        """Put an attempt that is about to begin into a slot. Returns the slot, or `NO_SLOT` when all are used."""
        if not self._free:
            return NO_SLOT
        slot = self._free.pop()
        self.slots.fill(slot, seq, attempt, queued_at, taken_at)
        if slot >= self._used:
            self._used = slot + 1
            self.slots.set_used(self._used)
        return slot

    def remove(self, slot: int) -> None:
        """Free a slot: its attempt has ended and its outcome is stored, or it did not begin."""
        self.slots.clear(slot)
        self._free.append(slot)

    def close(self) -> None:
        """Remove the file: the worker leaves in good order, and no attempt of it is lost."""
        self.slots.set_used(0)
        if self._lock is not None:
            self._lock.close()
        _remove(self.path)


class Beginnings:
    """The files of all workers of one journal.

    Args:
        journal: the journal's file.
    """

    def __init__(self, journal: Path) -> None:
        self._directory = journal.parent / ".cauce" / f"begun-{journal.name}"

    def of_worker(self, number: int, worker: str) -> WorkerBeginnings:
        """Make the file of a worker.

        Args:
            number: the number that the journal assigned to it.
            worker: its name.
        """
        return WorkerBeginnings(self._directory / str(number), worker)

    def find(self, seqs: Collection[int] | None) -> list[BegunAttempt]:
        """Return the attempts of these tasks, or of all, that have begun and not ended."""
        return [each for path in self._files() for each in _read(path, seqs)]

    def find_live(self, seq: int) -> list[BegunAttempt]:
        """Return the attempts of a task that workers which live have begun and not ended."""
        return [each for path in self._files() for each in _read(path, {seq}) if not _is_dead(path)]

    def take_dead(self) -> list[BegunAttempt]:
        """Return the attempts that workers which have died had begun, and remove their files."""
        taken: list[BegunAttempt] = []
        for path in self._files():
            if _is_dead(path):
                taken += _read(path, None)
                _remove(path)
        return taken

    def _files(self) -> list[Path]:
        with suppress(OSError):
            return [self._directory / name for name in os.listdir(self._directory) if name.isdecimal()]
        return []


def _map(descriptor: int) -> mmap.mmap:
    """Share memory with a file, and close its descriptor."""
    try:
        os.truncate(descriptor, SIZE)
        return mmap.mmap(descriptor, SIZE)
    finally:
        os.close(descriptor)


def _read(path: Path, seqs: Collection[int] | None) -> list[BegunAttempt]:
    with suppress(OSError, struct.error):
        return list(begun_slots.read(path, None if seqs is None else set(seqs)))
    return []


def _is_dead(path: Path) -> bool:
    """Return whether the worker of a file is certainly gone."""
    try:
        FileLock(path.with_name(path.name + _LOCK_SUFFIX), create=False).close()
    except OSError:  # it is held, or missing, or locks don't work here
        return False
    return True


def _remove(path: Path) -> None:
    for each in (path, path.with_name(path.name + _LOCK_SUFFIX)):
        with suppress(OSError):
            each.unlink()
