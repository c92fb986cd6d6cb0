"""The command line of `python -m core.client`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from core import config, jsontext
from core.client import options
from core.client.load_command import LoadOptions
from core.client.submit_command import SubmitOptions
from core.client.task_lines import TaskTemplate
from core.errors import ConfigurationError
from core.launch import create_parser
from core.protocol.requests import MAX_DELAY, MAX_RETRIES

T = TypeVar("T")

FOREVER = 1e9
STANDARD_INPUT = "-"

_EPILOG = """\
Without a sub-command, on a terminal: a prompt, at which each line is a task.

exit codes: 0 all went well, 1 something was refused or failed, 2 the command line is wrong,
75 no server answered or a task has not ended, 130 interrupted"""


def make_parser() -> argparse.ArgumentParser:
    """Make the parser. Settings may stand before and after the sub-command."""
    parser = create_parser("core.client", "Submit tasks, ask where they are, and fetch what came of them.")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    config.add_arguments(parser, options.OPTIONS)
    # A sub-command's parser sets only what was given to it: its defaults would undo what stands before it.
    settings = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    config.add_arguments(settings, options.OPTIONS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[settings])

    _submit(add("submit", "submit tasks"))
    status = add("status", "say where tasks are, and how they came there")
    status.add_argument("ids", nargs="+", metavar="ID")
    status.add_argument("--json", action="store_true", help="one JSON object a line")
    _result(add("result", "print what came of a task"))
    add("cancel", "take tasks back before they run").add_argument("ids", nargs="+", metavar="ID")
    stats = add("stats", "print the books, and who is there")
    stats.add_argument("--json", action="store_true", help="as JSON")
    _load(add("load", "submit many tasks at once, and measure"))
    return parser


def _submit(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("tasks")
    source.add_argument(
        "texts", nargs="*", metavar="TEXT", help="a task each; - alone reads standard input, one task a line"
    )
    source.add_argument("--file", type=Path, metavar="FILE", help="a file with one task a line")
    source.add_argument("--kind", metavar="KIND", help="what to do with them (default: the server's)")
    source.add_argument("--id", metavar="ID", help="the id of the only task")
    source.add_argument(
        "--id-prefix",
        metavar="PREFIX",
        help="the id of line N is PREFIX-N: to submit the same file again adds nothing",
    )
    source.add_argument(
        "--delay", type=_checked(config.seconds(0, MAX_DELAY)), default=0.0, metavar="SECONDS", help="run none before"
    )
    source.add_argument(
        "--retries",
        type=_checked(config.whole_number(0, MAX_RETRIES)),
        metavar="N",
        help="how often a failure is tried again (default: as the kind has it)",
    )
    source.add_argument("--json-payload", action="store_true", help="each task is a JSON value, not a text")
    source.add_argument("--keep-blank", action="store_true", help="a blank line is a task too")
    after = parser.add_argument_group("what comes of them")
    after.add_argument("--wait", action="store_true", help="wait until all have ended, and print each as it ends")
    after.add_argument(
        "--timeout",
        type=_checked(config.seconds(0, FOREVER)),
        metavar="SECONDS",
        help="with --wait: how long to wait for each (default: for ever)",
    )
    after.add_argument("--json", action="store_true", help="one JSON object a line")
    after.add_argument("-q", "--quiet", action="store_true", help="only the sum at the end")


def _result(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")
    parser.add_argument(
        "--wait",
        type=_checked(config.seconds(0, FOREVER)),
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for its end",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, also if it is a text")
    parser.add_argument("--traceback", action="store_true", help="show where a failure happened")


def _load(parser: argparse.ArgumentParser) -> None:
    count = _checked(config.whole_number(1, 2**31))
    parser.add_argument("--tasks", type=count, default=10_000, metavar="N", help="how many (default: 10000)")
    parser.add_argument("--connections", type=count, default=4, metavar="N", help="at once (default: 4)")
    parser.add_argument(
        "--window", type=count, default=250, metavar="N", help="tasks without an answer on each (default: 250)"
    )
    parser.add_argument(
        "--rate",
        type=_checked(config.seconds(0.001, FOREVER)),
        metavar="N",
        help="tasks a second, over all connections (default: as fast as it goes)",
    )
    parser.add_argument("--kind", default="echo", metavar="KIND", help="of the tasks (default: echo)")
    payload = parser.add_mutually_exclusive_group()
    payload.add_argument("--payload", default="", metavar="TEXT", help="of each")
    payload.add_argument(
        "--payload-bytes", type=_checked(config.whole_number(0, 2**26)), metavar="N", help="a payload of this size"
    )
    parser.add_argument("--wait", action="store_true", help="also wait until all are stored, and measure that")
    parser.add_argument("--json", action="store_true", help="the figures as JSON, times in seconds")


def _checked(read: Callable[[str], T]) -> Callable[[str], T]:
    """Make a reader of settings fit for argparse, which asks for an error of its own to show the words of."""

    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} {error}") from error

    return checked


def submit_order(arguments: argparse.Namespace) -> SubmitOptions:
    """What `submit` has to do.

    Raises:
        ConfigurationError: the arguments don't go together.
    """
    texts, file = tuple(arguments.texts), arguments.file
    if file is not None and texts:
        raise ConfigurationError("submit: give tasks, or --file, but not both")
    if file is None and not texts:
        raise ConfigurationError("submit: give tasks, --file FILE, or - for standard input")
    if arguments.id is not None and (file is not None or len(texts) != 1 or texts[0] == STANDARD_INPUT):
        raise ConfigurationError("submit: --id is for one task; --id-prefix makes ids for many")
    if arguments.id is not None and arguments.id_prefix is not None:
        raise ConfigurationError("submit: give --id or --id-prefix, but not both")
    if arguments.timeout is not None and not arguments.wait:
        raise ConfigurationError("submit: --timeout is for --wait")
    shape = TaskTemplate(
        kind=arguments.kind,
        id=arguments.id,
        id_prefix=arguments.id_prefix,
        delay=arguments.delay,
        retries=arguments.retries,
        as_json=arguments.json_payload,
        keep_blank=arguments.keep_blank,
    )
    return SubmitOptions(
        texts=() if texts == (STANDARD_INPUT,) else texts,
        file=file,
        shape=shape,
        wait=arguments.wait,
        timeout=arguments.timeout,
    )


def load_order(arguments: argparse.Namespace) -> LoadOptions:
    """What `load` has to do."""
    payload: jsontext.Json = arguments.payload
    if arguments.payload_bytes is not None:
        payload = "x" * arguments.payload_bytes
    return LoadOptions(
        tasks=arguments.tasks,
        connections=arguments.connections,
        window=arguments.window,
        rate=arguments.rate,
        kind=arguments.kind,
        payload=payload,
        wait=arguments.wait,
    )
