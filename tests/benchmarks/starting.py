"""How long programs take to start, and what they take while nothing happens."""

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

from tests.benchmarks.case import Lost
from tests.benchmarks.setting import Site
from tests.integration.supervised import Supervised

READY = b" is ready"
"""In the line of its log with which a worker says so."""

SETTLED = 3.0
"""Seconds after which a console that has shown its first frame has nothing more to do with starting."""

_TOP = Path(__file__).resolve().parents[2]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a process takes while nothing happens."""

    share: float
    """Of one processor."""
    wakes: float
    """How often a second it is woken, all its threads together."""


def worker_start(site: Site) -> float:
    """Start a worker of a system that runs; seconds from the command until it says that it is ready.

    Raises:
        Lost: it does not.
    """
    command = [sys.executable, "-m", "core.worker", "--dir", str(site.servers.directory), "--broker", site.broker]
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
        raise Lost("a worker ended before it was ready")
    return seconds


def has_console() -> bool:
    """Whether the console can be measured here: it needs a pseudo-terminal."""
    return os.name == "posix"


def console_start(directory: Path) -> float:
    """Start a console over a system; seconds from the command to the first frame."""
    from tests.benchmarks.console import Screen  # needs pseudo-terminals, which Windows has not

    with Screen(directory) as screen:
        return screen.until("Results")


def at_rest(directory: Path, seconds: float) -> dict[str, Load]:
    """What each process of the whole embedded system takes with nothing to do, in its default size, and a console."""
    with ExitStack() as stack:
        supervised = stack.enter_context(Supervised(directory))
        report = supervised.up(2, 2)
        stack.callback(supervised.down)
        found = {"supervisor": report.pid, **{part.name: part.pid for part in report.processes if part.pid}}
        processes = {name: psutil.Process(pid) for name, pid in found.items()}
        if not has_console():
            return _look(processes, seconds, threading.Event().wait)
        from tests.benchmarks.console import Screen  # needs pseudo-terminals, which Windows has not

        screen = stack.enter_context(Screen(directory))
        screen.until("Results")
        screen.rest(SETTLED)
        return _look({"console": screen.process, **processes}, seconds, screen.rest)


def _look(processes: Mapping[str, psutil.Process], seconds: float, rest: Callable[[float], object]) -> dict[str, Load]:
    before = {name: (_seconds(process), _wakes(process)) for name, process in processes.items()}
    began = time.perf_counter()
    rest(seconds)
    took = time.perf_counter() - began
    return {
        name: Load(share=(_seconds(process) - before[name][0]) / took, wakes=(_wakes(process) - before[name][1]) / took)
        for name, process in processes.items()
    }


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _wakes(process: psutil.Process) -> int:
    """How often its threads have begun to wait; psutil asks the first thread alone where it can ask each."""
    threads = Path(f"/proc/{process.pid}/task")
    if not threads.is_dir():
        return int(process.num_ctx_switches().voluntary)
    lines = [line for each in threads.iterdir() for line in (each / "status").read_text("utf-8").splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
