"""The lines of a file of any length, one after the other, and how much of it has been read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from core.errors import ConfigurationError
from tui import payloads


class FileLines:
    """Reads a file once.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._read = 0

    @property
    def share(self) -> float | None:
        """How much has been read, between 0 and 1; None for what has no length. Any thread may ask."""
        return min(1.0, self._read / self._size) if self._size else None

    def __iter__(self) -> Iterator[str]:
        """The lines.

        Raises:
            ConfigurationError: it can't be read, or is no text.
        """
        try:
            with self._path.open(encoding="utf-8", newline="") as file:
                about = os.fstat(file.fileno())
                self._size = about.st_size if stat.S_ISREG(about.st_mode) else 0
                while line := file.readline(payloads.LONGEST_LINE):
                    # The bytes of the lines themselves: what the file has read ahead is not submitted yet.
                    self._read += len(line.encode())
                    yield line
        except OSError as error:
            raise ConfigurationError(f"{self._path} can't be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{self._path} is not UTF-8: {error.reason}") from error
