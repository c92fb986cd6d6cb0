"""The stacks of tasks that run for long, so that everybody can see what they wait for."""

import linecache
import sys
from collections.abc import Iterator
from types import FrameType

from core.tasks import execution
from core.tasks.reports import storable

AFTER = 10.0
"""Seconds that a task runs before its stack is told for the first time."""

INTERVAL = 5.0
"""Seconds between two times that a stack is told."""

MAX_FRAMES = 15
MAX_TEXT = 1500
"""Characters of a stack. The innermost frames are kept."""


def stack_of(thread: int) -> str:
    """Return the stack of the task that runs in a thread, from its function inwards, as Python prints tracebacks."""
    frames = list(_frames(sys._current_frames().get(thread)))  # noqa: SLF001 - its documented name
    cut = frames[MAX_FRAMES - 1 :: -1] if len(frames) > MAX_FRAMES else frames[::-1]
    return storable("".join(_frame_text(frame) for frame in cut)[-MAX_TEXT:], MAX_TEXT)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of a task, the innermost first, without those that called its function."""
    while frame is not None and frame.f_code.co_filename != execution.__file__:
        yield frame
        frame = frame.f_back


def _frame_text(frame: FrameType) -> str:
    code = frame.f_code
    source = linecache.getline(code.co_filename, frame.f_lineno).strip()
    place = f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_qualname}\n'
    return f"{place}    {source}\n" if source else place
