"""The user's choices that are restored the next time: theme, density, tab. They are state, not settings."""

import contextlib
import os
from pathlib import Path

import msgspec

from core.file_permissions import owner_only


class Preferences:
    """The choices, kept in a file of the system's directory. Failures to read or write it are ignored.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, object] = {}
        with contextlib.suppress(OSError, ValueError, RecursionError):
            self._values = msgspec.json.decode(path.read_bytes(), type=dict[str, object])

    def text(self, name: str, default: str) -> str:
        """Return a choice that is a text."""
        value = self._values.get(name)
        return value if isinstance(value, str) else default

    def flag(self, name: str) -> bool:
        """Return whether a choice is true."""
        return self._values.get(name) is True

    def put(self, name: str, value: object) -> None:
        """Store a choice."""
        self._values[name] = value
        temporary = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError, ValueError):
            with open(temporary, "wb", opener=owner_only) as stream:
                stream.write(msgspec.json.encode(self._values))
            temporary.replace(self._path)
