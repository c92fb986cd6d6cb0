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

UNLIMITED = 1e9
STANDARD_INPUT = "-"

_EPILOG = """\
Without a sub-command, on a terminal: a prompt at which each line is a task.

exit codes: 0 success, 1 a request was refused or a task failed, 2 the command line is wrong,
74 standard input or output can't be used, 75 no server answered or a task has not ended, 130 interrupted"""


def make_parser() -> argparse.ArgumentParser:
    """Make the parser. Settings may be given before and after the sub-command."""
    parser = create_parser("core.client", "Submit tasks, show where they are, and print their results.")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    config.add_arguments(parser, options.OPTIONS)
    # A sub-command's parser sets only what is given: its defaults would overwrite settings given before it.
    settings = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    config.add_arguments(settings, options.OPTIONS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, help_text: str) -> argparse.ArgumentParser:
        description = f"{help_text[0].upper()}{help_text[1:]}."
        return commands.add_parser(name, help=help_text, description=description, parents=[settings])

    _add_submit_arguments(add("submit", "submit tasks"))
    status = add("status", "show where tasks are, with their timelines")
    status.add_argument("ids", nargs="+", metavar="ID")
    status.add_argument("--json", action="store_true", help="write one JSON object per line")
    _add_result_arguments(add("result", "print the result of a task"))
    add("stack", "print where the code of a task is that has run for a while").add_argument("id", metavar="ID")
    add("cancel", "cancel tasks; those that run are stopped").add_argument("ids", nargs="+", metavar="ID")
    stats = add("stats", "print the ledger and the running processes")
    stats.add_argument("--json", action="store_true", help="print JSON")
    describe = add("describe", "print what a kind of task takes, with the JSON schema of its payloads")
    describe.add_argument("kind", nargs="?", metavar="KIND", help="the kind; without it, all kinds are listed")
    describe.add_argument("--json", action="store_true", help="print JSON")
    _add_load_arguments(add("load", "submit many tasks and measure the throughput"))
    return parser


def _add_submit_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("tasks")
    source.add_argument(
        "texts",
        nargs="*",
        metavar="TEXT",
        help="the payload of a task; - alone reads standard input, one task per line",
    )
    source.add_argument("--file", type=Path, metavar="FILE", help="a file with one task per line; - is standard input")
    source.add_argument("--kind", metavar="KIND", help="the kind of the tasks (default: the server's default kind)")
    source.add_argument("--id", metavar="ID", help="the id of the task, if there is only one")
    source.add_argument(
        "--id-prefix",
        metavar="PREFIX",
        help="give line N the id PREFIX-N: submitting the same file again adds nothing",
    )
    source.add_argument(
        "--delay",
        type=_checked(config.seconds(0, MAX_DELAY)),
        default=0.0,
        metavar="SECONDS",
        help="time to wait before the tasks may run",
    )
    source.add_argument(
        "--retries",
        type=_checked(config.whole_number(0, MAX_RETRIES)),
        metavar="N",
        help="how often a failed attempt is repeated (default: that of the kind)",
    )
    source.add_argument("--json-payload", action="store_true", help="read each task as a JSON value instead of a text")
    source.add_argument("--keep-blank", action="store_true", help="submit blank lines too")
    results = parser.add_argument_group("results")
    results.add_argument(
        "--wait", action="store_true", help="wait until all tasks have ended, and print each as it ends"
    )
    results.add_argument(
        "--timeout",
        type=_checked(config.seconds(0, UNLIMITED)),
        metavar="SECONDS",
        help="with --wait: time to wait for each task (default: no limit)",
    )
    results.add_argument("--json", action="store_true", help="write one JSON object per line")
    results.add_argument("-q", "--quiet", action="store_true", help="print only the summary at the end")


def _add_result_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")
    parser.add_argument(
        "--wait",
        type=_checked(config.seconds(0, UNLIMITED)),
        default=0.0,
        metavar="SECONDS",
        help="time to wait for the end of the task",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, also when the result is a text")
    parser.add_argument("--traceback", action="store_true", help="print the traceback of a failure")


def _add_load_arguments(parser: argparse.ArgumentParser) -> None:
    count = _checked(config.whole_number(1, 2**31))
    parser.add_argument("--tasks", type=count, default=10_000, metavar="N", help="number of tasks (default: 10000)")
    parser.add_argument("--connections", type=count, default=4, metavar="N", help="number of connections (default: 4)")
    parser.add_argument(
        "--window", type=count, default=250, metavar="N", help="unanswered tasks per connection (default: 250)"
    )
    parser.add_argument(
        "--rate",
        type=_checked(config.seconds(0.001, UNLIMITED)),
        metavar="N",
        help="tasks a second over all connections (default: no limit)",
    )
    parser.add_argument("--kind", default="echo", metavar="KIND", help="the kind of the tasks (default: echo)")
    payload = parser.add_mutually_exclusive_group()
    payload.add_argument("--payload", default="", metavar="TEXT", help="the payload of each task")
    payload.add_argument(
        "--payload-bytes", type=_checked(config.whole_number(0, 2**26)), metavar="N", help="use a payload of this size"
    )
    parser.add_argument("--wait", action="store_true", help="also wait until all results are stored, and measure it")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON, times in seconds")


def _checked(read: Callable[[str], T]) -> Callable[[str], T]:
    """Adapt a reader of settings to argparse, which shows the message of its own error type only."""

    def checked(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} {error}") from error

    return checked


def submit_options(arguments: argparse.Namespace) -> SubmitOptions:
    """Return the options of `submit`.

    Raises:
        ConfigurationError: the arguments contradict each other.
    """
    texts, file = tuple(arguments.texts), arguments.file
    if file == Path(STANDARD_INPUT) and not texts:
        texts, file = (STANDARD_INPUT,), None
    if file is not None and texts:
        raise ConfigurationError("submit: give tasks or --file, but not both")
    if file is None and not texts:
        raise ConfigurationError("submit: give tasks, --file FILE, or - for standard input")
    if arguments.id is not None and (file is not None or len(texts) != 1 or texts[0] == STANDARD_INPUT):
        raise ConfigurationError("submit: --id is for one task; --id-prefix makes ids for many")
    if arguments.id is not None and arguments.id_prefix is not None:
        raise ConfigurationError("submit: give --id or --id-prefix, but not both")
    if arguments.timeout is not None and not arguments.wait:
        raise ConfigurationError("submit: --timeout needs --wait")
    template = TaskTemplate(
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
        template=template,
        wait=arguments.wait,
        timeout=arguments.timeout,
    )


def load_options(arguments: argparse.Namespace) -> LoadOptions:
    """Return the options of `load`."""
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
