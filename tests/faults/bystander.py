"""Looks at a system with SQL and a reading of the process table of its own: none of the code under test takes part."""

from collections import deque
from pathlib import Path
from typing import Any

import apsw
import msgspec
import psutil

_PROCESSES = "SELECT number, pid, beat FROM processes"
_TASKS = "SELECT seq, state FROM tasks WHERE state IN ('done', 'failed', 'cancelled')"


LOOKS = 4
"""Looks during which a process that works writes a heartbeat."""


class Sight(msgspec.Struct, frozen=True):
    """What was seen at one moment."""

    dead: frozenset[int] = frozenset()
    """Numbers of the servers and workers whose process has ended."""
    running: frozenset[int] = frozenset()
    """Numbers of those whose process runs."""
    beating: frozenset[int] = frozenset()
    """Numbers of those that run and have written a heartbeat during the last looks."""
    readable: bool = True
    """Whether the journal could be read."""


class Bystander:
    """Looks at the servers and workers of one system, and remembers what it saw.

    Args:
        journal: the file of the journal.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._starts: dict[int, object] = {}
        self._beats: deque[dict[int, int]] = deque(maxlen=LOOKS)

    def look(self) -> Sight:
        """Look once."""
        try:
            rows = _select(self._journal, _PROCESSES)
        except apsw.Error:
            return Sight(readable=False)
        running = frozenset(number for number, pid, _ in rows if self._runs(number, pid))
        dead = frozenset(number for number, _, _ in rows) - running
        self._beats.append({number: beat for number, _, beat in rows})
        beating = frozenset(
            number for number in running if len({beats[number] for beats in self._beats if number in beats}) > 1
        )
        return Sight(dead, running, beating)

    def _runs(self, number: int, pid: int) -> bool:
        start = _start_of(pid)
        return start is not None and start == self._starts.setdefault(number, start)


def ended_tasks(journal: Path) -> dict[int, str]:
    """Return the state of each task that has ended, by its number."""
    return dict(_select(journal, _TASKS))


def _select(journal: Path, statement: str) -> list[tuple[Any, ...]]:
    connection = apsw.Connection(str(journal), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(10_000)
        return list(connection.execute(statement))
    finally:
        connection.close()


def _start_of(pid: int) -> object:
    """Return when the process with an id was started, or None when there is none or only a zombie."""
    table = Path("/proc")
    if not (table / "self" / "stat").exists():
        return psutil.Process(pid).create_time() if psutil.pid_exists(pid) else None
    try:
        text = (table / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    state, *others = text.rpartition(")")[2].split()
    return None if state in {"Z", "X"} else others[18]
