"""The memory in which a worker and its runners note what has begun, and which outlives them both.

A worker puts each task that it gives to a runner into a slot. The runner notes the time right before it calls the
task's function, which costs no system call. So when a runner or the whole worker dies, it is known exactly which tasks
had begun. The operating system keeps the memory of a killed process in its file; a power cut may lose it.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec

CAPACITY = 4096
"""The number of slots."""

_NAME_LENGTH = 120
_HEADER = struct.Struct(f"<Q{_NAME_LENGTH}s")
"""The number of slots that were ever used, and the worker's name."""

_SLOT = struct.Struct("<qddddq")
"""Attempt, queued_at, taken_at, started_at, monotonic time of the start, and the number of the task.

The monotonic time is 0 until the task begins, and the number is 0 in a free slot: each is written last.
"""
_USED = struct.Struct("<Q")
_TIME = struct.Struct("<d")
_SEQ = struct.Struct("<q")
_STARTED_OFFSET = 3 * 8
_MONOTONIC_OFFSET = 4 * 8
_SEQ_OFFSET = 5 * 8
SIZE = _HEADER.size + CAPACITY * _SLOT.size
_PLACES = range(_HEADER.size, SIZE, _SLOT.size)
"""The offset of each slot."""


class BegunAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that has begun and not ended, as far as is known."""

    seq: int
    attempt: int
    """The number of attempts that had ended with an outcome before."""
    worker: str = ""
    queued_at: float | None
    taken_at: float | None
    started_at: float
    runner: int | None = None
    """The number of the runner within its worker; None when it is not known, as in the file of a worker."""
    report: str | None = None
    """What the attempt has said of itself, as the journal stores it."""


class BegunSlots:
    """The slots of one worker, as the worker and its runners have them.

    Args:
        memory: `SIZE` bytes, which they share.
    """

    def __init__(self, memory: mmap.mmap | bytearray) -> None:
        self._memory = memory

    @classmethod
    def open(cls, path: Path) -> "BegunSlots":
        """Share the memory of a file that a worker has made.

        Raises:
            OSError: the file can't be used.
        """
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            return cls(mmap.mmap(descriptor, SIZE))
        finally:
            os.close(descriptor)

    def set_header(self, used: int, worker: str) -> None:
        """Note the worker's name, and that no slot from `used` on was ever used."""
        name = worker.encode()[:_NAME_LENGTH].decode(errors="ignore").encode()
        _HEADER.pack_into(self._memory, 0, used, name)

    def set_used(self, used: int) -> None:
        """Note that no slot from `used` on was ever used."""
        _USED.pack_into(self._memory, 0, used)

    def fill(self, slot: int, seq: int, attempt: int, queued_at: float, taken_at: float) -> None:
        """Put an attempt that has not begun into a slot. With the number 0 only this worker knows of it."""
        _SLOT.pack_into(self._memory, _PLACES[slot], attempt, queued_at, taken_at, 0.0, 0.0, seq)

    def begin(self, slot: int, at: float, monotonic: float) -> None:
        """Note that the attempt in a slot begins now."""
        place = _PLACES[slot]
        _TIME.pack_into(self._memory, place + _STARTED_OFFSET, at)
        _TIME.pack_into(self._memory, place + _MONOTONIC_OFFSET, monotonic)

    def times(self, slot: int) -> tuple[float, float]:
        """Return the time of the day and the monotonic time of the beginning; the second is 0 if it did not begin."""
        _, _, _, at, monotonic, _ = _SLOT.unpack_from(self._memory, _PLACES[slot])
        return at, monotonic

    def clear(self, slot: int) -> None:
        """Free a slot."""
        _SEQ.pack_into(self._memory, _PLACES[slot] + _SEQ_OFFSET, 0)


def read(path: Path, seqs: "set[int] | frozenset[int] | None") -> Iterator[BegunAttempt]:
    """Yield the attempts of these tasks, or of all, that have begun and not ended by the file of a worker.

    Raises:
        OSError, struct.error: the file can't be read.
    """
    with path.open("rb") as file:
        used, name = _HEADER.unpack(file.read(_HEADER.size))
        content = file.read(min(used, CAPACITY) * _SLOT.size)
    if seqs is not None and len(seqs) == 1 and not any(_SEQ.pack(seq) in content for seq in seqs):
        return  # the usual case, and many times as fast as to unpack all
    worker = name.rstrip(b"\0").decode(errors="replace")
    for attempt, queued_at, taken_at, started_at, monotonic, seq in _SLOT.iter_unpack(content):
        if seq and monotonic and (seqs is None or seq in seqs):
            yield BegunAttempt(
                seq=seq,
                attempt=attempt,
                worker=worker,
                queued_at=queued_at or None,
                taken_at=taken_at,
                started_at=started_at,
            )
