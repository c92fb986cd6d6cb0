"""Describes an exception as a `Failure`: bounded, storable text, whatever the exception is.

Exceptions are the user's objects, and may fail in every way when they are asked for anything. So each question is
asked behind a guard, and nothing is made longer than it will be stored.
The traceback has the look of Python's own; it leaves out Cauce's runner and the middle of what is too long.
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
"""How many bytes of an exception's class name are kept."""

MAX_MESSAGE = 4 << 10
"""How many bytes of its message are kept."""

MAX_TRACEBACK = 16 << 10
"""How many bytes of its traceback are kept."""

_FRAMES = 20
"""How many frames are shown at each end of one exception's traceback."""

_CHAIN = 8
"""How many exceptions of a chain are shown, the last ones."""

_GROUP_DEPTH = 3
"""How deep groups inside groups are shown."""

_GROUP_WIDTH = 8
"""How many members of one group are shown."""

_NOTES = 8
"""How many notes of one exception are shown."""

_LINE = 200
"""How many characters of a line of source are shown."""

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")


def describe(error: BaseException) -> Failure:
    """Describe an exception. Never raises, whatever the exception is."""
    return Failure(
        type=_ask("Exception", _class_name, error),
        message=_message(error),
        traceback=_ask("", _traceback, error),
        signature=_ask("", _signature, error),
    )


def _ask(
    fallback: Answer,
    question: Callable[Arguments, Answer],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Answer:
    try:
        return question(*arguments, **named)
    except BaseException:  # noqa: BLE001  # an exception's own methods may raise anything, SystemExit too
        return fallback


def _class_name(error: BaseException) -> str:
    return _head(type(error).__name__, MAX_TYPE)


def _full_class_name(error: BaseException) -> str:
    kind = type(error)
    plain = kind.__module__ in {"builtins", "__main__"}
    return _head(kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}", MAX_TYPE)


def _message(error: BaseException) -> str:
    return _ask("(its message can't be shown: __str__ failed)", lambda: _head(str(error), MAX_MESSAGE))


def _head(text: str, limit: int) -> str:
    """Text as UTF-8 and any database can hold it, at most `limit` bytes of it."""
    # By way of `str` itself: the user's exception may have returned a subclass that does other things.
    raw = _escape(str.__getitem__(text, slice(None, limit + 1)))
    if len(raw) <= limit:
        return raw.decode()
    mark = " […]"
    return raw[: limit - len(mark.encode())].decode(errors="ignore") + mark


def _ends(text: str, limit: int) -> str:
    """The same, of which head and tail are kept."""
    raw = _escape(text)
    if len(raw) <= limit:
        return raw.decode()
    mark = "\n[… cut here …]\n"
    half = (limit - len(mark.encode())) // 2
    return raw[:half].decode(errors="ignore") + mark + raw[-half:].decode(errors="ignore")


def _escape(text: str) -> bytes:
    # UTF-8 takes no lone surrogate, PostgreSQL no NUL in a text.
    return str.encode(text, "utf-8", "backslashreplace").replace(b"\0", b"\\x00")


def _signature(error: BaseException) -> str:
    kind = type(error)
    # Each place once: how deep a recursion went is not the cause.
    steps = dict.fromkeys(
        (code.co_filename, code.co_qualname) for code, _ in traceback_frames.walk(error.__traceback__)
    )
    users = [step for step in steps if not traceback_frames.is_library(step[0])]
    places = [f"{os.path.basename(filename)}:{name}" for filename, name in users or steps]
    text = "\n".join([f"{kind.__module__}.{kind.__qualname__}", *places])
    return hashlib.blake2s(text.encode("utf-8", "backslashreplace"), digest_size=6).hexdigest()


def _traceback(error: BaseException) -> str:
    return _ends(_chain_text(error, _GROUP_DEPTH), MAX_TRACEBACK)


def _chain_text(error: BaseException, depth: int) -> str:
    """An exception after those that led to it, as Python prints them."""
    chain = list(islice(_chain(error), _CHAIN + 1))
    left_out = len(chain) > _CHAIN
    parts = ["[… earlier exceptions left out …]\n\n"] if left_out else []
    for member, link in reversed(chain[:_CHAIN]):
        parts += [_one_text(member, depth), link]
    return "".join(parts)


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """An exception and what led to it, the last first; each with the words between it and the one it led to."""
    seen: set[int] = set()
    link = ""
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        yield step, link
        seen.add(id(step))
        step, link = _ask((None, ""), _before, step)


def _before(error: BaseException) -> tuple[BaseException | None, str]:
    if error.__cause__ is not None:
        return error.__cause__, _CAUSE
    if error.__suppress_context__:
        return None, ""
    return error.__context__, _CONTEXT


def _one_text(error: BaseException, depth: int) -> str:
    name = _ask("Exception", _full_class_name, error)
    message = _message(error)
    text = _ask("", _frames_text, error) + (f"{name}: {message}\n" if message else f"{name}\n")
    text += _ask("", _notes_text, error)
    if isinstance(error, BaseExceptionGroup):
        text += _ask("", _members_text, error, depth)
    return text


def _frames_text(error: BaseException) -> str:
    walk = traceback_frames.walk(error.__traceback__)
    lines = ["Traceback (most recent call last):\n"]
    lines += [_frame_text(code, line) for code, line in islice(walk, _FRAMES)]
    if len(lines) == 1:
        return ""
    count = 0
    last: deque[tuple[CodeType, int]] = deque(maxlen=_FRAMES)
    for step in walk:
        last.append(step)
        count += 1
    if count > _FRAMES:
        lines.append(f"  [… {count - _FRAMES} more …]\n")
    lines += [_frame_text(code, line) for code, line in last]
    return "".join(lines)


def _frame_text(code: CodeType, line: int) -> str:
    text = f'  File "{code.co_filename}", line {line}, in {code.co_name}\n'
    source = linecache.getline(code.co_filename, line).strip()
    return f"{text}    {source[:_LINE]}\n" if source else text


def _notes_text(error: BaseException) -> str:
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, list):
        return ""
    return "".join(_head(note, MAX_MESSAGE) + "\n" for note in notes[:_NOTES] if isinstance(note, str))


def _members_text(group: BaseExceptionGroup[BaseException], depth: int) -> str:
    if depth == 0:
        return "  [… more inside …]\n"
    members = group.exceptions
    lines: list[str] = []
    for number, member in enumerate(members[:_GROUP_WIDTH], start=1):
        lines.append(f"---- {number} of {len(members)} ----")
        lines += _chain_text(member, depth - 1).splitlines()
    if len(members) > _GROUP_WIDTH:
        lines.append("[… more left out …]")
    return "".join(f"  | {line}\n" for line in lines)
