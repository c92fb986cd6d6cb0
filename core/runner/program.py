"""The runner program: `python -P -m core.runner.start`, started by a worker only."""

import ctypes
import os
import signal
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path

from core.begun_slots import BegunSlots
from core.errors import TaskDefinitionError, TaskTimeout
from core.runner import source_files, task_files, task_output
from core.runner.frames import (
    Attach,
    CancelRun,
    GiveBack,
    GivenBack,
    Interrupt,
    KindSettings,
    Ready,
    Run,
    Setup,
    SetupRefused,
    ToRunner,
)
from core.runner.link import WorkerLink, leave_alone, take_over
from core.runner.task_threads import TaskThreads, leave_broken
from core.tasks import Registry, builtin_registry, is_permanent, lifespan, load, loading
from core.tasks.event_loop import EventLoop
from core.tasks.reports import storable

MAX_DESCRIPTION = 200
"""Characters of the description of a kind. The rest is cut."""

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str], environment: MutableMapping[str, str]) -> int:
    """Run tasks until the worker says stop. Returns the exit code.

    Args:
        arguments: the number of the worker's process, and what hands over the socket.
        environment: the environment of this process.
    """
    _die_with(int(arguments[0]))
    link = WorkerLink(take_over(arguments[1:]))
    setup, *rest = link.receive()
    if not isinstance(setup, Setup):
        raise TypeError(f"the worker sent {type(setup).__name__} first")
    task_output.mark_streams()
    if setup.reload:
        # Python takes a cached module for the newest one when its source has kept its size within a second.
        sys.dont_write_bytecode = True
    loop = EventLoop(leave_broken)
    try:
        modules = [load(name) for name in setup.modules]
        registry = builtin_registry(setup.lab, modules)
        task_files.announce(modules, environment)
        loading.call("on_start", lambda: lifespan.start(modules, loop.run))
    except TaskDefinitionError as error:
        link.send(SetupRefused(str(error)))
        link.close()
        return error.exit_code
    threads = TaskThreads(
        setup.threads,
        registry,
        setup.timeout,
        Path(setup.files_root) if setup.files_root else None,
        loop,
        link.send,
    )
    sources = source_files.imported() if setup.reload else ()
    link.send(Ready(kind_settings(registry), lifespan.has_stop(modules), sources))
    _serve(link, threads, rest)
    threads.stop()
    lifespan.stop(modules, loop.run)
    loop.close()
    link.close()
    return 0


def _serve(link: WorkerLink, threads: TaskThreads, messages: list[ToRunner]) -> None:
    """Do what the worker says, until it says stop."""
    while True:
        for message in messages:
            if isinstance(message, Run):
                threads.add(message)
            elif isinstance(message, Attach):
                threads.start(BegunSlots.open(Path(message.path)))
            elif isinstance(message, GiveBack):
                link.send(GivenBack(tuple(threads.give_back())))
            elif isinstance(message, CancelRun):
                threads.cancel(message.slot)
            elif isinstance(message, Interrupt):
                threads.interrupt()
            else:
                return
        messages = link.receive()


def kind_settings(registry: Registry) -> tuple[KindSettings, ...]:
    """Return what a worker must know of the kinds in a registry."""
    return tuple(
        KindSettings(
            kind=one.kind,
            retries=one.retries,
            timeout=one.timeout,
            isolate=one.isolate,
            memory=one.memory,
            delays=one.delays,
            retries_timeouts=not is_permanent(one, TaskTimeout()),
            description=storable(one.description, MAX_DESCRIPTION),
            schema=one.schema,
        )
        for one in registry.definitions
    )


def _die_with(worker: int) -> None:
    """End this process when the worker's ends, even while a task keeps all of its threads busy."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != worker:
            leave_alone()
