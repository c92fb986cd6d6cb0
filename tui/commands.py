"""The commands of the console as values. Key bindings, footer, palette and help are generated from them.

`where` is the part of the screen that has the command; its action is a method there.
Commands with upper-case keys that can't simply be undone ask first.
"""

import difflib
import enum
import re
from collections.abc import Iterable, Mapping

import msgspec
from textual.binding import Binding, BindingType

from core.errors import ConfigurationError


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
    DIAGRAM = "Diagram"
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


GLOBAL = (
    Command(
        id="app.submit",
        where=Scope.EVERYWHERE,
        key="1,f2",
        label="Submit",
        help="Go to the tab that submits tasks.",
        action="show_tab('submit')",
    ),
    Command(
        id="app.monitor",
        where=Scope.EVERYWHERE,
        key="2,f3",
        label="Monitor",
        help="Go to the workers and the results.",
        action="show_tab('monitor')",
    ),
    Command(
        id="app.processes",
        where=Scope.EVERYWHERE,
        key="3,f4",
        label="Processes",
        help="Go to the local processes and their logs.",
        action="show_tab('processes')",
    ),
    Command(
        id="app.failed",
        where=Scope.EVERYWHERE,
        key="4,f5",
        label="Failed",
        help="Go to the failed tasks.",
        action="show_tab('failed')",
    ),
    Command(
        id="app.diagram",
        where=Scope.EVERYWHERE,
        key="5,f6",
        label="Diagram",
        help="Go to the live diagram of the system.",
        action="show_tab('diagram')",
    ),
    Command(
        id="app.up",
        where=Scope.EVERYWHERE,
        key="u",
        label="Start system",
        help="Start the system of this directory.",
        action="system_up",
        changes_system=True,
        line="cauce up --detach",
    ),
    Command(
        id="app.down",
        where=Scope.EVERYWHERE,
        key="U",
        label="Stop system",
        help="Stop the whole system, in order.",
        action="system_down",
        changes_system=True,
        line="cauce down",
    ),
    Command(
        id="app.cancel",
        where=Scope.EVERYWHERE,
        key="f8",
        label="Cancel",
        help="Cancel the running job; what is done stays done.",
        action="cancel",
        changes_system=True,
    ),
    Command(
        id="app.palette",
        where=Scope.EVERYWHERE,
        key="ctrl+p,colon",
        label="Commands",
        help="Find any command by its name.",
        action="app.command_palette",
    ),
    Command(
        id="app.help",
        where=Scope.EVERYWHERE,
        key="question_mark,f1",
        label="Help",
        help="Show what the keys of this part do.",
        action="app.help",
        footer=True,
    ),
    Command(
        id="app.freeze",
        where=Scope.EVERYWHERE,
        key="ctrl+f",
        label="Freeze",
        help="Freeze or resume the display.",
        action="freeze",
    ),
    Command(
        id="app.theme",
        where=Scope.EVERYWHERE,
        key="ctrl+t",
        label="Theme",
        help="Change to the next theme: dark, light, high contrast, 16 colours.",
        action="app.next_theme",
    ),
    Command(
        id="app.density",
        where=Scope.EVERYWHERE,
        key="ctrl+d",
        label="Density",
        help="Switch between a roomy and a compact layout.",
        action="app.density",
    ),
    Command(
        id="app.quit",
        where=Scope.EVERYWHERE,
        key="q,ctrl+q",
        label="Quit",
        help="Leave the console; it asks whether to stop the system.",
        action="leave",
        footer=True,
    ),
)

APP = (
    Command(
        id="app.suspend",
        where=Scope.EVERYWHERE,
        key="ctrl+z",
        label="Suspend",
        help="Return to the shell; `fg` there continues the console. The system goes on.",
        action="app.suspend",
        comes_first=True,
    ),
)
"""The commands that work in dialogs too."""

SUBMIT = (
    Command(
        id="submit.send",
        where=Scope.SUBMIT,
        key="ctrl+s,f9",
        label="Submit",
        help="Submit the task.",
        action="submit",
        changes_system=True,
        footer=True,
        line="python -m core.client submit",
    ),
    Command(
        id="submit.lines",
        where=Scope.SUBMIT,
        key="ctrl+l",
        label="Each line",
        help="Submit each line of the payload as a task.",
        action="submit_lines",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="submit.file",
        where=Scope.SUBMIT,
        key="ctrl+o",
        label="From file",
        help="Submit each line of a file as a task.",
        action="submit_file",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="submit.load",
        where=Scope.SUBMIT,
        key="ctrl+g",
        label="Load",
        help="Submit many tasks at a steady rate, and measure.",
        action="load",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="submit.editor",
        where=Scope.SUBMIT,
        key="ctrl+n",
        label="Editor",
        help="Edit the payload in your own editor ($EDITOR).",
        action="edit",
        changes_system=True,
    ),
    Command(
        id="submit.leave",
        where=Scope.SUBMIT,
        key="escape",
        label="To the list",
        help="Go to the list of submitted tasks, where single keys work: 1 to 5 change the tab.",
        action="leave_form",
        footer=True,
    ),
    Command(
        id="submit.again",
        where=Scope.SUBMIT,
        key="ctrl+r",
        label="Reuse",
        help="Edit an earlier submission and submit it again.",
        action="reuse",
        changes_system=True,
    ),
)

HISTORY = (
    Command(
        id="history.detail",
        where=Scope.HISTORY,
        key="enter",
        label="Details",
        help="Show all details of the submitted task.",
        action="show_details",
        footer=True,
    ),
)

WORKERS = (
    Command(
        id="workers.results",
        where=Scope.WORKERS,
        key="enter",
        label="Results",
        help="Show the results of this worker, the slowest first.",
        action="show_results",
        footer=True,
    ),
    Command(
        id="workers.everything",
        where=Scope.WORKERS,
        key="escape",
        label="All results",
        help="Show the results of all workers again.",
        action="show_all_results",
    ),
)


MONITOR = (
    Command(
        id="monitor.ended",
        where=Scope.MONITOR,
        key="d",
        label="Ended",
        help="Show or hide the workers that have ended.",
        action="toggle_ended",
    ),
)


def _browser_commands(where: Scope, prefix: str, *, footer: bool) -> tuple[Command, ...]:
    """Return the commands that every table of tasks has."""
    return (
        Command(
            id=f"{prefix}.filter",
            where=where,
            key="slash",
            label="Filter",
            help="Find tasks: words, kind:echo, worker:w1, took>500ms, since:10m …",
            action="filter",
            footer=True,
        ),
        Command(
            id=f"{prefix}.sort",
            where=where,
            key="o",
            label="Sort",
            help="Sort by the next column; a click on a heading does too.",
            action="sort",
            footer=footer,
        ),
        Command(
            id=f"{prefix}.turn", where=where, key="O", label="Reverse", help="Reverse the order.", action="reverse"
        ),
        Command(
            id=f"{prefix}.clear",
            where=where,
            key="escape",
            label="Show all",
            help="Clear the filter and show the newest tasks first.",
            action="clear",
        ),
        Command(
            id=f"{prefix}.export",
            where=where,
            key="E",
            label="Export",
            help="Export the tasks that match the filter to a file.",
            action="export",
            changes_system=True,
            footer=footer,
        ),
        Command(
            id=f"{prefix}.copy", where=where, key="y", label="Copy id", help="Copy the id of the task.", action="copy"
        ),
    )


RESULTS = (
    Command(
        id="results.detail",
        where=Scope.RESULTS,
        key="enter",
        label="Details",
        help="Show all details of the task.",
        action="show_details",
        footer=True,
    ),
    *_browser_commands(Scope.RESULTS, "results", footer=True),
)

FAILED = (
    Command(
        id="failed.detail",
        where=Scope.FAILED,
        key="enter",
        label="Details",
        help="Show all details of the task.",
        action="show_details",
    ),
    Command(
        id="failed.mark",
        where=Scope.FAILED,
        key="space",
        label="Mark",
        help="Mark the task, or unmark it.",
        action="mark",
        footer=True,
    ),
    Command(
        id="failed.mark_all",
        where=Scope.FAILED,
        key="a",
        label="Mark all",
        help="Mark all tasks that match the filter, or none.",
        action="mark_all",
    ),
    Command(
        id="failed.retry",
        where=Scope.FAILED,
        key="R",
        label="Retry",
        help="Retry the marked tasks, or the selected one.",
        action="bulk_action('retry')",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="failed.discard",
        where=Scope.FAILED,
        key="D",
        label="Discard",
        help="Discard the marked tasks, or the selected one.",
        action="bulk_action('discard')",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="failed.undo",
        where=Scope.FAILED,
        key="z",
        label="Undo",
        help="Undo the last retry or discard.",
        action="undo",
        changes_system=True,
        footer=True,
    ),
    *_browser_commands(Scope.FAILED, "failed", footer=False),
)

PROCESSES = (
    Command(
        id="processes.start",
        where=Scope.PROCESSES,
        key="s",
        label="Start",
        help="Start the process.",
        action="operate('start')",
        changes_system=True,
        footer=True,
        line="cauce start NAME",
    ),
    Command(
        id="processes.stop",
        where=Scope.PROCESSES,
        key="x",
        label="Stop",
        help="Stop the process when its tasks in flight are done.",
        action="operate('stop')",
        changes_system=True,
        footer=True,
        line="cauce stop NAME",
    ),
    Command(
        id="processes.restart",
        where=Scope.PROCESSES,
        key="r",
        label="Restart",
        help="Stop the process and start it again.",
        action="operate('restart')",
        changes_system=True,
        footer=True,
        line="cauce restart NAME",
    ),
    Command(
        id="processes.kill",
        where=Scope.PROCESSES,
        key="X",
        label="Kill",
        help="Kill the process, as a crash would; it is restarted.",
        action="operate('kill')",
        changes_system=True,
        footer=True,
        line="cauce kill NAME",
    ),
    Command(
        id="processes.more",
        where=Scope.PROCESSES,
        key="plus,equals_sign",
        label="Scale up",
        help="Run one more process of this kind.",
        action="scale(1)",
        changes_system=True,
        footer=True,
        line="cauce scale workers=N",
    ),
    Command(
        id="processes.fewer",
        where=Scope.PROCESSES,
        key="minus",
        label="Scale down",
        help="Run one process fewer of this kind.",
        action="scale(-1)",
        changes_system=True,
        footer=True,
        line="cauce scale workers=N",
    ),
    Command(
        id="processes.start_all",
        where=Scope.PROCESSES,
        key="S",
        label="Start all",
        help="Start every process that is stopped or crashed.",
        action="operate_all('start')",
        changes_system=True,
        line="cauce start all",
    ),
    Command(
        id="processes.stop_all",
        where=Scope.PROCESSES,
        key="ctrl+x",
        label="Stop all",
        help="Stop every process, but not the supervisor.",
        action="operate_all('stop')",
        changes_system=True,
        line="cauce stop all",
    ),
    Command(
        id="processes.logs",
        where=Scope.PROCESSES,
        key="enter",
        label="Log",
        help="Show the log of this process.",
        action="show_log",
    ),
    Command(
        id="processes.all_logs",
        where=Scope.PROCESSES,
        key="escape",
        label="All logs",
        help="Show the logs of all processes.",
        action="show_all_logs",
    ),
)

LOGS = (
    Command(
        id="logs.filter",
        where=Scope.LOGS,
        key="slash",
        label="Filter",
        help="Show only lines that contain a text.",
        action="filter",
        footer=True,
    ),
    Command(
        id="logs.level",
        where=Scope.LOGS,
        key="v",
        label="Level",
        help="Show only warnings and errors, only errors, or everything.",
        action="level",
        footer=True,
    ),
    Command(
        id="logs.follow",
        where=Scope.LOGS,
        key="end,G,f",
        label="Follow",
        help="Go to the end and follow new lines.",
        action="follow",
        footer=True,
    ),
    Command(
        id="logs.wrap",
        where=Scope.LOGS,
        key="w",
        label="Wrap",
        help="Wrap long lines, or cut them.",
        action="wrap",
        footer=True,
    ),
    Command(
        id="logs.search",
        where=Scope.LOGS,
        key="s,f7",
        label="Search",
        help="Search for a text; case matters if it has upper-case letters.",
        action="search",
        footer=True,
    ),
    Command(
        id="logs.next",
        where=Scope.LOGS,
        key="n",
        label="Next hit",
        help="Go to the next hit.",
        action="next_hit",
    ),
    Command(
        id="logs.previous",
        where=Scope.LOGS,
        key="N",
        label="Previous hit",
        help="Go to the previous hit.",
        action="previous_hit",
    ),
    Command(id="logs.copy", where=Scope.LOGS, key="y", label="Copy", help="Copy what is shown.", action="copy"),
    Command(
        id="logs.clear",
        where=Scope.LOGS,
        key="escape",
        label="Show all",
        help="End the search; without one, show all lines again.",
        action="clear",
    ),
)

DIAGRAM: tuple[Command, ...] = ()

ALL = (*GLOBAL, *APP, *SUBMIT, *HISTORY, *MONITOR, *WORKERS, *RESULTS, *PROCESSES, *LOGS, *FAILED, *DIAGRAM)
BY_ID = {command.id: command for command in ALL}


def bindings(commands: Iterable[Command]) -> list[BindingType]:
    """Return the key bindings of commands."""
    return [command.binding for command in commands]


def keymap(wanted: Mapping[str, object], file: str) -> dict[str, str]:
    """Check the user's keys. Returns them by the ids of commands.

    Args:
        wanted: the keys in the settings file, by the ids of commands.
        file: the name of the settings file.

    Raises:
        ConfigurationError: the command is unknown, or the key is invalid; the message names the file and the entry.
    """
    for name, key in wanted.items():
        if name not in BY_ID:
            near = difflib.get_close_matches(name, BY_ID, 1)
            hint = f"; do you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"{file}: keys.{name!r} is not a command of the console{hint}")
        if not isinstance(key, str) or not all(_KEY.fullmatch(part.strip()) for part in key.split(",")):
            raise ConfigurationError(
                f'{file}: keys.{name!r} must be keys separated by commas, such as "f10" or "ctrl+k,K"'
            )
    return {name: str(key) for name, key in wanted.items()}


_KEY = re.compile(r"(?:(?:ctrl|shift|alt)\+)*[A-Za-z0-9_]+")


def is_allowed(action: str, *, read_only: bool) -> bool:
    """Return whether an action method may run. In a read-only console, those that change the system may not."""
    return not (read_only and action in _CHANGING)


_CHANGING = frozenset(command.action.partition("(")[0] for command in ALL if command.changes_system)
