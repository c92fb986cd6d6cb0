"""Payloads and tasks from the text that a user has written. All functions are pure."""

from collections.abc import Iterator

import msgspec

from core import jsontext
from core.client import NewSubmission
from core.jsontext import Json
from tui.translations import Translations

MAX_LINE = 1024 * 1024


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of the fields of the form."""

    kind: str = ""
    payload: str = ""
    id: str = ""
    delay: str = ""
    retries: str = ""
    as_text: bool = False
    """Whether the payload is sent as a text even if it is JSON."""


class DraftError(ValueError):
    """A field of the form is wrong; the message names it and what it must be."""


def payload_of(text: str, *, as_text: bool) -> tuple[Json, bool]:
    """Return the payload that a text stands for, and whether the text was read as JSON."""
    if as_text:
        return text, False
    try:
        return jsontext.parse(text.encode()), True
    except (jsontext.JsonError, UnicodeEncodeError):
        return text, False


def describe(text: str, tr: Translations, *, as_text: bool) -> str:
    """Describe how a payload will be sent."""
    if not text:
        return tr("nothing yet")
    value, is_json = payload_of(text, as_text=as_text)
    if not is_json:
        return tr.count(len(text), "a text of {count} character", "a text of {count} characters")
    names = {dict: "a JSON object", list: "a JSON array", str: "a JSON string", bool: "a JSON boolean"}
    return tr(names.get(type(value), "a JSON number" if value is not None else "JSON null"))


def task_of(draft: Draft, tr: Translations) -> NewSubmission:
    """Return the task that the form describes.

    Raises:
        DraftError: a field is wrong.
    """
    payload, _ = payload_of(draft.payload, as_text=draft.as_text)
    return NewSubmission(
        draft.kind or None,
        payload,
        draft.id.strip() or None,
        _delay(draft.delay, tr),
        _retries(draft.retries, tr),
    )


def tasks_of_lines(lines: Iterator[str], draft: NewSubmission, *, as_text: bool) -> Iterator[NewSubmission]:
    """Make a task for each line that is not blank. Its id is the draft's id, if any, followed by the line number."""
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if text.strip():
            payload, _ = payload_of(text, as_text=as_text)
            task_id = f"{draft.id}-{number}" if draft.id else None
            yield NewSubmission(draft.kind, payload, task_id, draft.delay, draft.retries)


def _delay(text: str, tr: Translations) -> float:
    if not text.strip():
        return 0.0
    try:
        delay = float(text)
    except ValueError:
        delay = -1.0
    if not 0 <= delay < 10 * 365 * 86_400:
        raise DraftError(tr("delay: must be a number of seconds, such as 60"))
    return delay


def _retries(text: str, tr: Translations) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal() or len(text.strip()) > 4:
        raise DraftError(tr("retries: must be a whole number, such as 3"))
    return int(text)
