"""How a program that runs in the foreground begins and ends: arguments, settings, logs, errors as a line and a code."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from core import __version__, config, logs
from core.config import Option, Settings
from core.errors import CauceError
from core.signals import tell_stacks


def parser_for(module: str, description: str) -> argparse.ArgumentParser:
    """A parser for `python -m MODULE`."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--version", action="version", version=f"cauce {__version__}")
    return parser


def launch(module: str, description: str, options: Sequence[Option[object]], run: Callable[[Settings], int]) -> int:
    """Run a program that has settings and nothing else on its command line.

    Args:
        module: as in `python -m MODULE`.
        description: for its help.
        options: what it can be told.
        run: does the work; the exit code.
    """
    parser = parser_for(module, description)
    config.add_arguments(parser, options)
    return settled(module, options, parser.parse_args(), run)


def settled(
    module: str, options: Sequence[Option[object]], arguments: argparse.Namespace, run: Callable[[Settings], int]
) -> int:
    """Run a program whose command line has been parsed by its own parser: find its settings, and do its work.

    Args:
        module: as in `python -m MODULE`.
        options: what it can be told.
        arguments: as a parser prepared by `config.add_arguments` returned them.
        run: does the work; the exit code.
    """

    def work() -> int:
        settings = config.load(options, arguments, os.environ)
        if arguments.show_config:
            sys.stdout.write(f"{settings.describe()}\n")
            return 0
        logs.set_up(settings[config.LOG_LEVEL], settings[config.LOG_FORMAT], _name(module, settings))
        tell_stacks()
        return run(settings)

    return explained(module, work)


def _name(module: str, settings: Settings) -> str:
    """What the process is called in its log: by its name, if it was given one."""
    program = module.rpartition(".")[2]
    given = settings.values.get(f"{program}.name")
    return str(given) if given else program


def explained(module: str, work: Callable[[], int]) -> int:
    """Do `work`; an error of ours becomes a sentence on standard error, and its exit code."""
    try:
        return work()
    except CauceError as error:
        # It may hold the last lines of a log: each is printed as a line.
        for line in f"{module}: {error}".split("\n"):
            sys.stderr.write(f"{logs.printable(line)}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
