"""Describes an exception as a `Failure`: text of bounded size that any database can store.

Exceptions are the user's objects, and any access to one can raise. So each access is guarded.
The traceback looks like Python's own, without the frames of Cauce and without the middle of a long text.
"""

import hashlib
import linecache
import os
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from types import CodeType
from typing import ParamSpec, TypeVar

from core.model import Failure
from core.tasks import traceback_frames

MAX_TYPE = 200
"""Bytes of an exception's class name that are kept."""

MAX_MESSAGE = 4 << 10
"""Bytes of an exception's message that are kept."""

MAX_TRACEBACK = 16 << 10
"""Bytes of an exception's traceback that are kept."""

_MAX_FRAMES = 20
"""Frames that are shown at each end of an exception's traceback."""

_MAX_CHAIN = 8
"""Exceptions of a chain that are shown: the last ones."""

_MAX_GROUP_DEPTH = 3
"""Levels of groups within groups that are shown."""

_MAX_GROUP_WIDTH = 8
"""Members of a group that are shown."""

_MAX_NOTES = 8
"""Notes of an exception that are shown."""

_MAX_LINE = 200
"""Characters of a source line that are shown."""

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"

Value = TypeVar("Value")
Arguments = ParamSpec("Arguments")


def describe(error: BaseException) -> Failure:
    """Describe an exception. Never raises."""
    return Failure(
        type=_guarded("Exception", _class_name, error),
        message=_message(error),
        traceback=_guarded("", _traceback, error),
        signature=_guarded("", _signature, error),
    )


def _guarded(
    fallback: Value,
    read: Callable[Arguments, Value],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Value:
    try:
        return read(*arguments, **named)
    except BaseException:  # noqa: BLE001  # an exception's own methods may raise anything, SystemExit too
        return fallback


def _class_name(error: BaseException) -> str:
    return _head(type(error).__name__, MAX_TYPE)


def _full_class_name(error: BaseException) -> str:
    kind = type(error)
    plain = kind.__module__ in {"builtins", "__main__"}
    return _head(kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}", MAX_TYPE)


def _message(error: BaseException) -> str:
    return _guarded("(its message can't be shown: __str__ failed)", lambda: _head(str(error), MAX_MESSAGE))


def _head(text: str, limit: int) -> str:
    """Return the first `limit` bytes of a text, with escapes for characters that UTF-8 or a database can't store."""
    # Calls the methods of `str` itself: the exception may have returned a subclass that overrides them.
    raw = _escape(str.__getitem__(text, slice(None, limit + 1)))
    if len(raw) <= limit:
        return raw.decode()
    mark = " […]"
    return raw[: limit - len(mark.encode())].decode(errors="ignore") + mark


def _ends(text: str, limit: int) -> str:
    """Return the beginning and the end of a text, at most `limit` bytes, with escapes as in `_head`."""
    raw = _escape(text)
    if len(raw) <= limit:
        return raw.decode()
    mark = "\n[… cut here …]\n"
    half = (limit - len(mark.encode())) // 2
    return raw[:half].decode(errors="ignore") + mark + raw[-half:].decode(errors="ignore")


def _escape(text: str) -> bytes:
    # UTF-8 has no lone surrogates, and PostgreSQL stores no NUL in a text.
    return str.encode(text, "utf-8", "backslashreplace").replace(b"\0", b"\\x00")


def _signature(error: BaseException) -> str:
    kind = type(error)
    # Each place counts once: the depth of a recursion is not the cause.
    frames = dict.fromkeys(
        (code.co_filename, code.co_qualname) for code, _ in traceback_frames.walk(error.__traceback__)
    )
    of_user = [frame for frame in frames if not traceback_frames.is_library(frame[0])]
    places = [f"{os.path.basename(filename)}:{name}" for filename, name in of_user or frames]
    text = "\n".join([f"{kind.__module__}.{kind.__qualname__}", *places])
    return hashlib.blake2s(text.encode("utf-8", "backslashreplace"), digest_size=6).hexdigest()


def _traceback(error: BaseException) -> str:
    return _ends(_chain_text(error, _MAX_GROUP_DEPTH), MAX_TRACEBACK)


def _chain_text(error: BaseException, depth: int) -> str:
    """Return the text of an exception after those that led to it, as Python prints them."""
    chain = list(islice(_chain(error), _MAX_CHAIN + 1))
    left_out = len(chain) > _MAX_CHAIN
    parts = ["[… earlier exceptions left out …]\n\n"] if left_out else []
    for member, link in reversed(chain[:_MAX_CHAIN]):
        parts += [_one_text(member, depth), link]
    return "".join(parts)


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Yield an exception and those that led to it, newest first, each with the text that links it to the next."""
    seen: set[int] = set()
    link = ""
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        yield step, link
        seen.add(id(step))
        step, link = _guarded((None, ""), _predecessor, step)


def _predecessor(error: BaseException) -> tuple[BaseException | None, str]:
    if error.__cause__ is not None:
        return error.__cause__, _CAUSE
    if error.__suppress_context__:
        return None, ""
    return error.__context__, _CONTEXT


def _one_text(error: BaseException, depth: int) -> str:
    name = _guarded("Exception", _full_class_name, error)
    message = _message(error)
    text = _guarded("", _frames_text, error) + (f"{name}: {message}\n" if message else f"{name}\n")
    text += _guarded("", _notes_text, error)
    if isinstance(error, BaseExceptionGroup):
        text += _guarded("", _members_text, error, depth)
    return text


def _frames_text(error: BaseException) -> str:
    walk = traceback_frames.walk(error.__traceback__)
    lines = ["Traceback (most recent call last):\n"]
    lines += [_frame_text(code, line) for code, line in islice(walk, _MAX_FRAMES)]
    if len(lines) == 1:
        return ""
    count = 0
    last: deque[tuple[CodeType, int]] = deque(maxlen=_MAX_FRAMES)
    for step in walk:
        last.append(step)
        count += 1
    if count > _MAX_FRAMES:
        lines.append(f"  [… {count - _MAX_FRAMES} more …]\n")
    lines += [_frame_text(code, line) for code, line in last]
    return "".join(lines)


def _frame_text(code: CodeType, line: int) -> str:
    text = f'  File "{code.co_filename}", line {line}, in {code.co_name}\n'
    source = linecache.getline(code.co_filename, line).strip()
    return f"{text}    {source[:_MAX_LINE]}\n" if source else text


def _notes_text(error: BaseException) -> str:
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, list):
        return ""
    return "".join(_head(note, MAX_MESSAGE) + "\n" for note in notes[:_MAX_NOTES] if isinstance(note, str))


def _members_text(group: BaseExceptionGroup[BaseException], depth: int) -> str:
    if depth == 0:
        return "  [… more inside …]\n"
    members = group.exceptions
    lines: list[str] = []
    for number, member in enumerate(members[:_MAX_GROUP_WIDTH], start=1):
        lines.append(f"---- {number} of {len(members)} ----")
        lines += _chain_text(member, depth - 1).splitlines()
    if len(members) > _MAX_GROUP_WIDTH:
        lines.append("[… more left out …]")
    return "".join(f"  | {line}\n" for line in lines)
