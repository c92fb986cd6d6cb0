"""Reads files and pipes in chunks; reading a pipe never blocks the caller."""

import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

from core.errors import ConfigurationError

CHUNK_SIZE = 256 * 1024
MAX_CHUNKS_AHEAD = 4
"""Chunks of a pipe that are read ahead of the consumer."""


def read_file(path: Path) -> Iterator[bytes]:
    """Yield the chunks of a file.

    Raises:
        ConfigurationError: the file can't be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK_SIZE):
                yield chunk
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error


def read_pipe(descriptor: int) -> Iterator[bytes]:
    """Yield the chunks of a pipe or terminal, and an empty chunk when there is no input for now.

    A daemon thread reads, so that the process can end without waiting for input.

    Raises:
        ConfigurationError: the input can't be read.
    """
    chunks: queue.Queue[bytes | OSError] = queue.Queue(MAX_CHUNKS_AHEAD)

    def read() -> None:
        try:
            # Not through a buffered stream: the daemon thread would still hold its lock when the process ends.
            while chunk := os.read(descriptor, CHUNK_SIZE):
                chunks.put(chunk)
            chunks.put(b"")
        except OSError as error:
            chunks.put(error)

    threading.Thread(target=read, name="pipe", daemon=True).start()
    while True:
        try:
            chunk = chunks.get_nowait()
        except queue.Empty:
            yield b""
            continue
        if isinstance(chunk, OSError):
            raise ConfigurationError(f"the input can't be read: {chunk.strerror or chunk}") from chunk
        if not chunk:
            return
        yield chunk
