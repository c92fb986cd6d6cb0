"""The commands of the console as values. Key bindings, footer, palette and help are generated from them."""

from tui.commands.catalogue import ALL, BY_ID, TABS, is_allowed
from tui.commands.command import Command, Scope, bindings
from tui.commands.everywhere import APP, GLOBAL
from tui.commands.failed import FAILED
from tui.commands.monitor import MONITOR, RESULTS, WORKERS
from tui.commands.processes import LOGS, PROCESSES
from tui.commands.submit import HISTORY, SUBMIT
from tui.commands.user_keys import keymap

__all__ = [
    "ALL",
    "APP",
    "BY_ID",
    "FAILED",
    "GLOBAL",
    "HISTORY",
    "LOGS",
    "MONITOR",
    "PROCESSES",
    "RESULTS",
    "SUBMIT",
    "TABS",
    "WORKERS",
    "Command",
    "Scope",
    "bindings",
    "is_allowed",
    "keymap",
]
