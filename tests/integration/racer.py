"""Runs commands of the supervisor one after another in a process that has loaded everything.

Two of these race: each begins its command the moment it reads it, and not after an interpreter's start of its own.
Each line of input is a list of arguments; each line of output is the `Ended` of one command.
"""

import contextlib
import io
import sys

import msgspec

from core.supervisor import __main__ as supervisor
from tests.integration.supervised import Ended


def run(arguments: list[str]) -> Ended:
    """Run one command to its end."""
    sys.argv = ["core.supervisor", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(io.StringIO()) as errors:
        code = supervisor.main()
    return Ended(code, output.getvalue(), errors.getvalue())


if __name__ == "__main__":
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(run(msgspec.json.decode(line, type=list[str]))) + b"\n")
        sys.stdout.buffer.flush()
