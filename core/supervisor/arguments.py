"""The command line of the supervisor: its commands and flags. `__main__` runs the commands."""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from core import config
from core.config import Option
from core.launch import create_parser
from core.supervisor import guard, options

MODULE = "core.supervisor"
"""The module that `python -m` runs."""

_DIRECTORY: Sequence[Option[object]] = (config.DIRECTORY,)
DOWN_TIMEOUT = replace(options.STOP_TIMEOUT, flag="--timeout")

EXIT_CODES = """\
exit codes: 0 success, 1 failure (status: a process is not ready, or nothing runs), 2 a setting is wrong,
3 the broker can't be used, 4 another supervisor runs here, with something else, 5 the journal can't be used"""

SHELLS = ("bash", "zsh", "fish")

Completer = Callable[..., list[str]]
"""Returns the texts that can complete an argument; argcomplete calls it."""


def make_parser(complete_names: Completer) -> argparse.ArgumentParser:
    """Make the parser of the command line.

    Args:
        complete_names: returns the names of processes, for a shell that completes a command.
    """
    parser = create_parser(MODULE, "Run servers, workers, NGINX and RabbitMQ on this machine, and keep them running.")
    parser.epilog = EXIT_CODES
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, shown: Sequence[Option[object]] = _DIRECTORY) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=EXIT_CODES)
        config.add_arguments(command, shown)
        return command

    up = add("up", "start everything, wait until it is ready, and keep it running", options.OPTIONS)
    up.add_argument("--detach", action="store_true", help="go on in the background once everything is ready")
    up.add_argument(
        "--no-attach",
        dest="attach",
        action="store_false",
        help="fail with code 4 when another supervisor runs in this directory, even with the same processes",
    )
    _add_json(up, "when everything is ready, print one JSON object")
    down = add(
        "down", "stop everything in order, and make sure that nothing is left running", (config.DIRECTORY, DOWN_TIMEOUT)
    )
    _add_json(down)
    _add_json(add("status", "show the state of each process; exit code 0 when all are ready"))
    for name, text in _OPERATIONS.items():
        operation = add(name, text, (config.DIRECTORY, DOWN_TIMEOUT) if name in {"stop", "restart"} else _DIRECTORY)
        named = operation.add_argument("names", nargs="+", metavar="NAME", help=_NAMES)
        _complete(named, complete_names)
        _add_json(operation)
    scale = add("scale", "change the number of servers and workers: `scale servers=3 workers=8`")
    sizes = scale.add_argument("sizes", nargs="+", type=size, metavar="servers=N|workers=N", help="the new numbers")
    _complete(sizes, _complete_sizes)
    _add_json(scale)
    _add_logs(add("logs", "print the logs of the processes, merged in the order of time"), complete_names)
    doctor = add(
        "doctor", "check whether this machine can run the system, and how to mend what is wrong", options.OPTIONS
    )
    _add_json(doctor)
    add(
        "redispatch",
        "publish every queued task again, after the broker has lost its messages",
        (config.DIRECTORY, config.DATABASE),
    )
    sql = add("sql", 'read the journal: `sql "SELECT * FROM results LIMIT 5"`', (config.DIRECTORY, config.DATABASE))
    sql.add_argument("statement", metavar="SELECT", help="what to select; it can't change anything")
    _add_json(sql, "print one JSON object a row")
    add(
        "nginx-conf",
        "print NGINX's configuration for these addresses",
        (options.LISTEN, options.SERVER_COUNT, options.SERVER_PORT),
    )
    completion = commands.add_parser(
        "completion", help="print a script with which a shell completes the command `cauce`"
    )
    completion.add_argument("shell", choices=SHELLS, help='e.g. eval "$(cauce completion bash)"')
    # The supervisor starts this command itself. Without a help text it isn't listed.
    config.add_arguments(commands.add_parser(guard.COMMAND), (config.DIRECTORY, DOWN_TIMEOUT))
    return parser


def size(text: str) -> tuple[str, int]:
    """Parse `servers=3` or `workers=3`.

    Raises:
        ArgumentTypeError: the text is neither.
    """
    found = re.fullmatch(r"(servers|workers)=(\d{1,6})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither servers=N nor workers=N")
    read = (options.SERVER_COUNT if found[1] == "servers" else options.WORKER_COUNT).read
    try:
        return found[1], read(found[2])
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{found[1]} {error}") from error


_OPERATIONS = {
    "start": "start processes that were stopped or given up, and wait until they are ready",
    "stop": "stop processes, killing those that take too long, and keep them stopped",
    "restart": "stop and start processes one after the other, so that the others go on working",
    "kill": "end processes as a crash would (kill -9); the supervisor restarts them",
}

_NAMES = "a name that `status` shows; `servers`, `workers`, `declared` and `all` stand for several processes"


def _add_json(parser: argparse.ArgumentParser, text: str = "print one JSON object") -> None:
    parser.add_argument("--json", action="store_true", help=text)


def _add_logs(parser: argparse.ArgumentParser, complete_names: Completer) -> None:
    names = parser.add_argument("names", nargs="*", metavar="NAME", help="the processes (default: all)")
    _complete(names, complete_names)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines")
    parser.add_argument(
        "-n",
        "--lines",
        type=config.argument_type(config.whole_number(0, 1_000_000)),
        default=100,
        metavar="N",
        help="show the last N lines (default: 100)",
    )
    parser.add_argument(
        "--level",
        choices=("debug", "info", "warning", "error"),
        default="debug",
        help="only lines of at least this level",
    )
    parser.add_argument("--grep", default="", metavar="TEXT", help="only lines that hold this text, in any case")
    parser.add_argument(
        "--since",
        type=config.argument_type(config.seconds(0, 10**9)),
        metavar="SECONDS",
        help="only lines of the last SECONDS",
    )
    _add_json(parser, "one JSON object a line")


def _complete(action: argparse.Action, completer: Completer) -> None:
    """Set the completer of an argument, in the attribute that argcomplete reads."""
    setattr(action, "completer", completer)  # noqa: B010 - the attribute is not declared by argparse


def _complete_sizes(**_: object) -> list[str]:
    return ["servers=", "workers="]
