"""Reads logs back: each line with its process, time and level, those of several processes in the order of time.

Parsing is pure. Every line is made printable, whatever the file holds. A read takes a bounded number of bytes.
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
from core.supervisor.logs.log_files import rotated_files

MAX_LINE_LENGTH = 4096
"""Characters of a line that are kept."""

MAX_PARTIAL_LINE = 1024 * 1024
"""Bytes beyond which text without a line break is taken as a line."""

MAX_READ = 4 * 1024 * 1024
"""Bytes of one file that are read at once. Older ones are skipped, and a line reports that."""

_BLOCK = 256 * 1024
_MIN_TIME, _MAX_TIME = 86_400.0, 253_370_764_800.0
"""From a day after the epoch to the year 9999. Other times can't be shown in every zone and on every system."""


class Level(enum.IntEnum):
    """The severity of a line."""

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
    """The printable message."""
    level: Level | None = None
    """None where the line has no level."""
    at: float | None = None
    """Seconds since the epoch; None where neither the line nor one before it has a time."""


class LogLineJson(msgspec.Struct, frozen=True):
    """One line as JSON."""

    time: str | None
    """ISO 8601, in UTC."""
    level: str | None
    process: str
    message: str


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A selection of lines."""

    min_level: Level = Level.DEBUG
    """A line without a level passes only at the lowest level."""
    containing: str = ""
    """The text that a line must contain, in upper or lower case."""
    since: float | None = None
    """The earliest time in seconds since the epoch."""

    def passes(self, line: LogLine) -> bool:
        """Return whether a line is selected."""
        if self.min_level > Level.DEBUG and (line.level is None or line.level < self.min_level):
            return False
        if self.since is not None and (line.at is None or line.at < self.since):
            return False
        return self.containing.casefold() in line.text.casefold()


_CAUCE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}(?:[+-]\d{4})?) ([A-Z]+) +(?:\S+) (.*)", re.DOTALL)
_RABBITMQ = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+[+-]\d\d:\d\d) \[([a-z]+)\] (?:<[\d.]+> ?)?(.*)", re.DOTALL
)
_NGINX = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[([a-z]+)\] (.*)", re.DOTALL)

_LAST_ERROR = re.compile(
    r"Traceback \(most recent call last\):|Fatal Python error|Segmentation fault|core\.\w+: "
    r"|[A-Za-z_][\w.]*(?:Error|Exception): "
)
"""The beginning of the lines, without a level, in which a program that dies states the reason."""


def parse(text: str, process: str, before: LogLine | None = None) -> LogLine:
    """Parse one line.

    Args:
        text: the line without its end.
        process: the process that wrote it.
        before: the previous line, whose time and level a line without its own takes, such as one of a traceback.
    """
    line = _parse_json(text, process) if text.startswith("{") else _parse_text(text, process)
    if line is not None:
        return line
    shown = printable(text.expandtabs(4), MAX_LINE_LENGTH)
    level, at = (None, None) if before is None else (before.level, before.at)
    return LogLine(process, shown, Level.ERROR if _LAST_ERROR.match(text) else level, at)


def _parse_text(text: str, process: str) -> LogLine | None:
    for form in (_CAUCE, _RABBITMQ, _NGINX):
        found = form.match(text)
        if found is not None:
            at = _parse_time(found[1].replace("/", "-"))
            return LogLine(process, printable(found[3].strip(), MAX_LINE_LENGTH), _LEVELS.get(found[2].upper()), at)
    return None


class _JsonLog(msgspec.Struct):
    """What the programs of Cauce write with `--log-format json`."""

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
    shown = printable(" | ".join(part for part in parts if part), MAX_LINE_LENGTH)
    return LogLine(process, shown, _LEVELS.get(read.level.upper()), _parse_time(read.time))


def _parse_time(text: str) -> float | None:
    """Return seconds since the epoch, or None for a time that can't be parsed or shown.

    A time without a zone is taken to be in this machine's zone.
    """
    try:
        at = datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return at if _MIN_TIME <= at < _MAX_TIME else None


def as_text(line: LogLine) -> str:
    """Format a line with its time in this machine's zone."""
    if line.at is None:
        time = f"{'':12}"
    else:
        time = f"{datetime.datetime.fromtimestamp(line.at).astimezone():%H:%M:%S.%f}"[:-3]
    return f"{time} {line.level.name if line.level else '':8} {line.process:10} {line.text}"


def as_json(line: LogLine) -> LogLineJson:
    """Convert a line for JSON."""
    moment = None if line.at is None else datetime.datetime.fromtimestamp(line.at, datetime.UTC)
    return LogLineJson(
        time=None if moment is None else moment.isoformat(timespec="milliseconds"),
        level=line.level.name.lower() if line.level else None,
        process=line.process,
        message=line.text,
    )


def tail(home: Home, names: Sequence[str] | None, limit: int, log_filter: LogFilter) -> list[LogLine]:
    """Return the last selected lines in the order of time.

    Args:
        home: the paths of the data directory.
        names: the processes; all that have a log when None.
        limit: the most lines to return.
        log_filter: selects the lines.

    Raises:
        SupervisorError: a process has no log.
    """
    logs = [_tail_of(path, limit, log_filter) for path in log_paths(home, names)]
    merged = list(heapq.merge(*logs, key=_sort_time))
    return merged[-limit:] if limit else []


def log_paths(home: Home, names: Sequence[str] | None) -> list[Path]:
    """Return the logs of these processes, or of all when `names` is None.

    Raises:
        SupervisorError: a process has no log.
    """
    found = {path.stem: path for path in home.logs()}
    if names is None:
        return list(found.values())
    for name in names:
        if name not in found:
            known = ", ".join(found) or "none"
            raise SupervisorError(f"there is no log of {printable(name, 60)!r}; there are: {known}")
    return [found[name] for name in dict.fromkeys(names)]


def _sort_time(line: LogLine) -> float:
    return 0.0 if line.at is None else line.at


def _tail_of(path: Path, limit: int, log_filter: LogFilter) -> list[LogLine]:
    """Return the last selected lines of one process, read from the end in growing pieces."""
    size = _BLOCK
    while True:
        content, is_whole = _read_end([*rotated_files(path), path], size)
        lines = _parse_lines(content, path.stem, skip_first=not is_whole)
        found = [line for line in lines if log_filter.passes(line)]
        first = next((line.at for line in lines if line.at is not None), None)
        is_older = log_filter.since is not None and first is not None and first < log_filter.since
        if is_whole or is_older or len(found) >= limit:
            return found[-limit:] if limit else []
        size *= 4


def _read_end(paths: Sequence[Path], size: int) -> tuple[bytes, bool]:
    """Return the last bytes of consecutive files, and whether these are all their bytes."""
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


def _parse_lines(content: bytes, process: str, *, skip_first: bool) -> list[LogLine]:
    texts = content.decode("utf-8", "replace").split("\n")
    lines: list[LogLine] = []
    for text in texts[1:] if skip_first else texts:
        if text.strip():
            lines.append(parse(text.rstrip("\r"), process, lines[-1] if lines else None))
    return lines


class Follower:
    """Reads the lines that are written from now on. It belongs to one thread.

    Args:
        home: the paths of the data directory.
        names: the processes; all, including later ones, when None.
    """

    def __init__(self, home: Home, names: Sequence[str] | None) -> None:
        self._home = home
        self._names = names
        self._files = {path: _FollowedFile(path, at_end=True) for path in log_paths(home, names)}

    def read(self) -> list[LogLine]:
        """Return what was written since the last call, in the order of time."""
        for path in self._home.logs():
            if path not in self._files and (self._names is None or path.stem in self._names):
                self._files[path] = _FollowedFile(path, at_end=False)
        return list(heapq.merge(*(list(file.read()) for file in self._files.values()), key=_sort_time))


class _FollowedFile:
    """A file that is followed while it is rotated by copying or by renaming."""

    def __init__(self, path: Path, *, at_end: bool) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0
        self._partial = b""
        self._before: LogLine | None = None
        # Read before the file itself, so that any later rotation is noticed.
        self._newest_inode = self._read_newest_inode()
        if at_end:
            self._inode, self._offset = _inode_and_size(path)

    def read(self) -> Iterator[LogLine]:
        # A truncated file is shorter than its copy, even when it has grown beyond the offset again.
        copies = self._rotated_since()
        copied = _inode_and_size(copies[-1])[1] if copies else 0
        inode, length = _inode_and_size(self._path)
        if inode != self._inode or length < max(self._offset, copied):
            # A new or truncated file: all of its content is newer.
            yield from self._read_rotated(is_same_file=inode == self._inode)
            self._inode, self._offset = inode, 0
        yield from self._read_on(self._path, length)

    def _read_rotated(self, *, is_same_file: bool) -> Iterator[LogLine]:
        """Read the rest of the rotated files, of which there are none when another program has truncated the file."""
        paths = self._rotated_since()
        self._newest_inode = self._read_newest_inode()
        for path in paths:
            yield from self._read_on(path, _inode_and_size(path)[1])
            self._offset = 0
        if not (is_same_file and paths):
            # An unfinished line is not continued.
            yield from self._lines(b"\n")

    def _rotated_since(self) -> list[Path]:
        """Return the files rotated since the last read, oldest first. Returns none when that is no longer known."""
        paths = rotated_files(self._path)
        if not self._newest_inode:
            return paths
        known = [index for index, path in enumerate(paths) if _inode_and_size(path)[0] == self._newest_inode]
        return paths[known[-1] + 1 :] if known else []

    def _read_newest_inode(self) -> int:
        paths = rotated_files(self._path)
        return _inode_and_size(paths[-1])[0] if paths else 0

    def _read_on(self, path: Path, length: int) -> Iterator[LogLine]:
        """Read a file from the offset on, but at most its last `MAX_READ` bytes."""
        skipped = length - self._offset - MAX_READ
        if skipped > 0:
            self._offset += skipped
            self._partial = b""
            yield LogLine(self._path.stem, f"({skipped:,} bytes were written too quickly to be shown)")
        yield from self._lines(self._take(path, length - self._offset))

    def _take(self, path: Path, size: int) -> bytes:
        if size <= 0:
            return b""
        try:
            with path.open("rb") as stream:
                stream.seek(self._offset)
                content = stream.read(size)
        except OSError:
            return b""
        self._offset += len(content)
        return content

    def _lines(self, content: bytes) -> Iterator[LogLine]:
        *whole, self._partial = (self._partial + content).split(b"\n")
        if len(self._partial) > MAX_PARTIAL_LINE:
            whole.append(self._partial)
            self._partial = b""
        for each in whole:
            text = each.decode("utf-8", "replace").rstrip("\r")
            if text.strip():
                self._before = parse(text, self._path.stem, self._before)
                yield self._before


def _inode_and_size(path: Path) -> tuple[int, int]:
    """Return the inode and the size of a file, or zeros when there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_size
