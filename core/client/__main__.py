"""`python -m core.client`: submits tasks and shows their results, in one command or at a prompt."""

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from core import formatting
from core.client import options, query_commands
from core.client.arguments import load_options, make_parser, submit_options
from core.client.client import Client
from core.client.line_editing import history_file, home_directory, line_history
from core.client.load_command import LoadCommand, describe, exit_code
from core.client.output import OutputWriter, json_text
from core.client.prompt import Prompt
from core.client.submit_command import SubmitCommand
from core.config import Settings
from core.launch import parse, run_with_settings

if TYPE_CHECKING:
    from rich.progress import Progress

REDRAW_INTERVAL = 0.1
"""Seconds between updates of the progress line."""


class ProgressLine:
    """A progress bar on standard error; shown on a terminal only.

    Args:
        total: the number of tasks, or None when it is unknown.
        enabled: whether to show the bar.
    """

    def __init__(self, total: int | None = None, *, enabled: bool = True) -> None:
        self._started_at = time.monotonic()
        self._next_redraw = 0.0
        self._bar = _make_bar(total) if enabled and sys.stderr.isatty() else None

    def __enter__(self) -> "ProgressLine":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show_accepted(self, accepted: int, note: str = "") -> None:
        """Show the number of accepted tasks and their rate."""
        if self._bar is None:
            return
        now = time.monotonic()
        if now < self._next_redraw:
            return
        self._next_redraw = now + REDRAW_INTERVAL
        rate = formatting.per_second(accepted, now - self._started_at)
        self._bar.update(self._bar.task_ids[0], completed=accepted, description=f"accepted, {rate}{note}")

    def show_output(self, output: OutputWriter) -> None:
        """Show the progress of a submission."""
        ended = output.ended.total()
        self.show_accepted(output.accepted, f", {ended:,} ended" if ended else "")


def _make_bar(total: int | None) -> "Progress":
    """Return a progress bar on standard error, with one task."""
    # Only a terminal needs Rich, which takes as long to import as all of the client.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    bar.add_task("", total=total)
    return bar


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Run the command. Returns the exit code."""
    with options.open_client(settings) as client:
        match arguments.command:
            case "submit":
                return submit(client, arguments)
            case "load":
                return load(client, arguments, settings)
            case None:
                with line_history(history_file(os.environ, home_directory())):
                    return Prompt(client).run()
            case _:
                return query(client, arguments)


def query(client: Client, arguments: argparse.Namespace) -> int:
    """Print what is asked about tasks, or cancel some. Returns the exit code."""
    match arguments.command:
        case "status":
            return query_commands.show_status(client, arguments.ids, as_json=arguments.json)
        case "result":
            return query_commands.show_result(
                client, arguments.id, arguments.wait, as_json=arguments.json, traceback=arguments.traceback
            )
        case "stack":
            return query_commands.show_stack(client, arguments.id)
        case "cancel":
            return query_commands.cancel(client, arguments.ids)
        case "stats":
            return query_commands.show_statistics(client, as_json=arguments.json)
        case _:
            return query_commands.describe(client, arguments.kind, as_json=arguments.json)


def submit(client: Client, arguments: argparse.Namespace) -> int:
    """Submit tasks. Returns the exit code."""
    command_options = submit_options(arguments)
    output = OutputWriter(sys.stdout, as_json=arguments.json, quiet=arguments.quiet, only_outcomes=command_options.wait)
    # The bar is not mixed with lines of output on the same terminal.
    enabled = not (command_options.wait and command_options.is_single) and (arguments.quiet or not sys.stdout.isatty())
    with ProgressLine(len(command_options.texts) or None, enabled=enabled) as progress:
        command = SubmitCommand(client, command_options, output, progress.show_output)
        try:
            return command.run()
        finally:
            sys.stderr.write(f"{command.summary()}\n")


def load(client: Client, arguments: argparse.Namespace, settings: Settings) -> int:
    """Submit many tasks and print the measurements. Returns the exit code."""
    command_options = load_options(arguments)
    patience = settings[options.PATIENCE]
    with options.open_pool(settings) as pool, ProgressLine(command_options.tasks) as progress:
        report = LoadCommand(pool, client, command_options, patience, progress.show_accepted).run()
    lines = [json_text(report, sys.stdout)] if arguments.json else describe(report)
    sys.stdout.write("\n".join(lines) + "\n")
    return exit_code(report)


def main() -> int:
    """Run the program. Returns the exit code."""
    parser = make_parser()
    arguments = parse(parser)
    if arguments.command is None and not arguments.show_config and not sys.stdin.isatty():
        parser.print_help(sys.stderr)
        sys.stderr.write("\ncore.client: the prompt needs a terminal; elsewhere, name a sub-command\n")
        return 2
    return run_with_settings("core.client", options.OPTIONS, arguments, lambda settings: run(arguments, settings))


if __name__ == "__main__":
    sys.exit(main())
