"""The processes that a user declares in the settings file: tables `[process.NAME]`. It only reads."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from core import config
from core.addresses import Address
from core.config import Settings
from core.errors import ConfigurationError

T = TypeVar("T")

READY_AFTER = 1.0
"""Seconds of life after which a process counts as ready, when nothing else was said."""

LONGEST = 86_400.0

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_NOT_FREE = re.compile(
    r"[sw]\d+|nginx|rabbitmq|epmd|servers|workers|declared|all|supervisor|guard"  # names of our own parts and files
)
_KEYS = ("command", "directory", "environment", "start", "ready", "ready-after", "stop-timeout")


class DeclaredProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the user's own."""

    name: str
    command: tuple[str, ...]
    """What to run, without a shell."""
    directory: Path
    """Where it runs."""
    environment: Mapping[str, str]
    """What it has beside the supervisor's own."""
    start: bool = True
    """Whether it is started with the system; else only by `start NAME`."""
    ready: Address | None = None
    """It is ready when this address takes connections."""
    ready_after: float = READY_AFTER
    """Without an address: it is ready when it has lived for so many seconds."""
    stop_timeout: float | None = None
    """Seconds that it has to end; the supervisor's setting when None."""


def read(settings: Settings, directory: Path) -> list[DeclaredProcess]:
    """Read what is declared.

    Args:
        settings: of the supervisor.
        directory: the system's, to which others are relative.

    Raises:
        ConfigurationError: a table is wrong; names the file and the key.
    """
    return [_ProcessTable(settings.file, name, table).read(directory) for name, table in settings.processes.items()]


class _ProcessTable:
    """One table of the file."""

    def __init__(self, file: str, name: str, content: object) -> None:
        self._place = f"process.{name}"
        self._file = file
        self._name = name
        if not _NAME.fullmatch(name):
            self._refuse("", "is no name for a process: use up to 31 small letters, digits and -, a letter first")
        if _NOT_FREE.fullmatch(name):
            self._refuse("", "is what a part of the system is called: choose another name")
        if not isinstance(content, dict):
            self._refuse("", "must be a table")
        self._content: Mapping[str, object] = content
        for key in content:
            if key not in _KEYS:
                near = difflib.get_close_matches(key, _KEYS, 1)
                self._refuse(key, f"is no setting of a process{f'; do you mean {near[0]!r}?' if near else ''}")

    def read(self, directory: Path) -> DeclaredProcess:
        """Check every value."""
        ready = self._text("ready")
        return DeclaredProcess(
            name=self._name,
            command=self._command(),
            directory=directory / (self._text("directory") or "."),
            environment=self._environment(),
            start=self._switch("start", default=True),
            ready=self._checked("ready", config.address, ready) if ready else None,
            ready_after=self._seconds("ready-after") or READY_AFTER,
            stop_timeout=self._seconds("stop-timeout"),
        )

    def _command(self) -> tuple[str, ...]:
        value = self._content.get("command")
        if not isinstance(value, list) or not value or not all(_is_text(part) for part in value) or not value[0]:
            self._refuse("command", 'must be a list of texts: a program and its arguments, such as ["python3", "x.py"]')
        return tuple(value)

    def _environment(self) -> dict[str, str]:
        value = self._content.get("environment", {})
        if not isinstance(value, dict) or not all(_is_text(text) for text in value.values()):
            self._refuse("environment", 'must be a table of texts, such as { LANG = "C" }')
        for name in value:
            if not name or "=" in name or "\0" in name:
                self._refuse("environment", f"holds {name!r}, which can't be the name of a variable")
        return dict(value)

    def _text(self, key: str) -> str:
        value = self._content.get(key, "")
        if not _is_text(value):
            self._refuse(key, "must be a text")
        return str(value)

    def _switch(self, key: str, *, default: bool) -> bool:
        value = self._content.get(key, default)
        if not isinstance(value, bool):
            self._refuse(key, "must be true or false")
        return value

    def _seconds(self, key: str) -> float | None:
        value = self._content.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._refuse(key, "must be a number of seconds")
        return self._checked(key, config.seconds(0, LONGEST), str(value))

    def _checked(self, key: str, reader: Callable[[str], T], text: str) -> T:
        try:
            return reader(text)
        except ValueError as error:
            self._refuse(key, str(error))

    def _refuse(self, key: str, what: str) -> NoReturn:
        place = f"{self._place}.{key}" if key else self._place
        raise ConfigurationError(f"{self._file}: {place} {what}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value
