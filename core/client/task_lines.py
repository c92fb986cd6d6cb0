"""Makes tasks from the lines of a file or pipe, one per line. Pure: bytes in, values out.

Lines are numbered, for messages and for ids made with a prefix.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from core import jsontext
from core.client.values import NewSubmission
from core.errors import ConfigurationError
from core.text_encoding import foreign_encoding

MAX_LINE = 64 * 1024 * 1024
"""Bytes of a line. Longer lines are skipped and not held in memory: no server accepts them."""

_BYTE_ORDER_MARK = "\ufeff"


class BadLine(msgspec.Struct, frozen=True):
    """A line that can't be made into a task."""

    number: int
    reason: str


class TaskTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """What all tasks of an input have in common."""

    kind: str | None = None
    id: str | None = None
    """The task's id, when there is only one task."""
    id_prefix: str | None = None
    """Prefix of ids that end with the line's number: the same input makes the same ids."""
    delay: float = 0.0
    retries: int | None = None
    as_json: bool = False
    """Whether the lines are JSON values instead of texts."""
    keep_blank: bool = False


NumberedLine: TypeAlias = tuple[int, bytes | None]
"""A line with its number, from 1; None in place of a line that is too long."""


def only_utf8(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks, unless the first bytes show text of another encoding.

    Raises:
        ConfigurationError: the text has another encoding, which the message names.
    """
    started = False
    for chunk in chunks:
        if chunk and not started:
            started = True
            if encoding := foreign_encoding(chunk):
                raise ConfigurationError(f"the input is {encoding}: save it as UTF-8")
        yield chunk


def split_lines(chunks: Iterable[bytes], max_line: int = MAX_LINE) -> Iterator[NumberedLine | None]:
    """Yield the lines of some chunks.

    Args:
        chunks: the chunks of the input. For an empty one, None is yielded: there is no input for now.
        max_line: the most bytes of a line. For a longer one, None takes its place.
    """
    number = 0
    partial = bytearray()
    skipping = False
    for chunk in chunks:
        if not chunk:
            yield None
            continue
        pieces = chunk.split(b"\n")
        rest = pieces.pop()
        for piece in pieces:
            number += 1
            partial += piece
            yield number, None if skipping or len(partial) > max_line else bytes(partial)
            partial.clear()
            skipping = False
        partial += rest
        if len(partial) > max_line:
            skipping = True
            partial.clear()
    if partial or skipping:
        yield number + 1, None if skipping else bytes(partial)


def task_from_line(number: int, line: bytes | None, template: TaskTemplate) -> NewSubmission | BadLine | None:
    """Make a task from a line. Returns None for a blank line that is to be skipped."""
    if line is None:
        return BadLine(number, "it is too long for any server")
    line = line.removesuffix(b"\r")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return BadLine(number, f"it is not UTF-8: its byte {error.start + 1} is {line[error.start]:#04x}")
    if number == 1:
        text = text.removeprefix(_BYTE_ORDER_MARK)
    if not text.strip() and (template.as_json or not template.keep_blank):
        return None
    return task_from_text(number, text, template)


def task_from_text(number: int, text: str, template: TaskTemplate) -> NewSubmission | BadLine:
    """Make a task from a text."""
    payload: jsontext.Json = text
    if template.as_json:
        try:
            payload = jsontext.parse(text.encode())
        except (jsontext.JsonError, UnicodeEncodeError) as error:
            return BadLine(number, f"it is not a valid payload: {error}")
    task_id = template.id if template.id_prefix is None else f"{template.id_prefix}-{number}"
    return NewSubmission(template.kind, payload, task_id, template.delay, template.retries)
