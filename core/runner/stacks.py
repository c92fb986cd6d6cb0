"""The stacks of tasks that run for long, so that everybody can see what they wait for."""

import linecache
import sys
from collections.abc import Iterable, Iterator
from types import FrameType

from core.tasks import event_loop, execution, lifespan
from core.tasks.reports import storable

AFTER = 10.0
"""Seconds that a task runs before its stack is told for the first time."""

INTERVAL = 5.0
"""Seconds between two times that a stack is told."""

MAX_FRAMES = 15
MAX_TEXT = 1500
"""Characters of a stack. The innermost frames are kept."""


_CALLERS = frozenset({event_loop.__file__, execution.__file__, lifespan.__file__})
"""The files whose functions call those of tasks."""


def stack_of(thread: int | None) -> str:
    """Return the stack of the task that runs in a thread, from its function inwards, as Python prints tracebacks."""
    return _text(_frames(sys._current_frames().get(thread or 0)))  # noqa: SLF001 - its documented name


def stack_of_coroutine(coroutine: object, thread: int | None) -> str:
    """Return the stack of a task's coroutine, from its function inwards, down to what it waits for.

    Args:
        coroutine: the coroutine, or None when it has not started.
        thread: the thread of its loop. While the coroutine runs, its stack is there.
    """
    if getattr(coroutine, "cr_running", False):
        return stack_of(thread)
    frames = list(_suspended_frames(coroutine))
    callers = [place for place, frame in enumerate(frames) if frame.f_code.co_filename in _CALLERS]
    return _text(reversed(frames[callers[-1] + 1 if callers else 0 :]))


def _text(inner_first: Iterable[FrameType]) -> str:
    frames = list(inner_first)
    cut = frames[MAX_FRAMES - 1 :: -1] if len(frames) > MAX_FRAMES else frames[::-1]
    return storable("".join(_frame_text(frame) for frame in cut)[-MAX_TEXT:], MAX_TEXT)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of a task, the innermost first, without those that called its function."""
    while frame is not None and frame.f_code.co_filename not in _CALLERS:
        yield frame
        frame = frame.f_back


def _suspended_frames(awaited: object) -> Iterator[FrameType]:
    """Yield the frames of a coroutine that waits, the outermost first."""
    while awaited is not None:
        frame, awaited = _step(awaited)
        if isinstance(frame, FrameType):
            yield frame


def _step(awaited: object) -> tuple[object, object]:
    """Return the frame of a coroutine or generator, and what it waits for."""
    for prefix in ("cr", "gi", "ag"):
        if hasattr(awaited, f"{prefix}_frame"):
            waits_for = getattr(awaited, "gi_yieldfrom" if prefix == "gi" else f"{prefix}_await", None)
            return getattr(awaited, f"{prefix}_frame"), waits_for
    return None, None


def _frame_text(frame: FrameType) -> str:
    code = frame.f_code
    source = linecache.getline(code.co_filename, frame.f_lineno).strip()
    place = f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_qualname}\n'
    return f"{place}    {source}\n" if source else place
