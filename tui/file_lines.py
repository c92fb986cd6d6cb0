"""The lines of a file of any length, and the share of the file that was read."""

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from core.errors import ConfigurationError
from core.text_encoding import foreign_encoding
from tui import payloads


class FileLines:
    """Reads a file once.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._read = 0

    @property
    def share(self) -> float | None:
        """The share that was read, between 0 and 1, or None when the length is unknown. Any thread may read it."""
        return min(1.0, self._read / self._size) if self._size else None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the lines.

        Raises:
            ConfigurationError: the file can't be read, or is not UTF-8.
        """
        try:
            with self._path.open("rb") as binary, io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as file:
                if encoding := foreign_encoding(binary.peek(2)):
                    raise ConfigurationError(f"{self._path} is {encoding}: save it as UTF-8")
                status = os.fstat(file.fileno())
                self._size = status.st_size if stat.S_ISREG(status.st_mode) else 0
                while line := file.readline(payloads.MAX_LINE):
                    # The bytes of the lines, not the position of the file, which has read ahead.
                    self._read += len(line.encode())
                    yield line
        except OSError as error:
            raise ConfigurationError(f"{self._path} can't be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{self._path} is not UTF-8: {error.reason}") from error
