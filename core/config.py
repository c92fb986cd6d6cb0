"""Settings: a flag wins over the environment, the running system, `cauce.toml` and the default; each has its origin.

A program declares its options and builds its settings once, at its start. Nothing else reads the environment.
An option with the key `worker.concurrency` is `concurrency` in the table `[worker]` of the file
and `CAUCE_WORKER_CONCURRENCY` in the environment.
"""

import argparse
import enum
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar, cast

from core import running_system
from core.broker_urls import broker_setting
from core.broker_urls import mask_password as mask_password
from core.errors import ConfigurationError, reason_of
from core.file_permissions import readable_by_others
from core.option_parsers import absolute_path as absolute_path
from core.option_parsers import absolute_task_modules as absolute_task_modules
from core.option_parsers import address as address
from core.option_parsers import choice as choice
from core.option_parsers import is_utf8 as is_utf8
from core.option_parsers import optional_text as optional_text
from core.option_parsers import seconds as seconds
from core.option_parsers import several as several
from core.option_parsers import size as size
from core.option_parsers import switch as switch
from core.option_parsers import task_modules as task_modules
from core.option_parsers import text as text
from core.option_parsers import whole_number as whole_number
from core.running_system import RunningSystem

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

FILE_NAME = "cauce.toml"
PROCESS_TABLE = "process"
"""The table of declared processes, one table each. Only the supervisor reads it."""

KEYS_TABLE = "keys"
"""The table of the console's keys, by command id. Only the console reads it."""

PROGRAM_TABLES = ("server", "worker", "client", "monitor", "supervisor", "tui")

_VALUE_NAMES = {int: "N", float: "SECONDS"}
_log = logging.getLogger("cauce.config")


@dataclass(frozen=True)
class Option(Generic[T_co]):
    """A setting of a program: its names, its parser, its default and its help."""

    key: str
    """`name`, or `table.name`."""
    read: Callable[[str], T_co]
    """Makes the value from its text. Raises `ValueError` with what the text must be."""
    default: T_co
    help: str
    _: KW_ONLY
    short: str = ""
    """The short flag on the command line, if it has one."""
    flag: str | None = None
    """The long flag: the last part of the key when None; no flag at all when empty."""
    metavar: str = ""
    """The value in the help. Without it, numbers are `N` and seconds `SECONDS`."""
    secret: bool = False
    """Whether it has no flags: other users of the machine could read its value there."""
    many: bool = False
    """Whether it may be given several times: as a list in the file, separated by commas in the environment."""
    resolve: Callable[[str, Path], str] | None = None
    """Makes relative paths in the text absolute, given the directory that they are relative to."""
    borrowed: bool = False
    """Whether it belongs to another program. The other members of its table are not checked then."""

    @property
    def flags(self) -> tuple[str, ...]:
        """Its flags on the command line, the long one last."""
        flag = "--" + self.key.rpartition(".")[2] if self.flag is None else self.flag
        return () if self.secret else tuple(each for each in (self.short, flag) if each)

    @property
    def value_name(self) -> str:
        """The name of its value in the help."""
        return self.metavar or _VALUE_NAMES.get(type(self.default), "VALUE")

    @property
    def variable(self) -> str:
        """The name of its environment variable."""
        return "CAUCE_" + self.key.replace(".", "_").replace("-", "_").upper()

    @property
    def destination(self) -> str:
        """The name of its attribute of the parsed arguments."""
        return self.key.replace(".", "_").replace("-", "_")


class SettingSource(enum.Enum):
    """The kind of place that a value came from."""

    FLAG = enum.auto()
    ENVIRONMENT = enum.auto()
    SYSTEM = enum.auto()
    """The system that runs in the directory."""
    FILE = enum.auto()
    DEFAULT = enum.auto()


@dataclass(frozen=True)
class Origin:
    """Where a value came from."""

    text: str
    place: str
    """A flag, a variable, a file's key, the running system, or `default`: for users."""
    source: SettingSource


@dataclass(frozen=True)
class Settings:
    """The values of a program's options."""

    values: Mapping[str, object]
    origins: Mapping[str, Origin] = field(default_factory=dict)
    options: Sequence[Option[object]] = ()
    file: str = ""
    """The path of the settings file, or an empty string."""
    processes: Mapping[str, object] = field(default_factory=dict)
    """The table `[process]` of the file, unchecked, by name."""
    keys: Mapping[str, object] = field(default_factory=dict)
    """The table `[keys]` of the file, unchecked, by command id."""

    def __getitem__(self, option: Option[T]) -> T:
        return cast("T", self.values[option.key])

    def given(self, option: Option[T]) -> bool:
        """Return whether the user gave the value: it is neither the default nor that of the running system."""
        return self.origins[option.key].source not in {SettingSource.DEFAULT, SettingSource.SYSTEM}

    def describe(self) -> str:
        """Return one line for each option: its key, its value and where that came from. Secrets are masked."""
        width = max(len(option.key) for option in self.options)
        lines = []
        for option in self.options:
            origin = self.origins[option.key]
            text = "********" if option.secret and origin.text else mask_password(origin.text)
            lines.append(f"{option.key:{width}}  {text or '-'}  ({origin.place})")
        return "\n".join(lines)


# The options that every program has.

DIRECTORY = Option(
    "directory",
    Path,
    Path(),
    "directory of the system's files: journal, queue, logs and cauce.toml",
    short="-d",
    flag="--dir",
)
BROKER = Option(
    "broker",
    broker_setting,
    "embedded",
    "embedded, embedded:FILE, local (a private RabbitMQ node, which the supervisor runs), or "
    "amqp://USER:PASSWORD@HOST:PORT/VHOST (several nodes of one cluster, separated by commas)",
    short="-b",
    metavar="URL",
)
DATABASE = Option("database", text, "resultados.db", "file of the journal", metavar="FILE")
LOG_LEVEL = Option(
    "log-level",
    choice("debug", "info", "warning", "error"),
    "info",
    "debug, info, warning or error",
    short="-l",
    metavar="LEVEL",
)
LOG_FORMAT = Option("log-format", choice("text", "json"), "text", "text or json", metavar="FORMAT")

TOKEN = Option("token", optional_text, "", "secret that clients must send to a server", secret=True)
TOKEN_FILE = Option(
    "token-file",
    optional_text,
    "",
    "file whose first line is the token that clients must send",
    metavar="FILE",
    resolve=absolute_path,
)

COMMON = (DIRECTORY, BROKER, DATABASE, LOG_LEVEL, LOG_FORMAT)

_SHARED = frozenset(option.key for option in (*COMMON, TOKEN, TOKEN_FILE)) - {DIRECTORY.key}
"""The keys that are allowed at the top level of the file, whichever program reads it."""


def read_token(settings: Settings) -> str | None:
    """Return the token from its file or the environment, or None when clients need no token.

    Raises:
        ConfigurationError: the file can't be read, or its first line is empty.
    """
    file = settings[TOKEN_FILE]
    sources = [settings.origins[option.key].source for option in (TOKEN, TOKEN_FILE)]
    if not file or sources == [SettingSource.ENVIRONMENT, SettingSource.SYSTEM]:
        return settings[TOKEN] or None
    try:
        with open(file, encoding="utf-8") as stream:
            token = stream.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"token-file: {file} can't be read: {reason_of(error)}") from error
    if not token:
        raise ConfigurationError(f"token-file: the first line of {file} is empty")
    if readable_by_others(file):
        _log.warning("token-file: other users of this machine can read %s; run chmod 600 on it", file)
    return token


def borrow(options: Iterable[Option[T]]) -> tuple[Option[T], ...]:
    """Return the options of another program, marked as borrowed."""
    return tuple(replace(option, borrowed=True) for option in options)


def add_arguments(parser: argparse.ArgumentParser, options: Iterable[Option[object]]) -> None:
    """Add the flags of `options` to a parser, with `--config` and `--show-config`."""
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
                metavar=option.value_name,
                action="append" if option.many else "store",
                help=f"{text_of_help} (default: {default_text(option) or 'none'})",
            )
    group.add_argument(
        "--config", metavar="FILE", help=f"settings file to read instead of {FILE_NAME} in the directory"
    )
    group.add_argument("--show-config", action="store_true", help="print each setting with its origin, and exit")


def argument_type(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return a parser of option values as a type for argparse, which shows the message only of its own error."""

    def read_argument(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} {error}") from error

    return read_argument


def load(
    options: Sequence[Option[object]],
    arguments: argparse.Namespace,
    environment: Mapping[str, str],
    *,
    ask_system: bool = False,
) -> Settings:
    """Find the value of each option.

    Args:
        options: the options of the program.
        arguments: the result of a parser that `add_arguments` prepared.
        environment: the environment variables of the process.
        ask_system: whether the system that runs in the directory tells its settings.

    Raises:
        ConfigurationError: a value is invalid, or the file has an unknown setting.
    """
    directory = _find_directory(arguments, environment)
    file = _find_file(arguments, environment, directory)
    tables = _read_tables(file) if file else {}
    processes = tables.pop(PROCESS_TABLE, {})
    if not isinstance(processes, dict):
        raise ConfigurationError(f"{file}: process must hold tables, such as [{PROCESS_TABLE}.reports]")
    keys = tables.pop(KEYS_TABLE, {})
    if not isinstance(keys, dict):
        raise ConfigurationError(f'{file}: keys must be a table, such as [{KEYS_TABLE}] with "app.quit" = "f10"')
    content = _read_texts(file, tables, options) if file else {}
    given = _given_origins(options, arguments, environment, content, file)
    told = _told_origins(running_system.find(directory) if ask_system else running_system.NONE, given, directory)
    values: dict[str, object] = {}
    origins: dict[str, Origin] = {}
    for option in options:
        origin = _first(given.get(option.key), told.get(option.key), _default(option))
        origins[option.key] = origin
        values[option.key] = directory if option is DIRECTORY else _value(option, origin)
    return Settings(values, origins, options, str(file or ""), processes, keys)


def _first(given: Origin | None, told: Origin | None, default: Origin) -> Origin:
    """Return the origin that counts: what was told, unless a flag or the environment gives something else."""
    if given is not None and (told is None or given.source in {SettingSource.FLAG, SettingSource.ENVIRONMENT}):
        return given
    return told or default


def _told_origins(system: RunningSystem, given: Mapping[str, Origin], directory: Path) -> dict[str, Origin]:
    """Return what the running system tells, by key."""
    told = dict(system.settings)
    for group in system.access:
        if not group.keys().isdisjoint(given):
            break
        told.update(group)
    place = f"from the system running in {directory}"
    return {key: Origin(text, place, SettingSource.SYSTEM) for key, text in told.items()}


def _find_directory(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Path:
    """Return the data directory, absolute: a task may change the current directory."""
    origin = _given_origin(DIRECTORY, arguments, environment, {}, None) or _default(DIRECTORY)
    directory = _current_directory() / cast("Path", _value(DIRECTORY, origin))
    if not is_utf8(str(directory)):
        raise ConfigurationError(f"the directory {directory} has a name that is not UTF-8: use another one (--dir)")
    return directory


def _current_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigurationError(f"the current directory can't be used: {error.strerror or error}") from error


def _given_origins(
    options: Sequence[Option[object]],
    arguments: argparse.Namespace,
    environment: Mapping[str, str],
    content: Mapping[str, str],
    file: Path | None,
) -> dict[str, Origin]:
    """Return the origins of the values that the user gave, by key."""
    found = {option.key: _given_origin(option, arguments, environment, content, file) for option in options}
    return {key: origin for key, origin in found.items() if origin is not None}


def _given_origin(
    option: Option[object],
    arguments: argparse.Namespace,
    environment: Mapping[str, str],
    content: Mapping[str, str],
    file: Path | None,
) -> Origin | None:
    argument = getattr(arguments, option.destination, None)
    if argument is not None:
        given = ",".join(argument) if isinstance(argument, list) else str(argument)
        return Origin(_resolved(option, given, None), option.flags[-1] if option.flags else "given", SettingSource.FLAG)
    if option.variable in environment:
        return Origin(_resolved(option, environment[option.variable], None), option.variable, SettingSource.ENVIRONMENT)
    if option.key in content:
        return Origin(_resolved(option, content[option.key], file), f"{option.key} in {file}", SettingSource.FILE)
    return None


def _default(option: Option[object]) -> Origin:
    return Origin(default_text(option), "default", SettingSource.DEFAULT)


def _resolved(option: Option[object], given: str, file: Path | None) -> str:
    """Return the text with its paths made absolute, from the file's directory or from the current directory."""
    if option.resolve is None or not given:
        return given
    return option.resolve(given, _current_directory() / file.parent if file else _current_directory())


def default_text(option: Option[object]) -> str:
    """Return the text of an option's default."""
    default = option.default
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _value(option: Option[object], origin: Origin) -> object:
    if origin.source is SettingSource.DEFAULT:
        return option.default
    if not is_utf8(origin.text):
        raise ConfigurationError(f"{origin.place}: the value must be UTF-8")
    try:
        return option.read(origin.text)
    except ValueError as error:
        shown = "its value" if option.secret else repr(mask_password(origin.text))
        raise ConfigurationError(f"{origin.place}: {shown} {error}") from error


def _find_file(arguments: argparse.Namespace, environment: Mapping[str, str], directory: Path) -> Path | None:
    named = getattr(arguments, "config", None) or environment.get("CAUCE_CONFIG")
    if named:
        if not Path(named).is_file():
            raise ConfigurationError(f"the settings file {named} does not exist")
        return Path(named)
    default = directory / FILE_NAME
    if default.is_file():
        return default
    if os.path.lexists(default):
        raise ConfigurationError(
            f"{default} is not a file, or a link to none: remove it, or name another with --config"
        )
    return None


def _read_tables(file: Path) -> dict[str, object]:
    import tomllib  # only where there is a file

    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{file} can't be read: {reason_of(error)}") from error


def _read_texts(file: Path, content: Mapping[str, object], options: Sequence[Option[object]]) -> dict[str, str]:
    """Return the file's values as text, by key, without the tables of other programs."""
    if DIRECTORY.key in content:
        raise ConfigurationError(
            f"{file}: {DIRECTORY.key!r} can't be set here, because the directory decides which file is read: "
            f"use --dir or {DIRECTORY.variable}"
        )
    known = {option.key for option in options} - {DIRECTORY.key}
    own_tables = {option.key.partition(".")[0] for option in options if "." in option.key and not option.borrowed}
    values: dict[str, object] = {}
    for name, value in content.items():
        if isinstance(value, dict) and name in PROGRAM_TABLES:
            members = {f"{name}.{member}": inner for member, inner in value.items()}
            values |= {key: inner for key, inner in members.items() if name in own_tables or key in known}
        else:
            values[name] = value
    for key, value in values.items():
        if key not in known and key not in _SHARED:
            import difflib  # only for an error

            near = difflib.get_close_matches(key, [*known, *PROGRAM_TABLES], 1)
            hint = f"; do you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"{file}: {key!r} is not a setting{hint}")
        if isinstance(value, dict):
            raise ConfigurationError(f"{file}: [{key}] must be a single value, not a table")
    return {key: _toml_text(value) for key, value in values.items()}


def _toml_text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
