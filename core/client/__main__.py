"""`python -m core.client`: submit tasks and ask for them, in one command or at a prompt."""

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from core import formatting
from core.client import options, query_commands
from core.client.arguments import load_order, make_parser, submit_order
from core.client.client import Client
from core.client.line_editing import history_file, remembered
from core.client.load_command import LoadCommand, describe, exit_code
from core.client.output import OutputWriter, json_text
from core.client.prompt import Prompt
from core.client.submit_command import SubmitCommand
from core.config import Settings
from core.launch import run_with_settings

REDRAW = 0.1
"""Seconds between two pictures of how far it is."""


class ProgressLine:
    """Shows on a terminal's standard error how far it is; elsewhere nothing.

    Args:
        total: of how many, if that is known.
        wanted: whether to show it at all.
    """

    def __init__(self, total: int | None = None, *, wanted: bool = True) -> None:
        console = Console(stderr=True)
        self._shown = wanted and console.is_terminal
        self._began = time.monotonic()
        self._next = 0.0
        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._shown,
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> "ProgressLine":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def count(self, accepted: int, note: str = "") -> None:
        """Show how many tasks were accepted, and at which rate."""
        if not self._shown:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + REDRAW
        rate = formatting.per_second(accepted, now - self._began)
        self._bar.update(self._task, completed=accepted, description=f"accepted, {rate}{note}")

    def report(self, report: OutputWriter) -> None:
        """Show how far a submission is."""
        ended = report.ended.total()
        self.count(report.accepted, f", {ended:,} ended" if ended else "")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what the command line asks for; the exit code."""
    with options.open_client(settings) as client:
        match arguments.command:
            case "submit":
                return submit(client, arguments)
            case "load":
                return load(client, arguments, settings)
            case "status":
                return query_commands.show_status(client, arguments.ids, as_json=arguments.json)
            case "result":
                return query_commands.show_result(
                    client, arguments.id, arguments.wait, as_json=arguments.json, traceback=arguments.traceback
                )
            case "cancel":
                return query_commands.cancel(client, arguments.ids)
            case "stats":
                return query_commands.show_statistics(client, as_json=arguments.json)
            case _:
                with remembered(history_file(os.environ, Path.home())):
                    return Prompt(client).run()


def submit(client: Client, arguments: argparse.Namespace) -> int:
    """Submit tasks; the exit code."""
    order = submit_order(arguments)
    report = OutputWriter(sys.stdout, as_json=arguments.json, quiet=arguments.quiet, only_ends=order.wait)
    # A bar among the lines of a terminal would only disturb them.
    quiet = arguments.quiet or not sys.stdout.isatty()
    total = len(order.texts) or None
    with ProgressLine(total, wanted=quiet) as gauge:
        submission = SubmitCommand(client, order, report, gauge.report)
        try:
            return submission.run()
        finally:
            sys.stderr.write(f"{submission.summary()}\n")


def load(client: Client, arguments: argparse.Namespace, settings: Settings) -> int:
    """Submit many tasks and print the figures; the exit code."""
    order = load_order(arguments)
    patience = settings[options.PATIENCE_SECONDS]
    with options.open_pool(settings) as pool, ProgressLine(order.tasks) as gauge:
        figures = LoadCommand(pool, client, order, patience, gauge.count).run()
    sys.stdout.write("\n".join([json_text(figures, sys.stdout)] if arguments.json else describe(figures)) + "\n")
    return exit_code(figures)


def main() -> int:
    """The program."""
    parser = make_parser()
    arguments = parser.parse_args()
    if arguments.command is None and not arguments.show_config and not sys.stdin.isatty():
        parser.print_help(sys.stderr)
        return 2
    return run_with_settings("core.client", options.OPTIONS, arguments, lambda settings: run(arguments, settings))


if __name__ == "__main__":
    sys.exit(main())
