"""The context in which a case runs against a system that is broken on purpose.

The case is unchanged. A broken server is another program. A broken worker is patched by a module of tasks that it
loads, so that it is broken wherever it is started, also by a supervisor.
"""

import math
from collections.abc import Callable
from pathlib import Path

from tests.faults.context import CaseContext
from tests.faults.values import Finding, Invariant, Outcome, Profile

SERVER = "core.server"


class RiggedContext(CaseContext):
    """A context within that of a control, with a size between those of the profiles.

    Args:
        context: of the control.
        part: fraction of the long profile's size; 0 for the size of the quick profile.
        tasks: the module of tasks, which may break its worker; None for the honest one.
    """

    def __init__(self, context: CaseContext, part: float, tasks: Path | None) -> None:
        directory = context.directory / "rigged"
        directory.mkdir(mode=0o700)
        super().__init__(directory, Profile.LONG if part else Profile.QUICK, context.seed, context.show_progress)
        self._part = part
        self._tasks = tasks

    @property
    def tasks_module(self) -> str:
        """The module of tasks that the workers load."""
        return super().tasks_module if self._tasks is None else str(self._tasks)

    def size(self, quick: int, long: int) -> int:
        """Return the number for this part."""
        return max(quick, math.ceil(self._part * long)) if self._part else quick


def attempted(case: Callable[[CaseContext], Outcome], context: CaseContext) -> Outcome:
    """Return the outcome of a case, with a finding when it broke down."""
    try:
        return case(context)
    except AssertionError as error:
        return Outcome(broken=(Finding(Invariant.CLEAN, f"the case broke down: {error}"),))
    finally:
        context.submissions.close()
