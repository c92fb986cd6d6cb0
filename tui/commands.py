"""Every command of the console, each as one value: key bindings, footer, palette and help are generated from these.

`where` is the part of the screen that has the command; its action is a method there.
Keys in upper case do what can't be taken back without more ado: they ask first.
"""

import difflib
import enum
import re
from collections.abc import Iterable, Mapping, Sequence

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
    acts: bool = False
    """It changes something, so that a console that only looks has not got it."""
    footer: bool = False
    """Whether the footer shows it."""
    line: str = ""
    """The command line that does the same."""

    @property
    def binding(self) -> Binding:
        """As a widget has it."""
        return Binding(self.key, self.action, self.label, show=self.footer, id=self.id)


def _made(where: Scope, prefix: str, rows: Iterable[Sequence[object]]) -> tuple[Command, ...]:
    made = []
    for name, key, label, sentence, action, *more in rows:
        marks = str(more[0]) if more else ""
        made.append(
            Command(
                id=f"{prefix}.{name}",
                where=where,
                key=str(key),
                label=str(label),
                help=str(sentence),
                action=str(action),
                acts="!" in marks,
                footer="f" in marks,
                line=str(more[1]) if len(more) > 1 else "",
            )
        )
    return tuple(made)


# Name, key, label, sentence, action, marks (f: in the footer, !: acts), command line.

GLOBAL = _made(
    Scope.EVERYWHERE,
    "app",
    [
        ("submit", "1,f2", "Submit", "Go to the tab that submits tasks.", "show_tab('submit')"),
        ("monitor", "2,f3", "Monitor", "Go to the workers and the results.", "show_tab('monitor')"),
        ("processes", "3,f4", "Processes", "Go to the local processes and their logs.", "show_tab('processes')"),
        ("failed", "4,f5", "Failed", "Go to everything that has failed.", "show_tab('failed')"),
        ("diagram", "5,f6", "Diagram", "Go to the live picture of the system.", "show_tab('diagram')"),
        ("up", "u", "Start system", "Start the system of this directory.", "system_up", "!", "cauce up --detach"),
        ("down", "U", "Stop system", "Take the whole system down, in order.", "system_down", "!", "cauce down"),
        ("cancel", "f8", "Cancel", "Cancel what is under way; what was done until then stays done.", "cancel", "!"),
        ("palette", "ctrl+p,colon", "Commands", "Find any command by its name.", "app.command_palette"),
        ("help", "question_mark,f1", "Help", "Show what the keys of this part do.", "app.help", "f"),
        ("freeze", "ctrl+f", "Freeze", "Hold the picture still, or let it go on.", "freeze"),
        (
            "theme",
            "ctrl+t",
            "Theme",
            "Change to the next theme: dark, light, high contrast, 16 colours.",
            "app.next_theme",
        ),
        ("density", "ctrl+d", "Density", "Draw with more room, or with less.", "app.density"),
        ("quit", "q,ctrl+q", "Quit", "Leave the console; it asks what becomes of the system.", "leave", "f"),
    ],
)

SUBMIT = _made(
    Scope.SUBMIT,
    "submit",
    [
        ("send", "ctrl+s,f9", "Submit", "Submit what is written.", "send", "f!", "python -m core.client submit"),
        ("lines", "ctrl+l", "Each line", "Submit each line of the payload as a task of its own.", "send_lines", "f!"),
        ("file", "ctrl+o", "From file", "Submit each line of a file as a task.", "send_file", "f!"),
        ("load", "ctrl+g", "Load", "Submit many tasks at a steady rate, and measure.", "load", "f!"),
        ("editor", "ctrl+n", "Editor", "Write the payload in your own editor ($EDITOR).", "edit", "!"),
        (
            "leave",
            "escape",
            "Keys",
            "Leave the editor, so that single keys count: 1 to 5 change the tab.",
            "leave",
            "f",
        ),
        ("again", "ctrl+r", "Again", "Take a former submission up again, to change and submit it.", "again", "!"),
    ],
)

HISTORY = _made(
    Scope.HISTORY,
    "history",
    [("detail", "enter", "Detail", "Show everything about the task that was submitted.", "pick", "f")],
)

WORKERS = _made(
    Scope.WORKERS,
    "workers",
    [
        ("results", "enter", "Its results", "Show what this worker has done, the slowest first.", "pick", "f"),
        ("everything", "escape", "All results", "Show the results of all workers again.", "everything"),
    ],
)

_TABLE = [
    ("detail", "enter", "Detail", "Show everything about the task.", "pick", "f"),
    ("filter", "slash", "Filter", "Find tasks: words, kind:echo, worker:w1, took>500ms, since:10m …", "filter", "f"),
    ("sort", "o", "Sort", "Order by the next column; a click on a heading does too.", "sort", "f"),
    ("turn", "O", "Turn", "Turn the order around.", "turn"),
    ("clear", "escape", "All", "Show everything again, the newest first.", "clear"),
    ("export", "E", "Export", "Write what the filter finds to a file.", "export", "f!"),
    ("copy", "y", "Copy id", "Copy the id of the task.", "copy"),
]

RESULTS = _made(Scope.RESULTS, "results", _TABLE)

FAILED = _made(
    Scope.FAILED,
    "failed",
    [
        ("detail", "enter", "Detail", "Show everything about the task.", "pick"),
        ("mark", "space", "Mark", "Mark the task, or take the mark away.", "mark", "f"),
        ("mark_all", "a", "Mark all", "Mark everything that the filter finds, or nothing.", "mark_all"),
        ("retry", "R", "Retry", "Run what is marked once more; without marks this task.", "settle('retry')", "f!"),
        (
            "discard",
            "D",
            "Discard",
            "Have done with what is marked; without marks this task.",
            "settle('discard')",
            "f!",
        ),
        ("undo", "z", "Undo", "Take back the last retry or discard.", "undo", "f!"),
        _TABLE[1],
        *((*row[:5], row[5].replace("f", "") if len(row) > 5 else "") for row in _TABLE[2:]),
    ],
)

PROCESSES = _made(
    Scope.PROCESSES,
    "processes",
    [
        ("start", "s", "Start", "Start the process.", "operate('start')", "f!", "cauce start {name}"),
        (
            "stop",
            "x",
            "Stop",
            "Stop the process when it has finished what it holds.",
            "operate('stop')",
            "f!",
            "cauce stop {name}",
        ),
        (
            "restart",
            "r",
            "Restart",
            "Stop the process and start it again.",
            "operate('restart')",
            "f!",
            "cauce restart {name}",
        ),
        (
            "kill",
            "X",
            "Kill",
            "End the process at once, as a crash would; it comes back.",
            "operate('kill')",
            "f!",
            "cauce kill {name}",
        ),
        (
            "more",
            "plus,equals_sign",
            "One more",
            "Run one more of these.",
            "scale(1)",
            "f!",
            "cauce scale {duty}s={more}",
        ),
        ("fewer", "minus", "One fewer", "Run one fewer of these.", "scale(-1)", "f!", "cauce scale {duty}s={fewer}"),
        (
            "start_all",
            "S",
            "Start all",
            "Start everything that was stopped or given up.",
            "operate_all('start')",
            "!",
            "cauce start all",
        ),
        (
            "stop_all",
            "ctrl+x",
            "Stop all",
            "Stop every process; the supervisor stays.",
            "operate_all('stop')",
            "!",
            "cauce stop all",
        ),
        ("logs", "enter", "Its log", "Read the log of this process.", "pick"),
        ("all_logs", "escape", "All logs", "Read all logs together.", "everything"),
    ],
)

LOGS = _made(
    Scope.LOGS,
    "logs",
    [
        ("filter", "slash", "Filter", "Show only lines that hold a text.", "filter", "f"),
        ("level", "v", "Level", "Show only warnings and worse, errors, or everything.", "level", "f"),
        ("follow", "end,G,f", "Follow", "Go to the end, and stay there.", "follow", "f"),
        ("wrap", "w", "Wrap", "Break long lines, or cut them.", "wrap", "f"),
        (
            "search",
            "s,f7",
            "Search",
            "Go from hit to hit of a text; upper case counts where there is any.",
            "search",
            "f",
        ),
        ("next", "n", "Next hit", "Go to the next hit of the search.", "next_hit"),
        ("previous", "N", "Previous hit", "Go to the hit before.", "previous_hit"),
        ("copy", "y", "Copy", "Copy what is shown.", "copy"),
        ("clear", "escape", "All", "End the search; without one, show every line again.", "clear"),
    ],
)

DIAGRAM = _made(Scope.DIAGRAM, "diagram", [])

EVERY = (*GLOBAL, *SUBMIT, *HISTORY, *WORKERS, *RESULTS, *PROCESSES, *LOGS, *FAILED, *DIAGRAM)
BY_ID = {command.id: command for command in EVERY}


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


def allowed(action: str, *, read_only: bool) -> bool:
    """Whether an action, by the name of its method, may be done: a console that only looks changes nothing."""
    return not (read_only and action in _ACTING)


_ACTING = frozenset(command.action.partition("(")[0] for command in EVERY if command.acts)
