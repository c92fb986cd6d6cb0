"""Kinds of task that do their worst to the process in which they run."""

import asyncio
import contextlib
import os
import re
import signal
import time

from core.jsontext import Json
from core.tasks import task

SLOW_IMPORT = "slow-import"
GIGABYTE = 1 << 30

DESCRIPTIONS = {
    "keep-interpreter": "keeps the interpreter to itself (a regular expression), time-out 2 s",
    "sleep-for-ever": "sleeps for ever, time-out 2 s",
    "block-loop": "`async def`, blocks the event loop for ever, time-out 2 s",
    "refuse-cancel": "`async def`, goes on after each `CancelledError`, time-out 2 s",
    "block-sigterm": "blocks every signal and goes on after each exception, time-out 2 s",
    "eat-memory": "takes 4 GB, and touches them",
    "fork": "forks, returns in both processes",
    "leave": "`os._exit(3)`",
    "suspend": "`SIGSTOP`s itself, time-out 2 s",
    "close-all": "closes every descriptor from 3 up",
    SLOW_IMPORT: "its module takes 20 s to import",
}
"""What each kind does."""


@task("keep-interpreter", timeout=2)
def keep_interpreter(payload: Json) -> None:
    """Match a regular expression for longer than anybody lives."""
    re.match(r"(a+)+$", "a" * 60 + "b")


@task("sleep-for-ever", timeout=2)
def sleep_for_ever(payload: Json) -> None:
    """Wait in one system call."""
    time.sleep(1e6)


@task("block-loop", timeout=2)
async def block_loop(payload: Json) -> None:
    """Wait where no other coroutine can go on."""
    time.sleep(1e6)


@task("refuse-cancel", timeout=2)
async def refuse_cancel(payload: Json) -> None:
    """Ignore whoever asks, beside others."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


@task("block-sigterm", timeout=2)
def block_sigterm(payload: Json) -> None:
    """Ignore whoever asks."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        try:
            time.sleep(0.1)
        except BaseException:  # noqa: BLE001, S112 - that is its point
            continue


@task("eat-memory")
def eat_memory(payload: Json) -> int:
    """Touch each page."""
    eaten = bytearray(4 * GIGABYTE)
    for offset in range(0, len(eaten), 4096):
        eaten[offset] = 1
    return len(eaten)


@task("fork")
def fork(payload: Json) -> int:
    """Return in the child too."""
    child = os.fork()
    if child == 0:
        return 0
    return os.waitpid(child, 0)[1]


@task("leave")
def leave(payload: Json) -> None:
    """End the process."""
    os._exit(3)


@task("suspend", timeout=2)
def suspend(payload: Json) -> None:
    """Suspend the process."""
    os.kill(os.getpid(), signal.SIGSTOP)


@task("close-all")
def close_all(payload: Json) -> str:
    """Close what is not its own."""
    os.closerange(3, 1024)
    time.sleep(0.1)
    return "closed"
