"""A command as a value, and the parts of the screen that have commands.

`where` is the part of the screen that has the command; its action is a method there.
Commands with upper-case keys that can't simply be undone ask first.
"""

import enum
from collections.abc import Iterable

import msgspec
from textual.binding import Binding, BindingType


class Scope(enum.StrEnum):
    """The part of the screen that has a command."""

    EVERYWHERE = "Everywhere"
    SUBMIT = "Submit"
    HISTORY = "Submitted here"
    MONITOR = "Monitor"
    WORKERS = "Workers"
    RESULTS = "Results"
    PROCESSES = "Processes"
    LOGS = "Logs"
    FAILED = "Failed"
    DETAIL = "Task"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command of the console."""

    id: str
    """The name by which `cauce.toml` assigns another key."""
    where: Scope
    key: str
    """One or several keys, separated by commas."""
    label: str
    """The name of the command in the footer and the palette: a word or two."""
    help: str
    """One sentence that describes the effect."""
    action: str
    """The name of the method, with its arguments."""
    of_row: bool = False
    """Whether it acts on the row under the cursor."""
    changes_system: bool = False
    """Whether it changes the system, or prepares a change: a read-only console lacks it."""
    footer: bool = False
    """Whether the footer shows it."""
    line: str = ""
    """The shell command that does the same, or an empty string when there is none."""
    comes_first: bool = False
    """Whether the key has this effect in a field of text too, which would use it otherwise."""

    @property
    def binding(self) -> Binding:
        """The command as a key binding."""
        return Binding(self.key, self.action, self.label, show=self.footer, id=self.id, priority=self.comes_first)


def bindings(commands: Iterable[Command]) -> list[BindingType]:
    """Return the key bindings of commands."""
    return [command.binding for command in commands]
