"""Every command of the console, each as one value: key bindings, footer, palette and help are generated from these.

`where` is the part of the screen that has the command; its action is a method there.
Keys in upper case do what can't be taken back without more ado: they ask first.
"""

import difflib
import enum
import re
from collections.abc import Iterable, Mapping

import msgspec
from textual.binding import Binding, BindingType

from core.errors import ConfigurationError


class Scope(enum.StrEnum):
    """Which part of the screen has a command."""

    EVERYWHERE = "Everywhere"
    SUBMIT = "Submit"
    HISTORY = "Submitted from here"
    WORKERS = "Workers"
    RESULTS = "Results"
    PROCESSES = "Processes"
    LOGS = "Logs"
    FAILED = "Failed"
    DIAGRAM = "Diagram"
    DETAIL = "Task"


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person can have done."""

    id: str
    """By which `cauce.toml` gives it another key."""
    where: Scope
    key: str
    """One or several, parted by commas."""
    label: str
    """What it does, in a word or two."""
    help: str
    """A sentence."""
    action: str
    """The method, with its arguments."""
    changes_system: bool = False
    """Whether it changes the system, or prepares a change: a read-only console lacks it."""
    footer: bool = False
    """Whether the footer shows it."""
    line: str = ""
    """The command line that does the same."""

    @property
    def binding(self) -> Binding:
        """As a widget has it."""
        return Binding(self.key, self.action, self.label, show=self.footer, id=self.id)


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
        help="Go to everything that has failed.",
        action="show_tab('failed')",
    ),
    Command(
        id="app.diagram",
        where=Scope.EVERYWHERE,
        key="5,f6",
        label="Diagram",
        help="Go to the live picture of the system.",
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
        help="Take the whole system down, in order.",
        action="system_down",
        changes_system=True,
        line="cauce down",
    ),
    Command(
        id="app.cancel",
        where=Scope.EVERYWHERE,
        key="f8",
        label="Cancel",
        help="Cancel what is under way; what was done until then stays done.",
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
        help="Hold the picture still, or let it go on.",
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
        help="Draw with more room, or with less.",
        action="app.density",
    ),
    Command(
        id="app.quit",
        where=Scope.EVERYWHERE,
        key="q,ctrl+q",
        label="Quit",
        help="Leave the console; it asks what becomes of the system.",
        action="leave",
        footer=True,
    ),
)

SUBMIT = (
    Command(
        id="submit.send",
        where=Scope.SUBMIT,
        key="ctrl+s,f9",
        label="Submit",
        help="Submit what is written.",
        action="send",
        changes_system=True,
        footer=True,
        line="python -m core.client submit",
    ),
    Command(
        id="submit.lines",
        where=Scope.SUBMIT,
        key="ctrl+l",
        label="Each line",
        help="Submit each line of the payload as a task of its own.",
        action="send_lines",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="submit.file",
        where=Scope.SUBMIT,
        key="ctrl+o",
        label="From file",
        help="Submit each line of a file as a task.",
        action="send_file",
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
        help="Write the payload in your own editor ($EDITOR).",
        action="edit",
        changes_system=True,
    ),
    Command(
        id="submit.leave",
        where=Scope.SUBMIT,
        key="escape",
        label="Keys",
        help="Leave the editor, so that single keys count: 1 to 5 change the tab.",
        action="leave",
        footer=True,
    ),
    Command(
        id="submit.again",
        where=Scope.SUBMIT,
        key="ctrl+r",
        label="Again",
        help="Take a former submission up again, to change and submit it.",
        action="again",
        changes_system=True,
    ),
)

HISTORY = (
    Command(
        id="history.detail",
        where=Scope.HISTORY,
        key="enter",
        label="Detail",
        help="Show everything about the task that was submitted.",
        action="pick",
        footer=True,
    ),
)

WORKERS = (
    Command(
        id="workers.results",
        where=Scope.WORKERS,
        key="enter",
        label="Its results",
        help="Show what this worker has done, the slowest first.",
        action="pick",
        footer=True,
    ),
    Command(
        id="workers.everything",
        where=Scope.WORKERS,
        key="escape",
        label="All results",
        help="Show the results of all workers again.",
        action="everything",
    ),
)


def _browser_commands(where: Scope, prefix: str, *, footer: bool) -> tuple[Command, ...]:
    """The commands that every table of tasks has; the footer shows some of them when it has room."""
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
            help="Order by the next column; a click on a heading does too.",
            action="sort",
            footer=footer,
        ),
        Command(id=f"{prefix}.turn", where=where, key="O", label="Turn", help="Turn the order around.", action="turn"),
        Command(
            id=f"{prefix}.clear",
            where=where,
            key="escape",
            label="All",
            help="Show everything again, the newest first.",
            action="clear",
        ),
        Command(
            id=f"{prefix}.export",
            where=where,
            key="E",
            label="Export",
            help="Write what the filter finds to a file.",
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
        label="Detail",
        help="Show everything about the task.",
        action="pick",
        footer=True,
    ),
    *_browser_commands(Scope.RESULTS, "results", footer=True),
)

FAILED = (
    Command(
        id="failed.detail",
        where=Scope.FAILED,
        key="enter",
        label="Detail",
        help="Show everything about the task.",
        action="pick",
    ),
    Command(
        id="failed.mark",
        where=Scope.FAILED,
        key="space",
        label="Mark",
        help="Mark the task, or take the mark away.",
        action="mark",
        footer=True,
    ),
    Command(
        id="failed.mark_all",
        where=Scope.FAILED,
        key="a",
        label="Mark all",
        help="Mark everything that the filter finds, or nothing.",
        action="mark_all",
    ),
    Command(
        id="failed.retry",
        where=Scope.FAILED,
        key="R",
        label="Retry",
        help="Run what is marked once more; without marks this task.",
        action="settle('retry')",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="failed.discard",
        where=Scope.FAILED,
        key="D",
        label="Discard",
        help="Have done with what is marked; without marks this task.",
        action="settle('discard')",
        changes_system=True,
        footer=True,
    ),
    Command(
        id="failed.undo",
        where=Scope.FAILED,
        key="z",
        label="Undo",
        help="Take back the last retry or discard.",
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
        line="cauce start {name}",
    ),
    Command(
        id="processes.stop",
        where=Scope.PROCESSES,
        key="x",
        label="Stop",
        help="Stop the process when it has finished what it holds.",
        action="operate('stop')",
        changes_system=True,
        footer=True,
        line="cauce stop {name}",
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
        line="cauce restart {name}",
    ),
    Command(
        id="processes.kill",
        where=Scope.PROCESSES,
        key="X",
        label="Kill",
        help="End the process at once, as a crash would; it comes back.",
        action="operate('kill')",
        changes_system=True,
        footer=True,
        line="cauce kill {name}",
    ),
    Command(
        id="processes.more",
        where=Scope.PROCESSES,
        key="plus,equals_sign",
        label="One more",
        help="Run one more of these.",
        action="scale(1)",
        changes_system=True,
        footer=True,
        line="cauce scale {duty}s={more}",
    ),
    Command(
        id="processes.fewer",
        where=Scope.PROCESSES,
        key="minus",
        label="One fewer",
        help="Run one fewer of these.",
        action="scale(-1)",
        changes_system=True,
        footer=True,
        line="cauce scale {duty}s={fewer}",
    ),
    Command(
        id="processes.start_all",
        where=Scope.PROCESSES,
        key="S",
        label="Start all",
        help="Start everything that was stopped or given up.",
        action="operate_all('start')",
        changes_system=True,
        line="cauce start all",
    ),
    Command(
        id="processes.stop_all",
        where=Scope.PROCESSES,
        key="ctrl+x",
        label="Stop all",
        help="Stop every process; the supervisor stays.",
        action="operate_all('stop')",
        changes_system=True,
        line="cauce stop all",
    ),
    Command(
        id="processes.logs",
        where=Scope.PROCESSES,
        key="enter",
        label="Its log",
        help="Read the log of this process.",
        action="pick",
    ),
    Command(
        id="processes.all_logs",
        where=Scope.PROCESSES,
        key="escape",
        label="All logs",
        help="Read all logs together.",
        action="everything",
    ),
)

LOGS = (
    Command(
        id="logs.filter",
        where=Scope.LOGS,
        key="slash",
        label="Filter",
        help="Show only lines that hold a text.",
        action="filter",
        footer=True,
    ),
    Command(
        id="logs.level",
        where=Scope.LOGS,
        key="v",
        label="Level",
        help="Show only warnings and worse, errors, or everything.",
        action="level",
        footer=True,
    ),
    Command(
        id="logs.follow",
        where=Scope.LOGS,
        key="end,G,f",
        label="Follow",
        help="Go to the end, and stay there.",
        action="follow",
        footer=True,
    ),
    Command(
        id="logs.wrap",
        where=Scope.LOGS,
        key="w",
        label="Wrap",
        help="Break long lines, or cut them.",
        action="wrap",
        footer=True,
    ),
    Command(
        id="logs.search",
        where=Scope.LOGS,
        key="s,f7",
        label="Search",
        help="Go from hit to hit of a text; upper case counts where there is any.",
        action="search",
        footer=True,
    ),
    Command(
        id="logs.next",
        where=Scope.LOGS,
        key="n",
        label="Next hit",
        help="Go to the next hit of the search.",
        action="next_hit",
    ),
    Command(
        id="logs.previous",
        where=Scope.LOGS,
        key="N",
        label="Previous hit",
        help="Go to the hit before.",
        action="previous_hit",
    ),
    Command(id="logs.copy", where=Scope.LOGS, key="y", label="Copy", help="Copy what is shown.", action="copy"),
    Command(
        id="logs.clear",
        where=Scope.LOGS,
        key="escape",
        label="All",
        help="End the search; without one, show every line again.",
        action="clear",
    ),
)

DIAGRAM: tuple[Command, ...] = ()

ALL = (*GLOBAL, *SUBMIT, *HISTORY, *WORKERS, *RESULTS, *PROCESSES, *LOGS, *FAILED, *DIAGRAM)
BY_ID = {command.id: command for command in ALL}


def bindings(commands: Iterable[Command]) -> list[BindingType]:
    """As a widget has them."""
    return [command.binding for command in commands]


def keymap(wanted: Mapping[str, object], file: str) -> dict[str, str]:
    """Check the keys that a person has chosen, by the ids of commands.

    Args:
        wanted: as the settings file has them.
        file: its name.

    Raises:
        ConfigurationError: there is no such command, or that is no key; names the file and the place.
    """
    for name, key in wanted.items():
        if name not in BY_ID:
            near = difflib.get_close_matches(name, BY_ID, 1)
            hint = f"; do you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(f"{file}: keys.{name!r} is no command of the console{hint}")
        if not isinstance(key, str) or not all(_KEY.fullmatch(part.strip()) for part in key.split(",")):
            raise ConfigurationError(
                f'{file}: keys.{name!r} must be keys parted by commas, such as "f10" or "ctrl+k,K"'
            )
    return {name: str(key) for name, key in wanted.items()}


_KEY = re.compile(r"(?:(?:ctrl|shift|alt)\+)*[A-Za-z0-9_]+")


def is_allowed(action: str, *, read_only: bool) -> bool:
    """Whether an action, by the name of its method, may be done: a console that only looks changes nothing."""
    return not (read_only and action in _CHANGING)


_CHANGING = frozenset(command.action.partition("(")[0] for command in ALL if command.changes_system)
