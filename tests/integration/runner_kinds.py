"""Kinds of task that do to their process what users' tasks do, for the tests of runners.

Each appends its payload to a file when it begins: tasks run in other processes than their test.
"""

import asyncio
import contextlib
import itertools
import mmap
import multiprocessing
import os
import re
import signal
import stat
import threading
import time
from pathlib import Path
from typing import NoReturn

from core.errors import TaskTimeout
from core.jsontext import Json
from core.runner.frames import Ended, encode
from core.tasks import TaskContext, task

DIRECTORY = Path(os.environ.get("RUNNER_TEST_DIRECTORY", "."))
BEGUN = "begun"
GO = "go"
KILL = "kill"


def _begin(payload: Json) -> None:
    descriptor = os.open(DIRECTORY / BEGUN, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{payload}\n".encode())
    os.close(descriptor)


@task
def trace(payload: Json) -> Json:
    """Note the payload."""
    _begin(payload)
    return payload


@task
def held(payload: Json, context: TaskContext) -> Json:
    """Wait until the test lets it go."""
    _begin(payload)
    while not (DIRECTORY / GO).exists():
        context.wait(0.005)
    return payload


@task
def deaf(payload: Json) -> Json:
    """Wait until the test lets it go, whatever the worker asks."""
    _begin(payload)
    while not (DIRECTORY / GO).exists():
        time.sleep(0.005)
    return payload


@task(isolate=True)
def alone(payload: Json) -> int:
    """Return the process that runs it, when the test lets it go."""
    _begin(payload)
    while not (DIRECTORY / GO).exists():
        time.sleep(0.005)
    return os.getpid()


@task(isolate=True, timeout=0.05)
def stubborn_alone(payload: Json) -> NoReturn:
    """Go on, whatever is raised here, in a process of its own."""
    _begin(payload)
    while True:
        with contextlib.suppress(Exception):
            for _ in itertools.count():
                time.monotonic()


@task(memory="128M")
def hungry(payload: Json) -> int:
    """Take so many MiB of memory."""
    _begin(payload)
    return len(bytearray(payload << 20)) >> 20


@task(memory="128M")
def hungry_for_shared(payload: Json) -> NoReturn:
    """Take so many MiB of memory that no limit of the system counts, and keep it."""
    memory = mmap.mmap(-1, payload << 20)
    for place in range(0, payload << 20, mmap.PAGESIZE):
        memory[place] = 1
    _begin(payload)
    while True:
        time.sleep(1)


@task
def ignores(payload: Json) -> NoReturn:
    """Go on, whatever is raised here."""
    _begin(payload)
    while True:
        with contextlib.suppress(Exception):
            for _ in itertools.count():
                time.monotonic()


@task
async def held_on_loop(payload: Json, context: TaskContext) -> Json:
    """Wait until the test lets it go, beside other coroutines."""
    context.progress(1, 2)
    _begin(payload)
    while not (DIRECTORY / GO).exists():
        await asyncio.sleep(0.005)
    return payload


@task(timeout=0.05)
async def stubborn_on_loop(payload: Json) -> NoReturn:
    """Go on, however often it is cancelled."""
    _begin(payload)
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


@task
async def blocks_loop(payload: Json) -> Json:
    """Keep the event loop until the test lets it go."""
    return deaf(payload)


@task
def keeps_interpreter() -> bool:
    """Keep Python's interpreter to itself for good."""
    return bool(re.match(r"(a+)+$", "a" * 60 + "b"))


@task
def kill(payload: Json) -> NoReturn:
    """Kill the process at once."""
    _begin(payload)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@task
def kill_when_told(payload: Json) -> NoReturn:
    """Kill the process as soon as the test says so."""
    _begin(payload)
    while not (DIRECTORY / KILL).exists():
        time.sleep(0.005)
    os._exit(3)


@task
def close_all(payload: Json) -> Json:
    """Close every descriptor but the standard ones."""
    _begin(payload)
    os.closerange(3, 256)
    return payload


@task
def write_to_worker(payload: Json) -> Json:
    """Write a frame of its own, and then bytes that are none, to every socket of the process."""
    _begin(payload)
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, encode([Ended(9, 1.0, "1")]) + b"\xff" * 64)
    return payload


@task(timeout=0.05)
def keep_interpreter() -> NoReturn:
    """Keep Python's interpreter to itself, so that no other thread of the process runs."""
    while True:
        with contextlib.suppress(TaskTimeout):  # if it comes too late
            re.match(r"(a+)+$", "a" * 60 + "b")


@task(timeout=0.05)
def suspend_itself() -> NoReturn:
    """Suspend the process, before this thread goes on: a signal to the process could come to another thread."""
    while True:
        with contextlib.suppress(TaskTimeout):
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


@task(timeout=0.05)
def stubborn(payload: Json) -> None:
    """Catch the time-out and go on."""
    _begin(payload)
    while True:
        try:
            for _ in itertools.count():
                time.monotonic()
        except TaskTimeout:
            continue


_kept: list[bytes] = []


@task
def keep_memory(payload: int) -> None:
    """Keep so many MiB of memory."""
    _kept.append(b"x" * (payload << 20))


@task(timeout=0.05, permanent=(TaskTimeout,))
def stubborn_for_good(payload: Json) -> None:
    """Do the same, and fail for good."""
    stubborn(payload)


def double(number: int) -> int:
    """Return twice the number."""
    return 2 * number


@task
def spawn(payload: Json) -> Json:
    """Compute in a process that is spawned."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.map(double, [payload])


@task
def terminate_child(payload: Json) -> bool:
    """Terminate a child as `multiprocessing` does."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
    child.start()
    child.terminate()
    child.join()
    return child.is_alive()


@task
def leave_child(payload: Json) -> int:
    """Leave a child process behind that has the socket to the worker too, and return its number."""
    child = os.fork()
    if child == 0:
        time.sleep(3600)
    return child


@task
def says_and_dies(payload: Json, context: TaskContext) -> Json:
    """Say how far it is, and kill its process once when the test says so."""
    context.progress(3, 10)
    while not (DIRECTORY / GO).exists():
        if (DIRECTORY / KILL).exists():
            (DIRECTORY / KILL).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        context.wait(0.005)
    context.progress(10, 10)
    return payload
