"""Which attempts the workers of a journal have begun and not ended, in a file of each worker beside the journal.

To store each beginning in the journal would cost every task a transaction. A worker writes it to memory that it shares
with its file instead, which costs next to nothing. The operating system keeps that when the process is killed.
A power cut may lose it: then a lost attempt is not counted.
"""

import mmap
import os
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from core.closeable import Closeable
from core.locks import FileLock

CAPACITY = 4096
"""Attempts that a file has room for. Those beyond are not recorded."""

NO_SLOT = -1
"""The slot of an attempt that is not recorded."""

_NAME_LENGTH = 120
_HEADER = struct.Struct(f"<Q{_NAME_LENGTH}s")
"""The number of slots that were ever used, and the worker's name."""
_SLOT = struct.Struct("<qdddq")
"""Attempt, queued_at, taken_at, started_at, and at last the number of the task, which is 0 in a free slot."""
_USED = struct.Struct("<Q")
_SEQ = struct.Struct("<q")
_SEQ_OFFSET = _SLOT.size - _SEQ.size
_SIZE = _HEADER.size + CAPACITY * _SLOT.size
_LOCK_SUFFIX = ".lock"


class BegunAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that has begun and not ended, as far as is known."""

    seq: int
    attempt: int
    """The number of attempts that had ended with an outcome before."""
    worker: str = ""
    queued_at: float | None
    taken_at: float | None
    started_at: float


class WorkerBeginnings(Closeable):
    """The file of one worker. It is for one thread at a time.

    Args:
        path: the file.
        worker: the worker's name.
    """

    def __init__(self, path: Path, worker: str) -> None:
        self._path = path
        self._lock: FileLock | None = None
        self._memory: mmap.mmap | bytearray = bytearray(_SIZE)
        self._free = list(range(CAPACITY - 1, -1, -1))
        self._used = 0
        # A worker that can't have the file does its work all the same.
        with suppress(OSError):
            path.parent.parent.mkdir(mode=0o700, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._lock = FileLock(path.with_name(path.name + _LOCK_SUFFIX))
            self._memory = _map(path)
        name = worker.encode()[:_NAME_LENGTH].decode(errors="ignore").encode()
        _HEADER.pack_into(self._memory, 0, 0, name)

    def add(self, seq: int, attempt: int, queued_at: float, taken_at: float, started_at: float) -> int:
        """Note that an attempt begins. Returns its slot."""
        if not self._free:
            return NO_SLOT
        slot = self._free.pop()
        _SLOT.pack_into(self._memory, _place(slot), attempt, queued_at, taken_at, started_at, seq)
        if slot >= self._used:
            self._used = slot + 1
            _USED.pack_into(self._memory, 0, self._used)
        return slot

    def remove(self, slot: int) -> None:
        """Note that the attempt of a slot has ended, and that its outcome is stored."""
        _SEQ.pack_into(self._memory, _place(slot) + _SEQ_OFFSET, 0)
        self._free.append(slot)

    def close(self) -> None:
        """Remove the file: the worker leaves in good order, and no attempt of it is lost."""
        _USED.pack_into(self._memory, 0, 0)
        if self._lock is not None:
            self._lock.close()
            _remove(self._path)


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


def _map(path: Path) -> mmap.mmap:
    """Make a file and share memory with it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.ftruncate(descriptor, _SIZE)
        return mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)


def _place(slot: int) -> int:
    return _HEADER.size + slot * _SLOT.size


def _read(path: Path, seqs: Collection[int] | None) -> Iterator[BegunAttempt]:
    """Yield the attempts of these tasks, or of all, in a file."""
    with suppress(OSError, struct.error), path.open("rb") as file:
        used, name = _HEADER.unpack(file.read(_HEADER.size))
        content = file.read(min(used, CAPACITY) * _SLOT.size)
        if seqs is not None and len(seqs) == 1 and not any(_SEQ.pack(seq) in content for seq in seqs):
            return  # the usual case, and many times as fast as to unpack all
        worker = name.rstrip(b"\0").decode(errors="replace")
        for attempt, queued_at, taken_at, started_at, seq in _SLOT.iter_unpack(content):
            if seq and (seqs is None or seq in seqs):
                yield BegunAttempt(
                    seq=seq,
                    attempt=attempt,
                    worker=worker,
                    queued_at=queued_at or None,
                    taken_at=taken_at,
                    started_at=started_at,
                )


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
