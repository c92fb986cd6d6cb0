"""Reads files and pipes, in pieces; a pipe that has nothing now holds nobody up."""

import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

from core.errors import ConfigurationError

PIECE = 256 * 1024
PIECES_AHEAD = 4
"""How many pieces of a pipe are read ahead of what is taken."""


def read_file(path: Path) -> Iterator[bytes]:
    """Read a file.

    Raises:
        ConfigurationError: it can't be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error


def read_pipe(descriptor: int) -> Iterator[bytes]:
    """Read a pipe or terminal; an empty piece says that nothing is there at this moment.

    A thread waits for it, which the process leaves behind when it ends.

    Raises:
        ConfigurationError: it can't be read.
    """
    pieces: queue.Queue[bytes | OSError] = queue.Queue(PIECES_AHEAD)

    def read() -> None:
        try:
            # Not through a buffered stream: a thread that is left behind in one would hold its lock at the end.
            while piece := os.read(descriptor, PIECE):
                pieces.put(piece)
            pieces.put(b"")
        except OSError as error:
            pieces.put(error)

    threading.Thread(target=read, name="pipe", daemon=True).start()
    while True:
        try:
            piece = pieces.get_nowait()
        except queue.Empty:
            yield b""
            continue
        if isinstance(piece, OSError):
            raise ConfigurationError(f"the input can't be read: {piece.strerror or piece}") from piece
        if not piece:
            return
        yield piece
