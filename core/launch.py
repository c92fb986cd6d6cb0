"""The start and the end of a foreground program: arguments, settings, logging, error messages and exit codes."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from core import __version__, config, logs, standard_streams
from core.config import Option, Settings
from core.errors import CauceError, StreamUnusable
from core.safe_text import printable
from core.signals import dump_stacks_on_signal


def create_parser(module: str, description: str) -> argparse.ArgumentParser:
    """Make a command line parser for `python -m MODULE`."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--version", action="version", version=f"cauce {__version__}")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line. Call this first: it also makes the standard streams safe to use."""
    standard_streams.prepare()
    try:
        try:
            return parser.parse_args()
        finally:
            sys.stdout.flush()  # `--help` has written to it, and ends the program
    except StreamUnusable as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(_drop_output())


def launch(module: str, description: str, options: Sequence[Option[object]], run: Callable[[Settings], int]) -> int:
    """Run a program whose command line has only settings. Returns the exit code.

    Args:
        module: the name after `python -m`.
        description: the description in the help.
        options: the options of the program.
        run: does the work and returns the exit code.
    """
    parser = create_parser(module, description)
    config.add_arguments(parser, options)
    return run_with_settings(module, options, parse(parser), run)


def run_with_settings(
    module: str, options: Sequence[Option[object]], arguments: argparse.Namespace, run: Callable[[Settings], int]
) -> int:
    """Run a program whose own parser has parsed the command line. Returns the exit code.

    Args:
        module: the name after `python -m`.
        options: the options of the program.
        arguments: the result of a parser that `config.add_arguments` prepared.
        run: does the work and returns the exit code.
    """

    def work() -> int:
        settings = config.load(options, arguments, os.environ, ask_system=True)
        if arguments.show_config:
            sys.stdout.write(f"{settings.describe()}\n")
            return 0
        logs.set_up(settings[config.LOG_LEVEL], settings[config.LOG_FORMAT], _name(module, settings))
        dump_stacks_on_signal()
        return run(settings)

    return report_errors(module, work)


def _name(module: str, settings: Settings) -> str:
    """Return the process's name in its log: the name in its settings, or else its program's."""
    program = module.rpartition(".")[2]
    given = settings.values.get(f"{program}.name")
    return str(given) if given else program


def report_errors(module: str, work: Callable[[], int]) -> int:
    """Do the work, and report one of Cauce's errors on standard error. Returns the exit code."""
    try:
        code = work()
        sys.stdout.flush()
    except CauceError as error:
        # The message may hold the last lines of a log.
        for line in f"{module}: {error}".split("\n"):
            sys.stderr.write(f"{printable(line)}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _drop_output()
    return code


def _drop_output() -> int:
    """Send the rest of the output nowhere, because its reader has gone. Returns the exit code."""
    # Otherwise Python would report the broken pipe once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
