"""The frames of a traceback that belong to the user: not to Python's library, installed packages or Cauce."""

import os
import sysconfig
from collections.abc import Iterator
from functools import cache, lru_cache
from types import CodeType, TracebackType

from core.tasks import context, event_loop, execution, lifespan

_OURS = frozenset({context.__file__, event_loop.__file__, execution.__file__, lifespan.__file__})


def walk(trace: TracebackType | None) -> Iterator[tuple[CodeType, int]]:
    """Yield the code and line of each frame, outermost first, without Cauce's frames around the task function."""
    callers = (execution.run.__code__, execution.run_async.__code__)
    inside: TracebackType | None = trace
    step = trace
    while step is not None:
        if step.tb_frame.f_code in callers:
            inside = step.tb_next
        step = step.tb_next
    step = inside
    while step is not None:
        code = step.tb_frame.f_code
        if code.co_filename not in _OURS:
            yield code, step.tb_lineno
        step = step.tb_next


@lru_cache(maxsize=1024)
def is_library(filename: str) -> bool:
    """Return whether a file belongs to Python or to an installed package."""
    if filename.startswith("<frozen "):
        return True
    path = os.path.normcase(filename)
    return path.startswith(_library_directories())


@cache
def _library_directories() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({os.path.normcase(os.path.join(paths[name], "")) for name in names})
