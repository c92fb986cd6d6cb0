"""From the lines of a file or pipe to tasks, one a line. Pure: bytes in, values out.

Each line has its number, so that what is wrong with it can be told and ids can be made of it.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from core import jsontext
from core.client.values import NewSubmission

LONGEST_LINE = 64 * 1024 * 1024
"""Longer lines are skipped without being held: no server takes them."""

_BYTE_ORDER_MARK = "\ufeff"


class BadLine(msgspec.Struct, frozen=True):
    """A line of which no task can be made."""

    number: int
    reason: str


class TaskTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """What all the tasks of an input have in common."""

    kind: str | None = None
    id: str | None = None
    """Of the only task."""
    id_prefix: str | None = None
    """Ids are this and the line's number: the same input again makes the same ids."""
    delay: float = 0.0
    retries: int | None = None
    as_json: bool = False
    """The lines are JSON values; otherwise each is a text."""
    keep_blank: bool = False


Numbered: TypeAlias = tuple[int, bytes | None]
"""A line and its number, from 1; None for one that is too long."""


def split(chunks: Iterable[bytes], longest: int = LONGEST_LINE) -> Iterator[Numbered | None]:
    """Cut what is read into lines.

    Args:
        chunks: as they were read. An empty one says that there is nothing more at this moment;
            it comes out as None.
        longest: longer lines are not held.
    """
    number = 0
    begun = bytearray()
    skipping = False
    for chunk in chunks:
        if not chunk:
            yield None
            continue
        pieces = chunk.split(b"\n")
        rest = pieces.pop()
        for piece in pieces:
            number += 1
            begun += piece
            yield number, None if skipping or len(begun) > longest else bytes(begun)
            begun.clear()
            skipping = False
        begun += rest
        if len(begun) > longest:
            skipping = True
            begun.clear()
    if begun or skipping:
        yield number + 1, None if skipping else bytes(begun)


def submission(number: int, line: bytes | None, shape: TaskTemplate) -> NewSubmission | BadLine | None:
    """Make the task of a line; None for a blank one that is to be skipped."""
    if line is None:
        return BadLine(number, "it is too long for any server")
    line = line.removesuffix(b"\r")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return BadLine(number, f"it is not UTF-8: byte {error.start + 1} of it is {line[error.start]:#04x}")
    if number == 1:
        text = text.removeprefix(_BYTE_ORDER_MARK)
    if not text.strip() and (shape.as_json or not shape.keep_blank):
        return None
    return of_text(number, text, shape)


def of_text(number: int, text: str, shape: TaskTemplate) -> NewSubmission | BadLine:
    """Make the task of a text."""
    payload: jsontext.Json = text
    if shape.as_json:
        try:
            payload = jsontext.parse(text.encode())
        except (jsontext.JsonError, UnicodeEncodeError) as error:
            return BadLine(number, f"it can't be a payload: {error}")
    task_id = shape.id if shape.id_prefix is None else f"{shape.id_prefix}-{number}"
    return NewSubmission(shape.kind, payload, task_id, shape.delay, shape.retries)
