"""Start-up times of programs, and their processor use while idle."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psutil

from tests.benchmarks.case import TasksLost
from tests.benchmarks.setting import RunningSystem
from tests.integration.supervised import Supervised

READY = b" is ready"
"""In the log line of a worker that is ready."""

SETTLE_TIME = 3.0
"""Seconds from the first frame of a console to the end of its start-up."""

_TOP = Path(__file__).resolve().parents[2]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The processor use of an idle process."""

    share: float
    """The share of one processor."""
    wakes: float
    """Wake-ups a second of all its threads."""


def worker_start(system: RunningSystem) -> float:
    """Start a worker of a running system. Returns the seconds from the command until it is ready.

    Raises:
        TasksLost: it ends before.
    """
    command = [sys.executable, "-m", "core.worker", "--dir", str(system.servers.directory), "--broker", system.broker]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CAUCE_")}
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, cwd=_TOP
    ) as process:
        assert process.stderr is not None
        ready = any(READY in line for line in process.stderr)
        seconds = time.perf_counter() - began
        process.terminate()
        process.stderr.read()
    if not ready:
        raise TasksLost("a worker ended before it was ready")
    return seconds


def has_console() -> bool:
    """Return whether the console can be measured here: it needs a pseudo-terminal."""
    return os.name == "posix"


def console_start(directory: Path) -> float:
    """Start a console over a system. Returns the seconds from the command to the first frame."""
    from tests.benchmarks.console import ConsoleTerminal  # needs pseudo-terminals, which Windows lacks

    with ConsoleTerminal(directory) as screen:
        return screen.read_until("Results")


def at_rest(directory: Path, seconds: float) -> dict[str, Load]:
    """Measure each process of an idle embedded system of default size, with a console."""
    with ExitStack() as stack:
        supervised = stack.enter_context(Supervised(directory))
        report = supervised.up(2, 2)
        stack.callback(supervised.down)
        pids = {"supervisor": report.pid, **{unit.name: unit.pid for unit in report.processes if unit.pid}}
        processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        if not has_console():
            return _measure(processes, seconds, threading.Event().wait)
        from tests.benchmarks.console import ConsoleTerminal  # needs pseudo-terminals, which Windows lacks

        screen = stack.enter_context(ConsoleTerminal(directory))
        screen.read_until("Results")
        screen.read_for(SETTLE_TIME)
        return _measure({"console": screen.process, **processes}, seconds, screen.read_for)


def _measure(
    processes: Mapping[str, psutil.Process], seconds: float, wait: Callable[[float], object]
) -> dict[str, Load]:
    before = {name: (_seconds(process), _context_switches(process)) for name, process in processes.items()}
    began = time.perf_counter()
    wait(seconds)
    took = time.perf_counter() - began
    return {
        name: Load(
            share=(_seconds(process) - before[name][0]) / took,
            wakes=(_context_switches(process) - before[name][1]) / took,
        )
        for name, process in processes.items()
    }


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _context_switches(process: psutil.Process) -> int:
    """Return the voluntary context switches of all threads; psutil counts only those of the first thread."""
    threads = Path(f"/proc/{process.pid}/task")
    if not threads.is_dir():
        return int(process.num_ctx_switches().voluntary)
    lines = [line for thread in threads.iterdir() for line in (thread / "status").read_text("utf-8").splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
