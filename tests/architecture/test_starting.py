"""What a program must not import when it starts: each import is paid for at every start, by users and by the tests.

What is needed now and then is imported in the function that needs it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]

NOW_AND_THEN = {
    "argcomplete",
    "difflib",
    "hypothesis",
    "importlib.metadata",
    "importlib.resources",
    "pika",
    "rich",
    "textual",
    "textual_serve",
    "tomllib",
}
"""Modules for errors, terminals, files and services that a start may lack."""

NEVER_AT_START = {
    "core.client": NOW_AND_THEN | {"apsw", "asyncio", "core.database", "psutil"},
    "core.monitor": NOW_AND_THEN | {"asyncio", "ssl"},
    "core.server": NOW_AND_THEN | {"psutil"},
    "core.supervisor": NOW_AND_THEN | {"asyncio", "core.supervisor.doctor.examination", "email"},
    "core.worker": NOW_AND_THEN | {"asyncio", "psutil", "ssl"},
    "tui": NOW_AND_THEN | {"apsw", "asyncio", "psutil"},
}


def imported_at_start(program: str) -> set[str]:
    """Return the modules that a program has imported once it has read its command line."""
    command = [sys.executable, "-X", "importtime", "-m", program, "--help"]
    ended = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=60, check=True)
    return {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("program", NEVER_AT_START)
def test_a_program_starts_without_what_it_needs_now_and_then(program: str) -> None:
    imported = imported_at_start(program)
    assert "argparse" in imported
    assert imported & NEVER_AT_START[program] == set()
