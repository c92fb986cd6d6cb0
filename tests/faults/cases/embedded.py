"""The file of the embedded queue, deleted and damaged while in use and while not: it is restored from the journal."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.broker.factory import EMBEDDED_FILE
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.driver import Pace
from tests.faults.values import Finding, Invariant, Outcome
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 60.0
WORK = 0.02
RECOVERY_TIMEOUT = 40.0
REPORT_TIMEOUT = 10.0
"""Seconds within which a damaged file must be reported, unless it is repaired automatically."""

NAMES = ("s1", "w1", "w2")
REMEDY = "delete it"
"""The advice that the report must contain."""


def _delete(file: Path, _: CaseContext) -> None:
    for path in (file, *_wal_files(file)):
        path.unlink(missing_ok=True)


def _corrupt(file: Path, context: CaseContext) -> None:
    """Overwrite some places of the file, but not its header."""
    _write(file, context, [context.rng.randrange(100, max(101, file.stat().st_size)) for _ in range(40)])


def _corrupt_header(file: Path, context: CaseContext) -> None:
    """Overwrite the header of the file."""
    _write(file, context, [0])


def _truncate(file: Path, context: CaseContext) -> None:
    """Truncate the file within a page."""
    os.truncate(file, file.stat().st_size * context.rng.randrange(20, 80) // 100)


def _write(file: Path, context: CaseContext, places: list[int]) -> None:
    with file.open("r+b") as stream:
        for place in places:
            stream.seek(place)
            stream.write(context.rng.randbytes(64))


DAMAGES: tuple[Callable[[Path, CaseContext], None], ...] = (_delete, _corrupt, _corrupt_header, _truncate)


def damaged(context: CaseContext) -> Outcome:
    """Damage the file, in use and not in use, and follow the advice when it isn't repaired automatically."""
    file = context.system / EMBEDDED_FILE
    rounds = [(damage, running) for damage in DAMAGES for running in (True, False)] * context.size(1, 5)
    repaired = 0
    broken: list[Finding] = []
    with LocalSystem(context.system, 1, 2, worker_arguments=("--tasks", context.tasks_module)) as system:
        address = system.addresses
        driver = context.driver(*address, pace=Pace(rate=RATE), seconds=WORK)
        driver.start()
        try:
            for damage, running in rounds:
                wanted = driver.accepted + 30
                wait_until(lambda wanted=wanted: driver.accepted >= wanted or driver.over, "tasks", RECOVERY_TIMEOUT)  # type: ignore[misc]  # mypy can't infer a lambda with a default
                before = _sizes(system)
                _change_file(lambda damage=damage: damage(file, context), system, running=running)  # type: ignore[misc]  # the same
                if _recovers(system, REPORT_TIMEOUT):
                    continue
                repaired += 1
                reports = _new_log(system, before)
                if REMEDY not in reports:
                    broken.append(Finding(Invariant.HARMLESS, f"no log has the advice: {reports[-300:]!r}"))
                _change_file(lambda: _delete(file, context), system, running=running)
                if not _recovers(system, RECOVERY_TIMEOUT):
                    broken.append(Finding(Invariant.NO_LOSS, f"a new file does not help after {damage.__name__}"))
        finally:
            driver.end()
        context.drain(60)
    outcome = context.judge(driver, faults=len(rounds))
    remark = f"the file was deleted by hand {repaired} times, as advised"
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *broken), remarks=(*outcome.remarks, remark))


def _change_file(change: Callable[[], None], system: LocalSystem, *, running: bool) -> None:
    """Change the file, in use or not, and start what doesn't run."""
    if not running:
        _stop_all(system)
    change()
    _start_missing(system)


def _stop_all(system: LocalSystem) -> None:
    """Stop all processes."""
    for name in NAMES:
        with contextlib.suppress(AssertionError, KeyError):  # it may have ended by itself, with an error
            system.stop(name)


def _start_missing(system: LocalSystem) -> None:
    """Start the processes that don't run; some refuse to start with a damaged file."""
    for name in NAMES:
        with contextlib.suppress(KeyError):
            if system.process(name).poll() is None:
                continue
            system.kill(name)
        with contextlib.suppress(AssertionError):
            system.start(name)


def _recovers(system: LocalSystem, seconds: float) -> bool:
    done = system.counts().get("done", 0)
    try:
        wait_until(lambda: system.counts().get("done", 0) > done + 40, "tasks to be done", seconds)
    except AssertionError:
        return False
    return True


def _sizes(system: LocalSystem) -> dict[str, int]:
    return {name: len(system.log(name)) for name in NAMES}


def _new_log(system: LocalSystem, before: dict[str, int]) -> str:
    return "".join(system.log(name)[before[name] :] for name in NAMES)


def _wal_files(file: Path) -> list[Path]:
    return [file.with_name(file.name + end) for end in ("-wal", "-shm")]


CASES = (
    Case(
        name="file of the embedded queue damaged",
        target="deleted and damaged, in use and not in use: repaired from the journal, or a sentence says how",
        run=damaged,
        profiles=ONLY_LONG,
    ),
)
