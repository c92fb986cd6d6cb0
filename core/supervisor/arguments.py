"""The command line of the supervisor: its commands and flags. It only reads; `__main__` does what they say."""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from core import config
from core.config import Option
from core.launch import create_parser
from core.supervisor import guard, options

T = TypeVar("T")

MODULE = "core.supervisor"
"""What is run with `python -m`."""

_DIRECTORY: Sequence[Option[object]] = (config.DIRECTORY,)
DOWN_TIMEOUT = replace(options.STOP_TIMEOUT, flags=("--timeout",))

CODES = """\
exit codes: 0 all is well, 1 something is not (status: something is not ready, or nothing runs), 2 a setting is wrong,
3 the broker can't be used, 4 a supervisor runs here already and runs something else, 5 the journal can't be used"""

SHELLS = ("bash", "zsh", "fish")

Completer = Callable[..., list[str]]
"""Gives the words that may stand in a place, as the library that completes asks for them."""


def parser(names: Completer) -> argparse.ArgumentParser:
    """Make the parser.

    Args:
        names: gives the processes that can be named, for the shell's completion.
    """
    made = create_parser(MODULE, "Run servers, workers, NGINX and RabbitMQ on this machine, and keep them running.")
    made.epilog = CODES
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, shown: Sequence[Option[object]] = _DIRECTORY) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=CODES)
        config.add_arguments(command, shown)
        return command

    up = add("up", "start everything, wait until it is ready, and keep it running", options.OPTIONS)
    up.add_argument("--detach", action="store_true", help="go on in the background once everything is ready")
    up.add_argument(
        "--no-attach",
        dest="attach",
        action="store_false",
        help="when another supervisor runs in this directory, fail with code 4, also when it runs what is asked for",
    )
    _add_json(up, "when everything is ready, print one JSON object")
    down = add("down", "end everything in order, and make sure that nothing is left", (config.DIRECTORY, DOWN_TIMEOUT))
    _add_json(down)
    _add_json(add("status", "say how each process is; exit code 0 when all are ready"))
    for name, text in _OPERATIONS.items():
        operation = add(name, text, (config.DIRECTORY, DOWN_TIMEOUT) if name in {"stop", "restart"} else _DIRECTORY)
        named = operation.add_argument("names", nargs="+", metavar="NAME", help=_NAMES)
        _complete(named, names)
        _add_json(operation)
    scale = add("scale", "run so many servers and workers: `scale servers=3 workers=8`")
    sizes = scale.add_argument("sizes", nargs="+", type=size, metavar="servers=N|workers=N", help="how many of each")
    _complete(sizes, _sizes)
    _add_json(scale)
    _add_logs(add("logs", "print what the processes have logged, merged in the order of time"), names)
    doctor = add("doctor", "say whether this machine can run it, and what would mend what is missing", options.OPTIONS)
    _add_json(doctor)
    add(
        "redispatch",
        "have every queued task published again, for when the broker has lost its messages",
        (config.DIRECTORY, config.DATABASE),
    )
    add(
        "nginx-conf",
        "print NGINX's configuration for these addresses",
        (options.LISTEN, options.SERVER_COUNT, options.SERVER_PORT),
    )
    completion = commands.add_parser("completion", help="print what makes a shell complete the command `cauce`")
    completion.add_argument("shell", choices=SHELLS, help='e.g. eval "$(cauce completion bash)"')
    # For a supervisor's own use: without help, it isn't listed.
    config.add_arguments(commands.add_parser(guard.COMMAND), (config.DIRECTORY, DOWN_TIMEOUT))
    return made


def size(text: str) -> tuple[str, int]:
    """Read `servers=3`.

    Raises:
        ArgumentTypeError: it is something else.
    """
    found = re.fullmatch(r"(servers|workers)=(\d{1,6})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is none of servers=N and workers=N")
    read = (options.SERVER_COUNT if found[1] == "servers" else options.WORKER_COUNT).read
    try:
        return found[1], read(found[2])
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{found[1]} {error}") from error


_OPERATIONS = {
    "start": "start what was stopped or given up, and wait until it is ready",
    "stop": "stop processes politely, by force when their time is over, and keep them stopped",
    "restart": "stop and start processes, one after the other, so that the others do the work meanwhile",
    "kill": "end processes as a crash would (kill -9); they are started again by themselves",
}

_NAMES = "as `status` calls it; `servers`, `workers`, `declared` and `all` stand for several"


def _add_json(parser: argparse.ArgumentParser, text: str = "print one JSON object") -> None:
    parser.add_argument("--json", action="store_true", help=text)


def _add_logs(parser: argparse.ArgumentParser, names: Completer) -> None:
    _complete(
        parser.add_argument("names", nargs="*", metavar="NAME", help="of which processes; of all when left out"), names
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is logged from now on")
    parser.add_argument(
        "-n",
        "--lines",
        type=config.argument_type(config.whole_number(0, 1_000_000)),
        default=100,
        metavar="N",
        help="the last N lines (default: 100)",
    )
    parser.add_argument(
        "--level", choices=("debug", "info", "warning", "error"), default="debug", help="nothing less than this"
    )
    parser.add_argument("--grep", default="", metavar="TEXT", help="only lines that hold this text, in either case")
    parser.add_argument(
        "--since",
        type=config.argument_type(config.seconds(0, 10**9)),
        metavar="SECONDS",
        help="only what is not older than so many seconds",
    )
    _add_json(parser, "one JSON object a line")


def _complete(action: argparse.Action, completer: Completer) -> None:
    """Say which words complete an argument; the library that completes looks for this attribute."""
    setattr(action, "completer", completer)  # noqa: B010 - the type of the class doesn't know it


def _sizes(**_: object) -> list[str]:
    return ["servers=", "workers="]
