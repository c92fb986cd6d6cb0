"""Logs, read back: every line with its process, time and level, those of several processes in the order of time.

What a line means is told by pure functions. Whatever the file holds comes out printable.
Reading takes a bounded number of bytes at a time.
"""

import datetime
import enum
import heapq
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from core.errors import SupervisorError
from core.logs import printable
from core.supervisor.home import Home
from core.supervisor.logs.log_files import former

LONGEST = 4096
"""Characters of a line that are shown."""

LONGEST_PART = 1024 * 1024
"""Bytes of a line that has no end yet that are waited for; more is taken as a line."""

MOST_AT_ONCE = 4 * 1024 * 1024
"""Bytes of one file that are read at once; older ones are passed over, and told."""

_BLOCK = 256 * 1024
_FIRST_MOMENT, _END_OF_TIME = 86_400.0, 253_370_764_800.0
"""From a day after the epoch to the year 9999: other times can't be shown in every zone and on every system."""


class Level(enum.IntEnum):
    """How grave a line is."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50


_LEVELS = {
    **{level.name: level for level in Level},
    "WARN": Level.WARNING,
    "NOTICE": Level.INFO,
    "CRIT": Level.CRITICAL,
    "ALERT": Level.CRITICAL,
    "EMERG": Level.CRITICAL,
    "FATAL": Level.CRITICAL,
}


class LogLine(msgspec.Struct, frozen=True):
    """One line of a log."""

    process: str
    text: str
    """What it says, printable."""
    level: Level | None = None
    """None where the line doesn't tell."""
    at: float | None = None
    """Seconds since the epoch; None where neither the line nor one before it tells."""


class LogLineJson(msgspec.Struct, frozen=True):
    """One line, for programs."""

    time: str | None
    """ISO 8601, in UTC."""
    level: str | None
    process: str
    message: str


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are wanted."""

    least_level: Level = Level.DEBUG
    """A line without a level passes only when everything does."""
    containing: str = ""
    """In upper or lower case."""
    since: float | None = None
    """Seconds since the epoch."""

    def passes(self, line: LogLine) -> bool:
        """Whether a line is wanted."""
        if self.least_level > Level.DEBUG and (line.level is None or line.level < self.least_level):
            return False
        if self.since is not None and (line.at is None or line.at < self.since):
            return False
        return self.containing.casefold() in line.text.casefold()


_OURS = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) ([A-Z]+) +(?:\S+) (.*)", re.DOTALL)
_RABBITMQ = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+[+-]\d\d:\d\d) \[([a-z]+)\] (?:<[\d.]+> ?)?(.*)", re.DOTALL
)
_NGINX = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[([a-z]+)\] (.*)", re.DOTALL)


def parse(text: str, process: str, before: LogLine | None = None) -> LogLine:
    """Read one line.

    Args:
        text: without its end.
        process: whose it is.
        before: the line before it: one without a time goes with that, such as a line of a traceback.
    """
    line = _parse_json(text, process) if text.startswith("{") else _parse_text(text, process)
    if line is not None:
        return line
    shown = printable(text.expandtabs(4), LONGEST)
    if before is None:
        return LogLine(process, shown)
    return LogLine(process, shown, before.level, before.at)


def _parse_text(text: str, process: str) -> LogLine | None:
    for form in (_OURS, _RABBITMQ, _NGINX):
        found = form.match(text)
        if found is not None:
            at = _moment(found[1].replace("/", "-"))
            return LogLine(process, printable(found[3].strip(), LONGEST), _LEVELS.get(found[2].upper()), at)
    return None


class _JsonLog(msgspec.Struct):
    """What our own programs write with `--log-format json`."""

    time: str
    level: str
    message: str
    logger: str = ""
    traceback: str = ""


def _parse_json(text: str, process: str) -> LogLine | None:
    try:
        read = msgspec.json.decode(text.encode("utf-8", "replace"), type=_JsonLog)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    parts = [f"{read.logger}: {read.message}" if read.logger else read.message, read.traceback]
    shown = printable(" | ".join(part for part in parts if part), LONGEST)
    return LogLine(process, shown, _LEVELS.get(read.level.upper()), _moment(read.time))


def _moment(text: str) -> float | None:
    """Seconds since the epoch, None when it can't be told or shown; a time without a zone is of this machine's."""
    try:
        at = datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return at if _FIRST_MOMENT <= at < _END_OF_TIME else None


def as_text(line: LogLine) -> str:
    """A line for people, in this machine's time."""
    if line.at is None:
        time = f"{'':12}"
    else:
        time = f"{datetime.datetime.fromtimestamp(line.at).astimezone():%H:%M:%S.%f}"[:-3]
    return f"{time} {line.level.name if line.level else '':8} {line.process:10} {line.text}"


def as_json(line: LogLine) -> LogLineJson:
    """A line for programs."""
    moment = None if line.at is None else datetime.datetime.fromtimestamp(line.at, datetime.UTC)
    return LogLineJson(
        time=None if moment is None else moment.isoformat(timespec="milliseconds"),
        level=line.level.name.lower() if line.level else None,
        process=line.process,
        message=line.text,
    )


def tail(home: Home, names: Sequence[str] | None, most: int, wanted: LogFilter) -> list[LogLine]:
    """The last lines that are wanted, of all processes or the named ones, in the order of time.

    Args:
        home: of the data directory.
        names: of processes; all that have a log when None.
        most: how many lines.
        wanted: which.

    Raises:
        SupervisorError: there is no log of a name.
    """
    logs = [_last_of(path, most, wanted) for path in files(home, names)]
    merged = list(heapq.merge(*logs, key=_when))
    return merged[-most:] if most else []


def files(home: Home, names: Sequence[str] | None) -> list[Path]:
    """The logs of these processes; of all when None.

    Raises:
        SupervisorError: there is none of a name.
    """
    found = {path.stem: path for path in home.logs()}
    if names is None:
        return list(found.values())
    for name in names:
        if name not in found:
            known = ", ".join(found) or "none"
            raise SupervisorError(f"there is no log of {printable(name, 60)!r}; there are: {known}")
    return [found[name] for name in dict.fromkeys(names)]


def _when(line: LogLine) -> float:
    return 0.0 if line.at is None else line.at


def _last_of(path: Path, most: int, wanted: LogFilter) -> list[LogLine]:
    """The last wanted lines of one process, read from the end in larger and larger pieces."""
    size = _BLOCK
    while True:
        content, whole = _end_of([*former(path), path], size)
        lines = _parsed(content, path.stem, skip_first=not whole)
        found = [line for line in lines if wanted.passes(line)]
        first = next((line.at for line in lines if line.at is not None), None)
        too_old = wanted.since is not None and first is not None and first < wanted.since
        if whole or too_old or len(found) >= most:
            return found[-most:] if most else []
        size *= 4


def _end_of(paths: Sequence[Path], size: int) -> tuple[bytes, bool]:
    """The last bytes of files that follow each other, and whether these are all."""
    pieces: list[bytes] = []
    for path in reversed(paths):
        try:
            with path.open("rb") as stream:
                length = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, length - size))
                pieces.append(stream.read(size))
        except OSError:
            continue
        if length > size:
            return b"".join(reversed(pieces)), False
        size -= length
    return b"".join(reversed(pieces)), True


def _parsed(content: bytes, process: str, *, skip_first: bool) -> list[LogLine]:
    texts = content.decode("utf-8", "replace").split("\n")
    lines: list[LogLine] = []
    for text in texts[1:] if skip_first else texts:
        if text.strip():
            lines.append(parse(text.rstrip("\r"), process, lines[-1] if lines else None))
    return lines


class Follower:
    """Reads what is written from now on. It belongs to one thread.

    Args:
        home: of the data directory.
        names: of processes; all, those that come later too, when None.
    """

    def __init__(self, home: Home, names: Sequence[str] | None) -> None:
        self._home = home
        self._names = names
        self._tracks = {path: _Track(path, at_end=True) for path in files(home, names)}

    def read(self) -> list[LogLine]:
        """What was written since the last call, in the order of time."""
        for path in self._home.logs():
            if path not in self._tracks and (self._names is None or path.stem in self._names):
                self._tracks[path] = _Track(path, at_end=False)
        return list(heapq.merge(*(list(track.read()) for track in self._tracks.values()), key=_when))


class _Track:
    """One file that is followed, across its being cut off or replaced by another."""

    def __init__(self, path: Path, *, at_end: bool) -> None:
        self._path = path
        self._file = 0
        self._place = 0
        self._partial = b""
        self._before: LogLine | None = None
        # Before the file itself is looked at: what is set aside from then on was set aside since.
        self._aside = self._newest_aside()
        if at_end:
            self._file, self._place = _look(path)

    def read(self) -> Iterator[LogLine]:
        # What is cut off is shorter than its copy, also when it has grown beyond the place again.
        copies = self._set_aside_since()
        copied = _look(copies[-1])[1] if copies else 0
        file, length = _look(self._path)
        if file != self._file or length < max(self._place, copied):
            # A new file, or one that was cut off: what is in it now came after that.
            yield from self._rest(same_file=file == self._file)
            self._file, self._place = file, 0
        yield from self._read_on(self._path, length)

    def _rest(self, *, same_file: bool) -> Iterator[LogLine]:
        """What the file had got before it was set aside; nothing when somebody else has cut it off."""
        paths = self._set_aside_since()
        self._aside = self._newest_aside()
        for path in paths:
            yield from self._read_on(path, _look(path)[1])
            self._place = 0
        if not (same_file and paths):
            # Nothing goes on with a line that had no end.
            yield from self._lines(b"\n")

    def _set_aside_since(self) -> list[Path]:
        """What was set aside since the last time, the oldest first; none when that can't be told any more."""
        paths = former(self._path)
        if not self._aside:
            return paths
        known = [place for place, path in enumerate(paths) if _look(path)[0] == self._aside]
        return paths[known[-1] + 1 :] if known else []

    def _newest_aside(self) -> int:
        paths = former(self._path)
        return _look(paths[-1])[0] if paths else 0

    def _read_on(self, path: Path, length: int) -> Iterator[LogLine]:
        """What a file holds behind the place; of very much, the end."""
        skipped = length - self._place - MOST_AT_ONCE
        if skipped > 0:
            self._place += skipped
            self._partial = b""
            yield LogLine(self._path.stem, f"({skipped:,} bytes were written too quickly to be shown)")
        yield from self._lines(self._take(path, length - self._place))

    def _take(self, path: Path, size: int) -> bytes:
        if size <= 0:
            return b""
        try:
            with path.open("rb") as stream:
                stream.seek(self._place)
                content = stream.read(size)
        except OSError:
            return b""
        self._place += len(content)
        return content

    def _lines(self, content: bytes) -> Iterator[LogLine]:
        *whole, self._partial = (self._partial + content).split(b"\n")
        if len(self._partial) > LONGEST_PART:
            whole.append(self._partial)
            self._partial = b""
        for each in whole:
            text = each.decode("utf-8", "replace").rstrip("\r")
            if text.strip():
                self._before = parse(text, self._path.stem, self._before)
                yield self._before


def _look(path: Path) -> tuple[int, int]:
    """Which file this is, and how large; zeros when there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_size
