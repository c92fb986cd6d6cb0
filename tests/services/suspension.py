"""Suspending a process, so that it hangs with all of its connections open."""

import os
import signal

import psutil

from tests.services.waiting import wait_until


def suspend(pid: int) -> None:
    """Suspend a process, and return when none of its threads runs any more.

    A signal is only delivered when a thread of the process is scheduled, which takes a while on a busy machine.
    """
    os.kill(pid, signal.SIGSTOP)
    process = psutil.Process(pid)
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, f"process {pid} to be suspended")


def resume(pid: int) -> None:
    """Resume a process that is suspended."""
    os.kill(pid, signal.SIGCONT)
