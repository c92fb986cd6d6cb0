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


class PromptAction(enum.Enum):
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


class PromptLine(msgspec.Struct, frozen=True):
    """A line that was understood, or not."""

    action: PromptAction
    text: str = ""
    """What it is about; with `WRONG`, what is wrong."""


_PLAIN = {
    "/stats": PromptAction.STATS,
    "/help": PromptAction.HELP,
    "/?": PromptAction.HELP,
    "/quit": PromptAction.QUIT,
    "/exit": PromptAction.QUIT,
}


def read_typed(line: str) -> PromptLine:
    """Say what a line means."""
    text = line.strip()
    if not text:
        return PromptLine(PromptAction.NOTHING)
    if text.startswith("//"):
        return PromptLine(PromptAction.SUBMIT, text[1:])
    if not text.startswith("/"):
        return PromptLine(PromptAction.SUBMIT, text)
    command, _, rest = text.partition(" ")
    return _command(command, rest.strip())


def _command(command: str, rest: str) -> PromptLine:
    if command in _PLAIN:
        return PromptLine(PromptAction.WRONG, f"{command} takes nothing more") if rest else PromptLine(_PLAIN[command])
    if command == "/kind":
        if rest and not KIND.fullmatch(rest):
            return PromptLine(PromptAction.WRONG, f"{rest!r} can't be a kind")
        return PromptLine(PromptAction.KIND, rest)
    if command in {"/status", "/cancel"}:
        if not TASK_ID.fullmatch(rest):
            return PromptLine(PromptAction.WRONG, f"{command} needs the id of one task")
        return PromptLine(PromptAction.STATUS if command == "/status" else PromptAction.CANCEL, rest)
    return PromptLine(PromptAction.WRONG, f"{command} is no command; /help lists them")
