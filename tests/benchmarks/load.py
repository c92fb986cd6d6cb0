"""Runs the load generator of `core.client` in its own process."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from core.addresses import Address
from core.client.load_command import LoadReport
from tests.benchmarks.case import Order, TasksLost

_TOP = Path(__file__).resolve().parents[2]
_TIMEOUT = 300.0


def submit(servers: Sequence[Address], tasks: int, order: Order) -> LoadReport:
    """Submit tasks as fast as they are accepted, and return the generator's report.

    Raises:
        TasksLost: not every task was accepted.
    """
    command = [sys.executable, "-m", "core.client", "load", "--json", "--kind", "echo", "--payload", "hello world"]
    command += ["--tasks", str(tasks), "--connections", str(order.connections), "--window", str(order.window)]
    for server in servers:
        command += ["--server", str(server)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CAUCE_")}
    ended = subprocess.run(
        command, cwd=_TOP, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
    )
    if ended.returncode:
        raise TasksLost(f"the client ended with {ended.returncode}: {ended.stderr.decode(errors='replace')}")
    return msgspec.json.decode(ended.stdout, type=LoadReport)
