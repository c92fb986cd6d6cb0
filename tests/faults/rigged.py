"""Where a case is held against a system that is broken on purpose: another program in place of one of core.

The case's own function runs there and doesn't know. A server is another program. A worker is broken by a module of
tasks that it loads, so that it is broken wherever it is started, also by a supervisor.
"""

import math
from collections.abc import Callable
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.values import Finding, Invariant, Outcome, Profile

SERVER = "core.server"


class RiggedArena(Arena):
    """A place within a case's own, with a size between those of the profiles.

    Args:
        arena: of the control.
        part: how much of the long profile is done; what the quick one does when 0.
        tasks: the file with the kinds, which may break the worker that loads it; the honest one when None.
    """

    def __init__(self, arena: Arena, part: float, tasks: Path | None) -> None:
        directory = arena.directory / "rigged"
        directory.mkdir(mode=0o700)
        super().__init__(directory, Profile.LONG if part else Profile.QUICK, arena.seed, arena.say)
        self._part = part
        self._tasks = tasks

    @property
    def tasks_module(self) -> str:
        """The file with the kinds that workers have to know."""
        return super().tasks_module if self._tasks is None else str(self._tasks)

    def size(self, quick: int, long: int) -> int:
        """How much to do."""
        return max(quick, math.ceil(self._part * long)) if self._part else quick


def attempted(case: Callable[[Arena], Outcome], arena: Arena) -> Outcome:
    """What a case says; that it broke down, as the campaign would."""
    try:
        return case(arena)
    except AssertionError as error:
        return Outcome(broken=(Finding(Invariant.CLEAN, f"the case broke down: {error}"),))
    finally:
        arena.ledger.close()
