"""All commands of the console."""

from tui.commands.command import Command, Scope
from tui.commands.everywhere import APP, GLOBAL
from tui.commands.failed import FAILED
from tui.commands.monitor import MONITOR, RESULTS, WORKERS
from tui.commands.processes import LOGS, PROCESSES
from tui.commands.submit import HISTORY, SUBMIT

ALL: tuple[Command, ...] = (
    *GLOBAL,
    *APP,
    *SUBMIT,
    *HISTORY,
    *MONITOR,
    *WORKERS,
    *RESULTS,
    *PROCESSES,
    *LOGS,
    *FAILED,
)
BY_ID = {command.id: command for command in ALL}

TABS = {
    Scope.SUBMIT: "submit",
    Scope.HISTORY: "submit",
    Scope.MONITOR: "monitor",
    Scope.WORKERS: "monitor",
    Scope.RESULTS: "monitor",
    Scope.PROCESSES: "processes",
    Scope.LOGS: "processes",
    Scope.FAILED: "failed",
}
"""The id of the tab that has a part of the screen."""


def is_allowed(action: str, *, read_only: bool) -> bool:
    """Return whether an action method may run. In a read-only console, those that change the system may not."""
    return not (read_only and action in _CHANGING)


_CHANGING = frozenset(command.action.partition("(")[0] for command in ALL if command.changes_system)
