"""What a person has chosen and finds again the next time: theme, density, tab. It is state, and no setting."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from core.file_permissions import owner_only


class Preferences:
    """Keeps them in a file of the system's directory. One that can't be read or written is nobody's trouble.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, object] = {}
        with contextlib.suppress(OSError, ValueError, RecursionError):
            self._values = msgspec.json.decode(path.read_bytes(), type=dict[str, object])

    @property
    def everything(self) -> Mapping[str, object]:
        """All of them, by names."""
        return self._values

    def text(self, name: str, default: str) -> str:
        """A text."""
        value = self._values.get(name)
        return value if isinstance(value, str) else default

    def flag(self, name: str) -> bool:
        """Yes or no; no when nothing was chosen."""
        return self._values.get(name) is True

    def put(self, name: str, value: object) -> None:
        """Keep a choice."""
        self._values[name] = value
        scratch = self._path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError, ValueError):
            with open(scratch, "wb", opener=owner_only) as stream:
                stream.write(msgspec.json.encode(self._values))
            scratch.replace(self._path)
