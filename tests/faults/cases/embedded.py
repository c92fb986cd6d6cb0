"""The embedded queue's file, deleted and damaged while it is used and while it is not: the journal makes it anew."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.broker.factory import EMBEDDED_FILE
from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
from tests.faults.driver import Pace
from tests.faults.values import Finding, Invariant, Outcome
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 60.0
SECONDS = 0.02
MENDING = 40.0
TOLD_WITHIN = 10.0
"""Seconds in which a damaged file has to be complained of, if it isn't mended by itself."""

NAMES = ("s1", "w1", "w2")
REMEDY = "delete it"
"""What a complaint has to advise."""


def _delete(file: Path, _: Arena) -> None:
    for each in (file, *_beside(file)):
        each.unlink(missing_ok=True)


def _scribble(file: Path, arena: Arena) -> None:
    """Write nonsense over some places of the file, its head left as it is."""
    _write(file, arena, [arena.chance.randrange(100, max(101, file.stat().st_size)) for _ in range(40)])


def _behead(file: Path, arena: Arena) -> None:
    """Write nonsense over its beginning."""
    _write(file, arena, [0])


def _cut(file: Path, arena: Arena) -> None:
    """Cut its end off, in the midst of a page."""
    os.truncate(file, file.stat().st_size * arena.chance.randrange(20, 80) // 100)


def _write(file: Path, arena: Arena, places: list[int]) -> None:
    with file.open("r+b") as stream:
        for place in places:
            stream.seek(place)
            stream.write(arena.chance.randbytes(64))


HARMS: tuple[Callable[[Path, Arena], None], ...] = (_delete, _scribble, _behead, _cut)


def harmed(arena: Arena) -> Outcome:
    """Harm the file, at work and at rest, and do what is advised when it isn't mended by itself."""
    file = arena.system / EMBEDDED_FILE
    rounds = [(harm, running) for harm in HARMS for running in (True, False)] * arena.size(1, 5)
    mended = 0
    broken: list[Finding] = []
    with LocalSystem(arena.system, 1, 2, worker_arguments=("--tasks", arena.tasks_module)) as system:
        address = system.addresses
        driver = arena.driver(*address, pace=Pace(rate=RATE), seconds=SECONDS)
        driver.start()
        try:
            for harm, running in rounds:
                wanted = driver.accepted + 30
                wait_until(lambda wanted=wanted: driver.accepted >= wanted or driver.over, "tasks", MENDING)  # type: ignore[misc]  # mypy can't infer a lambda with a default
                before = _sizes(system)
                _do(lambda harm=harm: harm(file, arena), system, running=running)  # type: ignore[misc]  # the same
                if _goes_on(system, TOLD_WITHIN):
                    continue
                mended += 1
                told = _told(system, before)
                if REMEDY not in told:
                    broken.append(Finding(Invariant.HARMLESS, f"nobody says what to do: {told[-300:]!r}"))
                _do(lambda: _delete(file, arena), system, running=running)
                if not _goes_on(system, MENDING):
                    broken.append(Finding(Invariant.NO_LOSS, f"a new file does not help after {harm.__name__}"))
        finally:
            driver.end()
        arena.drain(60)
    outcome = arena.judge(driver, faults=len(rounds))
    remark = f"the file was deleted by hand {mended} times, as advised"
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken), remarks=(*outcome.remarks, remark))


def _do(act: Callable[[], None], system: LocalSystem, *, running: bool) -> None:
    """Do something to the file, at work or at rest, and have everything run then."""
    if not running:
        _rest(system)
    act()
    _run(system)


def _rest(system: LocalSystem) -> None:
    """Stop all that runs."""
    for name in NAMES:
        with contextlib.suppress(AssertionError, KeyError):  # it may have ended by itself, and not in good order
            system.stop(name)


def _run(system: LocalSystem) -> None:
    """Start all that doesn't run; some refuse to start with a file that is damaged."""
    for name in NAMES:
        with contextlib.suppress(KeyError):
            if system.process(name).poll() is None:
                continue
            system.kill(name)
        with contextlib.suppress(AssertionError):
            system.start(name)


def _goes_on(system: LocalSystem, seconds: float) -> bool:
    done = system.counts().get("done", 0)
    try:
        wait_until(lambda: system.counts().get("done", 0) > done + 40, "tasks to be done", seconds)
    except AssertionError:
        return False
    return True


def _sizes(system: LocalSystem) -> dict[str, int]:
    return {name: len(system.log(name)) for name in NAMES}


def _told(system: LocalSystem, before: dict[str, int]) -> str:
    return "".join(system.log(name)[before[name] :] for name in NAMES)


def _beside(file: Path) -> list[Path]:
    return [file.with_name(file.name + end) for end in ("-wal", "-shm")]


CASES = (
    Case(
        name="file of the embedded queue harmed",
        target="deleted and damaged, at work and at rest: mended from the journal, or a sentence says how",
        run=harmed,
        profiles=ONLY_LONG,
    ),
)
