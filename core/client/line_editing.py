"""The line that is being typed at a terminal, and the lines that were typed before, where the platform edits lines."""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

MOST_LINES = 1000


def _readline() -> ModuleType | None:
    """The library that edits lines; Windows has none, and edits lines by itself."""
    try:
        return importlib.import_module("readline")
    except ImportError:
        return None


def begun_line() -> str:
    """What is typed so far, if that can be known."""
    readline = _readline()
    return str(readline.get_line_buffer()) if readline is not None else ""


def history_file(environment: Mapping[str, str], home: Path, platform: str = sys.platform) -> Path:
    """Where the typed lines are kept: among the user's state, as the platform has it."""
    if platform == "win32" and environment.get("LOCALAPPDATA"):
        return Path(environment["LOCALAPPDATA"]) / "cauce" / "client-history"
    state = environment.get("XDG_STATE_HOME", "")
    base = Path(state) if state and Path(state).is_absolute() else home / ".local" / "state"
    return base / "cauce" / "client-history"


@contextmanager
def remembered(file: Path) -> Iterator[None]:
    """Have the lines of earlier sessions at hand, and keep those of this one; only the user may read them."""
    readline = _readline()
    if readline is None or not _prepare(file):
        yield
        return
    readline.set_history_length(MOST_LINES)
    try:
        readline.read_history_file(file)
    except OSError as error:
        sys.stderr.write(f"the history in {file} can't be read: {error.strerror or error}\n")
    try:
        yield
    finally:
        try:
            readline.write_history_file(file)
        except OSError as error:
            sys.stderr.write(f"the history can't be kept in {file}: {error.strerror or error}\n")


def _prepare(file: Path) -> bool:
    """Make the file as one that only the user can read; without a place for it, the lines are of this session only."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        file.chmod(0o600)
    except OSError:
        return False
    return True
