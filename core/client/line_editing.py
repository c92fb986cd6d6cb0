"""The line being typed at the prompt, and the history of lines, on platforms that have `readline`."""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

MAX_HISTORY_LINES = 1000


def _readline() -> ModuleType | None:
    """Return the `readline` module, or None on Windows, whose console edits lines itself."""
    try:
        return importlib.import_module("readline")
    except ImportError:
        return None


def current_line() -> str:
    """Return the text typed so far, or an empty string when it is unknown."""
    readline = _readline()
    return str(readline.get_line_buffer()) if readline is not None else ""


def home_directory() -> Path | None:
    """Return the user's home directory, or None for a user without one."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def history_file(environment: Mapping[str, str], home: Path | None, platform: str = sys.platform) -> Path | None:
    """Return the file of the history, in the platform's directory for user state, or None for a user without a home."""
    if platform == "win32" and environment.get("LOCALAPPDATA"):
        return Path(environment["LOCALAPPDATA"]) / "cauce" / "client-history"
    state = environment.get("XDG_STATE_HOME", "")
    if state and Path(state).is_absolute():
        return Path(state) / "cauce" / "client-history"
    return None if home is None else home / ".local" / "state" / "cauce" / "client-history"


@contextmanager
def line_history(file: Path | None) -> Iterator[None]:
    """Load the history of earlier sessions, and save it with the lines of this one."""
    readline = _readline()
    if readline is None or file is None or not _create(file):
        yield
        return
    readline.set_history_length(MAX_HISTORY_LINES)
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
            sys.stderr.write(f"the history can't be written to {file}: {error.strerror or error}\n")


def _create(file: Path) -> bool:
    """Create the file so that only the user can read it. Returns whether that was possible."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        file.chmod(0o600)
    except OSError:
        return False
    return True
