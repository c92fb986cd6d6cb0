"""What a line means that was typed at the prompt. Pure."""

import enum

import msgspec

from core.identifiers import KIND, TASK_ID

HELP = """\
text          a task of the current kind
/kind KIND    choose the kind; without KIND, the server's own
/status ID    say where a task is
/cancel ID    take a task back before it runs
/stats        the books, and who is there
/help         this list
/quit         leave, as Ctrl-D does; Ctrl-C clears the line
//text        a task whose text begins with /"""


class Action(enum.Enum):
    """What to do."""

    NOTHING = enum.auto()
    SUBMIT = enum.auto()
    KIND = enum.auto()
    STATUS = enum.auto()
    CANCEL = enum.auto()
    STATS = enum.auto()
    HELP = enum.auto()
    QUIT = enum.auto()
    WRONG = enum.auto()


class Typed(msgspec.Struct, frozen=True):
    """A line that was understood, or not."""

    action: Action
    text: str = ""
    """What it is about; with `WRONG`, what is wrong."""


_PLAIN = {
    "/stats": Action.STATS,
    "/help": Action.HELP,
    "/?": Action.HELP,
    "/quit": Action.QUIT,
    "/exit": Action.QUIT,
}


def read_typed(line: str) -> Typed:
    """Say what a line means."""
    text = line.strip()
    if not text:
        return Typed(Action.NOTHING)
    if text.startswith("//"):
        return Typed(Action.SUBMIT, text[1:])
    if not text.startswith("/"):
        return Typed(Action.SUBMIT, text)
    command, _, rest = text.partition(" ")
    return _command(command, rest.strip())


def _command(command: str, rest: str) -> Typed:
    if command in _PLAIN:
        return Typed(Action.WRONG, f"{command} takes nothing more") if rest else Typed(_PLAIN[command])
    if command == "/kind":
        if rest and not KIND.fullmatch(rest):
            return Typed(Action.WRONG, f"{rest!r} can't be a kind")
        return Typed(Action.KIND, rest)
    if command in {"/status", "/cancel"}:
        if not TASK_ID.fullmatch(rest):
            return Typed(Action.WRONG, f"{command} needs the id of one task")
        return Typed(Action.STATUS if command == "/status" else Action.CANCEL, rest)
    return Typed(Action.WRONG, f"{command} is no command; /help lists them")
