"""Kinds of task that workers run in tests, as a user's module would define them.

Each run leaves a line in a file, so that a test can count the runs of every process, also of those that were killed.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import NoReturn

from core.jsontext import Json
from core.tasks import GiveUp, TaskContext, task


def leave_trace(file: str, word: str) -> None:
    """Append a line in one piece, also when other processes do so at the same time."""
    descriptor = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, f"{word}\n".encode())
    finally:
        os.close(descriptor)


@task
def trace(payload: Json, context: TaskContext) -> str:
    """Leave a trace."""
    leave_trace(payload, context.id)
    return context.id


@task
def gated(payload: Json, context: TaskContext) -> str:
    """Leave a trace, and end when the file `gate` exists."""
    leave_trace(payload["trace"], context.id)
    while not Path(payload["gate"]).exists():
        context.wait(0.01)
    return context.id


@task
def deaf(payload: Json, context: TaskContext) -> str:
    """Do the same, but ignore interruptions."""
    leave_trace(payload["trace"], context.id)
    while not Path(payload["gate"]).exists():
        time.sleep(0.01)
    return context.id


@task(retries=5)
def flaky(payload: Json, context: TaskContext) -> int:
    """Fail in all attempts but the one with this number."""
    if context.attempt < payload:
        raise ConnectionError(f"attempt {context.attempt}")
    return context.attempt


@task
def gives_up(payload: Json) -> NoReturn:
    """Fail for good."""
    raise GiveUp(payload)


@task(permanent=(LookupError,))
def looks_up(payload: Json) -> Json:
    """Fail for good when the key is missing."""
    return {}[payload]


@task
def exits(payload: Json) -> NoReturn:
    """Raise an exception that would end a program."""
    raise {"exit": SystemExit, "keyboard": KeyboardInterrupt, "generator": GeneratorExit}[payload]("bye")


@task
def returns_rubbish() -> object:
    """Return a value that JSON can't represent."""
    return {"fine": 1, "not fine": object()}


@task
def returns_much() -> str:
    """Return more than can be stored."""
    return "x" * (2 << 20)


@task(timeout=0.1, retries=0)
def spins(payload: Json, context: TaskContext) -> NoReturn:
    """Compute for ever."""
    leave_trace(payload, context.id)
    while True:
        pass


@task(timeout=0.1, retries=0)
def blocks(payload: Json, context: TaskContext) -> NoReturn:
    """Make a system call that never returns."""
    leave_trace(payload, context.id)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(3600)


@task
def burns(payload: Json) -> int:
    """Keep the processor busy for some seconds, without letting other threads run."""
    end = time.monotonic() + payload
    rounds = 0
    while time.monotonic() < end:
        rounds += sum(range(1000)) > 0
    return rounds


@task
def telling(payload: Json, context: TaskContext) -> str:
    """Say how far it is, and end when the file `gate` exists."""
    context.log("began\x1b[31m")
    context.progress(3, 10, "resizing")
    while not Path(payload["gate"]).exists():
        context.wait(0.01)
    if payload.get("fails"):
        raise ValueError("as told")
    return context.id
