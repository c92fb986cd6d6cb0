"""Parses the lines typed at the prompt. Pure."""

import enum

import msgspec

from core.identifiers import KIND, TASK_ID

HELP = """\
text          a task of the current kind
/kind KIND    choose the kind of tasks; without KIND, the server's default
/status ID    show where a task is
/cancel ID    cancel a task; one that runs is stopped
/stats        show the ledger and the running processes
/help         show this list
/quit         leave, like Ctrl-D; Ctrl-C clears the line
//text        a task whose text begins with /"""


class PromptAction(enum.Enum):
    """What to do with a line."""

    NOTHING = enum.auto()
    SUBMIT = enum.auto()
    KIND = enum.auto()
    STATUS = enum.auto()
    CANCEL = enum.auto()
    STATS = enum.auto()
    HELP = enum.auto()
    QUIT = enum.auto()
    INVALID = enum.auto()


class PromptLine(msgspec.Struct, frozen=True):
    """A parsed line."""

    action: PromptAction
    text: str = ""
    """The argument of the action; for `INVALID`, what is wrong."""


_WITHOUT_ARGUMENT = {
    "/stats": PromptAction.STATS,
    "/help": PromptAction.HELP,
    "/?": PromptAction.HELP,
    "/quit": PromptAction.QUIT,
    "/exit": PromptAction.QUIT,
}


def parse_line(line: str) -> PromptLine:
    """Return what a line asks for."""
    text = line.strip()
    if not text:
        return PromptLine(PromptAction.NOTHING)
    if text.startswith("//"):
        return PromptLine(PromptAction.SUBMIT, text[1:])
    if not text.startswith("/"):
        return PromptLine(PromptAction.SUBMIT, text)
    command, _, argument = text.partition(" ")
    return _parse_command(command, argument.strip())


def _parse_command(command: str, argument: str) -> PromptLine:
    if command in _WITHOUT_ARGUMENT:
        if argument:
            return PromptLine(PromptAction.INVALID, f"{command} takes no argument")
        return PromptLine(_WITHOUT_ARGUMENT[command])
    if command == "/kind":
        if argument and not KIND.fullmatch(argument):
            return PromptLine(PromptAction.INVALID, f"{argument!r} is not a valid kind")
        return PromptLine(PromptAction.KIND, argument)
    if command in {"/status", "/cancel"}:
        if not TASK_ID.fullmatch(argument):
            return PromptLine(PromptAction.INVALID, f"{command} needs the id of one task")
        return PromptLine(PromptAction.STATUS if command == "/status" else PromptAction.CANCEL, argument)
    return PromptLine(PromptAction.INVALID, f"{command} is not a command; /help lists them")
