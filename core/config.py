"""Settings: flag, over environment, over `cauce.toml`, over default; each knows where it came from.

A program declares its options, and builds its settings once, at its start; nothing else reads the environment.
An option with the key `worker.concurrency` is `concurrency` in the table `[worker]` of the file
and `CAUCE_WORKER_CONCURRENCY` in the environment.
"""

import argparse
import difflib
import logging
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar, cast

from core.addresses import Address
from core.errors import ConfigurationError
from core.file_permissions import readable_by_others

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

FILE_NAME = "cauce.toml"
_NEXT_URL = re.compile(r",(?=\s*[A-Za-z][A-Za-z0-9+.-]*://)")
_CREDENTIALS = re.compile(r"(?P<user>(?:[^:]*://)?+[^:]*):.*@", re.DOTALL)
PROCESSES = "process"
"""The table whose members are tables: processes of the user's own, which only the supervisor reads."""

KEYS = "keys"
"""The table whose members are keys of the console, by the ids of its commands; only the console reads it."""

TABLES = ("server", "worker", "client", "monitor", "supervisor", "tui")

_log = logging.getLogger("cauce.config")


@dataclass(frozen=True)
class Option(Generic[T_co]):
    """One setting that a program has."""

    key: str
    """`name`, or `table.name`."""
    read: Callable[[str], T_co]
    """Makes the value of its text; raises `ValueError` with what would be right."""
    default: T_co
    help: str
    flags: tuple[str, ...] = ()
    """On the command line; none for secrets, which other users of the machine could read there."""
    metavar: str = "VALUE"
    secret: bool = False
    many: bool = False
    """May be given several times: in the file as a list, in the environment parted by commas."""
    borrowed: bool = False
    """It is another program's, which this one has to know too; what else is in its table is not looked at."""

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return "CAUCE_" + self.key.replace(".", "_").replace("-", "_").upper()

    @property
    def destination(self) -> str:
        """Its name among the parsed arguments."""
        return self.key.replace(".", "_").replace("-", "_")


@dataclass(frozen=True)
class Origin:
    """Where a value came from."""

    text: str
    place: str
    """A flag, a variable, a file's key, or `default`."""


@dataclass(frozen=True)
class Settings:
    """The values of a program's options."""

    values: Mapping[str, object]
    origins: Mapping[str, Origin] = field(default_factory=dict)
    options: Sequence[Option[object]] = ()
    file: str = ""
    """The settings file; empty when there is none."""
    processes: Mapping[str, object] = field(default_factory=dict)
    """What the file has in the table `[process]`, unchecked, by name."""
    keys: Mapping[str, object] = field(default_factory=dict)
    """What the file has in the table `[keys]`, unchecked, by the ids of commands."""

    def __getitem__(self, option: Option[T]) -> T:
        return cast("T", self.values[option.key])

    def given(self, option: Option[T]) -> bool:
        """Whether somebody chose the value: it is not the default."""
        return self.origins[option.key].place != "default"

    def describe(self) -> str:
        """Each value with its place, a line each; secrets masked."""
        width = max(len(option.key) for option in self.options)
        lines = []
        for option in self.options:
            origin = self.origins[option.key]
            text = "********" if option.secret and origin.text else mask_password(origin.text)
            lines.append(f"{option.key:{width}}  {text or '-'}  ({origin.place})")
        return "\n".join(lines)


def mask_password(url: str) -> str:
    """A URL, or several parted by commas, with the password replaced."""
    # A comma may stand in a password too: only one that a URL follows parts two of them.
    return ",".join(_mask_one(part) for part in _NEXT_URL.split(url))


def _mask_one(url: str) -> str:
    found = _CREDENTIALS.match(url)
    return f"{found['user']}:********@{url[found.end() :]}" if found else url


# What the text of a setting is read as.


def text(value: str) -> str:
    """Text that is not empty."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def optional_text(value: str) -> str:
    """Text that may be empty."""
    return value.strip()


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def read(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if not least <= number <= most:
            raise ValueError(f"must be from {least} to {most}")
        return number

    return read


def seconds(least: float, most: float) -> Callable[[str], float]:
    """A number of seconds within bounds."""

    def read(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            raise ValueError("must be a number of seconds") from None
        if not least <= number <= most:
            raise ValueError(f"must be from {least:g} to {most:g} seconds")
        return number

    return read


def choice(*names: str) -> Callable[[str], str]:
    """One of some words."""

    def read(value: str) -> str:
        if value.lower() not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return value.lower()

    return read


def switch(value: str) -> bool:
    """Yes or no."""
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off"}:
        return False
    raise ValueError("must be true or false")


def address(value: str) -> Address:
    """A host and a port."""
    try:
        return Address.parse(value)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error


def several(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Values parted by commas."""

    def read_all(value: str) -> tuple[T, ...]:
        return tuple(read(part.strip()) for part in value.split(",") if part.strip())

    return read_all


# The options that every program has.

DIRECTORY = Option(
    "directory", Path, Path(), "where the system's files are; others are relative to it", ("-d", "--dir")
)
BROKER = Option(
    "broker",
    text,
    "embedded",
    "embedded, embedded:FILE, local (a private RabbitMQ node, which the supervisor runs), or "
    "amqp://USER:PASSWORD@HOST:PORT/VHOST (several, of one cluster, parted by commas)",
    ("-b", "--broker"),
    "URL",
)
DATABASE = Option("database", text, "resultados.db", "the journal's file", ("--database",), "FILE")
LOG_LEVEL = Option(
    "log-level",
    choice("debug", "info", "warning", "error"),
    "info",
    "debug, info, warning or error",
    ("-l", "--log-level"),
    "LEVEL",
)
LOG_FORMAT = Option("log-format", choice("text", "json"), "text", "text or json", ("--log-format",), "FORMAT")

TOKEN = Option("token", optional_text, "", "what clients have to show to a server", secret=True)
TOKEN_FILE = Option(
    "token-file", optional_text, "", "a file whose first line is what clients have to show", ("--token-file",), "FILE"
)

COMMON = (DIRECTORY, BROKER, DATABASE, LOG_LEVEL, LOG_FORMAT)

_SHARED = frozenset(option.key for option in (*COMMON, TOKEN, TOKEN_FILE))
"""What may stand at the top of the file whichever program reads it."""


def read_token(settings: Settings) -> str | None:
    """What clients have to show, from its file or the environment; None when they have to show nothing.

    Raises:
        ConfigurationError: the file can't be read, or its first line is empty.
    """
    file = settings[TOKEN_FILE]
    if not file:
        return settings[TOKEN] or None
    try:
        with open(file, encoding="utf-8") as stream:
            token = stream.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"token-file: {file} can't be read: {error}") from error
    if not token:
        raise ConfigurationError(f"token-file: the first line of {file} is empty")
    if readable_by_others(file):
        _log.warning("token-file: other users of this machine may read %s: chmod 600 it", file)
    return token


def borrow(options: Iterable[Option[T]]) -> tuple[Option[T], ...]:
    """Options of another program, for one that has to know them too."""
    return tuple(replace(option, borrowed=True) for option in options)


def add_arguments(parser: argparse.ArgumentParser, options: Iterable[Option[object]]) -> None:
    """Give a parser the flags of `options`, and those that tell about settings."""
    group = parser.add_argument_group("settings")
    for option in options:
        if not option.flags:
            continue
        text_of_help = option.help.replace("%", "%%")
        if option.read is switch:
            group.add_argument(
                *option.flags, dest=option.destination, action=argparse.BooleanOptionalAction, help=text_of_help
            )
        else:
            group.add_argument(
                *option.flags,
                dest=option.destination,
                metavar=option.metavar,
                action="append" if option.many else "store",
                help=f"{text_of_help} (default: {_default_text(option) or 'none'})",
            )
    group.add_argument("--config", metavar="FILE", help=f"read this file, not {FILE_NAME} in the directory")
    group.add_argument("--show-config", action="store_true", help="print each setting and where it comes from, and end")


def load(options: Sequence[Option[object]], arguments: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    """Find the value of each option.

    Args:
        options: what the program has.
        arguments: as a parser prepared by `add_arguments` returned them.
        environment: of the process.

    Raises:
        ConfigurationError: a value is wrong, or the file names a setting that is not there; says which, and where.
    """
    directory = _value(DIRECTORY, _given(DIRECTORY, arguments, environment, {}, ""))
    file = _file(arguments, environment, cast("Path", directory))
    tables = _read_tables(file) if file else {}
    processes = tables.pop(PROCESSES, {})
    if not isinstance(processes, dict):
        raise ConfigurationError(f"{file}: process must hold tables, such as [{PROCESSES}.reports]")
    keys = tables.pop(KEYS, {})
    if not isinstance(keys, dict):
        raise ConfigurationError(f'{file}: keys must be a table, such as [{KEYS}] with "app.quit" = "f10"')
    content = _texts(file, tables, options) if file else {}
    values: dict[str, object] = {}
    origins: dict[str, Origin] = {}
    for option in options:
        origin = _given(option, arguments, environment, content, str(file))
        origins[option.key] = origin
        values[option.key] = _value(option, origin)
    return Settings(values, origins, options, str(file or ""), processes, keys)


def _given(
    option: Option[object],
    arguments: argparse.Namespace,
    environment: Mapping[str, str],
    content: Mapping[str, str],
    file: str,
) -> Origin:
    argument = getattr(arguments, option.destination, None)
    if argument is not None:
        text_given = ",".join(argument) if isinstance(argument, list) else str(argument)
        return Origin(text_given, option.flags[-1] if option.flags else "given")
    if option.variable in environment:
        return Origin(environment[option.variable], option.variable)
    if option.key in content:
        return Origin(content[option.key], f"{option.key} in {file}")
    return Origin(_default_text(option), "default")


def _default_text(option: Option[object]) -> str:
    default = option.default
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _value(option: Option[object], origin: Origin) -> object:
    if origin.place == "default":
        return option.default
    try:
        return option.read(origin.text)
    except ValueError as error:
        shown = "its value" if option.secret else repr(mask_password(origin.text))
        raise ConfigurationError(f"{origin.place}: {shown} {error}") from error


def _file(arguments: argparse.Namespace, environment: Mapping[str, str], directory: Path) -> Path | None:
    named = getattr(arguments, "config", None) or environment.get("CAUCE_CONFIG")
    if named:
        if not Path(named).is_file():
            raise ConfigurationError(f"there is no settings file {named}")
        return Path(named)
    usual = directory / FILE_NAME
    return usual if usual.is_file() else None


def _read_tables(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file} can't be read: {error}") from error


def _texts(file: Path, content: Mapping[str, object], options: Sequence[Option[object]]) -> dict[str, str]:
    """The texts of the file's values by key; tables of other programs are left out."""
    known = {option.key for option in options}
    mine = {option.key.partition(".")[0] for option in options if "." in option.key and not option.borrowed}
    found: dict[str, object] = {}
    for name, value in content.items():
        if isinstance(value, dict) and name in TABLES:
            members = {f"{name}.{member}": inner for member, inner in value.items()}
            found |= {key: inner for key, inner in members.items() if name in mine or key in known}
        else:
            found[name] = value
    for key, value in found.items():
        if key not in known and key not in _SHARED:
            near = difflib.get_close_matches(key, [*known, *TABLES], 1)
            hint = f"; do you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"{file} names {key!r}, which is no setting{hint}")
        if isinstance(value, dict):
            raise ConfigurationError(f"{file} has a table [{key}], which is a setting with one value")
    return {key: _toml_text(value) for key, value in found.items()}


def _toml_text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
