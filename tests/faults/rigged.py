"""The context in which a case runs against a system that is broken on purpose.

The case is unchanged. A broken server is another program. A broken worker is patched by a module that Python imports
when it starts, so that it is broken wherever it is started, also by a supervisor.
"""

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.context import CaseContext
from tests.faults.values import Finding, Invariant, Outcome, Profile

SERVER = "core.server"
WORKER = "core.worker"
_TOP = Path(__file__).resolve().parents[2]
_AT_START = """\
import sys
if {worker!r} in sys.orig_argv:
    sys.path.append({top!r})
    import {module}
"""


class RiggedContext(CaseContext):
    """A context within that of a control, with a size between those of the profiles.

    Args:
        context: of the control.
        part: fraction of the long profile's size; 0 for the size of the quick profile.
    """

    def __init__(self, context: CaseContext, part: float) -> None:
        directory = context.directory / "rigged"
        directory.mkdir(mode=0o700)
        super().__init__(directory, Profile.LONG if part else Profile.QUICK, context.seed, context.show_progress)
        self._part = part

    def size(self, quick: int, long: int) -> int:
        """Return the number for this part."""
        return max(quick, math.ceil(self._part * long)) if self._part else quick

    def patience(self, seconds: float) -> float:
        """Return the seconds to allow. A control runs alone, and what is late must be found."""
        return seconds


@contextlib.contextmanager
def breaking_workers(module: str) -> Iterator[None]:
    """Have a module imported by all workers that this process, or a process of it, starts within the block.

    Args:
        module: breaks a worker that imports it; empty for none.
    """
    if not module:
        yield
        return
    former = os.environ.get("PYTHONPATH")
    # Not in the directory of the case: its name has a colon, which separates directories here.
    with tempfile.TemporaryDirectory(prefix="cauce-") as directory:
        text = _AT_START.format(worker=WORKER, top=str(_TOP), module=module)
        Path(directory, "sitecustomize.py").write_text(text, "utf-8")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (directory, former)))
        try:
            yield
        finally:
            del os.environ["PYTHONPATH"]
            if former is not None:
                os.environ["PYTHONPATH"] = former


def attempted(case: Callable[[CaseContext], Outcome], context: CaseContext) -> Outcome:
    """Return the outcome of a case, with a finding when it broke down."""
    try:
        return case(context)
    except AssertionError as error:
        return Outcome(broken=(Finding(Invariant.CLEAN, f"the case broke down: {error}"),))
    finally:
        context.submissions.close()
