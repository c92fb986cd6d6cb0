"""Faults by strace: its command, and its end."""

import subprocess
import sys

import pytest

from tests.faults import tracing
from tests.faults.test_quick import need
from tests.services.waiting import wait_until

WRITES = (
    "import os\nfd = os.open(os.devnull, os.O_WRONLY)\nprint('begun', flush=True)\nwhile True: os.pwrite(fd, b'x', 0)"
)


def test_the_command_names_each_call_once_and_each_fault() -> None:
    command = tracing.command([tracing.dying("pwrite64", 3), tracing.slow("fdatasync", 0.2)])
    assert command[-6:] == [
        *("-e", "trace=fdatasync,pwrite64"),
        *("-e", "inject=pwrite64:signal=KILL:when=3"),
        *("-e", "inject=fdatasync:delay_enter=200000"),
    ]


def test_makes_a_call_fail_again_and_again() -> None:
    assert tracing.failing("pwrite64", "ENOSPC", 7, 13) == "pwrite64:error=ENOSPC:when=7+13"


@pytest.mark.skipif(sys.platform != "linux", reason="strace is a program of Linux")
def test_a_process_dies_at_the_call_and_no_tracer_is_left() -> None:
    need(tracing.PROGRAM)
    with subprocess.Popen([sys.executable, "-c", WRITES], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with tracing.Tracer(process.pid, tracing.dying("pwrite64", 3)) as tracer:
            wait_until(lambda: process.poll() is not None, "the process to die")
        assert process.returncode == -9
        assert tracer.over
