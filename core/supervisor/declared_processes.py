"""Reads the processes that a user declares in the settings file, in tables `[process.NAME]`."""

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
"""Seconds of life after which a process counts as ready, by default."""

MAX_SECONDS = 86_400.0

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_RESERVED = re.compile(
    r"[sw]\d+|nginx|rabbitmq|epmd|servers|workers|declared|all|supervisor|guard"  # names of units, groups and log files
)
_KEYS = ("command", "directory", "environment", "start", "ready", "ready-after", "stop-timeout")


class DeclaredProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One process that the user has declared."""

    name: str
    command: tuple[str, ...]
    """The program and its arguments; no shell is used."""
    directory: Path
    """The working directory."""
    environment: Mapping[str, str]
    """The variables added to the supervisor's environment."""
    start: bool = True
    """Whether it is started with the system, not only by `start NAME`."""
    ready: Address | None = None
    """The address that accepts connections once it is ready."""
    ready_after: float = READY_AFTER
    """Seconds of life after which it counts as ready, when it has no address."""
    stop_timeout: float | None = None
    """Seconds that it has to end before it is killed; the supervisor's setting when None."""


def read(settings: Settings, directory: Path) -> list[DeclaredProcess]:
    """Read the declared processes.

    Args:
        settings: the supervisor's settings.
        directory: the data directory, which relative paths start from.

    Raises:
        ConfigurationError: a table is not valid; the message names the file and the key.
    """
    return [_ProcessTable(settings.file, name, table).read(directory) for name, table in settings.processes.items()]


class _ProcessTable:
    """One table of the file."""

    def __init__(self, file: str, name: str, content: object) -> None:
        self._place = f"process.{name}"
        self._file = file
        self._name = name
        if not _NAME.fullmatch(name):
            self._refuse(
                "", "is not a valid process name: use up to 31 lowercase letters, digits and -, a letter first"
            )
        if _RESERVED.fullmatch(name):
            self._refuse("", "is the name of a part of the system: choose another name")
        if not isinstance(content, dict):
            self._refuse("", "must be a table")
        self._content: Mapping[str, object] = content
        for key in content:
            if key not in _KEYS:
                import difflib  # only for an error

                near = difflib.get_close_matches(key, _KEYS, 1)
                self._refuse(key, f"is not a setting of a process{f'; do you mean {near[0]!r}?' if near else ''}")

    def read(self, directory: Path) -> DeclaredProcess:
        """Check every value. Returns the process."""
        ready = self._text("ready")
        return DeclaredProcess(
            name=self._name,
            command=self._command(),
            directory=directory / (self._text("directory") or "."),
            environment=self._environment(),
            start=self._boolean("start", default=True),
            ready=self._parse("ready", config.address, ready) if ready else None,
            ready_after=self._seconds("ready-after") or READY_AFTER,
            stop_timeout=self._seconds("stop-timeout"),
        )

    def _command(self) -> tuple[str, ...]:
        value = self._content.get("command")
        if not isinstance(value, list) or not value or not all(_is_text(item) for item in value) or not value[0]:
            self._refuse(
                "command", 'must be a list of strings: a program and its arguments, such as ["python3", "x.py"]'
            )
        return tuple(value)

    def _environment(self) -> dict[str, str]:
        value = self._content.get("environment", {})
        if not isinstance(value, dict) or not all(_is_text(text) for text in value.values()):
            self._refuse("environment", 'must be a table of strings, such as { LANG = "C" }')
        for name in value:
            if not name or "=" in name or "\0" in name:
                self._refuse("environment", f"has the key {name!r}, which is not a valid variable name")
        return dict(value)

    def _text(self, key: str) -> str:
        value = self._content.get(key, "")
        if not _is_text(value):
            self._refuse(key, "must be a string")
        return str(value)

    def _boolean(self, key: str, *, default: bool) -> bool:
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
        return self._parse(key, config.seconds(0, MAX_SECONDS), str(value))

    def _parse(self, key: str, reader: Callable[[str], T], text: str) -> T:
        try:
            return reader(text)
        except ValueError as error:
            self._refuse(key, str(error))

    def _refuse(self, key: str, reason: str) -> NoReturn:
        place = f"{self._place}.{key}" if key else self._place
        raise ConfigurationError(f"{self._file}: {place} {reason}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value
